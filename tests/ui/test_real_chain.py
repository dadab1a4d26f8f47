"""One frame followed from a real pipeline to the page: recorder, agent, OTLP, store, question, Chromium."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import AppServer, Watched
from playwright.sync_api import Browser, expect
from store_process import StoreProcess

from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.questions.stores import Stores

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PIPELINE = """
import time
import framescope

def burn(ms):
    until = time.thread_time_ns() + ms * 1_000_000
    while time.thread_time_ns() < until:
        pass

pipeline = framescope.Pipeline("chain", target_fps=50, budget_ms=15)
capture, denoise = pipeline.stages("capture", "denoise")
for number in range(300):
    with pipeline.frame(image="240x320"):
        with capture:
            burn(1)
        with denoise:
            burn(200 if number % 60 == 59 else 2)
    pipeline.gauge("score", 0.93)
    time.sleep(0.012)
pipeline.mark("deployed 1.4")
pipeline.close()
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A store with what a real pipeline sent it, and the app over it."""
    folder: Path = tmp_path_factory.mktemp("chain")
    store = StoreProcess(folder).start()
    app = AppServer((lambda embedded: Stores(embedded, embedded))(EmbeddedStore(folder)))
    try:
        subprocess.run(
            [sys.executable, "-c", PIPELINE],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "OTEL_EXPORTER_OTLP_ENDPOINT": store.url,
                "OTEL_SERVICE_NAME": "scanner",
            },
            timeout=120,
            check=True,
        )
        app.start()
        deadline = time.monotonic() + 60
        while len(slow_frames(app)) < 5:
            assert time.monotonic() < deadline, "the slow frames did not arrive"
            time.sleep(0.2)
        yield app
    finally:
        app.stop()
        store.stop()


def slow_frames(app: AppServer) -> list[dict[str, object]]:
    answer = httpx.get(f"{app.url}/api/frames?outcome=slow&order=duration", timeout=30)
    frames: list[dict[str, object]] = answer.raise_for_status().json()["frames"]
    return frames


@pytest.fixture
def page(browser: Browser, chain: AppServer) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    opened = context.new_page()
    watched = Watched(opened, chain.url)
    opened.on("pageerror", lambda error: watched.complaints.append(str(error)))
    yield watched
    context.close()


def test_every_frame_is_counted_and_the_heavy_ones_are_kept_with_their_cause(chain: AppServer) -> None:
    frames = {frame["frame_id"]: frame for frame in slow_frames(chain)}
    for number in (59, 119, 179, 239, 299):
        frame = frames[number]
        assert frame["stage"] == "denoise"
        assert frame["cause"] in ("cpu_work", "cpu_contention", "cpu"), (
            "burnt CPU, or was kept from it by the machine; where no quota can be read, not known which"
        )
        assert float(str(frame["latency_seconds"])) > 0.2


def test_the_table_leads_to_the_frame_and_its_sentence(page: Watched, chain: AppServer) -> None:
    worst = slow_frames(chain)[0]
    page.open(f"/frames/{worst['trace_id']}")
    heading = page.page.locator("#page h1")
    expect(heading).to_contain_text("s over budget")
    expect(heading).to_contain_text("denoise")
    expect(page.page.locator("#page")).to_contain_text("Evidence")
    assert page.complaints == []


def test_the_interface_tells_the_same_number_as_the_page(page: Watched, chain: AppServer) -> None:
    worst = slow_frames(chain)[0]
    told = httpx.get(f"{chain.url}/api/frames/{worst['trace_id']}", timeout=30).json()
    shares = told["verdict"]["shares"]
    assert abs(sum(s["lost_seconds"] for s in shares) - told["verdict"]["lost_seconds"]) < 1e-6
    page.open(f"/frames/{worst['trace_id']}")
    shown = re.search(r"([\d.]+) (m?s) over budget", page.page.locator("#page h1").inner_text())
    assert shown is not None
    in_unit = told["verdict"]["overrun_seconds"] * {"ms": 1000, "s": 1}[shown.group(2)]
    assert abs(float(shown.group(1)) - in_unit) < 0.06
