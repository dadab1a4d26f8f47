"""The signal that Correlate looks at closely: its doses, its lags, its course."""

from __future__ import annotations

import numpy as np

from framescope_ui.questions.correlate_content import by_value
from framescope_ui.questions.correlate_risk import Asked, lag_ticks, lags_of
from framescope_ui.questions.correlate_signals import TICK_NS, Signal, Ticks, doses, stretches
from framescope_ui.questions.correlate_views import Chosen, Dose, LagCurve, SignalRisk
from framescope_ui.questions.gaps import with_gaps
from framescope_ui.questions.stores import NS
from framescope_ui.questions.views import Line
from framescope_ui.statistics.long_run import FEWEST_WINDOWS, Floats
from framescope_ui.statistics.risk import proportions

MOST_POINTS = 1000
"""Readings beyond this many are drawn as steps, each with its mean and the lowest and highest in it."""
COURSE_STEPS = 400
COHORT_STEPS = 120
"""The share of frames that have a value swings from step to step by chance: fewer steps swing less."""
FEWEST_IN_A_DOSE = 50


def chosen_signal(ticks: Ticks, line: Asked, risk: SignalRisk) -> Chosen:
    """Everything that is told of the chosen signal alone."""
    bounds, names, frames, slow = _by_dose(ticks, line)
    enough = frames.sum(axis=1) >= FEWEST_IN_A_DOSE
    shown = (
        proportions(frames[enough], slow[enough])
        if enough.any() and line.met.windows >= FEWEST_WINDOWS
        else []
    )
    places = np.flatnonzero(enough).tolist() if shown else []
    found = line.lag if line.lag is not None else lags_of(ticks, line)
    one = lag_ticks(line.signal) * TICK_NS / NS
    readings = line.signal
    threshold = line.threshold
    mean, low, high = _course(readings, risk)
    return Chosen(
        name=risk.name,
        doses=[
            Dose(*bounds[place], share.share, (share.low, share.high), share.frames, share.slow, names[place])
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
        line=mean,
        above=[] if threshold is None else _above(readings, mean, threshold),
        lowest=low,
        highest=high,
    )


def _above(signal: Signal, mean: Line, threshold: float) -> list[tuple[float, float]]:
    """When the signal was above; of what frames carry, which may change from one to the next, when most of it
    was."""
    if not signal.of_frames:
        return stretches(signal.times_ns, signal.values > threshold, signal.spacing_ns)
    known = [(x, y) for x, y in zip(mean.x, mean.y, strict=True) if y is not None]
    if len(known) < 2:
        return []
    times = np.array([x for x, _ in known]) * NS
    apart = int(np.median(np.diff(times)))
    return stretches(times.astype(np.int64), np.array([y for _, y in known]) > threshold, apart)


def _by_dose(ticks: Ticks, line: Asked) -> tuple[list[tuple[float, float]], list[str | None], Floats, Floats]:
    """Each dose's ends and name (None for a number), and its frames and slow frames in each window."""
    signal = line.signal
    if signal.attribute is not None:
        texts = ticks.attributes[signal.attribute]
        frames, slow = by_value(ticks, texts)
        order = np.argsort(texts.names)
        names: list[str | None] = [texts.names[place] for place in order.tolist()]
        ends = [(float(texts.names[at] == signal.value),) * 2 for at in order.tolist()]
        return ends, names, frames[order], slow[order]
    bounds, step = doses(line.met)
    cell = line.met.window * len(bounds) + step
    counted: list[Floats] = [
        np.bincount(cell, weights=what, minlength=line.met.windows * len(bounds))
        .astype(np.float64)
        .reshape(line.met.windows, len(bounds))
        .T
        for what in (line.met.frames, line.met.slow)
    ]
    return bounds, [None] * len(bounds), counted[0], counted[1]


def _course(signal: Signal, risk: SignalRisk) -> tuple[Line, Line | None, Line | None]:
    """The readings over time; of many the mean of each step, and its lowest and highest."""
    times, values, spacing = signal.times_ns, signal.values, signal.spacing_ns / NS
    if len(times) <= (MOST_POINTS if signal.attribute is None else COHORT_STEPS):
        x, y = with_gaps((times / NS).tolist(), values.tolist(), spacing)
        return Line(risk.title, risk.unit, x, y), None, None
    steps = COURSE_STEPS if signal.attribute is None else COHORT_STEPS
    size = max(1, -(-int(times[-1] - times[0] + 1) // steps))
    step = (times - times[0]) // size
    first = np.flatnonzero(np.diff(step, prepend=-1))
    count = np.diff(np.append(first, len(step)))
    ends = ((times[0] + (step[first] + 1) * size) / NS).tolist()
    lines = []
    for name, drawn in (
        (risk.title, np.add.reduceat(values, first) / count),
        ("lowest", np.minimum.reduceat(values, first)),
        ("highest", np.maximum.reduceat(values, first)),
    ):
        lines.append(Line(name, risk.unit, *with_gaps(ends, drawn.tolist(), max(spacing, size / NS))))
    return lines[0], lines[1], lines[2]
