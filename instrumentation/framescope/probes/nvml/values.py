"""NVML's value union, percentages, and counters that wrap."""

from __future__ import annotations

from typing import Any, Final

_MEMBERS: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Member of NVML's value union by NVML's value type."""
_BITS: Final = (0, 32, 64, 64, 0, 0, 16)
"""Width of the counters of each value type; 0 where it is none that wraps."""
FASTEST_LINK: Final = 128e9
"""Bytes a second over the fastest link there is, PCIe 6 with 16 lanes: no counter of bytes moves faster."""
NS: Final = 1e9


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
    """A counter of bytes that may wrap or start anew, as one that only grows.

    A step back is a wrap where the bytes it then means fit through the fastest link in the time passed;
    else the counter started anew, and what went by before is not known: counted on from there. A counter
    that wraps more than once between two readings is counted too low, never too high.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._more = 0
        self._base = 0

    def read(self, value: int, width: int, now_ns: int) -> int:
        """The bytes so far, given the newest reading and its width in bits."""
        last, self._last = self._last, (value, now_ns)
        if last is None:
            self._base = value
        elif value >= last[0]:
            self._more += value - last[0]
        elif width:
            wrapped = value + (1 << width) - last[0]
            if wrapped <= FASTEST_LINK * max(0, now_ns - last[1]) / NS:
                self._more += wrapped
        return self._base + self._more
