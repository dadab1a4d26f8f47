"""How latency was spread, stretch by stretch: frames counted by latency and time.

The rows are the buckets of the histograms on the wire (three an octave), so that a range of which only
histograms are known looks the same as one of which every frame is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from framescope.signals import HISTOGRAM_BOUNDS
from framescope_ui.backends.protocols import HistogramSeries
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS, seconds
from framescope_ui.questions.views import Heat

MOST_COLUMNS = 120
"""More cannot be told apart on a wide screen's lane of some 600 px."""


def width_ns(start_ns: int, end_ns: int) -> int:
    """How long one column is: whole seconds, and no more columns than can be told apart."""
    return max(1, -(-(end_ns - start_ns) // (MOST_COLUMNS * NS))) * NS


def heat_of_frames(frames: Latencies, start_ns: int, end_ns: int) -> Heat | None:
    """The finished frames by when they ended; None without any."""
    done = frames.only(frames.finished)
    width = width_ns(start_ns, end_ns)
    first, columns = start_ns // width, -(-end_ns // width) - start_ns // width
    column = done.end_ns // width - first
    within = (column >= 0) & (column < columns)
    if not within.any():
        return None
    row = np.searchsorted(HISTOGRAM_BOUNDS, done.latency_ns[within] / NS, side="left")
    rows = len(HISTOGRAM_BOUNDS) + 1
    counts = np.bincount(row * columns + column[within], minlength=rows * columns).reshape(rows, columns)
    return _heat(HISTOGRAM_BOUNDS, counts.astype(np.float64), first * width, width)


def heat_of_histograms(series: Sequence[HistogramSeries], start_ns: int, end_ns: int) -> Heat | None:
    """The steps of histograms by when they ended; None without any.

    A step longer than a column fills all columns it covers, each with its part. Histograms on other bounds
    than the first one's are left out: buckets that differ cannot be summed.
    """
    bounds = next((tuple(one.bounds) for one in series if len(one.times_ns)), None)
    if bounds is None:
        return None
    width = width_ns(start_ns, end_ns)
    first, columns = start_ns // width, -(-end_ns // width) - start_ns // width
    counts = np.zeros((len(bounds) + 1, columns))
    for one in series:
        if tuple(one.bounds) != bounds:
            continue
        ends = list(one.times_ns)
        step = min((b - a for a, b in pairwise(ends)), default=width)
        for end, row in zip(ends, one.counts, strict=True):
            last = (end - 1) // width - first
            covered = [c for c in range((end - step) // width - first, last + 1) if 0 <= c < columns]
            for column in covered:
                counts[:, column] += np.asarray(row, np.float64) / len(covered)
    return _heat(bounds, counts, first * width, width) if counts.any() else None


def _heat(bounds: Sequence[float], counts: npt.NDArray[np.float64], start_ns: int, width: int) -> Heat:
    """Without the rows beyond the fastest and the slowest frame; a column without frames is unknown."""
    filled = np.flatnonzero(counts.any(axis=1))
    low, high = int(filled[0]), int(filled[-1]) + 1
    empty: list[bool] = (counts.sum(axis=0) == 0).tolist()
    edges = [0.0, *bounds, float("inf")]
    return Heat(
        start=seconds(start_ns),
        column_seconds=seconds(width),
        bounds=edges[low : high + 1],
        counts=[
            [None if blank else float(n) for n, blank in zip(row, empty, strict=True)]
            for row in counts[low:high].tolist()
        ],
    )
