"""Which frames stay whole: the failed, the dropped, the slow and the late, a fair sample of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from framescope.handover import FrameRecord
from framescope.judge.model import Frame, Verdict

BUDGET: Final = 50
"""Frames kept a second and process, at most; a 9-span frame costs 238 µs to encode and 353 bytes to store."""
BASELINE_EVERY: Final = 100
"""One on-time frame in so many is kept, standing for all of them."""
NEIGHBOURS_UP_TO: Final = 10
"""Neighbours are kept while this few frames a second are slow: in a storm they are slow themselves."""


@dataclass(slots=True)
class Judged:
    """A frame with what was decided about it. ``kept`` None: it is only counted. ``unread``: its record,
    until somebody needs the inside of the frame. ``complete``: it has been told what is usual."""

    frame: Frame
    unread: FrameRecord | None = None
    verdict: Verdict | None = None
    kept: str | None = None
    weight: int = 0
    complete: bool = False

    @property
    def disturbed(self) -> bool:
        """Not on time in every way: nothing usual can be learned from it."""
        return self.frame.outcome != "on_time" or self.frame.late


def wanted(judged: Judged, baseline_every: int) -> tuple[str, int] | None:
    """Why a frame should be kept (the first reason that holds) and its sampling weight."""
    frame = judged.frame
    if frame.outcome in ("failed", "dropped", "slow"):
        return frame.outcome, 1
    if frame.late:
        return "late", 1
    if baseline_every and frame.id % baseline_every == 0:
        return "baseline", baseline_every
    return None


Window = tuple[Judged | None, list[Judged]]
"""One pipeline's second: the frame ahead of it (it may become a neighbour), and its frames in order."""


def keep(windows: list[Window], budget: int = BUDGET, baseline_every: int = BASELINE_EVERY) -> list[int]:
    """Decide over one second of all pipelines; answers, for each, how many the keep budget turned away.

    One of each cause goes first, then the worst by overrun.
    """
    candidates: list[Judged] = []
    for _, window in windows:
        for judged in window:
            reason = wanted(judged, baseline_every)
            if reason is not None:
                judged.kept, judged.weight = reason
                candidates.append(judged)
    chosen = _within(candidates, budget)
    turned_away = []
    for _, window in windows:
        unlucky = [judged for judged in window if judged.kept is not None and id(judged) not in chosen]
        for judged in unlucky:
            judged.kept, judged.weight = None, 0
        turned_away.append(len(unlucky))
    room = budget - len(chosen)
    for before, window in windows:
        room = _keep_neighbours([before, *window] if before is not None else list(window), room)
    return turned_away


def _keep_neighbours(row: list[Judged], room: int) -> int:
    slow = [position for position, judged in enumerate(row) if judged.kept in ("slow", "failed", "dropped")]
    if len(slow) > NEIGHBOURS_UP_TO:
        return room
    for position in slow:
        for neighbour in row[max(0, position - 1) : position + 2]:
            if neighbour.kept is None and room > 0:
                neighbour.kept, neighbour.weight = "neighbour", 0
                room -= 1
    return room


def _within(candidates: list[Judged], budget: int) -> set[int]:
    if len(candidates) <= budget:
        return {id(judged) for judged in candidates}

    def rank(judged: Judged) -> tuple[bool, int]:
        return judged.kept == "baseline", -(judged.verdict.overrun_ns if judged.verdict is not None else 0)

    ordered = sorted(candidates, key=rank)
    firsts: dict[str, Judged] = {}
    for judged in ordered:
        firsts.setdefault(judged.verdict.cause if judged.verdict is not None else judged.kept or "", judged)
    first_ids = {id(judged) for judged in firsts.values()}
    ordered.sort(key=lambda judged: id(judged) not in first_ids)  # stable: the worst stay in front
    return {id(judged) for judged in ordered[:budget]}
