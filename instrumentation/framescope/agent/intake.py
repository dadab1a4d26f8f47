"""From recorded frames to the judge's frames: marks become stages, segments get their evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from framescope.handover import (
    AWAITED,
    DEPTH,
    ERROR,
    HELD_UP,
    SPANS,
    STEPS,
    THREAD,
    TRACE,
    WORK,
    Batch,
    FrameRecord,
    PipelineDefinition,
    StepsTaken,
    noted,
)
from framescope.judge.model import Evidence, Frame, Gpu, Segment, Stage
from framescope.probes.device import NOT_TIMED, GpuWork
from framescope.probes.gc import Collection

SAY_NOTHING_OF_STAGES: Final = (TRACE, STEPS, SPANS)
OLDEST_NS: Final = 60_000_000_000
"""A capture time further back than a minute is no frame of a real-time pipeline, but another clock."""


def not_taken(batch: Batch) -> frozenset[str]:
    """The readings (``Evidence`` fields) that no probe of the host takes."""
    told = {"gc_ns": batch.collections, "gil_ns": batch.knocks}
    return frozenset(name for name, found in told.items() if found is None)


def outline(record: FrameRecord, definition: PipelineDefinition, count: Callable[[str], None]) -> Frame:
    """The frame without its inside: enough to count it, and to see whether more is needed. ``count`` is
    called with the name of each oddity met."""
    end = record.end_ns
    if end < record.start_ns:
        count("clock_backwards")
        end = record.start_ns
    due = record.due_ns
    if not record.start_ns - OLDEST_NS <= due <= record.start_ns:
        count("captured_at_out_of_range")  # another clock, or a driver that gives none
        due = record.start_ns
    return Frame(
        pipeline=definition.name,
        id=record.id,
        sequence=record.sequence,
        due_ns=due,
        start_ns=record.start_ns,
        end_ns=end,
        outcome=record.outcome,
        reason=record.reason,
        budget_ns=definition.budget_ns,
        period_ns=definition.period_ns,
        interval_ns=max(0, record.start_ns - record.before_ns) if record.before_ns >= 0 else None,
        gap_ns=max(0, record.start_ns - record.gap[1]) if record.gap is not None else None,
        attributes=record.attributes or {},
    )


PlainStages = list[tuple[int, int, int]]
"""(stage index, ns, ns without the stages inside it), in the order they were left."""


def plain_stages(record: FrameRecord) -> PlainStages | None:
    """The stages of a frame on one thread that ran one by one or one in another; None: there is more to this
    frame, and it takes ``fill`` to read it."""
    if len(record.segments) != 1 or record.works:
        return None
    found: PlainStages = []
    opened: list[list[int]] = []
    newest = record.start_ns
    pairs = iter(record.marks)
    for index, at in zip(pairs, pairs, strict=False):
        if index.__class__ is not int:
            if index[0] not in SAY_NOTHING_OF_STAGES:
                return None
            continue
        if at < newest:
            return None
        newest = at
        if index >= 0:
            opened.append([index, at, 0])
        else:
            if not opened or opened[-1][0] != ~index:
                return None
            _, since, inside = opened.pop()
            took = at - since
            if opened:
                opened[-1][2] += took
            found.append((~index, took, took - inside))
    return None if opened or newest > record.end_ns else found


def owned_by_stage(frame: Frame, stages: PlainStages, definition: PipelineDefinition) -> dict[str, int]:
    """Each stage's own part of a plain frame, in ns, by name, the gap before it included."""
    owned = {"gap": frame.start_ns - frame.due_ns} if frame.due_ns < frame.start_ns else {}
    for index, _, own_ns in stages:
        name, _ = definition.stages[index]
        owned[name] = owned.get(name, 0) + own_ns
    return owned


Felt = Callable[[int, Sequence[Collection]], Sequence[Collection]]
"""Collections as far as they can have held a thread up; see ``Waits.felt``."""


def read_threads(
    frame: Frame,
    record: FrameRecord,
    collections: Sequence[Collection] | None,
    felt: Felt,
) -> None:
    """Read what the scheduler did to a frame on each thread it was on. ``collections`` that touch it; None
    where nobody listened to the collector."""
    frame.segments = [
        _segment(*segment[:5], collections=collections and felt(segment[0], collections))
        for segment in record.segments
    ]
    _add_steps(frame.segments, noted(record.marks, STEPS))


