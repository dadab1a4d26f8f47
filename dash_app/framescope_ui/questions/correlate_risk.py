"""One signal of Correlate: how much likelier a slow frame is above its threshold, and which comes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from framescope_ui.questions.correlate_signals import (
    TICK_NS,
    Met,
    Signal,
    Ticks,
    threshold_of,
    under,
    values_on,
)
from framescope_ui.questions.correlate_views import SignalRisk
from framescope_ui.questions.stores import NS
from framescope_ui.statistics.discoveries import LEVEL
from framescope_ui.statistics.lag import Lags, lags
from framescope_ui.statistics.long_run import FEWEST_WINDOWS
from framescope_ui.statistics.risk import (
    FEWEST_FRAMES,
    FEWEST_SLOW,
    RiskRatio,
    changed_often,
    risk_ratio,
)


@dataclass(slots=True)
class Asked:
    """One signal on its way to its line in the answer."""

    signal: Signal
    met: Met
    threshold: float | None
    ratio: RiskRatio | None
    rare: bool = False
    adjusted: float | None = None
    lag: Lags | None = None


def parted(signal: Signal, met: Met) -> Asked:
    threshold = threshold_of(signal, met)
    if threshold is None:
        return Asked(signal, met, None, None)
    windows = under(met, threshold)
    rare = not changed_often(windows)
    return Asked(signal, met, threshold, None if rare else risk_ratio(windows), rare)


def claimed(ratio: RiskRatio | None, p: float | None) -> bool:
    """A finding: unlikely to be chance among all questions, and its interval is without "no difference"."""
    return ratio is not None and p is not None and p <= LEVEL and not ratio.low <= 1.0 <= ratio.high


def lags_of(ticks: Ticks, line: Asked) -> Lags | None:
    ratio = line.ratio
    rising = ratio is None or ratio.estimate is None or ratio.estimate >= 1
    steps = lag_ticks(line.signal)
    if line.signal.of_frames:
        return None  # what a frame carries is of that very frame: there is no lag to it
    value = values_on(ticks, line.signal)
    return lags(_coarser(value, steps), _coarser(ticks.lateness, steps), rising)


def lag_ticks(signal: Signal) -> int:
    """How many ticks one step of the lag is: nothing is finer than the readings."""
    return max(1, round(signal.spacing_ns / TICK_NS))


def _coarser(
    values: np.ndarray[tuple[int], np.dtype[np.float64]], ticks: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if ticks == 1:
        return values
    whole = values[: len(values) // ticks * ticks].reshape(-1, ticks)
    known = np.isfinite(whole)
    count = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, np.where(known, whole, 0.0).sum(axis=1) / count, np.nan)


def risk_of(line: Asked, error: float | None) -> SignalRisk:
    ratio, signal, found = line.ratio, line.signal, line.lag
    step = max(lag_ticks(signal) * TICK_NS / NS, error or 0.0)
    one = lag_ticks(signal) * TICK_NS / NS
    above = (
        line.met.value > line.threshold
        if line.threshold is not None
        else np.zeros(len(line.met.value), np.bool_)
    )
    n_above, n_all = int(line.met.frames[above].sum()), int(line.met.frames.sum())
    slow_above, slow_all = int(line.met.slow[above].sum()), int(line.met.slow.sum())
    peak = None if found is None or found.peak is None else found.peak * one
    return SignalRisk(
        name=signal.name,
        title=signal.title,
        unit=signal.unit,
        threshold=line.threshold,
        risk_ratio=None if ratio is None else ratio.estimate,
        interval=None if ratio is None else ends(ratio),
        n_above=n_above,
        n_below=n_all - n_above,
        slow_above=slow_above,
        slow_below=slow_all - slow_above,
        lag_seconds=peak,
        lag_interval=None if peak is None or found is None else (found.peak_low * one, found.peak_high * one),
        lag_step_seconds=step,
        p=None if ratio is None else ratio.p,
        p_adjusted=line.adjusted,
        claimed=claimed(ratio, line.adjusted),
        why=_why(line, n_all, slow_all) if ratio is None else "",
        simulated=signal.simulated,
        attribute=signal.attribute,
        value=signal.value,
        of_frames=signal.of_frames,
        first=comes_first(found, one, step),
    )


def comes_first(found: Lags | None, one: float, finest: float) -> Literal["signal", "frames"] | None:
    """``signal`` or ``frames``: which of the two comes first; only where the whole interval says so, by a
    step and the clock error at least."""
    if found is None or found.peak is None:
        return None
    # The ends are whole steps in floating point: a hair less than one is one.
    least = finest * 0.999
    if found.peak_low * one >= least:
        return "signal"
    return "frames" if found.peak_high * one <= -least else None


def ends(ratio: RiskRatio) -> tuple[float | None, float | None]:
    """The interval with None for an end the data did not set."""
    return (ratio.low, None if ratio.high == float("inf") else ratio.high)


def _why(line: Asked, frames: int, slow: int) -> str:
    if not frames:
        return "no reading met a frame"
    if line.threshold is None:
        return "it hardly changed"
    if slow < FEWEST_SLOW:
        return f"fewer than {FEWEST_SLOW} slow frames"
    if len(np.unique(line.met.window)) < FEWEST_WINDOWS:
        return "frames met its readings for too short a time"
    if line.rare:
        return "it changed too rarely in this range: choose a longer one"
    return f"fewer than {FEWEST_FRAMES} frames on one side"


def rank(risk: SignalRisk) -> tuple[int, float]:
    """Findings first, then by how sure the effect is: how far the interval's nearer end is from 1."""
    if risk.interval is None:
        return (2, 0.0)
    low, high = risk.interval
    reach = max(np.log(max(low or 0.0, 1e-6)), -np.log(high) if high is not None else -np.inf)
    return (0 if risk.claimed else 1, -float(reach))
