"""OTLP bodies: what is read, what is refused."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from framescope_ui.store.otlp import Malformed, TooLarge, decode, gunzip


def _span(**fields: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}).encode()


def _read(body: bytes) -> Any:
    request = decode("traces", body, "json")
    assert isinstance(request, ExportTraceServiceRequest)
    return request.resource_spans[0].scope_spans[0].spans[0]


@given(st.binary(max_size=20), st.booleans())
def test_an_id_in_hex_is_those_bytes(value: bytes, upper: bool) -> None:
    said = value.hex().upper() if upper else value.hex()
    assert _read(_span(traceId=said, spanId=said, parentSpanId=said)).trace_id == value


@given(st.text() | st.integers() | st.booleans() | st.none() | st.lists(st.integers(), max_size=2))
def test_an_id_is_read_or_refused_and_nothing_else(value: Any) -> None:
    try:
        span = _read(_span(traceId=value))
    except Malformed as refused:
        assert str(refused)
    else:
        assert span.trace_id == bytes.fromhex(value)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["resourceSpans", "scopeSpans", "spans", "traceId", "name", "attributes", "key", "value"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_json)
def test_any_json_is_read_or_refused_and_nothing_else(document: Any) -> None:
    try:
        decode("traces", json.dumps(document).encode(), "json")
    except Malformed as refused:
        assert str(refused)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    for encoding in ("json", "protobuf"):
        try:
            decode("metrics", body, encoding)  # type: ignore[arg-type]
        except Malformed as refused:
            assert str(refused)


def test_enums_are_read_as_numbers_and_as_names() -> None:
    assert _read(_span(kind=3)).kind == _read(_span(kind="SPAN_KIND_CLIENT")).kind == 3


def test_large_integers_are_read_as_numbers_and_as_text() -> None:
    now = 1_795_000_000_000_000_001
    assert _read(_span(startTimeUnixNano=now)).start_time_unix_nano == now
    assert _read(_span(startTimeUnixNano=str(now))).start_time_unix_nano == now


def test_an_attribute_named_like_an_id_keeps_its_value() -> None:
    span = _read(_span(attributes=[{"key": "traceId", "value": {"stringValue": "not hex"}}]))
    assert span.attributes[0].value.string_value == "not hex"


def test_json_nested_without_end_is_refused() -> None:
    for body in (b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(Malformed):
            decode("traces", body, "json")


@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_gzip_gives_the_body_or_says_it_is_too_large(body: bytes, limit: int) -> None:
    packed = gzip.compress(body)
    if len(body) > limit:
        with pytest.raises(TooLarge):
            gunzip(packed, limit)
    else:
        assert gunzip(packed, limit) == body


def test_gzip_in_several_members_is_one_body() -> None:
    assert gunzip(gzip.compress(b"one ") + gzip.compress(b"two"), 100) == b"one two"


@given(st.binary(min_size=1, max_size=100))
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises((Malformed, TooLarge)):
        gunzip(b"\0" + body, 1000)
