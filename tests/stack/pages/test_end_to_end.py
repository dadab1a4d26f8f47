"""The ultrasound example on real stacks: a frame followed from its pipeline to its page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from app import App
from playwright.sync_api import Browser, Page, expect
from programs import need, until
from stacks import STACKS, Stack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.timeout(300)]

PROGRAMME = "gpu_client@6+5,heavy_image@16+5,gpu_client@26+5,heavy_image@36+5"


@dataclass
class Chain:
    """The example, a stack and the app over it, all running."""

    stack: Stack
    app: App
    truth: Path

    def slow(self) -> list[dict[str, Any]]:
        answer = self.app.get("/api/frames?outcome=slow&order=duration&limit=200")
        return list(answer["frames"]) if isinstance(answer, dict) and "frames" in answer else []

    def disturbed(self) -> list[dict[str, Any]]:
        """Slow frames with a cause named, of the times in which the example was disturbed."""
        spans = [json.loads(line) for line in self.truth.read_text().splitlines()]
        return [
            frame
            for frame in self.slow()
            if frame["cause"]
            and any(
                one["start_unix_ns"] / 1e9 <= float(frame["start"]) < one["end_unix_ns"] / 1e9
                for one in spans
            )
        ]


@pytest.fixture(scope="module", params=STACKS, ids=lambda kind: kind.name)
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    kind: type[Stack] = request.param
    need(*kind.programs)
    folder = tmp_path_factory.mktemp(kind.__name__.lower())
    stack = kind(folder)
    app = App(folder, stack.read_from)
    truth = folder / "truth.jsonl"
    example = None
    try:
        stack.start_all()
        app.start()
        example = subprocess.Popen(
            [sys.executable, "-m", "ultrasound", "--truth", str(truth), "--programme", PROGRAMME],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "OTEL_EXPORTER_OTLP_ENDPOINT": stack.collector.otlp_http,
                "OTEL_SERVICE_NAME": "ultrasound",
            },
        )
        running = Chain(stack, app, truth)
        until(lambda: truth.exists() and running.disturbed(), "a slow frame of a disturbance", 120, 0.5)
        yield running
    finally:
        if example is not None:
            example.send_signal(signal.SIGINT)
            example.wait(30)
        app.kill()
        stack.kill_all()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def test_live_shows_frames_as_they_come(chain: Chain, page: Page) -> None:
    page.goto(f"{chain.app.url}/live")
    expect(page.locator("#age")).to_contain_text("newest data", timeout=60_000)
    newest = page.locator("#live-side .fs-table tbody tr td a").first
    before = newest.text_content(timeout=60_000)
    expect(newest).not_to_have_text(before or "", timeout=60_000)
    latest = chain.app.get("/api/metrics/latest")
    assert latest["fps_target"] == pytest.approx(60, rel=0.01)
    for number in ("fps_out", "latency_ms", "latency_p99_ms", "budget_ms", "cpu", "gpu_utilization"):
        assert latest[number] is not None, f"{number} is not known"


def test_a_slow_frame_leads_from_the_table_to_its_verdict(chain: Chain, page: Page) -> None:
    page.goto(f"{chain.app.url}/frames")
    expect(page.locator("h1")).to_contain_text("frames were slow", timeout=60_000)
    row = page.locator(".ag-center-cols-container .ag-row").first
    number = row.locator("a.fs-frame-link").text_content(timeout=60_000) or ""
    row.locator("a.fs-frame-link").click()
    expect(page).to_have_url(re.compile(r"/frames/[0-9a-f]{32}"))
    expect(page.locator(".fs-crumbs")).to_contain_text(f"Frame {number}")
    expect(page.locator("#page h1")).to_contain_text("s over budget")
    expect(page.locator("#evidence")).to_contain_text("Confidence")


def test_the_page_and_the_interface_tell_the_agents_verdict(chain: Chain, page: Page) -> None:
    frame = chain.disturbed()[0]
    told = chain.app.get(f"/api/frames/{frame['trace_id']}")
    verdict = told["verdict"]
    assert verdict["cause"] == frame["cause"]
    assert abs(sum(share["lost_seconds"] for share in verdict["shares"]) - verdict["lost_seconds"]) < 1e-6
    page.goto(f"{chain.app.url}/frames/{frame['trace_id']}")
    heading = page.locator("#page h1")
    expect(heading).to_contain_text("s over budget", timeout=60_000)
    shown = re.search(r"([\d.]+) (m?s) over budget", heading.inner_text())
    assert shown is not None
    in_unit = verdict["overrun_seconds"] * {"ms": 1000, "s": 1}[shown.group(2)]
    assert abs(float(shown.group(1)) - in_unit) < 0.06


def test_slow_frames_and_correlate_tell_of_the_same_frames_as_the_interface(chain: Chain, page: Page) -> None:
    """What Prometheus and Tempo, VictoriaMetrics and Jaeger give is enough for both pages; what they cannot
    answer is said beneath."""
    newest = max(float(frame["start"]) for frame in chain.slow())
    fixed = f"start={newest - 20:.3f}&end={newest:.3f}"
    time.sleep(10)  # what belongs to these seconds has been sent
    told: dict[str, Any] = {}

    def counted() -> object:
        told.update(chain.app.get(f"/api/correlate?{fixed}") or {})
        return told.get("slow")

    until(counted, "records of all frames", 90, 1)
    page.goto(f"{chain.app.url}/frames?{fixed}&group=cause")
    groups = page.locator("#groups tbody tr")
    groups.first.wait_for(timeout=60_000)
    of_causes = sum(
        int(re.sub(r"\D", "", one) or 0) for one in groups.locator("td:nth-child(2)").all_inner_texts()
    )
    page.locator("#to-correlate").click()
    page.locator("#correlate-time .main-svg").first.wait_for(timeout=60_000)
    assert of_causes == told["slow"] > 0
    frames = page.locator("#to-frames").inner_text(timeout=60_000)
    assert [int(re.sub(r"\D", "", part)) for part in frames.split(" of ")] == [told["slow"], told["frames"]]
    assert {one["name"].split("/")[0] for one in told["signals"]} >= {
        "hw.gpu.utilization",
        "system.cpu.utilization",
    }
    lacking = [one["name"] for one in chain.app.get("/api/health")["sources"] if one["missing"]]
    page.reload()  # what the stores are is asked beside the first page
    page.locator("#correlate-time .main-svg").first.wait_for(timeout=60_000)
    expect(page.locator("#limits")).to_have_count(1 if lacking else 0)
    for name in lacking:
        expect(page.locator("#limits summary")).to_contain_text(name)
