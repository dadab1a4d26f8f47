"""The bytes of an OTLP ScopeSpans message that holds nothing but spans: put together, and taken apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

_TAG: Final = bytes([ScopeSpans.SPANS_FIELD_NUMBER << 3 | 2])
"""What stands before each span: protobuf's wire format, length-delimited."""


def joined(spans: Iterable[bytes]) -> bytes:
    """The message of these spans."""
    parts: list[bytes] = []
    for span in spans:
        parts += (_TAG, _varint(len(span)), span)
    return b"".join(parts)


def split(body: bytes) -> list[bytes] | None:
    """The spans of a message; None where it holds anything else, or is not written the shortest way."""
    found: list[bytes] = []
    at, end = 0, len(body)
    while at < end:
        if body[at] != _TAG[0] or at + 1 == end:
            return None
        size, begin = body[at + 1], at + 2
        if size > 127:
            size, shift, more = size & 127, 7, True
            while more:
                if begin == end or shift > 28:
                    return None
                size |= (body[begin] & 127) << shift
                more, shift, begin = body[begin] > 127, shift + 7, begin + 1
            if body[begin - 1] == 0:
                return None
        at = begin + size
        if at > end:
            return None
        found.append(body[begin:at])
    return found


def _varint(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    if value < 16384:
        return bytes((value & 127 | 128, value >> 7))
    return bytes((value & 127 | 128,)) + _varint(value >> 7)
