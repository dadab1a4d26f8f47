"""The last minutes in steps: a step nobody knows about is empty, one that provably had no frame is 0."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from framescope_ui.backends.protocols import Series
from framescope_ui.questions.timeline import Grid, alive, averaged, grid_line, held, rates

NS = 1_000_000_000


def times(*seconds: float) -> np.ndarray:
    return np.array([int(s * NS) for s in seconds], np.int64)


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def even(start: float, end: float, fps: int = 4) -> np.ndarray:
    return times(*(start + i / fps for i in range(round((end - start) * fps))))


def test_a_record_that_has_not_come_tears_the_steps_it_reaches_into_and_no_others() -> None:
    at = np.concatenate([even(0, 3.25), even(4.25, 8)])  # frames 13 to 16 are missing
    numbers = np.concatenate([np.arange(13), np.arange(17, 32)])
    found = rates(Grid(0, NS, 8), at, numbers, [True] * 8)
    assert found == [4.0, 4.0, 4.0, None, None, 4.0, 4.0, 4.0]


def test_frames_that_overtake_each_other_tear_nothing() -> None:
    at = even(0, 4)
    numbers = np.arange(16).reshape(8, 2)[:, ::-1].ravel()
    assert rates(Grid(0, NS, 4), at, numbers, [True] * 4) == [4.0] * 4


def test_a_grid_has_whole_aligned_steps_and_draws_them_at_their_end() -> None:
    grid = Grid.over(int(1.5 * NS), int(5.9 * NS), NS)
    assert (grid.start_ns, grid.size) == (2 * NS, 3)
    assert grid.times == [3.0, 4.0, 5.0]
    assert Grid.over(10, 5, NS).size == 0


def test_frames_are_counted_per_second_whatever_the_step() -> None:
    at = even(0, 4)
    numbers = np.arange(at.size)
    assert rates(Grid(0, NS, 4), at, numbers, [False] * 4) == [4.0] * 4
    assert rates(Grid(0, 2 * NS, 2), at, numbers, [False] * 2) == [4.0] * 2


def test_the_first_second_of_a_pipeline_is_left_out_it_is_not_whole() -> None:
    at = even(1.5, 4)
    assert rates(Grid(0, NS, 4), at, np.arange(at.size), [False] * 4) == [None, None, 4.0, 4.0]


def test_between_neighbouring_frames_nothing_is_missing_so_the_rate_is_zero() -> None:
    at, numbers = times(0, 0.5, 3.0, 3.5), ids(7, 8, 9, 10)
    assert rates(Grid(0, NS, 4), at, numbers, [False] * 4) == [2.0, 0.0, 0.0, 2.0]


def test_where_frames_are_missing_nobody_knows_the_rate() -> None:
    at, numbers = times(0, 0.5, 3.0, 3.5), ids(7, 8, 200, 201)
    assert rates(Grid(0, NS, 4), at, numbers, [False] * 4) == [2.0, None, None, 2.0]


def test_an_emitter_that_lives_but_sends_no_frames_has_stalled() -> None:
    at, numbers = times(0, 0.5), ids(7, 8)
    assert rates(Grid(0, NS, 4), at, numbers, [True, True, True, False]) == [2.0, 0.0, 0.0, None]


def test_before_the_first_frame_there_is_no_rate_even_of_a_living_emitter() -> None:
    at, numbers = times(3.0, 3.5), ids(0, 1)
    assert rates(Grid(0, NS, 4), at, numbers, [True] * 4)[:2] == [None, None]


def test_signs_of_life_reach_as_far_as_their_spacing() -> None:
    grid = Grid(0, NS, 12)
    signs = [Series({}, [0, 2 * NS, 4 * NS], [1.0] * 3)]
    assert alive(grid, signs) == [True] * 7 + [False] * 5
    assert alive(grid, []) == [False] * 12


def test_readings_are_averaged_and_what_is_no_number_is_left_out() -> None:
    series = Series({}, [0, NS // 2, NS, 3 * NS, 9 * NS], [1.0, 3.0, float("nan"), 5.0, 7.0])
    assert averaged(Grid(0, NS, 4), series) == [2.0, None, None, 5.0]


def test_a_slow_series_holds_between_its_readings_but_not_over_a_gap() -> None:
    assert held([1.0, None, 2.0, None, 3.0]) == [1.0, 1.0, 2.0, 2.0, 3.0]
    assert held([*[1.0] * 6, *[None] * 5, 3.0]) == [*[1.0] * 8, None, None, None, 3.0]
    assert held([None, None]) == [None, None]


def test_a_line_leaves_empty_steps_out_and_shows_the_gap() -> None:
    line = grid_line(Grid(0, NS, 8), "fps", "1/s", [1.0, 1.0, 1.0, None, None, None, None, 1.0])
    assert list(line.x) == [1.0, 2.0, 3.0, 5.5, 8.0]
    assert list(line.y) == [1.0, 1.0, 1.0, None, 1.0]


@given(
    st.lists(st.integers(0, 20 * NS), min_size=1, max_size=60),
    st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_whatever_comes_a_rate_is_no_less_than_zero_and_no_frame_counts_twice(
    stamps: list[int], living: list[bool]
) -> None:
    at = np.array(sorted(stamps), np.int64)
    found = rates(Grid(0, NS, 20), at, np.arange(at.size), living)
    known = [rate for rate in found if rate is not None]
    assert len(found) == 20
    assert all(rate >= 0 for rate in known)
    assert sum(known) <= at.size
