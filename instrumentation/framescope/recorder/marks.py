"""Where a frame's stages write: a flat list of numbers, and what stands in for it; see ``FrameRecord``."""

from __future__ import annotations

import threading
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from framescope.handover import THREAD

if TYPE_CHECKING:
    from framescope.recorder.steps import Steps

MAX_MARKS: Final = 4096
"""Numbers in one frame's marks: 1 024 stages. More are counted as lost, so a runaway loop inside a
frame cannot take the host's memory."""
MOST_MARKS: Final = MAX_MARKS + MAX_MARKS // 2
"""Room for the exits of what was entered."""


class NoMarks:
    """What a stage finds where it cannot write: always full. ``reason`` is what a stage here counts as."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __len__(self) -> int:
        return MAX_MARKS

    def append(self, number: object) -> None: ...
    def extend(self, pair: tuple[object, object]) -> None: ...


NO_FRAME_OPEN: Final = NoMarks("stage_without_frame")
FRAME_FULL: Final = NoMarks("stage_limit")


class SharedMarks:
    """A task's marks. ``asyncio.to_thread`` takes the frame along, so several threads may write at once:
    here the two numbers of a pair reach the list together, and a thread other than the task's has what the
    scheduler did to it read around its stages."""

    __slots__ = ("_first", "_marks", "_steps")

    def __init__(self, marks: list[Any], steps: Steps) -> None:
        self._marks = marks
        self._steps = steps
        self._first = threading.local()

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def numbers(self) -> list[Any]:
        """The list itself."""
        return self._marks

    def append(self, number: object) -> None:
        """The first of a pair is kept by its thread until the second comes."""
        held = self._first.__dict__
        if "number" not in held:
            held["number"] = number
            return
        first = held.pop("number")
        self._marks.extend((first, number))
        if get_ident() != self._steps.home:
            self._lent(held, first, number)

    def _lent(self, held: dict[str, Any], index: int, at: Any) -> None:
        steps = self._steps
        if index >= 0:
            self._marks.extend(((THREAD, index), get_ident()))
            if not held.setdefault("inside", []):
                held["before"] = steps.read()
            held["inside"].append(at)
        elif held.get("inside"):
            start = held["inside"].pop()
            if not held["inside"]:
                steps.lend(get_ident(), start, held["before"], at)

    def extend(self, pair: tuple[object, object]) -> None:
        """A whole pair."""
        self._marks.extend(pair)


Marks: TypeAlias = list[Any] | SharedMarks | NoMarks


def note(marks: Marks, what: str, index: int, value: object) -> bool:
    """Write down something about a stage beside its times; False where there is no room."""
    if len(marks) >= MAX_MARKS:
        return False
    marks.extend(((what, index), value))
    return True
