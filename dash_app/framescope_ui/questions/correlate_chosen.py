"""The signal that Correlate looks at closely: its doses, its lags, its course."""

from __future__ import annotations

import numpy as np
from tsdownsample import MinMaxDownsampler

from framescope_ui.questions.correlate_risk import Asked, lag_ticks, lags_of
from framescope_ui.questions.correlate_signals import TICK_NS, Signal, Ticks, doses, stretches
from framescope_ui.questions.correlate_views import Chosen, Dose, LagCurve, SignalRisk
from framescope_ui.questions.gaps import with_gaps
from framescope_ui.questions.stores import NS
from framescope_ui.questions.views import Line
from framescope_ui.statistics.long_run import FEWEST_WINDOWS
from framescope_ui.statistics.risk import proportions

MOST_POINTS = 1000

FEWEST_IN_A_DOSE = 50


def chosen_signal(ticks: Ticks, line: Asked, risk: SignalRisk) -> Chosen:
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
    found = line.lag if line.lag is not None else lags_of(ticks, line)
    one = lag_ticks(line.signal) * TICK_NS / NS
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
