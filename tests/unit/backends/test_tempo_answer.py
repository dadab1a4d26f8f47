"""Tempo's protobuf answers, whole and broken."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from framescope_ui.backends.tempo.search_answer import MESSAGES, Unreadable, found_in, trace_groups
from framescope_ui.backends.tempo.shortcomings import configuration, seconds


def _answer(trace_id: str, matched: int, size: int, *span_ids: str) -> bytes:
    answer = MESSAGES["SearchAnswer"]()
    found = answer.traces.add(trace_id=trace_id)
    found.services.add(key="scanner").value.span_count = size
    group = found.span_sets.add(matched=matched)
    for place, span_id in enumerate(span_ids):
        span = group.spans.add(span_id=span_id, name="frame", start_ns=1000 + place, duration_ns=7)
        span.attributes.add(key="service.name").value.string_value = "scanner"
        span.attributes.add(key="frame.id").value.int_value = place
    return bytes(answer.SerializeToString())


def test_ids_get_their_leading_zeros_back_and_the_resource_its_own_place() -> None:
    (found,) = found_in(_answer("abc", 1, 1, "12"))
    (span,) = found.spans
    assert (found.trace_id, span.span_id) == ("abc".rjust(32, "0"), "12".rjust(16, "0"))
    assert (found.services, found.host) == ({span.span_id: "scanner"}, None)
    assert dict(span.attributes) == {"frame.id": 0}
    assert (span.start_ns, span.end_ns) == (1000, 1007)


def test_a_trace_is_whole_only_where_every_span_matched_and_is_told() -> None:
    assert found_in(_answer("1", 2, 2, "1", "2"))[0].whole
    assert not found_in(_answer("1", 3, 3, "1", "2"))[0].whole
    assert not found_in(_answer("1", 2, 5, "1", "2"))[0].whole


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_answer_are_unreadable_and_nothing_worse(body: bytes) -> None:
    for read in (found_in, trace_groups):
        try:
            read(body)
        except Unreadable as error:
            assert "Tempo" in str(error)


def test_durations_are_read_as_go_writes_them() -> None:
    assert seconds("1h30m0s") == 5400
    assert seconds("15m0s") == 900
    assert seconds("1.5s") == 1.5
    assert seconds("0s") == 0
    assert [seconds(said) for said in ("", "soon", "5", None, True, 3)] == [None] * 6


def test_what_is_no_configuration_is_none() -> None:
    for body in (None, b"", b"\xff", b"404", b"GET /\n---\n- a\n", b"GET /\n---\n{", b"<html>"):
        assert configuration(body) is None
    assert configuration(b"GET /status/config\n---\ntarget: all\n") == {"target": "all"}
