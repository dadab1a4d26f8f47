"""Which comes first: the correlation of a signal with slow frames at each lag, without what each owes to
itself.
 Two series that change slowly correlate at every lag. So the signal's own course is predicted from its past
(an autoregression) and both series are put through that filter first ("prewhitening": Box and Jenkins 1970,
ch. 11). How certain the correlations are is found by drawing blocks of time again and again (block bootstrap:
Künsch 1989, Ann. Stat. 17).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framescope_ui.statistics.long_run import Floats

ORDER = 10
"""Past steps a step is predicted from: a second of readings at 10 Hz."""
MOST_STEPS = 20
"""Lags looked at to either side: two seconds of readings at 10 Hz."""
BLOCK_STEPS = 60
"""Steps of a block, three times the longest lag."""
FEWEST_BLOCKS = 10
DRAWS = 400
LONGEST_SHARE = 0.5
"""A lag whose interval covers more of the lags looked at than this is no finding."""


@dataclass(frozen=True, slots=True)
class Lags:
    """Correlation at each lag, in steps; positive: the signal comes first. ``low`` and ``high`` are its 95 %
    band.

    ``chance`` is what the strongest of all correlations stays below in 95 of 100 cases without any
    connection. ``peak`` is the lag in steps with its interval; None where nothing can be claimed.
    """

    steps: npt.NDArray[np.int64]
    correlation: Floats
    low: Floats
    high: Floats
    chance: float
    peak: int | None
    peak_low: int
    peak_high: int


def lags(signal: Floats, slow: Floats, rising: bool = True, seed: int = 1) -> Lags | None:
    """``signal`` and ``slow`` (slow frames beyond expectation) in equal steps, NaN where unknown.

    ``rising``: slow frames come with high values; else with low ones. None where the signal never changes or
    the range is too short.
    """
    known = np.isfinite(signal) & np.isfinite(slow)
    blocks = len(signal) // BLOCK_STEPS
    if blocks < FEWEST_BLOCKS or known.sum() < BLOCK_STEPS * FEWEST_BLOCKS:
        return None
    x = np.where(known, signal - signal[known].mean(), 0.0)
    y = np.where(known, slow - slow[known].mean(), 0.0)
    spread = float(np.sqrt((x * x).mean()))
    if spread == 0 or not y.any():
        return None
    past = _prediction(x / spread)
    own = _unpredicted(x / spread, past)
    other = _unpredicted(y, past)
    # What was not known has no part in it, nor what was predicted from it.
    doubtful = np.convolve(~known, np.ones(ORDER + 1))[: len(known)] > 0
    own[doubtful] = other[doubtful] = 0.0
    norm = float(np.sqrt((own**2).sum() * (other**2).sum()))
    if norm == 0:
        return None
    steps = np.arange(-MOST_STEPS, MOST_STEPS + 1)
    padded = np.concatenate([np.zeros(MOST_STEPS), other, np.zeros(MOST_STEPS)])
    # One lag after the other: all at once, a day of readings at 10 Hz took 0.6 GB and three times the CPU.
    by_block = np.empty((len(steps), blocks))
    whole = blocks * BLOCK_STEPS
    for row, k in enumerate(steps):
        products = own[:whole] * padded[MOST_STEPS + k : MOST_STEPS + k + whole]
        by_block[row] = products.reshape(blocks, BLOCK_STEPS).sum(axis=1) / norm
    correlation = by_block.sum(axis=1)
    # Each draw takes as many blocks as there are, some twice, some not at all.
    drawn = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS)
    again = drawn @ by_block.T
    error = again.std(axis=0)
    low, high = np.quantile(again, (0.025, 0.975), axis=0)
    scaled = np.divide(np.abs(again - correlation), error, out=np.zeros_like(again), where=error > 0)
    reach = float(np.quantile(scaled.max(axis=1), 0.95))
    sign = 1.0 if rising else -1.0
    peak = int(np.argmax(sign * correlation))
    peaks = np.argmax(sign * again, axis=1)
    first, last = (int(steps[round(q)]) for q in np.quantile(peaks, (0.025, 0.975)))
    chance = reach * float(np.median(error))
    clear = sign * correlation[peak] > reach * error[peak] and error[peak] > 0
    sharp = last - first <= LONGEST_SHARE * (len(steps) - 1)
    return Lags(
        steps, correlation, low, high, chance, int(steps[peak]) if clear and sharp else None, first, last
    )


def _prediction(x: Floats) -> Floats:
    """Weights of the past steps in the best prediction of a step (Yule and Walker)."""
    from scipy.linalg import solve_toeplitz

    autocovariance = np.array([float(x[: len(x) - k] @ x[k:]) for k in range(ORDER + 1)]) / len(x)
    # A hair of white noise keeps a signal that is nearly constant from being predicted from its rounding.
    autocovariance[0] *= 1 + 1e-6
    found: Floats = solve_toeplitz(autocovariance[:-1], autocovariance[1:])
    return found


def _unpredicted(x: Floats, past: Floats) -> Floats:
    """What is left of each step after its prediction; 0 for the first ones, which have no past."""
    rest = np.convolve(x, np.concatenate([[1.0], -past]))[: len(x)]
    rest[:ORDER] = 0.0
    return rest
