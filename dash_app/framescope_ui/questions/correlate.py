"""What slow frames go along with: over all frames of a range, so that no sampling distorts it.
 ``correlate`` asks the stores, ``correlated`` is the answer from what they said, without any of them: in a
notebook it takes whatever arrays one has. What each number means: docs/correlate.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from tsdownsample import MinMaxDownsampler

from framescope import signals
from framescope_ui.backends.protocols import FramePage, FrameQuery, FrameRow, Mark, Series, Trace
from framescope_ui.questions.correlate_apart import (
    ON_TIME_A_SLICE,
    SLICES,
    SLOW_A_SLICE,
    TRACES_A_SIDE,
    Found,
    compared,
    sample,
)
from framescope_ui.questions.correlate_change import Around, Sides, changes
from framescope_ui.questions.correlate_signals import (
    COUNTERS,
    GAUGES,
    MOST_SERIES,
    TICK_NS,
    Met,
    Signal,
    Ticks,
    clock_error,
    doses,
    met_by_time,
    queues_of,
    signals_of,
    stretches,
    threshold_of,
    ticks_of,
    under,
    values_on,
)
from framescope_ui.questions.correlate_views import (
    CauseChange,
    CauseCourse,
    Change,
    Chosen,
    Correlation,
    Difference,
    Dose,
    LagCurve,
    SignalRisk,
)
from framescope_ui.questions.every_frame import MOST_RECORDS, latencies
from framescope_ui.questions.frame_item import integer
from framescope_ui.questions.gaps import with_gaps
from framescope_ui.questions.latencies import Latencies, unpacked
from framescope_ui.questions.stores import NS, Stores, Troubles, seconds
from framescope_ui.questions.views import Line, SlowMark
from framescope_ui.statistics.discoveries import LEVEL, adjusted
from framescope_ui.statistics.lag import Lags, lags
from framescope_ui.statistics.long_run import FEWEST_WINDOWS
from framescope_ui.statistics.risk import (
    FEWEST_FRAMES,
    FEWEST_SLOW,
    RiskRatio,
    changed_often,
    proportions,
    risk_ratio,
)

MOST_READINGS = 50_000
"""Readings of one series: an hour and more at 10 Hz."""
LONGEST_NS = 86_400 * NS
"""Of a longer range the newest day is answered: everything is counted in steps of 0.1 s, with frames in them
or without, and a range may be asked for that begins in 1970."""
COUNTER_STEP_NS = NS
MOST_POINTS = 1000
COURSE_STEPS = 60
LATENCY_STEPS = 240
MOST_MARKS = 240
FEWEST_IN_A_DOSE = 50
AT_ONCE = 16
"""Traces asked for at the same time."""
SAME_FRAME_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Answers:
    """What the stores said of ``[start_ns, end_ns)``; empty where they said nothing."""

    frames: Latencies
    gauges: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    counters: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    kept: Sequence[FrameRow] = ()
    traces: Mapping[str, Trace] = field(default_factory=dict)
    marks: Sequence[Mark] = ()
    missing: Sequence[str] = ()


async def correlate(
    stores: Stores,
    service: str,
    pipeline: str,
    start: float,
    end: float,
    signal: str | None = None,
    stages: bool = False,
) -> Correlation:
    """The whole page for frames due in ``[start, end)`` unix seconds. ``signal`` is the one looked at
    closely.

    ``stages``: whether the times of stages are compared too, for which some whole traces are read, each a
    question to the store. Of a range of more than a day, or of more than an hour of records, the newest
    part is answered; ``cut_before`` says from when. Raises ``BackendError`` where the trace store does not
    answer for all frames; whatever else is not answered is named in ``missing``.
    """
    asked_ns, end_ns = int(start * NS), int(end * NS)
    start_ns = max(asked_ns, end_ns - LONGEST_NS)
    every = latencies(stores, service, pipeline, start_ns, end_ns)
    if end_ns - start_ns <= MOST_RECORDS * NS:
        (frames, cut_ns), answers = await asyncio.gather(
            every, _asked(stores, service, pipeline, start_ns, end_ns, stages)
        )
    else:
        # What is left of it is not known before the records are there.
        frames, cut_ns = await every
        answers = await _asked(
            stores, service, pipeline, start_ns if cut_ns is None else cut_ns, end_ns, stages
        )
    answers = replace(answers, frames=frames)
    begin_ns = start_ns if cut_ns is None else cut_ns
    made = await asyncio.to_thread(correlated, answers, service, pipeline, begin_ns, end_ns, signal)
    return replace(made, cut_before=seconds(begin_ns) if begin_ns > asked_ns else None)


async def _asked(
    stores: Stores, service: str, pipeline: str, start_ns: int, end_ns: int, stages: bool
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

    async def kept() -> tuple[list[FrameRow], dict[str, Trace]]:
        step = (end_ns - start_ns) // SLICES
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
                            limit=limit,
                        )
                    ),
                    FramePage(()),
                )
                for place in range(SLICES)
                for outcome, limit in (("slow", SLOW_A_SLICE), ("on_time", ON_TIME_A_SLICE))
            )
        )
        rows = list({row.trace_id: row for page in pages for row in page.frames}.values())
        return rows, await _traces(stores, troubles, rows) if stages else {}

    asked = (*GAUGES, signals.FS_GPU_PROCESS_UTILIZATION, signals.FS_CLOCK_ERROR)
    (rows, whole), marks, gauges, counters = await asyncio.gather(
        kept(),
        troubles.answer_or(traces.marks(service, start_ns, end_ns), []),
        each({m: metrics.gauge(m, where(m), start_ns, end_ns + NS, MOST_READINGS) for m in asked}),
        each({m: metrics.increase(m, where(m), start_ns, end_ns, COUNTER_STEP_NS) for m in COUNTERS}),
    )
    missing = [f"{error.backend} did not answer everything: {error.reason}." for error in troubles.all]
    return Answers(unpacked(()), gauges, counters, rows, whole, marks, missing)


async def _traces(stores: Stores, troubles: Troubles, rows: Sequence[FrameRow]) -> dict[str, Trace]:
    """Some whole traces of either kind, spread over the range, for the times of their stages."""
    chosen: list[FrameRow] = []
    for slow in (True, False):
        ordered = sorted((r for r in rows if _stands(r, slow)), key=lambda r: r.start_ns)
        at = np.unique(np.linspace(0, len(ordered) - 1, min(TRACES_A_SIDE, len(ordered))).astype(int))
        chosen += [ordered[place] for place in at.tolist()] if ordered else []
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(trace_id: str) -> Trace | None:
        async with gate:
            return await troubles.answer_or(stores.traces.trace(trace_id), None)

    found = await asyncio.gather(*(one(row.trace_id) for row in chosen))
    return {trace.trace_id: trace for trace in found if trace is not None}


def _stands(row: FrameRow, slow: bool) -> bool:
    if slow:
        return row.attributes.get(signals.FRAME_OUTCOME) == "slow"
    weight = row.attributes.get(signals.FRAME_SAMPLING_WEIGHT)
    return (
        row.attributes.get(signals.FRAME_OUTCOME) == "on_time"
        and isinstance(weight, (int, float))
        and weight > 0
    )


@dataclass(slots=True)
class _Asked:
    """One signal on its way to its line in the answer."""

    signal: Signal
    met: Met
    threshold: float | None
    ratio: RiskRatio | None
    rare: bool = False
    adjusted: float | None = None
    lag: Lags | None = None


def correlated(
    answers: Answers, service: str, pipeline: str, start_ns: int, end_ns: int, signal: str | None = None
) -> Correlation:
    """The answer from what the stores said. Pure.

    Every question with a p-value (signals, attributes, readings, stages, changes) belongs to one family, so
    that of a page without any connection one in twenty claims something at most.
    """
    frames = answers.frames
    ticks = ticks_of(frames, start_ns, end_ns)
    found = signals_of(answers.gauges, answers.counters, COUNTER_STEP_NS)
    missing = list(answers.missing)
    if len(found) > MOST_SERIES:
        missing.append(f"{len(found) - MOST_SERIES} more series were left out: {MOST_SERIES} are looked at.")
    pairs = [(one, met_by_time(ticks, one)) for one in found[:MOST_SERIES]] + queues_of(ticks)
    lines = [_parted(one, met) for one, met in pairs]
    kept = sample(answers.kept, answers.traces, frames, start_ns, end_ns)
    apart, left_out = compared(kept)
    around = changes(frames, answers.marks, start_ns, end_ns)
    # Of a marker every cause is asked, those of too few slow frames are not.
    sides = [one for change in around for one in change.causes if one.ratio is not None]
    p_values = [
        *(line.ratio.p for line in lines if line.ratio is not None),
        *(one.p for one in apart),
        *(one.ratio.p for one in sides if one.ratio is not None),
    ]
    after = iter(adjusted(p_values))
    for line in lines:
        if line.ratio is not None:
            line.adjusted = next(after)
    apart_after = [next(after) for _ in apart]
    side_after = {id(one): next(after) for one in sides}
    for line in lines:
        line.lag = _lags(ticks, line) if _claimed(line.ratio, line.adjusted) else None
    error = clock_error(answers.gauges.get(signals.FS_CLOCK_ERROR, ()))
    risks = [_risk(line, error) for line in lines]
    order = sorted(range(len(lines)), key=lambda i: _rank(risks[i]))
    chosen = next((i for i in order if risks[i].name == signal), None)
    if signal is not None and chosen is None:
        missing.append(f"There is no signal {signal} in this range.")
    if chosen is None and order:
        chosen = order[0]
    slow = int(frames.slow.sum())
    return Correlation(
        service=service,
        pipeline=pipeline,
        start=seconds(start_ns),
        end=seconds(end_ns),
        frames=int(ticks.frames.sum()),
        slow=slow,
        signals=[risks[i] for i in order],
        chosen=None if chosen is None else _chosen(ticks, lines[chosen], risks[chosen]),
        differences=_differences(apart, apart_after, risks),
        changes=[_change(one, side_after) for one in around],
        course=_course(frames, start_ns, end_ns),
        latency=_latency(ticks, end_ns),
        slow_marks=_marks(frames, answers.kept, start_ns, end_ns),
        budget_seconds=None if frames.budget_ns is None else frames.budget_ns / NS,
        marks=[(seconds(mark.time_ns), mark.text) for mark in answers.marks],
        clock_error_seconds=error,
        tests=len(p_values),
        sampled_slow=sum(one.slow for one in kept),
        sampled_on_time=sum(not one.slow for one in kept),
        missing=[*missing, *left_out],
    )


def _parted(signal: Signal, met: Met) -> _Asked:
    threshold = threshold_of(signal, met)
    if threshold is None:
        return _Asked(signal, met, None, None)
    windows = under(met, threshold)
    rare = not changed_often(windows)
    return _Asked(signal, met, threshold, None if rare else risk_ratio(windows), rare)


def _claimed(ratio: RiskRatio | None, p: float | None) -> bool:
    """A finding: unlikely to be chance among all questions, and its interval is without "no difference"."""
    return ratio is not None and p is not None and p <= LEVEL and not ratio.low <= 1.0 <= ratio.high


def _lags(ticks: Ticks, line: _Asked) -> Lags | None:
    ratio = line.ratio
    rising = ratio is None or ratio.estimate is None or ratio.estimate >= 1
    steps = _lag_ticks(line.signal)
    value = values_on(ticks, line.signal) if line.signal.spacing_ns else ticks.lateness
    if line.signal.name.startswith(signals.FRAME_QUEUE_DEPTH):
        return None  # the depth a frame found is of that very frame: there is no lag to it
    return lags(_coarser(value, steps), _coarser(ticks.lateness, steps), rising)


def _lag_ticks(signal: Signal) -> int:
    """How many ticks one step of the lag is: nothing is finer than the readings."""
    return max(1, round(signal.spacing_ns / TICK_NS))


def _coarser(
    values: np.ndarray[tuple[int], np.dtype[np.float64]], ticks: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if ticks == 1:
        return values
    whole = values[: len(values) // ticks * ticks].reshape(-1, ticks)
    known = np.isfinite(whole)
    count = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, np.where(known, whole, 0.0).sum(axis=1) / count, np.nan)


def _risk(line: _Asked, error: float | None) -> SignalRisk:
    ratio, signal, found = line.ratio, line.signal, line.lag
    step = max(_lag_ticks(signal) * TICK_NS / NS, error or 0.0)
    one = _lag_ticks(signal) * TICK_NS / NS
    above = (
        line.met.value > line.threshold
        if line.threshold is not None
        else np.zeros(len(line.met.value), np.bool_)
    )
    n_above, n_all = int(line.met.frames[above].sum()), int(line.met.frames.sum())
    slow_above, slow_all = int(line.met.slow[above].sum()), int(line.met.slow.sum())
    peak = None if found is None or found.peak is None else found.peak * one
    return SignalRisk(
        name=signal.name,
        title=signal.title,
        unit=signal.unit,
        threshold=line.threshold,
        risk_ratio=None if ratio is None else ratio.estimate,
        interval=None if ratio is None else ends(ratio),
        n_above=n_above,
        n_below=n_all - n_above,
        slow_above=slow_above,
        slow_below=slow_all - slow_above,
        lag_seconds=peak,
        lag_interval=None if peak is None or found is None else (found.peak_low * one, found.peak_high * one),
        lag_step_seconds=step,
        p=None if ratio is None else ratio.p,
        p_adjusted=line.adjusted,
        claimed=_claimed(ratio, line.adjusted),
        why=_why(line, n_all, slow_all) if ratio is None else "",
        simulated=signal.simulated,
    )


def ends(ratio: RiskRatio) -> tuple[float | None, float | None]:
    """The interval with None for an end the data did not set."""
    return (ratio.low, None if ratio.high == float("inf") else ratio.high)


def _why(line: _Asked, frames: int, slow: int) -> str:
    if not frames:
        return "no reading met a frame"
    if line.threshold is None:
        return "it hardly changed"
    if slow < FEWEST_SLOW:
        return f"fewer than {FEWEST_SLOW} slow frames"
    if line.met.windows < FEWEST_WINDOWS:
        return "the range is too short"
    if line.rare:
        return "it changed too rarely in this range: choose a longer one"
    return f"fewer than {FEWEST_FRAMES} frames on one side"


def _rank(risk: SignalRisk) -> tuple[int, float]:
    """Findings first, then by how sure the effect is: how far the interval's nearer end is from 1."""
    if risk.interval is None:
        return (2, 0.0)
    low, high = risk.interval
    reach = max(np.log(max(low or 0.0, 1e-6)), -np.log(high) if high is not None else -np.inf)
    return (0 if risk.claimed else 1, -float(reach))


