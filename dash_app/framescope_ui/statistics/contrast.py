"""Whether slow frames and frames on time differ in something, from a weighted sample of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framescope_ui.statistics.long_run import (
    FEWEST_INDEPENDENT,
    FEWEST_WINDOWS,
    Floats,
    cosines,
    independent,
    quantile,
    sum_variance,
    two_sided,
)

WINDOWS = 128
"""Stretches of time a sample is cut into: what hangs together for longer is seen by the cosines."""
FEWEST = 20
"""Frames of either kind below which nothing is compared."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Means of slow frames and of those on time, their difference, its interval, the p-value of none."""

    slow: float
    on_time: float
    difference: float
    low: float
    high: float
    p: float


def contrast(
    value: Floats, slow: npt.NDArray[np.bool_], weight: Floats, window: npt.NDArray[np.int64]
) -> Contrast | None:
    """The difference in the weighted mean of ``value``; None where there is too little, or no difference at
    all.

    ``window`` says in which of ``WINDOWS`` stretches of time a frame lies (``windows_of``). The difference
    over its standard error (``long_run.sum_variance``, at least that of independent frames) is compared with
    Student's t.
    """
    if min(int(slow.sum()), int((~slow).sum())) < FEWEST or np.ptp(value) == 0 or WINDOWS < FEWEST_WINDOWS:
        return None
    w1, w0 = float(weight[slow].sum()), float(weight[~slow].sum())
    if w1 <= 0 or w0 <= 0:
        return None
    apart = value - value.mean()
    # A mode that was switched once is worth about two values, however many frames there are.
    if independent(_by_window(apart, window), len(value) * float((apart**2).sum())) < FEWEST_INDEPENDENT:
        return None
    # Both kinds count alike, however rare slow frames are: else the test would hear only of those on time.
    even = weight / np.where(slow, 2 * w1, 2 * w0)
    m1, m0 = float((value * even)[slow].sum() * 2), float((value * even)[~slow].sum() * 2)
    side = np.where(slow, 1.0, -1.0)
    own = 2 * side * even * (value - np.where(slow, m1, m0))
    variance, degrees = sum_variance(cosines(_by_window(own, window)), WINDOWS)
    least = float(np.ptp(value)) ** 2 * sum(_least(int(kind.sum())) for kind in (slow, ~slow))
    error = float(np.sqrt(max(float(variance[0]), float((own**2).sum()), least)))
    difference = m1 - m0
    p = float(two_sided(difference / error, degrees[0]))
    half = float(quantile(degrees[0])) * error
    return Contrast(m1, m0, difference, difference - half, difference + half, p)


def _least(frames: int) -> float:
    """The variance of a share of which none, or all, were seen: as if half a frame were the other way."""
    share = 0.5 / (frames + 1)
    return share * (1 - share) / frames


def windows_of(times_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The stretch of time each frame lies in, as many frames in each: samples are dense here and thin
    there."""
    place = np.empty(len(times_ns), np.int64)
    place[np.argsort(times_ns, kind="stable")] = np.arange(len(times_ns)) * WINDOWS // max(len(times_ns), 1)
    return place


def _by_window(values: Floats, window: npt.NDArray[np.int64]) -> Floats:
    return np.bincount(window, weights=values, minlength=WINDOWS).astype(np.float64)


def ranks(value: Floats, slow: npt.NDArray[np.bool_], weight: Floats) -> Floats:
    """Each value's place among all of them, both kinds counting alike; equal values share theirs.

    Scaled so that ``contrast`` of it is Cliff's delta (1993, Psychol. Bull. 114): how much oftener a slow
    frame has the greater value than a frame on time, −1 to 1.
    """
    w1, w0 = float(weight[slow].sum()), float(weight[~slow].sum())
    even = weight / np.where(slow, 2 * w1, 2 * w0)
    _, place = np.unique(value, return_inverse=True)
    mass = np.bincount(place, weights=even)
    found: Floats = 2 * (np.cumsum(mass) - mass / 2)[place]
    return found


def median(value: Floats, weight: Floats) -> float:
    """The weighted median."""
    order = np.argsort(value, kind="stable")
    passed = np.cumsum(weight[order])
    return float(value[order][min(int(np.searchsorted(passed, passed[-1] / 2)), len(value) - 1)])
