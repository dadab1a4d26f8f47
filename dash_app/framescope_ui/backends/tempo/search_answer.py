"""Tempo's answers in protobuf: what a search found, and one trace whole.

The messages are those of ``pkg/tempopb/tempo.proto`` (Tempo 3.0.3), only with the fields read here; spans
and attributes are OTLP's own. Protobuf is a third of the JSON, which tells each span twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from framescope import signals
from framescope_ui.backends.protocols import Span
from framescope_ui.store.attributes import mapping

PROTOBUF: Final = "application/protobuf"
_PACKAGE: Final = "framescope.tempo"
_KIND = descriptor_pb2.FieldDescriptorProto
_PARTIAL: Final = 1

_FIELDS: Final[dict[str, tuple[tuple[str, int, Any, str | None], ...]]] = {
    "Span": (
        ("span_id", 1, _KIND.TYPE_STRING, None),
        ("name", 2, _KIND.TYPE_STRING, None),
        ("start_ns", 3, _KIND.TYPE_UINT64, None),
        ("duration_ns", 4, _KIND.TYPE_UINT64, None),
        ("attributes", 5, None, ".opentelemetry.proto.common.v1.KeyValue"),
    ),
    "SpanSet": (
        ("spans", 1, None, f".{_PACKAGE}.Span"),
        ("matched", 2, _KIND.TYPE_UINT32, None),
    ),
    "ServiceStats": (("span_count", 1, _KIND.TYPE_UINT32, None),),
    "ServiceEntry": (
        ("key", 1, _KIND.TYPE_STRING, None),
        ("value", 2, None, f".{_PACKAGE}.ServiceStats"),
    ),
    "TraceFound": (
        ("trace_id", 1, _KIND.TYPE_STRING, None),
        ("span_sets", 7, None, f".{_PACKAGE}.SpanSet"),
        ("services", 8, None, f".{_PACKAGE}.ServiceEntry"),
    ),
    "SearchAnswer": (("traces", 1, None, f".{_PACKAGE}.TraceFound"),),
    "TraceHeld": (("groups", 1, None, ".opentelemetry.proto.trace.v1.ResourceSpans"),),
    "TraceAnswer": (
        ("trace", 1, None, f".{_PACKAGE}.TraceHeld"),
        ("status", 3, _KIND.TYPE_INT32, None),
    ),
}
_REPEATED: Final = frozenset({"attributes", "spans", "span_sets", "services", "traces", "groups"})


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="framescope/tempo.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[common_pb2.DESCRIPTOR.name, trace_pb2.DESCRIPTOR.name],
    )
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for named, number, kind, of in fields:
            message.field.add(
                name=named,
                number=number,
                type=kind or _KIND.TYPE_MESSAGE,
                type_name=of,
                label=_KIND.LABEL_REPEATED if named in _REPEATED else _KIND.LABEL_OPTIONAL,
            )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _FIELDS
    }


MESSAGES: Final = _messages()
"""Message classes by the names above."""


class Unreadable(ValueError):
    """The answer is not Tempo's."""


@dataclass(frozen=True, slots=True)
class TraceFound:
    """The matching spans of one trace, with the attributes that were selected.

    ``services`` tells whose each span is, by its id: a trace may cross several. ``host`` is the resource's.
    ``matched`` counts the spans that matched, ``size`` the spans of the whole trace; both as the greatest
    piece of the trace has them where Tempo holds it in pieces.
    """

    trace_id: str
    spans: tuple[Span, ...]
    matched: int
    size: int
    services: Mapping[str, str] = field(default_factory=dict)
    host: str | None = None

    @property
    def whole(self) -> bool:
        """Whether every span of the trace matched and is here."""
        return len(self.spans) == self.matched == self.size


def found_in(body: bytes) -> list[TraceFound]:
    """What a search found. Raises ``Unreadable``."""
    return [_trace_found(trace) for trace in _read("SearchAnswer", body).traces]


def trace_groups(body: bytes) -> tuple[list[Any], bool]:
    """The resource spans of one trace, and whether Tempo misses some. Raises ``Unreadable``."""
    answer = _read("TraceAnswer", body)
    return list(answer.trace.groups), answer.status == _PARTIAL


def _read(name: str, body: bytes) -> Any:
    try:
        return MESSAGES[name].FromString(body)
    except DecodeError:
        raise Unreadable("the answer is not Tempo's protobuf") from None


def _trace_found(trace: Any) -> TraceFound:
    trace_id = trace.trace_id.rjust(32, "0")  # Tempo leaves leading zeros out
    spans: dict[str, Span] = {}
    services: dict[str, str] = {}
    host = None
    for group in trace.span_sets:
        for one in group.spans:
            told = mapping(one.attributes)
            # Resource attributes stand among the span's own, without their scope.
            service, host = told.pop(signals.SERVICE_NAME, None), told.pop(signals.HOST_NAME, host)
            span_id = one.span_id.rjust(16, "0")
            if isinstance(service, str):
                services[span_id] = service
            start = one.start_ns
            spans[span_id] = Span(trace_id, span_id, None, one.name, start, start + one.duration_ns, told)
    return TraceFound(
        trace_id,
        tuple(spans.values()),
        sum(group.matched for group in trace.span_sets),
        sum(entry.value.span_count for entry in trace.services),
        services,
        host if isinstance(host, str) else None,
    )
