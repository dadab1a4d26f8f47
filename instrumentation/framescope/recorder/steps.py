"""What the scheduler did to a task's frame: read around every step of the task, and summed.

Between two awaits other tasks run on the same thread, so the thread's readings at a frame's start and end
tell of all of them. A step is what runs from one await to the next: only there a reading is the frame's own.
``driven`` takes a whole coroutine through its steps and sees each of them. The steps of a task that opens a
frame by ``async with`` are seen from Python 3.12 on, by ``sys.monitoring`` of that one coroutine's code.

Measured (``bench/ways.py``, 2 busy cores): a step costs two readings of the scheduler, 5 µs; noticing one
by ``sys.monitoring`` another 0.5 µs.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
from collections.abc import Coroutine, Generator
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar

from framescope.handover import STEPS, UNKNOWN
from framescope.probes.scheduler import NOTHING, Reading
from framescope.recorder.marks import note
from framescope.recorder.turns import Turns, of_running_loop

if TYPE_CHECKING:
    from framescope.recorder.pipeline import Recorder

Value = TypeVar("Value")
NONE_YET: Final[Reading] = (0, 0, 0)
MOST_LENT: Final = 64
"""Stages of one frame on threads that its task lent it to, each with a reading of its own."""


class Steps:
    """The steps of one frame's task, so far. Made inside the first of them."""

    __slots__ = (
        "_after", "_before", "_began_ns", "_count", "_inside_ns", "_late_before_ns", "_lock_ns", "_loop_ns",
        "_off_ns", "_others_ns", "_paused_ns", "_place", "_queued_ns", "_ready", "_recorder", "_running",
        "_sums", "_thread", "_turns", "_whole", "lent",
    )  # fmt: skip

    def __init__(self, recorder: Recorder, whole: bool) -> None:
        self._recorder = recorder
        self._whole = whole
        """Whether every step was seen to begin and to end."""
        self._thread = get_ident()
        self._turns = of_running_loop(recorder.clock)
        self._place: int | None = None
        self._count = self._inside_ns = 0
        self._loop_ns = self._queued_ns = self._off_ns = self._others_ns = self._lock_ns = 0
        self._late_before_ns = 0
        self._sums: Reading = NONE_YET
        self._after: Reading = NOTHING
        self._ready = self._running = False
        self._paused_ns = UNKNOWN
        self.lent: tuple[tuple[int, int, Reading, int, Reading, int], ...] = ()
        self.begin()

    @property
    def home(self) -> int:
        """The thread of the task."""
        return self._thread

    def read(self) -> Reading:
        """What the scheduler did to the calling thread so far."""
        return self._recorder.scheduler()

    def begin(self) -> None:
        """A step begins."""
        recorder = self._recorder
        self._began_ns = recorder.clock()
        if self._running:
            self._whole = False
        self._running = True
        self._before = recorder.scheduler()
        if self._turns is not None and self._count:
            self._waited_for(self._turns)

    def pause(self, ready: bool = False) -> None:
        """The step ends; ``ready``: its task only lets others go first."""
        if not self._running:
            self._whole = False  # it began by an exception thrown in, which nobody tells of
            return
        recorder = self._recorder
        self._after = after = recorder.scheduler()
        self._running = False
        self._ready = ready
        if self._turns is not None:
            self._late_before_ns = self._turns.late_ns
        self._paused_ns = now = recorder.clock()
        self._count += 1
        self._inside_ns += now - self._began_ns
        (c0, r0, b0), (c1, r1, b1), (c, r, b) = self._before, after, self._sums
        self._sums = (
            UNKNOWN if c0 < 0 or c1 < 0 or c < 0 else c + c1 - c0,
            UNKNOWN if r0 < 0 or r1 < 0 or r < 0 else r + r1 - r0,
            UNKNOWN if b0 < 0 or b1 < 0 or b < 0 else b + b1 - b0,
        )

    def _waited_for(self, turns: Turns) -> None:
        """The task was suspended until now: what of it its loop was busy, and its thread ready or off.

        Off the CPU while its ``select`` was due to return, it waited for the interpreter lock: nothing else
        keeps a thread from coming out of that call.
        """
        ready_ns = self._paused_ns if self._ready else max(self._paused_ns, turns.busy_since_ns)
        loop_ns = max(0, self._began_ns - ready_ns)
        (c0, r0, _), (c1, r1, _) = self._after, self._before
        if 0 <= c0 <= c1 and 0 <= r0 <= r1:
            queued = min(loop_ns, r1 - r0)
            loop_ns -= queued
            self._queued_ns += queued
            self._others_ns += c1 - c0
            off = max(0, loop_ns - (c1 - c0))
            self._off_ns += off
            late = turns.late_ns - (self._late_before_ns if turns.busy_since_ns <= self._paused_ns else 0)
            self._lock_ns += max(0, min(off, late - queued))
        self._loop_ns += loop_ns

    def lend(self, thread: int, start_ns: int, before: Reading, end_ns: int) -> None:
        """A stage ran on another thread, the calling one, which ``asyncio.to_thread`` took the frame to."""
        if len(self.lent) < MOST_LENT:
            self.lent += ((thread, start_ns, before, end_ns, self._recorder.scheduler(), UNKNOWN),)
        else:
            self._recorder.lose("lent_limit")

    def summed(self, marks: list[Any]) -> tuple[int, Reading, Reading]:
        """The frame is over: the task's thread, and two readings whose difference is what all steps add up
        to. How many steps, and the loop's part, is written among the frame's marks."""
        if self._place is not None and _followed.get(self._place) is self:
            del _followed[self._place]
        if self._running and get_ident() == self._thread:
            self.pause()
        elif self._running:
            self._whole = False
        if not self._whole:
            return UNKNOWN, NOTHING, NOTHING
        loop_ns = UNKNOWN if self._turns is None else self._loop_ns
        taken = (
            self._count, self._inside_ns, loop_ns, self._queued_ns, self._off_ns, self._others_ns,
            self._lock_ns,
        )  # fmt: skip
        note(marks, STEPS, 0, taken)
        cpu, ready, blocks = self._sums
        return self._thread, NONE_YET, (cpu, ready if ready < 0 else ready + self._queued_ns, blocks)

    def follow(self, place: types.FrameType) -> None:
        """See every step of the coroutine that runs at ``place``, where this Python tells of them."""
        # A generator is left by what it yields: what uses it is not inside.
        if place.f_code.co_flags & inspect.CO_COROUTINE and _watch(place.f_code):
            self._place = id(place)
            self._whole = True
            _followed[id(place)] = self

    def left_by(self, place: types.FrameType) -> None:
        """The block is left from here: if it was not entered here, its steps were somebody else's."""
        if self._place is not None and id(place) != self._place:
            self._whole = False