def _chosen(ticks: Ticks, line: _Asked, risk: SignalRisk) -> Chosen:
    bounds, step = doses(line.met)
    frames = np.zeros((len(bounds), line.met.windows))
    slow = np.zeros_like(frames)
    np.add.at(frames, (step, line.met.window), line.met.frames)
    np.add.at(slow, (step, line.met.window), line.met.slow)
    enough = frames.sum(axis=1) >= FEWEST_IN_A_DOSE
    shown = (
        proportions(frames[enough], slow[enough])
        if enough.any() and line.met.windows >= FEWEST_WINDOWS
        else []
    )
    places = np.flatnonzero(enough).tolist() if shown else []
    found = line.lag if line.lag is not None else _lags(ticks, line)
    one = _lag_ticks(line.signal) * TICK_NS / NS
    readings = line.signal
    threshold = line.threshold
    above = readings.values > threshold if threshold is not None else np.zeros(len(readings.values), np.bool_)
    return Chosen(
        name=risk.name,
        doses=[
            Dose(*bounds[place], share.share, (share.low, share.high), share.frames, share.slow)
            for place, share in zip(places, shown, strict=True)
        ],
        left_out=int(frames[~enough].sum()),
        unread=line.met.unread,
        lag=None
        if found is None
        else LagCurve(
            (found.steps * one).tolist(),
            found.correlation.tolist(),
            found.low.tolist(),
            found.high.tolist(),
            found.chance,
        ),
        line=_course_of(readings, risk),
        above=stretches(readings.times_ns, above, readings.spacing_ns),
    )


