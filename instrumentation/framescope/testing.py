"""For tests of your own: pipelines recorded in memory, a clock you set, assertions that say what happened.

```
with framescope.testing.record() as recorded:
    run_the_pipeline()
recorded.assert_within_budget()
```

No agent process is started, no thread, and nothing is sent. Frames go the way they always go, through the
recorder, the hand-over and the agent, whose spans are read here as a page reads them; only when somebody
looks, and on the thread that looks. Documented in docs/testing.md.
"""

from __future__ import annotations

import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final

from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from framescope import pipeline as front
from framescope import signals as sig
from framescope.agent.agent import Agent
from framescope.agent.anchor import WallAnchor
from framescope.agent.at_hand import LinkAtHand
from framescope.agent.evidence import EvidenceProbes
from framescope.agent.settings import AgentSettings
from framescope.agent.sink import Nowhere
from framescope.handover import Batch
from framescope.judge.model import Frame, Stage, Verdict
from framescope.judge.reading import read_frame, read_verdict
from framescope.probes import scheduler
from framescope.probes.gc import CollectionProbe
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder
from framescope.recorder.shipper import Shipper
from framescope.recorder.witnesses import Witnesses

__all__ = ["FakeClock", "RecordedFrame", "RecordedStage", "Recording", "record"]

EVERY_FRAME: Final = 2**62
"""Frames kept a second: a test wants to look at each."""
SHOWN: Final = 5
"""Frames that one failure message tells of."""


class FakeClock:
    """A clock that goes on only when it is told to, with a scheduler that tells what it is told.

    The time it goes on is CPU time, unless ``advance`` says otherwise. It is one clock for all threads.
    """

    def __init__(self, unix_s: float = 1_800_000_000.0) -> None:
        self._now_ns = 1_000_000_000_000
        self._offset_ns = round(unix_s * 1e9) - self._now_ns
        self._waited_ns = 0
        self._blocked_ns = 0
        self._lock = threading.Lock()

    def advance(self, ms: float, *, waiting_ms: float = 0.0, blocked_ms: float = 0.0) -> None:
        """Go on by ``ms`` milliseconds.

        ``waiting_ms`` of them the thread was ready to run and other work held the cores; ``blocked_ms`` it
        was off the CPU and not ready. Raises ``ValueError`` where they are negative or more than ``ms``.
        """
        if min(ms, waiting_ms, blocked_ms) < 0 or waiting_ms + blocked_ms > ms:
            raise ValueError(
                f"{ms} ms cannot hold {waiting_ms} ms of waiting and {blocked_ms} ms of blocking"
            )
        with self._lock:
            self._now_ns += round(ms * 1e6)
            self._waited_ns += round(waiting_ms * 1e6)
            self._blocked_ns += round(blocked_ms * 1e6)

    def sleep(self, seconds: float) -> None:
        """In place of ``time.sleep``: the thread is off the CPU, and the time is past at once."""
        self.advance(seconds * 1e3, blocked_ms=seconds * 1e3)

    def monotonic_ns(self) -> int:
        """In place of ``time.monotonic_ns``."""
        return self._now_ns

    def time_ns(self) -> int:
        """In place of ``time.time_ns``."""
        return self._now_ns + self._offset_ns

    def scheduler(self) -> scheduler.Reading:
        """CPU time, run-queue time and block operations so far."""
        return self._now_ns - self._waited_ns - self._blocked_ns, self._waited_ns, 0


