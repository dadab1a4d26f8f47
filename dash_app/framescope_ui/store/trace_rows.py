"""An OTLP trace request as rows: kept frames whole, ``frames`` records, marks, spans of others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from framescope import signals
from framescope.judge import outcome_of

from . import scope_spans
from .attributes import codes, contents, integer, letters, mapping, number, plain, text
from .scan import HOT, Blame, ScannedFrame, ScannedTraces
from .schema import BATCH

UNKNOWN_SERVICE: Final = "unknown_service"
"""What OpenTelemetry calls a resource without ``service.name``."""
_GREATEST_NS: Final = 2**63 - 1
_GREATEST_US: Final = 2**53
_GREATEST_AHEAD_NS: Final = 3_600_000_000_000
"""How far after its arrival a ``frames`` record may end: no clock is off by more, such a number is wrong."""
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
_TOLD: Final = HOT | {signals.FRAME_STAGE_NAME}
_SLOW: Final = frozenset({"slow", "failed", "dropped"})
_LOST: Final = signals.FRAME_LOST_PREFIX.encode()
_BAD_TRACE_ID: Final = "invalid trace id"
_BAD_SPAN_ID: Final = "invalid span id"
_BAD_TIME: Final = "time out of range"
_REMEMBERED_BYTES: Final = 4096
"""Of resources up to this size the last 256 are remembered: a request has one, and mostly the one before."""
_BATCH_END: Final = [name for name, _, _ in BATCH.columns].index("end_ns")


@dataclass(slots=True)
class Guilt:
    """The stage that lost most of a trace's time, and how much: s."""

    stage: str
    lost: float


@dataclass(slots=True)
class TraceRows:
    """What one request puts into a segment; ``frames`` are ordered as ``schema.FRAME``'s columns up to
    the guilty stage, which the writer adds because a part of the trace may have come before."""

    frames: list[FrameRow] = field(default_factory=list)
    batches: list[tuple[Any, ...]] = field(default_factory=list)
    marks: list[tuple[Any, ...]] = field(default_factory=list)
    spans: list[tuple[Any, ...]] = field(default_factory=list)
    resources: dict[int, bytes] = field(default_factory=dict)
    apart: dict[bytes, Guilt] = field(default_factory=dict)
    """Stages that came without their root, by trace id: the guiltiest of each trace."""
    rejected: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    endless: int = 0
    """Frames without an end, or with one before their start: kept as spans, since what took no known
    time is in no list by time taken."""


@dataclass(slots=True)
class FrameRow:
    """A kept frame on its way into ``schema.FRAME``."""

    trace_id: bytes
    hot: tuple[Any, ...]
    guilt: Guilt | None
    resource: int
    root: bytes
    children: bytes

    def columns(self) -> tuple[Any, ...]:
        """The row in the order of ``schema.FRAME``."""
        stage, lost = (self.guilt.stage, self.guilt.lost) if self.guilt else (None, None)
        return (self.trace_id, *self.hot, stage, lost, self.resource, self.root, self.children)


@dataclass(frozen=True, slots=True)
class _Origin:
    body: bytes
    digest: int
    service: str
    instance: str | None
    host: str | None
    version: str | None


def resource_digest(body: bytes) -> int:
    """A resource's identity, the same in every segment and process."""
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "little")


def trace_rows(request: ExportTraceServiceRequest, arrived_ns: int) -> TraceRows:
    """All rows of one request that arrived at ``arrived_ns`` (unix).

    Spans that cannot be stored are counted in ``rejected`` by reason.
    """
    rows = TraceRows()
    for group in request.resource_spans:
        origin = _origin(group.resource)
        rows.resources[origin.digest] = origin.body
        traces: defaultdict[bytes, list[Span]] = defaultdict(list)
        for scope in group.scope_spans:
            for span in scope.spans:
                if reason := _unstorable(span):
                    rows.rejected[reason] += 1
                else:
                    traces[span.trace_id].append(span)
        for trace_id, spans in traces.items():
            _add_trace(rows, origin, trace_id, spans, arrived_ns)
    return rows


def scanned_rows(scanned: ScannedTraces, arrived_ns: int) -> TraceRows:
    """The same of a request that the scanner read."""
    rows = TraceRows()
    for group in scanned.groups:
        remembered = len(group.resource) <= _REMEMBERED_BYTES
        origin = _known_origin(group.resource) if remembered else _origin(Resource.FromString(group.resource))
        rows.resources[origin.digest] = origin.body
        rows.accepted += group.spans
        for reason, count in zip((_BAD_TRACE_ID, _BAD_SPAN_ID, _BAD_TIME), group.rejected, strict=True):
            if count:
                rows.rejected[reason] += count
        rows.frames += [_scanned_frame(origin, frame) for frame in group.frames]
        for bodies in group.others:
            spans = [Span.FromString(body) for body in bodies]
            _add_trace(rows, origin, spans[0].trace_id, spans, arrived_ns)
    return rows


