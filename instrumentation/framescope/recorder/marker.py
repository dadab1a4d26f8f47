"""Entering and leaving a stage: two numbers each, appended to the marks of the frame that is open here.

In Python below; where the compiled core was built, its ``Marker`` stands in, and does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from framescope.compiled import core
from framescope.recorder.marks import Marks
from framescope.recorder.open_frames import OpenMarks

Self = TypeVar("Self", bound="Marker")


class Marker:
    """Number ``index`` of its pipeline's stages. Frames whose marks are ``room`` numbers long are full.

    Whoever derives from it says what to do with a full frame, an exception and a fault.
    """

    __slots__ = ("_clock", "_leaving", "_marks", "_room", "index")

    _clock: Callable[[], int]
    _marks: Callable[[], Marks]

    def __init__(self, index: int, room: int) -> None:
        self.index = index
        self._leaving = ~index
        self._room = room

    def rebind(self, marks: OpenMarks) -> None:
        """Look there for the open frame's marks."""
        self._marks = marks.get

    def keep_time_by(self, clock: Callable[[], int]) -> None:
        """Read this clock, in monotonic ns."""
        self._clock = clock

    # Written out, and with the marks at hand instead of the frame: a call or a look-up less on either
    # side is a tenth of what a stage costs.
    def __enter__(self: Self) -> Self:
        try:
            marks = self._marks()
            if len(marks) < self._room:
                marks.append(self.index)
                marks.append(self._clock())
            else:
                self._not_written(marks)
        except Exception as error:  # no memory, no stack left
            self._fault("stage.enter", error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            marks = self._marks()
            marks.append(self._leaving)
            marks.append(self._clock())
            if kind is not None:
                self._note_error(marks, kind)
        except Exception as error:
            self._fault("stage.exit", error)

    def _not_written(self, marks: Marks) -> None:
        raise NotImplementedError

    def _note_error(self, marks: Marks, kind: type[BaseException]) -> None:
        raise NotImplementedError

    def _fault(self, where: str, error: Exception) -> None:
        raise NotImplementedError


if not TYPE_CHECKING and core is not None:
    Marker = core.Marker
