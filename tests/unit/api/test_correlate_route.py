"""``/api/correlate``: what it answers, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from memory_stores import away
from scene import NOW_NS, NS, PIPELINE, SERVICE, Scene, scene
from test_rest import app_of, problem_of, strict

NOW = NOW_NS / NS
SIGNAL = {
    "name", "unit", "risk_ratio", "interval", "threshold", "n_above", "n_below", "lag_seconds",
    "lag_step_seconds", "p_adjusted", "claimed",
}  # fmt: skip


@pytest.fixture
def made() -> Scene:
    return scene(120)


@pytest.fixture
async def client(made: Scene) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app_of(made), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        yield client


async def test_every_signal_is_told_with_what_the_contract_names(
    client: httpx.AsyncClient, made: Scene
) -> None:
    body = strict(await client.get("/api/correlate", params={"service": SERVICE, "pipeline": PIPELINE}))
    assert body["frames"] == made.frames and body["slow"] == made.slow
    assert {one["name"] for one in body["signals"]} >= {"hw.gpu.utilization/0", "frame.queue.depth/RT"}
    for one in body["signals"]:
        assert one.keys() >= SIGNAL
        assert isinstance(one["claimed"], bool)
        assert one["interval"] is None or len(one["interval"]) == 2
    assert "latency" not in body and "slow_marks" not in body


async def test_without_names_the_first_running_pipeline_is_meant(client: httpx.AsyncClient) -> None:
    body = strict(await client.get("/api/correlate"))
    assert (body["service"], body["pipeline"]) == (SERVICE, PIPELINE)
    assert body["end"] - body["start"] == 3600


async def test_the_range_and_the_signal_are_those_asked_for(client: httpx.AsyncClient) -> None:
    asked = {"start": str(NOW - 60), "end": str(NOW), "signal": "hw.gpu.utilization/0", "stages": "true"}
    body = strict(await client.get("/api/correlate", params=asked))
    assert (body["start"], body["end"]) == (NOW - 60, NOW)
    assert body["chosen"]["name"] == "hw.gpu.utilization/0"


@pytest.mark.parametrize(
    ("asked", "parameter", "says"),
    [
        ({"start": "yesterday"}, "start", "is not a time"),
        ({"start": str(NOW), "end": str(NOW - 5)}, "end", "swap them"),
        ({"start": str(NOW - 0.5), "end": str(NOW)}, "end", "at least a second"),
        ({"signal": "hw.nothing"}, "signal", "frame.queue.depth/RT"),
        ({"stages": "yes"}, "stages", "true, false"),
        ({"cause": "magic"}, "cause", "gpu_contention"),
        ({"latency_ms": "30-12"}, "latency_ms", "least-greatest"),
        ({"cohort": "mode"}, "cohort", "name=value"),
        ({"within": "hw.power:1"}, "within", "name:low:high"),
        ({"within": "hw.power/0:9:1"}, "within", "name:low:high"),
        ({"frames": "17"}, "frames", "trace id.trace id"),
        ({"than_start": str(NOW)}, "than_end", "both ends"),
        ({"than_end": str(NOW)}, "than_start", "both ends"),
        ({"than_start": "noon", "than_end": str(NOW)}, "than_start", "is not a time"),
        ({"than_start": str(NOW), "than_end": str(NOW)}, "than_end", "after than_start"),
    ],
)
async def test_what_cannot_be_understood_is_the_callers_fault_and_named(
    client: httpx.AsyncClient, asked: dict[str, str], parameter: str, says: str
) -> None:
    problem = problem_of(await client.get("/api/correlate", params=asked), 400)
    assert problem["parameter"] == parameter and says in problem["detail"]


async def test_a_selection_and_another_range_are_honoured_and_told(
    client: httpx.AsyncClient, made: Scene
) -> None:
    asked = {
        "service": SERVICE,
        "pipeline": PIPELINE,
        "start": str(NOW - 60),
        "end": str(NOW),
        "cause": "gpu_contention",
        "latency_ms": "20-40",
        "than_start": str(NOW - 120),
        "than_end": str(NOW - 60),
    }
    body = strict(await client.get("/api/correlate", params=asked))
    assert body["selection"] == {
        "cause": "gpu_contention",
        "latency": [0.02, 0.04],
        "cohort": None,
        "within": None,
        "frames": [],
    }
    assert body["slow"] == made.slow // 2
    (change,) = [one for one in body["changes"] if one["kind"] == "ranges"]
    assert change["before"] == [NOW - 120, NOW - 60] and change["after"] == [NOW - 60, NOW]
    other = strict(await client.get("/api/correlate", params={**asked, "cause": "gc_pause"}))
    assert other["slow"] == 0
    nobody = strict(await client.get("/api/correlate", params={**asked, "cohort": "mode=doppler"}))
    assert nobody["frames"] == 0 and any("mode = doppler" in text for text in nobody["missing"])


async def test_an_unknown_pipeline_is_not_found(client: httpx.AsyncClient) -> None:
    problem = problem_of(await client.get("/api/correlate", params={"service": "nobody"}), 404)
    assert "/api/pipelines" in problem["detail"]


async def test_a_trace_store_that_is_away_is_named(client: httpx.AsyncClient, made: Scene) -> None:
    made.traces.error = away("tempo")
    asked = {"service": SERVICE, "pipeline": PIPELINE}
    problem = problem_of(await client.get("/api/correlate", params=asked), 504)
    assert problem["backend"] == "tempo"


async def test_a_metric_store_that_is_away_leaves_what_the_records_tell(
    client: httpx.AsyncClient, made: Scene
) -> None:
    made.metrics.error = away("prometheus")
    body = strict(await client.get("/api/correlate", params={"service": SERVICE, "pipeline": PIPELINE}))
    assert [one["name"] for one in body["signals"]] == ["frame.queue.depth/RT"]
    assert any("prometheus" in text for text in body["missing"])


async def test_an_empty_range_is_an_empty_answer(client: httpx.AsyncClient) -> None:
    asked = {"service": SERVICE, "pipeline": PIPELINE, "start": "1700000000", "end": "1700000060"}
    body = strict(await client.get("/api/correlate", params=asked))
    assert body["frames"] == 0 and body["signals"] == [] and body["chosen"] is None
    json.dumps(body, allow_nan=False)
