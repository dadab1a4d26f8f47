"""A kept frame as OpenTelemetry spans: a root, a child a stage, GPU work under the stage that launched it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from framescope import signals as sig
from framescope.agent.keeper import Judged
from framescope.judge.model import Evidence, Frame, Stage, Verdict
from framescope.judge.readings import EVIDENCE_ATTRIBUTES, GPU_ATTRIBUTES

Value = str | bool | int | float | Sequence[int] | Sequence[str]
Attributes = dict[str, Value]
_SCOPE = InstrumentationScope(sig.SCOPE, "0.1.0")
_JSON_SAFE = 2**53 - 1
"""The integers that every reader of JSON keeps as they are."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class SpanMaker:
    """Makes spans with this process's resource; ``unix_ns`` converts from the monotonic clock."""

    def __init__(
        self,
        resource: Resource,
        unix_ns: Callable[[int], int],
        bits: Callable[[int], int] = random.getrandbits,
    ) -> None:
        self._resource = resource
        self._unix_ns = unix_ns
        self._bits = bits

    def frame(self, judged: Judged) -> list[ReadableSpan]:
        """The spans of one kept frame, root first."""
        frame, verdict = judged.frame, judged.verdict
        given = frame.trace
        trace = int(given[:32], 16) if given else self._bits(128) or 1
        root = self._context(trace, int(given[32:], 16) if given else 0)
        spans = [
            self._span(
                sig.SPAN_FRAME,
                root,
                None,
                frame.due_ns,
                frame.end_ns,
                _root_attributes(judged),
                Status(StatusCode.ERROR, frame.reason) if frame.outcome == "failed" else None,
            )
        ]
        lost = _lost_by_stage(verdict)
        told: set[str] = set()
        contexts: list[SpanContext] = []
        crossing = len({stage.thread for stage in frame.stages if stage.thread is not None}) > 1
        for stage in frame.stages:
            context = self._context(trace)
            contexts.append(context)
            attributes = _stage_attributes(stage)
            if crossing and stage.thread is not None:
                attributes[sig.THREAD_ID] = stage.thread & _JSON_SAFE
            if stage.name not in told:  # a repeated stage's loss is told once
                told.add(stage.name)
                attributes.update(lost.get(stage.name, {}))
            if stage.unclosed:
                attributes[sig.FRAME_STAGE_UNCLOSED] = True
            placed = stage.gpu is not None and stage.gpu.placed
            if stage.gpu is not None and not placed:  # for how long is known, but not when
                attributes[sig.GPU_ID] = stage.gpu.device
                attributes[sig.GPU_TIME] = stage.gpu.time_ns / 1e9
            status = Status(StatusCode.ERROR, stage.error) if stage.error else None
            spans.append(
                self._span(stage.name, context, root, stage.start_ns, stage.end_ns, attributes, status)
            )
            if stage.gpu is not None and placed:
                spans.append(
                    self._span(
                        f"{stage.name} on GPU",
                        self._context(trace),
                        context,
                        stage.gpu.start_ns,
                        stage.gpu.end_ns,
                        _gpu_attributes(stage),
                    )
                )
        if frame.spans:
            spans += self._of_the_host(frame, trace, root, contexts)
        return spans

    def _of_the_host(
        self, frame: Frame, trace: int, root: SpanContext, stages: Sequence[SpanContext]
    ) -> list[ReadableSpan]:
        """The spans its own tracer made meanwhile: under each other, or under the stage they began in."""
        own = {told[4]: self._context(trace, int(told[4], 16)) for told in frame.spans}
        made: list[ReadableSpan] = []
        for name, start_ns, end_ns, came_from, number, parent, kind, attributes in frame.spans:
            inside = [
                (stage.start_ns, place)
                for place, stage in enumerate(frame.stages)
                if stage.start_ns <= start_ns <= stage.end_ns
            ]
            above = own.get(parent) or (stages[max(inside)[1]] if inside else root)
            # In a trace of its own, for the application's backend; in ours too if it took over our context.
            origin = SpanContext(int(came_from, 16), int(number, 16), True)
            links = [Link(origin)] if origin.trace_id != trace else []
            failed = kind < 0
            made.append(
                self._span(
                    name,
                    own[number],
                    above,
                    start_ns,
                    max(end_ns, start_ns),
                    {_users(key): value for key, value in attributes.items()},
                    Status(StatusCode.ERROR) if failed else None,
                    SpanKind(~kind if failed else kind),
                    links,
                )
            )
        return made

    def record(self, name: str, start_ns: int, end_ns: int, attributes: Mapping[str, Value]) -> ReadableSpan:
        """A span of its own trace: a ``frames`` record or a ``mark``."""
        return self._span(name, self._context(self._bits(128) or 1), None, start_ns, end_ns, dict(attributes))

    def _context(self, trace: int, span: int = 0) -> SpanContext:
        return SpanContext(trace, span or self._bits(64) or 1, False, _SAMPLED)

    def _span(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        start_ns: int,
        end_ns: int,
        attributes: Attributes,
        status: Status | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
    ) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            links=links,
            status=status or Status(StatusCode.UNSET),
            start_time=self._unix_ns(start_ns),
            end_time=self._unix_ns(end_ns),
            instrumentation_scope=_SCOPE,
        )


