"""The overall state: nothing flaps, nothing short raises it, and every state has its reason."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope_ui.questions.health import (
    Course,
    Damping,
    Level,
    Rule,
    carried_since,
    course,
    health,
    rules_for,
)
from framescope_ui.questions.sources import Absences
from framescope_ui.questions.thresholds import Limits, Thresholds
from framescope_ui.questions.views import Health, Source

ABOVE = Rule("gpu", Limits(0.90, 0.95), "above", "GPU utilization", "1")
BELOW = Rule("fps", Limits(54, 42), "below", "frames out", "1/s")


def went(values: Sequence[float | None], rule: Rule = ABOVE) -> Course:
    return course([rule], [float(i) for i in range(len(values))], {rule.signal: values})


def state(values: Sequence[float | None], rule: Rule = ABOVE) -> Health:
    return health([rule], went(values, rule))


def test_without_any_reading_there_is_no_data() -> None:
    assert state([]).state == "NO DATA"
    assert state([None, None]).state == "NO DATA"


def test_a_short_excess_raises_nothing() -> None:
    assert state([0.5] * 5 + [0.99] * 3).state == "OK"


def test_a_lasting_excess_does_and_says_since_when_it_began() -> None:
    now = state([0.5] * 5 + [0.99] * 4)
    assert now.state == "CRITICAL"
    (reason,) = now.reasons
    assert (reason.signal, reason.value, reason.limit, reason.since) == ("gpu", 0.99, 0.95, 5.0)
    assert "99 %" in now.text


def test_the_mildest_of_a_stretch_is_what_lasted() -> None:
    assert state([0.5] * 5 + [0.99, 0.92, 0.99, 0.99]).state == "WARNING"


def test_lower_is_worse_for_a_rate() -> None:
    assert state([60.0] * 5 + [50.0] * 5, BELOW).state == "WARNING"
    assert state([60.0] * 5 + [10.0] * 5, BELOW).state == "CRITICAL"


def test_recovery_takes_longer_than_the_alarm() -> None:
    raised = [0.5] * 5 + [0.99] * 5
    assert state(raised + [0.5] * 9).state == "CRITICAL"
    assert state(raised + [0.5] * 12).state == "OK"


def test_a_recovering_signal_says_so() -> None:
    assert "back from above 95 %" in state([0.5] * 5 + [0.99] * 5 + [0.5] * 3).text


def test_a_state_older_than_what_was_looked_at_has_no_beginning() -> None:
    now = state([0.99] * 20)
    assert now.reasons[0].since is None
    assert state([0.5] * 20).since is None


def test_a_signal_that_fell_silent_says_nothing_any_more() -> None:
    assert state([0.99] * 5 + [None] * 20).state == "NO DATA"


@given(st.lists(st.floats(0.91, 0.949), min_size=30, max_size=60))
def test_a_value_on_the_edge_does_not_flap(edge: list[float]) -> None:
    # 0.91 to 0.949 is above the warning limit, and above what the margin asks for to leave CRITICAL.
    levels = went([0.99] * 5 + edge).levels
    changes = sum(a != b for a, b in itertools.pairwise(levels))
    assert changes == 1


@given(st.lists(st.floats(0, 0.9), min_size=1, max_size=80))
def test_inside_the_limits_nothing_is_ever_raised(values: list[float]) -> None:
    assert set(went(values).levels) == {Level.OK}


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=80))
def test_the_level_is_never_worse_than_the_worst_reading(values: list[float | None]) -> None:
    worst = max((v for v in values if v is not None), default=0)
    asked = Level.CRITICAL if worst > 0.95 else Level.WARNING if worst > 0.9 else Level.OK
    assert all(level is None or level <= asked for level in went(values).levels)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.integers(0, 40))
def test_once_long_inside_the_limits_all_is_ok_again(before: list[float], more: int) -> None:
    calm = int(Damping().fall_seconds) + 2
    assert state([*before, *[0.1] * (calm + more)]).state == "OK"


def test_limits_are_relative_to_the_target_unless_given() -> None:
    relative = {r.signal: r.limits for r in rules_for(Thresholds(), 60, 0.016)}
    assert relative["fps_out"].warning == pytest.approx(54)
    assert relative["latency_p99"].critical == pytest.approx(0.032)
    given_ = {r.signal: r.limits for r in rules_for(Thresholds(fps=Limits(70, 50)), 60, 0.016)}
    assert given_["fps_out"] == Limits(70, 50)


def test_without_a_target_a_relative_limit_judges_nothing() -> None:
    assert {r.signal for r in rules_for(Thresholds(), None, None)} == {"slow_share", "gpu_utilization"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"fps": (50, 70)},
        {"latency": (0.05, 0.03)},
        {"gpu_utilization": (0.95, 0.9)},
        {"fps": (float("nan"), 1)},
        {"slow_share": (-1, 1)},
    ],
)
def test_limits_the_wrong_way_round_are_refused(wrong: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="limit"):
        Thresholds(**{name: Limits(*pair) for name, pair in wrong.items()})


def test_a_state_that_goes_on_keeps_the_beginning_that_was_known() -> None:
    earlier = state([0.5] * 5 + [0.99] * 5)
    now = carried_since(earlier, state([0.99] * 30))
    assert now.since == earlier.since
    assert now.reasons[0].since == 5.0


def test_another_state_does_not() -> None:
    assert carried_since(state([0.5] * 5 + [0.99] * 5), state([0.5] * 30)).since is None


def test_a_source_is_away_since_it_was_first_seen_so_and_forgotten_when_back() -> None:
    absences = Absences()
    gone, back = Source("store", "away", None, None, "refused"), Source("store", "ok", 1.0, None, "")
    assert [absences.dated([gone], t)[0].since for t in (10.0, 20.0)] == [10.0, 10.0]
    assert absences.dated([back], 30.0)[0].since is None
    assert absences.dated([gone], 40.0)[0].since == 40.0
