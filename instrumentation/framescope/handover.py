"""What the recorder hands to the agent: one self-contained batch at a time.

A batch carries the definitions of its pipelines, so an agent that was restarted understands the next
batch without asking. It is packed with ``marshal``: one call in C, and both ends are always the same
interpreter (the agent is started with ``sys.executable``), over a pipe that only the two of them hold.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

VERSION: Final = 9
HEADER: Final = struct.Struct("<II")
"""Message length in bytes, frames in it (so that a reader can count what it could not read)."""
MAX_MESSAGE: Final = 16 * 1024 * 1024
"""A batch of 32 frames of 4 096 marks is about 3 MB; more is a broken stream."""

DEPTH: Final = "depth"
WORK: Final = "work"
ERROR: Final = "error"
TRACE: Final = "trace"
THREAD: Final = "thread"
STEPS: Final = "steps"
SPANS: Final = "spans"
HELD_UP: Final = "held_up"
AWAITED: Final = "awaited"
"""What a note among a frame's marks can be."""

UNKNOWN: Final = -1
"""Stands for an integer that was not measured, in places where ``None`` would cost a byte type."""


@dataclass(slots=True)
class PipelineDefinition:
    """What does not change from frame to frame. Durations in ns; ``budget_ns`` None: to be learned."""

    name: str
    budget_ns: int | None
    period_ns: int | None
    stages: list[tuple[str, str]]
    """(name, kind) by stage index. A queue is a stage of kind ``queue``."""


class FrameRecord(NamedTuple):
    """One frame as recorded; every time is monotonic ns. ``before_ns`` is when the pipeline's frame before
    this one started, on whatever thread; ``UNKNOWN`` for the first.

    ``marks`` is flat, pair by pair: a stage index and a time for an entry, the index's complement and a
    time for an exit, and for a note what it is of which stage, as (``DEPTH``, ``WORK``, ``ERROR``,
    ``TRACE``, ``THREAD``, ``STEPS``, ``SPANS``, ``HELD_UP`` or ``AWAITED``, index), and its value: the items
    found in a queue, the token of GPU work launched, an exception's type, the frame's own trace and span id
    in hex, the thread that a task lent its frame to, how a task's steps went (``StepsTaken``), the spans that
    the host's own OpenTelemetry made meanwhile (``SpanTold`` each), for how long (ns) the thread that handed
    the frame on was held up by a full queue, 1 where the thread that took it stood waiting for it.
    ``works`` are the notes of GPU work once more, (index, token), to wait for; ``Batch.records`` adds them.
    ``segments`` are (thread, start, evidence, end, evidence, idle) with evidence (cpu ns, run-queue ns,
    block operations), each ``UNKNOWN`` if not read, and idle the run-queue time of that thread since it
    let go of its frame before: how long it was ready to take this one and did not run. ``gap`` is what the
    thread did since its frame before: (that frame's start, its end, evidence then), or None on a thread's
    first frame.
    """

    pipeline: int
    id: int
    sequence: int
    due_ns: int
    start_ns: int
    end_ns: int
    outcome: str
    reason: str
    before_ns: int
    gap: tuple[int, int, tuple[int, int, int]] | None
    marks: list[Any]
    segments: Sequence[tuple[int, int, tuple[int, int, int], int, tuple[int, int, int], int]]
    attributes: dict[str, str | int | float | bool] | None
    works: Sequence[tuple[int, int]] = ()


StepsTaken = tuple[int, int, int, int, int, int, int]
"""Of a task's frame, in ns but for the first: how many steps it had; how long they took in all; for how long,
at most, the task was ready while its event loop was busy with others (``UNKNOWN`` where the loop cannot be
watched), without the time that the loop's thread waited for a core; that time; how long of the former the
thread was off the CPU; how long it was on the CPU for others; and how long of its time off the CPU the loop
was due to go on: a wait for the interpreter lock."""

SpanTold = tuple[str, int, int, str, str, str, int, dict[str, str | int | float | bool]]
"""Name, start and end (monotonic ns), trace id, span id and parent's span id ("" without one) in hex, kind
as OpenTelemetry numbers it (negative: its complement, and the span failed), attributes."""


def noted(marks: Sequence[Any], what: str) -> Any:
    """The first note of a kind among a frame's marks; None without one."""
    for one, value in zip(marks[::2], marks[1::2], strict=False):
        if type(one) is tuple and one[0] == what:
            return value
    return None


def works_in(marks: Sequence[Any]) -> list[tuple[int, int]]:
    """The GPU work noted among a frame's marks, as (stage index, token)."""
    return [
        (what[1], value)
        for what, value in zip(marks[::2], marks[1::2], strict=False)
        if type(what) is tuple and what[0] == WORK
    ]


