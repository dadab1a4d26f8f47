"""Whether as many frames come out as go in, and where that is going."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

Trend = Literal["growing", "shrinking", "steady"]

TREND_SECONDS = 60.0
"""The time over which a trend is looked for."""
LEAST_CHANGE = 0.1
"""Frames per second that the gap must change in that time to be worth a word."""
CERTAIN = 3.0
"""Standard errors that the slope must be away from 0: of 400 steady minutes no more than 8 may be said to go
somewhere (``test_sync_and_heat``)."""


def gap(rate_in: Sequence[float | None], rate_out: Sequence[float | None]) -> list[float | None]:
    """Frames in minus frames out, per second, in each step where both are known."""
    return [None if i is None or o is None else i - o for i, o in zip(rate_in, rate_out, strict=True)]


def trend(gaps: Sequence[float | None], step_seconds: float) -> Trend | None:
    """Where the gap went in the last minute; None where too little of it is known to say.

    The slope of a straight line by least squares, against its standard error.
    """
    last = gaps[-max(1, round(TREND_SECONDS / step_seconds)) :]
    known = [(i * step_seconds, value) for i, value in enumerate(last) if value is not None]
    if len(known) < max(8, len(last) // 2):
        return None
    x, y = np.asarray(known).T
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (len(known) - 2) / float(x @ x))
    change = slope * TREND_SECONDS
    if abs(change) < LEAST_CHANGE or abs(slope) < CERTAIN * error:
        return "steady"
    return "growing" if change > 0 else "shrinking"
