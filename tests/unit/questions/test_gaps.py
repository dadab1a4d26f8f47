"""A gap in the readings is a gap in the line, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from framescope_ui.questions.gaps import with_gaps


def test_an_even_series_has_no_gap() -> None:
    x = [0.0, 1.0, 2.0, 3.0]
    assert with_gaps(x, x) == (x, x)


def test_readings_further_apart_than_three_spacings_have_none_between_them() -> None:
    x, y = with_gaps([0.0, 1.0, 2.0, 5.1, 6.0], [1.0] * 5)
    assert y == [1.0, 1.0, 1.0, None, 1.0, 1.0]
    assert 2.0 < x[3] < 5.1


def test_exactly_three_spacings_are_not_a_gap() -> None:
    assert None not in with_gaps([0.0, 1.0, 2.0, 5.0], [1.0] * 4)[1]


@given(st.lists(st.floats(0, 1e6), min_size=0, max_size=50, unique=True), st.floats(0.1, 100))
def test_no_reading_is_lost_or_moved(times: list[float], spacing: float) -> None:
    x = sorted(times)
    gapped_x, gapped_y = with_gaps(x, x, spacing)
    assert [t for t, v in zip(gapped_x, gapped_y, strict=True) if v is not None] == x
    assert gapped_x == sorted(gapped_x)
