"""What slow frames go along with, from what the stores said: arrays in, the page's answer out.

In a notebook it takes whatever arrays one has. What each number means: docs/correlate.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from framescope import signals
from framescope_ui.backends.protocols import FrameRow, Mark, Series, Trace
from framescope_ui.questions.correlate_apart import compared, differences, sample
from framescope_ui.questions.correlate_change import (
    Around,
    before_and_after,
    change_view,
    changes,
    side_of,
    versions,
)
from framescope_ui.questions.correlate_chosen import chosen_signal
from framescope_ui.questions.correlate_content import contents_of, queues_of
from framescope_ui.questions.correlate_course import cause_course, latency_course, slow_marks
from framescope_ui.questions.correlate_risk import claimed, lags_of, parted, rank, risk_of
from framescope_ui.questions.correlate_selection import among_selected, selected
from framescope_ui.questions.correlate_signals import (
    COUNTER_STEP_NS,
    MOST_SERIES,
    Met,
    Signal,
    Ticks,
    clock_error,
    met_by_time,
    signals_of,
    ticks_of,
)
from framescope_ui.questions.correlate_views import Correlation, Selection
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS, seconds
from framescope_ui.statistics.discoveries import adjusted

ALL_FRAMES = Selection()


@dataclass(frozen=True, slots=True)
class OtherRange:
    """The frames of another range, to compare with."""

    start_ns: int
    end_ns: int
    frames: Latencies


@dataclass(frozen=True, slots=True)
class Answers:
    """What the stores said of ``[start_ns, end_ns)``; empty where they said nothing."""

    frames: Latencies
    gauges: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    counters: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    kept: Sequence[FrameRow] = ()
    traces: Mapping[str, Trace] = field(default_factory=dict)
    marks: Sequence[Mark] = ()
    keep_budget: int = 0
    """Frames that were not kept because the keep budget was spent."""
    missing: Sequence[str] = ()
    picked: Sequence[FrameRow] = ()
    """Of the frames the selection names, those that were found; they are among ``kept`` too."""


def correlated(
    answers: Answers,
    service: str,
    pipeline: str,
    start_ns: int,
    end_ns: int,
    signal: str | None = None,
    selection: Selection = ALL_FRAMES,
    than: OtherRange | None = None,
) -> Correlation:
    """The answer from what the stores said. Pure.

    Every question with a p-value (signals, attributes, readings, stages, changes) belongs to one family, so
    that of a page without any connection one in twenty claims something at most.
    """
    frames, missing = answers.frames, list(answers.missing)
    ticks = ticks_of(frames, start_ns, end_ns)
    read = signals_of(answers.gauges, answers.counters, COUNTER_STEP_NS)
    if len(read) > MOST_SERIES:
        missing.append(f"{len(read) - MOST_SERIES} more series were left out: {MOST_SERIES} are looked at.")
    pairs, left_out = _met(ticks, read[:MOST_SERIES])
    kept: Sequence[tuple[FrameRow, bool | None]] = [(row, None) for row in answers.kept]
    if selection:
        frames, unknown = selected(frames, ticks, pairs, selection, answers.picked)
        ticks = ticks_of(frames, start_ns, end_ns)
        pairs, left_out = _met(ticks, read[:MOST_SERIES])
        missing += unknown
        kept = among_selected(answers.kept, frames)
    missing += left_out
    lines = [parted(one, met) for one, met in pairs]
    whole = sample(kept, answers.traces, frames, start_ns, end_ns)
    told = {line.signal.attribute for line in lines if line.ratio is not None}
    apart, left_out = compared(
        whole,
        told_of_all=set(frames.attributes) & told if selection.frames else set(frames.attributes),
        picked=bool(selection.frames),
    )
    missing += left_out
    around = changes(frames, answers.marks, start_ns, end_ns) + versions(frames, start_ns, end_ns)
    if than is not None:
        other, unknown = _selected_too(than, selection)
        around.append(_against(frames, other, start_ns, end_ns))
        missing += unknown
    # Of a marker every cause is asked, those of too few slow frames are not.
    sides = [one for change in around for one in change.causes if one.ratio is not None]
    p_values = [
        *(line.ratio.p for line in lines if line.ratio is not None),
        *(one.p for one in apart if one.p is not None),
        *(one.ratio.p for one in sides if one.ratio is not None),
    ]
    after = iter(adjusted(p_values))
    for line in lines:
        if line.ratio is not None:
            line.adjusted = next(after)
    apart_after = [None if one.p is None else next(after) for one in apart]
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
    return Correlation(
        service=service,
        pipeline=pipeline,
        start=seconds(start_ns),
        end=seconds(end_ns),
        frames=int(ticks.frames.sum()),
        slow=int(frames.slow.sum()),
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
        selection=selection,
        keep_budget=answers.keep_budget,
        sampled_slow=sum(one.slow for one in whole),
        sampled_on_time=sum(not one.slow for one in whole),
        missing=missing,
    )


def _met(ticks: Ticks, read: Sequence[Signal]) -> tuple[list[tuple[Signal, Met]], list[str]]:
    """Readings met by time, and what frames carry themselves; beside them what was left out."""
    contents, left_out = contents_of(ticks)
    return [*((one, met_by_time(ticks, one)) for one in read), *queues_of(ticks), *contents], left_out


def _selected_too(than: OtherRange, selection: Selection) -> tuple[OtherRange, list[str]]:
    """The same selection of the other range, as far as it is told of frames themselves."""
    unknown = []
    if selection.within is not None:
        unknown = ["Signals of the other range are not read: all of its frames are compared with."]
        selection = replace(selection, within=None)
    if not selection:
        return than, unknown
    ticks = ticks_of(than.frames, than.start_ns, than.end_ns)
    frames, more = selected(than.frames, ticks, (), selection)
    return replace(than, frames=frames), [*unknown, *more]


def _against(frames: Latencies, than: OtherRange, start_ns: int, end_ns: int) -> Around:
    """The range against another one: the earlier of the two is "before"."""
    here, there = side_of(frames, start_ns, end_ns), side_of(than.frames, than.start_ns, than.end_ns)
    first, second = (here, there) if start_ns < than.start_ns else (there, here)
    return before_and_after(first, second, "ranges")
