"""From the spans of a trace back to the judge's frame, and to its verdict.

A trace that carries a verdict is taken at its word: its shares are read from ``frame.lost.<cause>`` on
the root and on the stages; only the words around them are made again. A trace without one is judged here,
by what its spans tell; what is usual is then told by the trace, or by on-time frames beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from framescope import signals as sig
from framescope.judge.account import UNKNOWN, apportion, in_words, judge, summed
from framescope.judge.baseline import Baseline
from framescope.judge.model import Device, Evidence, Frame, Gpu, Stage, Verdict
from framescope.judge.path import own
from framescope.judge.readings import EVIDENCE_ATTRIBUTES, GPU_ATTRIBUTES

_MEASURED: Final = {name: field for field, name in EVIDENCE_ATTRIBUTES.items()}
_EXPECTED: Final = {sig.expected_name(name): field for field, name in EVIDENCE_ATTRIBUTES.items()}
_EXPECTED_GPU: Final = {
    field.removesuffix("_ns"): sig.expected_name(name) for field, name in GPU_ATTRIBUTES.items()
}


class SpanLike(Protocol):
    """What is read of a span; times on one clock, in ns."""

    @property
    def span_id(self) -> str: ...
    @property
    def parent_span_id(self) -> str | None: ...
    @property
    def name(self) -> str: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def end_ns(self) -> int: ...
    @property
    def attributes(self) -> Mapping[str, Any]: ...


def ns(value: object) -> int | None:
    """Seconds from the wire as ns; anything but a finite number is None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        return None
    return round(value * 1e9)


def number(value: object) -> float | None:
    """A finite number from the wire, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        return None
    return float(value)


def root_of(spans: Sequence[SpanLike]) -> SpanLike | None:
    """The root span of a framescope frame among these, or None."""
    return next((s for s in spans if s.name == sig.SPAN_FRAME and sig.FRAME_PIPELINE in s.attributes), None)


def outcome_of(told: Mapping[str, Any], latency_ns: int, failed: bool = False) -> str | None:
    """A frame's outcome as its root says, or as its latency and budget do; None where neither tells.

    ``failed`` is an error status of the root span.
    """
    said = told.get(sig.FRAME_OUTCOME)
    if isinstance(said, str) and said:
        return said
    if failed:
        return "failed"
    budget = ns(told.get(sig.FRAME_BUDGET_LIMIT))
    slow = told.get(sig.FRAME_SLOW)
    if slow is True or (budget is not None and latency_ns > budget):
        return "slow"
    return None if budget is None and slow is None else "on_time"


def read_frame(spans: Sequence[SpanLike]) -> Frame | None:
    """The frame that these spans tell of; None when they are not a framescope frame."""
    root = root_of(spans)
    if root is None:
        return None
    told = root.attributes
    frame = Frame(
        pipeline=str(told[sig.FRAME_PIPELINE]),
        id=_whole(told.get(sig.FRAME_ID)),
        sequence=_whole(told.get(sig.FRAME_SEQUENCE)),
        due_ns=root.start_ns,
        start_ns=root.start_ns,
        end_ns=root.end_ns,
        outcome=outcome_of(told, root.end_ns - root.start_ns) or "on_time",
        reason=str(told.get(sig.FRAME_DROP_REASON, "")),
        budget_ns=ns(told.get(sig.FRAME_BUDGET_LIMIT)),
        budget_learned=told.get(sig.FRAME_BUDGET_LEARNED) is True,
        period_ns=ns(told.get(sig.FRAME_PERIOD)),
        interval_ns=ns(told.get(sig.FRAME_INTERVAL)),
        expected_interval_ns=ns(told.get(sig.FRAME_EXPECTED_INTERVAL)),
        late=told.get(sig.FRAME_LATE) is True,
        expected_ns=ns(told.get(sig.FRAME_EXPECTED_DURATION)),
        evidence=_evidence(told),
        expected=_evidence(told, _EXPECTED),
        device=_device(told),
        off=_off(told.get(sig.EVIDENCE_OFF)),
    )
    stages = {s.span_id: s for s in spans if s is not root and sig.FRAME_STAGE_NAME in s.attributes}
    gpu_work = {
        s.parent_span_id: s
        for s in stages.values()
        if s.parent_span_id in stages and sig.GPU_TIME in s.attributes
    }
    for span in sorted(stages.values(), key=lambda s: s.start_ns):
        if span.parent_span_id in gpu_work and gpu_work[span.parent_span_id] is span:
            continue
        frame.stages.append(_stage(span, gpu_work.get(span.span_id)))
        if span.attributes.get(sig.FRAME_STAGE_KIND) == "gap":
            frame.gap_ns = span.end_ns - span.start_ns
            frame.expected_gap_ns = ns(span.attributes.get(sig.FRAME_STAGE_EXPECTED))
    frame.unowned_ns = own(frame.stages, frame.due_ns, frame.end_ns)
    return frame


def tells_what_is_usual(spans: Sequence[SpanLike]) -> bool:
    """Whether a frame's verdict can be read or made without looking at other frames."""
    root = root_of(spans)
    return root is not None and (
        sig.FRAME_CAUSE_NAME in root.attributes or sig.FRAME_EXPECTED_DURATION in root.attributes
    )


