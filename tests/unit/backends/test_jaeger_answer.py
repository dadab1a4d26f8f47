"""Jaeger's answers, read: OTLP JSON as its memory and its disk storages write it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope_ui.backends.jaeger.answer import names_in, traces_in, version_in

TRACE = "5b8efff798038103d269b633813fc60c"


def _span(span_id: str, name: str = "frame", **more: Any) -> dict[str, Any]:
    return {"traceId": TRACE, "spanId": span_id, "name": name, "startTimeUnixNano": "5", **more}


def _answer(*spans: dict[str, Any], service: str = "scanner") -> dict[str, Any]:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return {"result": {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}}


def _attribute(value: dict[str, Any]) -> Any:
    (trace,) = traces_in(_answer(_span("a" * 16, attributes=[{"key": "x", "value": value}])))
    return trace.spans[0].attributes.get("x")


@pytest.mark.parametrize(
    ("wire", "meant"),
    [
        ({"stringValue": "7"}, "7"),
        ({"intValue": "7"}, 7),
        ({"intValue": 7}, 7),
        ({"doubleValue": 7}, 7.0),
        ({"boolValue": True}, True),
        ({"boolValue": False}, False),
        ({"arrayValue": {"values": [{"intValue": "1"}, {"intValue": "2"}]}}, [1, 2]),
        ({"arrayValue": {}}, []),
        ({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}]}}, '[1, "b"]'),
        ({"bytesValue": "AP8="}, "00ff"),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": "1"}}]}}, '{"a": 1}'),
        ({}, None),
    ],
)
def test_a_value_keeps_its_kind(wire: dict[str, Any], meant: Any) -> None:
    found = _attribute(wire)
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("[0,10000]", [0, 10000]),
        ('["B","M"]', ["B", "M"]),
        ("[true,false]", [True, False]),
        ("[0.5,2]", [0.5, 2.0]),
        ("[]", []),
        ('[1,"a"]', '[1,"a"]'),
        ("[true,1]", "[true,1]"),
        ("[[1]]", "[[1]]"),
        ("[null]", "[null]"),
        ("[ERROR]", "[ERROR]"),
        ("[" * 100_000 + "]", "[" * 100_000 + "]"),
    ],
)
def test_a_list_that_a_storage_kept_as_text_is_a_list_again(told: str, meant: Any) -> None:
    assert _attribute({"stringValue": told}) == meant


def test_a_trace_in_several_groups_is_one_with_its_root_first_and_each_span_once() -> None:
    child = _span("c" * 16, "denoise", parentSpanId="a" * 16, startTimeUnixNano="7")
    early = _span("b" * 16, "capture", parentSpanId="a" * 16, startTimeUnixNano="6")
    groups = [
        group
        for answer in (_answer(child, service="worker"), _answer(_span("A" * 16)), _answer(early, child))
        for group in answer["result"]["resourceSpans"]
    ]
    (trace,) = traces_in({"result": {"resourceSpans": groups}})
    assert [span.name for span in trace.spans] == ["frame", "capture", "denoise"]
    assert trace.spans[0].parent_span_id is None
    assert trace.resource["service.name"] == "scanner"


def test_a_root_comes_first_even_where_clocks_disagree() -> None:
    root = _span("a" * 16, "GET /scan", startTimeUnixNano="9")
    child = _span("b" * 16, "SELECT", parentSpanId="a" * 16, startTimeUnixNano="7")
    orphan = _span("c" * 16, "frame", parentSpanId="f" * 16, startTimeUnixNano="8")
    (trace,) = traces_in(_answer(child, root))
    assert [span.name for span in trace.spans] == ["GET /scan", "SELECT"]
    (trace,) = traces_in(_answer(child, root, orphan))
    assert [span.name for span in trace.spans] == ["frame", "GET /scan", "SELECT"]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        "traces",
        {"result": []},
        {"result": {"resourceSpans": {}}},
        {"result": {"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}},
        _answer(_span("a" * 16, startTimeUnixNano="soon")),
        _answer(_span("a" * 16, startTimeUnixNano=float("inf"))),
        _answer(_span("a" * 16, attributes=[{"key": 1, "value": {}}])),
        _answer(_span("a" * 16, attributes=[{"key": "x", "value": {"intValue": None}}])),
    ],
)
def test_what_is_no_otlp_json_is_said_to_be_none(answer: object) -> None:
    with pytest.raises(ValueError, match="not OTLP JSON"):
        traces_in(answer)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_no_attribute_of_any_shape_is_more_than_a_value_error(value: Any) -> None:
    for wire in (value, {"stringValue": value}, {"arrayValue": {"values": [value]}}, {"bytesValue": value}):
        with suppress(ValueError):
            _attribute(wire)


def test_names_are_listed_as_texts_or_under_a_name() -> None:
    assert names_in({"services": ["b", "a", ""]}, "services") == ["b", "a"]
    assert names_in({"operations": [{"name": "frame", "spanKind": "internal"}]}, "operations") == ["frame"]
    assert names_in({}, "services") == []
    for wrong in ([], {"services": "a"}, None):
        with pytest.raises(ValueError, match="services"):
            names_in(wrong, "services")


def test_the_version_is_the_one_the_start_page_tells() -> None:
    page = 'x JAEGER_VERSION = {"gitCommit":"1","gitVersion":"v2.20.0","buildDate":""}; y'
    assert version_in(page.encode()) == "2.20.0"
    for other in ('JAEGER_VERSION = {"gitVersion":"dev"}', "JAEGER_VERSION = {nothing}", "", "\xff"):
        assert version_in(other.encode("latin-1")) is None
