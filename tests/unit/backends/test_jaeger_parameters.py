"""A search becomes parameters: whatever a user wrote stays a value, and no less is asked for than meant."""

from __future__ import annotations

import json
import string
from datetime import datetime
from urllib.parse import parse_qsl

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from framescope_ui.backends.jaeger.parameters import Search, may_match, parameters

NAMES = {
    "query.service_name",
    "query.operation_name",
    "query.start_time_min",
    "query.start_time_max",
    "query.search_depth",
    "query.raw_traces",
    "query.attributes",
    "query.duration_min",
    "query.duration_max",
}
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text(string.punctuation + "\x00\n\r &=%#+")
times = st.integers(-(2**70), 2**70)
attributes = st.dictionaries(texts, texts, max_size=4)


def _search(**changes: object) -> Search:
    given: dict[str, object] = {
        "service": "scanner",
        "operation": "frame",
        "start_ns": 1_000_000_000,
        "end_ns": 2_000_000_000,
        "depth": 100,
    }
    return Search(**(given | changes))  # type: ignore[arg-type]


@given(texts, texts, attributes)
@example("a&query.search_depth=9", "x", {"frame.pipeline": '"}&query.service_name=b#'})
def test_a_hostile_text_is_only_ever_a_value(service: str, operation: str, told: dict[str, str]) -> None:
    asked = parameters(_search(service=service, operation=operation, attributes=told))
    on_the_wire = str(
        httpx.Request("GET", "http://jaeger/api/v3/traces", params=httpx.QueryParams(asked)).url
    )
    query = on_the_wire.partition("?")[2]
    assert query.isascii() and "#" not in on_the_wire
    read = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    assert {name for name, _ in read} <= NAMES
    assert len({name for name, _ in read}) == len(read)
    said = dict(read)
    assert (said["query.service_name"], said["query.operation_name"]) == (service, operation)
    assert said["query.search_depth"] == "100"
    assert json.loads(said.get("query.attributes", "{}")) == told


@given(times, times)
def test_the_range_asked_for_holds_the_range_meant(one: int, other: int) -> None:
    start, end = min(one, other), max(one, other)
    said = dict(parameters(_search(start_ns=start, end_ns=end)))
    first, last = (
        datetime.fromisoformat(said[name]) for name in ("query.start_time_min", "query.start_time_max")
    )
    assert first < last  # equal times are an error
    representable = range(2**63 - 1000)
    if start in representable and end in representable and start < end:
        assert _ns(first) <= start
        assert end - 1 <= _ns(last)


@given(st.integers(0, 2**40), st.none() | st.integers(1, 2**40))
def test_the_lengths_asked_for_hold_the_lengths_meant(least: int, width: int | None) -> None:
    below = None if width is None else least + width
    said = dict(parameters(_search(least_ns=least, below_ns=below)))
    assert int(said.get("query.duration_min", "0us").removesuffix("us")) * 1000 <= least
    if below is None:
        assert "query.duration_max" not in said
    else:
        most = int(said["query.duration_max"].removesuffix("us"))
        assert most > 0  # 0 means no limit
        assert most * 1000 >= below - 1


def test_spans_are_asked_for_at_the_times_they_were_measured() -> None:
    assert dict(parameters(_search()))["query.raw_traces"] == "true"


def test_what_no_storage_holds_is_known_before_asking() -> None:
    assert may_match("日本語🙂") and may_match("a\x00b") and may_match("\\")
    assert not may_match("")
    assert not may_match("\ud800")


def _ns(at: datetime) -> int:
    whole = at.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000_000 + at.microsecond * 1000
