"""A named part of every frame, made once and entered in each."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING

from framescope.probes.device import GpuTimer
from framescope.recorder.frame import MAX_MARKS, MOST_MARKS, Frame

if TYPE_CHECKING:
    from framescope.recorder.pipeline import Recorder


class Stage:
    """One stage of a pipeline. ``with stage:`` enters it in the calling thread's frame.

    The frame is the one opened by ``with pipeline.frame()`` on this thread; a frame carried across
    threads enters it by ``with frame.stage(stage):``.
    """

    __slots__ = ("_clock", "_leaving", "_local", "_recorder", "index", "kind", "name")

    def __init__(self, recorder: Recorder, index: int, name: str, kind: str) -> None:
        self._recorder = recorder
        self._local = recorder.local
        self._clock = recorder.clock
        self._leaving = ~index
        self.index = index
        self.name = name
        self.kind = kind

    def rebind(self, local: threading.local) -> None:
        """Use another thread-local store (a forked child has its own)."""
        self._local = local

    def start(self, frame: Frame) -> int:
        """Enter; the token is for ``stop``."""
        frame._enter(self.index)
        return 0

    def stop(self, frame: Frame, token: int, error: type[BaseException] | None) -> None:
        """Leave, noting an exception that passed through."""
        frame._leave(self.index)
        if error is not None:
            frame._note(self.index, error)

    # Written out: a call less on either side is a fifth of what a stage costs.
    def __enter__(self) -> Stage:
        try:
            marks = self._local.frame._marks
        except AttributeError:
            self._recorder.lose("stage_without_frame")
            return self
        if len(marks) < MAX_MARKS:
            marks.append(self.index)
            marks.append(self._clock())
        else:
            self._recorder.lose("stage_limit")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            frame = self._local.frame
            marks = frame._marks
        except AttributeError:
            return  # already counted on entry
        if len(marks) < MOST_MARKS:
            marks.append(self._leaving)
            marks.append(self._clock())
        if kind is not None:
            frame._note(self.index, kind)


class GpuStage(Stage):
    """A stage that launches GPU work; a timer tells afterwards when that work ran."""

    __slots__ = ("_timer",)

    def __init__(self, recorder: Recorder, index: int, name: str, timer: GpuTimer) -> None:
        super().__init__(recorder, index, name, "gpu")
        self._timer = timer

    def start(self, frame: Frame) -> int:
        frame._enter(self.index)
        token = self._timer.begin()
        if len(frame._works) < 64:
            frame._works.append((self.index, token))
        return token

    def stop(self, frame: Frame, token: int, error: type[BaseException] | None) -> None:
        self._timer.end(token)
        super().stop(frame, token, error)

    def __enter__(self) -> Stage:
        frame = getattr(self._local, "frame", None)
        if frame is None:
            self._recorder.lose("stage_without_frame")
            return self
        try:
            self._local.token = self.start(frame)
        except Exception:
            self._recorder.faults.note("gpu_stage.enter")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        frame = getattr(self._local, "frame", None)
        if frame is None:
            return
        try:
            self.stop(frame, self._local.token, kind)
        except Exception:
            self._recorder.faults.note("gpu_stage.exit")


class NoStage:
    """The stage of a pipeline that is switched off."""

    __slots__ = ("kind", "name")
    index = 0

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind

    def __enter__(self) -> NoStage:
        return self

    def __exit__(self, *_: object) -> None: ...
