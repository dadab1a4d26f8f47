"""NVML's value union, percentages, and counters that wrap."""

from __future__ import annotations

from typing import Any, Final

_MEMBERS: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Member of NVML's value union by NVML's value type."""
_BITS: Final = (0, 32, 64, 64, 0, 0, 16)
"""Width of the counters of each value type; 0 where it is none that wraps."""


def union(kind: int, value: Any) -> float:
    """A number out of NVML's value union, by its type."""
    number: float = getattr(value, _MEMBERS[kind] if 0 <= kind < len(_MEMBERS) else "ullVal")
    return number


def bits(kind: int) -> int:
    """Width of a counter of this value type; 0 where it does not wrap."""
    return _BITS[kind] if 0 <= kind < len(_BITS) else 64


def percent(value: float) -> float:
    """Whole percent as a ratio from 0 to 1; NVML gives 101 and more at times."""
    return min(1.0, max(0.0, value / 100))


class Unwrapped:
    """A counter that may wrap or start anew, as one that only grows.

    A step back of a counter of 32 bits or less is a wrap: it starts anew only with its device, whose
    counters are then read from the beginning. One of 64 bits does not live to wrap: it started anew, and
    is counted on from there. What wraps more than once between two readings is counted too low, never too
    high: 32 bits of bytes hold 0.2 s at 21 GB/s.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._total = 0

    def read(self, value: int, width: int) -> int:
        """The count so far, given the newest reading and its width in bits (0: it does not wrap)."""
        last, self._last = self._last, value
        if last is None:
            self._total = value
        elif value >= last:
            self._total += value - last
        elif 0 < width <= 32:
            self._total += value + (1 << width) - last
        return self._total
