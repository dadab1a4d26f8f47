"""Before and after: slow frames either side of a change, cause by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framescope_ui.backends.protocols import Mark
from framescope_ui.questions.correlate_risk import claimed, ends
from framescope_ui.questions.correlate_views import CauseChange, Change
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS, seconds
from framescope_ui.statistics.long_run import MOST_WINDOWS, Floats
from framescope_ui.statistics.risk import FEWEST_SLOW, RiskRatio, Windows, risk_ratio

SHORTEST_NS = 60 * NS
"""A side shorter than this says nothing: a storm of slow frames for another reason lasts as long."""
MOST_CHANGES = 4
"""The newest markers; the others are on the charts."""
MOST_CAUSES = 6


@dataclass(frozen=True, slots=True)
class Sides:
    """Slow frames of one cause (None: of any) before and after, and the ratio; None where there are too
    few."""

    cause: str | None
    slow_before: int
    slow_after: int
    ratio: RiskRatio | None


@dataclass(frozen=True, slots=True)
class Around:
    """Either side of a moment. ``causes`` begins with all of them; then the commonest ones."""

    time_ns: int
    text: str
    start_ns: int
    end_ns: int
    frames_before: int
    frames_after: int
    causes: Sequence[Sides]


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
        before_and_after(frames, mark.time_ns, before, after, mark.text)
        for mark, before, after in found[-MOST_CHANGES:]
    ]


def before_and_after(frames: Latencies, time_ns: int, start_ns: int, end_ns: int, text: str = "") -> Around:
    """Frames due in ``[start_ns, time_ns)`` against those due in ``[time_ns, end_ns)``; they are in that
    order."""
    first, last = (int(np.searchsorted(frames.due_ns, t)) for t in (start_ns, end_ns))
    which = np.flatnonzero(frames.finished[first:last]) + first
    due, slow = frames.due_ns[which], frames.slow[which]
    after = due >= time_ns
    size = max(1, -(-(end_ns - start_ns) // MOST_WINDOWS))
    window = (due - start_ns) // size
    windows = int((end_ns - start_ns - 1) // size) + 1
    cause = np.array([c or "unknown" for c in frames.cause[which[slow]].tolist()], dtype=str)

    def counted(which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
        return np.bincount(window[which], minlength=windows).astype(np.float64)

    total_before, total_after = counted(~after), counted(after)

    def sides(name: str | None) -> Sides:
        mine = slow.copy()
        if name is not None:
            mine[slow] = cause == name
        before_of, after_of = counted(mine & ~after), counted(mine & after)
        ratio = risk_ratio(Windows(total_after, after_of, total_before, before_of))
        return Sides(name, int(before_of.sum()), int(after_of.sum()), ratio)

    names, counts = np.unique(cause, return_counts=True)
    common = [str(n) for c, n in sorted(zip(counts, names, strict=True), reverse=True) if c >= FEWEST_SLOW]
    return Around(
        time_ns,
        text,
        start_ns,
        end_ns,
        int((~after).sum()),
        int(after.sum()),
        [sides(None), *(sides(name) for name in common[:MOST_CAUSES])],
    )


def change_view(around: Around, after: Mapping[int, float]) -> Change:
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
        seconds(around.time_ns),
        around.text,
        seconds(around.start_ns),
        seconds(around.end_ns),
        around.frames_before,
        around.frames_after,
        [cause(one) for one in around.causes],
    )
