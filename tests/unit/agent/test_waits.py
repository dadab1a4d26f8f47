"""What knocks, samples and stacks say of a frame: a part of its blocked time, never more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope.agent.call_sampler import NOT_ALLOWED, RETRY_NS, CallSampler
from framescope.agent.waits import Sample, Waits, lock_wait
from framescope.judge.model import Evidence, Frame, Segment, Stage
from framescope.probes.system_call import Call
from framescope.recorder.open_frames import LEFT_NS, SLOT

MS = 1_000_000
THREAD = 7


def segment(start: float, end: float, cpu: float, blocked: float) -> Segment:
    evidence = Evidence(cpu_ns=round(cpu * MS), runqueue_ns=0, blocked_ns=round(blocked * MS))
    return Segment(THREAD, round(start * MS), round(end * MS), evidence)


def frame(*segments: Segment) -> Frame:
    made = Frame("p", 1, 1, segments[0].start_ns, segments[0].start_ns, segments[-1].end_ns)
    made.segments = list(segments)
    made.stages = [Stage("a", "cpu", made.start_ns, made.end_ns, THREAD, expected_ns=2 * MS)]
    return made


def knock(
    due: float, answered: float, waited: float | None = None, ran: float | None = None
) -> tuple[int, int, int, int]:
    """Somebody of this process ran all the while, if not told otherwise."""
    waited = answered - due if waited is None else waited
    return tuple(round(ms * MS) for ms in (due, answered, waited, waited if ran is None else ran))  # type: ignore[return-value]


def told(knocks, one: Segment) -> float | None:
    found = lock_wait(knocks, one, one.evidence.blocked_ns or 0, one.evidence.cpu_ns or 0)
    return None if found is None else found / MS


def test_a_lock_that_others_held_while_the_thread_was_blocked_is_what_it_waited_for():
    assert told([knock(5, 25), knock(30, 30.1)], segment(4, 28, cpu=2, blocked=20)) == pytest.approx(18)


def test_a_lock_that_was_free_all_the_while_was_not_waited_for():
    free = [knock(at, at + 0.1) for at in range(0, 40, 5)]
    assert told(free, segment(4, 28, cpu=2, blocked=20)) == 0


def test_a_lock_whose_holder_got_no_core_was_a_wait_for_a_core():
    made = frame(segment(4, 28, cpu=2, blocked=20))
    waits = Waits(lambda start, end: 100 * MS)
    waits.add([knock(5, 25, ran=5), knock(30, 30.1)])
    waits.explain(made)
    evidence = made.segments[0].evidence
    assert (evidence.gil_ns, evidence.starved_ns) == (pytest.approx(4.5 * MS), pytest.approx(13.5 * MS))


@pytest.mark.parametrize(("stalled", "starved"), [(None, None), (0, 0), (3 * MS, 3 * MS)])
def test_a_holder_lacked_a_core_no_longer_than_anybody_in_the_machine_did(stalled, starved):
    made = frame(segment(4, 28, cpu=2, blocked=20))
    waits = Waits(lambda start, end: stalled)
    waits.add([knock(5, 25, ran=0), knock(30, 30.1)])
    waits.explain(made)
    evidence = made.segments[0].evidence
    assert evidence.starved_ns == starved
    assert evidence.gil_ns + (evidence.starved_ns or 0) == pytest.approx(18 * MS)


@pytest.mark.parametrize(
    ("held_back", "starved"), [(None, None), (0.0, None), (0.8, 14.4 * MS), (1.6, 18 * MS)]
)
def test_a_holder_that_a_quota_held_back_got_no_core_for_so_long(held_back, starved):
    made = frame(segment(4, 28, cpu=2, blocked=20))
    waits = Waits(held_back=lambda start, end: held_back)
    waits.add([knock(5, 25), knock(30, 30.1)])
    waits.explain(made)
    evidence = made.segments[0].evidence
    assert evidence.starved_ns == (starved and pytest.approx(starved))
    assert evidence.gil_ns + (evidence.starved_ns or 0) == pytest.approx(18 * MS)


@pytest.mark.parametrize("awaited", [True, False])
def test_a_frame_that_was_awaited_and_taken_late_waited_for_its_taker_to_wake_up(awaited):
    made = frame(segment(0, 2, cpu=2, blocked=0), segment(24, 26, cpu=2, blocked=0))
    made.stages.append(Stage("q", "queue", 2 * MS, 24 * MS, awaited=awaited))
    made.stages[-1].evidence.runqueue_ns = 4 * MS
    waits = Waits()
    waits.add([knock(1, 25)])
    waits.explain(made)
    assert made.stages[-1].evidence.gil_ns == (18 * MS if awaited else None)


def test_where_nobody_knocked_it_is_unknown():
    assert told([], segment(4, 28, cpu=2, blocked=20)) is None
    assert told([knock(0, 0.1), knock(100, 100.1)], segment(4, 28, cpu=2, blocked=20)) is None


def test_what_others_held_while_a_task_awaited_something_was_not_waited_for():
    waits = Waits()
    waits.add([knock(5, 25), knock(30, 30.1)])
    waits.saw(Sample(10 * MS, THREAD, "lock", "a lock"))
    task = frame(segment(4, 28, cpu=2, blocked=20))
    task.segments[0].of_task = True
    waits.explain(task)
    assert task.segments[0].evidence.gil_ns is None
    assert task.segments[0].evidence.lock_ns is None


@pytest.mark.parametrize(("stopped", "waited"), [(False, 6), (True, None)])
def test_a_loop_that_was_due_to_go_on_and_did_not_waited_for_the_lock(stopped, waited):
    task = frame(segment(4, 28, cpu=2, blocked=20))
    made = task.segments[0]
    made.of_task, made.off_ns, made.loop_off_ns, made.lock_ns = True, 8 * MS, 8 * MS, 6 * MS
    made.evidence.loop_ns = 9 * MS
    Waits(stopped=lambda start, end: stopped).explain(task)
    assert made.evidence.gil_ns == (waited and waited * MS)
    assert made.evidence.loop_ns == (9 - (waited or 0)) * MS


@pytest.mark.parametrize(
    ("seen", "since"),
    [((), 10), (("io", "gil", "gil"), 12), (("gil", "sleep", "running"), 17), (("gil",) * 3, 10)],
)
def test_a_collection_holds_up_another_thread_from_when_that_was_last_seen_to_do_anything_else(seen, since):
    waits = Waits()
    for place, kind in enumerate(seen):
        waits.saw(Sample((12 + 5 * place) * MS, THREAD, kind, kind))
    collections = [(2, THREAD + 1, 10 * MS, 30 * MS), (2, THREAD, 10 * MS, 30 * MS)]
    assert [start for _, _, start, _ in waits.felt(THREAD, collections)] == [since * MS, 10 * MS]


def test_what_the_thread_itself_held_the_lock_for_was_nobody_else_s():
    held_by_itself = [knock(5, 7.5), knock(12.5, 12.6), knock(17.6, 17.7), knock(22.7, 22.8), knock(27.8, 28)]
    assert told(held_by_itself, segment(4, 28, cpu=3, blocked=20)) == 0


def test_it_is_never_more_than_the_blocked_time():
    assert told([knock(0, 40)], segment(4, 28, cpu=2, blocked=3)) == 3


def test_between_two_knocks_that_both_waited_the_lock_was_held_too():
    busy = [knock(0, 5), knock(10, 15), knock(20, 25)]
    assert told(busy, segment(0, 25, cpu=1, blocked=24)) == pytest.approx(24)


moments = st.integers(0, 60).map(float)


@given(
    st.lists(st.tuples(moments, st.floats(0, 30), st.floats(0, 1)), max_size=12),
    moments, st.floats(0.1, 40), st.floats(0, 40), st.floats(0, 40),
)  # fmt: skip
def test_whatever_the_knocks_it_is_never_negative_nor_more_than_was_blocked(
    knocks, start, length, cpu, blocked
):
    told_of = sorted(
        (knock(due, due + took, took * share) for due, took, share in knocks), key=lambda k: k[1]
    )
    found = told(told_of, segment(start, start + length, cpu=cpu, blocked=blocked))
    assert found is None or 0 <= found <= blocked + 1e-6


def test_waiting_for_a_core_is_no_waiting_for_the_lock():
    assert told([knock(0, 10, 0), knock(15, 30, 0)], segment(4, 28, cpu=2, blocked=20)) == 0


def late(*knocks, seen: tuple[str, ...] = ()) -> float | None:
    """A frame that was due at 10 and began at 30: what of the gap it waited for the lock. ``seen``: what its
    thread was seen in, every 5 ms from 12 on."""
    made = frame(segment(30, 40, cpu=5, blocked=5))
    made.stages.insert(0, Stage("gap", "gap", 10 * MS, 30 * MS))
    waits = Waits()
    waits.add(knocks)
    for place, kind in enumerate(seen):
        waits.saw(Sample((12 + 5 * place) * MS, THREAD, kind, kind))
    waits.explain(made)
    found = made.stages[0].evidence.gil_ns
    assert made.stages[0].waited_in in {"", *seen} - {"running"}
    return None if found is None else found / MS


def test_a_thread_that_woke_up_for_its_frame_and_found_the_lock_held_began_late_by_that():
    assert late(knock(18, 30.5)) == 12
    assert late(knock(5, 17.9), knock(18, 30.5)) == 20  # held all the while
    assert late(knock(1, 3), knock(22, 30.5)) == 8  # in between nobody watched
    assert late(knock(18, 30.5), knock(38, 38.1)) == 12  # what came later says nothing


def test_a_thread_that_was_seen_between_its_frames_says_itself_what_made_it_late():
    assert late(seen=("gil",) * 4) == 20
    assert late(seen=("sleep", "gil", "running", "gil")) == pytest.approx(13.33, abs=0.01)
    assert late(knock(5, 17.9), knock(18, 30.5), seen=("sleep",) * 4) == 0  # held, but not against this one
    assert late(knock(5, 17.9), knock(18, 30.5), seen=("running",)) == 20


def test_a_source_that_was_late_is_not_the_lock():
    assert late(knock(5, 5.1), knock(25, 25.1)) is None
    assert late(knock(12, 24)) is None  # it was free again well before the frame began
    assert late() is None


def test_samples_divide_the_blocked_time_and_say_in_what():
    waits = Waits()
    for at, kind, text in (
        (1, "running", ""), (6, "io", "read() of a pipe"), (11, "io", "read() of a pipe"),
        (16, "lock", "a lock"), (21, "gil", "the interpreter lock"),
    ):  # fmt: skip
        waits.saw(Sample(at * MS, THREAD, kind, text))
        waits.saw(Sample(at * MS, THREAD + 1, "other", "ioctl() of a device"))  # another thread's
    made = frame(segment(0, 24, cpu=4, blocked=20))
    waits.explain(made)
    evidence = made.segments[0].evidence
    assert (evidence.io_ns, evidence.lock_ns, evidence.gil_ns) == (10 * MS, 5 * MS, 5 * MS)
    assert made.stages[0].waited_in == "read() of a pipe"


def test_samples_have_the_last_word_on_the_lock():
    waits = Waits()
    waits.add([knock(0, 30)])
    waits.saw(Sample(10 * MS, THREAD, "io", "read() of a pipe"))
    made = frame(segment(0, 24, cpu=4, blocked=20))
    waits.explain(made)
    assert made.segments[0].evidence.gil_ns == 0
    assert made.segments[0].evidence.io_ns == 20 * MS


def test_a_thread_that_was_only_seen_running_leaves_its_blocked_time_unnamed():
    waits = Waits()
    waits.saw(Sample(10 * MS, THREAD, "running", ""))
    made = frame(segment(0, 24, cpu=20, blocked=4))
    waits.explain(made)
    evidence = made.segments[0].evidence
    assert (evidence.io_ns, evidence.lock_ns, evidence.gil_ns) == (None, None, None)


def test_a_segment_whose_blocked_time_is_not_known_stays_as_it_is():
    waits = Waits()
    waits.add([knock(0, 30)])
    made = frame(Segment(THREAD, 0, 24 * MS, Evidence()))
    waits.explain(made)
    assert made.segments[0].evidence.gil_ns is None


def test_stacks_belong_to_the_stage_that_had_overrun_by_then():
    waits = Waits()
    seen = [(1, "a\nearly"), (6, "a\nb"), (11, "a\nb"), (16, "a\nc"), (40, "later")]
    waits.add([], [(THREAD, at * MS, stack) for at, stack in seen])
    waits.add([], [(THREAD + 1, 41 * MS, "another")])
    made = frame(segment(0, 24, cpu=4, blocked=20))
    waits.illustrate(made)
    assert made.stages[0].stacks == (("a\nb", 2), ("a\nc", 1))


# --- the sampler ------------------------------------------------------------------------------------------


class Threads:
    """Threads of a host that wait in what they are told to."""

    def __init__(self, **calls: Call | Exception) -> None:
        self.calls = calls
        self.asked: list[int] = []

    def read(self, thread: int) -> Call:
        self.asked.append(thread)
        call = self.calls[f"t{thread}"]
        if isinstance(call, Exception):
            raise call
        return call

    def close(self) -> None: ...


def page(*slots: tuple[int, int, int]) -> bytes:
    return b"".join(SLOT.pack(*slot) for slot in slots)


def sampler(threads: Threads) -> tuple[CallSampler, list[Sample], list[int]]:
    seen: list[Sample] = []
    now = [0]
    return CallSampler(1, "", None, seen.append, threads, lambda: now[0]), seen, now


def test_only_threads_in_a_frame_or_between_two_are_looked_at():
    threads = Threads(t10=Call("io", "read() of a pipe"), t11=Call("running"))
    made, seen, now = sampler(threads)
    now[0] = 10 * LEFT_NS
    made.look(
        page((10, 100, 5), (11, 110, -10 * LEFT_NS + 1), (12, 120, -9 * LEFT_NS), (13, 130, 0), (0, 0, 0))
    )
    assert threads.asked == [10, 11]
    assert seen == [Sample(now[0], 100, "io", "read() of a pipe"), Sample(now[0], 110, "running", "")]


def test_a_refusal_is_counted_tried_again_a_second_later_and_told_once(caplog):
    made, seen, now = sampler(Threads(t10=PermissionError()))
    for at in range(10):
        now[0] = at * RETRY_NS
        made.look(page((10, 100, 5)))
        made.look(page((10, 100, 5)))
    assert made.faults == {NOT_ALLOWED: 10}
    assert seen == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "ptrace_scope" in caplog.text


def test_a_host_whose_page_cannot_be_read_is_told_of_once(monkeypatch, caplog):
    def refused(*arguments: object) -> int:
        raise PermissionError

    monkeypatch.setattr("framescope.agent.call_sampler.os.open", refused)
    made, _, _ = sampler(Threads())
    made.start()
    made.close()
    assert made.faults == {NOT_ALLOWED: 1}
    assert len(caplog.records) == 1


def test_a_page_that_is_gone_is_counted(tmp_path):
    made = CallSampler(1, str(tmp_path / "gone"), None, lambda sample: None, Threads())
    made.start()
    made.close()
    assert made.faults == {"system_calls_no_page": 1}


def test_a_thread_that_has_ended_hides_no_other():
    made, seen, _ = sampler(Threads(t10=ProcessLookupError(), t11=Call("lock", "a lock")))
    made.look(page((10, 100, 5), (11, 110, 5)))
    assert [sample.thread for sample in seen] == [110]
    assert made.faults == {}
