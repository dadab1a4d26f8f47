"""OTLP as JSON: what a backend answered, read into OTLP's own messages."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from framescope_ui.store.otlp import Malformed, from_document


def resource_spans(groups: object) -> Sequence[ResourceSpans]:
    """The list under ``resourceSpans`` of an OTLP JSON document (ids in hex, see the OTLP specification,
    "JSON Protobuf Encoding"). Raises ``ValueError`` with a reason for people."""
    request = from_document("traces", {"resourceSpans": groups})
    if not isinstance(request, ExportTraceServiceRequest):
        raise Malformed("the answer holds no traces")
    return request.resource_spans