def fill(
    frame: Frame,
    record: FrameRecord,
    definition: PipelineDefinition,
    works: Mapping[int, GpuWork],
    collections: Sequence[Collection] | None,
    count: Callable[[str], None],
    felt: Felt,
) -> None:
    """Read the inside of a frame: its stages, its threads, and what the scheduler did to them.
    ``collections`` are as for ``read_threads``."""

    def felt_by(thread: int | None) -> Sequence[Collection] | None:
        return felt(thread, collections) if collections and thread is not None else collections

    frame.trace = noted(record.marks, TRACE) or ""
    frame.spans = noted(record.marks, SPANS) or ()
    read_threads(frame, record, collections, felt)
    launched: dict[int, Stage] = {}
    frame.stages = _stages(record, definition, frame.segments, frame.end_ns, launched, count)
    _add_works(launched, works, count)
    for stage in frame.stages:
        if stage.kind not in ("queue", "gap") or stage.awaited:
            stage.evidence.gc_ns = _overlap(felt_by(stage.thread), stage.start_ns, stage.end_ns)
    _add_readiness(frame, record)
    _add_gap(frame, record, felt_by(record.segments[0][0] if record.segments else None))


def _segment(
    thread: int,
    start: int,
    before: tuple[int, int, int],
    end: int,
    after: tuple[int, int, int],
    collections: Sequence[Collection] | None,
) -> Segment:
    evidence = _between(before, after, max(0, end - start))
    evidence.gc_ns = _overlap(collections, start, end)
    if collections:
        evidence.gc_own_ns = _overlap([one for one in collections if one[1] == thread], start, end)
    return Segment(thread, start, end, evidence)


def _between(before: tuple[int, int, int], after: tuple[int, int, int], wall: int) -> Evidence:
    """What the scheduler did between two readings of one thread; −1 in either is unknown."""
    cpu, runqueue, blocks = (
        None if first < 0 or last < 0 else max(0, last - first)
        for first, last in zip(before, after, strict=True)
    )
    evidence = Evidence(cpu_ns=cpu, runqueue_ns=runqueue)
    if cpu is not None and runqueue is not None:
        evidence.blocked_ns = max(0, wall - cpu - runqueue)
        if blocks is not None:
            # Off the CPU and moving blocks: at most this. Writes are counted when they dirty a page, so
            # the pressure on I/O in the frame's window has the last word (``Agent._add_machine_evidence``).
            evidence.io_ns = evidence.blocked_ns if blocks else 0
    return evidence


def _add_steps(segments: Sequence[Segment], told: StepsTaken | None) -> None:
    """What a task's frame tells more: how long its loop was busy with others. Of the time it was off the CPU
    only that inside its steps can be block I/O; the rest it awaited something."""
    if told is None or not segments:
        return
    _, inside_ns, loop_ns, queued_ns, loop_off_ns, others_cpu_ns, lock_ns = told
    task = segments[0]
    task.of_task = True
    own, *lent = (segment.evidence for segment in segments)
    if own.cpu_ns is not None and own.runqueue_ns is not None:
        off_inside = max(0, inside_ns - own.cpu_ns - (own.runqueue_ns - queued_ns))
        task.off_ns, task.loop_off_ns = off_inside + loop_off_ns, loop_off_ns
        task.others_cpu_ns, task.lock_ns = others_cpu_ns, lock_ns
        if own.io_ns:
            own.io_ns = min(own.io_ns, off_inside)
    if loop_ns >= 0:
        own.loop_ns = loop_ns
        for evidence in lent:
            evidence.loop_ns = 0


def _overlap(collections: Sequence[Collection] | None, start: int, end: int) -> int | None:
    if not collections:
        return None if collections is None else 0
    return sum(max(0, min(end, c_end) - max(start, c_start)) for _, _, c_start, c_end in collections)


