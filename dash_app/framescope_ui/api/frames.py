"""``/api/frames``: kept frames as a list, and one frame whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Query
from fastapi.responses import Response

from framescope.signals import CAUSES, OUTCOMES
from framescope_ui.api.frame_forms import FORMS, comparison_json, formed, note_of
from framescope_ui.api.plain import ITEM_FIELDS, item_json
from framescope_ui.api.problems import BadParameter, NotFound
from framescope_ui.api.table import csv_response, wants_csv
from framescope_ui.api.times import in_order, time_ns
from framescope_ui.api.trace_ids import trace_id_of
from framescope_ui.backends.protocols import FrameQuery
from framescope_ui.frame_views import FrameViews
from framescope_ui.pages.viewer import cohort_of, latencies_of
from framescope_ui.questions.frame_compare import compared
from framescope_ui.questions.slow_frames import Narrowed, slow_frames
from framescope_ui.questions.stores import Stores
from framescope_ui.questions.views import FrameView

MOST_FRAMES = 1000
EXPECTED = "expected"


def frames_routes(stores: Stores, frames: FrameViews) -> APIRouter:
    """The list and the single frame."""
    router = APIRouter(prefix="/api/frames", tags=["frames"])

    @router.get("", summary="Kept frames that fit, newest or longest first")
    async def listed(
        service: str | None = None,
        pipeline: str | None = None,
        outcome: Annotated[
            list[str] | None, Query(description="on_time, slow, dropped, failed; several")
        ] = None,
        cause: Annotated[list[str] | None, Query(description="names of causes; several")] = None,
        stage: Annotated[str | None, Query(description="the stage that lost most")] = None,
        start: Annotated[str | None, Query(description="unix seconds or RFC 3339")] = None,
        end: Annotated[str | None, Query(description="the same; not included")] = None,
        latency_ms: Annotated[
            str | None, Query(description="least and greatest latency, 12-30; the greatest not included")
        ] = None,
        cohort: Annotated[
            str | None,
            Query(description="name=value of a content attribute; with service, pipeline, start and end"),
        ] = None,
        order: Annotated[str, Query(description="time (newest first) or duration (longest first)")] = "time",
        limit: Annotated[str, Query(description=f"1 to {MOST_FRAMES}")] = "100",
        cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
        format: Annotated[str, Query(description="json or csv")] = "json",
    ) -> Any:
        """Without `outcome`, frames of every outcome that were kept; without a range, all of them.

        As CSV the next cursor is in the header `X-Next-Cursor`.
        """
        as_csv = wants_csv(format)
        start_ns, end_ns = time_ns("start", start), time_ns("end", end)
        in_order(start_ns, end_ns)
        latencies = _latencies(latency_ms)
        query = FrameQuery(
            service=service,
            pipeline=pipeline,
            start_ns=start_ns,
            end_ns=end_ns,
            outcomes=_known("outcome", outcome, OUTCOMES),
            causes=_known("cause", cause, CAUSES),
            stage=stage,
            min_latency_ns=None if latencies is None else int(latencies[0] * 1e6),
            order=cast(Literal["duration", "time"], _known("order", [order], ("time", "duration"))[0]),
            limit=_limit(limit),
            cursor=cursor or None,
        )
        try:
            page = await slow_frames(stores, query, _narrowed(query, cohort, latencies))
        except ValueError as error:
            if query.cursor is None:
                raise
            raise BadParameter("cursor", "cursor: give next_cursor of the page before, unchanged") from error
        if as_csv:
            following = {"X-Next-Cursor": page.next_cursor} if page.next_cursor else None
            rows = [item_json(item) for item in page.frames]
            return csv_response(rows, ITEM_FIELDS, "framescope-frames.csv", following)
        return {"frames": [item_json(item) for item in page.frames], "next_cursor": page.next_cursor}

    @router.get("/{trace_id}", summary="One frame: stages, evidence, verdict, what was around it")
    async def single(
        trace_id: str,
        format: Annotated[str, Query(description="json, markdown, html (one file) or perfetto")] = "json",
    ) -> Response:
        """Offsets of stages are s from the frame's due time; `series` are raw readings around it.

        While the store is away, the files are made of what it last said, and say so; JSON is refused.
        """
        wanted = trace_id_of(trace_id)
        form = _known("format", [format], FORMS)[0]
        found = _found(wanted, await (frames.asked(wanted) if form == "json" else frames.shown(wanted)))
        return formed(found, form, await note_of(frames, wanted))

    @router.get("/{trace_id}/comparison", summary="One frame beside another, or beside the expected one")
    async def comparison(
        trace_id: str,
        other: Annotated[str, Query(alias="with", description="a trace id, or expected")] = EXPECTED,
    ) -> dict[str, Any]:
        """Stages and readings, the largest difference first; `difference` is this one less the other."""
        wanted = trace_id_of(trace_id)
        second = None if other == EXPECTED else trace_id_of(other, "with")
        this = _found(wanted, await frames.asked(wanted))
        if second is None:
            return comparison_json(compared(this, None))
        return comparison_json(compared(this, _found(second, await frames.asked(second))))

    return router


def _found(trace_id: str, view: FrameView | None) -> FrameView:
    if view is None:
        raise NotFound(
            f"No trace {trace_id} is stored: it was not kept, or is older than what the store retains. "
            "/api/frames lists the frames there are."
        )
    return view


def _known(name: str, values: Sequence[str] | None, known: Iterable[str]) -> tuple[str, ...]:
    """The values, each one known; commas separate too."""
    split = [part for value in values or () for part in value.split(",") if part]
    for value in split:
        if value not in known:
            raise BadParameter(name, f"{name}: {value[:40]!r} is not one of {', '.join(known)}")
    if name in ("order", "format") and len(split) != 1:
        raise BadParameter(name, f"{name}: give one of {', '.join(known)}")
    return tuple(dict.fromkeys(split))


def _latencies(text: str | None) -> tuple[float, float] | None:
    if not text:
        return None
    found = latencies_of(text)
    if found is None:
        raise BadParameter(
            "latency_ms", f"latency_ms: {text[:40]!r} is not two numbers of ms, the lesser first: 12-30.5"
        )
    return found


def _narrowed(query: FrameQuery, cohort: str | None, latencies: tuple[float, float] | None) -> Narrowed:
    chosen = cohort_of(cohort)
    if cohort and chosen is None:
        raise BadParameter("cohort", f"cohort: {cohort[:80]!r} is not name=value of a content attribute")
    if chosen is not None:
        for name in ("service", "pipeline", "start", "end"):
            if getattr(query, f"{name}_ns" if name in ("start", "end") else name) is None:
                raise BadParameter(name, f"{name}: give it, a cohort is looked for in one pipeline and range")
    return Narrowed(chosen, None if latencies is None else int(latencies[1] * 1e6))


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= MOST_FRAMES:
        raise BadParameter("limit", f"limit: give a whole number from 1 to {MOST_FRAMES}")
    return int(text)
