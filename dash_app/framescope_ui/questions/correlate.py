"""What slow frames go along with: over all frames of a range, so that no sampling distorts it.

This asks the stores; ``correlate_answer`` is the answer from what they said. What each number means:
docs/correlate.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from framescope import signals
from framescope_ui.backends.protocols import FramePage, FrameQuery, FrameRow, Series, Trace
from framescope_ui.questions.correlate_answer import ALL_FRAMES, Answers, OtherRange, correlated
from framescope_ui.questions.correlate_apart import ON_TIME_A_SLICE, SLICES, SLOW_A_SLICE, TRACES_A_SIDE
from framescope_ui.questions.correlate_signals import COUNTER_STEP_NS, COUNTERS, GAUGES
from framescope_ui.questions.correlate_views import Correlation, Selection
from framescope_ui.questions.every_frame import MOST_RECORDS, latencies
from framescope_ui.questions.latencies import Latencies, unpacked
from framescope_ui.questions.stores import NS, Stores, Troubles, seconds

MOST_READINGS = 50_000
"""Readings of one series: an hour and more at 10 Hz."""

LONGEST_NS = 86_400 * NS
"""Of a longer range the newest day is answered: everything is counted in steps of 0.1 s, with frames in them
or without, and a range may be asked for that begins in 1970."""

KEEP_BUDGET = "keep_budget"
LOST_STEPS = 360
"""Steps in which frames that were turned away are asked for: a server needs a few readings in each."""
AT_ONCE = 16
"""Traces asked for at the same time."""


async def correlate(
    stores: Stores,
    service: str,
    pipeline: str,
    start: float,
    end: float,
    signal: str | None = None,
    stages: bool = False,
    selection: Selection = ALL_FRAMES,
    than: tuple[float, float] | None = None,
) -> Correlation:
    """The whole page for frames due in ``[start, end)`` unix seconds. ``signal`` is the one looked at
    closely.

    ``stages``: whether the times of stages are compared too, for which some whole traces are read, each a
    question to the store. ``selection``: which frames are meant. ``than``: another range to compare with.
    Of a range of more than a day, or of more than an hour of records, the newest part is answered;
    ``cut_before`` says from when. Raises ``BackendError`` where the trace store does not answer for all
    frames; whatever else is not answered is named in ``missing``.
    """
    asked_ns, end_ns = int(start * NS), int(end * NS)
    start_ns = max(asked_ns, end_ns - LONGEST_NS)

    def every(since_ns: int, until_ns: int) -> Awaitable[tuple[Latencies, int | None]]:
        return latencies(stores, service, pipeline, since_ns, until_ns, attributes=True)

    async def others(since_ns: int) -> Answers:
        return await _asked(stores, service, pipeline, since_ns, end_ns, stages, selection)

    other = asyncio.ensure_future(_other(every, than))
    try:
        if end_ns - start_ns <= MOST_RECORDS * NS:
            (frames, cut_ns), answers = await asyncio.gather(every(start_ns, end_ns), others(start_ns))
        else:
            # What is left of it is not known before the records are there.
            frames, cut_ns = await every(start_ns, end_ns)
            answers = await others(start_ns if cut_ns is None else cut_ns)
        answers = replace(answers, frames=frames)
        begin_ns = start_ns if cut_ns is None else cut_ns
        made = await asyncio.to_thread(
            correlated, answers, service, pipeline, begin_ns, end_ns, signal, selection, await other
        )
    finally:
        other.cancel()
    return replace(made, cut_before=seconds(begin_ns) if begin_ns > asked_ns else None)


async def _other(
    every: Callable[[int, int], Awaitable[tuple[Latencies, int | None]]], than: tuple[float, float] | None
) -> OtherRange | None:
    if than is None:
        return None
    end_ns = int(than[1] * NS)
    start_ns = max(int(than[0] * NS), end_ns - LONGEST_NS)
    frames, cut_ns = await every(start_ns, end_ns)
    return OtherRange(start_ns if cut_ns is None else cut_ns, end_ns, frames)


async def _asked(
    stores: Stores,
    service: str,
    pipeline: str,
    start_ns: int,
    end_ns: int,
    stages: bool,
    selection: Selection,
) -> Answers:
    troubles = Troubles()
    of_service = {signals.SERVICE_NAME: service}
    of_pipeline = {**of_service, signals.FRAME_PIPELINE: pipeline}
    metrics, traces = stores.metrics, stores.traces

    def where(name: str) -> Mapping[str, str]:
        return of_pipeline if signals.FRAME_PIPELINE in signals.METRICS[name].attributes else of_service

    async def each(questions: Mapping[str, Awaitable[list[Series]]]) -> dict[str, list[Series]]:
        found = await asyncio.gather(*(troubles.answer_or(q, []) for q in questions.values()))
        return dict(zip(questions, found, strict=True))

    async def kept() -> tuple[list[FrameRow], dict[str, Trace], list[FrameRow]]:
        step = (end_ns - start_ns) // SLICES
        least = None if selection.latency is None else int(selection.latency[0] * NS)
        # Of those on time only the fair sample: neighbours and late ones come in heaps where frames are slow.
        asked_of: tuple[tuple[str, int, tuple[str, ...], int | None, tuple[str, ...]], ...] = (
            ("slow", SLOW_A_SLICE, (selection.cause,) if selection.cause else (), least, ()),
            ("on_time", ON_TIME_A_SLICE, (), None, ("baseline",)),
        )
        if selection.frames:
            asked_of = asked_of[1:]
        picked = await _each_trace(stores, troubles, selection.frames)
        pages = await asyncio.gather(
            *(
                troubles.answer_or(
                    traces.frames(
                        FrameQuery(
                            service,
                            pipeline,
                            start_ns + place * step,
                            start_ns + (place + 1) * step,
                            outcomes=(outcome,),
                            causes=causes,
                            min_latency_ns=least_ns,
                            limit=limit,
                            kept=why,
                        )
                    ),
                    FramePage(()),
                )
                for place in range(SLICES)
                for outcome, limit, causes, least_ns, why in asked_of
            ),
        )
        rows = list({row.trace_id: row for page in pages for row in page.frames}.values())
        chosen = [row for trace in picked.values() for row in _rows_of(trace, service, pipeline)]
        traces_too = await _traces(stores, troubles, rows) if stages else {}
        return [*rows, *chosen], {**traces_too, **(picked if stages else {})}, chosen

    asked = (*GAUGES, signals.FS_GPU_PROCESS_UTILIZATION, signals.FS_CLOCK_ERROR)
    (rows, whole, picked), marks, gauges, counters, lost = await asyncio.gather(
        kept(),
        troubles.answer_or(traces.marks(service, start_ns, end_ns), []),
        each({m: metrics.gauge(m, where(m), start_ns, end_ns + NS, MOST_READINGS) for m in asked}),
        each({m: metrics.increase(m, where(m), start_ns, end_ns, COUNTER_STEP_NS) for m in COUNTERS}),
        troubles.answer_or(
            metrics.increase(
                signals.FS_FRAMES_LOST,
                {**of_pipeline, signals.REASON: KEEP_BUDGET},
                start_ns,
                end_ns,
                max((end_ns - start_ns) // LOST_STEPS, 10 * NS),
            ),
            [],
        ),
    )
    turned_away = round(
        sum(sum(series.values) for series in lost if series.attributes.get(signals.REASON) == KEEP_BUDGET)
    )
    missing = [f"{error.backend} did not answer everything: {error.reason}." for error in troubles.all]
    return Answers(unpacked(()), gauges, counters, rows, whole, marks, turned_away, missing, picked)


async def _traces(stores: Stores, troubles: Troubles, rows: Sequence[FrameRow]) -> dict[str, Trace]:
    """Some whole traces of either kind, spread over the range, for the times of their stages."""
    chosen: list[FrameRow] = []
    for slow in (True, False):
        ordered = sorted((r for r in rows if _stands(r, slow)), key=lambda r: r.start_ns)
        at = np.unique(np.linspace(0, len(ordered) - 1, min(TRACES_A_SIDE, len(ordered))).astype(int))
        chosen += [ordered[place] for place in at.tolist()] if ordered else []
    return await _each_trace(stores, troubles, [row.trace_id for row in chosen])


async def _each_trace(stores: Stores, troubles: Troubles, trace_ids: Sequence[str]) -> dict[str, Trace]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(trace_id: str) -> Trace | None:
        async with gate:
            return await troubles.answer_or(stores.traces.trace(trace_id), None)

    found = await asyncio.gather(*(one(trace_id) for trace_id in trace_ids))
    return {trace.trace_id: trace for trace in found if trace is not None}


def _rows_of(trace: Trace, service: str, pipeline: str) -> list[FrameRow]:
    """The frames of a trace as a list has them; a trace that crossed processes has several."""
    return [
        FrameRow(trace.trace_id, service, span.start_ns, span.end_ns - span.start_ns, span.attributes)
        for span in trace.spans
        if span.name == signals.SPAN_FRAME
        and trace.services.get(span.span_id, service) == service
        and span.attributes.get(signals.FRAME_PIPELINE) == pipeline
    ]


def _stands(row: FrameRow, slow: bool) -> bool:
    if slow:
        return row.attributes.get(signals.FRAME_OUTCOME) == "slow"
    weight = row.attributes.get(signals.FRAME_SAMPLING_WEIGHT)
    return (
        row.attributes.get(signals.FRAME_OUTCOME) == "on_time"
        and isinstance(weight, (int, float))
        and weight > 0
    )
