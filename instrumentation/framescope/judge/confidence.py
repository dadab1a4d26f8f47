"""How sure a verdict is: how often verdicts like it were right, where the truth was known.

What tells right verdicts from wrong ones is how much of the loss went to the cause that was named. That
share, less where noise is as large, is the raw confidence; a table fitted to the truth suite's development
runs (``tests/truth/calibrate.py``) turns it into the part of such verdicts that were right. Where the
evidence itself can be fooled it is less.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from framescope.judge.model import Frame

EVENT_PAIR_ONLY: Final = 0.65
"""GPU causes named from device readings over 1/6 s, without the frame's own busy and wait."""
KNOCKED_ONLY: Final = 0.65
"""The interpreter lock named from knocks alone: beside a thread that computes in Python all the time a wait
for a pipe looks the same, and 56 of 85 of those were called the lock; beside one that computes in C none
of 134."""
KNOTS: Final[Sequence[tuple[float, float]]] = (
    (0.000, 0.000), (0.219, 0.460), (0.351, 0.460), (0.352, 0.635), (0.390, 0.635), (0.391, 0.651),
    (0.419, 0.651), (0.421, 0.810), (0.448, 0.844), (0.485, 0.857), (0.515, 0.895), (0.566, 0.920),
    (0.605, 0.927), (0.636, 0.952), (0.650, 0.957), (0.687, 0.968), (0.733, 0.972), (0.773, 0.993),
    (1.000, 0.993),
)  # fmt: skip
"""Raw confidence and how often it was right, both rising; between two of them it is a straight line. Fitted
to 2 754 verdicts of seed 2 of the truth suite (four shapes, 15 faults): off by 0.4 % there; fitted to three
of the shapes, off by 3 to 8 % on the fourth."""


def calibrated(raw: float, knots: Sequence[tuple[float, float]] | None = None) -> float:
    """The share of verdicts of this raw confidence that were right; both 0 to 1."""
    table = KNOTS if knots is None else knots
    place = bisect_right(table, raw, key=lambda knot: knot[0])
    if place == 0:
        return table[0][1]
    if place == len(table):
        return table[-1][1]
    (low, from_), (high, to) = table[place - 1], table[place]
    return from_ + (to - from_) * (raw - low) / (high - low)


def confidence(frame: Frame, cause: str, share: float, lost_ns: int) -> float:
    """How likely this cause is the right one, 0 to 1; ``share`` is its part of what was lost."""
    noise = frame.noise_ns or 0
    stands_out = lost_ns / (lost_ns + 2 * noise) if noise else 1.0
    return round(calibrated(share * stands_out) * _trusted(frame, cause), 3)


def _trusted(frame: Frame, cause: str) -> float:
    if cause in ("gpu_contention", "gpu_throttle") and all(
        stage.gpu.busy_ns is None for stage in frame.stages if stage.gpu is not None
    ):
        return EVENT_PAIR_ONLY
    seen = any(stage.waited_in for stage in frame.stages) or any(one.lock_ns for one in frame.segments)
    if cause == "python_gil" and not seen:
        return KNOCKED_ONLY
    return 1.0