@dataclass(frozen=True, slots=True)
class RecordedStage:
    """One stage as it ran in one frame. ``start_ms`` counts from the frame's capture."""

    name: str
    kind: str
    start_ms: float
    duration_ms: float
    depth: int | None = None
    """Items found in the queue, for a stage of kind ``queue``."""
    gpu_ms: float | None = None
    """First GPU start to last GPU end; None without a timer."""
    error: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.duration_ms:.3g}"


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One frame as it would be stored: ``outcome`` is on_time, slow, dropped or failed."""

    pipeline: str
    id: int
    sequence: int
    outcome: str
    reason: str
    """Why it was dropped, or what it failed of; else empty."""
    latency_ms: float
    """From its capture to its end."""
    budget_ms: float | None
    late: bool
    """It began later after the frame before than the period allows."""
    stages: tuple[RecordedStage, ...]
    attributes: Mapping[str, Any]
    """The content attributes of your own."""
    cause: str | None = None
    """The verdict's first cause; None where nothing was judged."""
    lost_ms: Mapping[str, float] = field(default_factory=dict)
    """Lost beyond what is usual, by cause. The first frames know of nothing usual."""
    sentence: str = ""
    """The verdict in words."""
    trace_id: str = ""

    @property
    def stage_names(self) -> tuple[str, ...]:
        """In the order they were entered; a repeated stage as often."""
        return tuple(stage.name for stage in self.stages)

    def stage(self, name: str) -> RecordedStage:
        """The first stage of this name. Raises ``AssertionError`` that names those there are."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise AssertionError(f"{self._title} has no stage {name!r}; it went through {_row(self.stage_names)}")

    def stage_ms(self, name: str) -> float:
        """Time in all stages of this name; 0 where it never entered one."""
        return sum(stage.duration_ms for stage in self.stages if stage.name == name)

    @property
    def _title(self) -> str:
        return f"frame {self.id} of {self.pipeline!r}"

    def __str__(self) -> str:
        over = ""
        if self.budget_ms is not None and self.latency_ms > self.budget_ms:
            over = f", {self.latency_ms - self.budget_ms:.3g} over {self.budget_ms:.3g}"
        outcome = self.outcome if not self.reason else f"{self.outcome} ({self.reason})"
        told = f"{self._title}: {outcome}, {self.latency_ms:.3g} ms{over}: {_row(map(str, self.stages))}"
        return f"{told}. {self.sentence}" if self.sentence else told


class Recording:
    """What was recorded; see `record`. Looking at it judges what has ended since the look before."""

    def __init__(self, clock: FakeClock | None) -> None:
        self.clock = clock
        self._received = _Received()
        self._process = _InMemory(self._received, clock)
        self._frames: list[RecordedFrame] = []

    def pipeline(
        self, name: str, target_fps: float | None = None, budget_ms: float | None = None
    ) -> front.Pipeline:
        """A pipeline of this recording, switched on whatever the environment says."""
        return front.Pipeline(name, target_fps, budget_ms, enabled=True, process=self._process)

    # -- what there is ----------------------------------------------------------------------------------

    @property
    def frames(self) -> tuple[RecordedFrame, ...]:
        """All frames that have ended, in the order of their capture."""
        self._process.judge_what_there_is()
        taken, self._received.groups = self._received.groups, []
        told = [_frame(group) for group in taken if group[0].name == sig.SPAN_FRAME]
        if told:
            self._frames += [frame for _, frame in sorted(told, key=lambda one: one[0])]
        self._received.marks += [
            str((group[0].attributes or {}).get(sig.MARK_TEXT, ""))
            for group in taken
            if group[0].name == sig.SPAN_MARK
        ]
        return tuple(self._frames)

    def frame(self, position: int = 0, pipeline: str | None = None) -> RecordedFrame:
        """The frame at this position. Raises ``AssertionError`` that says what was recorded instead."""
        frames = self._of(pipeline)
        try:
            return frames[position]
        except IndexError:
            raise AssertionError(f"there is no frame {position}: {self._summary(frames, pipeline)}") from None

    @property
    def losses(self) -> dict[str, int]:
        """What is missing from the record, by reason: frames, stages, attributes. Empty: nothing is."""
        return {
            reason: round(count) for reason, count in self._values(sig.FS_FRAMES_LOST, sig.REASON).items()
        }

    @property
    def faults(self) -> dict[str, int]:
        """Faults inside framescope by place: each is a bug of ours."""
        return dict(self._process.faults.counts)

    @property
    def gauges(self) -> dict[str, float]:
        """The newest value of each number given by ``pipeline.gauge``."""
        return self._values(sig.FRAME_CUSTOM, sig.FRAME_METRIC_NAME)

    @property
    def marks(self) -> tuple[str, ...]:
        """What was said by ``pipeline.mark`` and ``keep_last``."""
        _ = self.frames
        return tuple(self._received.marks)

    def percentile(self, percent: float, stage: str | None = None, pipeline: str | None = None) -> float:
        """Latency of delivered frames in ms, or their time in one stage, by nearest rank.

        ``percentile(99)`` is what 99 % of them did not exceed. Raises ``AssertionError`` without such frames.
        """
        if not 0 < percent <= 100:
            raise ValueError(f"percent is between 0 and 100, not {percent}")
        frames = self._delivered(pipeline)
        if stage is not None:
            frames = [frame for frame in frames if stage in frame.stage_names]
            if not frames:
                raise AssertionError(f"no delivered frame has a stage {stage!r}")
        values = sorted(frame.latency_ms if stage is None else frame.stage_ms(stage) for frame in frames)
        return values[math.ceil(percent / 100 * len(values)) - 1]

    # -- assertions -------------------------------------------------------------------------------------

    def assert_frames(self, count: int, pipeline: str | None = None) -> None:
        """So many frames have ended, whatever became of them."""
        frames = self._of(pipeline)
        if len(frames) != count:
            raise AssertionError(f"expected {count} frames; {self._summary(frames, pipeline)}")

    def assert_within_budget(
        self,
        budget_ms: float | None = None,
        *,
        share: float = 1.0,
        after: int = 0,
        pipeline: str | None = None,
    ) -> None:
        """Delivered frames took no longer than their budget, or than ``budget_ms``.

        ``share`` of them are enough: 0.99 lets one in a hundred be slow. The first ``after`` frames are not
        looked at: caches warm up.
        """
        frames = self._delivered(pipeline)[after:]
        if not frames:
            raise AssertionError(f"no frame was delivered after the first {after}")
        unknown = [frame for frame in frames if budget_ms is None and frame.budget_ms is None]
        if unknown:
            raise AssertionError(
                f"{unknown[0]._title} has no budget: make its pipeline with budget_ms=, or say "
                "assert_within_budget(10)"
            )
        slow = [f for f in frames if f.latency_ms > (f.budget_ms or 0 if budget_ms is None else budget_ms)]
        if len(slow) > (1 - share) * len(frames) + 1e-9:
            worst = sorted(slow, key=lambda frame: -frame.latency_ms)
            budget = "their budget" if budget_ms is None else f"{budget_ms:g} ms"
            raise AssertionError(
                f"{len(slow)} of {len(frames)} frames took longer than {budget}" + _list(worst)
            )

    def assert_stage_order(self, *names: str, pipeline: str | None = None) -> None:
        """Every delivered frame went through just these stages in this order, repeated ones as often."""
        frames = self._delivered(pipeline)
        other = [frame for frame in frames if frame.stage_names != names]
        if other:
            raise AssertionError(
                f"{len(other)} of {len(frames)} frames did not go through {_row(names)}"
                + "".join(f"\n  {frame._title}: {_row(frame.stage_names)}" for frame in other[:SHOWN])
                + _more(other)
            )

    def assert_no_losses(self, *but: str) -> None:
        """Nothing is missing from the record but for these reasons, and framescope had no fault."""
        _ = self.frames
        lost = {reason: count for reason, count in self.losses.items() if reason not in but}
        if lost or self.faults:
            parts = [f"{count} × {reason}" for reason, count in sorted(lost.items())]
            parts += [f"{count} × fault in {where}" for where, count in sorted(self.faults.items())]
            raise AssertionError("the record is not whole: " + ", ".join(parts))

    # -- inside -----------------------------------------------------------------------------------------

    def _of(self, pipeline: str | None) -> list[RecordedFrame]:
        return [frame for frame in self.frames if pipeline is None or frame.pipeline == pipeline]

    def _delivered(self, pipeline: str | None) -> list[RecordedFrame]:
        frames = self._of(pipeline)
        delivered = [frame for frame in frames if frame.outcome in ("on_time", "slow")]
        if not delivered:
            raise AssertionError(f"no frame was delivered; {self._summary(frames, pipeline)}")
        return delivered

    def _summary(self, frames: Sequence[RecordedFrame], pipeline: str | None) -> str:
        if frames:
            return f"{len(frames)} ended{_list(frames)}"
        others = sorted({frame.pipeline for frame in self._frames})
        if pipeline is not None and others:
            return f"none ended of {pipeline!r}, but of {_row(map(repr, others))}"
        off = "" if front.enabled_by(os.environ) else " (recording is switched off in the environment)"
        return f"no frame ended in a pipeline of this process{off}"

    def _values(self, metric: str, label: str) -> dict[str, float]:
        _ = self.frames
        values: dict[str, float] = {}
        data = self._received.metrics
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for one in scope.metrics:
                    if one.name == metric:
                        newest: dict[tuple[object, ...], tuple[str, float]] = {}
                        for point in one.data.data_points:
                            told = dict(point.attributes or {})
                            newest[tuple(sorted(told.items()))] = str(told.get(label, "")), point.value  # type: ignore[union-attr]
                        for name, value in newest.values():
                            values[name] = values.get(name, 0.0) + value
        return {name: value for name, value in values.items() if value or metric == sig.FRAME_CUSTOM}


@contextmanager
def record(clock: FakeClock | None = None) -> Iterator[Recording]:
    """Record the pipelines of this process in memory: those made before, and those made inside.

    With a ``clock`` they take their times and the scheduler's evidence from it; without one from this
    machine. Device and machine readings there are none. Pipelines made before are recorded as usual again
    afterwards; those made inside stay with the recording. One recording at a time: a second one raises
    ``RuntimeError``.
    """
    global _under_way
    with _lock:
        if _under_way:
            raise RuntimeError("another recording is under way: end it first, or use its pipelines")
        _under_way = True
    made = Recording(clock)
    borrowed: Sequence[Recorder] = ()
    try:
        front.record_by(made._process)
        borrowed = made._process.shipper.recorders()
        yield made
    finally:
        _ = made.frames
        made._process.shipper.give_back(borrowed)
        front.record_by(None)
        made._process.collections.remove()
        _under_way = False


_under_way = False
_lock = threading.Lock()


# -- the way of a frame, in memory --------------------------------------------------------------------------


class _Received(Nowhere):
    """A sink of the agent that keeps what it is given."""

    def __init__(self) -> None:
        self.groups: list[list[ReadableSpan]] = []
        self.metrics: MetricsData | None = None
        self.marks: list[str] = []

    def put_spans(self, groups: list[list[ReadableSpan]]) -> None:
        self.groups += groups

    def put_metrics(self, data: MetricsData, settled: int) -> None:
        self.metrics = data


class _NobodyElse(Witnesses):
    """On a clock that goes on only when it is told to nobody waits for the interpreter lock."""

    def tell(self, batch: Batch) -> None:
        super().tell(batch)
        batch.knocks = []


class _Unlimited(EvidenceProbes):
    """The readings of a machine that nothing is read of; no control group limits who runs on it."""

    def quota_over(self, start_ns: int, end_ns: int) -> int:
        return 0


class _ShipsWhenAsked(Shipper):
    """A shipper without a thread."""

    def __init__(self, link: LinkAtHand, collections: CollectionProbe, faults: Faults, times: _Times) -> None:
        witnesses = None if times.monotonic is time.monotonic_ns else _NobodyElse()
        super().__init__(
            link, str(uuid.uuid4()), collections, faults, times.monotonic, times.wall, witnesses=witnesses
        )
        self._times = times

    def add(self, recorder: Recorder) -> None:
        recorder.losses = {}  # what it lost before belongs to another record
        recorder.keep_time_by(self._times.monotonic, self._times.wall)
        self._recorders.append(recorder)

    def recorders(self) -> Sequence[Recorder]:
        return tuple(self._recorders)

    def give_back(self, borrowed: Sequence[Recorder]) -> None:
        """Look at these no more; they take this machine's time again."""
        self._recorders = [recorder for recorder in self._recorders if recorder not in borrowed]
        for recorder in borrowed:
            recorder.keep_time_by(time.monotonic_ns, time.time_ns)


