"""What a question over a range is asked of, as a query names it: a pipeline, a start and an end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query

from framescope_ui.api.problems import BadParameter, NotFound
from framescope_ui.api.times import in_order, time_ns
from framescope_ui.questions.pipelines import chosen
from framescope_ui.questions.stores import NS, Stores

DEFAULT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class PipelineRange:
    """A pipeline, and a range ``[start, end)`` in unix s of at least a second."""

    service: str
    pipeline: str
    start: float
    end: float


def pipeline_range(stores: Stores, clock_ns: Callable[[], int], shortest: str = "a second") -> Any:
    """A route's parameter that reads it; ``shortest`` is what a range that is too short is told to be."""

    async def read(
        service: str | None = None,
        pipeline: str | None = None,
        start: Annotated[
            str | None, Query(description="unix seconds or RFC 3339; an hour before end")
        ] = None,
        end: Annotated[str | None, Query(description="the same, not included; now")] = None,
    ) -> PipelineRange:
        end_ns = time_ns("end", end)
        end_ns = clock_ns() if end_ns is None else end_ns
        start_ns = time_ns("start", start)
        start_ns = end_ns - DEFAULT_SECONDS * NS if start_ns is None else start_ns
        in_order(start_ns, end_ns)
        if end_ns - start_ns < NS:
            raise BadParameter("end", f"end: give a range of at least {shortest}")
        if service is None or pipeline is None:
            first = await chosen(stores, clock_ns(), service, pipeline)
            if first is None:
                raise NotFound("No pipeline fits: /api/pipelines lists those heard of in the last day.")
            service, pipeline = first.service, first.pipeline
        return PipelineRange(service, pipeline, start_ns / NS, end_ns / NS)

    return Depends(read)
