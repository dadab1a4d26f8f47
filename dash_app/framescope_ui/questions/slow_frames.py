"""Kept frames as a list, and all that the Slow frames page tells beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from framescope import signals
from framescope_ui.backends.protocols import FrameQuery, FrameRow
from framescope_ui.questions.every_frame import counted_causes, latencies, strip_of
from framescope_ui.questions.frame_groups import (
    Group,
    GroupedBy,
    groups_of,
    left_out,
    stage_groups,
)
from framescope_ui.questions.frame_item import item_of
from framescope_ui.questions.incidents import Incidents, incidents_of
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS, Stores, Troubles, seconds
from framescope_ui.questions.views import EveryFrame, FramesPage

MOST_READ: Final = 1000
"""Kept frames looked at for one page of those with an attribute or a latency: as many as a store gives at
once. What they leave out follows with the next page."""
MOST_STEPS: Final = 300
"""Of a range in which the keep budget's counter is asked for."""
KEEP_BUDGET: Final = "keep_budget"
"""The reason of ``framescope.frames.lost`` for frames that were one too many to be kept whole."""
SAME_NS: Final = 2_000
"""A record tells when a frame was due in whole µs; ids begin again with the host."""

Fits = Callable[[FrameRow], bool]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a store is not asked for, and is picked from what it answers.

    ``cohort`` is the name and value of a content attribute, ``below_ns`` a latency that frames stay under.
    """

    cohort: tuple[str, str] | None = None
    below_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SlowFrames:
    """All that the page shows. ``every`` and ``counts`` are of all frames of the range, kept or not, or of
    those of the cohort; ``page`` of the kept ones. ``not_kept``: frames that should have been kept whole and
    were one too many for the keep budget, None where nobody tells. ``marks``: change markers, time and text.
    ``missing``: in sentences."""

    page: FramesPage
    every: EveryFrame
    counts: Sequence[tuple[str, int]]
    incidents: Incidents
    groups: Sequence[Group] = ()
    not_kept: float | None = None
    marks: Sequence[tuple[float, str]] = ()
    missing: Sequence[str] = ()


async def slow_frames(stores: Stores, query: FrameQuery, narrowed: Narrowed | None = None) -> FramesPage:
    """One page of kept frames that fit the query. Raises ``BackendError``.

    For a cohort the query names service, pipeline and range: which frames are of it, the records tell.
    """
    narrowed = narrowed or Narrowed()
    frames: Latencies | None = None
    if narrowed.cohort is not None:
        if query.service is None or query.pipeline is None or query.start_ns is None or query.end_ns is None:
            raise ValueError("a cohort is looked for in one pipeline and range")
        frames, _ = await latencies(
            stores, query.service, query.pipeline, query.start_ns, query.end_ns, attributes=True
        )
    return await _page(stores, query, _fits(narrowed, frames))


async def slow_frames_overview(
    stores: Stores,
    service: str,
    pipeline: str,
    query: FrameQuery,
    narrowed: Narrowed | None = None,
    group: GroupedBy | None = None,
) -> SlowFrames:
    """The page of kept frames, and what all frames of the range tell. The query names the range. Raises
    ``BackendError`` where the trace store does not answer; what the metric store does not is said."""
    narrowed = narrowed or Narrowed()
    start_ns, end_ns = query.start_ns or 0, query.end_ns or 0
    with_attributes = narrowed.cohort is not None or group == "attribute"
    troubles, of_marks = Troubles(), Troubles()

    async def told() -> tuple[Latencies, int | None, Incidents]:
        frames, cut_ns = await latencies(
            stores, service, pipeline, start_ns, end_ns, attributes=with_attributes
        )
        return frames, cut_ns, await incidents_of(stores, service, pipeline, frames, start_ns, end_ns, cut_ns)

    async def listed() -> FramesPage | None:
        return await _page(stores, query, _fits(narrowed, None)) if narrowed.cohort is None else None

    (frames, cut_ns, found), page, not_kept, marks = await asyncio.gather(
        told(),
        listed(),
        troubles.answer_or(_not_kept(stores, service, pipeline, start_ns, end_ns), None),
        of_marks.answer_or(stores.traces.marks(service, start_ns, end_ns), []),
    )
    if page is None:
        page = await _page(stores, query, _fits(narrowed, frames))
    missing = [
        f"Whether frames were too many for the keep budget is not known: {error.backend} does not answer "
        f"({error.reason})."
        for error in troubles.all
    ]
    missing += [
        f"Change markers are not known: {error.backend} does not answer ({error.reason})."
        for error in of_marks.all
    ]
    of_these = of_cohort(frames, narrowed.cohort) if narrowed.cohort is not None else frames
    groups: Sequence[Group] = ()
    if group == "stage":
        groups, said = await stage_groups(stores, query)
        missing += said
    elif group is not None:
        groups = await asyncio.to_thread(groups_of, of_these, group)
        missing += left_out(of_these) if group == "attribute" else []
    return SlowFrames(
        page=page,
        every=strip_of(of_these, cut_ns),
        counts=counted_causes(of_these),
        incidents=found,
        groups=groups,
        not_kept=not_kept,
        marks=[(seconds(mark.time_ns), mark.text) for mark in marks],
        missing=missing,
    )


def of_cohort(frames: Latencies, cohort: tuple[str, str]) -> Latencies:
    """The frames whose content attribute of this name has this value."""
    name, value = cohort
    texts = frames.attributes.get(name)
    if texts is None or value not in texts.names:
        return frames.only(np.zeros(len(frames), np.bool_))
    return frames.only(texts.place == list(texts.names).index(value))


def _fits(narrowed: Narrowed, frames: Latencies | None) -> Fits | None:
    tests: list[Fits] = []
    if narrowed.cohort is not None and frames is not None:
        due = _due_by_id(of_cohort(frames, narrowed.cohort))
        tests.append(lambda row: _known(due, row))
    if (below := narrowed.below_ns) is not None:
        tests.append(lambda row: row.latency_ns < below)
    return (lambda row: all(test(row) for test in tests)) if tests else None


def _due_by_id(frames: Latencies) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number, due in zip(frames.frame_id.tolist(), frames.due_ns.tolist(), strict=True):
        found.setdefault(number, []).append(due)
    return found


def _known(due: Mapping[int, Sequence[int]], row: FrameRow) -> bool:
    number = row.attributes.get(signals.FRAME_ID)
    return isinstance(number, int) and any(abs(row.start_ns - one) < SAME_NS for one in due.get(number, ()))


async def _page(stores: Stores, query: FrameQuery, fits: Fits | None) -> FramesPage:
    if fits is None:
        page = await stores.traces.frames(query)
        return FramesPage([item_of(row) for row in page.frames], page.next_cursor, page.total)
    rows: list[FrameRow] = []
    looked_at = 0
    while True:
        page = await stores.traces.frames(query)
        rows += [row for row in page.frames if fits(row)]
        looked_at += len(page.frames)
        enough = len(rows) >= query.limit or looked_at >= MOST_READ
        if page.next_cursor is None or enough:
            return FramesPage([item_of(row) for row in rows], page.next_cursor)
        query = replace(query, cursor=page.next_cursor)


async def _not_kept(stores: Stores, service: str, pipeline: str, start_ns: int, end_ns: int) -> float | None:
    step_ns = max(10 * NS, (end_ns - start_ns) // MOST_STEPS)
    found = await stores.metrics.increase(
        signals.FS_FRAMES_LOST, {signals.SERVICE_NAME: service}, start_ns, end_ns, step_ns
    )
    mine = [
        one
        for one in found
        if one.attributes.get(signals.REASON) == KEEP_BUDGET
        and one.attributes.get(signals.FRAME_PIPELINE, pipeline) == pipeline
    ]
    return sum(sum(one.values) for one in mine) if found else None
