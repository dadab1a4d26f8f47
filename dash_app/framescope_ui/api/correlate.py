"""``/api/correlate``: what slow frames go along with, every signal at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query

from framescope_ui.api.asked import PipelineRange, pipeline_range
from framescope_ui.api.plain import plain
from framescope_ui.api.problems import BadParameter
from framescope_ui.questions.correlate import correlate
from framescope_ui.questions.correlate_views import Correlation
from framescope_ui.questions.stores import Stores

ONLY_DRAWN = ("latency", "slow_marks")
"""What the page draws beside the answer: ``/api/frames`` and ``/api/metrics/history`` have it."""


def correlate_routes(stores: Stores, clock_ns: Callable[[], int] = time.time_ns) -> APIRouter:
    """The one question."""
    router = APIRouter(tags=["correlate"])
    of = pipeline_range(stores, clock_ns, "a second; a minute is little already")

    @router.get("/api/correlate", summary="How much likelier slow frames are, by every signal")
    async def correlation(
        asked: PipelineRange = of,
        signal: Annotated[
            str | None, Query(description="name of the signal whose doses and lags are told as `chosen`")
        ] = None,
        stages: Annotated[
            str, Query(description="true: compare the times of stages too, which reads whole traces")
        ] = "false",
    ) -> dict[str, Any]:
        """Over all frames of the range, kept or not; of more than an hour of records the newest hour.

        Without `service` and `pipeline`: the first running pipeline. Associations, not causes.
        """
        if stages not in ("true", "false"):
            raise BadParameter("stages", f"stages: {stages[:40]!r} is not one of true, false")
        found = await correlate(
            stores,
            asked.service,
            asked.pipeline,
            asked.start,
            asked.end,
            signal,
            stages=stages == "true",
        )
        if signal is not None and (found.chosen is None or found.chosen.name != signal):
            names = ", ".join(one.name for one in found.signals) or "none"
            raise BadParameter("signal", f"signal: {signal[:80]!r} has no reading here; there are {names}")
        body = correlation_json(found)
        return body if signal is not None else body | {"chosen": None}

    return router


def correlation_json(found: Correlation) -> dict[str, Any]:
    """The answer as JSON; an end of an interval that the data did not set is null."""
    body: dict[str, Any] = plain(found)
    for name in ONLY_DRAWN:
        del body[name]
    return body
