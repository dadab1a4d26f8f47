"""The judge, fed frames whose truth is known by construction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope.judge import judge
from framescope.judge.account import apportion
from framescope.judge.baseline import FIRST_SPACING_NS, WINDOW, Baseline
from framescope.judge.model import EVIDENCE_FIELDS, Device, Evidence, Frame, Gpu, Segment, Stage
from framescope.judge.path import own
from framescope.signals import CAUSES

MS = 1_000_000


def frame(*stages: Stage, latency: float, expected: float = 8, budget: float = 10, **more: object) -> Frame:
    made = Frame("p", 1, 1, 0, 0, round(latency * MS), budget_ns=round(budget * MS), **more)
    made.expected_ns = round(expected * MS)
    made.noise_ns = MS // 10
    made.stages = list(stages)
    return made


def stage(name: str, kind: str, start: float, end: float, expected: float, **more: object) -> Stage:
    return Stage(name, kind, round(start * MS), round(end * MS), 1, expected_ns=round(expected * MS), **more)


def one_thread(made: Frame, evidence: Evidence, expected: Evidence | None = None) -> Frame:
    made.evidence = evidence
    made.segments = [Segment(1, 0, made.end_ns, evidence, expected or Evidence())]
    return made


def causes(verdict) -> dict[str, float]:
    found: dict[str, float] = {}
    for share in verdict.shares:
        found[share.cause] = found.get(share.cause, 0) + share.lost_ns / MS
    return found


def test_cpu_time_beyond_the_usual_is_cpu_work():
    slow = one_thread(
        frame(stage("a", "cpu", 0, 18, 8), latency=18),
        Evidence(cpu_ns=18 * MS, runqueue_ns=0, blocked_ns=0, gc_ns=0),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=0, gc_ns=0),
    )
    verdict = judge(slow)
    assert verdict.cause == "cpu_work"
    assert causes(verdict) == {"cpu_work": 10.0}
    assert verdict.overrun_ns == 8 * MS
    assert (
        verdict.sentence
        == "8.0 ms over budget. 8.0 ms of it is CPU work: a ran longer on the CPU than usual."
    )


def test_time_on_the_run_queue_is_contention_not_work():
    slow = one_thread(
        frame(stage("a", "cpu", 0, 18, 8), latency=18),
        Evidence(cpu_ns=8 * MS, runqueue_ns=10 * MS, blocked_ns=0),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=0),
    )
    assert causes(judge(slow)) == {"cpu_contention": 10.0}


def test_a_collection_in_this_thread_is_not_called_its_work():
    slow = one_thread(
        frame(stage("a", "cpu", 0, 18, 8, evidence=Evidence(gc_ns=9 * MS)), latency=18),
        Evidence(cpu_ns=18 * MS, runqueue_ns=0, blocked_ns=0, gc_ns=9 * MS),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=0, gc_ns=0),
    )
    assert causes(judge(slow)) == {"gc_pause": 9.0, "cpu_work": 1.0}


def test_a_collection_in_another_thread_is_a_wait_for_its_lock_and_takes_nothing_from_this_one_s_work():
    slow = one_thread(
        frame(stage("a", "cpu", 0, 30, 8), latency=30),
        Evidence(
            cpu_ns=15 * MS, runqueue_ns=0, blocked_ns=15 * MS, gc_ns=15 * MS, gc_own_ns=0, gil_ns=15 * MS
        ),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=0, gc_ns=0, gil_ns=0),
    )
    assert causes(judge(slow)) == {"gc_pause": 15.0, "cpu_work": 7.0}


def test_the_cpu_time_of_a_collection_explains_nothing_in_another_stage():
    collected = stage("a", "cpu", 0, 13, 4, evidence=Evidence(gc_ns=9 * MS))
    stalled = stage("b", "cpu", 13, 22, 4)
    slow = one_thread(
        frame(collected, stalled, latency=22),
        Evidence(cpu_ns=17 * MS, runqueue_ns=0, blocked_ns=5 * MS, gc_ns=9 * MS),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=0, gc_ns=0),
    )
    assert {(s.cause, s.stage): s.lost_ns / MS for s in judge(slow).shares} == {
        ("gc_pause", "a"): 9.0,
        ("blocked", "b"): 5.0,
    }


def test_a_collection_elsewhere_shows_as_blocked_and_is_told_as_the_collection():
    slow = one_thread(
        frame(stage("a", "cpu", 0, 18, 8), latency=18),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=10 * MS, gc_ns=10 * MS),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=0, gc_ns=0),
    )
    assert causes(judge(slow)) == {"gc_pause": 10.0}


def test_a_stall_with_nothing_finer_is_blocked_and_not_guessed():
    slow = one_thread(
        frame(stage("a", "cpu", 0, 18, 8), latency=18),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=10 * MS),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=0),
    )
    assert causes(judge(slow)) == {"blocked": 10.0}


def test_without_evidence_it_is_unknown():
    verdict = judge(frame(stage("a", "cpu", 0, 18, 8), latency=18))
    assert verdict.cause == "unknown"
    assert verdict.confidence == 0
    assert verdict.unexplained_ns == 10 * MS
    assert "Unknown" in verdict.sentence


def gpu_stage(end: float, expected: float, **measured: int) -> Stage:
    return stage(
        "g", "gpu", 0, end, expected,
        gpu=Gpu("0", 0, round(end * MS), **measured),
        expected_gpu={"time": round(expected * MS), "busy": round(expected * MS), "wait": 0},
    )  # fmt: skip


OTHERS = Device("0", "GPU", False, 100 * MS, other_utilization=0.6, other_process=("recon", 77))
ALONE = Device("0", "GPU", False, 100 * MS, other_utilization=0.0, clock_min_hz=1e9, expected_clock_hz=1e9)


def test_waiting_while_another_process_used_the_gpu_is_contention_and_names_it():
    slow = frame(gpu_stage(18, 8, busy_ns=8 * MS, wait_ns=10 * MS), latency=18, device=OTHERS)
    verdict = judge(slow)
    assert causes(verdict) == {"gpu_contention": 10.0}
    assert verdict.culprit == ("recon", 77)
    assert "recon (PID 77)" in verdict.sentence


def test_longer_own_kernels_are_gpu_work():
    slow = frame(gpu_stage(18, 8, busy_ns=18 * MS, wait_ns=0), latency=18, device=ALONE)
    assert causes(judge(slow)) == {"gpu_work": 10.0}


def test_time_held_back_while_executing_is_throttling():
    slow = frame(gpu_stage(18, 8, busy_ns=18 * MS, wait_ns=0, throttle_ns=9 * MS), latency=18, device=ALONE)
    assert causes(judge(slow)) == {"gpu_throttle": 9.0, "gpu_work": 1.0}


def test_event_pairs_alone_name_only_the_family():
    assert causes(judge(frame(gpu_stage(18, 8), latency=18, device=ALONE))) == {"gpu": 10.0}
    assert causes(judge(frame(gpu_stage(18, 8), latency=18))) == {"gpu": 10.0}


def test_event_pairs_with_another_process_seen_name_contention_less_surely():
    verdict = judge(frame(gpu_stage(18, 8), latency=18, device=OTHERS))
    assert verdict.cause == "gpu_contention"
    assert verdict.confidence < 0.7


def test_event_pairs_with_a_clock_that_fell_name_throttling():
    low = Device("0", "GPU", False, 100 * MS, other_utilization=0.0, clock_min_hz=5e8, expected_clock_hz=1e9)
    assert judge(frame(gpu_stage(16, 8), latency=16, device=low)).cause == "gpu_throttle"


def test_a_queue_wait_is_the_consumers_until_the_frames_ahead_explain_it():
    wait = stage("q", "queue", 0, 11, 1)
    work = stage("a", "cpu", 11, 18, 7)
    assert causes(judge(frame(wait, work, latency=18))) == {"queue_wait": 10.0}
    wait = stage("q", "queue", 0, 11, 1, ahead_ns={"gpu_contention": 6 * MS})
    assert causes(judge(frame(wait, work, latency=18))) == {"gpu_contention": 6.0, "queue_wait": 4.0}


def test_a_source_that_delivers_late_is_late_input():
    gap = stage("gap", "gap", 0, 10, 0)
    assert causes(judge(frame(gap, stage("a", "cpu", 10, 18, 8), latency=18))) == {"late_input": 10.0}


def test_a_frame_whose_usual_cost_exceeds_the_budget_is_structural():
    verdict = judge(frame(stage("a", "cpu", 0, 15, 15), latency=15.5, expected=15, budget=10))
    assert verdict.cause == "structural"
    assert sum(share.overrun_ns for share in verdict.shares) == verdict.overrun_ns


def test_a_late_frame_is_judged_on_its_interval():
    late = frame(stage("a", "cpu", 0, 8, 8), latency=8, period_ns=10 * MS)
    late.late, late.interval_ns, late.expected_interval_ns = True, 17 * MS, 10 * MS
    late.gap_ns, late.expected_gap_ns = 8 * MS, 2 * MS
    verdict = judge(late)
    assert verdict.axis == "interval"
    assert causes(verdict) == {"late_input": 6.0, "unknown": 1.0}
    assert verdict.sentence.startswith("Arrived 7.0 ms late.")


def test_a_frame_quicker_than_usual_lost_nothing():
    verdict = judge(frame(stage("a", "cpu", 0, 5, 8), latency=5))
    assert (verdict.lost_ns, verdict.shares) == (0, ())
    assert verdict.sentence == "Within budget, nothing lost."


def test_what_was_not_measured_is_said_and_what_was_ruled_out_says_by_what():
    slow = one_thread(
        frame(stage("a", "cpu", 0, 18, 8), latency=18),
        Evidence(cpu_ns=18 * MS, runqueue_ns=0, blocked_ns=0),
        Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=0),
    )
    by_cause = {c.cause: c for c in judge(slow).considered}
    assert by_cause["cpu_contention"].status == "ruled_out"
    assert "0.0 ms" in by_cause["cpu_contention"].reason
    assert by_cause["python_gil"].status == "not_measured"


def test_a_repeated_stage_that_took_its_usual_time_is_innocent():
    first, second = stage("step", "cpu", 0, 5, 10), stage("step", "cpu", 5, 10, 0)
    slow = frame(first, second, stage("x", "cpu", 10, 18, 2), latency=18, expected=12, budget=12)
    slow = one_thread(slow, Evidence(cpu_ns=18 * MS), Evidence(cpu_ns=12 * MS))
    assert {(s.cause, s.stage) for s in judge(slow).shares} == {("cpu_work", "x")}


def test_a_collection_that_comes_in_every_frame_is_not_to_blame_for_this_one():
    usual = stage("a", "cpu", 0, 14, 10, evidence=Evidence(gc_ns=5 * MS))
    usual.expected = Evidence(gc_ns=5 * MS)
    slow = one_thread(
        frame(usual, latency=14, expected=10),
        Evidence(cpu_ns=14 * MS, gc_ns=5 * MS),
        Evidence(cpu_ns=10 * MS, gc_ns=5 * MS),
    )
    assert causes(judge(slow)) == {"cpu_work": 4.0}


# -- the path -------------------------------------------------------------------------------------------


def test_work_hidden_behind_longer_work_owns_nothing():
    long, hidden = Stage("long", "cpu", 0, 10, 1), Stage("hidden", "cpu", 2, 9, 2)
    assert own([long, hidden], 0, 12) == 2
    assert (long.owned_ns, hidden.owned_ns) == (10, 0)


def test_nested_stages_own_what_is_theirs_and_no_more():
    outer, inner = Stage("outer", "cpu", 0, 10, 1), Stage("inner", "cpu", 3, 7, 1)
    assert own([outer, inner], 0, 10) == 0
    assert (outer.owned_ns, inner.owned_ns) == (6, 4)


spans = st.tuples(st.integers(-50, 1000), st.integers(0, 500), st.integers(1, 3))


@given(st.lists(spans, max_size=12), st.integers(0, 900))
def test_every_nanosecond_has_exactly_one_owner(drawn, length):
    stages = [Stage(f"s{i}", "cpu", a, a + d, t) for i, (a, d, t) in enumerate(drawn)]
    nobody = own(stages, 0, length)
    assert nobody >= 0
    assert all(s.owned_ns >= 0 for s in stages)
    assert nobody + sum(s.owned_ns for s in stages) == length


# -- the sums -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**10), max_size=20), st.integers(0, 10**10))
def test_apportioned_parts_add_up_exactly(amounts, total):
    parts = apportion(amounts, total)
    assert sum(parts) == (total if sum(amounts) else 0)
    assert all(part >= 0 for part in parts)


reading = st.none() | st.integers(0, 40 * MS)


@st.composite
def any_frame(draw) -> Frame:
    made = Frame("p", 1, 1, 0, 0, draw(st.integers(0, 60 * MS)), budget_ns=draw(st.integers(1, 30 * MS)))
    made.expected_ns = draw(st.none() | st.integers(1, 30 * MS))
    made.noise_ns = draw(st.none() | st.integers(0, MS))
    at = 0
    for number in range(draw(st.integers(0, 5))):
        length = draw(st.integers(0, 20 * MS))
        kind = draw(st.sampled_from(["cpu", "gpu", "io", "queue", "gap"]))
        one = Stage(f"s{number}", kind, at, at + length, draw(st.sampled_from([1, 2, None])))
        one.expected_ns = draw(st.none() | st.integers(0, 10 * MS))
        one.evidence = Evidence(gc_ns=draw(reading), cpu_ns=draw(reading))
        if kind == "gpu":
            one.gpu = Gpu(
                "0",
                at,
                at + length,
                draw(reading),
                draw(reading),
                draw(reading),
                draw(reading),
                draw(reading),
            )
            one.expected_gpu = {"time": 1, "busy": draw(st.integers(0, MS))}
        if kind in ("queue", "gap"):
            one.ahead_ns = draw(
                st.dictionaries(st.sampled_from(sorted(CAUSES)), st.integers(0, 30 * MS), max_size=3)
            )
        made.stages.append(one)
        at += length
    readings = Evidence(**{name: draw(reading) for name in EVIDENCE_FIELDS[:6]})
    made.segments = [Segment(1, 0, at, readings)]
    made.evidence = readings
    made.device = draw(st.sampled_from([None, OTHERS, ALONE]))
    return made


@given(any_frame())
def test_whatever_the_evidence_the_shares_add_up_and_the_unknown_is_shown(made):
    verdict = judge(made)
    assert sum(share.lost_ns for share in verdict.shares) == verdict.lost_ns >= 0
    assert sum(share.overrun_ns for share in verdict.shares) == (verdict.overrun_ns if verdict.shares else 0)
    assert verdict.unexplained_ns == sum(s.lost_ns for s in verdict.shares if s.cause == "unknown")
    assert 0 <= verdict.confidence <= 1
    assert {share.cause for share in verdict.shares} <= set(CAUSES)
    assert all(share.lost_ns >= 0 and share.overrun_ns >= 0 for share in verdict.shares)


@given(any_frame())
def test_judging_twice_says_the_same(made):
    assert judge(made) == judge(made)


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_every_cause_has_a_name_a_code_and_words(cause):
    from framescope.judge.sentence import _TEXT

    assert CAUSES[cause].title and CAUSES[cause].code
    assert cause == "unknown" or cause in _TEXT


def learned_from(baseline, frames, first=0, period=MS):
    """The numbers of the frames that a baseline took, of so many in a row."""
    taken = []
    for number in range(first, first + frames):
        one = frame(stage("a", "cpu", 0, 1, 1), latency=1)
        one.id, one.start_ns, one.due_ns = number, number * period, number * period
        one.end_ns = one.start_ns + MS
        if baseline.wants(one.start_ns):
            taken.append(number)
        baseline.learn(one, undisturbed=True)
    baseline.settle()
    return taken


def test_a_fast_pipelines_usual_is_learned_quickly_at_first_and_then_from_some_thirty_frames_a_second():
    baseline = Baseline()
    assert len(learned_from(baseline, WINDOW * FIRST_SPACING_NS // MS)) == WINDOW
    assert baseline.expected_ns == MS
    assert 25 < len(learned_from(baseline, 10_000, first=100_000)) / 10 < 40


def test_frames_that_alternate_are_learned_from_alike():
    baseline = Baseline()
    learned_from(baseline, WINDOW, period=10 * MS)
    taken = learned_from(baseline, 3000, first=WINDOW, period=10 * MS)
    assert 0.4 < sum(number % 2 for number in taken) / len(taken) < 0.6


def in_unrest(baseline, seconds, slow_every, first=WINDOW):
    """So many seconds of 100 frames each, of which every so-manieth is slow and the others take twice as long
    as usual, but not too long."""
    for number in range(first, first + 100 * seconds):
        one = frame(stage("a", "cpu", 0, 2, 2), latency=2)
        one.id, one.start_ns, one.due_ns = number, number * 10 * MS, number * 10 * MS
        one.end_ns = one.start_ns + 2 * MS
        baseline.learn(one, undisturbed=number % slow_every != 0)
    baseline.settle()


def test_on_time_frames_among_slow_ones_are_not_what_is_usual():
    calm, troubled = Baseline(), Baseline()
    for baseline in (calm, troubled):
        learned_from(baseline, WINDOW, period=10 * MS)
    in_unrest(calm, 10, slow_every=10**9)
    in_unrest(troubled, 10, slow_every=10)
    assert (calm.expected_ns, troubled.expected_ns) == (2 * MS, MS)


def test_a_pipeline_that_never_comes_to_rest_has_another_usual_after_minutes():
    baseline = Baseline()
    learned_from(baseline, WINDOW, period=10 * MS)
    in_unrest(baseline, 120, slow_every=10)
    assert baseline.expected_ns == 2 * MS


def test_of_the_blocked_time_no_more_is_usually_for_a_lock_than_there_usually_is():
    baseline = Baseline()
    for number in range(100):
        one = frame(stage("a", "cpu", 0, 3, 3), latency=3)
        one.start_ns = number * 10 * MS
        contended = number % 10 == 0  # only then was the thread seen to wait for anything
        told = Evidence(blocked_ns=5 * MS, lock_ns=5 * MS) if contended else Evidence(blocked_ns=0)
        one.segments = [Segment(1, 0, 3 * MS, told)]
        baseline.learn(one, undisturbed=True)
    baseline.settle()
    slow = frame(stage("a", "cpu", 0, 9, 3), latency=9)
    slow.segments = [Segment(1, 0, 9 * MS, Evidence(blocked_ns=5 * MS, lock_ns=5 * MS))]
    baseline.apply(slow)
    assert slow.segments[0].expected.lock_ns == 0


def test_a_loss_of_seconds_is_told_in_seconds():
    slow = one_thread(frame(stage("a", "cpu", 0, 6392, 8), latency=6392), Evidence(cpu_ns=6390 * MS))
    assert judge(slow).sentence.startswith("6.4 s over budget. 6.4 s of it is ")
