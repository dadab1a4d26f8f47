"""What the Frame page says to do about a verdict's cause."""

from __future__ import annotations

import pytest

from framescope.judge.advice import ADVICE
from framescope_ui.pages.frame_evidence import advice_on


@pytest.mark.parametrize("cause", ["gc_pause", "gpu_contention", "unknown"])
def test_every_step_is_told_with_what_can_fool_the_cause(cause: str) -> None:
    said = str(advice_on(cause))
    assert all(repr(step)[1:-1] in said for step in ADVICE[cause].steps)
    assert repr(ADVICE[cause].fooled_by)[1:-1] in said


def test_of_a_cause_of_the_users_own_nothing_is_made_up() -> None:
    assert advice_on("array_rebuild") == []
