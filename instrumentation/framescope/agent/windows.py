"""Readings over stretches of time, remembered to be asked for one frame's stretch. All times monotonic ns."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

REMEMBERED: Final = 300
"""Readings held: 30 s at 10 Hz, far beyond the settling time of a frame."""


class Amounts:
    """What was found in stretches that follow one another, each on its own."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._amounts: list[int] = []

    def add(self, start_ns: int, end_ns: int, amount: int) -> None:
        """One more stretch. Raises ``ValueError`` for an amount below 0 and for time that goes backwards."""
        if amount < 0 or end_ns <= start_ns or (self._ends and start_ns < self._ends[-1]):
            raise ValueError(f"{amount} from {start_ns} to {end_ns}")
        for values, value in ((self._starts, start_ns), (self._ends, end_ns), (self._amounts, amount)):
            values.append(value)
            if len(values) >= 2 * REMEMBERED:
                del values[:REMEMBERED]

    def over(self, start_ns: int, end_ns: int) -> int | None:
        """All that was found in the stretches that touch this one; None where none does."""
        first, last = bisect_right(self._ends, start_ns), bisect_left(self._starts, end_ns)
        return sum(self._amounts[first:last]) if first < last else None


class Running:
    """A number that only grows, read now and then."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._totals: list[int] = []

    def add(self, time_ns: int, total: int) -> None:
        """One more reading. Raises ``ValueError`` for a number, or a time, that went backwards."""
        if total < 0 or (self._times and (time_ns < self._times[-1] or total < self._totals[-1])):
            raise ValueError(f"{total} at {time_ns} after {self._totals[-1:]} at {self._times[-1:]}")
        for values, value in ((self._times, time_ns), (self._totals, total)):
            values.append(value)
            if len(values) >= 2 * REMEMBERED:
                del values[:REMEMBERED]

    def over(self, start_ns: int, end_ns: int) -> int | None:
        """How far it grew between the readings on either side of a stretch; None where one is missing."""
        around = self._around(start_ns, end_ns)
        return None if around is None else self._totals[around[1]] - self._totals[around[0]]

    def rate_over(self, start_ns: int, end_ns: int) -> float | None:
        """The same for each ns between those readings."""
        around = self._around(start_ns, end_ns)
        if around is None:
            return None
        before, after = around
        apart_ns = self._times[after] - self._times[before]
        return (self._totals[after] - self._totals[before]) / apart_ns if apart_ns > 0 else None

    def _around(self, start_ns: int, end_ns: int) -> tuple[int, int] | None:
        before, after = bisect_right(self._times, start_ns) - 1, bisect_left(self._times, end_ns)
        return None if before < 0 or after >= len(self._times) else (before, after)