@types.coroutine
def driven(steps: Steps, coroutine: Coroutine[Any, Any, Value]) -> Generator[Any, Any, Value]:
    """``coroutine``, with ``steps`` told of each of its steps; the first has begun."""
    step: Any = coroutine.send
    value: Any = None
    while True:
        given, value = value, None
        try:
            awaited = step(given)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            given = None
        steps.pause(awaited is None)
        try:
            value, step = (yield awaited), coroutine.send
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            value, step = error, coroutine.throw
        steps.begin()


_followed: Final[dict[int, Steps]] = {}
"""By the identity of the interpreter's frame that holds the ``async with``."""
_tool = UNKNOWN


def _watch(code: types.CodeType) -> bool:
    if sys.version_info < (3, 12):
        return False
    global _tool
    monitoring: Any = sys.monitoring
    wanted = monitoring.events.PY_YIELD | monitoring.events.PY_RESUME
    with contextlib.suppress(ValueError):  # somebody took our number away
        if _tool == UNKNOWN and (_tool := _number(monitoring)) == UNKNOWN:
            return False
        if monitoring.get_local_events(_tool, code) != wanted:  # once for each piece of code
            monitoring.set_local_events(_tool, code, wanted)
        return True
    return False


def _number(monitoring: Any) -> int:
    """A number among the tools that watch this interpreter; 0, 1, 2 and 5 are spoken for (PEP 669)."""
    for number in (4, 3):
        if monitoring.get_tool(number) is None:
            monitoring.use_tool_id(number, "framescope")
            monitoring.register_callback(number, monitoring.events.PY_YIELD, _yielded)
            monitoring.register_callback(number, monitoring.events.PY_RESUME, _resumed)
            return number
    return UNKNOWN


def _yielded(code: types.CodeType, offset: int, value: object) -> None:
    steps = _followed.get(id(sys._getframe(1)))
    if steps is not None:
        with contextlib.suppress(Exception):
            steps.pause(value is None)


def _resumed(code: types.CodeType, offset: int) -> None:
    steps = _followed.get(id(sys._getframe(1)))
    if steps is not None:
        with contextlib.suppress(Exception):
            steps.begin()
