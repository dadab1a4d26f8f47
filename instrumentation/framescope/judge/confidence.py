"""How sure a verdict is: how often verdicts like it were right, where the truth was known.

What tells right verdicts from wrong ones is how much of the loss went to the cause that was named. That
share, less where the evidence itself can be fooled, is the raw confidence; a table fitted to the truth
suite's development runs (``tests/truth/calibrate.py``) turns it into the part of such verdicts that were
right.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

KNOTS: Final[Sequence[tuple[float, float]]] = ((0.0, 0.0), (1.0, 1.0))
"""Raw confidence and how often it was right, both rising; between two of them it is a straight line."""


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
