"""A named part of every frame, made once and entered in each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING

from framescope.handover import ERROR, WORK
from framescope.probes.device import NOT_TIMED, GpuTimer
from framescope.recorder.decoration import Function, as_stage
from framescope.recorder.frame import Frame
from framescope.recorder.marker import Marker
from framescope.recorder.marks import FRAME_FULL, MAX_MARKS, Marks, NoMarks, note

if TYPE_CHECKING:
    from framescope.recorder.pipeline import Recorder


class Stage(Marker):
    """One stage of a pipeline. ``with stage:`` enters it in the frame that is open here.

    That is the frame opened by ``with pipeline.frame()`` on this thread or in this asyncio task; a frame
    carried across threads enters it by ``with frame.stage(stage):``.
    """

    __slots__ = ("_recorder", "kind", "name")

    def __init__(self, recorder: Recorder, index: int, name: str, kind: str) -> None:
        super().__init__(index, MAX_MARKS)
        self._recorder = recorder
        self.rebind(recorder.marks)
        self.keep_time_by(recorder.clock)
        self.name = name
        self.kind = kind

    def __call__(self, function: Function) -> Function:
        """As a decorator: every call of ``function`` is this stage."""
        return as_stage(function, self)

    def together(self, frames: Iterable[Frame]) -> _StageOfSeveral:
        """One piece of work for several frames, a batch: it is this stage of each of them, for ``with``."""
        return _StageOfSeveral([frame.stage(self) for frame in frames])

    def start(self, frame: Frame) -> int:
        """Enter; the token is for ``stop``."""
        frame._enter(self.index)
        return 0

    def stop(self, frame: Frame, token: int, error: type[BaseException] | None) -> None:
        """Leave, noting an exception that passed through."""
        frame._leave(self.index)
        if error is not None:
            frame._note(ERROR, self.index, error.__name__)

    def _not_written(self, marks: Marks) -> None:
        recorder = self._recorder
        if not isinstance(marks, NoMarks):
            # From now on this frame's stages, and the ends of those it is in, are let go.
            recorder.marks.set(marks := FRAME_FULL)
        recorder.lose(marks.reason)

    def _note_error(self, marks: Marks, kind: type[BaseException]) -> None:
        note(marks, ERROR, self.index, kind.__name__)

    def _fault(self, where: str, error: Exception) -> None:
        try:
            raise error  # the compiled core has none under way
        except Exception:
            self._recorder.faults.note_own(where)
        finally:
            del error  # it holds this call, and its callers with what they hold, until a collection otherwise


class _StageOfSeveral:
    """A stage that several frames go through at once."""

    __slots__ = ("_inside",)

    def __init__(self, inside: Sequence[AbstractContextManager[object]]) -> None:
        self._inside = inside

    def __enter__(self) -> _StageOfSeveral:
        for one in self._inside:
            one.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in reversed(self._inside):
            one.__exit__(kind, error, trace)


class GpuStage(Stage):
    """A stage that launches GPU work; a timer tells afterwards when that work ran."""

    __slots__ = ("_timer", "_tokens")

    def __init__(self, recorder: Recorder, index: int, name: str, timer: GpuTimer) -> None:
        super().__init__(recorder, index, name, "gpu")
        self._timer = timer
        self._tokens: ContextVar[tuple[int, ...]] = ContextVar(f"framescope.{name}", default=())
        """Of the work of each turn of this stage that is open here: it may be entered in itself."""

    def start(self, frame: Frame) -> int:
        frame._enter(self.index)
        token = self._begin()
        if token != NOT_TIMED:
            frame._note(WORK, self.index, token)
        return token

    def stop(self, frame: Frame, token: int, error: type[BaseException] | None) -> None:
        self._end(token)
        super().stop(frame, token, error)

    def _begin(self) -> int:
        try:
            return self._timer.begin()
        except Exception:
            self._recorder.faults.note("gpu_stage.enter")
            return NOT_TIMED

    def _end(self, token: int) -> None:
        if token != NOT_TIMED:
            try:
                self._timer.end(token)
            except Exception:
                self._recorder.faults.note("gpu_stage.exit")

    def __enter__(self) -> GpuStage:
        super().__enter__()
        try:
            marks = self._recorder.marks.get()
            token = NOT_TIMED if isinstance(marks, NoMarks) else self._begin()
            self._tokens.set((*self._tokens.get(), token))
            if token != NOT_TIMED:
                note(marks, WORK, self.index, token)
        except Exception:  # no memory, no stack left
            self._recorder.faults.note("gpu_stage.enter")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            tokens = self._tokens.get()
            if tokens:
                self._tokens.set(tokens[:-1])
                self._end(tokens[-1])
        except Exception:
            self._recorder.faults.note("gpu_stage.exit")
        super().__exit__(kind, error, trace)


class NoStage:
    """The stage of a pipeline that is switched off, or has too many of them."""

    __slots__ = ("kind", "name")
    index = 0
    _recorder = None

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind

    def __call__(self, function: Function) -> Function:
        return function

    def together(self, frames: Iterable[object]) -> NoStage:
        return self

    def __enter__(self) -> NoStage:
        return self

    def __exit__(self, *_: object) -> None: ...
