"""OTLP request bodies: bytes in, protobuf messages out, with a bound on everything.

Protobuf and JSON as the OTLP specification writes it: ids in hex, enums as numbers (names are taken
too), 64-bit integers as numbers or strings. Nothing here keeps or answers; see the receivers.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any, Final, Literal, TypeAlias

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from .scan import ScannedTraces, scan

Signal = Literal["traces", "metrics", "logs"]
Encoding = Literal["protobuf", "json"]
Request: TypeAlias = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
Taken: TypeAlias = Request | ScannedTraces
"""A request as it is stored."""
Response: TypeAlias = ExportTraceServiceResponse | ExportMetricsServiceResponse | ExportLogsServiceResponse

_REQUESTS: Final[dict[Signal, type[Request]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_HEX_IDS: Final = frozenset(
    {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"},
)


class Malformed(ValueError):
    """The body is not what its content type says. The message is for the sender."""


class TooLarge(ValueError):
    """The body, or what it unpacks to, is over the limit."""


def decode(signal: Signal, body: bytes, encoding: Encoding) -> Request:
    """The request a body holds. Raises ``Malformed`` with a reason for people."""
    return _from_json(signal, body) if encoding == "json" else _from_protobuf(signal, body)


def take(signal: Signal, body: bytes, encoding: Encoding) -> Taken:
    """What a body holds, by the scanner where that reads it. Raises ``Malformed`` as ``decode`` does."""
    scanned = scan(body) if signal == "traces" and encoding == "protobuf" else None
    return decode(signal, body, encoding) if scanned is None else scanned


def gunzip(body: bytes, limit: int) -> bytes:
    """What a gzip body holds, never unpacking more than ``limit`` bytes.

    Raises ``TooLarge`` beyond the limit (a zip bomb costs at most that much memory) and ``Malformed``
    for a body that is no gzip or ends early.
    """
    unpacked = bytearray()
    remaining = body
    while remaining:
        inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            unpacked += inflater.decompress(remaining, limit + 1 - len(unpacked))
        except zlib.error as error:
            raise Malformed(f"the body is not gzip: {error}") from None
        if len(unpacked) > limit:
            raise TooLarge(f"the body unpacks to more than {limit} bytes")
        if not inflater.eof:
            raise Malformed("the gzip body ends early")
        remaining = inflater.unused_data
    return bytes(unpacked)


def _from_protobuf(signal: Signal, body: bytes) -> Request:
    request = _REQUESTS[signal]()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise Malformed(f"the body is not an OTLP {signal} request in protobuf: {error}") from None
    return request


def _from_document(signal: Signal, document: object) -> Request:
    """The request an OTLP JSON document holds, read already. Raises ``Malformed``."""
    request = _REQUESTS[signal]()
    try:
        if not isinstance(document, dict):
            raise Malformed("the JSON body is not an object")
        json_format.ParseDict(_with_base64_ids(document), request, ignore_unknown_fields=True)
    except Malformed:
        raise
    except RecursionError:
        raise Malformed("the JSON body is nested too deeply") from None
    except (ValueError, TypeError, OverflowError, AttributeError, json_format.ParseError) as error:
        raise Malformed(f"the body is not an OTLP {signal} request in JSON: {error}") from None
    return request


def _from_json(signal: Signal, body: bytes) -> Request:
    try:
        document = json.loads(body)
    except RecursionError:
        raise Malformed("the JSON body is nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"the body is not an OTLP {signal} request in JSON: {error}") from None
    return _from_document(signal, document)


def _with_base64_ids(value: Any) -> Any:
    """The document with its hex ids in base64, which is how protobuf's own JSON writes bytes."""
    if isinstance(value, dict):
        return {
            key: _base64_of_hex(key, inner) if key in _HEX_IDS else _with_base64_ids(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_base64_ids(inner) for inner in value]
    return value


def _base64_of_hex(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isascii():
        raise Malformed(f"{key} is not a string of hexadecimal digits")
    try:
        return base64.b64encode(bytes.fromhex(value)).decode("ascii")
    except ValueError:
        raise Malformed(f"{key} is not a string of hexadecimal digits") from None
