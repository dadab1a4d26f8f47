"""Verdicts on blocked time that was told apart."""

import pytest
from test_judge import MS, causes, frame, one_thread, stage

from framescope.judge import judge
from framescope.judge.calls import speaks_for
from framescope.judge.model import Evidence
from framescope.signals import CAUSES

BLOCKED = Evidence(cpu_ns=2 * MS, runqueue_ns=0, blocked_ns=16 * MS)
USUAL = Evidence(cpu_ns=2 * MS, runqueue_ns=0, blocked_ns=0)


def waited(text: str = "", **found: int):
    made = frame(stage("a", "cpu", 0, 18, 2), latency=18, expected=2)
    made.stages[0].waited_in = text
    evidence = Evidence(**{**BLOCKED.__dict__, **found})
    return judge(one_thread(made, evidence, USUAL))


def test_blocked_time_without_a_name_is_blocked():
    verdict = waited()
    assert causes(verdict) == {"blocked": 16.0}
    reasons = {one.cause: one.reason for one in verdict.considered if one.status == "not_measured"}
    assert "nobody watched the lock then" in reasons["python_gil"]
    assert "emitter.probes.system_calls tells" in reasons["lock_wait"]


@pytest.mark.parametrize(
    ("found", "cause"), [("gil_ns", "python_gil"), ("io_ns", "io_wait"), ("lock_ns", "lock_wait")]
)
def test_blocked_time_goes_to_what_it_was_seen_in_and_the_rest_stays_blocked(found, cause):
    verdict = waited(**{found: 12 * MS})
    assert causes(verdict) == {cause: 12.0, "blocked": 4.0}
    assert verdict.cause == cause


def test_what_was_measured_and_did_not_happen_is_ruled_out():
    verdict = waited(gil_ns=0, io_ns=0, lock_ns=16 * MS)
    status = {one.cause: one.status for one in verdict.considered}
    assert (status["python_gil"], status["io_wait"], status["lock_wait"]) == (
        "ruled_out",
        "ruled_out",
        "named",
    )


def test_the_sentence_and_the_evidence_name_the_call():
    verdict = waited("read() of a pipe", io_ns=16 * MS)
    assert verdict.sentence.endswith("I/O wait: a waited for I/O, in read() of a pipe.")
    (share,) = verdict.shares
    assert any("seen in read() of a pipe" in row.text for row in share.evidence)
    assert waited("ioctl() of a device").sentence.endswith(
        "was off the CPU and not runnable, in ioctl() of a device."
    )


@pytest.mark.parametrize(
    ("call", "causes_it_speaks_for"),
    [
        ("read() of a pipe", {"io_wait"}),
        ("poll()", {"io_wait"}),
        ("a lock", {"lock_wait"}),
        ("the interpreter lock", {"python_gil"}),
        ("clock_nanosleep()", {"blocked"}),
        ("ioctl() of a device", {"blocked"}),
        ("", set()),
    ],
)
def test_a_call_is_told_beside_the_cause_it_speaks_for_and_no_other(call, causes_it_speaks_for):
    assert {cause for cause in CAUSES if speaks_for(call, cause)} == causes_it_speaks_for


def test_the_lock_found_by_knocks_alone_is_less_certain_than_seen_in_the_call():
    assert waited(gil_ns=16 * MS).confidence < waited("the interpreter lock", gil_ns=16 * MS).confidence
