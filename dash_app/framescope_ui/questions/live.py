"""One snapshot of a pipeline: what the Live page, the websocket and ``/api/metrics`` show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from framescope import signals
from framescope_ui.backends.protocols import (
    FrameBatch,
    FramePage,
    FrameQuery,
    FrameRow,
    HistogramSeries,
    Mark,
    Series,
)
from framescope_ui.questions import gpus, sync
from framescope_ui.questions.frame_item import integer, item_of
from framescope_ui.questions.gaps import GAP_SPACINGS, usual_spacing
from framescope_ui.questions.health import Rule, course, health, no_data, rules_for
from framescope_ui.questions.heat import heat_of_frames, heat_of_histograms
from framescope_ui.questions.latencies import Latencies, unpacked
from framescope_ui.questions.quantiles import histogram_quantile, merged_counts
from framescope_ui.questions.queues import queues_now
from framescope_ui.questions.readings import grouped, joined, newest, newest_by, newest_time, since, total_by
from framescope_ui.questions.sources import SILENT_SECONDS, missing, sources_of, trouble
from framescope_ui.questions.stores import NS, Stores, Troubles, seconds
from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.questions.timeline import (
    STALL_SECONDS,
    Grid,
    Values,
    alive,
    averaged,
    grid_line,
    held,
    quantiles,
    rates,
    trailing,
)
from framescope_ui.questions.views import Health, Line, Live, SlowMark, Source

RATE_SECONDS = 5.0
"""Rates shown are over this many last whole seconds."""
QUANTILE_SECONDS = 10.0
"""Quantiles and shares shown are over this much time."""
MINUTE_NS = 60 * NS
LATEST_SLOW = 12
SAME_FRAME_NS = 50_000_000
MARKED_SLOW = 300
MOST_RECORDS = 100_000
"""What a store answers at most to one question; two records a second for half a day."""
READINGS_PER_SECOND = 12
"""More than the fastest probe's ten: with fewer points than there are, a long window loses its beginning."""
MOST_READINGS = 1_000_000
TARGET_FRESH_SECONDS = 300.0
"""Budget, period and capacities hardly change: an old reading still holds."""

_FRAME_GAUGES = (
    signals.FRAME_PERIOD,
    signals.FRAME_BUDGET_LIMIT,
    signals.FRAME_QUEUE_DEPTH,
    signals.FRAME_QUEUE_CAPACITY,
    signals.FRAME_CUSTOM,
)
_HOST_GAUGES = (
    signals.SYSTEM_CPU_UTILIZATION,
    signals.SYSTEM_MEMORY_UTILIZATION,
    signals.PROCESS_CPU_UTILIZATION,
    signals.PROCESS_MEMORY_USAGE,
)
_FRAME_COUNTERS = (
    signals.FRAME_LOST_TIME,
    signals.FRAME_QUEUE_DROPPED,
    signals.FRAME_QUEUE_BLOCKED_TIME,
    signals.FRAME_COUNTED,
    signals.FRAME_COUNT,
    signals.FRAME_MISSED,
)
_SERVICE_COUNTERS = (signals.FS_GPU_THROTTLE_TIME, signals.FS_FRAMES_LOST, signals.FS_INTERNAL_ERRORS)
"""What an agent took down with it, or could not send, is told of no pipeline."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the stores said about the window; empty where they said nothing."""

    batches: Sequence[FrameBatch]
    kept: FramePage
    marks: Sequence[Mark]
    gauges: Mapping[str, Sequence[Series]]
    counters: Mapping[str, Sequence[Series]]
    latency: Sequence[HistogramSeries] = field(default=())


async def live(
    stores: Stores,
    service: str,
    pipeline: str,
    now_ns: int,
    thresholds: Thresholds,
    window_seconds: float = 300.0,
    step_seconds: float = 1.0,
    troubles: Troubles | None = None,
) -> Live:
    """The snapshot at ``now_ns`` with ``window_seconds`` of history.

    A store that does not answer leaves its part empty and is named in ``health.sources``. Raises the
    first ``BackendError`` only where no store answered anything; ``troubles`` then has them all.
    """
    troubles = troubles if troubles is not None else Troubles()
    start_ns = now_ns - int(window_seconds * NS)
    step_ns = int(step_seconds * NS)
    answers = await _ask(stores, troubles, service, pipeline, start_ns, now_ns, step_ns)
    if troubles.first is not None and not troubles.answered:
        raise troubles.first
    return assembled(answers, stores, troubles, service, pipeline, now_ns, thresholds, start_ns, step_ns)