def _course_of(signal: Signal, risk: SignalRisk) -> Line:
    """The readings over time; of many the lowest and highest of each stretch."""
    times, values, spacing = signal.times_ns, signal.values, signal.spacing_ns / NS
    if len(times) > MOST_POINTS:
        kept = MinMaxDownsampler().downsample(np.ascontiguousarray(values), n_out=MOST_POINTS)
        spacing *= 2 * len(times) / MOST_POINTS
        times, values = times[kept], values[kept]
    x, y = with_gaps((times / NS).tolist(), values.tolist(), spacing)
    return Line(risk.title, risk.unit, x, y)


def _differences(
    apart: Sequence[Found], after: Sequence[float], risks: Sequence[SignalRisk]
) -> list[Difference]:
    """Conditions on signals, over all frames, and what the kept sample tells, the clearest first."""
    found: list[Difference] = []
    for risk in risks:
        on_time_above, on_time_below = risk.n_above - risk.slow_above, risk.n_below - risk.slow_below
        slow, on_time = risk.slow_above + risk.slow_below, on_time_above + on_time_below
        if risk.p is None or risk.p_adjusted is None or not slow or not on_time or risk.threshold is None:
            continue
        shares = risk.slow_above / slow, on_time_above / on_time
        found.append(
            Difference(
                risk.name,
                risk.title,
                "signal",
                f"> {risk.threshold:.6g}",
                risk.unit,
                shares[0],
                shares[1],
                shares[0] - shares[1],
                None,
                slow,
                on_time,
                risk.p,
                risk.p_adjusted,
                risk.claimed,
            )
        )
    for one, p in zip(apart, after, strict=True):
        sure = one.interval is not None and not one.interval[0] <= 0 <= one.interval[1]
        found.append(
            Difference(
                one.name,
                one.title,
                one.kind,
                one.value,
                one.unit,
                one.slow,
                one.on_time,
                one.effect,
                one.interval,
                one.n_slow,
                one.n_on_time,
                one.p,
                p,
                p <= LEVEL and sure,
            )
        )
    return sorted(found, key=lambda one: (not one.claimed, -abs(one.effect)))


