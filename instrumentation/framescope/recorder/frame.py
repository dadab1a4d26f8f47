"""One frame while it is being recorded: a flat list of clock readings and where it has been."""

from __future__ import annotations

import contextlib
import itertools
import numbers
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextvars import Token
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from framescope.handover import AWAITED, DEPTH, HELD_UP, SPANS, TRACE, UNKNOWN, WORK, noted
from framescope.probes.scheduler import NOTHING, Reading
from framescope.recorder.carried import Attribute, Carried, Segment, boot, unique_thread, written
from framescope.recorder.faults import hosts_own
from framescope.recorder.marks import MAX_MARKS, MOST_MARKS, Marks, SharedMarks, note
from framescope.recorder.steps import Steps, Value, driven
from framescope.recorder.trace_context import ids_of, traceparent
from framescope.recorder.turns import NEWEST, of_running_loop, turned_since

if TYPE_CHECKING:
    from framescope.recorder.pipeline import Recorder
    from framescope.recorder.stage import Stage

PREEMPTED_NS: Final = 500_000
"""Longer than this between two readings of the clock with one of the scheduler in between: the thread lost
its core there. Newer kernels hold a thread back for its group's quota when it comes out of a call, which the
reading is (6.18: 11 of 90 frames under a quota lost up to 70 ms right after it, nothing told to what)."""
MAX_ATTRIBUTES: Final = 16
MAX_TEXT: Final = 200
MAX_NAME: Final = 64

Opened = tuple[int, int, Reading, int]
"""A segment under way: thread, start, evidence then, idle; see ``FrameRecord.segments``."""


_NAME_OF: Final = type.__dict__["__name__"].__get__  # a metaclass may have another


def travelling(attributes: Mapping[str, object] | None) -> dict[str, Attribute]:
    """Content attributes as they can travel."""
    some = itertools.islice((attributes or {}).items(), MAX_ATTRIBUTES)
    return {_encodable(str.__getitem__(name, slice(MAX_NAME))): plain(value) for name, value in some}


def plain(value: object) -> Attribute:
    """A value as something that can travel: a plain number, boolean or short text.

    Anything else is told by its type alone: printing a large array takes long, printing a tensor waits
    for the GPU, and either would be the host's frame that pays. So is a number that cannot say which.
    """
    try:
        if isinstance(value, str):
            return _encodable(str.__getitem__(value, slice(MAX_TEXT)))
        if isinstance(value, bool):
            return bool(value)
        if isinstance(value, numbers.Integral):
            whole = int(value)
            return whole if -(2**63) <= whole < 2**63 else float(whole)
        if isinstance(value, numbers.Real):
            return float(value)
    except Exception:  # raised by its own conversion
        pass
    return f"<{_NAME_OF(type(value))}>"


def words(given: object, longest: int) -> str:
    """What the host says, as text that can travel; of what cannot be printed, its type."""
    try:
        said = given if isinstance(given, str) else str(given)
        return _encodable(str.__getitem__(said, slice(longest)))
    except Exception:
        return f"<{_NAME_OF(type(given))}>"


