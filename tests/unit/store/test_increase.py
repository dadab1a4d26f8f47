"""What a series grew by: resets, starts, steps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from framescope_ui.store.increase import Increases, by_step, increases, together


def _grown(
    points: list[tuple[int, float]], began: list[int] | int = 0, since: int = 0, cumulative: bool = True
) -> list[tuple[int, float]]:
    starts = [began] * len(points) if isinstance(began, int) else began
    told = increases(
        np.array([at for at, _ in points], np.int64),
        np.array(starts, np.int64),
        np.array([[value] for _, value in points], np.float64).reshape(len(points), 1),
        since,
        cumulative,
    )
    return list(zip(told.times.tolist(), told.values[:, 0].tolist(), strict=True))


def test_a_counter_grows_by_its_differences() -> None:
    assert _grown([(10, 5), (20, 7), (30, 7)], began=1, since=5) == [(20, 2), (30, 0)]


def test_a_series_that_began_in_the_range_counts_from_zero() -> None:
    assert _grown([(10, 5), (20, 7)], began=6, since=5) == [(10, 5), (20, 2)]


def test_an_unknown_start_makes_the_first_value_tell_nothing() -> None:
    assert _grown([(10, 5), (20, 7)], began=0, since=5) == [(20, 2)]


def test_a_fall_is_a_restart() -> None:
    assert _grown([(10, 100), (20, 3), (30, 4)]) == [(20, 3), (30, 1)]


def test_a_later_start_is_a_restart_even_when_the_value_rose() -> None:
    assert _grown([(10, 5), (20, 50)], began=[1, 15], since=5) == [(20, 50)]


def test_points_out_of_order_and_sent_twice_count_once() -> None:
    assert _grown([(30, 9), (10, 5), (20, 7), (20, 7)]) == [(20, 2), (30, 2)]


def test_a_delta_point_is_its_own_increase() -> None:
    assert _grown([(10, 5), (20, 3)], cumulative=False) == [(10, 5), (20, 3)]


def test_nothing_grows_by_nothing() -> None:
    assert _grown([]) == []
    assert _grown([(10, 4)]) == []


def test_a_histogram_restarts_as_a_whole() -> None:
    times = np.array([1, 2, 3], np.int64)
    rows = np.array([[0.5, 3, 1], [0.1, 1, 2], [0.4, 2, 2]])
    told = increases(times, np.zeros(3, np.int64), rows, 0)
    assert told.values.tolist() == [[0.1, 1, 2], [0.30000000000000004, 1, 0]]


@given(
    lives=st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=8), min_size=1, max_size=5),
    gap=st.integers(1, 5),
)
def test_no_restart_loses_or_invents_anything(lives: list[list[int]], gap: int) -> None:
    """Each life counts up from 0 by the increments given; all increments come back, once each."""
    points: list[tuple[int, float]] = []
    began: list[int] = []
    now = 1
    for life in lives:
        now += gap
        start, value = now, 0
        for increment in life:
            now += 1
            value += increment
            points.append((now, value))
            began.append(start)
    grown = _grown(points, began, since=1)
    assert [at for at, _ in grown] == [at for at, _ in points]
    assert [value for _, value in grown] == [float(one) for life in lives for one in life]


@given(
    values=st.lists(st.floats(0, 1e6), min_size=1, max_size=40),
    cut=st.integers(0, 41),
    step=st.integers(1, 50),
)
def test_two_ranges_side_by_side_grow_by_what_the_whole_does(
    values: list[float], cut: int, step: int
) -> None:
    points = [(at + 1, value) for at, value in enumerate(np.cumsum(values).tolist())]
    told = increases(
        np.array([at for at, _ in points], np.int64),
        np.ones(len(points), np.int64),
        np.array([[value] for _, value in points], np.float64).reshape(len(points), 1),
        1,
    )
    whole = by_step(told, 0, 50, step).values.sum()
    parts = by_step(told, 0, cut, step).values.sum() + by_step(told, cut, 50, step).values.sum()
    assert np.isclose(whole, parts) and np.isclose(whole, sum(values))


def test_steps_end_at_their_end_and_empty_ones_are_left_out() -> None:
    told = Increases(np.array([0, 9, 10, 35], np.int64), np.array([[1.0], [2.0], [4.0], [8.0]]))
    steps = by_step(told, 0, 36, 10)
    assert list(zip(steps.times.tolist(), steps.values[:, 0].tolist(), strict=True)) == [
        (10, 3.0),
        (20, 4.0),
        (36, 8.0),
    ]


def test_several_series_add_up_where_they_meet() -> None:
    one = Increases(np.array([10, 20], np.int64), np.array([[1.0], [2.0]]))
    other = Increases(np.array([20, 30], np.int64), np.array([[10.0], [20.0]]))
    both = together([one, other])
    assert both.times.tolist() == [10, 20, 30]
    assert both.values[:, 0].tolist() == [1.0, 12.0, 20.0]
