"""The agent itself: batches in; once a second what has settled is judged, kept, counted and sent."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from framescope import signals as sig
from framescope.agent.anchor import WallAnchor
from framescope.agent.backlog import Backlog
from framescope.agent.burst import BurstTrigger
from framescope.agent.cohorts import Cohorts
from framescope.agent.counts import FrameCounts
from framescope.agent.evidence import EvidenceProbes
from framescope.agent.export import STREAM_LOG
from framescope.agent.intake import (
    PlainStages,
    fill,
    not_taken,
    outline,
    owned_by_stage,
    plain_stages,
    read_threads,
)
from framescope.agent.keeper import Judged, keep
from framescope.agent.metrics import Beginnings, metrics_data
from framescope.agent.record import frame_records
from framescope.agent.settings import AgentSettings
from framescope.agent.sink import Sink
from framescope.agent.spans import SpanMaker
from framescope.agent.totals import Example, Labels, Totals
from framescope.causes import load
from framescope.handover import UNKNOWN, Batch, FrameRecord, PipelineDefinition, unpack
from framescope.judge import accounted, own_causes
from framescope.judge.baseline import Baseline, quantile
from framescope.judge.model import Evidence, Frame, Segment, total
from framescope.probes.device import GpuWork
from framescope.probes.gc import Collection

SETTLE_NS: Final = 300_000_000
"""A frame is judged this long after its end: three device readings at 10 Hz, and GPU times that come late."""
WAIT_FOR_WORK_NS: Final = 2_000_000_000
"""A frame whose GPU times are missing waits for them this long, then is judged without."""
PENDING: Final = 50_000
WORKS: Final = 50_000
LEARN_BUDGET_FROM: Final = 120
LATE_SHARE: Final = 0.25
"""An interval is late beyond the period by a quarter of it: a display or a probe shows a jump there."""
RECENT: Final = 600
"""Frames of a pipeline remembered whole though nobody kept them, for ``keep_last``: 3 to 7 kB each."""
REASONS: Final = 16
"""Drop reasons of one pipeline that become labels: each is a series."""
PIPELINES: Final = 256
GONE: Final = -1
"""In place of a pipeline's number: those of a name that were closed and forgotten."""
WORTH_JUDGING: Final = 0.1
"""On-time frames that lost a tenth of their budget are accounted for too: others may wait behind them."""


class _Pipeline:
    """What the agent remembers of one pipeline."""

    def __init__(self, definition: PipelineDefinition, totals: Totals) -> None:
        self.counts = FrameCounts(totals, definition)
        self.queues = False
        """Whether frames may wait in a queue: then who waited behind whom is looked at in every one."""
        self.redefine(definition)
        self.baseline = Baseline()
        self.backlog = Backlog()
        self.burst = BurstTrigger()
        self.cohorts = Cohorts()
        self.last: Judged | None = None
        self.recent: deque[Judged] = deque(maxlen=RECENT)
        self.learned_budget_ns: int | None = None
        self.first: list[int] = []
        self.crosses_threads = False
        self._reasons: set[str] = set()

    def budget(self, frame: Frame, record: FrameRecord) -> tuple[int | None, bool]:
        """The budget in force, and whether it was learned."""
        if self.definition.budget_ns is not None:
            return self.definition.budget_ns, False
        self.crosses_threads = self.crosses_threads or len({s[0] for s in record.segments}) > 1
        if not self.crosses_threads and self.definition.period_ns is not None:
            return self.definition.period_ns, False
        if self.learned_budget_ns is None and frame.outcome == "done":
            self.first.append(frame.latency_ns)
            if len(self.first) >= LEARN_BUDGET_FROM:
                self.learned_budget_ns = max(
                    self.definition.period_ns or 0, round(1.5 * quantile(self.first, 0.5))
                )
        if self.learned_budget_ns is None:
            return None, False
        return self.learned_budget_ns, True

    def redefine(self, definition: PipelineDefinition) -> None:
        """It has got more stages, or another budget."""
        self.definition = self.counts.definition = definition
        self.queues = any(kind == "queue" for _, kind in definition.stages)

    def reason(self, given: str) -> str:
        """A drop reason as a label: the user's own words are bounded, the rest is ``other``."""
        if given in self._reasons or len(self._reasons) < REASONS:
            self._reasons.add(given)
            return given
        return "other"