def _encodable(text: str) -> str:
    """Half a surrogate pair has no place in UTF-8, and one of them would spoil a whole message."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class Frame:
    """A frame under way. Made by ``Pipeline.frame()`` and ``Pipeline.begin()``, never by hand.

    Use it as a context manager on one thread (``async with`` in an asyncio task), or carry it across
    threads and call ``end``, ``drop`` or ``fail`` once. After that every call is counted and ignored.
    """

    __slots__ = (
        "__weakref__",
        "_attributes",
        "_before_ns",
        "_due_ns",
        "_ended",
        "_gap",
        "_marks",
        "_opened",
        "_recorder",
        "_segments",
        "_steps",
        "_token",
        "id",
        "sequence",
        "start_ns",
    )

    def __init__(
        self,
        recorder: Recorder,
        number: int,
        sequence: int | None,
        captured_at_ns: int | None,
        attributes: dict[str, object] | None,
    ) -> None:
        self._ended = False
        self._recorder = recorder
        self._token: Token[Marks] | None = None
        self.id = number
        self.sequence = number if sequence is None else sequence
        self._marks: list[Any] = []
        self._segments: tuple[Segment, ...] = ()
        self._attributes = attributes
        try:
            self._gap: tuple[int, int, Reading] | None = recorder.local.last
        except AttributeError:  # this thread's first
            self._gap = None
            of_running_loop(recorder.clock)
        self.start_ns = now = recorder.clock()
        self._before_ns = recorder.last_start_ns
        recorder.last_start_ns = now
        self._due_ns = now if captured_at_ns is None else captured_at_ns
        self._opened: Opened | None = (get_ident(), now, recorder.scheduler(), UNKNOWN)

    # -- stages ---------------------------------------------------------------------------------------

    def stage(self, stage: Stage) -> _StageOf:
        """This stage of this frame, as a context manager, on whatever thread is calling."""
        return _StageOf(self, stage)

    def set(self, **attributes: object) -> None:
        """Add content attributes (image size, mode, model): at most 16 a frame, text of 200 characters."""
        if self._ended:
            self._recorder.lose("attribute_after_end")
            return
        if self._attributes is None:
            self._attributes = {}
        for name, value in attributes.items():
            if len(self._attributes) < MAX_ATTRIBUTES or name in self._attributes:
                self._attributes[name] = value
            else:
                self._recorder.lose("attribute_limit")

    def _enter(self, index: int) -> None:
        marks = self._marks
        if len(marks) < MAX_MARKS:
            marks.append(index)
            marks.append(self._recorder.clock())
        else:
            self._recorder.lose("stage_limit")

    def _leave(self, index: int) -> None:
        marks = self._marks
        if len(marks) < MOST_MARKS:
            marks.append(~index)
            marks.append(self._recorder.clock())

    @property
    def trace_id(self) -> str:
        """The trace this frame will be, should it be kept: 32 hexadecimal digits, "" where it is full."""
        return ids_of(self._marks)[0]

    @property
    def traceparent(self) -> str:
        """W3C trace context for what this frame asks of others. Its *sampled* flag is set only where this
        frame was chosen beforehand, so that backends are not flooded with spans whose frame was not kept."""
        chosen = self._recorder.baseline_every
        return traceparent(ids_of(self._marks), bool(chosen) and self.id % chosen == 0)

    def _note(self, what: str, index: int, value: int | str) -> None:
        note(self._marks, what, index, value)

    # -- threads --------------------------------------------------------------------------------------

    def release(self) -> None:
        """The calling thread hands this frame on; what the scheduler did to it here is read now."""
        opened = self._opened
        if opened is None:
            return
        self._opened = None
        recorder = self._recorder
        thread, start, before, idle = opened
        try:
            now = recorder.clock()
            if thread == get_ident():
                after = recorder.scheduler()
                if recorder.clock() - now > PREEMPTED_NS:
                    now, after = recorder.clock(), recorder.scheduler()
                if NEWEST.began_ns > start and turned_since(start, recorder.clock):
                    after = NOTHING  # it was suspended: other tasks are in this reading
                recorder.local.last = (self.start_ns, now, after)
                self._segments += ((thread, start, before, now, after, idle),)
            else:
                self._segments += self._elsewhere(opened, now)
            if recorder.handed_on is not None:
                recorder.handed_on()
        except Exception:
            recorder.faults.note_own("frame.release")

    def _elsewhere(self, opened: Opened, end: int) -> tuple[Segment, ...]:
        """What is known of a stretch that does not end on the thread it began on, or that was a task's."""
        thread, start, before, idle = opened
        if thread != UNKNOWN:
            # Only the thread itself can read its own scheduler evidence.
            return ((thread, start, before, end, NOTHING, idle),)
        thread, before, after = self._steps.summed(self._marks)
        return ((thread, start, before, end, after, idle), *self._steps.lent)

    def take(self) -> None:
        """The calling thread takes this frame over. A task's frame stays its task's: threads are lent it."""
        if self._opened is not None:
            if self._opened[0] in (get_ident(), UNKNOWN):
                return
            self.release()
        recorder = self._recorder
        try:
            last: tuple[int, int, Reading] | None = getattr(recorder.local, "last", None)
            now, reading = recorder.clock(), recorder.scheduler()
            known = last is not None and last[2][1] >= 0 and reading[1] >= 0
            idle = reading[1] - last[2][1] if last is not None and known else UNKNOWN
            self._opened = (get_ident(), now, reading, idle)
        except Exception:
            recorder.faults.note_own("frame.take")

    def _begin_to_wait(self, index: int, depth: int) -> None:
        """Enter a queue that has ``depth`` items."""
        try:
            self._enter(index)
            self._note(DEPTH, index, depth)
        except Exception:
            self._recorder.faults.note_own("queue.put")

    def _was_held_up(self, index: int, held_up_ns: int) -> None:
        """The queue was full, and the thread that hands this frame on had to wait for room."""
        try:
            self._note(HELD_UP, index, held_up_ns)
        except Exception:
            self._recorder.faults.note_own("queue.put")

    def _have_waited(self, index: int, awaited: bool = False) -> None:
        """Leave a queue; ``awaited``: who takes it had found the queue empty, and stood waiting."""
        try:
            if awaited:
                self._note(AWAITED, index, 1)
            self._leave(index)
        except Exception:
            self._recorder.faults.note_own("queue.get")

    def _be_open(self) -> Token[Marks] | None:
        """Be the frame that stages, log records and spans find here; None where it is already."""
        marks = self._recorder.marks
        found = marks.get()
        if found is self._marks or (isinstance(found, SharedMarks) and found.numbers is self._marks):
            return None
        token: Token[Marks] = marks.set(self._marks)
        return token

    def _be_closed(self, outside: Token[Marks]) -> None:
        try:
            self._recorder.marks.reset(outside)
        except (ValueError, TypeError):
            # Left in another context than it was entered in: an asynchronous generator; or what holds the
            # marks is another since: a fork, somebody who begins to look on.
            self._recorder.lose("left_elsewhere")

    # -- processes ------------------------------------------------------------------------------------

    def carry(self) -> bytes:
        """Hand this frame to another process: these bytes (text, at most 1 KB) go along with the image, and
        ``pipeline.resume`` takes it up there. Whoever ends or drops it has it judged; here it is gone."""
        recorder = self._recorder
        if self._ended:
            recorder.lose("ended_twice")
            return b""
        self._ended = True
        try:
            self.release()
            return written(self._told())
        except Exception:
            recorder.lose("fault")
            recorder.faults.note("frame.carry")
            return b""

    def _told(self) -> Carried:
        marks: list[int] = []
        for what, value in zip(self._marks[::2], self._marks[1::2], strict=False):
            if type(what) is int:
                marks += (what, value)
            elif what[0] == WORK:
                self._recorder.lose("gpu_work_not_carried")  # its timer stays in this process
            elif what[0] == SPANS:
                self._recorder.lose("spans_not_carried")
        return Carried(
            sequence=self.sequence,
            boot=boot(),
            start_ns=self.start_ns,
            due_ns=self._due_ns,
            before_ns=self._before_ns,
            sent_ns=self._recorder.clock(),
            sent_wall_ns=self._recorder.wall(),
            stages=tuple(self._recorder.definition.stages),
            marks=tuple(marks),
            segments=tuple((unique_thread(one[0]), *one[1:]) for one in self._segments),
            attributes=travelling(self._attributes),
            trace=noted(self._marks, TRACE) or "",
        )

    def _continue_from(self, told: Carried, stages: Sequence[int], shift_ns: int, transit: int) -> None:
        """Be the frame that was carried here; ``stages`` are this process's numbers of those it went through,
        ``transit`` that of its way, ``shift_ns`` what brings its times to this clock."""
        arrived = self.start_ns
        marks = [
            (stages[value] if value >= 0 else ~stages[~value]) if place % 2 == 0 else value + shift_ns
            for place, value in enumerate(told.marks)
        ]
        self._marks += (*marks, transit, told.sent_ns + shift_ns, ~transit, arrived)
        if told.trace:
            note(self._marks, TRACE, 0, told.trace)
        self._segments = tuple(
            (thread, began + shift_ns, before, end + shift_ns, after, idle)
            for thread, began, before, end, after, idle in told.segments
        )
        self.start_ns = told.start_ns + shift_ns
        self._due_ns = told.due_ns + shift_ns
        self._before_ns = UNKNOWN if told.before_ns == UNKNOWN else told.before_ns + shift_ns
        self._gap = None

    # -- the end --------------------------------------------------------------------------------------

    def end(self) -> None:
        """The frame is delivered."""
        self._finish("done", "")

    def drop(self, reason: str = "superseded") -> None:
        """The frame will not be delivered: ``queue_full``, ``superseded`` or a reason of your own."""
        self._finish("dropped", str(plain(reason)))

    def fail(self, error: BaseException | str = "error") -> None:
        """The frame failed; only the error's type or the given words are kept."""
        self._finish("failed", str(plain(error)) if isinstance(error, str) else _NAME_OF(type(error)))

    def _finish(self, outcome: str, reason: str) -> None:
        recorder = self._recorder
        if self._ended:
            recorder.lose("ended_twice")
            return
        self._ended = True
        try:
            end = recorder.clock()
            opened = self._opened
            if opened is not None:  # as in release, written out: two calls less are a twentieth of a frame
                self._opened = None
                thread, start, before, idle = opened
                if thread == get_ident():
                    after = recorder.scheduler()
                    if NEWEST.began_ns > start and turned_since(start, recorder.clock):
                        after = NOTHING
                    recorder.local.last = (self.start_ns, end, after)
                    self._segments += ((thread, start, before, end, after, idle),)
                else:
                    self._segments += self._elsewhere(opened, end)
            attributes = self._attributes
            if attributes and len(attributes) > MAX_ATTRIBUTES:
                recorder.lose("attribute_limit")
            recorder.deliver(
                (
                    recorder.number,
                    self.id,
                    self.sequence,
                    self._due_ns,
                    self.start_ns,
                    end,
                    outcome,
                    reason,
                    self._before_ns,
                    self._gap,
                    # Not copied: what a task marks that outlives this frame comes after its end, and the
                    # agent leaves it out.
                    self._marks,
                    self._segments,
                    travelling(attributes) if attributes else None,
                )
            )
        except BaseException as error:
            if hosts_own(error):
                recorder.lose("interrupted")  # though it may have come when the frame was delivered already
                raise
            recorder.lose("fault")
            recorder.faults.note("frame.end")

    # -- a frame of one thread --------------------------------------------------------------------------

    def __enter__(self) -> Frame:
        try:
            if self._token is None:
                self._token = self._recorder.marks.set(self._marks)
        except Exception:
            self._recorder.faults.note_own("frame.enter")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        recorder, token = self._recorder, self._token
        if token is not None:
            self._token = None
            try:
                recorder.marks.reset(token)
            except (ValueError, TypeError):
                recorder.lose("left_elsewhere")  # see ``_be_closed``
        if self._ended:
            return  # dropped or failed inside the block
        if kind is None:
            self._finish("done", "")
        else:
            self._finish("failed", _NAME_OF(kind))

    # -- a frame of one asyncio task ----------------------------------------------------------------------

    async def __aenter__(self) -> Frame:
        try:
            self._enter_task(False)
            self._steps.follow(sys._getframe(1))
        except Exception:
            self._recorder.faults.note_own("frame.enter")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(AttributeError):  # it could not be entered
            self._steps.left_by(sys._getframe(1))
        self.__exit__(kind, error, trace)

    async def around(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Await ``coroutine`` as this frame: ``await pipeline.frame().around(serve(request))``. Its CPU time
        is counted between its awaits, on any Python."""
        self._enter_task(True)
        with self:
            return await driven(self._steps, coroutine)

    def _enter_task(self, whole: bool) -> None:
        # Between two awaits other tasks run on this thread: what the scheduler tells of the thread is not
        # this frame's.
        self._steps = steps = Steps(self._recorder, whole)
        self._opened = (UNKNOWN, self.start_ns, NOTHING, UNKNOWN)
        self._gap = None
        if self._token is None:
            self._token = self._recorder.marks.set(SharedMarks(self._marks, steps))

    def __del__(self) -> None:
        # A frame nobody ended is told as what it is; the interpreter may be half gone by now.
        try:
            if not self._ended and hasattr(self, "_opened"):  # else an interrupt came while it was made
                self._finish("failed", "abandoned")
        except Exception:
            pass


class _StageOf:
    """A stage of a frame that is carried by hand."""

    __slots__ = ("_frame", "_outside", "_stage", "_token")

    def __init__(self, frame: Frame, stage: Stage) -> None:
        self._frame = frame
        self._stage = stage

    def __enter__(self) -> _StageOf:
        frame = self._frame
        self._token: int | None = None  # not entered; of GPU work that is not timed there is a token too
        self._outside: Token[Marks] | None = None
        if frame._ended or getattr(self._stage, "_recorder", None) is not frame._recorder:
            frame._recorder.lose("stage_after_end" if frame._ended else "stage_of_another_pipeline")
            return self
        try:
            frame.take()
            self._token = self._stage.start(frame)
            self._outside = frame._be_open()
        except Exception:
            frame._recorder.faults.note("stage.enter")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is None:
            return
        try:
            if self._outside is not None:
                self._frame._be_closed(self._outside)
                self._outside = None
            self._stage.stop(self._frame, self._token, kind)
        except Exception:
            self._frame._recorder.faults.note("stage.exit")


class NoFrame:
    """The frame of a pipeline that is switched off, or could not make one: every call does nothing."""

    __slots__ = ()
    id = -1
    sequence = -1
    start_ns = 0
    trace_id = ""
    traceparent = ""

    def stage(self, stage: object) -> NoFrame:
        return self

    def set(self, **attributes: object) -> None: ...
    def release(self) -> None: ...
    def take(self) -> None: ...
    def carry(self) -> bytes:
        return b""

    def end(self) -> None: ...
    def drop(self, reason: str = "superseded") -> None: ...
    def fail(self, error: BaseException | str = "error") -> None: ...
    def __enter__(self) -> NoFrame:
        return self

    def __exit__(self, *_: object) -> None: ...
    async def __aenter__(self) -> NoFrame:
        return self

    async def __aexit__(self, *_: object) -> None: ...
    async def around(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        return await coroutine


NO_FRAME: Final = NoFrame()
