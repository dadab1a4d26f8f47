"""One pipeline's recorder: makes frames, stages and queues, and holds what they recorded until shipped."""

from __future__ import annotations

import itertools
import operator
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from framescope import signals as sig
from framescope.handover import UNKNOWN, FrameRecord, PipelineDefinition
from framescope.probes.device import GpuTimer
from framescope.probes.scheduler import Reading, nothing
from framescope.recorder import carried
from framescope.recorder.faults import Faults, count
from framescope.recorder.frame import MAX_TEXT, Frame, words
from framescope.recorder.marks import NO_FRAME_OPEN, Marks
from framescope.recorder.open_frames import OpenMarks
from framescope.recorder.queue import POLICIES, Policy, Queue
from framescope.recorder.spans_inside import ship_spans
from framescope.recorder.stage import GpuStage, Stage
from framescope.recorder.watched import WatchedQueue

OUTBOX: Final = 20_000
"""Frames held for the shipper: 4 s at 5 000 FPS, some 30 MB at worst. What does not fit is counted."""
MARKS: Final = FrameRecord._fields.index("marks")
MAX_STAGES: Final = 256
KINDS: Final = frozenset({"cpu", "gpu", "io", "queue"})
TRANSIT: Final = "carried"
"""The stage between two processes: from ``carry`` to ``resume``."""
MAX_GAUGES: Final = 64
MAX_COUNTS: Final = 64
MAX_WATCHED: Final = 64


class TooManyStages(ValueError):
    """A pipeline has as many stages as it can."""


