"""``/api/incidents``: slow frames that belong together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from framescope_ui.api.asked import PipelineRange, pipeline_range
from framescope_ui.api.plain import plain
from framescope_ui.questions.incidents import incidents
from framescope_ui.questions.stores import Stores


def incidents_routes(stores: Stores, clock_ns: Callable[[], int] = time.time_ns) -> APIRouter:
    """The one question."""
    router = APIRouter(tags=["incidents"])
    of = pipeline_range(stores, clock_ns)

    @router.get("/api/incidents", summary="Storms of slow frames: when, why, what they cost")
    async def listed(asked: PipelineRange = of) -> dict[str, Any]:
        """Newest first, over all frames of the range, kept or not; of more than an hour the newest.

        Without `service` and `pipeline`: the first running pipeline. A trigger came right before; that it was
        the cause is not said.
        """
        found = await incidents(stores, asked.service, asked.pipeline, asked.start, asked.end)
        body: dict[str, Any] = {"service": asked.service, "pipeline": asked.pipeline, **plain(found)}
        return body

    return router
