"""How much likelier a slow frame is under a condition, and how likely it is at each dose of a signal.

All frames are counted into windows of time, so that what hangs together stays together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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

FEWEST_SLOW = 10
"""Slow frames below which no ratio is estimated."""
FEWEST_FRAMES = 100
"""Frames on either side of a condition below which no ratio is estimated."""
_RATIOS = np.exp(np.linspace(math.log(1e-3), math.log(1e3), 277))
"""Ratios that are tried, 5 % apart; where the border lies between two of them is interpolated."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Frames and slow frames of each window of time, under a condition and not under it."""

    frames_under: Floats
    slow_under: Floats
    frames_else: Floats
    slow_else: Floats


@dataclass(frozen=True, slots=True)
class RiskRatio:
    """P(slow | condition) over P(slow | not), with its interval and the p-value of "no difference".

    ``estimate`` is None where no frame was slow without the condition; ``low`` then still holds. ``low`` is 0
    and ``high`` infinite where the data set no border.
    """

    estimate: float | None
    low: float
    high: float
    p: float
    frames_under: int
    slow_under: int
    frames_else: int
    slow_else: int


def risk_ratio(windows: Windows, confidence: float = 0.95) -> RiskRatio | None:
    """The ratio with an interval that respects how frames hang together; None where there is too little.

    The interval holds every ratio that a score test does not reject: for a ratio r, frames under the
    condition are expected slow r times as often, U = Σ (condition − its weighted mean) · (slow − expected),
    and U over its standard error (``long_run.sum_variance``, at least the binomial one) is compared with
    Student's t. It is the score of a log-linear model (Breslow and Day 1987, ch. 4) with a variance that
    allows dependence.
    """
    parts = _with_frames(windows)
    n1, n0, y1, y0 = (float(total) for total in parts.sum(axis=1))
    length = parts.shape[1]
    if y1 + y0 < FEWEST_SLOW or min(n1, n0) < FEWEST_FRAMES or length < FEWEST_WINDOWS:
        return None
    spectra = cosines(parts)
    distance, p_one = _rejections(spectra, length, n1, n0, y1, y0, confidence)
    accepted = np.flatnonzero(distance <= 1)
    estimate = (y1 / n1) / (y0 / n0) if y0 else None
    if not len(accepted):  # between two ratios that were tried, or beyond them all: very many frames
        low, high = _between(estimate)
    else:
        low = 0.0 if accepted[0] == 0 else _border(distance, int(accepted[0]) - 1)
        last = int(accepted[-1])
        high = math.inf if last == len(_RATIOS) - 1 else _border(distance, last)
    if estimate is not None:
        low, high = min(low, estimate), max(high, estimate)
    return RiskRatio(estimate, low, high, p_one, int(n1), int(y1), int(n0), int(y0))


def _with_frames(windows: Windows) -> Floats:
    """Frames under the condition and else, and the slow ones of both, in the windows that have any frame.

    A pipeline that began in the middle of the range, or paused, must not look like something that changed
    once: an hour with ten minutes of frames in it (a ratio of 10, 95 % interval 9 to 12) had p = 0.03.
    """
    parts = np.stack([windows.frames_under, windows.frames_else, windows.slow_under, windows.slow_else])
    found: Floats = parts[:, parts[:2].any(axis=0)]
    return found


def _between(estimate: float | None) -> tuple[float, float]:
    """The interval where every tried ratio is rejected: open where all slow frames are on one side."""
    if estimate is None or estimate > _RATIOS[-1]:
        return float(_RATIOS[-1]), math.inf
    return (0.0, float(_RATIOS[0])) if estimate < _RATIOS[0] else (estimate, estimate)


def changed_often(windows: Windows) -> bool:
    """Whether the condition came and went often enough to tell a connection from chance.

    A condition that changed once is worth about two independent readings, however many there are.
    """
    under, otherwise = _with_frames(windows)[:2]
    n = under + otherwise
    total = float(n.sum())
    share = float(under.sum()) / max(total, 1.0)
    if len(n) < FEWEST_WINDOWS or not 0 < share < 1:
        return False
    alone = share * (1 - share) * total * total
    return independent(under - share * n, alone) >= FEWEST_INDEPENDENT


