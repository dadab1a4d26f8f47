"""Quantiles, exact from single latencies and bounded from histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from framescope_ui.backends.protocols import HistogramSeries


def exact_quantile(values: npt.NDArray[np.float64], q: float) -> float | None:
    """The ``q`` quantile of single readings; None without any.

    It is one of the readings (the smallest that at least a share ``q`` does not exceed), never a mean of
    two: a latency shown is a latency that happened.
    """
    if not values.size:
        return None
    place = _place(values.size, q)
    return float(np.partition(values, place)[place])


def ranked(ordered: npt.NDArray[np.float64], q: float) -> float | None:
    """The same of readings in ascending order: ``numpy.quantile`` costs thirty times as much on sixty."""
    return float(ordered[_place(ordered.size, q)]) if ordered.size else None


def _place(size: int, q: float) -> int:
    # The slack keeps 0.95 · 20, which is 19.000000000000004 in floats, from counting as 20.
    return max(0, math.ceil(q * size - 1e-9) - 1)


def histogram_quantile(bounds: Sequence[float], counts: Sequence[float], q: float) -> float | None:
    """The ``q`` quantile as far as a histogram tells it; None without any reading.

    Linear inside the bucket and never beyond it. Above the last bound a histogram knows only "more
    than that", so the last bound is the answer: a lower limit of the true value.
    """
    if len(counts) != len(bounds) + 1:
        raise ValueError(f"{len(bounds)} bounds need {len(bounds) + 1} counts, not {len(counts)}")
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile is between 0 and 1, not {q}")
    total = float(sum(max(count, 0.0) for count in counts))
    if total <= 0 or not bounds:
        return None
    rank, seen = q * total, 0.0
    for index, count in enumerate(counts):
        if count <= 0:
            continue
        if seen + count >= rank:
            if index == len(bounds):
                return float(bounds[-1])
            low = float(bounds[index - 1]) if index else min(0.0, float(bounds[0]))
            high = float(bounds[index])
            return min(max(low + (high - low) * (rank - seen) / count, low), high)
        seen += count
    return float(bounds[-1])


def merged_counts(series: Sequence[HistogramSeries], after_ns: int) -> tuple[Sequence[float], list[float]]:
    """Bounds and summed counts of the steps that end after ``after_ns``.

    Histograms on other bounds than the first one's are left out: buckets that differ cannot be summed.
    """
    bounds: Sequence[float] = ()
    total: list[float] = []
    for one in series:
        for end_ns, counts in zip(one.times_ns, one.counts, strict=True):
            if end_ns <= after_ns:
                continue
            if not total:
                bounds, total = tuple(one.bounds), [0.0] * len(counts)
            if tuple(one.bounds) == tuple(bounds):
                total = [a + b for a, b in zip(total, counts, strict=True)]
    return bounds, total