async def _ask(
    stores: Stores,
    troubles: Troubles,
    service: str,
    pipeline: str,
    start_ns: int,
    now_ns: int,
    step_ns: int,
) -> Answers:
    end_ns = now_ns + NS
    of_service = {signals.SERVICE_NAME: service}
    of_pipeline = {signals.SERVICE_NAME: service, signals.FRAME_PIPELINE: pipeline}
    traces, metrics = stores.traces, stores.metrics

    async def each(questions: Mapping[str, Awaitable[list[Series]]]) -> dict[str, list[Series]]:
        found = await asyncio.gather(*(troubles.answer_or(q, []) for q in questions.values()))
        return dict(zip(questions, found, strict=True))

    window_seconds = (now_ns - start_ns) // NS
    limit = min(2 * window_seconds + 20, MOST_RECORDS)
    readings = min(READINGS_PER_SECOND * window_seconds + 1000, MOST_READINGS)
    batches, kept, marks, gauges, counters = await asyncio.gather(
        troubles.answer_or(traces.every_frame(service, pipeline, start_ns, end_ns, limit=limit), []),
        troubles.answer_or(
            traces.frames(
                FrameQuery(
                    service=service,
                    pipeline=pipeline,
                    start_ns=start_ns,
                    end_ns=end_ns,
                    outcomes=("slow", "failed", "dropped"),
                    limit=MARKED_SLOW,
                )
            ),
            FramePage(frames=()),
        ),
        troubles.answer_or(traces.marks(service, start_ns, end_ns), []),
        each(
            {m: metrics.gauge(m, of_pipeline, start_ns, end_ns, readings) for m in _FRAME_GAUGES}
            | {
                m: metrics.gauge(m, of_service, start_ns, end_ns, readings)
                for m in (*_HOST_GAUGES, *gpus.GAUGES)
            }
        ),
        each(
            {m: metrics.increase(m, of_pipeline, start_ns, end_ns, step_ns) for m in _FRAME_COUNTERS}
            | {m: metrics.increase(m, of_service, start_ns, end_ns, step_ns) for m in _SERVICE_COUNTERS}
        ),
    )
    latency: list[HistogramSeries] = []
    if not batches or _late_by(batches[-1].start_ns + NS, _grew_ns(counters[signals.FRAME_COUNT])):
        # Where the newest `frames` records are missing the coarser histogram has to do.
        latency = await troubles.answer_or(
            metrics.histogram(
                signals.FRAME_LATENCY, of_pipeline, start_ns, end_ns, max(step_ns, int(QUANTILE_SECONDS * NS))
            ),
            [],
        )
    return Answers(batches, kept, marks, gauges, counters, latency)


