"""Where a frame's stages write: a flat list of numbers, and what stands in for it; see ``FrameRecord``."""

from __future__ import annotations

import threading
from typing import Any, Final, TypeAlias

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
    here the two numbers of a pair reach the list together."""

    __slots__ = ("_first", "_marks")

    def __init__(self, marks: list[Any]) -> None:
        self._marks = marks
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
        if "number" in held:
            self._marks.extend((held.pop("number"), number))
        else:
            held["number"] = number

    def extend(self, pair: tuple[object, object]) -> None:
        """A whole pair."""
        self._marks.extend(pair)


Marks: TypeAlias = list[Any] | SharedMarks | NoMarks


def note(marks: Marks, what: str, index: int, value: int | str) -> bool:
    """Write down something about a stage beside its times; False where there is no room."""
    if len(marks) >= MAX_MARKS:
        return False
    marks.extend(((what, index), value))
    return True
