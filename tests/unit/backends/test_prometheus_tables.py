"""Classic and native histograms as tables of counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope import signals
from framescope_ui.backends.prometheus.answers import Answer, Malformed, Samples, answer, together
from framescope_ui.backends.prometheus.tables import Table, counters, histograms

NAN = float("nan")


def series(points: Mapping[int, float], **labels: str) -> Samples:
    return Samples(labels, np.array(list(points), np.int64), np.array(list(points.values()), np.float64))


def classic(le: str, points: Mapping[int, float], **labels: str) -> Samples:
    return series(points, __name__="x_bucket", le=le, **labels)


def native(points: Mapping[int, Sequence[tuple[str, str, float]]], **labels: str) -> Samples:
    rows = [
        [
            at / 1000,
            {"count": str(sum(b[2] for b in buckets)), "sum": "1", "buckets": [[0, *b] for b in buckets]},
        ]
        for at, buckets in points.items()
    ]
    said = {"resultType": "matrix", "result": [{"metric": labels, "histograms": rows}]}
    (found,) = answer({"status": "success", "data": said}).series
    return found


def read(*of: Samples) -> list[Table]:
    return histograms(of, lambda labels: {k: v for k, v in labels.items() if k != "instance"})


def rows(table: Table) -> list[list[float]]:
    return [list(row) for row in table.values.tolist()]


def test_a_counter_is_a_table_of_one_column() -> None:
    (table,) = counters([series({1: 5, 2: 7})])
    assert rows(table) == [[5], [7]]


def test_cumulative_buckets_become_counts_between_bounds_after_the_sum() -> None:
    (table,) = read(
        classic("0.1", {1: 2, 2: 4}),
        classic("+Inf", {1: 5, 2: 9}),
        classic("0.5", {1: 3, 2: 8}),
        series({1: 1.5, 2: 2.5}, __name__="x_sum"),
    )
    assert table.bounds == (0.1, 0.5)
    assert rows(table) == [[1.5, 2, 1, 2], [2.5, 4, 4, 1]]


def test_a_bound_written_in_two_ways_is_one_bound() -> None:
    (table,) = read(classic("1", {1: 2}), classic("1.0", {2: 4}), classic("+Inf", {1: 2, 2: 4}))
    assert table.bounds == (1.0,)
    assert [row[1:] for row in rows(table)] == [[2, 0], [4, 0]]


def test_a_histogram_without_a_sum_has_none() -> None:
    (table,) = read(classic("1", {1: 2}), classic("+Inf", {1: 3}))
    assert np.isnan(table.values[0, 0])


def test_bounds_that_were_changed_make_two_histograms() -> None:
    first, second = read(classic("0.1", {1: 2}), classic("0.2", {2: 4}), classic("+Inf", {1: 3, 2: 5}))
    assert sorted([first.bounds, second.bounds]) == [(0.1,), (0.2,)]


def test_a_point_whose_last_bucket_is_missing_is_left_out() -> None:
    (table,) = read(classic("0.1", {1: 2, 2: 4}), classic("+Inf", {1: 3}))
    assert table.times_ms.tolist() == [1]
    assert read(classic("0.1", {1: 2})) == []


def test_two_emitters_stay_two_tables() -> None:
    found = read(
        classic("+Inf", {1: 3}, instance="a"),
        classic("+Inf", {1: 3}, instance="b"),
    )
    assert sorted(table.labels["instance"] for table in found) == ["a", "b"]


def test_populated_buckets_of_our_own_histogram_come_on_the_whole_grid() -> None:
    # As Prometheus 3.16 writes them with convert_histograms_to_nhcb.
    (table,) = read(native({1: [], 2: [("0.003174802", "0.004", 5)], 3: [("2.048", "+Inf", 1)]}))
    assert table.bounds == signals.HISTOGRAM_BOUNDS
    counts = table.values[:, 1:]
    assert counts.sum(axis=1).tolist() == [0, 5, 1]
    assert counts[1, signals.HISTOGRAM_BOUNDS.index(0.004)] == 5
    assert counts[2, -1] == 1


@given(st.integers(0, len(signals.HISTOGRAM_BOUNDS)), st.sampled_from(["HISTOGRAM", "BUDGET_USAGE"]))
def test_each_bucket_of_our_own_grids_goes_to_its_place(place: int, which: str) -> None:
    bounds = getattr(signals, f"{which}_BOUNDS")
    place = min(place, len(bounds))
    low = "-Inf" if place == 0 else repr(bounds[place - 1])
    high = "+Inf" if place == len(bounds) else repr(bounds[place])
    other = (repr(bounds[3]), repr(bounds[4]), 1)
    (table,) = read(native({1: [(low, high, 7)], 2: [other]}))
    assert table.bounds == bounds
    assert table.values[0, 1 + place] == 7


def test_exponential_buckets_keep_their_bounds_and_a_coarser_sample_takes_finer_ones_away() -> None:
    fine = [("1", "1.25", 1.0), ("1.25", "1.5", 2.0), ("1.5", "2", 3.0)]
    (table,) = read(native({1: fine, 2: [("1", "1.5", 4.0), ("1.5", "2", 5.0)]}))
    assert table.bounds == (1, 1.5, 2)
    assert [row[1:] for row in rows(table)] == [[0, 3, 3, 0], [0, 4, 5, 0]]


def test_emitters_to_be_added_come_on_one_grid() -> None:
    found = read(native({1: [("1", "2", 1.0)]}, instance="a"), native({1: [("2", "4", 1.0)]}, instance="b"))
    assert {table.bounds for table in found} == {(1, 2, 4)}


def test_answers_about_one_series_are_one_series_with_each_time_once() -> None:
    first, second = series({1: 1, 3: 3}, a="x"), series({2: 2, 3: 3}, a="x")
    (found,) = together([Answer((first,)), Answer((second,), "late")]).series
    assert found.times_ms.tolist() == [1, 2, 3]
    assert found.values.tolist() == [1, 2, 3]


def test_what_a_server_says_is_missing_is_kept() -> None:
    body: dict[str, Any] = {"status": "success", "data": {"resultType": "matrix", "result": []}}
    assert answer(body).incomplete == ""
    assert answer({**body, "isPartial": False}).incomplete == ""
    assert answer({**body, "isPartial": True}).incomplete == "part of the storage did not answer"
    assert answer({**body, "warnings": ["store-2: no connection"]}).incomplete == "store-2: no connection"
    # A remark on the query is none on the data.
    assert answer({**body, "warnings": ["PromQL warning: mixed floats"]}).incomplete == ""


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["status", "data", "result", "resultType", "metric", "values", "value", "histograms"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_like, json_like)
def test_what_is_no_answer_is_said_to_be_none(body: Any, result: Any) -> None:
    for said in (
        body,
        {"status": "success", "data": {"resultType": "matrix", "result": result}},
        {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": result}]}},
        {
            "status": "success",
            "data": {"resultType": "matrix", "result": [{"metric": {}, "histograms": [result]}]},
        },
    ):
        with suppress(Malformed):
            assert isinstance(answer(said), Answer)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e300"])
def test_numbers_that_are_none_come_as_they_are(value: str) -> None:
    said = {"resultType": "matrix", "result": [{"metric": {}, "values": [[1.5, value]]}]}
    (found,) = answer({"status": "success", "data": said}).series
    assert found.times_ms.tolist() == [1500]
    assert str(found.values[0]) == str(float(value))
