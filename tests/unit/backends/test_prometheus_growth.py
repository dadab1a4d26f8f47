"""What a series grew by, and which stretches of time have to be read for that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope_ui.backends.prometheus.growth import began_near_zero, grown, growth
from framescope_ui.backends.prometheus.tables import Table
from framescope_ui.backends.prometheus.windows import (
    NS_PER_MS,
    POINTS_AT_ONCE,
    THIN_MS,
    WINDOW_MS,
    Grid,
    Stretch,
    first_ms,
    thinned,
    whole,
    windows,
)

SECOND = 1_000_000_000


def counter(*values: float, **labels: str) -> Table:
    """A value a second, from second 1 on."""
    times = np.arange(1, len(values) + 1, dtype=np.int64) * 1000
    return Table(labels, (), times, np.array(values, np.float64)[:, None])


def told(table: Table, guess_first: bool = False) -> list[tuple[int, float]]:
    found = growth(table, guess_first)
    return [(at // SECOND, value) for at, value in zip(found.times.tolist(), found.values[:, 0], strict=True)]


def test_a_first_value_only_tells_where_a_series_stands() -> None:
    assert told(counter(1000, 1060, 1120)) == [(2, 60), (3, 60)]


def test_after_a_zero_the_first_value_is_growth_and_the_zero_is_no_point() -> None:
    assert told(counter(0, 60, 120)) == [(2, 60), (3, 60)]


def test_a_fall_is_a_restart() -> None:
    assert told(counter(100, 160, 60, 120)) == [(2, 60), (3, 60), (4, 60)]


def test_a_zero_after_a_restart_is_no_point_either() -> None:
    assert told(counter(100, 160, 0, 60)) == [(2, 60), (4, 60)]


def test_a_counter_that_stays_at_zero_has_points() -> None:
    assert told(counter(0, 0, 0)) == [(2, 0), (3, 0)]


def test_victoria_metrics_counts_a_small_first_value_from_zero_and_no_large_one() -> None:
    assert told(counter(60, 120), guess_first=True) == [(1, 60), (2, 60)]
    assert told(counter(1000, 1060), guess_first=True) == [(2, 60)]
    assert told(counter(9), guess_first=True) == [(1, 9)]
    assert told(counter(10), guess_first=True) == []
    assert began_near_zero(np.array([609.0, 669.0]))
    assert not began_near_zero(np.array([610.0, 670.0]))


def test_a_series_without_points_grew_by_nothing() -> None:
    assert told(counter(), guess_first=True) == []


def test_emitters_are_added_after_differencing() -> None:
    parts = [counter(0, 5, 9, 12, instance="a"), counter(700, 701, 3, instance="b")]
    ((attributes, _, steps),) = grown(parts, lambda labels: {}, 0, 10 * SECOND, 10 * SECOND)
    assert attributes == {}
    assert steps.values.tolist() == [[12 + 1 + 3]]


def test_a_step_without_a_point_has_none() -> None:
    table = Table({}, (), np.array([0, 1000, 9000], np.int64), np.array([[0.0], [5.0], [9.0]]))
    ((_, _, steps),) = grown([table], lambda labels: {}, 0, 10 * SECOND, 2 * SECOND)
    assert [
        (at // SECOND, row) for at, row in zip(steps.times.tolist(), steps.values.tolist(), strict=True)
    ] == [
        (2, [5]),
        (10, [4]),
    ]


# --- windows ----------------------------------------------------------------------------------------

ranges = st.tuples(
    st.integers(10**15, 2 * 10**18), st.integers(1, 30 * 24 * 3600 * SECOND), st.integers(1, 3600 * 1000)
)


@given(st.integers(0, 2 * 10**18), st.integers(0, 10**12), st.integers(0, 2 * 10**12))
def test_a_range_in_ms_holds_just_the_ms_inside_it(start_ns: int, length_ns: int, at_ms: int) -> None:
    asked = whole(start_ns, start_ns + length_ns)
    inside = start_ns <= at_ms * NS_PER_MS < start_ns + length_ns
    assert (asked.start_ms <= at_ms < asked.end_ms) == inside


@given(ranges)
def test_a_thinned_range_has_a_value_at_the_end_of_every_step_it_covers(asked: tuple[int, int, int]) -> None:
    start_ns, length_ns, step_ms = asked
    grid = thinned(start_ns, start_ns + length_ns, step_ms * NS_PER_MS)
    if grid is None:
        return
    assert grid.start_ms == first_ms(start_ns)
    assert step_ms % grid.step_ms == 0
    assert grid.step_ms >= THIN_MS[0]
    assert grid.end_ms < first_ms(start_ns + length_ns)
    parts = list(grid.parts())
    assert sum(part.count for part in parts) == grid.count
    assert all(part.count <= POINTS_AT_ONCE for part in parts)
    assert [part.start_ms for part in parts[1:]] == [part.end_ms for part in parts[:-1]]


def test_short_ranges_short_steps_and_odd_steps_are_read_whole() -> None:
    assert thinned(0, 300 * SECOND, 10 * SECOND) is None
    assert thinned(0, 3600 * SECOND, SECOND) is None
    assert thinned(0, 3600 * SECOND, 10 * SECOND + 1) is None


def test_a_long_step_is_read_in_even_parts_of_a_minute_at_most() -> None:
    assert thinned(0, 7200 * SECOND, 3600 * SECOND) == Grid(0, 60_000, 119)
    assert thinned(0, 7200 * SECOND, 12 * SECOND) == Grid(0, 12_000, 595)
    # A prime number of milliseconds has no parts.
    assert thinned(0, 7200 * SECOND, 100_003 * NS_PER_MS) == Grid(0, 100_003, 71)


def test_neighbours_on_a_grid_are_one_stretch() -> None:
    grid = Grid(5, 10, 20)
    assert grid.stretches([3, 1, 2, 7]) == [Stretch(15, 45), Stretch(75, 85)]
    assert [grid.place(at) for at in (5, 14, 15)] == [0, 0, 1]


@pytest.mark.parametrize("length", [0, 1, WINDOW_MS, WINDOW_MS + 1, 5 * WINDOW_MS])
def test_windows_make_up_their_stretch(length: int) -> None:
    parts = list(windows(Stretch(7, 7 + length)))
    assert sum(part.length_ms for part in parts) == length
    assert all(part.length_ms <= WINDOW_MS for part in parts)
