"""A name or value is never more than a name or value, whatever is in it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_server import meets, parse

from framescope_ui.backends.prometheus.selectors import (
    Matcher,
    Selection,
    at,
    falls,
    is_text,
    last,
    literally,
    of_service,
    samples,
)

HOSTILE = [
    '"',
    "\\",
    '\\"',
    "a\x00b",
    "\n",
    "}",
    '"} or {',
    "日本語🙂",
    "\u2028",
    "\x7f",
    "",
    "{{x}}",
    ".*",
    "\\x00",
]
text = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
matchers = st.lists(st.builds(Matcher, text, st.just("="), text), max_size=4).map(tuple)
names = st.lists(text, min_size=1, max_size=4).map(tuple)


@given(names, matchers)
def test_a_selector_reads_back_as_what_it_was_made_of(
    of: tuple[str, ...], wanted: tuple[Matcher, ...]
) -> None:
    conditions, rest = parse(Selection(of, wanted).text)
    assert rest == ""
    assert conditions[1:] == [(one.label, one.operator, one.value) for one in wanted]
    assert conditions[0][0] == "__name__"
    for name in of:
        assert meets({"__name__": name}, conditions[:1])


@given(names, text)
def test_a_selector_takes_no_name_but_its_own(of: tuple[str, ...], other: str) -> None:
    conditions, _ = parse(Selection(of).text)
    assert meets({"__name__": other}, conditions) == (other in of)


@given(text, text)
def test_an_expression_of_a_text_matches_only_that_text(wanted: str, other: str) -> None:
    assert re.fullmatch(literally(wanted), wanted)
    assert bool(re.fullmatch(literally(wanted), other)) == (wanted == other)


@given(text)
def test_a_selector_is_one_line_of_printable_text(value: str) -> None:
    # Nothing in it can hide from whoever reads a server's query log.
    assert Selection((value,), (Matcher(value, "=", value),)).text.isprintable()


@given(text, matchers)
def test_a_function_wraps_the_selector_and_nothing_else(name: str, wanted: tuple[Matcher, ...]) -> None:
    of = Selection((name,), wanted)
    assert samples(of, 1500) == f"{of.text}[1500ms]"
    assert last(of, 1500) == f"last_over_time({of.text}[1500ms])"
    assert falls(of, 1500) == f"resets({of.text}[1500ms]) > 0"


@pytest.mark.parametrize(
    ("job", "found"),
    [("scanner", True), ("hospital/scanner", True), ("scanner2", False), ("a scanner", False), ("", False)],
)
def test_a_service_is_found_by_its_job_in_any_namespace(job: str, found: bool) -> None:
    conditions, _ = parse(Selection(("x",), (of_service("scanner"),)).text)
    assert meets({"job": job}, conditions[1:]) is found


def test_a_service_named_like_an_expression_is_a_name_all_the_same() -> None:
    conditions, _ = parse(Selection(("x",), (of_service(".*"),)).text)
    assert meets({"job": ".*"}, conditions[1:])
    assert not meets({"job": "anything"}, conditions[1:])


def test_times_are_exact_to_the_millisecond() -> None:
    assert at(1_795_379_527_007) == "1795379527.007"
    assert at(1500) == "1.500"


def test_half_a_character_is_no_text_a_server_could_hold() -> None:
    assert is_text("日本語🙂")
    assert not is_text("\ud800")