def _stages(
    record: FrameRecord,
    definition: PipelineDefinition,
    segments: Sequence[Segment],
    end: int,
    launched: dict[int, Stage],
    count: Callable[[str], None],
) -> list[Stage]:
    """The stages of a frame; ``launched`` gets those that launched GPU work, by its token."""
    stages: list[Stage] = []
    open_stages: list[Stage] = []
    newest: dict[int, Stage] = {}
    marks, known = record.marks, len(definition.stages)
    for index, at in zip(marks[::2], marks[1::2], strict=False):
        if type(index) is tuple:
            if index[0] == WORK and index[1] in newest:
                launched[at] = newest[index[1]]
            else:
                _take_note(index, at, newest)
            continue
        if at.__class__ is not int or at < record.start_ns or not -known <= index < known:
            count("marks_torn")  # an interrupt came between a stage and its time: from there on nothing fits
            break
        if at > end:
            count("stage_after_end")  # by a task that outlived the frame it was started in
            continue
        leaving = index < 0
        name, kind = definition.stages[~index if leaving else index]
        if not leaving:
            stage = Stage(name, kind, at, at, _thread_at(segments, at) if kind != "queue" else None)
            newest[index] = stage
            stages.append(stage)
            open_stages.append(stage)
            continue
        for position_of_open in range(len(open_stages) - 1, -1, -1):
            stage = open_stages[position_of_open]
            if stage.name == name:
                if at < stage.start_ns:
                    count("clock_backwards")
                stage.end_ns = max(at, stage.start_ns)
                del open_stages[position_of_open]
                break
        else:
            count("stage_never_opened")
    for stage in open_stages:
        # Its end is not known; it went on at least until the frame's.
        stage.end_ns = max(end, stage.start_ns)
        stage.unclosed = True
        if not (stage.kind == "queue" and record.outcome == "dropped"):
            count("stage_never_closed")
    return stages


def _take_note(note: tuple[str, int], value: int | str, newest: Mapping[int, Stage]) -> None:
    """What was written down of a stage beside its times; a note follows the mark it belongs to."""
    what, index = note
    stage = newest.get(index)
    if stage is None:
        return
    if what == DEPTH:
        stage.depth_at_entry = int(value)
    elif what == AWAITED:
        stage.awaited = True
    elif what == HELD_UP:
        stage.held_up_ns = int(value)
    elif what == ERROR:
        stage.error = str(value)
    elif what == THREAD:
        stage.thread = int(value)


def _thread_at(segments: Sequence[Segment], at: int) -> int | None:
    for segment in segments:
        if segment.start_ns <= at <= segment.end_ns:
            return segment.thread
    return None


def _add_works(
    launched: Mapping[int, Stage], works: Mapping[int, GpuWork], count: Callable[[str], None]
) -> None:
    for token, stage in launched.items():
        work = works.get(token)
        if work is None:
            count("gpu_work_missing")
        elif work.start_ns != NOT_TIMED:  # else the host has counted it, by the reason it knows
            stage.gpu = Gpu(
                work.device,
                work.start_ns,
                max(work.end_ns, work.start_ns),
                work.busy_ns,
                work.wait_ns,
                work.transfer_ns,
                work.throttle_ns,
                work.runqueue_ns,
                work.clock_error_ns,
            )


def _add_readiness(frame: Frame, record: FrameRecord) -> None:
    """How long the thread that took the frame from a queue was ready for it, but did not run."""
    for _, start, _, _, _, idle in record.segments[1:]:
        left = [s for s in frame.stages if s.kind == "queue" and s.start_ns <= start]
        if left and idle >= 0:
            queue = max(left, key=lambda stage: stage.start_ns)
            queue.evidence.runqueue_ns = min(idle, queue.end_ns - queue.start_ns)


def _add_gap(frame: Frame, record: FrameRecord, collections: Sequence[Collection] | None) -> None:
    """The time before the frame started: since its due time, and since this thread's frame before."""
    evidence = Evidence()
    if record.gap is not None:
        _, before_end, reading = record.gap
        if record.segments:
            evidence = _between(reading, record.segments[0][2], frame.gap_ns or 0)
            # Off the CPU is what waiting for input looks like: only these two say more.
            evidence.blocked_ns = evidence.io_ns = evidence.cpu_ns = None
            evidence.gc_ns = _overlap(collections, max(before_end, frame.due_ns), record.start_ns)
    if frame.due_ns < record.start_ns:
        gap = Stage("gap", "gap", frame.due_ns, record.start_ns, evidence=evidence)
        frame.stages.insert(0, gap)
