"""One trace as OTLP has it, as the app's own types: root first, each span once.

The embedded store does the same from its own rows; here it is for backends that answer OTLP.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from framescope import signals
from framescope_ui.store.attributes import mapping

from .protocols import Span, SpanEvent, Trace

_STATUS: Final[dict[int, Literal["unset", "ok", "error"]]] = {0: "unset", 1: "ok", 2: "error"}


def traces_of(groups: Iterable[ResourceSpans]) -> dict[str, Trace]:
    """Every trace found in the groups, by its id in hex.

    Spans are deduplicated by span id. The resource is that of the ``frame`` root, else of the first span
    without a known parent: a trace that crosses processes has several resources, the app shows one.
    """
    wire: dict[str, dict[bytes, tuple[WireSpan, ResourceSpans]]] = {}
    for group in groups:
        for scope in group.scope_spans:
            for span in scope.spans:
                wire.setdefault(span.trace_id.hex(), {}).setdefault(span.span_id, (span, group))
    return {trace_id: _trace(trace_id, spans) for trace_id, spans in wire.items()}


def trace_of(groups: Iterable[ResourceSpans], trace_id: str, partial: bool = False) -> Trace | None:
    """The one trace with this id (32 hex digits); None where no span of it is among the groups."""
    found = traces_of(groups).get(trace_id)
    if found is None or not partial:
        return found
    return Trace(found.trace_id, found.resource, found.spans, partial=True)


def _trace(trace_id: str, spans: dict[bytes, tuple[WireSpan, ResourceSpans]]) -> Trace:
    ordered = sorted(
        spans.values(),
        key=lambda pair: (
            pair[0].parent_span_id in spans,
            pair[0].name != signals.SPAN_FRAME,
            pair[0].start_time_unix_nano,
            -pair[0].end_time_unix_nano,
        ),
    )
    resource: dict[str, Any] = mapping(ordered[0][1].resource.attributes)
    return Trace(trace_id, resource, tuple(_span(trace_id, span) for span, _ in ordered))


def _span(trace_id: str, span: WireSpan) -> Span:
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