def assembled(
    answers: Answers,
    stores: Stores,
    troubles: Troubles,
    service: str,
    pipeline: str,
    now_ns: int,
    thresholds: Thresholds,
    start_ns: int,
    step_ns: int,
) -> Live:
    """The snapshot from what the stores said. Pure."""
    gauges, counters = answers.gauges, answers.counters
    seen = _ended(unpacked(answers.batches), now_ns)
    counted = counters.get(signals.FRAME_COUNT, ())
    ages = _ages(seen, answers, stores, now_ns)
    age = min((age for age in ages.values() if age is not None), default=None)
    late = _late_by(_newest_end(seen), _grew_ns(counted))
    # Records that are far behind tell nothing of now: until they have caught up the metrics do.
    frames = seen if late is None else seen.only(np.zeros(len(seen), np.bool_))
    target = _target_fps(gauges, now_ns)
    budget = _budget(seen, gauges, now_ns)
    grid, rate_in, rate_out = _rates(frames, answers, start_ns, now_ns, step_ns)
    p50, p95, p99 = quantiles(grid, frames, (0.50, 0.95, 0.99))
    trailing_p99, slow_share = trailing(grid, frames, int(QUANTILE_SECONDS * NS), 0.99)
    if not frames and answers.latency:
        p50, p95, p99 = (_histogram_values(grid, answers.latency, q) for q in (0.50, 0.95, 0.99))
        trailing_p99 = p99
    if not frames:
        slow_share = _counted_share(grid, counted, int(QUANTILE_SECONDS * NS))
    devices = gpus.labels(gauges)
    utilization = [
        averaged(grid, gpus.line_source(gauges.get(signals.HW_GPU_UTILIZATION, ()), gpu.id))
        for gpu in devices
    ]
    sources = sources_of(stores, troubles, service, ages, seconds(now_ns))
    rules = rules_for(thresholds, target, budget)
    levels, state = _health(
        rules,
        grid,
        {
            "fps_out": _smoothed(rate_out, int(RATE_SECONDS * NS / step_ns)),
            "latency_p99": trailing_p99,
            "slow_share": slow_share,
            "gpu_utilization": _highest(utilization),
        },
        sources,
        stores.traces.name,
        age,
        service,
        now_ns,
        bool(counted),
    )
    steps = max(1, round(RATE_SECONDS * NS / step_ns))
    fresh = age is not None and age <= SILENT_SECONDS
    fps_in, fps_out = (_mean(rate[-steps:]) if fresh else None for rate in (rate_in, rate_out))
    gaps = sync.gap(rate_in, rate_out)
    missed = counters.get(signals.FRAME_MISSED, ())
    lost = total_by(
        since(counters.get(signals.FRAME_LOST_TIME, ()), now_ns - MINUTE_NS), signals.FRAME_CAUSE_NAME
    )
    of_this = [
        one
        for one in counters.get(signals.FS_FRAMES_LOST, ())
        if one.attributes.get(signals.FRAME_PIPELINE, "") in ("", pipeline)
    ]
    losses = total_by(of_this, signals.REASON)
    faults = total_by(counters.get(signals.FS_INTERNAL_ERRORS, ()), signals.REASON)
    custom = newest_by(gauges.get(signals.FRAME_CUSTOM, ()), signals.FRAME_METRIC_NAME, now_ns)
    return Live(
        time=seconds(now_ns),
        service=service,
        pipeline=pipeline,
        health=state,
        newest_age_seconds=age,
        frames_late_seconds=late,
        fps_in=fps_in,
        fps_out=fps_out,
        sync_gap=None if fps_in is None or fps_out is None else fps_in - fps_out,
        sync_trend=sync.trend(gaps, step_ns / NS) if fresh else None,
        missed_per_minute=_total(since(missed, now_ns - MINUTE_NS)) if missed else None,
        heat=heat_of_frames(frames, start_ns, now_ns)
        if frames
        else heat_of_histograms(answers.latency, start_ns, now_ns),
        limits={rule.signal: (rule.limits.warning, rule.limits.critical) for rule in rules},
        target_fps=target,
        latency_p50=_now_quantile(frames, answers, 0.50, now_ns),
        latency_p95=_now_quantile(frames, answers, 0.95, now_ns),
        latency_p99=_now_quantile(frames, answers, 0.99, now_ns),
        budget_seconds=budget,
        slow_share=slow_share[-1] if slow_share and fresh else None,
        dropped_per_minute=_dropped(frames, counted, now_ns) if fresh else None,
        cpu_utilization=newest(gauges.get(signals.SYSTEM_CPU_UTILIZATION, ()), now_ns),
        memory_utilization=newest(gauges.get(signals.SYSTEM_MEMORY_UTILIZATION, ()), now_ns),
        process_cpu_utilization=newest(gauges.get(signals.PROCESS_CPU_UTILIZATION, ()), now_ns),
        process_memory_bytes=newest(gauges.get(signals.PROCESS_MEMORY_USAGE, ()), now_ns),
        queues=queues_now(
            gauges.get(signals.FRAME_QUEUE_DEPTH, ()),
            gauges.get(signals.FRAME_QUEUE_CAPACITY, ()),
            counters.get(signals.FRAME_QUEUE_DROPPED, ()),
            counters.get(signals.FRAME_QUEUE_BLOCKED_TIME, ()),
            now_ns,
        ),
        gpus=[
            gpus.now_of(gpu, gauges, counters.get(signals.FS_GPU_THROTTLE_TIME, ()), now_ns)
            for gpu in devices
        ],
        lost_by_cause=sorted(
            ((cause, s / 60.0) for cause, s in lost.items() if s > 0), key=lambda share: -share[1]
        ),
        losses=sorted(((reason, n) for reason, n in losses.items() if n > 0), key=lambda loss: -loss[1]),
        faults=sorted(((where, n) for where, n in faults.items() if n > 0), key=lambda fault: -fault[1]),
        custom=sorted(custom.items()),
        counted=_counted(counters.get(signals.FRAME_COUNTED, ()), now_ns),
        latest_slow=[item_of(row) for row in answers.kept.frames[:LATEST_SLOW]],
        slow_marks=_slow_marks(seen, answers.kept.frames),
        history={
            "latency_p50": [grid_line(grid, "p50", "s", p50)],
            "latency_p95": [grid_line(grid, "p95", "s", p95)],
            "latency_p99": [grid_line(grid, "p99", "s", p99)],
            "fps_in": [grid_line(grid, "in", "1/s", rate_in)],
            "fps_out": [grid_line(grid, "out", "1/s", rate_out)],
            "sync_gap": [grid_line(grid, "in minus out", "1/s", _smoothed(gaps, steps))],
            "health": [grid_line(grid, "health", "level", levels)],
            **_gauge_history(grid, gauges, devices, utilization),
            "queue_drops": [
                grid_line(grid, name, "{frame}", _increases(grid, group))
                for name, group in sorted(
                    grouped(counters.get(signals.FRAME_QUEUE_DROPPED, ()), signals.FRAME_QUEUE_NAME).items()
                )
            ],
            "drops": _drops(grid, counters.get(signals.FRAME_QUEUE_DROPPED, ())),
            "custom": [
                grid_line(grid, name, "", averaged(grid, joined(group)))
                for name, group in sorted(
                    grouped(gauges.get(signals.FRAME_CUSTOM, ()), signals.FRAME_METRIC_NAME).items()
                )
            ],
        },
        marks=[(seconds(mark.time_ns), mark.text) for mark in answers.marks],
    )