class Agent:
    """One agent for one host process. Not thread-safe: ``feed`` and ``tick`` belong to one thread."""

    def __init__(
        self,
        sink: Sink,
        resource: Callable[[Batch], Resource],
        settings: AgentSettings | None = None,
        probes: Callable[[int], EvidenceProbes] | None = None,
        anchor: WallAnchor | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.totals = Totals()
        self.settled = 0
        self._sink = sink
        self._make_resource = resource
        self._settings = settings or AgentSettings()
        load(self._settings.causes)
        self._make_probes = probes or (lambda pid: EvidenceProbes(pid, self._settings, clock))
        self._anchor = anchor or WallAnchor()
        self._clock = clock
        self._beginnings = Beginnings(clock(), self._anchor.unix_ns(clock()))
        self._probes: EvidenceProbes | None = None
        self._resource: Resource | None = None
        self._spans: SpanMaker | None = None
        self._pipelines: dict[int, _Pipeline] = {}
        self._pending: deque[FrameRecord] = deque()
        self._works: dict[int, GpuWork] = {}
        self._collections: deque[Collection] = deque(maxlen=10_000)
        self._off: frozenset[str] = frozenset()
        """Readings that the host's probes do not take, by the newest batch."""
        self._marks: list[tuple[int, str]] = []
        self._recalls: list[tuple[int, int, int, str]] = []
        # By pipeline number, so that two of one name add up instead of taking turns. The reasons of the two
        # never meet: they count since different moments.
        self._losses: dict[tuple[int, str], int] = {}
        self._own_losses: dict[tuple[int, str], int] = {}
        # Of pipelines that are forgotten, by name: a counter never falls.
        self._losses_of_gone: dict[Labels, int] = {}
        self._own_losses_of_gone: dict[Labels, int] = {}
        self._queues: dict[tuple[str, Labels], dict[int, float]] = {}
        self._next_metrics_ns = 0
        self._farewell = False
        self._open: set[int] = set()
        """Pipelines of the newest batch: each batch tells of all that are open."""

    # -- in ---------------------------------------------------------------------------------------------

    def take(self, body: bytes, frames: int) -> None:
        """Take in one message. Of one that makes no sense its ``frames`` are counted; the stream is whole."""
        try:
            self.feed(unpack(body))
        except (ValueError, TypeError):
            self._lose(-1, "malformed", frames)
            self.settled += frames
            logging.getLogger(STREAM_LOG).warning("a batch made no sense", exc_info=True)

    def feed(self, batch: Batch) -> None:
        """Take in what the recorder handed over. Raises ``TypeError`` where its frames are none."""
        records = batch.records()
        self._beginnings.host_unix_ns = batch.began_unix_ns
        self._farewell = batch.farewell
        self._open = set(batch.pipelines)
        if self._probes is None or self._resource is None:
            self._probes = self._make_probes(batch.pid)
            self._resource = self._make_resource(batch)
            self._spans = SpanMaker(self._resource, self._anchor.unix_ns)
        self._probes.watch(batch.devices)
        self._probes.hear(batch)
        for number, definition in batch.pipelines.items():
            known = self._pipelines.get(number)
            if known is None:
                self._pipelines[number] = _Pipeline(definition, self.totals)
                while len(self._pipelines) > PIPELINES:  # closed and made again, over and over
                    closed = (one for one in self._pipelines if one not in self._open)
                    self._forget(next(closed, next(iter(self._pipelines))))
            else:
                known.redefine(definition)
        clock_errors: list[int] = []
        for work in batch.works:
            made = GpuWork(*work)
            self._works[made.token] = made
            if made.clock_error_ns is not None:
                clock_errors.append(made.clock_error_ns)
        if clock_errors:
            source = ((sig.FS_PROBE_NAME, "cuda"),)
            self.totals.set(sig.FS_CLOCK_ERROR, source, batch.sent_ns, max(clock_errors) / 1e9)
        while len(self._works) > WORKS:
            self._works.pop(next(iter(self._works)))
        self._off = not_taken(batch)
        self._collections.extend(batch.collections or ())
        for generation, _, start, end in batch.collections or ():
            self.totals.observe(sig.FS_GC_PAUSE, ((sig.GC_GENERATION, str(generation)),), (end - start) / 1e9)
        self._pending.extend(records)
        while len(self._pending) > PENDING:
            record = self._pending.popleft()
            self._lose(record.pipeline, "agent_overloaded")
            self.settled += 1
        self._take_rest(batch)

    def _forget(self, number: int) -> None:
        if number not in self._open:  # else the host goes on to tell what it counted
            self._settle_counts(number)
        del self._pipelines[number]
        waiting = len(self._pending)
        self._pending = deque(record for record in self._pending if record.pipeline != number)
        gone = waiting - len(self._pending)
        if gone:
            self._lose(-1, "agent_overloaded", gone)
        self.settled += gone

    def _settle_counts(self, number: int) -> None:
        """What a closed pipeline counted is its name's from now on."""
        for losses, of_gone in (
            (self._losses, self._losses_of_gone),
            (self._own_losses, self._own_losses_of_gone),
        ):
            for key in [key for key in losses if key[0] == number]:
                labels = self._loss_labels(*key)
                of_gone[labels] = of_gone.get(labels, 0) + losses.pop(key)
        for by_number in self._queues.values():
            if number in by_number:
                by_number[GONE] = by_number.get(GONE, 0.0) + by_number.pop(number)

    def _take_rest(self, batch: Batch) -> None:
        for number, name, capacity, depth, blocked_ns, dropped in batch.queues:
            labels = ((sig.FRAME_PIPELINE, self._name(number)), (sig.FRAME_QUEUE_NAME, name))
            if capacity != UNKNOWN:
                self.totals.set(sig.FRAME_QUEUE_CAPACITY, labels, batch.sent_ns, capacity)
            if depth != UNKNOWN:
                self.totals.set(sig.FRAME_QUEUE_DEPTH, labels, batch.sent_ns, depth)
            if blocked_ns != UNKNOWN:
                self._reach(sig.FRAME_QUEUE_BLOCKED_TIME, labels, number, blocked_ns / 1e9)
            for reason, count in dropped.items():
                self._reach(
                    sig.FRAME_QUEUE_DROPPED, (*labels, (sig.FRAME_DROP_REASON, reason)), number, count
                )
        for number, name, waits in batch.waits:
            labels = ((sig.FRAME_PIPELINE, self._name(number)), (sig.FRAME_QUEUE_NAME, name))
            for wait in waits:
                self.totals.observe(sig.FRAME_QUEUE_WAIT, labels, wait / 1e9)
        for number, name, at, value in batch.gauges:
            labels = ((sig.FRAME_PIPELINE, self._name(number)), (sig.FRAME_METRIC_NAME, name))
            self.totals.set(sig.FRAME_CUSTOM, labels, at, value)
        for number, name, so_far in batch.counts:
            labels = ((sig.FRAME_PIPELINE, self._name(number)), (sig.FRAME_METRIC_NAME, name))
            self._reach(sig.FRAME_COUNTED, labels, number, so_far)
        self._marks.extend((at, text) for _, at, text in batch.marks)
        self._recalls.extend(batch.recalls)
        for (number, reason), count in batch.losses.items():
            self._losses[number, reason] = count
        for where, count in batch.faults.items():
            self.totals.reach_in_host(sig.FS_INTERNAL_ERRORS, ((sig.REASON, where),), count)

    # -- once in a while ----------------------------------------------------------------------------------

    def poll(self, now_ns: int) -> None:
        """Read the probes that are due."""
        self._anchor.renew(now_ns)
        if self._probes is not None:
            self._probes.read(now_ns, self.totals)

    def tick(self, now_ns: int, everything: bool = False) -> None:
        """Judge, keep, count and send the frames that have settled; ``everything``: do not wait."""
        if self._spans is None:
            return
        groups: list[list[ReadableSpan]] = []
        by_pipeline: dict[int, list[FrameRecord]] = {}
        for record in self._settled(now_ns, everything):
            by_pipeline.setdefault(record.pipeline, []).append(record)
        windows = {n: self._judge(n, sorted(r, key=lambda one: one.id)) for n, r in by_pipeline.items()}
        groups.extend(self._keep(windows))
        groups.extend(self._recalled(now_ns, everything))
        self._let_go()
        if self._probes is not None:
            self._marks.extend(self._probes.take_events())
        for at, text in self._marks:
            groups.append([self._spans.record(sig.SPAN_MARK, at, at, {sig.MARK_TEXT: text})])
        self._marks = []
        if groups:
            self._sink.put_spans(groups)
        if now_ns >= self._next_metrics_ns or everything:
            self._next_metrics_ns = now_ns + self._settings.metric_interval_ns
            self._send_metrics(now_ns)

    def _let_go(self) -> None:
        """Of a pipeline that was closed nobody will wish for its last frames: a host that makes one for each
        of its jobs would fill this process with them."""
        waiting = {number for number, *_ in self._recalls}
        for number, pipeline in self._pipelines.items():
            if number not in self._open and number not in waiting:
                pipeline.recent.clear()

    def host_ended(self) -> None:
        """The host is gone. Without a farewell it crashed or was killed: its last seconds are kept whole."""
        back_ns, now = self._settings.flight_recorder_ns, self._clock()
        if back_ns and not self._farewell:
            why = "the process ended without closing"
            self._recalls.extend((number, now, back_ns, why) for number in self._pipelines)

    def close(self, timeout: float = 5.0) -> None:
        """Send everything there is, and stop."""
        self.tick(self._clock(), everything=True)
        self._sink.close(timeout)
        if self._probes is not None:
            self._probes.close()

    def confirmed(self) -> int:
        """Frames that a receiver has been told of: what the host need not count if this agent dies."""
        return self._sink.confirmed()

    # -- inside -------------------------------------------------------------------------------------------

    def _settled(self, now_ns: int, everything: bool) -> list[FrameRecord]:
        ready: list[FrameRecord] = []
        waiting: deque[FrameRecord] = deque()
        for record in self._pending:
            age = now_ns - record.end_ns
            complete = all(token in self._works for _, token in record.works)
            if everything or (age >= SETTLE_NS and complete) or age >= WAIT_FOR_WORK_NS:
                ready.append(record)
            else:
                waiting.append(record)
        self._pending = waiting
        return ready

    def _judge(self, number: int, records: list[FrameRecord]) -> list[Judged]:
        pipeline = self._pipelines[number]
        window: list[tuple[Judged, PlainStages | None]] = []
        for record in records:
            stages = None
            try:
                judged = Judged(outline(record, pipeline.definition, partial(self._lose, number)), record)
                frame = judged.frame
                frame.attributes = pipeline.cohorts.of(frame.attributes, partial(self._lose, number))
                if frame.outcome == "dropped":
                    frame.reason = pipeline.reason(frame.reason)
                frame.budget_ns, frame.budget_learned = pipeline.budget(frame, record)
                _decide_outcome(frame)
                if judged.disturbed or record.works:
                    self._read(number, judged)
                elif not pipeline.queues:
                    stages = plain_stages(record)
                pipeline.baseline.saw(frame, not judged.disturbed)
                if not judged.disturbed and pipeline.baseline.wants(frame.start_ns):
                    self._learn(number, judged, record, stages)
            except (TypeError, ValueError, IndexError, KeyError):
                # One record that makes no sense must not take the others with it.
                self._lose(number, "malformed")
                self.settled += 1
                continue
            window.append((judged, stages))
        pipeline.baseline.settle()
        return [judged for judged, stages in window if self._verdict(number, judged, stages)]

    def _learn(self, number: int, judged: Judged, record: FrameRecord, stages: PlainStages | None) -> None:
        """Learn from a frame what is usual; of a plain one (``stages``) without building its stages."""
        pipeline, frame = self._pipelines[number], judged.frame
        collections = self._collections_over(record)
        if stages is None or collections:
            pipeline.baseline.take(self._read(number, judged))
            return
        assert self._probes is not None
        read_threads(frame, record, collections, self._probes.waits.felt)
        self._add_machine_evidence(frame, None)
        pipeline.baseline.take_plain(frame, owned_by_stage(frame, stages, pipeline.definition))

    def _read(self, number: int, judged: Judged) -> Frame:
        """The frame with its inside, read from its record where that was not done yet."""
        frame, record, pipeline = judged.frame, judged.unread, self._pipelines[number]
        if record is None:
            return frame
        assert self._probes is not None
        fill(
            frame,
            record,
            pipeline.definition,
            self._works,
            self._collections_over(record),
            partial(self._lose, number),
            self._probes.waits.felt,
        )
        judged.unread = None
        for _, token in record.works:
            self._works.pop(token, None)
        devices = [stage.gpu.device for stage in frame.stages if stage.gpu is not None]
        self._add_machine_evidence(frame, devices[0] if devices else None)
        return frame

    def _collections_over(self, record: FrameRecord) -> list[Collection] | None:
        """The collections that touch a frame or the gap before it; they are held oldest first. None where
        nobody listens to the collector."""
        if "gc_ns" in self._off:
            return None
        since = record.gap[1] if record.gap is not None else record.due_ns
        found: list[Collection] = []
        for collection in reversed(self._collections):
            if collection[3] <= min(since, record.due_ns):
                break
            if collection[2] < record.end_ns:
                found.append(collection)
        return found

    def _verdict(self, number: int, judged: Judged, stages: PlainStages | None) -> bool:
        """Judge a frame where that is worth it, and count it, from its plain ``stages`` where they are all
        there is to it; False for one that makes no sense."""
        pipeline, frame = self._pipelines[number], judged.frame
        expected = pipeline.baseline.expected_ns
        lost = frame.latency_ns - expected if expected is not None else 0
        worth = frame.budget_ns is not None and lost > WORTH_JUDGING * frame.budget_ns
        judged_at_all = frame.outcome == "slow" or (frame.outcome == "on_time" and (frame.late or worth))
        record = judged.unread
        if stages is not None and record is not None and not judged_at_all:
            pipeline.backlog.served(record.segments[0][0], frame.due_ns, frame.start_ns, frame.end_ns)
            pipeline.counts.plain(frame, stages)
            return True
        try:
            self._read(number, judged)
        except (TypeError, ValueError, IndexError, KeyError):
            self._lose(number, "malformed")
            self.settled += 1
            return False
        if judged_at_all or any(stage.kind == "queue" for stage in frame.stages):
            self._complete(number, judged)  # the ledger of a queue needs to know its usual wait
        pipeline.backlog.apply(frame)
        if judged_at_all:
            judged.verdict = accounted(frame)
        pipeline.backlog.learn(frame, judged.verdict)
        if frame.outcome == "on_time" and not frame.late:
            judged.verdict = None  # it served the backlog; an on-time frame needs no verdict
        pipeline.counts.whole(frame, judged.verdict)
        return True

    def _complete(self, number: int, judged: Judged) -> None:
        """Give a frame what only those need that are judged or kept: its inside, what is usual, its readings
        summed up."""
        if judged.complete:
            return
        judged.complete = True
        frame, pipeline = self._read(number, judged), self._pipelines[number]
        pipeline.baseline.apply(frame)
        frame.evidence = total(segment.evidence for segment in frame.segments)
        if self._probes is not None:
            self._probes.waits.illustrate(frame)

    def _keep(self, windows: dict[int, list[Judged]]) -> list[list[ReadableSpan]]:
        assert self._spans is not None
        ahead = {number: self._pipelines[number].last for number in windows}
        turned_away = keep(
            [(ahead[number], window) for number, window in windows.items()],
            self._settings.keep_budget,
            self._settings.baseline_every,
        )
        groups: list[list[ReadableSpan]] = []
        for (number, window), unlucky in zip(windows.items(), turned_away, strict=True):
            pipeline, before = self._pipelines[number], ahead[number]
            name = pipeline.definition.name
            if unlucky:
                self._lose(number, "keep_budget", unlucky)
            for judged in [before, *window] if before is not None else window:
                if judged.kept is not None:
                    self._complete(number, judged)
                    spans = self._spans.frame(judged)
                    groups.append(spans)
                    self._exemplify(judged.frame, spans[0])
                    labels = ((sig.FRAME_PIPELINE, name), (sig.FRAME_KEPT, judged.kept))
                    self.totals.add(sig.FS_FRAMES_KEPT, labels, 1)
            pipeline.recent.extend(judged for judged in window if judged.kept is None)
            why = pipeline.burst.pulled([judged.frame for judged in window])
            if why and self._settings.flight_recorder_ns:
                at = window[-1].frame.end_ns
                self._recalls.append((number, at, self._settings.flight_recorder_ns, why))
            if window:  # one that is not kept may become a neighbour in the next second
                pipeline.last = window[-1] if window[-1].kept is None else None
            for start, end, attributes in frame_records(name, window):
                groups.append([self._spans.record(sig.SPAN_FRAMES, start, end, attributes)])
            self.totals.add(sig.FS_FRAMES_RECORDED, ((sig.FRAME_PIPELINE, name),), len(window))
            self.settled += len(window)
        return groups

    def _recalled(self, now_ns: int, everything: bool) -> list[list[ReadableSpan]]:
        """The frames somebody wished for, once all of them have settled, and a mark that says why."""
        assert self._spans is not None
        groups: list[list[ReadableSpan]] = []
        waiting: list[tuple[int, int, int, str]] = []
        for recall in self._recalls:
            number, at, back, why = recall
            if now_ns - at < WAIT_FOR_WORK_NS and not everything:
                waiting.append(recall)
                continue
            pipeline = self._pipelines.get(number)
            if pipeline is None:
                continue  # closed since, and forgotten
            kept = 0
            for judged in pipeline.recent:
                if judged.kept is None and at - back <= judged.frame.end_ns <= at:
                    judged.kept, judged.weight = "manual", 0
                    self._complete(number, judged)
                    groups.append(self._spans.frame(judged))
                    kept += 1
            if pipeline.last is not None and pipeline.last.kept is not None:
                pipeline.last = None  # it is kept: no neighbour any more
            self._marks.append((at, f"{sig.MARK_KEPT}{back / 1e9:g} s" + (f": {why}" if why else "")))
            if kept:
                labels = ((sig.FRAME_PIPELINE, self._name(number)), (sig.FRAME_KEPT, "manual"))
                self.totals.add(sig.FS_FRAMES_KEPT, labels, kept)
        self._recalls = waiting
        return groups

    def _exemplify(self, frame: Frame, root: ReadableSpan) -> None:
        """Let the latency histogram point at a kept frame that it counts."""
        context = root.get_span_context()
        if context is not None and frame.outcome in ("on_time", "slow"):
            example = Example(frame.latency_ns / 1e9, frame.end_ns, context.trace_id, context.span_id)
            self.totals.exemplify(sig.FRAME_LATENCY, ((sig.FRAME_PIPELINE, frame.pipeline),), example)

    def _add_machine_evidence(self, frame: Frame, device: str | None) -> None:
        """What the readings of the machine and of its GPU (``device``: the one the frame used, where that is
        known) add to the threads' evidence, and how far they bound it."""
        assert self._probes is not None
        frame.device = self._probes.device_over(frame.due_ns, frame.end_ns, device)
        held = self._probes.quota_over(frame.due_ns, frame.end_ns)
        frame.off = self._off
        if held is None:
            frame.off |= {"quota_ns"}
        if any(segment.evidence.runqueue_ns is None for segment in frame.segments):
            frame.off |= {"runqueue_ns"}
        stalled = self._probes.io_stall_over(frame.due_ns, frame.end_ns)
        short_of_memory = self._probes.memory_stall_over(frame.due_ns, frame.end_ns)
        for evidence in (segment.evidence for segment in frame.segments):
            if evidence.io_ns is not None:
                if short_of_memory == 0 or (short_of_memory and evidence.io_ns):
                    # A page that had to come back is a block that this thread read while it was blocked.
                    evidence.memory_ns = min(short_of_memory, evidence.io_ns)
                    evidence.io_ns -= evidence.memory_ns
                # It waited for I/O no longer than the machine shows that anybody did.
                evidence.io_ns = None if stalled is None else min(evidence.io_ns, stalled)
        self._probes.waits.explain(frame)
        # The time before a frame, and in a queue, is that of the thread that was to take it.
        waits = [stage for stage in frame.stages if stage.kind in ("queue", "gap")]
        if "gil_ns" in frame.off:
            for segment in frame.segments:
                _leave_untold(segment)
        if "gc_ns" in frame.off:
            for evidence in [one.evidence for one in frame.segments] + [one.evidence for one in waits]:
                _leave_with_the_lock(evidence)
        for segment in frame.segments:
            _hold_back(segment.evidence, held)
        for stage in waits:
            _hold_back(stage.evidence, self._probes.quota_over(stage.start_ns, stage.end_ns))

    def _send_metrics(self, now_ns: int) -> None:
        assert self._probes is not None and self._resource is not None
        for reason, count in self._sink.losses().items():
            self._own_losses[-1, reason] = count
        if self._probes.missed:
            self._own_losses[-1, "reading_limit"] = self._probes.missed
        for labels, count in self._by_name(self._own_losses, self._own_losses_of_gone):
            self.totals.reach(sig.FS_FRAMES_LOST, labels, count)
        for labels, count in self._by_name(self._losses, self._losses_of_gone):
            self.totals.reach_in_host(sig.FS_FRAMES_LOST, labels, count)
        if self.totals.refused:
            self.totals.reach(sig.FS_INTERNAL_ERRORS, ((sig.REASON, "series_limit"),), self.totals.refused)
        self.totals.set(sig.FS_CLOCK_ERROR, (), now_ns, self._anchor.error_ns / 1e9)
        for name, count in own_causes.failed.items():
            self.totals.reach(sig.FS_INTERNAL_ERRORS, ((sig.REASON, f"cause.{name}"),), count)
        for where, count in self._probes.faults.items():
            self.totals.reach(sig.FS_INTERNAL_ERRORS, ((sig.REASON, where),), count)
        for pipeline in self._pipelines.values():
            labels = ((sig.FRAME_PIPELINE, pipeline.definition.name),)
            budget = pipeline.definition.budget_ns or pipeline.learned_budget_ns
            if budget is not None:
                self.totals.set(sig.FRAME_BUDGET_LIMIT, labels, now_ns, budget / 1e9)
            if pipeline.definition.period_ns is not None:
                self.totals.set(sig.FRAME_PERIOD, labels, now_ns, pipeline.definition.period_ns / 1e9)
        data = metrics_data(
            self.totals,
            self._probes.devices.take_fresh(),
            self._probes.take_points(),
            self._resource,
            self._beginnings,
            now_ns,
            self._anchor.unix_ns,
        )
        self._sink.put_metrics(data, self.settled)

    def _by_name(
        self, losses: Mapping[tuple[int, str], int], of_gone: Mapping[Labels, int]
    ) -> list[tuple[Labels, int]]:
        """Losses by pipeline and reason; pipelines of one name add up."""
        summed = dict(of_gone)
        for key, count in losses.items():
            labels = self._loss_labels(*key)
            summed[labels] = summed.get(labels, 0) + count
        return list(summed.items())

    def _loss_labels(self, number: int, reason: str) -> Labels:
        return ((sig.FRAME_PIPELINE, self._name(number)), (sig.REASON, reason))

    def _lose(self, number: int, reason: str, count: int = 1) -> None:
        key = (number, reason)
        self._own_losses[key] = self._own_losses.get(key, 0) + count

    def _reach(self, metric: str, labels: Labels, number: int, amount: float) -> None:
        """A counter kept by the recorder; pipelines of one name add up."""
        by_number = self._queues.setdefault((metric, labels), {})
        by_number[number] = amount
        self.totals.reach_in_host(metric, labels, sum(by_number.values()))

    def _name(self, number: int) -> str:
        known = self._pipelines.get(number)
        return known.definition.name if known is not None else ""


def _leave_untold(segment: Segment) -> None:
    """Nobody knocks at the interpreter lock: whether a task's loop, off the CPU, was kept from going on by
    the lock or by its other tasks is not told; nor, where it was most of the wait, what the wait was."""
    evidence = segment.evidence
    if evidence.loop_ns and not evidence.gil_ns:
        busy = evidence.loop_ns - min(segment.loop_off_ns, evidence.loop_ns)
        evidence.loop_ns = busy if busy > segment.loop_off_ns else None


def _leave_with_the_lock(evidence: Evidence) -> None:
    """Nobody listens to the collector: a collection that got no core looks like any holder of the lock that
    did not, and would have been the collection's whole."""
    if evidence.starved_ns:
        evidence.gil_ns = (evidence.gil_ns or 0) + evidence.starved_ns
        evidence.starved_ns = None


def _hold_back(evidence: Evidence, held_ns: int | None) -> None:
    """A thread that a quota holds back, or the one it waits for, is on the run queue meanwhile: never more
    than that."""
    if held_ns == 0:
        evidence.quota_ns = 0
    elif held_ns is not None and evidence.runqueue_ns is not None:
        evidence.quota_ns = min(held_ns, evidence.runqueue_ns + (evidence.starved_ns or 0))


def _decide_outcome(frame: Frame) -> None:
    """``done`` becomes on time or slow, and the interval is early enough or late."""
    if frame.outcome == "done":
        slow = frame.budget_ns is not None and frame.latency_ns > frame.budget_ns
        frame.outcome = "slow" if slow else "on_time"
    if frame.interval_ns is not None and frame.period_ns is not None:
        frame.late = frame.interval_ns > frame.period_ns * (1 + LATE_SHARE)