@dataclass(frozen=True, slots=True)
class _Times:
    monotonic: Callable[[], int]
    wall: Callable[[], int]


class _InMemory(front._Process):
    """Takes the place of what all pipelines of a process share."""

    def __init__(self, received: _Received, clock: FakeClock | None) -> None:
        times = (
            _Times(time.monotonic_ns, time.time_ns)
            if clock is None
            else _Times(clock.monotonic_ns, clock.time_ns)
        )
        none: dict[str, Any] = {
            one.name: False for one in fields(AgentSettings) if one.name.startswith("probe_")
        }
        self._clock = times.monotonic
        settings = AgentSettings(keep_budget=EVERY_FRAME, baseline_every=1, **none)
        self._agent = Agent(
            received,
            lambda batch: Resource({}),
            settings,
            None if clock is None else lambda pid: _Unlimited(pid, settings, times.monotonic),
            anchor=WallAnchor(times.monotonic, times.wall),
            clock=times.monotonic,
        )
        self.baseline_every = front.settings_in(os.environ).baseline
        self.faults = Faults()
        self.collections = CollectionProbe(times.monotonic)
        self.collections.install()
        self.scheduler = scheduler.reader() if clock is None else clock.scheduler
        self.shipper: _ShipsWhenAsked = _ShipsWhenAsked(
            LinkAtHand(self._agent.feed), self.collections, self.faults, times
        )

    def judge_what_there_is(self) -> None:
        self.shipper.ship()
        self._agent.tick(self._clock(), everything=True)

    def close(self, timeout: float) -> None:
        """Nothing: what is left is judged at the next look."""


