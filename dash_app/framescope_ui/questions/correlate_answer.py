"""What slow frames go along with, from what the stores said: arrays in, the page's answer out.

In a notebook it takes whatever arrays one has. What each number means: docs/correlate.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from framescope import signals
from framescope_ui.backends.protocols import FrameRow, Mark, Series, Trace
from framescope_ui.questions.correlate_apart import compared, differences, sample
from framescope_ui.questions.correlate_change import change_view, changes
from framescope_ui.questions.correlate_chosen import chosen_signal
from framescope_ui.questions.correlate_course import cause_course, latency_course, slow_marks
from framescope_ui.questions.correlate_risk import claimed, lags_of, parted, rank, risk_of
from framescope_ui.questions.correlate_signals import (
    COUNTER_STEP_NS,
    MOST_SERIES,
    clock_error,
    met_by_time,
    queues_of,
    signals_of,
    ticks_of,
)
from framescope_ui.questions.correlate_views import Correlation
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS, seconds
from framescope_ui.statistics.discoveries import adjusted


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
    lines = [parted(one, met) for one, met in pairs]
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
        line.lag = lags_of(ticks, line) if claimed(line.ratio, line.adjusted) else None
    error = clock_error(answers.gauges.get(signals.FS_CLOCK_ERROR, ()))
    risks = [risk_of(line, error) for line in lines]
    order = sorted(range(len(lines)), key=lambda i: rank(risks[i]))
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
        chosen=None if chosen is None else chosen_signal(ticks, lines[chosen], risks[chosen]),
        differences=differences(apart, apart_after, risks),
        changes=[change_view(one, side_after) for one in around],
        course=cause_course(frames, start_ns, end_ns),
        latency=latency_course(ticks, end_ns),
        slow_marks=slow_marks(frames, answers.kept, start_ns, end_ns),
        budget_seconds=None if frames.budget_ns is None else frames.budget_ns / NS,
        marks=[(seconds(mark.time_ns), mark.text) for mark in answers.marks],
        clock_error_seconds=error,
        tests=len(p_values),
        sampled_slow=sum(one.slow for one in kept),
        sampled_on_time=sum(not one.slow for one in kept),
        missing=[*missing, *left_out],
    )