def read_verdict(spans: Sequence[SpanLike], usual: Baseline | None = None) -> Verdict | None:
    """The verdict these spans carry, or the one the judge gives on what they tell.

    ``usual`` is what on-time frames take, for a trace that does not tell it itself. None when they are
    not a framescope frame, or one with neither a verdict nor anything lost.
    """
    root, frame = root_of(spans), read_frame(spans)
    if root is None or frame is None:
        return None
    cause = root.attributes.get(sig.FRAME_CAUSE_NAME)
    if cause is None:
        if usual is not None and not tells_what_is_usual(spans):
            usual.apply(frame)
        verdict = judge(frame)
        return verdict if verdict.lost_ns else None
    lost = ns(root.attributes.get(sig.FRAME_LOST_TOTAL))
    if lost is None:
        lost = sum(_lost_by_cause(root).values())
    overrun = ns(root.attributes.get(sig.FRAME_OVERRUN_TOTAL))
    if overrun is None:
        overrun = max(0, frame.latency_ns - frame.budget_ns) if frame.budget_ns is not None else 0
    axis = root.attributes.get(sig.FRAME_VERDICT_AXIS)
    expected = frame.expected_interval_ns if axis == "interval" else frame.expected_ns
    parts = _shares(root, spans, lost)
    made = summed(frame, "interval" if axis == "interval" else "latency", expected, lost, overrun, parts)
    confidence = number(root.attributes.get(sig.FRAME_CAUSE_CONFIDENCE))
    culprit = root.attributes.get(sig.FRAME_CULPRIT_NAME)
    pid = root.attributes.get(sig.FRAME_CULPRIT_PID)
    return _as_told(frame, made, str(cause), confidence, culprit, pid)


def _as_told(
    frame: Frame, made: Verdict, cause: str, confidence: float | None, culprit: object, pid: object
) -> Verdict:
    """The verdict with the emitter's own cause, confidence and culprit, and a sentence that fits them."""
    told = replace(
        made,
        cause=cause,
        confidence=made.confidence if confidence is None else confidence,
        culprit=(str(culprit), pid if isinstance(pid, int) else None)
        if culprit is not None
        else made.culprit,
    )
    return in_words(frame, told)


def _shares(root: SpanLike, spans: Sequence[SpanLike], lost: int) -> dict[tuple[str, str | None], int]:
    parts: dict[tuple[str, str | None], int] = {}
    in_stages: dict[str, int] = {}
    for span in spans:
        name = span.attributes.get(sig.FRAME_STAGE_NAME)
        if span is root or name is None:
            continue
        for cause, amount in _lost_by_cause(span).items():
            parts[cause, str(name)] = parts.get((cause, str(name)), 0) + amount
            in_stages[cause] = in_stages.get(cause, 0) + amount
    for cause, amount in _lost_by_cause(root).items():
        rest = amount - in_stages.get(cause, 0)
        if rest > 1000:  # below a microsecond it is rounding on the wire
            parts[cause, None] = rest
    if not parts:
        return {(UNKNOWN, None): lost} if lost else {}
    # Seconds on the wire are floats: put the last nanoseconds back so that the shares add up.
    keys = list(parts)
    return dict(zip(keys, apportion([parts[key] for key in keys], lost), strict=True))


def _lost_by_cause(span: SpanLike) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in span.attributes.items():
        cause = name.removeprefix(sig.FRAME_LOST_PREFIX)
        amount = ns(value)
        if cause != name and cause != "total" and amount and amount > 0:
            found[cause] = amount
    return found


