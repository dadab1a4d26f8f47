"""One trace as OTLP has it, as the app's own types: root first, each span once.

The embedded store puts its traces together from its own rows; the spans are read here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, Literal

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from framescope import signals
from framescope_ui.store.attributes import mapping

from .protocols import Attributes, Span, SpanEvent, Trace
from .records import service_of

_STATUS: Final[dict[int, Literal["unset", "ok", "error"]]] = {0: "unset", 1: "ok", 2: "error"}


def traces_of(groups: Iterable[ResourceSpans]) -> dict[str, Trace]:
    """Every trace found in the groups, by its id in hex."""
    found: dict[str, dict[str, tuple[Span, Attributes]]] = {}
    for group in groups:
        resource = mapping(group.resource.attributes)
        for scope in group.scope_spans:
            for wire in scope.spans:
                span = span_of(wire, wire.trace_id.hex())
                found.setdefault(span.trace_id, {}).setdefault(span.span_id, (span, resource))
    return {trace_id: whole_trace(trace_id, spans) for trace_id, spans in found.items()}


def trace_of(groups: Iterable[ResourceSpans], trace_id: str, partial: bool = False) -> Trace | None:
    """The one trace with this id (32 hex digits); None where no span of it is among the groups."""
    found = traces_of(groups).get(trace_id)
    if found is None or not partial:
        return found
    return replace(found, partial=True)


def whole_trace(trace_id: str, spans: Mapping[str, tuple[Span, Attributes]]) -> Trace:
    """The trace of these spans (by id, each with its resource), root first.

    The resource is that of the ``frame`` root, else of the first span without a known parent: a trace that
    crosses processes has several resources, the app shows one. Frames of another service are noted.
    """
    ordered = sorted(
        spans.values(),
        key=lambda pair: (
            pair[0].parent_span_id in spans,
            pair[0].name != signals.SPAN_FRAME,
            pair[0].start_ns,
            -pair[0].end_ns,
        ),
    )
    resource = ordered[0][1]
    services = {
        span.span_id: service_of(own)
        for span, own in ordered
        if span.name == signals.SPAN_FRAME and service_of(own) != service_of(resource)
    }
    return Trace(trace_id, resource, tuple(span for span, _ in ordered), services=services)


def span_of(span: WireSpan, trace_id: str) -> Span:
    """One span of this trace as the app's own type."""
    return Span(
        trace_id=trace_id,
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() or None,
        name=span.name,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=mapping(span.attributes),
        status=_STATUS.get(span.status.code, "unset"),
        status_message=span.status.message,
        events=tuple(
            SpanEvent(event.name, event.time_unix_nano, mapping(event.attributes)) for event in span.events
        ),
    )