# -- from spans back to frames ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Span:
    """A finished span as `framescope.judge.reading` reads one."""

    span_id: str
    parent_span_id: str | None
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]


def _frame(group: Sequence[ReadableSpan]) -> tuple[int, RecordedFrame]:
    spans = [_span(span) for span in group]
    root, frame, verdict = spans[0], read_frame(spans), read_verdict(spans)
    assert frame is not None  # a group begins with its root
    context = group[0].get_span_context()
    return frame.due_ns, RecordedFrame(
        pipeline=frame.pipeline,
        id=frame.id,
        sequence=frame.sequence,
        outcome=frame.outcome,
        reason=frame.reason or (group[0].status.description or ""),
        latency_ms=frame.latency_ns / 1e6,
        budget_ms=None if frame.budget_ns is None else frame.budget_ns / 1e6,
        late=frame.late,
        stages=tuple(_stage(stage, frame) for stage in frame.stages if stage.kind != "gap"),
        attributes=_own(root.attributes),
        cause=None if verdict is None else verdict.cause,
        lost_ms=_lost(verdict),
        sentence="" if verdict is None else verdict.sentence,
        trace_id="" if context is None else f"{context.trace_id:032x}",
    )


def _span(span: ReadableSpan) -> _Span:
    context, parent = span.get_span_context(), span.parent
    return _Span(
        "" if context is None else f"{context.span_id:016x}",
        None if parent is None else f"{parent.span_id:016x}",
        span.name,
        span.start_time or 0,
        span.end_time or 0,
        span.attributes or {},
    )


def _stage(stage: Stage, frame: Frame) -> RecordedStage:
    return RecordedStage(
        stage.name,
        stage.kind,
        (stage.start_ns - frame.due_ns) / 1e6,
        (stage.end_ns - stage.start_ns) / 1e6,
        stage.depth_at_entry,
        None if stage.gpu is None else stage.gpu.time_ns / 1e6,
        stage.error,
    )


def _own(told: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(
        {key: value for key, value in told.items() if not key.startswith(("frame.", "framescope."))}
    )


def _lost(verdict: Verdict | None) -> Mapping[str, float]:
    lost: dict[str, float] = {}
    for share in verdict.shares if verdict is not None else ():
        lost[share.cause] = lost.get(share.cause, 0.0) + share.lost_ns / 1e6
    return MappingProxyType(lost)


def _row(names: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _list(frames: Sequence[RecordedFrame]) -> str:
    return "".join(f"\n  {frame}" for frame in frames[:SHOWN]) + _more(frames)


def _more(frames: Sequence[object]) -> str:
    return f"\n  and {len(frames) - SHOWN} more" if len(frames) > SHOWN else ""