def _root_attributes(judged: Judged) -> Attributes:
    frame, verdict = judged.frame, judged.verdict
    told: dict[str, Value | None] = {
        sig.FRAME_ID: frame.id,
        sig.FRAME_SEQUENCE: frame.sequence,
        sig.FRAME_PIPELINE: frame.pipeline,
        sig.FRAME_BUDGET_LIMIT: _s(frame.budget_ns),
        sig.FRAME_BUDGET_LEARNED: True if frame.budget_learned else None,
        sig.FRAME_PERIOD: _s(frame.period_ns),
        sig.FRAME_INTERVAL: _s(frame.interval_ns),
        sig.FRAME_SLOW: frame.outcome == "slow",
        sig.FRAME_LATE: frame.late,
        sig.FRAME_OUTCOME: frame.outcome,
        sig.FRAME_DROP_REASON: frame.reason if frame.outcome == "dropped" else None,
        sig.FRAME_KEPT: judged.kept,
        sig.FRAME_SAMPLING_WEIGHT: judged.weight,
        sig.FRAME_EXPECTED_DURATION: _s(frame.expected_ns),
        sig.FRAME_EXPECTED_INTERVAL: _s(frame.expected_interval_ns),
        sig.EVIDENCE_OFF: sorted(EVIDENCE_ATTRIBUTES[field] for field in frame.off) or None,
        **_evidence_attributes(frame.evidence),
        **{
            sig.expected_name(name): _s(getattr(frame.expected, field))
            for field, name in EVIDENCE_ATTRIBUTES.items()
            if verdict is not None and getattr(frame.evidence, field) is not None
        },
        **_device_attributes(frame),
    }
    gpu = [stage.gpu for stage in frame.stages if stage.gpu is not None]
    if gpu:
        if len(gpu) == 1 or all(work.placed for work in gpu):
            told[sig.GPU_TIME] = _s(max(work.end_ns for work in gpu) - min(work.start_ns for work in gpu))
        for field, name in GPU_ATTRIBUTES.items():
            values = [getattr(work, field) for work in gpu]
            if all(value is not None for value in values):
                told[name] = _s(sum(values))
    if verdict is not None:
        told.update(_verdict_attributes(verdict))
    for key, value in frame.attributes.items():
        told.setdefault(_users(key), value)
    return {name: value for name, value in told.items() if value is not None}


def _users(key: str) -> str:
    """The user's words never shadow ours."""
    return f"user.{key}" if key.startswith(("frame.", "framescope.")) else key


def _verdict_attributes(verdict: Verdict) -> dict[str, Value | None]:
    told: dict[str, Value | None] = {
        sig.FRAME_CAUSE_NAME: verdict.cause,
        sig.FRAME_CAUSE_CONFIDENCE: verdict.confidence,
        sig.FRAME_VERDICT_AXIS: verdict.axis,
        sig.FRAME_LOST_TOTAL: _s(verdict.lost_ns),
        sig.FRAME_OVERRUN_TOTAL: _s(verdict.overrun_ns),
    }
    if verdict.culprit is not None:
        told[sig.FRAME_CULPRIT_NAME], told[sig.FRAME_CULPRIT_PID] = verdict.culprit
    lost: dict[str, int] = {}
    over: dict[str, int] = {}
    for share in verdict.shares:
        lost[share.cause] = lost.get(share.cause, 0) + share.lost_ns
        over[share.cause] = over.get(share.cause, 0) + share.overrun_ns
    told.update({sig.FRAME_LOST_PREFIX + cause: _s(amount) for cause, amount in lost.items()})
    told.update({sig.FRAME_OVERRUN_PREFIX + cause: _s(amount) for cause, amount in over.items() if amount})
    return told