def _change(around: Around, after: Mapping[int, float]) -> Change:
    def cause(one: Sides) -> CauseChange:
        p = after.get(id(one))
        return CauseChange(
            one.cause,
            one.slow_before,
            one.slow_after,
            None if one.ratio is None else one.ratio.estimate,
            None if one.ratio is None else ends(one.ratio),
            None if one.ratio is None else one.ratio.p,
            p,
            _claimed(one.ratio, p),
        )

    return Change(
        seconds(around.time_ns),
        around.text,
        seconds(around.start_ns),
        seconds(around.end_ns),
        around.frames_before,
        around.frames_after,
        [cause(one) for one in around.causes],
    )


def _course(frames: Latencies, start_ns: int, end_ns: int) -> CauseCourse:
    step_ns = max(1, -(-(end_ns - start_ns) // COURSE_STEPS))
    at = np.clip((frames.due_ns - start_ns) // step_ns, 0, COURSE_STEPS - 1)
    slow = frames.slow
    cause = np.array([c or "unknown" for c in frames.cause[slow].tolist()], dtype=str)
    names, counts = np.unique(cause, return_counts=True)
    order = [str(names[i]) for i in np.argsort(-counts, kind="stable")]
    return CauseCourse(
        seconds(start_ns),
        step_ns / NS,
        np.bincount(at[frames.finished], minlength=COURSE_STEPS).tolist(),
        {name: np.bincount(at[slow][cause == name], minlength=COURSE_STEPS).tolist() for name in order},
    )


def _latency(ticks: Ticks, end_ns: int) -> list[Line]:
    """Median and 99th percentile of each step, s; a step without frames is a gap."""
    step_ns = max(NS, (end_ns - ticks.start_ns) // LATENCY_STEPS)
    edges = np.arange(ticks.start_ns, end_ns + step_ns, step_ns)
    places = np.searchsorted(ticks.due_ns, edges).tolist()
    found = [
        (float(edge) / NS, np.quantile(ticks.latency_ns[low:high], (0.5, 0.99)) / NS)
        for edge, low, high in zip(edges[1:].tolist(), places[:-1], places[1:], strict=True)
        if high > low
    ]
    lines = []
    for place, name in enumerate(("median", "p99")):
        x, y = with_gaps([t for t, _ in found], [float(v[place]) for _, v in found], step_ns / NS)
        lines.append(Line(name, "s", x, y))
    return lines


def _marks(frames: Latencies, rows: Sequence[FrameRow], start_ns: int, end_ns: int) -> list[SlowMark]:
    """The worst slow frame of each stretch; one that was kept and is in the sample can be opened."""
    at = np.flatnonzero(frames.slow)
    if not len(at):
        return []
    column = np.clip((frames.due_ns[at] - start_ns) * MOST_MARKS // (end_ns - start_ns), 0, MOST_MARKS - 1)
    order = np.lexsort((-frames.latency_ns[at], column))
    _, first = np.unique(column[order], return_index=True)
    kept = {integer(row.attributes, signals.FRAME_ID): row for row in rows}
    found = []
    for place in at[order[first]].tolist():
        frame_id, due_ns = int(frames.frame_id[place]), int(frames.due_ns[place])
        row = kept.get(frame_id)
        same = row is not None and abs(row.start_ns - due_ns) < SAME_FRAME_NS
        found.append(
            SlowMark(
                seconds(due_ns),
                int(frames.latency_ns[place]) / NS,
                frames.cause[place] or "unknown",
                row.trace_id if row is not None and same else None,
                frame_id,
            )
        )
    return found