def _ended(frames: Latencies, now_ns: int) -> Latencies:
    """The frames that can have ended by now, give or take a second between two clocks.

    One that claims a later end has a broken latency or clock: a chart up to that end would reach days into
    the future and show nothing of today.
    """
    return frames.only(frames.end_ns <= now_ns + NS)


def _newest_end(frames: Latencies) -> int | None:
    return int(frames.end_ns.max()) if len(frames) else None


def _grew_ns(counted: Sequence[Series]) -> int | None:
    """The end of the newest step in which frames were counted."""
    newest = [
        next((t for t, n in zip(reversed(one.times_ns), reversed(one.values), strict=True) if n > 0), None)
        for one in counted
    ]
    return max((t for t in newest if t is not None), default=None)


def _late_by(newest_out_ns: int | None, grew_ns: int | None) -> float | None:
    """How many s the newest record is behind the newest count, where that is more than a usual delay.

    A trace store shows a record seconds after the metrics that count its frames; while it works off a
    backlog, minutes. That is no stall: the frames came out.
    """
    if newest_out_ns is None or grew_ns is None or grew_ns - newest_out_ns <= STALL_SECONDS * NS:
        return None
    return (grew_ns - newest_out_ns) / NS


def _ages(frames: Latencies, answers: Answers, stores: Stores, now_ns: int) -> dict[str, float | None]:
    """How old, in s, the newest is that each store has; one that is both stores has one age."""
    counted_ns = _grew_ns(answers.counters.get(signals.FRAME_COUNT, ()))
    newest_of = (
        (stores.traces.name, [_newest_end(frames)]),
        (stores.metrics.name, [newest_time(series) for series in answers.gauges.values()] + [counted_ns]),
    )
    ages: dict[str, float | None] = {}
    for name, times in newest_of:
        known = [max(0.0, (now_ns - t) / NS) for t in times if t is not None]
        ages[name] = min([*known, *(age for age in [ages.get(name)] if age is not None)], default=None)
    return ages


def _target_fps(gauges: Mapping[str, Sequence[Series]], now_ns: int) -> float | None:
    period = newest(gauges.get(signals.FRAME_PERIOD, ()), now_ns, TARGET_FRESH_SECONDS)
    return 1.0 / period if period is not None and period > 0 else None


