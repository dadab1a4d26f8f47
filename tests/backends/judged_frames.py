"""What an emitter that leaves the judgement to the app must reach, asked of the app's own interface."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

PLANNED = {39, 79, 119, 159, 199}
"""The frames of four seconds that the examples give far more work than the others."""


async def told(app: httpx.AsyncClient, path: str, **asked: Any) -> Any:
    answer = await app.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def judged(app: httpx.AsyncClient, service: str, pipeline: str, heavy: str) -> list[str]:
    """What every emitter must reach: found as a pipeline, its slow frames listed, each one accounted for.

    Answers their causes. A busy machine can hold a frame up by more than its own work; nothing these
    emitters read tells of that, so the cause of such a frame is unknown, and its work a part of it.
    """
    pipelines = (await told(app, "/api/pipelines"))["pipelines"]
    assert (service, pipeline) in [(one["service"], one["pipeline"]) for one in pipelines]
    listed = (await told(app, "/api/frames", service=service, pipeline=pipeline, outcome="slow"))["frames"]
    planned = {frame["frame_id"]: frame for frame in listed if frame["frame_id"] % 40 == 39}
    assert planned.keys() >= PLANNED
    causes = []
    for frame in planned.values():
        view = await told(app, f"/api/frames/{frame['trace_id']}")
        verdict = view["verdict"]
        assert [stage["name"] for stage in view["stages"]] == ["read", heavy]
        assert view["outcome"] == "slow"
        assert view["stage"] == heavy
        assert 0 < verdict["expected_seconds"] < view["budget_seconds"]
        assert verdict["lost_seconds"] == pytest.approx(
            view["latency_seconds"] - verdict["expected_seconds"], abs=1e-9
        )
        by_cause = {(share["cause"], share["stage"]): share["lost_seconds"] for share in verdict["shares"]}
        assert sum(by_cause.values()) == pytest.approx(verdict["lost_seconds"], abs=1e-9)
        assert by_cause["cpu_work", heavy] > 0.005
        causes.append(verdict["cause"])
        assert view["neighbours"] is not None
    return causes
