"""Slow frames that belong together: a storm is one thing with a beginning, an end, a cause and a cost.

Frames of one cause that follow each other closely are linked (single linkage, as in DBSCAN of one
dimension: Ester et al., KDD 1996); links of different causes that run at the same time are one storm.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

LINK_NS: Final = 1_500_000_000
"""Slow frames of one cause with no more than this between them belong together."""
SIDE_BY_SIDE: Final = 64
"""Storms looked at for one that a run belongs to: those that began last before its end."""
NEAR_NS: Final = 500_000_000
"""A few frames this close to a storm's edge are its beginning or its end, whatever they were called: of 39
incidents that a development run of the truth suite had for 35 episodes, four were such."""
FEW: Final = 5
"""A storm has at least so many times the frames of what is a few beside it."""
LEAST: Final = 3
"""Fewer frames than this are no incident: each stands in the list of frames anyway."""


@dataclass(frozen=True, slots=True)
class SlowFrame:
    """One slow frame, as much of it as makes an incident. Times in ns on one clock."""

    id: int
    start_ns: int
    end_ns: int
    cause: str
    lost_ns: int


@dataclass(frozen=True, slots=True)
class Incident:
    """A storm: ``frames`` slow ones from ``start_ns`` to ``end_ns``, what they lost in all, and by cause as
    (cause, frames, ns), most lost first. ``worst`` is the frame that lost most."""

    start_ns: int
    end_ns: int
    frames: int
    lost_ns: int
    by_cause: tuple[tuple[str, int, int], ...]
    worst: SlowFrame

    @property
    def cause(self) -> str:
        """The cause that most was lost to."""
        return self.by_cause[0][0]


@dataclass(slots=True)
class _Storm:
    first: int
    last: int
    frames: list[SlowFrame]


def incidents(frames: Iterable[SlowFrame], link_ns: int = LINK_NS, least: int = LEAST) -> list[Incident]:
    """The incidents among slow frames, oldest first."""
    by_cause: dict[str, list[SlowFrame]] = {}
    for frame in sorted(frames, key=lambda one: one.start_ns):
        by_cause.setdefault(frame.cause, []).append(frame)
    runs = [run for some in by_cause.values() for run in _linked(some, link_ns)]
    storms: list[_Storm] = []
    for run in sorted(runs, key=len, reverse=True):  # the largest gather what runs beside them
        home = _home_of(run, storms)
        if home is None:
            bisect.insort(storms, _Storm(*_span(run), list(run)), key=lambda storm: storm.first)
        else:
            storms.remove(home)
            home.frames += run
            home.first, home.last = min(home.first, _span(run)[0]), max(home.last, _span(run)[1])
            bisect.insort(storms, home, key=lambda storm: storm.first)
    found = [_summed(storm.frames) for storm in storms if len(storm.frames) >= least]
    return sorted(found, key=lambda incident: incident.start_ns)


def _linked(frames: Sequence[SlowFrame], link_ns: int) -> list[list[SlowFrame]]:
    """Runs of frames, in order, with no more than ``link_ns`` from one's end to the next one's start."""
    runs: list[list[SlowFrame]] = []
    reached = 0
    for frame in frames:
        if runs and frame.start_ns - reached <= link_ns:
            runs[-1].append(frame)
            reached = max(reached, frame.end_ns)
        else:
            runs.append([frame])
            reached = frame.end_ns
    return runs


def _home_of(run: Sequence[SlowFrame], storms: Sequence[_Storm]) -> _Storm | None:
    """The storm that most of a run lies in, or that a few frames lie beside; storms are in order of their
    beginning."""
    first, last = _span(run)
    after = bisect.bisect_right(storms, last + NEAR_NS, key=lambda storm: storm.first)
    beside: _Storm | None = None
    for storm in reversed(storms[max(0, after - SIDE_BY_SIDE) : after]):
        if storm.last > first and 2 * sum(storm.first <= one.start_ns < storm.last for one in run) > len(run):
            return storm
        if storm.last + NEAR_NS > first and len(storm.frames) >= FEW * len(run):
            beside = storm
    return beside


def _span(frames: Sequence[SlowFrame]) -> tuple[int, int]:
    return min(one.start_ns for one in frames), max(one.end_ns for one in frames)


def _summed(frames: Sequence[SlowFrame]) -> Incident:
    counted: dict[str, list[int]] = {}
    for frame in frames:
        told = counted.setdefault(frame.cause, [0, 0])
        told[0] += 1
        told[1] += frame.lost_ns
    start_ns, end_ns = _span(frames)
    return Incident(
        start_ns,
        end_ns,
        len(frames),
        sum(frame.lost_ns for frame in frames),
        tuple(sorted(((cause, n, lost) for cause, (n, lost) in counted.items()), key=lambda one: -one[2])),
        max(frames, key=lambda frame: frame.lost_ns),
    )
