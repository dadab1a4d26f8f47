"""TraceQL that framescope writes means what was asked, whatever the values are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traceql_reader import Comparison, read

from framescope_ui.backends.protocols import FrameQuery
from framescope_ui.backends.tempo import traceql
from framescope_ui.backends.tempo.frame_search import (
    GUILT_ATTRIBUTES,
    ROOT_ATTRIBUTES,
    answerable,
    fields,
    roots,
    stages,
)

hostile = st.one_of(
    st.text(),
    st.text(alphabet='"\\{}()|&=`\n\x00 \u2028é日🙂'),
    st.integers(0, 3000).map(lambda size: "x" * size),
    st.sampled_from(['" || true || "', '"} | select(span.x) {"', "\\", "`", '\\"', "span.x = nil"]),
)


@settings(deadline=None)
@given(hostile, st.lists(hostile, min_size=1, max_size=4), hostile)
def test_a_value_is_never_more_than_a_value(service: str, causes: list[str], pipeline: str) -> None:
    query = FrameQuery(service=service, pipeline=pipeline, causes=tuple(causes))
    meant = read(traceql.query(roots(query)))
    (conditions,) = meant.spansets
    assert conditions == [
        [Comparison("resource.service.name", "=", service)],
        [Comparison("span:name", "=", "frame")],
        [Comparison("span.frame.pipeline", "=", pipeline)],
        [Comparison("span.frame.cause.name", "=", cause) for cause in causes],
    ]


@settings(deadline=None)
@given(hostile, st.sampled_from([(), ("slow",)]))
def test_however_long_a_value_is_nothing_selected_lies_across_a_chunk(
    service: str, outcomes: tuple[str, ...]
) -> None:
    query = FrameQuery(service=service, outcomes=outcomes)
    found = traceql.together(roots(query, 5, 90), stages(service, "denoise"), stages(service))
    selected = fields(ROOT_ATTRIBUTES, GUILT_ATTRIBUTES)
    meant = read(traceql.query(found, selected, most_recent=True))
    assert list(meant.selected) == [field.token for field in selected]
    assert meant.most_recent
    assert len(meant.spansets) == 3


@settings(deadline=None)
@given(st.integers())
def test_durations_are_whole_ns_that_tempo_can_hold(duration_ns: int) -> None:
    ((least,),) = read(traceql.query(traceql.spans([traceql.lasts_at_least(duration_ns)]))).spansets
    assert least[0].value == max(0, min(duration_ns, 2**63 - 1))


@settings(deadline=None)
@given(st.text(min_size=1, max_size=40).filter(traceql.can_be_name))
def test_a_name_is_never_more_than_a_name(name: str) -> None:
    meant = read(traceql.query(traceql.spans([traceql.exists(traceql.span_attribute(name))])))
    assert meant.spansets == [[[Comparison("span." + name, "!=", None)]]]


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 501, "a\x00b"])
def test_names_that_cannot_be_asked_for_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="attribute names"):
        traceql.span_attribute(name)


def test_text_that_is_not_unicode_is_no_value() -> None:
    assert not answerable(FrameQuery(service="a\ud800b"))
    with pytest.raises(ValueError, match="not Unicode"):
        traceql.equals(traceql.SERVICE, "\udfff")