def _rejections(
    spectra: Floats, length: int, n1: float, n0: float, y1: float, y0: float, confidence: float
) -> tuple[Floats, float]:
    """|statistic| over its critical value at each tried ratio, and the p-value at ratio 1."""
    ratios = np.append(_RATIOS, 1.0)
    base = (y1 + y0) / (n0 + ratios * n1)
    mean = ratios * n1 / (n0 + ratios * n1)
    score = y1 - ratios * base * n1
    weights = np.stack([-(1 - mean) * ratios * base, mean * base, 1 - mean, -mean], axis=1)
    variance, degrees = sum_variance(weights @ spectra, length)
    binomial = (1 - mean) ** 2 * ratios * base * n1 + mean**2 * base * n0
    statistic = score / np.sqrt(np.maximum(variance, binomial))
    distance = np.abs(statistic) / quantile(degrees, confidence)
    return distance[:-1], float(two_sided(statistic[-1], degrees[-1]))


def _border(distance: Floats, at: int) -> float:
    """The ratio between the tried ones ``at`` and ``at + 1`` where the test begins or ends to reject."""
    left, right = float(distance[at]), float(distance[at + 1])
    share = (1 - left) / (right - left) if right != left else 0.5
    return float(_RATIOS[at] * (_RATIOS[at + 1] / _RATIOS[at]) ** share)


@dataclass(frozen=True, slots=True)
class Proportion:
    """A share of frames with its interval. ``effective`` is how many independent frames it is worth."""

    share: float
    low: float
    high: float
    frames: int
    slow: int
    effective: float


def proportions(frames: Floats, slow: Floats, confidence: float = 0.95) -> list[Proportion]:
    """The share of slow frames in each row of ``rows × windows`` counts, with Wilson's interval.

    Wilson 1927 (J. Am. Stat. Assoc. 22), on the effective number of frames: the number there are over the
    design effect, by how much the long-run variance exceeds the binomial one (Kish 1965; as Korn and Graubard
    1998 do for surveys), never below 1. A row with few slow frames cannot tell its own: it takes the greater
    of its own and that of all rows together.
    """
    n, y = frames.sum(axis=1), slow.sum(axis=1)
    length = frames.shape[1]
    if length < FEWEST_WINDOWS:
        raise ValueError(f"{length} windows are too few: at least {FEWEST_WINDOWS} are needed")
    share = y / np.maximum(n, 1)
    overall = y.sum() / max(n.sum(), 1)
    rows = np.vstack([slow - share[:, None] * frames, slow.sum(axis=0) - overall * frames.sum(axis=0)])
    binomial = np.append(share * (1 - share) * n, overall * (1 - overall) * n.sum())
    variance, degrees = sum_variance(cosines(rows), length)
    effect = np.maximum(np.divide(variance, binomial, out=np.ones_like(variance), where=binomial > 0), 1.0)
    own, together = effect[:-1], effect[-1]
    effect = np.where(y < FEWEST_SLOW, np.maximum(own, together), own)
    reach = quantile(np.minimum(degrees[:-1], degrees[-1]), confidence)
    found = []
    for row in range(len(n)):
        effective = float(n[row] / effect[row])
        low, high = wilson(float(share[row]), effective, float(reach[row]))
        found.append(Proportion(float(share[row]), low, high, int(n[row]), int(y[row]), effective))
    return found


def wilson(share: float, effective: float, reach: float) -> tuple[float, float]:
    """Wilson's interval of a share of ``effective`` independent trials, ``reach`` standard errors wide."""
    if effective <= 0:
        return 0.0, 1.0
    square = reach * reach / effective
    middle = (share + square / 2) / (1 + square)
    half = reach / (1 + square) * math.sqrt(share * (1 - share) / effective + square / effective / 4)
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))
