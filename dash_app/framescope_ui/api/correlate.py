"""``/api/correlate``: what slow frames go along with, every signal at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query

from framescope_ui.api.plain import plain
from framescope_ui.api.problems import BadParameter, NotFound
from framescope_ui.api.times import in_order, time_ns
from framescope_ui.questions.correlate import correlate
from framescope_ui.questions.correlate_views import Correlation
from framescope_ui.questions.pipelines import chosen
from framescope_ui.questions.stores import NS, Stores

DEFAULT_SECONDS = 3600
ONLY_DRAWN = ("latency", "slow_marks")
"""What the page draws beside the answer: ``/api/frames`` and ``/api/metrics/history`` have it."""


def correlate_routes(stores: Stores, clock_ns: Callable[[], int] = time.time_ns) -> APIRouter:
    """The one question."""
    router = APIRouter(tags=["correlate"])

    @router.get("/api/correlate", summary="How much likelier slow frames are, by every signal")
    async def correlation(
        service: str | None = None,
        pipeline: str | None = None,
        start: Annotated[
            str | None, Query(description="unix seconds or RFC 3339; an hour before end")
        ] = None,
        end: Annotated[str | None, Query(description="the same, not included; now")] = None,
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
        end_ns = time_ns("end", end)
        end_ns = clock_ns() if end_ns is None else end_ns
        start_ns = time_ns("start", start)
        start_ns = end_ns - DEFAULT_SECONDS * NS if start_ns is None else start_ns
        in_order(start_ns, end_ns)
        if end_ns - start_ns < NS:
            raise BadParameter("end", "end: give a range of at least a second; a minute is little already")
        if stages not in ("true", "false"):
            raise BadParameter("stages", f"stages: {stages[:40]!r} is not one of true, false")
        if service is None or pipeline is None:
            first = await chosen(stores, clock_ns(), service, pipeline)
            if first is None:
                raise NotFound("No pipeline fits: /api/pipelines lists those heard of in the last day.")
            service, pipeline = first.service, first.pipeline
        found = await correlate(
            stores, service, pipeline, start_ns / NS, end_ns / NS, signal, stages=stages == "true"
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