class Recorder:
    """Everything one pipeline records. Frames call ``deliver``; the shipper calls ``drain``."""

    def __init__(
        self,
        number: int,
        name: str,
        budget_ns: int | None = None,
        period_ns: int | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        scheduler: Callable[[], Reading] = nothing,
        faults: Faults | None = None,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        carried.boot()  # asked of the system once, and not inside a frame
        self.wall = wall
        self.number = number
        self.definition = PipelineDefinition(name, budget_ns, period_ns, [])
        self.clock = clock
        self.scheduler = scheduler
        self.faults = faults or Faults()
        self.baseline_every = 0
        """One in so many frames is kept whatever becomes of it; 0: none is chosen beforehand."""
        self.local = threading.local()
        """``last``: what the calling thread did last for this pipeline; see ``FrameRecord.gap``."""
        self.marks: OpenMarks = _marks(name)
        self.handed_on: Callable[[], None] | None = None
        self.last_start_ns = UNKNOWN
        self.holds_spans = False
        """Whether the host's tracer tells of spans; see ``framescope.otel``."""
        self.queues: list[Queue[object]] = []
        self.watched: list[WatchedQueue] = []
        self.timers: list[GpuTimer] = []
        self.losses: dict[str, int] = {}
        self.gauges: dict[str, tuple[int, float]] = {}
        self.counts: dict[str, float] = {}
        self.changes: deque[tuple[int, str]] = deque(maxlen=256)
        self.recalls: deque[tuple[int, int, str]] = deque(maxlen=16)
        self.next_number = itertools.count().__next__
        self._first = 0
        self._stages: dict[str, Stage] = {}
        self._from_headers = 0
        self._outbox: deque[tuple[Any, ...]] = deque()
        self._lock = threading.RLock()  # a signal handler may name a stage while its own thread does

    def keep_time_by(self, clock: Callable[[], int], wall: Callable[[], int]) -> None:
        """Read other clocks from now on: monotonic ns and unix ns. Not while a frame is under way."""
        self.clock, self.wall = clock, wall
        self.last_start_ns = UNKNOWN
        for stage in self._stages.values():
            stage.keep_time_by(clock)

    # -- what the pipeline is made of -------------------------------------------------------------------

    def stage(self, name: str, kind: str = "cpu", timer: GpuTimer | None = None) -> Stage:
        """The stage of this name, made on first use. Raises ``TooManyStages`` beyond 256."""
        name = words(name, MAX_TEXT)
        with self._lock:
            known = self._stages.get(name)
            if known is not None:
                if known.kind != kind:
                    raise ValueError(f"stage {name!r} is already there, of kind {known.kind!r}")
                return known
            if len(self._stages) >= MAX_STAGES:
                raise TooManyStages(f"a pipeline has at most {MAX_STAGES} stages; {name!r} is one too many")
            index = len(self._stages)
            made = Stage(self, index, name, kind) if timer is None else GpuStage(self, index, name, timer)
            if timer is not None and timer not in self.timers:
                self.timers.append(timer)
            self._stages[name] = made
            self.definition.stages.append((name, kind))
            return made

    def queue(self, name: str, capacity: int, policy: Policy) -> Queue[object]:
        """A bounded queue of this pipeline."""
        if policy not in POLICIES:
            raise ValueError(f"queue policy {policy!r} is none of {', '.join(POLICIES)}")
        if capacity < 1:
            raise ValueError(f"queue {name!r} needs a capacity of at least 1, not {capacity}")
        made: Queue[object] = Queue(self, self.stage(name, "queue"), capacity, policy)
        self.queues.append(made)
        return made

    def watch(self, queue: object, name: str) -> None:
        """Look at a queue of the host's own. Beyond 64 of them one is counted and left alone."""
        if len(self.watched) < MAX_WATCHED:
            self.watched.append(WatchedQueue(name, queue, self.clock))
        else:
            self.lose("watch_limit")

    def begin(
        self,
        sequence: int | None = None,
        captured_at_ns: int | None = None,
        attributes: dict[str, object] | None = None,
    ) -> Frame:
        """A new frame, on the calling thread. What is no integer is left out and counted."""
        if sequence is not None:
            sequence = self._whole(sequence, "sequence_not_a_number")
        if captured_at_ns is not None:
            captured_at_ns = self._whole(captured_at_ns, "captured_at_not_a_time")
        return Frame(self, self.next_number(), sequence, captured_at_ns, attributes)

    def resume(self, header: bytes) -> Frame:
        """The frame that another process handed on by ``carry``. A header that is none is counted, and a new
        frame begins."""
        try:
            told = carried.read(header)
            stages = [self._told_of(name, kind) for name, kind in told.stages]
            transit = self.stage(TRANSIT, "queue").index
        except ValueError:
            self.lose("carried_nothing" if type(header) is bytes and not header else "carried_malformed")
            return self.begin()
        now = self.clock()
        shared = told.boot == carried.boot() != "" and told.sent_ns <= now
        # Another machine's monotonic clock: by the wall clocks, and never backwards in time.
        transit_ns = now - told.sent_ns if shared else max(0, self.wall() - told.sent_wall_ns)
        if transit_ns > carried.LONGEST_NS:
            self.lose("carried_too_late")
            return self.begin()
        last = self.last_start_ns
        frame = Frame(self, self.next_number(), told.sequence, None, dict(told.attributes))
        self.last_start_ns = last  # it did not start here
        shift = 0 if shared else frame.start_ns - transit_ns - told.sent_ns
        if not shared:
            frame.set(**{sig.FRAME_CLOCK_SHARED: False})
        if told.cut:
            self.lose("carried_cut")
        frame._continue_from(told, stages, shift, transit)
        return frame

    def _told_of(self, name: str, kind: str) -> int:
        """A stage that a header names. Raises ``ValueError`` for one of no known kind, and where headers
        named so many that this process would have no room for stages of its own."""
        if kind not in KINDS:
            raise ValueError(f"stage kind {kind!r}")
        if name not in self._stages:
            if self._from_headers >= MAX_STAGES // 2:
                raise ValueError("headers name too many stages")
            self._from_headers += 1
        return self.stage(name, kind).index

    def _whole(self, value: object, otherwise: str) -> int | None:
        try:
            whole = operator.index(value)  # type: ignore[arg-type]
            if -(2**63) <= whole < 2**63:
                return whole
        except Exception:  # it is none, or its own conversion raised
            pass
        self.lose(otherwise)
        return None

    # -- what came of it ----------------------------------------------------------------------------------

    def deliver(self, record: tuple[Any, ...]) -> None:
        """Take a finished frame: a ``FrameRecord``'s fields in their order but ``works``, as a plain tuple,
        which is made four times as fast. Called on the frame's thread: one append, or one count."""
        if len(self._outbox) < OUTBOX:
            self._outbox.append(record)
        else:
            self.lose("outbox_full")

    def forget(self) -> None:
        """Start afresh in a forked child: what the parent recorded, or has begun, is the parent's to send."""
        self._first = self.next_number()
        self._outbox = deque()
        self._lock = threading.RLock()
        self.local = threading.local()
        self.marks, self.handed_on = _marks(self.definition.name), None
        self.losses, self.gauges, self.changes = {}, {}, deque(maxlen=256)
        self.counts, self.recalls = {}, deque(maxlen=16)
        for stage in self._stages.values():
            stage.rebind(self.marks)
        for queue in self.queues:
            queue.forget()
        for watched in self.watched:
            watched.forget()

    def hold_marks_in(self, marks: OpenMarks, handed_on: Callable[[], None]) -> None:
        """Have the open frame's marks held by somebody who looks on, and is told when a thread hands a frame
        on; see ``recorder.open_frames``."""
        self.marks, self.handed_on = marks, handed_on
        for stage in self._stages.values():
            stage.rebind(marks)

    def lose(self, reason: str) -> None:
        """Count something that is missing from the record."""
        count(self.losses, reason)

    def take(self, most: int) -> list[tuple[Any, ...]]:
        """Up to ``most`` finished frames, oldest first, as ``deliver`` took them."""
        outbox = self._outbox
        taken = [outbox.popleft() for _ in range(min(most, len(outbox)))]
        if self.holds_spans:
            for record in taken:
                ship_spans(record[MARKS])
        if not self._first:
            return taken
        own = [record for record in taken if record[1] >= self._first]
        for _ in range(len(taken) - len(own)):
            self.lose("begun_before_fork")
        return own

    def drain(self, most: int) -> list[FrameRecord]:
        """The same by name, for whoever reads them in this process."""
        return [FrameRecord(*record) for record in self.take(most)]

    def gauge(self, name: str, value: float) -> None:
        """Keep the newest value of a custom number."""
        if name in self.gauges or len(self.gauges) < MAX_GAUGES:
            self.gauges[name] = (self.clock(), value)
        else:
            self.lose("gauge_limit")

    def count(self, name: str, amount: float) -> None:
        """Add to a custom counter."""
        if name in self.counts or len(self.counts) < MAX_COUNTS:
            count(self.counts, name, amount)
        else:
            self.lose("count_limit")

    def mark(self, text: str) -> None:
        """Note a change (a deploy, a new setting) at this moment."""
        self.changes.append((self.clock(), text))

    def recall(self, back_ns: int, why: str) -> None:
        """Wish that the frames of the last ``back_ns`` be kept whole."""
        self.recalls.append((self.clock(), back_ns, why))


def _marks(name: str) -> ContextVar[Marks]:
    """Where a stage finds the marks of the frame it is entered in: by thread, and by asyncio task."""
    return ContextVar(f"framescope.{name}", default=NO_FRAME_OPEN)
