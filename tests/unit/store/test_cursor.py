"""Cursors come back as they went, or are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope_ui.backends.cursor import Place, from_cursor, to_cursor

_places = st.builds(
    Place,
    st.sampled_from(["duration", "time"]),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(min_size=16, max_size=16).map(bytes.hex),
)


@given(_places)
def test_a_cursor_names_its_place(place: Place) -> None:
    assert from_cursor(to_cursor(place), place.order) == place


@given(_places)
def test_a_cursor_of_another_order_is_refused(place: Place) -> None:
    other = "time" if place.order == "duration" else "duration"
    with pytest.raises(ValueError, match="another order"):
        from_cursor(to_cursor(place), other)  # type: ignore[arg-type]


@given(st.text())
def test_any_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        from_cursor(text, "time")