def _scanned_frame(origin: _Origin, frame: ScannedFrame) -> FrameRow:
    trace_id, start_ns, latency_ns, failed, told, root, children, worst, longest = frame
    hot, slow = _hot(origin, start_ns, latency_ns, failed, told)
    guilty: Blame | None = worst or (longest if slow else None)
    return FrameRow(trace_id, hot, Guilt(*guilty) if guilty else None, origin.digest, root, children)


def _add_trace(rows: TraceRows, origin: _Origin, trace_id: bytes, spans: list[Span], arrived_ns: int) -> None:
    rows.accepted += len(spans)
    named = [(span, _root_attributes(span)) for span in spans if span.name == signals.SPAN_FRAME]
    roots = [(span, told) for span, told in named if told is not None]
    ended = [one for one in roots if one[0].end_time_unix_nano >= one[0].start_time_unix_nano]
    rows.endless += len(roots) - len(ended)
    if len(ended) == 1:
        root, told = ended[0]
        rows.frames.append(_frame_row(origin, root, told, [span for span in spans if span is not root]))
        return
    # Several frames in one trace (it crossed processes): each keeps its own descendants.
    for root, told in ended:
        own = _descendants(root, spans)
        rows.frames.append(_frame_row(origin, root, told, own))
        taken = {span.span_id for span in own} | {root.span_id}
        spans = [span for span in spans if span.span_id not in taken]
    for span in spans:
        if span.name == signals.SPAN_FRAMES and (row := _batch_row(origin, span)):
            if row[_BATCH_END] > arrived_ns + _GREATEST_AHEAD_NS:
                rows.rejected["frames that end in the future"] += 1
                rows.accepted -= 1
            else:
                rows.batches.append(row)
        elif span.name == signals.SPAN_MARK and (mark := _mark_row(origin, span)):
            rows.marks.append(mark)
        else:
            rows.spans.append(
                (trace_id, span.start_time_unix_nano, origin.digest, span.SerializeToString()),
            )
    if guilt := guiltiest(spans, slow=False):
        rows.apart[trace_id] = guilt


def _frame_row(origin: _Origin, root: Span, told: dict[str, Any], children: Sequence[Span]) -> FrameRow:
    latency_ns = root.end_time_unix_nano - root.start_time_unix_nano
    failed = root.status.code == Status.STATUS_CODE_ERROR
    hot, slow = _hot(origin, root.start_time_unix_nano, latency_ns, failed, told)
    # Read what Python must read and no more: with every attribute of every stage looked at and the message
    # built anew, a frame of nine spans cost 130 us here, so 50.
    bodies = [span.SerializeToString() for span in children]
    losers = [span for span, body in zip(children, bodies, strict=True) if _LOST in body]
    return FrameRow(
        trace_id=root.trace_id,
        hot=hot,
        guilt=guiltiest(losers, slow=False) or (guiltiest(children, slow) if slow else None),
        resource=origin.digest,
        root=root.SerializeToString(),
        children=scope_spans.joined(bodies),
    )


def _hot(
    origin: _Origin, start_ns: int, latency_ns: int, failed: bool, told: dict[str, Any]
) -> tuple[tuple[Any, ...], bool]:
    """The columns of lists and filters, and whether the frame was slow."""
    outcome = outcome_of(told, latency_ns, failed=failed)
    slow = told.get(signals.FRAME_SLOW) is True or outcome in _SLOW
    hot = (
        origin.service,
        origin.instance,
        origin.host,
        text(told.get(signals.FRAME_PIPELINE)),
        integer(told.get(signals.FRAME_ID)),
        start_ns,
        latency_ns,
        outcome,
        text(told.get(signals.FRAME_KEPT)),
        text(told.get(signals.FRAME_CAUSE_NAME)),
        number(told.get(signals.FRAME_CAUSE_CONFIDENCE)),
        number(told.get(signals.FRAME_LOST_TOTAL)),
        number(told.get(signals.FRAME_OVERRUN_TOTAL)),
        number(told.get(signals.FRAME_BUDGET_LIMIT)),
    )
    return hot, slow


def guiltiest(spans: Iterable[Span], slow: bool) -> Guilt | None:
    """The stage with the greatest sum of ``frame.lost.*``.

    A slow frame whose stages tell no losses names the one that most exceeded what was expected of it.
    """
    worst: Guilt | None = None
    worst_excess: Guilt | None = None
    for span in spans:
        lost = 0.0
        stage: str | None = None
        expected: float | None = None
        for pair in span.attributes:
            key = pair.key
            if key == signals.FRAME_STAGE_NAME:
                stage = text(plain(pair.value))
            elif key == signals.FRAME_STAGE_EXPECTED:
                expected = number(plain(pair.value))
            elif key.startswith(signals.FRAME_LOST_PREFIX) and key != signals.FRAME_LOST_TOTAL:
                lost += number(plain(pair.value)) or 0.0
        if stage is None:
            continue
        if lost > 0 and (worst is None or lost > worst.lost):
            worst = Guilt(stage, lost)
        if slow and expected is not None:
            excess = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9 - expected
            if excess > 0 and (worst_excess is None or excess > worst_excess.lost):
                worst_excess = Guilt(stage, excess)
    return worst or worst_excess


