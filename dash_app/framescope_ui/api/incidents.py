"""``/api/incidents``: slow frames that belong together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query

from framescope_ui.api.plain import plain
from framescope_ui.api.problems import BadParameter, NotFound
from framescope_ui.api.times import in_order, time_ns
from framescope_ui.questions.incidents import incidents
from framescope_ui.questions.pipelines import chosen
from framescope_ui.questions.stores import NS, Stores

DEFAULT_SECONDS = 3600


def incidents_routes(stores: Stores, clock_ns: Callable[[], int] = time.time_ns) -> APIRouter:
    """The one question."""
    router = APIRouter(tags=["incidents"])

    @router.get("/api/incidents", summary="Storms of slow frames: when, why, what they cost")
    async def listed(
        service: str | None = None,
        pipeline: str | None = None,
        start: Annotated[
            str | None, Query(description="unix seconds or RFC 3339; an hour before end")
        ] = None,
        end: Annotated[str | None, Query(description="the same, not included; now")] = None,
    ) -> dict[str, Any]:
        """Newest first, over all frames of the range, kept or not; of more than an hour the newest.

        Without `service` and `pipeline`: the first running pipeline. A trigger came right before; that it was
        the cause is not said.
        """
        end_ns = time_ns("end", end)
        end_ns = clock_ns() if end_ns is None else end_ns
        start_ns = time_ns("start", start)
        start_ns = end_ns - DEFAULT_SECONDS * NS if start_ns is None else start_ns
        in_order(start_ns, end_ns)
        if end_ns - start_ns < NS:
            raise BadParameter("end", "end: give a range of at least a second")
        if service is None or pipeline is None:
            first = await chosen(stores, clock_ns(), service, pipeline)
            if first is None:
                raise NotFound("No pipeline fits: /api/pipelines lists those heard of in the last day.")
            service, pipeline = first.service, first.pipeline
        found = await incidents(stores, service, pipeline, start_ns / NS, end_ns / NS)
        body: dict[str, Any] = {"service": service, "pipeline": pipeline, **plain(found)}
        return body

    return router