def _stage(span: SpanLike, work: SpanLike | None) -> Stage:
    told = span.attributes
    depth = told.get(sig.FRAME_QUEUE_DEPTH_AT_ENTRY)
    stage = Stage(
        name=str(told[sig.FRAME_STAGE_NAME]),
        kind=str(told.get(sig.FRAME_STAGE_KIND, "cpu")),
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        thread=_thread(told.get(sig.THREAD_ID)),
        expected_ns=ns(told.get(sig.FRAME_STAGE_EXPECTED)),
        evidence=_evidence(told),
        expected=_evidence(told, _EXPECTED),
        depth_at_entry=depth if isinstance(depth, int) else None,
        waited_in=str(told.get(sig.BLOCKED_CALL, "")),
        stacks=stacks_in(told),
    )
    if work is not None:
        stage.gpu = Gpu(
            str(work.attributes.get(sig.GPU_ID, "")),
            work.start_ns,
            work.end_ns,
            **{field: ns(work.attributes.get(name)) for field, name in GPU_ATTRIBUTES.items()},
        )
        expected = {"time": ns(work.attributes.get(sig.FRAME_STAGE_EXPECTED))}
        for field, name in _EXPECTED_GPU.items():
            expected[field] = ns(work.attributes.get(name))
        stage.expected_gpu = {name: value for name, value in expected.items() if value is not None}
    elif (took := ns(told.get(sig.GPU_TIME))) is not None:  # it is not known when this ran
        stage.gpu = Gpu(
            str(told.get(sig.GPU_ID, "")), span.start_ns, span.start_ns + took, clock_error_ns=took + 1
        )
    if stage.kind == "queue":
        stage.ahead_ns = {
            cause: amount
            for cause, amount in _lost_by_cause(span).items()
            if cause not in ("queue_wait", UNKNOWN)
        }
    return stage


def stacks_in(told: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """The Python stacks a stage's span tells of, each with how often; () without any."""
    stacks, counts = told.get(sig.FRAME_STAGE_STACKS), told.get(sig.FRAME_STAGE_STACK_COUNTS)
    if not isinstance(stacks, Sequence) or isinstance(stacks, str):
        return ()
    seen = counts if isinstance(counts, Sequence) and len(counts) == len(stacks) else [1] * len(stacks)
    return tuple((str(stack), max(1, _whole(count))) for stack, count in zip(stacks, seen, strict=True))


def _thread(told: object) -> int | None:
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def _evidence(told: Mapping[str, Any], fields: Mapping[str, str] = _MEASURED) -> Evidence:
    """The readings among a span's attributes: most have few of the many there can be."""
    return Evidence(
        **{
            fields[name]: amount
            for name, value in told.items()
            if name in fields and (amount := ns(value)) is not None
        }
    )


def _off(told: object) -> frozenset[str]:
    names = told if isinstance(told, list | tuple) else ()
    return frozenset(_MEASURED[name] for name in names if isinstance(name, str) and name in _MEASURED)


def _device(told: Mapping[str, Any]) -> Device | None:
    if sig.GPU_ID not in told:
        return None
    window = ns(told.get(sig.GPU_WINDOW))
    culprit, pid = told.get(sig.FRAME_CULPRIT_NAME), told.get(sig.FRAME_CULPRIT_PID)
    memory = number(told.get(sig.GPU_MEMORY_USED))
    errors = told.get(sig.GPU_ERRORS)
    return Device(
        id=str(told[sig.GPU_ID]),
        name=str(told.get(sig.GPU_NAME, told[sig.GPU_ID])),
        simulated=told.get(sig.GPU_SIMULATED) is True,
        window_ns=window or 0,
        utilization_mean=number(told.get(sig.GPU_UTILIZATION_MEAN)),
        utilization_max=number(told.get(sig.GPU_UTILIZATION_MAX)),
        other_utilization=number(told.get(sig.GPU_OTHER_UTILIZATION)),
        expected_other_utilization=number(told.get(sig.GPU_OTHER_EXPECTED)),
        clock_min_hz=number(told.get(sig.GPU_CLOCK_MIN)),
        expected_clock_hz=number(told.get(sig.GPU_CLOCK_EXPECTED)),
        held_share=number(told.get(sig.GPU_HELD_SHARE)),
        expected_held_share=number(told.get(sig.GPU_HELD_EXPECTED)),
        held_reason=str(reason) if (reason := told.get(sig.GPU_HELD_REASON)) is not None else None,
        io_rate=number(told.get(sig.GPU_IO_RATE)),
        expected_io_rate=number(told.get(sig.GPU_IO_EXPECTED)),
        memory_used_bytes=None if memory is None else int(memory),
        temperature_celsius=number(told.get(sig.GPU_TEMPERATURE)),
        power_watts=number(told.get(sig.GPU_POWER)),
        errors=tuple(str(one) for one in errors) if isinstance(errors, list | tuple) else (),
        other_process=None if culprit is None else (str(culprit), pid if isinstance(pid, int) else None),
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
