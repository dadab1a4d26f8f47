"""What the C++ emitter once sent, through the real Collector: listed and judged on both stacks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from app import App
from judged_frames import PLANNED, judged
from programs import until
from recorded_emission import recording
from stacks import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture(params=["prometheus_tempo", "victoria_jaeger"])
def stack(request: pytest.FixtureRequest) -> Stack:
    running: Stack = request.getfixturevalue(request.param)
    return running


@pytest.fixture
def app(stack: Stack, tmp_path: Path) -> Iterator[App]:
    running = App(tmp_path, stack.read_from)
    running.start()
    yield running
    running.kill()


async def test_the_cpp_emitter_is_listed_and_judged(stack: Stack, app: App) -> None:
    recording("cpp", time.time_ns()).send(stack.collector.otlp_http)

    lately: list[dict[str, Any]] = []

    def arrived() -> bool:
        # The numbers of Live are of the last ten seconds: a search may take longer to find the frames.
        now = app.get("/api/metrics/latest?service=camera&pipeline=blur")
        if now is not None and now["latency_ms"] is not None:
            lately.append(now)
        kept = app.get("/api/frames?service=camera&limit=200")
        outcomes = [(frame["frame_id"], frame["outcome"]) for frame in (kept or {}).get("frames", [])]
        slow = {number for number, outcome in outcomes if outcome == "slow"}
        return bool(lately) and slow >= PLANNED and len(outcomes) >= len(PLANNED) + 20

    until(arrived, "the frames", 60, 0.5)
    async with httpx.AsyncClient(base_url=app.url, timeout=30, trust_env=False) as client:
        assert set(await judged(client, "camera", "blur", "blur")) == {"cpu_work"}
    now = lately[-1]
    assert now["fps_out"] == pytest.approx(50, abs=5)
    assert now["latency_ms"] == pytest.approx(0.5, abs=0.4)
