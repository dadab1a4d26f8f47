"""The last minutes in equal steps: frames counted and ranked, readings averaged.

A step nobody knows anything about is ``None``; a step in which provably no frame came out is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framescope_ui.backends.protocols import Series
from framescope_ui.questions.gaps import GAP_SPACINGS, usual_spacing, with_gaps
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.quantiles import exact_quantile, ranked
from framescope_ui.questions.stores import NS, seconds
from framescope_ui.questions.views import Line

Values = list[float | None]

STALL_SECONDS = 10.0
"""A live emitter whose newest frame is older than this has stalled: records come each second, but may be
sent again some seconds later than metrics after a store was away."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Equal steps; step ``i`` is ``[start + i·step, start + (i+1)·step)`` and drawn at its end."""

    start_ns: int
    step_ns: int
    size: int

    @classmethod
    def over(cls, start_ns: int, end_ns: int, step_ns: int) -> Grid:
        """Whole steps, aligned to multiples of the step, that lie within the range."""
        first = -(-start_ns // step_ns)
        return cls(first * step_ns, step_ns, max(0, end_ns // step_ns - first))

    @property
    def times(self) -> list[float]:
        """Unix seconds of the steps' ends."""
        ends: list[float] = ((self.start_ns + np.arange(1, self.size + 1) * self.step_ns) / NS).tolist()
        return ends

    def index(self, times_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The step of each time; −1 or ``size`` and more outside."""
        return (times_ns - self.start_ns) // self.step_ns

    def counts(self, times_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many of the times fall into each step."""
        at = self.index(times_ns)
        return np.bincount(at[(at >= 0) & (at < self.size)], minlength=self.size)


def rates(
    grid: Grid, times_ns: npt.NDArray[np.int64], frame_ids: npt.NDArray[np.int64], alive: Sequence[bool]
) -> Values:
    """Frames per second in each step.

    An empty step is 0 where the frames before and after it are neighbours (nothing is missing between
    them) or where the emitter was ``alive``; else nobody knows. Where a stretch of frames is missing (its
    record has not come, or was lost) no step that it reaches into is known. The first step with frames is
    left out unless it begins with the range: it is only partly covered.
    """
    if grid.size == 0:
        return []
    counts = grid.counts(times_ns)
    order = np.argsort(times_ns, kind="stable")
    times, ids = times_ns[order], frame_ids[order]
    per_second = NS / grid.step_ns
    found: Values = []
    torn = _torn(grid, times, ids)
    for step, (broken, count) in enumerate(zip(torn.tolist(), counts.tolist(), strict=True)):
        if broken:
            found.append(None)
            continue
        if count:
            found.append(float(count * per_second))
            continue
        begin = grid.start_ns + step * grid.step_ns
        after = int(np.searchsorted(times, begin))
        between = 0 < after < times.size
        unbroken = between and int(ids[after]) - int(ids[after - 1]) == 1
        found.append(0.0 if unbroken or (after > 0 and alive[step]) else None)
    first = int(np.argmax(counts > 0)) if counts.any() else 0
    if times.size and times[0] > grid.start_ns + first * grid.step_ns + grid.step_ns // 20:
        found[first] = None
    return found


def _torn(grid: Grid, times: npt.NDArray[np.int64], ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """The steps a stretch of missing frames touches: numbers that go on higher after more than half a step.

    A single missing number is no stretch: frames that overtake each other look like that.
    """
    torn = np.zeros(grid.size, np.bool_)
    if times.size < 2:
        return torn
    apart = np.diff(times)
    spacing, spare = int(np.median(apart)), grid.step_ns // 10
    for at in np.flatnonzero((np.diff(ids) > 1) & (apart > grid.step_ns // 2)).tolist():
        # From where the next frame was due to the one that is there; a sliver of a step does not count.
        missing = np.array([times[at] + spacing + spare, times[at + 1] - 1 - spare], np.int64)
        first, last = grid.index(missing).tolist()
        torn[max(0, first) : max(0, last + 1)] = True
    return torn


def quantiles(grid: Grid, frames: Latencies, qs: Sequence[float]) -> list[Values]:
    """The exact latency quantiles, s, of the frames that finished in each step; one list per ``q``."""
    done = frames.only(frames.finished)
    at = grid.index(done.end_ns)
    order = np.argsort(at, kind="stable")
    at, latency = at[order], done.latency_ns[order] / NS
    edges = np.searchsorted(at, np.arange(grid.size + 1))
    found: list[Values] = [[None] * grid.size for _ in qs]
    for step in range(grid.size):
        here = np.sort(latency[edges[step] : edges[step + 1]])
        for values, q in zip(found, qs, strict=True):
            values[step] = ranked(here, q)
    return found


def trailing(grid: Grid, frames: Latencies, span_ns: int, q: float) -> tuple[Values, Values]:
    """At each step's end, over the ``span_ns`` before it: the latency quantile, and the share of slow."""
    done = frames.only(frames.finished)
    order = np.argsort(done.end_ns, kind="stable")
    ends, latency, slow = done.end_ns[order], done.latency_ns[order] / NS, done.slow[order]
    until = grid.start_ns + np.arange(1, grid.size + 1) * grid.step_ns
    lows, highs = np.searchsorted(ends, until - span_ns), np.searchsorted(ends, until)
    before = np.concatenate([[0], np.cumsum(slow)])
    shares = (before[highs] - before[lows]) / np.maximum(highs - lows, 1)
    places = list(zip(lows.tolist(), highs.tolist(), strict=True))
    quantile = [exact_quantile(latency[low:high], q) for low, high in places]
    share = [one if high > low else None for one, (low, high) in zip(shares.tolist(), places, strict=True)]
    return quantile, share


def alive(grid: Grid, series: Sequence[Series]) -> list[bool]:
    """In which steps the emitter gave a sign of life: a reading in it or its usual spacing around it."""
    marks = np.zeros(grid.size, np.bool_)
    for one in series:
        times = np.asarray(one.times_ns, np.int64)
        spacing = usual_spacing([seconds(t) for t in one.times_ns]) or 0.0
        reach = int(np.ceil(spacing * NS / grid.step_ns))
        steps = np.unique(grid.index(times))
        for step in steps[(steps >= -reach) & (steps < grid.size + reach)]:
            marks[max(0, int(step) - reach) : max(0, int(step) + reach + 1)] = True
    return [bool(mark) for mark in marks]


def averaged(grid: Grid, series: Series) -> Values:
    """The mean reading of each step; None where there is none."""
    times = np.asarray(series.times_ns, np.int64)
    values = np.asarray(series.values, np.float64)
    at = grid.index(times)
    within = (at >= 0) & (at < grid.size) & np.isfinite(values)
    counts = np.bincount(at[within], minlength=grid.size)
    sums = np.bincount(at[within], weights=values[within], minlength=grid.size)
    means = (sums / np.maximum(counts, 1)).tolist()
    return [mean if count else None for mean, count in zip(means, counts.tolist(), strict=True)]


def held(values: Values) -> Values:
    """The values with short holes filled by the last one: a slow series on a fast grid.

    A hole longer than ``GAP_SPACINGS`` usual spacings of the readings stays a hole.
    """
    known = [i for i, value in enumerate(values) if value is not None]
    reach = GAP_SPACINGS * (usual_spacing([float(i) for i in known]) or 1.0)
    filled: Values = []
    last: int | None = None
    for i, value in enumerate(values):
        if value is not None:
            last = i
        filled.append(values[last] if last is not None and i - last < reach else None)
    return filled


def grid_line(grid: Grid, name: str, unit: str, values: Values) -> Line:
    """A line over the grid, without the empty steps but with their gaps."""
    points = [(t, v) for t, v in zip(grid.times, values, strict=True) if v is not None]
    x, y = with_gaps([t for t, _ in points], [v for _, v in points])
    return Line(name=name, unit=unit, x=x, y=y)
