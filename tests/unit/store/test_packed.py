"""Packed messages come out byte by byte as they went in, whatever they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from framescope_ui.store.packed import Packed, Row, Rows, pack

START = 1_795_000_000 * 10**9
TRACE = bytes(range(16))


def number(eight: bytes) -> int:
    return int.from_bytes(eight, "little", signed=True)


def packed(rows: Sequence[Sequence[bytes]], told: Sequence[Row]) -> tuple[bytes, Any]:
    owners = np.array([row for row, messages in enumerate(rows) for _ in messages], np.int64)
    ids = np.frombuffer(b"".join(row.trace_id for row in told), "<i8").reshape(-1, 2)
    starts = np.array([row.start_ns for row in told], np.int64)
    roots = np.array([row.root_id for row in told], np.int64)
    return pack([one for messages in rows for one in messages], owners, Rows(ids, starts, roots))


def unpacked(body: bytes, told: Sequence[Row]) -> list[list[bytes]]:
    opened = Packed(body)
    return [opened.messages(slot, row)[0] for slot, row in enumerate(told)]


def same(rows: Sequence[Sequence[bytes]], told: Sequence[Row]) -> bytes:
    body, _ = packed(rows, told)
    assert unpacked(body, told) == [list(messages) for messages in rows]
    return body


def value(of: Any) -> AnyValue:
    if isinstance(of, bool):
        return AnyValue(bool_value=of)
    if isinstance(of, int):
        return AnyValue(int_value=of)
    if isinstance(of, float):
        return AnyValue(double_value=of)
    if isinstance(of, bytes):
        return AnyValue(bytes_value=of)
    if isinstance(of, list):
        return AnyValue(array_value=ArrayValue(values=map(value, of)))
    return AnyValue(string_value=of)


def span(parent: bytes = b"", own: bytes = b"\x01" * 8, start: int = START, **told: Any) -> Span:
    return Span(
        trace_id=TRACE,
        span_id=own,
        parent_span_id=parent,
        name="decode",
        start_time_unix_nano=start,
        end_time_unix_nano=start + 1_000,
        attributes=[KeyValue(key=key, value=value(one)) for key, one in told.items()],
    )


ids = st.binary(min_size=8, max_size=8)
few_ids = st.sampled_from([bytes([n]) * 8 for n in range(4)])
scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 300)
    | st.floats(width=64)
    | st.integers(0, 10**8).map(lambda ns: ns / 1e9)
    | st.text(max_size=6)
    | st.binary(max_size=6)
)
attributes = st.dictionaries(
    st.sampled_from(["a", "frame.cpu.time", "frame.lost.io", "ü", "", "k" * 130]), scalars | st.lists(scalars)
)
spans = st.builds(
    Span,
    trace_id=st.just(TRACE) | st.binary(max_size=17),
    span_id=few_ids | ids | st.binary(max_size=9),
    parent_span_id=few_ids | st.binary(max_size=9),
    trace_state=st.sampled_from(["", "a=b"]),
    flags=st.sampled_from([0, 256, 2**32 - 1]),
    name=st.sampled_from(["decode", "frame", "", "x" * 300]),
    kind=st.sampled_from(list(Span.SpanKind.values())),
    start_time_unix_nano=st.integers(START, START + 10**9) | st.integers(0, 2**64 - 1),
    end_time_unix_nano=st.integers(START, START + 10**9) | st.integers(0, 2**64 - 1),
    attributes=attributes.map(lambda told: [KeyValue(key=k, value=value(v)) for k, v in told.items()]),
    events=st.lists(st.builds(Span.Event, name=st.text(max_size=3)), max_size=2),
    dropped_attributes_count=st.sampled_from([0, 1, 1_000]),
    status=st.builds(Status, code=st.sampled_from([0, 1, 2]), message=st.sampled_from(["", "why"])),
).map(lambda one: one.SerializeToString())
damaged = st.builds(
    lambda body, at, byte: body[:at] + byte + body[at:], spans, st.integers(0, 60), st.binary()
)
cut_short = st.builds(lambda body, rest: body + rest, spans, st.sampled_from([b"\xff" * 3, b"\x4a\x09"]))
messages = st.lists(spans | damaged | cut_short | st.binary(max_size=60), max_size=8)
told_rows = st.builds(
    Row,
    trace_id=st.just(TRACE) | st.binary(min_size=16, max_size=16),
    start_ns=st.just(START) | st.integers(-(2**63), 2**63 - 1),
    root_id=st.integers(0, 3).map(lambda n: number(bytes([n]) * 8)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(messages, told_rows), max_size=12))
def test_whatever_goes_in_comes_out(rows: list[tuple[list[bytes], Row]]) -> None:
    same([messages for messages, _ in rows], [told for _, told in rows])


@settings(max_examples=50, deadline=None)
@given(messages, st.integers(1, 30))
def test_also_where_much_of_it_is_alike(messages: list[bytes], times: int) -> None:
    rows = [messages] * times + [messages[::-1]] * times
    same(rows, [Row(TRACE, START + n) for n in range(len(rows))])


def test_fields_that_nobody_knows_yet_are_kept() -> None:
    later = span(a=0.5).SerializeToString()
    unknown = later + b"\xc2\x3e\x03abc" + b"\xc8\x3e\x01" + b"\xd1\x3e12345678" + b"\xd5\x3e1234"
    same([[unknown, later], [later, unknown], [unknown]], [Row(TRACE, START)] * 3)


def test_what_was_not_written_the_shortest_way_is_kept_as_it_was() -> None:
    long_length = b"\x2a\x86\x00decode"
    twice = span().SerializeToString() * 2
    same([[long_length, twice], [twice, long_length]], [Row(TRACE, START)] * 2)


def test_doubles_keep_every_bit() -> None:
    odd = [-0.0, 0.0, float("nan"), float("inf"), 5e-324, 1e300, 0.1 + 0.2, 1 / 3, -1.5]
    for one in odd:
        rows = [[span(a=one).SerializeToString(), span(a=0.25).SerializeToString()] for _ in range(3)]
        same(rows, [Row(TRACE, START)] * 3)


def test_the_root_is_told_by_the_row_and_a_nested_parent_by_its_place() -> None:
    random_ = random.Random(1)
    rows, told = [], []
    for _ in range(500):
        root, stage, gpu = (random_.randbytes(8) for _ in range(3))
        rows.append([span(root, stage).SerializeToString(), span(stage, gpu).SerializeToString()])
        told.append(Row(TRACE, START, number(root)))
    # Two ids a row are all there is to tell.
    assert len(same(rows, told)) < 500 * 2 * 8.3


def test_the_first_messages_ids_are_told() -> None:
    rows = [[span(own=b"12345678").SerializeToString()], [b"no span"], []]
    told = [Row(TRACE, START)] * 3
    body, ids = packed(rows, told)
    assert ids.tolist() == [number(b"12345678"), 0]
    assert [Packed(body).messages(slot, told[slot])[1] for slot in range(3)] == [number(b"12345678"), 0, 0]


def test_seconds_in_whole_nanoseconds_take_what_their_digits_do() -> None:
    random_ = random.Random(2)
    rows = [[span(own=b"1" * 8, a=random_.randrange(2**16) / 1e9).SerializeToString()] for _ in range(2_000)]
    assert len(same(rows, [Row(TRACE, START)] * 2_000)) < 2_000 * 2.2


def test_a_row_has_no_others_messages_even_where_all_are_of_one_shape() -> None:
    rows = [[span(a=row * 100 + n).SerializeToString() for n in range(row % 4)] for row in range(40)]
    told = [Row(TRACE, START)] * 40
    opened = Packed(packed(rows, told)[0])
    for slot in (39, 0, 7, 8):
        assert opened.messages(slot, told[slot])[0] == rows[slot]


@pytest.mark.parametrize("rows", [[], [[]], [[], [b""], []]])
def test_nothing_is_nothing(rows: list[list[bytes]]) -> None:
    same(rows, [Row(TRACE, START)] * len(rows))
