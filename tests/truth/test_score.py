"""The figures of the truth suite, on frames whose figures can be reckoned by hand."""

from dataclasses import replace

from calibrate import isotonic
from hypothesis import given
from hypothesis import strategies as st
from score import (
    Bar,
    Row,
    auroc,
    both_found,
    calibration_error,
    claims,
    confusion,
    f1,
    matched,
    of_two,
    own_errors,
    reliability,
    report,
    share_errors,
    unknown_parts,
    wrong_for_want,
    wrong_instead,
)

from framescope import signals
from framescope.judge.confidence import calibrated


def row(cause, named, injected=10.0, confidence=0.8, lost=10.0, sure=None, shape="one_thread", **shares):
    causes = () if cause is None else tuple(cause.split("+"))
    return Row(
        shape=shape,
        kinds=causes,
        causes=causes,
        injected=injected,
        sure=sure,
        named=named,
        confidence=confidence,
        lost=lost,
        shares=shares,
    )


def test_f1_counts_what_was_missed_and_what_was_named_in_vain():
    rows = [row("cpu_work", "cpu_work")] * 3 + [row("cpu_work", "io_wait")] + [row("io_wait", "io_wait")] * 2
    table = confusion(rows)
    assert table == {"cpu_work": {"cpu_work": 3, "io_wait": 1}, "io_wait": {"io_wait": 2}}
    assert f1(table) == {"cpu_work": 6 / 7, "io_wait": 4 / 5}


def test_a_share_is_compared_with_what_the_replay_says_the_fault_took():
    rows = [
        row("io_wait", "io_wait", 10.0, io_wait=9.0),
        row("io_wait", "unknown", 8.0),
        row("io_wait", "x", 1.0),
    ]
    assert share_errors(rows) == [0.1, 1.0]  # and nothing of the one that took less than 2 ms


def test_the_truth_is_as_exact_as_two_runs_of_the_same_frames_are_alike():
    rows = [row("cpu_work", "cpu_work", injected=10.0), row("cpu_work", "cpu_work", injected=1.0)]
    assert own_errors(rows, {"one_thread": [1.0, -1.0, 1.0]}) == [0.1] * 50
    assert own_errors(rows, {}) == []


def test_of_two_faults_both_must_have_a_share_worth_telling():
    both = row("io_wait+cpu_work", "io_wait", sure=6.0, io_wait=7.0, cpu_work=2.0)
    one = row("io_wait+cpu_work", "io_wait", sure=6.0, io_wait=9.0, cpu_work=1.0)
    little = row("io_wait+cpu_work", "io_wait", sure=9.0, io_wait=9.0, cpu_work=1.0)
    assert both_found([both, one, row("io_wait", "io_wait")]) == 0.5
    assert of_two([both, little]) == [both]  # where one of the two hardly took anything there is one to find
    assert both_found([row("io_wait", "io_wait")]) is None


def test_confidence_is_calibrated_where_it_is_as_often_right():
    assert calibration_error([(0.8, True)] * 8 + [(0.8, False)] * 2) < 1e-12
    assert abs(calibration_error([(0.9, False)] * 5) - 0.9) < 1e-12
    assert auroc([(0.9, True), (0.8, True), (0.3, False)]) == 1.0
    assert auroc([(0.5, True), (0.5, False)]) == 0.5
    assert auroc([(0.5, True)]) is None


def test_without_its_evidence_a_cause_may_be_unknown_or_its_parent_and_no_other():
    rows = [row("io_wait", named) for named in ("io_wait", "unknown", "blocked", "lock_wait")]
    assert wrong_instead(rows) == 0.25
    assert wrong_instead([row(None, "io_wait")]) is None


def test_what_was_wrong_with_the_evidence_is_not_for_want_of_it():
    told = [("cpu_work", "cpu_work"), ("cpu_work", "io_wait"), ("io_wait", "io_wait"), ("cpu_work", "cpu")]
    with_it = [replace(row("cpu_work", one), frame=number) for number, (one, _) in enumerate(told)]
    without = [replace(row("cpu_work", one), frame=number) for number, (_, one) in enumerate(told)]
    assert wrong_for_want(without, with_it) == 0.25  # the second alone: the third was wrong before
    assert wrong_for_want([], with_it) is None


def test_how_often_a_confidence_was_right():
    told = reliability([(0.95, True)] * 3 + [(0.95, False), (0.2, False)])
    assert [(one["from"], one["frames"], one["right"]) for one in told] == [(0.2, 1, 0.0), (0.9, 4, 0.75)]


def test_a_control_may_be_noise_but_nothing_that_cannot_be_there():
    calm = [row(None, "cpu_contention"), row(None, "io_wait", confidence=0.5)]
    assert report(calm)["control_impossible"] == 0
    assert report([*calm, row(None, "loop_wait")])["control_impossible"] == 1 / 3
    assert report([row(None, "loop_wait", shape="service")])["control_impossible"] == 0


def test_a_family_is_a_true_claim_and_unknown_is_none():
    rows = [row("io_wait", named, confidence=0.7) for named in ("io_wait", "blocked", "lock_wait", "unknown")]
    assert claims(rows) == [(0.7, True), (0.7, True), (0.7, False)]


def test_the_fitted_confidence_rises_and_is_never_certain():
    pairs = [(0.1 * k, k > 2 or n % 4 == 0) for k in range(1, 9) for n in range(40)]
    knots = isotonic(pairs, least=40)
    assert knots == sorted(knots) and len(knots) > 1
    assert all(0 < right < 1 for _, right in knots)
    seen = [(calibrated(raw, knots), right) for raw, right in pairs]
    assert calibration_error(seen) < 0.03


def test_controls_are_told_apart():
    told = report([row(None, "unknown", confidence=0.9), row(None, "io_wait", confidence=0.2)])
    assert told["control_frames"] == 2
    assert told["control_named"] == {"unknown": 1}
    assert told["macro_f1"] is None


def test_one_episode_is_one_incident():
    episodes, slow = [(0, 10), (20, 30)], [*range(10), 14, *range(20, 30), 32]
    assert matched(episodes, [(1, 9), (21, 33)], slow) == 2
    assert matched(episodes, [(1, 4), (5, 9)], slow) == 1  # told twice, counted once
    assert matched(episodes, [(2, 28)], slow) == 0  # one for both tells of neither
    assert matched(episodes, [(0, 22)], slow) == 1
    assert matched(episodes, [(12, 18)], slow) == matched(episodes, [], slow) == 0


def test_a_bar_is_reached_from_its_own_side():
    assert Bar("a", 0.9).reached(0.9) and not Bar("a", 0.9).reached(0.8)
    assert Bar("a", 0.02, at_least=False).reached(0.01) and not Bar("a", 0.02, at_least=False).reached(0.03)
    assert Bar("a", 0.9).reached(None) is None


def test_the_unknown_part_is_a_median():
    rows = [row("io_wait", "io_wait", unknown=part) for part in (0.0, 2.0, 9.0)]
    assert unknown_parts(rows) == {"io_wait": 0.2}


causes = st.sampled_from(sorted(signals.CAUSES))


@given(st.lists(st.tuples(causes, causes, st.floats(0, 1)), max_size=30))
def test_every_figure_is_a_share(drawn):
    told = report([row(cause, named, confidence=sure) for cause, named, sure in drawn])
    for name in ("macro_f1", "right_family", "calibration_error", "auroc"):
        assert told[name] is None or -1e-9 <= told[name] <= 1 + 1e-9
