"""Which thread is in which frame now, for those who look on from beside it: opt-in.

Frames keep their marks to themselves, so that recording costs little. Where somebody looks on
(``emitter.probes.stacks``, ``emitter.probes.system_calls``) each thread says so when it enters and leaves
a frame: 0.5 µs more, 1.2 with the page. Another process reads it from a page of shared memory.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable
from threading import get_ident, get_native_id
from typing import Any, Final, Protocol

from framescope.recorder.marks import Marks

SLOT: Final = struct.Struct("=qqq")
"""(the kernel's number of a thread, Python's, since when it is in a frame in monotonic ns; as a negative
number since when it is in none; 0 where there is no thread)."""
THREADS: Final = 64
"""Threads with frames at one time; those beyond are not looked at."""
LEFT_NS: Final = 250_000_000
"""A thread that left its last frame longer ago than this is not looked at: it has none to be late for at four
frames a second and more, and a pool of idle threads costs nothing."""
_SINCE: Final = 2


class Page:
    """The threads in frames, as one writes it and another process reads it.

    Each number is written whole. One taken a moment too late says that a thread is in a frame which it has
    just left: whoever reads looks at it once for nothing.
    """

    def __init__(self) -> None:
        """Raises ``OSError`` or ``AttributeError`` where the system has no shared memory without a name."""
        self._process = os.getpid()
        self.descriptor = os.memfd_create("framescope-threads", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, THREADS * SLOT.size)
        self._memory = mmap.mmap(self.descriptor, THREADS * SLOT.size)
        self.words = memoryview(self._memory).cast("q")
        self._free = list(range(0, 3 * THREADS, 3))[::-1]

    @property
    def path(self) -> str:
        """Where another process of the same user finds it, as long as this one lives."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    def slot(self) -> int | None:
        """A slot for the calling thread; None when all are taken."""
        if not self._free:
            return None
        slot = self._free.pop()
        self.words[slot + 1] = get_ident()
        self.words[slot] = get_native_id()
        return slot

    def give_back(self, slot: int) -> None:
        """The thread of this slot has ended."""
        if os.getpid() != self._process:
            return  # a forked child's copy of it: the page is its parent's
        self.words[slot] = self.words[slot + _SINCE] = 0
        self._free.append(slot)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


def read_page(memory: bytes, now_ns: int) -> list[tuple[int, int]]:
    """(kernel's thread, Python's thread) of those that are in a frame, or were a moment ago: what keeps one
    from beginning its next frame is seen too."""
    return [
        (kernel, python)
        for kernel, python, since in SLOT.iter_unpack(memory)
        if kernel and (since > 0 or (since < 0 and now_ns + since < LEFT_NS))
    ]


class _ThreadSlot:
    """A thread's slot, given back when the thread ends."""

    __slots__ = ("_page", "number")

    def __init__(self, page: Page) -> None:
        self.number: int | None = None
        self._page = page
        self.number = page.slot()

    def __del__(self) -> None:
        if self.number is not None:
            with contextlib.suppress(Exception):
                self._page.give_back(self.number)


class InFrame:
    """A thread in a frame; ``over`` once that was left."""

    __slots__ = ("marks", "over", "pipeline")

    def __init__(self, pipeline: int, marks: list[Any]) -> None:
        self.pipeline = pipeline
        self.marks = marks
        self.over = False


class OpenFrames:
    """The frame each thread is in: ``here`` by thread; of several inside each other the innermost."""

    def __init__(
        self,
        page: Page | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        failed: Callable[[str], None] = lambda where: None,
    ) -> None:
        self.here: dict[int, InFrame] = {}
        self.page = page
        self._failed = failed
        self._clock = clock
        self._local = threading.local()

    def enter(self, pipeline: int, marks: list[Any]) -> tuple[InFrame, InFrame | None] | None:
        """The calling thread is in this frame now. The answer is for ``leave``: it, and the one around it."""
        try:
            thread, entered = get_ident(), InFrame(pipeline, marks)
            around = self.here.get(thread)
            self.here[thread] = entered
            self._tell(self._clock())
            return entered, around
        except Exception:
            self._failed("open_frames")
            return None

    def leave(self, entered: InFrame, around: InFrame | None) -> None:
        """The frame is left: the calling thread is back in the one around it, if there is one still."""
        try:
            entered.over = True
            thread = get_ident()
            if self.here.get(thread) is not entered:
                return  # it has opened another since, or this one is left on another thread
            if around is not None and not around.over:
                self.here[thread] = around
                return
            del self.here[thread]
            self._tell(-self._clock())
        except Exception:
            self._failed("open_frames")

    def handed_on(self) -> None:
        """The calling thread handed a frame on that it was in no stage of: it is between two frames."""
        try:
            if get_ident() not in self.here:
                self._tell(-self._clock())
        except Exception:
            self._failed("open_frames")

    def _tell(self, since_ns: int) -> None:
        page = self.page
        if page is None:
            return
        try:
            slot = self._local.slot
        except AttributeError:
            slot = self._local.slot = _ThreadSlot(page)
        if slot.number is not None:
            page.words[slot.number + _SINCE] = since_ns


class OpenMarks(Protocol):
    """Where the open frame's marks are held: a context variable, or what stands in for one. What ``set``
    answers is for ``reset`` alone."""

    @property
    def get(self) -> Callable[[], Marks]: ...
    def set(self, marks: Marks, /) -> Any: ...
    def reset(self, token: Any, /) -> None: ...


class WatchedMarks:
    """Stands in for the context variable that holds the open frame's marks, and tells who opened one.

    Of a task's frame it tells nothing: between two awaits the thread works for others.
    """

    __slots__ = ("_inner", "_open", "_pipeline", "get")

    def __init__(self, inner: OpenMarks, pipeline: int, open_frames: OpenFrames) -> None:
        self._inner = inner
        self._pipeline = pipeline
        self._open = open_frames
        self.get = inner.get

    def set(self, marks: Marks) -> Any:
        entered = self._open.enter(self._pipeline, marks) if type(marks) is list else None
        return self._inner.set(marks), entered

    def reset(self, token: Any) -> None:
        inner, entered = token
        if entered is not None:
            self._open.leave(*entered)
        self._inner.reset(inner)