def _lost_by_stage(verdict: Verdict | None) -> dict[str, Attributes]:
    lost: dict[str, Attributes] = {}
    for share in verdict.shares if verdict is not None else ():
        if share.stage is not None and share.lost_ns:
            lost.setdefault(share.stage, {})[sig.FRAME_LOST_PREFIX + share.cause] = share.lost_ns / 1e9
    return lost


def _stage_attributes(stage: Stage) -> Attributes:
    told: dict[str, Value | None] = {
        sig.FRAME_STAGE_NAME: stage.name,
        sig.FRAME_STAGE_KIND: stage.kind,
        sig.FRAME_STAGE_EXPECTED: _s(stage.expected_ns),
        sig.FRAME_QUEUE_DEPTH_AT_ENTRY: stage.depth_at_entry,
        **{name: value for name, value in _evidence_attributes(stage.evidence).items() if value},
        sig.BLOCKED_CALL: stage.waited_in or None,
        sig.FRAME_STAGE_STACKS: [stack for stack, _ in stage.stacks] or None,
        sig.FRAME_STAGE_STACK_COUNTS: [seen for _, seen in stage.stacks] or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _gpu_attributes(stage: Stage) -> Attributes:
    work = stage.gpu
    assert work is not None
    told: dict[str, Value | None] = {
        sig.FRAME_STAGE_NAME: stage.name,
        sig.FRAME_STAGE_KIND: "gpu",
        sig.GPU_ID: work.device,
        sig.GPU_TIME: _s(work.time_ns),
        sig.FRAME_STAGE_EXPECTED: _s(stage.expected_gpu.get("time")),
        **{name: _s(getattr(work, field)) for field, name in GPU_ATTRIBUTES.items()},
        **{
            sig.expected_name(name): _s(stage.expected_gpu.get(field.removesuffix("_ns")))
            for field, name in GPU_ATTRIBUTES.items()
            if getattr(work, field) is not None
        },
    }
    return {name: value for name, value in told.items() if value is not None}


def _evidence_attributes(evidence: Evidence) -> dict[str, Value | None]:
    return {name: _s(getattr(evidence, field)) for field, name in EVIDENCE_ATTRIBUTES.items()}


def _device_attributes(frame: Frame) -> dict[str, Value | None]:
    device = frame.device
    if device is None:
        return {}
    return {
        sig.GPU_ID: device.id,
        sig.GPU_NAME: device.name,
        sig.GPU_SIMULATED: True if device.simulated else None,
        sig.GPU_WINDOW: _s(device.window_ns or None),
        sig.GPU_UTILIZATION_MEAN: device.utilization_mean,
        sig.GPU_UTILIZATION_MAX: device.utilization_max,
        sig.GPU_OTHER_UTILIZATION: device.other_utilization,
        sig.GPU_OTHER_EXPECTED: device.expected_other_utilization,
        sig.GPU_CLOCK_MIN: device.clock_min_hz,
        sig.GPU_CLOCK_EXPECTED: _double(device.expected_clock_hz),
        sig.GPU_HELD_SHARE: device.held_share,
        sig.GPU_HELD_EXPECTED: device.expected_held_share,
        sig.GPU_HELD_REASON: device.held_reason,
        sig.GPU_IO_RATE: device.io_rate,
        sig.GPU_IO_EXPECTED: _double(device.expected_io_rate),
        sig.GPU_ERRORS: device.errors or None,
        sig.GPU_MEMORY_USED: device.memory_used_bytes,
        sig.GPU_TEMPERATURE: device.temperature_celsius,
        sig.GPU_POWER: device.power_watts,
    }


def _double(value: float | None) -> float | None:
    """A whole number too: an attribute has one type on the wire."""
    return None if value is None else float(value)


def _s(value: int | None) -> float | None:
    return None if value is None else value / 1e9
