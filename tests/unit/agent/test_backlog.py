"""The ledger of a wait: it always adds up to the wait that was seen, and forgets the oldest first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope.agent.backlog import Backlog, Ledger
from framescope.judge.model import Evidence, Frame, Segment, Share, Stage, Verdict

steps = st.lists(
    st.tuples(
        st.integers(0, 1000), st.sampled_from(["gpu_contention", "cpu_work", "unknown"]), st.integers(0, 1000)
    ),
    max_size=30,
)


@given(steps)
def test_the_causes_of_a_wait_add_up_to_the_wait(served):
    ledger = Ledger()
    for wait, cause, lost in served:
        assert sum(ledger.settle(wait).values()) == wait
        ledger.add(cause, lost)


def test_a_loss_is_carried_while_the_wait_it_caused_lasts():
    ledger = Ledger()
    ledger.settle(0)
    ledger.add("gpu_contention", 30)
    assert ledger.settle(20) == {"gpu_contention": 20}
    assert ledger.settle(5) == {"gpu_contention": 5}
    assert ledger.settle(0) == {}
    assert ledger.settle(7) == {"queue_wait": 7}


def test_a_queue_that_stays_full_for_another_reason_forgets_the_first_loss():
    ledger = Ledger()
    ledger.add("cpu_contention", 40)
    assert ledger.settle(40) == {"cpu_contention": 40}
    # From now on the consumer dawdles between frames; what is dropped from the queue bounds the wait.
    for _ in range(10):
        ledger.add("queue_wait", 10)
        last = ledger.settle(40)
    assert last == {"queue_wait": 40}


def test_what_the_consumer_lost_to_nobody_knows_what_is_a_queue_wait_behind_it():
    ledger = Ledger()
    ledger.add("unknown", 10)
    assert ledger.settle(10) == {"queue_wait": 10}


def test_what_was_lost_where_gpu_work_was_not_timed_stays_unknown_behind_it():
    backlog = Backlog()
    ahead = one_thread(1, 0, 0, 30)
    ahead.stages = [Stage("kernels", "gpu", 0, 30, thread=7)]
    backlog.apply(ahead)
    backlog.learn(ahead, lost(Share("unknown", 20, 20, "kernels")))
    behind = one_thread(2, 10, 30, 40)
    backlog.apply(behind)
    assert behind.stages[0].ahead_ns == {"unknown": 20}


def one_thread(number: int, due: int, start: int, end: int) -> Frame:
    made = Frame("p", number, number, due, start, end)
    made.segments = [Segment(7, start, end, Evidence())]
    made.stages = [Stage("gap", "gap", due, start), Stage("work", "cpu", start, end, thread=7)]
    return made


def lost(*shares: Share) -> Verdict:
    whole = sum(share.lost_ns for share in shares)
    return Verdict(shares[0].cause, 1, "latency", 10, whole, whole, 0, shares)


def test_what_kept_a_thread_from_beginning_keeps_the_frames_behind_waiting_too():
    backlog = Backlog()
    held, behind = one_thread(0, 0, 40, 50), one_thread(1, 10, 50, 60)
    backlog.apply(held)
    quota, late = Share("cpu_quota", 30, 30, "gap"), Share("late_input", 10, 10, "gap")
    backlog.learn(held, lost(quota, late))
    backlog.apply(behind)
    assert behind.stages[0].ahead_ns == {"cpu_quota": 30, "queue_wait": 10}


def through_queues(number: int, decode_at: int, full_until: int, compute_at: int, end: int) -> Frame:
    """Decode on thread 2, compute on thread 3; ``mid`` between them was full until then."""
    made = Frame("p", number, number, 0, 0, end)
    made.stages = [
        Stage("in", "queue", 0, decode_at),
        Stage("decode", "cpu", decode_at, decode_at + 10, thread=2),
        Stage("mid", "queue", decode_at + 10, compute_at, held_up_ns=full_until - decode_at - 10),
        Stage("compute", "cpu", compute_at, end, thread=3),
    ]
    made.segments = [
        Segment(1, 0, 0, Evidence()),
        Segment(2, decode_at, decode_at + 10, Evidence()),
        Segment(3, compute_at, end, Evidence()),
    ]
    return made


def test_a_thread_held_up_by_a_full_queue_passes_on_what_stands_behind_that_queue():
    backlog = Backlog()
    slow = through_queues(0, 0, 10, 11, 120)
    backlog.apply(slow)
    backlog.learn(slow, lost(Share("gc_pause", 90, 90, "compute")))
    held = through_queues(1, 10, 100, 120, 130)  # into mid, which was full, only at 100
    backlog.apply(held)
    assert held.stages[2].ahead_ns == {"gc_pause": 90, "queue_wait": 10}
    backlog.learn(held, None)
    behind = through_queues(2, 100, 110, 130, 140)
    backlog.apply(behind)
    assert behind.stages[0].ahead_ns == {"gc_pause": 72, "queue_wait": 28}


def test_a_consumer_that_a_quota_kept_from_running_passes_that_on():
    backlog = Backlog()
    frame = through_queues(0, 50, 60, 61, 70)
    frame.stages[0].evidence = Evidence(runqueue_ns=50, quota_ns=40)
    backlog.apply(frame)
    backlog.learn(frame, None)
    behind = through_queues(1, 60, 70, 71, 80)
    backlog.apply(behind)
    assert behind.stages[0].ahead_ns == {"cpu_quota": 40, "cpu_contention": 10, "queue_wait": 10}


@pytest.mark.parametrize(("of_task", "behind"), [(False, {"cpu_work": 20}), (True, {})])
def test_a_frame_waits_behind_the_one_before_on_its_thread_but_tasks_that_take_turns_have_all_at_once(
    of_task, behind
):
    def frame(number: int, due: int, start: int, end: int) -> Frame:
        made = Frame("p", number, number, due, start, end)
        made.segments = [Segment(7, start, end, Evidence(), of_task=of_task)]
        made.stages = [Stage("gap", "gap", due, start), Stage("work", "cpu", start, end, thread=7)]
        return made

    backlog = Backlog()
    slow, waiting = frame(0, 0, 0, 30), frame(1, 10, 30, 40)
    backlog.apply(slow)
    share = Share("cpu_work", 20, 20, "work")
    backlog.learn(slow, Verdict("cpu_work", 1, "latency", 10, 20, 20, 0, (share,)))
    backlog.apply(waiting)
    assert waiting.stages[0].ahead_ns == behind