def _batch_row(origin: _Origin, span: Span) -> tuple[Any, ...] | None:
    told = mapping(span.attributes)
    pipeline = text(told.get(signals.FRAME_PIPELINE))
    first_id = integer(told.get(signals.BATCH_FIRST_ID))
    offsets = _integers(told.get(signals.BATCH_OFFSETS_US))
    latencies = _integers(told.get(signals.BATCH_LATENCIES_US))
    outcomes = letters(told.get(signals.BATCH_OUTCOMES))
    causes = codes(told.get(signals.BATCH_CAUSES))
    if pipeline is None or first_id is None or offsets is None or latencies is None or outcomes is None:
        return None
    if not len(offsets) == len(latencies) == len(outcomes) or causes is None:
        return None
    prefix = signals.BATCH_DEPTHS_PREFIX
    depths = {
        key.removeprefix(prefix): values
        for key, value in told.items()
        if key.startswith(prefix) and (values := _integers(value)) is not None
    }
    ends = [offset + max(latency, 0) for offset, latency in zip(offsets, latencies, strict=True)]
    start = span.start_time_unix_nano
    return (
        origin.service,
        origin.instance,
        origin.host,
        pipeline,
        start,
        min(max(span.end_time_unix_nano, start + 1000 * max(ends, default=0)), _GREATEST_NS),
        first_id,
        offsets,
        latencies,
        outcomes,
        causes,
        list(depths.items()),
        _nanoseconds(number(told.get(signals.FRAME_BUDGET_LIMIT))),
        list(contents(told, len(offsets), origin.version).items()),
    )


def _mark_row(origin: _Origin, span: Span) -> tuple[Any, ...] | None:
    said = text(mapping(span.attributes).get(signals.MARK_TEXT))
    return None if said is None else (origin.service, span.start_time_unix_nano, said)


def _nanoseconds(seconds: float | None) -> int | None:
    """The same time in ns; None where no column holds it, or no time is meant."""
    return round(seconds * 1e9) if seconds is not None and 0 < seconds * 1e9 < _GREATEST_NS else None


def _integers(value: Any) -> list[int] | None:
    if not isinstance(value, list):
        return None
    if not all(integer(item) is not None and -_GREATEST_US <= item <= _GREATEST_US for item in value):
        return None
    return value


def _descendants(root: Span, spans: Iterable[Span]) -> list[Span]:
    children: defaultdict[bytes, list[Span]] = defaultdict(list)
    for span in spans:
        if span is not root:
            children[span.parent_span_id].append(span)
    found: list[Span] = []
    waiting = [root.span_id]
    seen: set[bytes] = set()
    while waiting:
        parent = waiting.pop()
        if parent in seen:  # ids that point in a circle
            continue
        seen.add(parent)
        for span in children[parent]:
            if not (span.name == signals.SPAN_FRAME and _root_attributes(span) is not None):
                found.append(span)
                waiting.append(span.span_id)
    return found


def _root_attributes(span: Span) -> dict[str, Any] | None:
    """The hot attributes of a frame's root; None for a span that is something else, such as a stage that its
    user called "frame"."""
    told = {key: plain(pair.value) for pair in span.attributes if (key := pair.key) in _TOLD}
    return told if signals.FRAME_PIPELINE in told and signals.FRAME_STAGE_NAME not in told else None


@lru_cache(maxsize=256)
def _known_origin(body: bytes) -> _Origin:
    return _origin(Resource.FromString(body))


def _origin(resource: Resource) -> _Origin:
    body = resource.SerializeToString(deterministic=True)
    told = mapping(resource.attributes)
    return _Origin(
        body=body,
        digest=resource_digest(body),
        service=text(told.get(signals.SERVICE_NAME)) or UNKNOWN_SERVICE,
        instance=text(told.get(signals.SERVICE_INSTANCE_ID)),
        host=text(told.get(signals.HOST_NAME)),
        version=text(told.get(signals.SERVICE_VERSION)),
    )


def _unstorable(span: Span) -> str | None:
    trace_id, span_id = span.trace_id, span.span_id
    if len(trace_id) != 16 or trace_id == _NO_TRACE:
        return _BAD_TRACE_ID
    if len(span_id) != 8 or span_id == _NO_SPAN:
        return _BAD_SPAN_ID
    if not 0 < span.start_time_unix_nano <= _GREATEST_NS or span.end_time_unix_nano > _GREATEST_NS:
        return _BAD_TIME
    return None
