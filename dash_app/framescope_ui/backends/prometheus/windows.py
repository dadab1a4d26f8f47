"""Which stretches of time to ask for, so that no question is unbounded and no answer inexact.

Servers keep milliseconds: ``[start_ns, end_ns)`` is the samples of the ms from ``first_ms`` of both on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

NS_PER_MS: Final = 1_000_000
WHOLE_MS: Final = 10 * 60_000
"""A range up to this long is read sample by sample."""
WINDOW_MS: Final = 30 * 60_000
"""The longest stretch of samples asked for at once."""
THIN_MS: Final = (2_000, 60_000)
"""How far apart the values of a longer range are read, at least and at most."""
NEWEST_MS: Final = 60_000
"""The end of a range is read sample by sample: servers may complete the newest values by guessing."""
POINTS_AT_ONCE: Final = 10_000
"""Points of a series in one range query: Prometheus refuses more than 11 000."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """``[start_ms, end_ms)``, unix ms."""

    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class Grid:
    """``count`` stretches of ``step_ms`` each, from ``start_ms`` on."""

    start_ms: int
    step_ms: int
    count: int

    @property
    def end_ms(self) -> int:
        """Where the last one ends."""
        return self.start_ms + self.count * self.step_ms

    def parts(self) -> Iterator[Grid]:
        """The grid in pieces that one range query answers."""
        for first in range(0, self.count, POINTS_AT_ONCE):
            yield Grid(
                self.start_ms + first * self.step_ms, self.step_ms, min(POINTS_AT_ONCE, self.count - first)
            )

    def place(self, time_ms: int) -> int:
        """Which of the stretches a time is in."""
        return (time_ms - self.start_ms) // self.step_ms

    def stretches(self, places: Iterable[int]) -> list[Stretch]:
        """These of them, neighbours as one."""
        found: list[Stretch] = []
        for place in sorted(set(places)):
            start = self.start_ms + place * self.step_ms
            if found and found[-1].end_ms == start:
                found[-1] = Stretch(found[-1].start_ms, start + self.step_ms)
            else:
                found.append(Stretch(start, start + self.step_ms))
        return found


def first_ms(time_ns: int) -> int:
    """The first whole millisecond not before a time."""
    return -(-time_ns // NS_PER_MS)


def whole(start_ns: int, end_ns: int) -> Stretch:
    """The range in ms."""
    return Stretch(first_ms(start_ns), first_ms(end_ns))


def thinned(start_ns: int, end_ns: int, step_ns: int) -> Grid | None:
    """The part of a range of which one value a stretch is enough; None where there is no such part.

    The stretches fill steps of ``step_ns`` evenly, so that each step's last value is among theirs.
    """
    asked = whole(start_ns, end_ns)
    step_ms, rest = divmod(step_ns, NS_PER_MS)
    least, most = THIN_MS
    if rest or step_ms < least or asked.length_ms <= WHOLE_MS:
        return None
    most_parts = min(step_ms // least, 100_000)
    parts = next((n for n in range(-(-step_ms // most), most_parts + 1) if step_ms % n == 0), 1)
    size = step_ms // parts
    count = (asked.length_ms - NEWEST_MS) // size
    return Grid(asked.start_ms, size, count) if count > 0 else None


def windows(stretch: Stretch) -> Iterator[Stretch]:
    """A stretch in pieces that one question answers, oldest first."""
    for start in range(stretch.start_ms, stretch.end_ms, WINDOW_MS):
        yield Stretch(start, min(start + WINDOW_MS, stretch.end_ms))
