"""Before and after: slow frames of two sides, cause by cause.

The sides are those of a change marker, of two versions of the service, or any two ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from framescope import signals
from framescope_ui.backends.protocols import Mark
from framescope_ui.questions.correlate_risk import claimed, ends
from framescope_ui.questions.correlate_views import CauseChange, Change
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS, seconds
from framescope_ui.statistics.long_run import MOST_WINDOWS
from framescope_ui.statistics.risk import FEWEST_SLOW, RiskRatio, Windows, risk_ratio

SHORTEST_NS = 60 * NS
"""A side shorter than this says nothing: a storm of slow frames for another reason lasts as long."""
MOST_CHANGES = 4
"""The newest markers; the others are on the charts."""
MOST_VERSIONS = 4
"""The versions first seen last."""
MOST_CAUSES = 6
Kind = Literal["marker", "versions", "ranges"]


@dataclass(frozen=True, slots=True)
class Sides:
    """Slow frames of one cause (None: of any) before and after, and the ratio; None where there are too
    few."""

    cause: str | None
    slow_before: int
    slow_after: int
    ratio: RiskRatio | None


@dataclass(frozen=True, slots=True)
class Side:
    """Frames that came out in ``[start_ns, end_ns)``: when they were due, which were slow, and by what."""

    start_ns: int
    end_ns: int
    due_ns: npt.NDArray[np.int64]
    slow: npt.NDArray[np.bool_]
    slow_cause: npt.NDArray[np.str_]
    """Of the slow ones, in their order."""


@dataclass(frozen=True, slots=True)
class Around:
    """Two sides, and what became of slow frames. ``causes`` begins with all of them; then the commonest
    ones."""

    kind: Kind
    text: str
    before: tuple[int, int]
    after: tuple[int, int]
    frames_before: int
    frames_after: int
    causes: Sequence[Sides]


def side_of(
    frames: Latencies, start_ns: int, end_ns: int, which: npt.NDArray[np.bool_] | None = None
) -> Side:
    """The frames due in ``[start_ns, end_ns)``, of those marked in ``which`` where that is given."""
    first, last = (int(np.searchsorted(frames.due_ns, t)) for t in (start_ns, end_ns))
    wanted = frames.finished[first:last]
    if which is not None:
        wanted = wanted & which[first:last]
    place = np.flatnonzero(wanted) + first
    slow = frames.slow[place]
    cause = np.array([c or "unknown" for c in frames.cause[place[slow]].tolist()], dtype=str)
    return Side(start_ns, end_ns, frames.due_ns[place], slow, cause)


def changes(frames: Latencies, marks: Sequence[Mark], start_ns: int, end_ns: int) -> list[Around]:
    """The newest change markers of the range, each compared up to the marker before and after it."""
    told = sorted((m for m in marks if m.of_a_change), key=lambda m: m.time_ns)
    inside = [m for m in told if start_ns <= m.time_ns < end_ns]
    borders = [start_ns, *(m.time_ns for m in inside), end_ns]
    found = []
    for place, mark in enumerate(inside, start=1):
        before, after = borders[place - 1], borders[place + 1]
        if min(mark.time_ns - before, after - mark.time_ns) >= SHORTEST_NS:
            found.append((mark, before, after))
    return [
        before_and_after(
            side_of(frames, before, mark.time_ns), side_of(frames, mark.time_ns, after), "marker", mark.text
        )
        for mark, before, after in found[-MOST_CHANGES:]
    ]


def versions(frames: Latencies, start_ns: int, end_ns: int) -> list[Around]:
    """Each version of the service against the one seen before it, where both ran for long enough."""
    texts = frames.attributes.get(signals.SERVICE_VERSION)
    if texts is None:
        return []
    sides = []
    for place, name in enumerate(texts.names):
        which = texts.place == place
        due = frames.due_ns[which]
        if len(due) and due[-1] - due[0] >= SHORTEST_NS:
            sides.append((name, side_of(frames, int(due[0]), int(due[-1]) + 1, which)))
    sides.sort(key=lambda one: one[1].start_ns)
    return [
        before_and_after(old, new, "versions", f"{after} after {before}")
        for (before, old), (after, new) in pairwise(sides)
    ][-MOST_VERSIONS:]


def before_and_after(before: Side, after: Side, kind: Kind, text: str = "") -> Around:
    """Slow frames of both sides, cause by cause. The sides are put one behind the other and cut into windows
    of time, whatever lies between them."""
    lasted = before.end_ns - before.start_ns, after.end_ns - after.start_ns
    size = max(1, -(-sum(lasted) // MOST_WINDOWS))
    first = -(-lasted[0] // size)
    windows = first - (-lasted[1] // size)
    due = np.concatenate(
        [(before.due_ns - before.start_ns) // size, first + (after.due_ns - after.start_ns) // size]
    )
    slow = np.concatenate([before.slow, after.slow])
    is_after = np.arange(len(due)) >= len(before.due_ns)
    cause = np.concatenate([before.slow_cause, after.slow_cause])

    def counted(which: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return np.bincount(due[which], minlength=windows).astype(np.float64)

    total_before, total_after = counted(~is_after), counted(is_after)

    def sides(name: str | None) -> Sides:
        mine = slow.copy()
        if name is not None:
            mine[slow] = cause == name
        before_of, after_of = counted(mine & ~is_after), counted(mine & is_after)
        ratio = risk_ratio(Windows(total_after, after_of, total_before, before_of))
        return Sides(name, int(before_of.sum()), int(after_of.sum()), ratio)

    names, counts = np.unique(cause, return_counts=True)
    common = [str(n) for c, n in sorted(zip(counts, names, strict=True), reverse=True) if c >= FEWEST_SLOW]
    return Around(
        kind,
        text,
        (before.start_ns, before.end_ns),
        (after.start_ns, after.end_ns),
        len(before.due_ns),
        len(after.due_ns),
        [sides(None), *(sides(name) for name in common[:MOST_CAUSES])],
    )


def change_view(around: Around, after: Mapping[int, float]) -> Change:
    """As the page sees it; ``after``: adjusted p-values by the ``id`` of each of its causes."""

    def cause(one: Sides) -> CauseChange:
        p = after.get(id(one))
        return CauseChange(
            one.cause,
            one.slow_before,
            one.slow_after,
            None if one.ratio is None else one.ratio.estimate,
            None if one.ratio is None else ends(one.ratio),
            None if one.ratio is None else one.ratio.p,
            p,
            claimed(one.ratio, p),
        )

    return Change(
        around.kind,
        around.text,
        (seconds(around.before[0]), seconds(around.before[1])),
        (seconds(around.after[0]), seconds(around.after[1])),
        around.frames_before,
        around.frames_after,
        [cause(one) for one in around.causes],
    )
