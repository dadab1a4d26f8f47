"""Traces of emitters that leave the judgement to the app: what is read of them, and what is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from framescope import signals as sig
from framescope.judge import Baseline, outcome_of, read_frame, read_verdict
from framescope_ui.backends.protocols import Span

MS = 1_000_000
BUDGET = {sig.FRAME_PIPELINE: "p", sig.FRAME_BUDGET_LIMIT: 0.010}


def spans(*stages: tuple[str, float, dict[str, Any]], **root: Any) -> tuple[Span, ...]:
    """A root and one stage after another: name, ms, further attributes."""
    at, children = 0, []
    for number, (name, took, told) in enumerate(stages, 1):
        end = at + round(took * MS)
        told = {sig.FRAME_STAGE_NAME: name, sig.FRAME_STAGE_KIND: "cpu", **told}
        children.append(Span("t", f"{number}", "0", name, at, end, told))
        at = end
    return (Span("t", "0", None, sig.SPAN_FRAME, 0, at, {**BUDGET, **root}), *children)


def shares(told: tuple[Span, ...], usual: Baseline | None = None) -> dict[tuple[str, str | None], float]:
    verdict = read_verdict(told, usual)
    assert verdict is not None
    return {(share.cause, share.stage): share.lost_ns / MS for share in verdict.shares}


def usually(*stages: tuple[str, float, dict[str, Any]], **root: Any) -> Baseline:
    learnt = Baseline()
    for _ in range(12):
        frame = read_frame(spans(*stages, **root))
        assert frame is not None
        learnt.learn(frame, undisturbed=True)
    learnt.settle()
    return learnt


def test_with_nothing_but_its_length_a_slow_frame_is_unknown_as_far_as_it_is_over() -> None:
    assert shares(spans(("a", 4, {}), ("b", 18, {}))) == {("unknown", None): 12.0}


def test_beside_on_time_frames_its_loss_has_a_stage_and_the_sentence_says_that_nothing_explains_it() -> None:
    told, usual = spans(("a", 4, {}), ("b", 18, {})), usually(("a", 4, {}), ("b", 4, {}))
    assert shares(told, usual) == {("unknown", "b"): 14.0}
    verdict = read_verdict(told, usual)
    assert verdict is not None
    assert verdict.expected_ns == 8 * MS
    assert "Unknown why: b took longer than usual" in verdict.sentence


def test_the_evidence_of_a_stage_counts_as_far_as_it_exceeds_what_on_time_frames_show() -> None:
    told = spans(("a", 4, {sig.CPU_TIME: 0.004}), ("b", 18, {sig.CPU_TIME: 0.013, sig.BLOCKED_TIME: 0.005}))
    usual = usually(("a", 4, {sig.CPU_TIME: 0.004}), ("b", 4, {sig.CPU_TIME: 0.004, sig.BLOCKED_TIME: 0.0}))
    assert shares(told, usual) == {("cpu_work", "b"): 9.0, ("blocked", "b"): 5.0}


def test_the_evidence_of_the_whole_frame_counts_the_same_way() -> None:
    told = spans(("a", 4, {}), ("b", 18, {}), **{sig.CPU_TIME: 0.008, sig.BLOCKED_TIME: 0.014})
    usual = usually(("a", 4, {}), ("b", 4, {}), **{sig.CPU_TIME: 0.008, sig.BLOCKED_TIME: 0.0})
    assert shares(told, usual) == {("blocked", "b"): 14.0}


def test_what_the_trace_says_is_usual_is_taken_before_other_frames() -> None:
    told = spans(
        ("a", 4, {sig.FRAME_STAGE_EXPECTED: 0.004}),
        ("b", 18, {sig.FRAME_STAGE_EXPECTED: 0.005, sig.CPU_TIME: 0.018, "frame.cpu.expected": 0.005}),
        **{sig.FRAME_EXPECTED_DURATION: 0.009},
    )
    assert shares(told, usually(("a", 1, {}), ("b", 1, {}))) == {("cpu_work", "b"): 13.0}


def test_evidence_told_of_a_stage_and_of_the_frame_explains_once() -> None:
    told = spans(
        ("a", 10, {sig.FRAME_STAGE_EXPECTED: 0.004}),
        ("b", 10, {sig.FRAME_STAGE_EXPECTED: 0.004, sig.CPU_TIME: 0.010, "frame.cpu.expected": 0.004}),
        **{sig.FRAME_EXPECTED_DURATION: 0.008, sig.CPU_TIME: 0.014, "frame.cpu.expected": 0.008},
    )
    assert shares(told) == {("cpu_work", "b"): 6.0, ("unknown", "a"): 6.0}


def test_a_verdict_without_totals_is_the_sum_of_its_causes_and_what_is_over_the_budget() -> None:
    told = spans(
        ("a", 22, {"frame.lost.io_wait": 0.009}),
        **{sig.FRAME_CAUSE_NAME: "io_wait", "frame.lost.io_wait": 0.009, "frame.lost.cpu_work": 0.003},
    )
    verdict = read_verdict(told)
    assert verdict is not None
    assert (verdict.cause, verdict.lost_ns, verdict.overrun_ns) == ("io_wait", 12 * MS, 12 * MS)
    assert shares(told) == {("io_wait", "a"): 9.0, ("cpu_work", None): 3.0}


@pytest.mark.parametrize(
    ("told", "failed", "outcome"),
    [
        ({sig.FRAME_OUTCOME: "dropped", sig.FRAME_BUDGET_LIMIT: 0.01}, False, "dropped"),
        ({sig.FRAME_BUDGET_LIMIT: 0.01}, False, "slow"),
        ({sig.FRAME_BUDGET_LIMIT: 0.02}, False, "on_time"),
        ({sig.FRAME_BUDGET_LIMIT: 0.01}, True, "failed"),
        ({sig.FRAME_SLOW: True}, False, "slow"),
        ({sig.FRAME_SLOW: False}, False, "on_time"),
        ({}, False, None),
    ],
)
def test_an_outcome_that_is_not_told_follows_from_latency_and_budget(
    told: dict[str, Any], failed: bool, outcome: str | None
) -> None:
    assert outcome_of(told, 15 * MS, failed) == outcome
