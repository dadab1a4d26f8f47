"""Ranges in an address: what is too long to be meant is as if it were not there, and points are bounded."""

from __future__ import annotations

import pytest

from framescope_ui.pages.viewer import LONGEST_SECONDS, viewer_of
from framescope_ui.questions.feed import MOST_STEPS, step_of


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [(100, 200, True), (1, 32_503_679_999, False), (200, 100, False), (100, 100, False)],
)
def test_a_range_is_taken_where_it_makes_sense(start: float, end: float, kept: bool) -> None:
    viewer = viewer_of("/", f"?start={start}&end={end}&than={start}-{end}", None)
    assert (viewer.start is not None, viewer.than is not None) == (kept, kept)


def test_a_year_is_the_longest() -> None:
    longest = viewer_of("/", f"?start=100&end={100 + LONGEST_SECONDS}", None)
    assert longest.window_seconds == LONGEST_SECONDS
    assert viewer_of("/", f"?start=100&end={101 + LONGEST_SECONDS}", None).start is None


@pytest.mark.parametrize("interval", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("window", [60.0, 3600.0, 86_400.0, LONGEST_SECONDS])
def test_a_chart_has_no_more_steps_than_can_be_drawn_however_long_its_range(
    interval: float, window: float
) -> None:
    step = step_of(interval, window)
    assert window / step <= MOST_STEPS
    assert step >= interval