@dataclass(slots=True)
class Batch:
    """Everything that happened in one host process since the batch before."""

    pid: int
    instance: str
    sent_ns: int
    began_unix_ns: int
    """Since when the cumulative numbers below count: the same in every batch of one process."""
    pipelines: dict[int, PipelineDefinition] = field(default_factory=dict)
    frames: list[tuple[Any, ...]] = field(default_factory=list)
    """Plain tuples of ``FrameRecord``'s fields but ``works``: ``records`` names them, in the agent."""
    works: list[tuple[Any, ...]] = field(default_factory=list)
    """``GpuWork`` fields, in their order."""
    collections: list[tuple[int, int, int, int]] | None = field(default_factory=list)
    """Garbage collections: (generation, thread, start, end); None where nobody listens to the collector."""
    queues: list[tuple[int, str, int, int, int, dict[str, int]]] = field(default_factory=list)
    """(pipeline, name, capacity, depth now, blocked ns so far, drops so far by reason); the numbers
    ``UNKNOWN`` where a queue does not tell."""
    gauges: list[tuple[int, str, int, float]] = field(default_factory=list)
    marks: list[tuple[int, int, str]] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    losses: dict[tuple[int, str], int] = field(default_factory=dict)
    """Frames lost before the agent, by (pipeline, reason); cumulative."""
    faults: dict[str, int] = field(default_factory=dict)
    """Faults inside the recorder, by where; cumulative."""
    recalls: list[tuple[int, int, int, str]] = field(default_factory=list)
    """Wishes to keep the last frames whole: (pipeline, when, how far back in ns, why)."""
    waits: list[tuple[int, str, list[int]]] = field(default_factory=list)
    """Waits in the host's own queues, which carry no frames: (pipeline, queue, ns each)."""
    counts: list[tuple[int, str, float]] = field(default_factory=list)
    """What the host counts itself: (pipeline, name, so far)."""
    knocks: list[tuple[int, int, int, int]] | None = field(default_factory=list)
    """Knocks at the interpreter lock, as ``interpreter_lock.Knock``; None where nobody knocks at one."""
    looks: list[tuple[int, int, str]] = field(default_factory=list)
    """Where threads were in their Python code: (thread, when, a line a call, the innermost last)."""
    threads: tuple[str, tuple[int, int] | None] | None = None
    """The page that says which threads are in a frame, and where the interpreter lock lies (start, end);
    None where the agent is not to look at them."""
    canaries: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Small kernels launched on a GPU: (device, when, ns it kept them waiting, error of that in ns)."""
    farewell: bool = False
    """The host says good-bye: nothing comes after this. One that ends without it crashed or was killed."""

    def records(self) -> list[FrameRecord]:
        """The frames, each with the GPU work it launched."""
        timed = {
            number for number, one in self.pipelines.items() if any(kind == "gpu" for _, kind in one.stages)
        }
        named = [FrameRecord(*frame) for frame in self.frames]
        if not timed:
            return named
        return [one._replace(works=works_in(one.marks)) if one.pipeline in timed else one for one in named]


def pack(batch: Batch) -> bytes:
    """The batch as bytes, header included."""
    body = marshal.dumps(
        (
            VERSION,
            batch.pid,
            batch.instance,
            batch.sent_ns,
            batch.began_unix_ns,
            {i: (d.name, d.budget_ns, d.period_ns, d.stages) for i, d in batch.pipelines.items()},
            [tuple(frame) for frame in batch.frames],  # marshal takes no named ones
            batch.works,
            batch.collections,
            batch.queues,
            batch.gauges,
            batch.marks,
            batch.devices,
            batch.losses,
            batch.faults,
            batch.recalls,
            batch.waits,
            batch.counts,
            batch.knocks,
            batch.looks,
            batch.threads,
            batch.canaries,
            batch.farewell,
        )
    )
    return HEADER.pack(len(body), len(batch.frames)) + body


def unpack(body: bytes) -> Batch:
    """The batch from a message's body. Raises ``ValueError`` for anything that is not one."""
    try:
        version, pid, instance, sent_ns, began_unix_ns, pipelines, frames, *rest = marshal.loads(body)
        if version != VERSION:
            raise ValueError(f"hand-over version {version}, expected {VERSION}")
        return Batch(
            pid,
            instance,
            sent_ns,
            began_unix_ns,
            {i: PipelineDefinition(*d) for i, d in pipelines.items()},
            frames,
            *rest,
        )
    except (EOFError, TypeError, AttributeError) as error:
        raise ValueError(f"not a batch: {error}") from error
