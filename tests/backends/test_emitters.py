"""Emitters that know nothing of framescope but docs/wire.md show up in the app, with a verdict.

``plain_sdk.py`` runs here. Of the C++ emitter the bytes it once sent are sent again; where CMake and the
OpenTelemetry C++ SDK are installed it is compiled and run too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from judged_frames import judged, told
from recorded_emission import recording
from store_process import StoreProcess

from framescope import signals
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.options import AppOptions
from framescope_ui.questions.stores import Stores
from framescope_ui.server import create_app

EMITTERS = Path(__file__).parents[2] / "examples" / "emitters"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    running = StoreProcess(tmp_path / "data").start()
    yield running
    running.stop()


@pytest.fixture
async def app(store: StoreProcess) -> AsyncIterator[httpx.AsyncClient]:
    backend = EmbeddedStore(store.data_dir)
    whole = create_app(AppOptions(), Stores(backend, backend))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=whole), base_url="http://app") as client:
        yield client
    await whole.state.feed.close()
    await backend.aclose()


def run(store: StoreProcess, service: str, *command: str) -> None:
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": store.url,
        "OTEL_SERVICE_NAME": service,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


async def test_the_plain_python_emitter(store: StoreProcess, app: httpx.AsyncClient) -> None:
    run(store, "camera", sys.executable, str(EMITTERS / "plain_sdk.py"), "4")
    await judged(app, "camera", "hash", "hash")
    now = await told(app, "/api/metrics/latest", service="camera", pipeline="hash")
    assert now["fps_target"] == pytest.approx(50)
    assert now["budget_ms"] == pytest.approx(8)
    assert now["latency_ms"] is not None
    assert now["health"] != "NO DATA"


async def test_what_the_cpp_emitter_sent(store: StoreProcess, app: httpx.AsyncClient) -> None:
    recording("cpp", time.time_ns()).send(store.url)
    assert set(await judged(app, "camera", "blur", "blur")) == {"cpu_work"}
    now = await told(app, "/api/metrics/latest", service="camera", pipeline="blur")
    assert now["fps_out"] == pytest.approx(50, abs=2)
    assert now["latency_ms"] == pytest.approx(0.5, abs=0.4)
    assert now["health"] != "NO DATA"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_cpp_emitter_compiles_and_runs(
    store: StoreProcess, app: httpx.AsyncClient, tmp_path: Path
) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("no cmake: the recorded bytes stand for the C++ emitter")
    build = tmp_path / "build"
    configured = subprocess.run(
        ["cmake", "-S", str(EMITTERS / "cpp"), "-B", str(build)], capture_output=True, text=True, timeout=120
    )
    if configured.returncode and "opentelemetry-cpp" in configured.stderr:
        pytest.skip(
            "no opentelemetry-cpp that CMake finds (CMAKE_PREFIX_PATH): the recorded bytes stand for it"
        )
    assert configured.returncode == 0, configured.stderr
    subprocess.run(["cmake", "--build", str(build)], check=True, capture_output=True, timeout=240)
    run(store, "camera", str(build / "emitter"), "4")
    await judged(app, "camera", "blur", "blur")


def test_the_cpp_emitter_uses_the_one_grid() -> None:
    latency = recording("cpp", 10**18).metrics()[signals.FRAME_LATENCY]
    assert {tuple(point.explicit_bounds) for point in latency.histogram.data_points} == {  # type: ignore[attr-defined]
        signals.HISTOGRAM_BOUNDS
    }


def test_the_cpp_emitter_is_short() -> None:
    assert len((EMITTERS / "cpp" / "emitter.cpp").read_text().splitlines()) < 150
