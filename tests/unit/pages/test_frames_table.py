"""The list of kept frames: on what scale its bars stand."""

from __future__ import annotations

import pytest

from framescope_ui.pages.frames_table import bar_scale


@pytest.mark.parametrize(
    ("totals", "scale", "beyond"),
    [
        ([], 1.0, False),
        ([0.0, 0.0], 1.0, False),
        ([4.0], 4.0, False),
        ([4.0, 9.0, 11.5], 11.5, False),
        ([30_000.0], 30_000.0, False),
        ([5.0, 30_000.0], 5.0, True),
        ([0.0, 30_000.0], 30_000.0, False),
        ([*range(1, 101), 30_000.0], 100.0, True),
        ([10.0] * 95 + [29.0] * 5, 29.0, False),
    ],
)
def test_the_scale_is_that_of_the_longest_unless_it_would_hide_the_others(
    totals: list[float], scale: float, beyond: bool
) -> None:
    assert bar_scale(totals) == (scale, beyond)
