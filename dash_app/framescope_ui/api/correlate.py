"""``/api/correlate``: what slow frames go along with, every signal at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query

from framescope.signals import CAUSES
from framescope_ui.api.asked import PipelineRange, pipeline_range
from framescope_ui.api.plain import plain
from framescope_ui.api.problems import BadParameter
from framescope_ui.api.times import time_ns
from framescope_ui.pages.viewer import cohort_of, frames_of, latencies_of, within_of
from framescope_ui.questions.correlate import correlate
from framescope_ui.questions.correlate_views import Correlation, Selection
from framescope_ui.questions.stores import NS, Stores

Read = TypeVar("Read")
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
        cause: Annotated[
            str | None, Query(description="only frames slow by this cause count as slow, e.g. gpu_contention")
        ] = None,
        latency_ms: Annotated[
            str | None, Query(description="only frames that took this long count as slow: least-greatest")
        ] = None,
        cohort: Annotated[
            str | None, Query(description="only frames with this content attribute: name=value")
        ] = None,
        within: Annotated[
            str | None,
            Query(description="only frames while this signal lay between two values: name:low:high"),
        ] = None,
        frames: Annotated[
            str | None,
            Query(description="only these frames are meant: up to 50 trace ids, points between them"),
        ] = None,
        than_start: Annotated[
            str | None, Query(description="start of another range to compare with, with than_end")
        ] = None,
        than_end: Annotated[str | None, Query(description="its end, not included")] = None,
    ) -> dict[str, Any]:
        """Over all frames of the range, kept or not; of more than an hour of records the newest hour.

        Without `service` and `pipeline`: the first running pipeline. Associations, not causes.
        """
        selection = selected(cause, latency_ms, cohort, within, frames)
        than = other_range(than_start, than_end)
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
            selection=selection,
            than=than,
        )
        if signal is not None and (found.chosen is None or found.chosen.name != signal):
            names = ", ".join(one.name for one in found.signals) or "none"
            raise BadParameter("signal", f"signal: {signal[:80]!r} has no reading here; there are {names}")
        body = correlation_json(found)
        return body if signal is not None else body | {"chosen": None}

    return router


def selected(
    cause: str | None,
    latency_ms: str | None,
    cohort: str | None,
    within: str | None,
    frames: str | None = None,
) -> Selection:
    """Which frames are meant. Raises ``BadParameter`` where that cannot be read."""
    if cause is not None and cause not in CAUSES:
        raise BadParameter("cause", f"cause: {cause[:40]!r} is not one of {', '.join(CAUSES)}")

    def read(name: str, text: str | None, by: Callable[[str], Read | None], form: str) -> Read | None:
        found = None if text is None else by(text)
        if text is not None and found is None:
            raise BadParameter(name, f"{name}: {text[:80]!r} is not of the form {form}")
        return found

    ms = read("latency_ms", latency_ms, latencies_of, "least-greatest, such as 12-30")
    return Selection(
        cause,
        None if ms is None else (ms[0] / 1e3, ms[1] / 1e3),
        read("cohort", cohort, cohort_of, "name=value"),
        read("within", within, within_of, "name:low:high"),
        read("frames", frames, lambda text: frames_of(text) or None, "trace id.trace id") or (),
    )


def other_range(start: str | None, end: str | None) -> tuple[float, float] | None:
    """The range to compare with, unix seconds; None where none was asked for. Raises ``BadParameter``."""
    start_ns, end_ns = time_ns("than_start", start), time_ns("than_end", end)
    if start_ns is None and end_ns is None:
        return None
    if start_ns is None or end_ns is None:
        missing = "than_start" if start_ns is None else "than_end"
        raise BadParameter(missing, f"{missing}: give both ends of the other range")
    if end_ns - start_ns < NS:
        raise BadParameter("than_end", "than_end: give a range of at least a second after than_start")
    return start_ns / NS, end_ns / NS


def correlation_json(found: Correlation) -> dict[str, Any]:
    """The answer as JSON; an end of an interval that the data did not set is null."""
    body: dict[str, Any] = plain(found)
    for name in ONLY_DRAWN:
        del body[name]
    return body