def _budget(frames: Latencies, gauges: Mapping[str, Sequence[Series]], now_ns: int) -> float | None:
    if frames.budget_ns is not None:
        return frames.budget_ns / NS
    return newest(gauges.get(signals.FRAME_BUDGET_LIMIT, ()), now_ns, TARGET_FRESH_SECONDS)


def _counted(series: Sequence[Series], now_ns: int) -> list[tuple[str, float]]:
    """What the user counts: so many in the last minute; 0 of what was counted before in the window."""
    before = total_by(series, signals.FRAME_METRIC_NAME)
    last = total_by(since(series, now_ns - MINUTE_NS), signals.FRAME_METRIC_NAME)
    return sorted((dict.fromkeys(before, 0.0) | last).items())


def _rates(
    frames: Latencies, answers: Answers, start_ns: int, now_ns: int, step_ns: int
) -> tuple[Grid, Values, Values]:
    """The grid up to what is known by now, and the rates in and out on it."""
    signs = [s for m in _HOST_GAUGES for s in answers.gauges.get(m, ())]
    sign_ns = newest_time(signs)
    counted = answers.counters.get(signals.FRAME_COUNT, ())
    if len(frames):
        newest_out = min(int(frames.end_ns.max()), now_ns)
        end_ns = newest_out
        came_out = max(newest_out, _grew_ns(counted) or 0)
        if sign_ns is not None and sign_ns - came_out > STALL_SECONDS * NS:
            end_ns = min(sign_ns, now_ns)
        grid = Grid.over(start_ns, end_ns, step_ns)
        living = alive(grid, signs)
        done = frames.only(frames.finished)
        rate_out = rates(grid, done.end_ns, done.frame_id, living)
        rate_in = rates(grid, frames.due_ns, frames.frame_id, living)
        newest_in = int(done.due_ns.max()) if len(done) else int(frames.due_ns.max())
        if end_ns == newest_out:
            # Frames due after the newest one that is done are still under way and not counted yet.
            known = max(0, (newest_in - grid.start_ns) // step_ns)
            rate_in[known:] = [None] * len(rate_in[known:])
        return grid, rate_in, rate_out
    ends = [t for t in (newest_time(counted), sign_ns) if t is not None]
    grid = Grid.over(start_ns, min(max(ends, default=start_ns), now_ns), step_ns)
    done_counts = [s for s in counted if s.attributes.get(signals.FRAME_OUTCOME) in ("on_time", "slow")]
    per_second = NS / step_ns
    return (
        grid,
        [None if n is None else n * per_second for n in _spread(grid, counted)],
        [None if n is None else n * per_second for n in _spread(grid, done_counts)],
    )


def _spread(grid: Grid, series: Sequence[Series]) -> Values:
    """The summed increases of counters on the grid, each spread over the steps since the point before it.

    An emitter that exports every few seconds would else seem to have a burst in one step and none in others.
    A point behind a gap tells nothing of its steps: whether anybody counted in the gap is not known.
    """
    totals: Values = [None] * grid.size
    for one in series:
        ends = grid.index(np.asarray(one.times_ns, np.int64) - 1).tolist()
        longest = GAP_SPACINGS * (usual_spacing(ends) or 1.0)
        for place, (end, value) in enumerate(zip(ends, one.values, strict=True)):
            if place and end - ends[place - 1] > longest:
                continue
            # How long the first took nobody tells: as long as the one after it.
            before = ends[place - 1] if place else 2 * end - ends[1] if len(ends) > 1 else end - 1
            steps = range(min(before + 1, end), end + 1)
            for step in steps:
                if 0 <= step < grid.size:
                    totals[step] = (totals[step] or 0.0) + value / len(steps)
    return totals


def _increases(grid: Grid, series: Sequence[Series]) -> Values:
    """The summed increases of counters on the grid: a point belongs to the step it ends."""
    totals: Values = [None] * grid.size
    for one in series:
        # A step's increase is dated at its end; one ns earlier lies inside that step.
        at = grid.index(np.asarray(one.times_ns, np.int64) - 1)
        for step, value in zip(at.tolist(), one.values, strict=True):
            if 0 <= step < grid.size:
                totals[step] = (totals[step] or 0.0) + value
    return totals


def _counted_share(grid: Grid, counted: Sequence[Series], span_ns: int) -> Values:
    """At each step's end, over the ``span_ns`` before it: the share of slow frames of those that came out."""

    def of(*outcomes: str) -> Values:
        return _increases(grid, [s for s in counted if s.attributes.get(signals.FRAME_OUTCOME) in outcomes])

    slow, done = of("slow"), of("slow", "on_time")
    span = max(1, span_ns // grid.step_ns)
    share: Values = []
    for step in range(grid.size):
        within = slice(max(0, step + 1 - span), step + 1)
        frames = sum(n for n in done[within] if n is not None)
        share.append(sum(n for n in slow[within] if n is not None) / frames if frames else None)
    return share


def _histogram_values(grid: Grid, series: Sequence[HistogramSeries], q: float) -> Values:
    values: Values = [None] * grid.size
    for end_ns in sorted({t for one in series for t in one.times_ns}):
        counts_then = [
            HistogramSeries(
                one.attributes,
                one.bounds,
                [t for t in one.times_ns if t == end_ns],
                [c for t, c in zip(one.times_ns, one.counts, strict=True) if t == end_ns],
                [],
            )
            for one in series
        ]
        step = (end_ns - 1 - grid.start_ns) // grid.step_ns
        if 0 <= step < grid.size:
            bounds, counts = merged_counts(counts_then, 0)
            values[step] = histogram_quantile(bounds, counts, q) if counts else None
    return values


def _now_quantile(frames: Latencies, answers: Answers, q: float, now_ns: int) -> float | None:
    """Over the last seconds with frames; None where the pipeline has stalled since: that is not now."""
    stalled_ns = now_ns - int(STALL_SECONDS * NS)
    if len(frames):
        newest_out = int(frames.end_ns.max())
        counted_ns = _grew_ns(answers.counters.get(signals.FRAME_COUNT, ()))
        if counted_ns is None:
            # Nothing tells a record that is not to be seen yet from one that never came.
            stalled_ns = now_ns - int(SILENT_SECONDS * NS)
        if max(newest_out, counted_ns or 0) < stalled_ns:
            return None
        return frames.quantile_seconds(q, newest_out - int(QUANTILE_SECONDS * NS))
    # A histogram goes on being exported without new frames, so only steps with some count.
    newest_ns = max(
        (t for one in answers.latency for t, n in zip(one.times_ns, one.counts, strict=True) if sum(n) > 0),
        default=None,
    )
    # It is answered in steps as long as the quantile's span, and dated at their ends.
    if newest_ns is None or newest_ns < stalled_ns - int(QUANTILE_SECONDS * NS):
        return None
    bounds, counts = merged_counts(answers.latency, newest_ns - int(QUANTILE_SECONDS * NS))
    return histogram_quantile(bounds, counts, q) if counts else None


def _health(
    rules: Sequence[Rule],
    grid: Grid,
    readings: Mapping[str, Values],
    sources: Sequence[Source],
    traces: str,
    age: float | None,
    service: str,
    now_ns: int,
    counted: bool,
) -> tuple[Values, Health]:
    frames_away = next((s for s in sources if missing(s) and s.name == traces), None)
    went = course(rules, grid.times, readings)
    levels: Values = [None if level is None else float(level) for level in went.levels]
    if frames_away is not None and not counted:
        return levels, no_data(f"{trouble(frames_away)}: {frames_away.reason}", sources=sources)
    if age is None:
        return levels, no_data(f"nothing has arrived from {service} yet", sources=sources)
    if age > SILENT_SECONDS:
        return levels, no_data(
            f"nothing has arrived from {service} for {age:.0f} s", seconds(now_ns) - age, sources
        )
    return levels, health(rules, went, sources)


def _gauge_history(
    grid: Grid,
    gauges: Mapping[str, Sequence[Series]],
    devices: Sequence[gpus.GpuLabel],
    utilization: Sequence[Values],
) -> dict[str, Sequence[Line]]:
    def host(metric: str, name: str, unit: str) -> list[Line]:
        series = joined(gauges.get(metric, ()))
        return [grid_line(grid, name, unit, averaged(grid, series))] if len(series.times_ns) else []

    def by_gpu(metric: str, unit: str) -> list[Line]:
        found = gauges.get(metric, ())
        return [
            grid_line(grid, gpu.name, unit, averaged(grid, gpus.line_source(found, gpu.id)))
            for gpu in devices
        ]

    processes = gauges.get(signals.FS_GPU_PROCESS_UTILIZATION, ())
    return {
        "cpu": host(signals.SYSTEM_CPU_UTILIZATION, "CPU", "1"),
        "memory": host(signals.SYSTEM_MEMORY_UTILIZATION, "memory", "1"),
        "gpu_utilization": [
            grid_line(grid, gpu.name, "1", values) for gpu, values in zip(devices, utilization, strict=True)
        ],
        "gpu_others": [
            grid_line(grid, gpu.name, "1", averaged(grid, gpus.others_of(processes, gpu.id)))
            for gpu in devices
        ],
        "gpu_clock": by_gpu(signals.FS_GPU_CLOCK, "Hz"),
        "gpu_memory": by_gpu(signals.HW_GPU_MEMORY_USAGE, "By"),
        "gpu_temperature": by_gpu(signals.HW_TEMPERATURE, "Cel"),
        "gpu_power": by_gpu(signals.HW_POWER, "W"),
        "queue_depth": [
            grid_line(grid, name, "{item}", averaged(grid, joined(group)))
            for name, group in sorted(
                grouped(gauges.get(signals.FRAME_QUEUE_DEPTH, ()), signals.FRAME_QUEUE_NAME).items()
            )
        ],
    }


def _slow_marks(frames: Latencies, rows: Sequence[FrameRow]) -> list[SlowMark]:
    """The newest slow frames of the window; those kept whole can be opened."""
    kept = {integer(row.attributes, signals.FRAME_ID): row for row in rows}
    newest_slow = np.flatnonzero(frames.slow)[-MARKED_SLOW:]
    marks: list[SlowMark] = []
    for at in newest_slow.tolist():
        due_ns, frame_id = int(frames.due_ns[at]), int(frames.frame_id[at])
        row = kept.get(frame_id)
        # Two runs of a pipeline both count from 0: the same number at another time is another frame.
        same = row is not None and abs(row.start_ns - due_ns) < SAME_FRAME_NS
        marks.append(
            SlowMark(
                time=seconds(due_ns),
                latency_seconds=int(frames.latency_ns[at]) / NS,
                cause=frames.cause[at] or "unknown",
                trace_id=row.trace_id if row is not None and same else None,
                frame_id=frame_id,
            )
        )
    return marks


def _dropped(frames: Latencies, counted: Sequence[Series], now_ns: int) -> float | None:
    """Frames dropped in the last minute."""
    if len(frames):
        last_minute = frames.between(now_ns - MINUTE_NS, now_ns + NS)
        return float(np.count_nonzero(last_minute.outcome == signals.OUTCOMES["dropped"]))
    if not counted:
        return None
    return total_by(since(counted, now_ns - MINUTE_NS), signals.FRAME_OUTCOME).get("dropped", 0.0)


def _drops(grid: Grid, dropped: Sequence[Series]) -> list[Line]:
    """The steps in which a queue dropped frames, a line a queue and reason."""
    lines: list[Line] = []
    for queue, of_queue in sorted(grouped(dropped, signals.FRAME_QUEUE_NAME).items()):
        for reason, group in sorted(grouped(of_queue, signals.FRAME_DROP_REASON).items()):
            steps = zip(grid.times, _increases(grid, group), strict=True)
            found = [(time, n) for time, n in steps if n]
            if found:
                x, y = zip(*found, strict=True)
                lines.append(Line(f"{queue}: {reason.replace('_', ' ')}", "{frame}", x, y))
    return lines


def _total(series: Sequence[Series]) -> float:
    return float(sum(sum(one.values) for one in series))


def _highest(by_gpu: Sequence[Values]) -> Values:
    rows = zip(*(held(values) for values in by_gpu), strict=True) if by_gpu else ()
    return [max((v for v in row if v is not None), default=None) for row in rows]


def _smoothed(values: Values, steps: int) -> Values:
    """The mean over the last steps, so that one frame more or less in a second is no event."""
    return [_mean(values[max(0, i + 1 - max(1, steps)) : i + 1]) for i in range(len(values))]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
