"""A pipeline used as nobody should: it records what it can, counts the rest, and holds only so much."""

from __future__ import annotations

import gc
import os
import threading
import tracemalloc
from collections.abc import Callable

import pytest
from alone import delivered, faults, lost, pipeline

import framescope
from framescope.recorder import pipeline as recording
from framescope.recorder.marks import MOST_MARKS


def grown(work: Callable[[], object]) -> int:
    """Bytes more that are held after ``work`` than before."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = work()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return after - before


def test_ten_thousand_stages_in_a_frame_cost_no_more_than_the_first_two_thousand() -> None:
    p = pipeline()
    a = p.stage("a")

    def work() -> None:
        with p.frame():
            for _ in range(10_000):
                with a:
                    pass

    assert grown(work) < 40 * MOST_MARKS
    (record,) = delivered(p)
    assert len(record.marks) <= MOST_MARKS
    # The first that does not fit is counted, and each after it.
    assert lost(p)["stage_limit"] == 10_000 - len(record.marks) // 4


def test_ten_thousand_names_of_stages_are_a_bounded_number_of_stages() -> None:
    p = pipeline()
    with p.frame():
        for number in range(10_000):
            with p.stage(f"layer {number}"):
                pass
    (record,) = delivered(p)
    assert len(p._recorder.definition.stages) == recording.MAX_STAGES
    assert lost(p) == {"stage_names": 10_000 - recording.MAX_STAGES}
    assert len(record.marks) == 4 * recording.MAX_STAGES


def test_frames_nested_a_hundred_deep_are_each_their_own() -> None:
    p = pipeline()
    a = p.stage("a")

    def nest(depth: int) -> None:
        with p.frame(), a:
            if depth:
                nest(depth - 1)

    nest(99)
    records = delivered(p)
    assert [record.id for record in records] == list(reversed(range(100)))
    assert all(record.marks[0::2] == [0, ~0] for record in records)


def test_a_hundred_thousand_frames_nobody_ends_are_told_as_abandoned_or_counted() -> None:
    p = pipeline()

    def work() -> None:
        for _ in range(100_000):
            p.begin()

    assert grown(work) < 2_000 * recording.OUTBOX
    records = delivered(p)
    assert {(record.outcome, record.reason) for record in records} == {("failed", "abandoned")}
    assert len(records) + lost(p)["outbox_full"] == 100_000
    assert lost(p).total() == lost(p)["outbox_full"]


def test_a_hundred_thousand_frames_the_host_holds_on_to_are_its_own_memory() -> None:
    p = pipeline()
    held = [p.begin() for _ in range(1000)]
    assert delivered(p) == []
    del held
    gc.collect()
    assert len(delivered(p)) == 1000


def test_everything_goes_on_working_after_close_and_is_counted() -> None:
    p = pipeline()
    a = p.stage("a")
    q = framescope.Queue(p, "q", 2, "reject")
    open_frame = p.begin()
    p.close()
    p.close()
    with p.frame(x=1) as frame, a:
        frame.set(y=2)
    open_frame.end()
    assert q.put(p.begin(), 1)
    q.get(0)[0].end()
    p.stage("b")
    p.gauge("g", 1)
    p.mark("m")
    p.keep_last(1)
    p.begin().carry()
    p.resume(b"").drop()
    p.begin().fail(RuntimeError())
    assert delivered(p) == []
    assert lost(p)["after_close"] == 5


def test_a_frame_ended_in_every_way_at_once_is_one_frame() -> None:
    p = pipeline()
    a = p.stage("a")
    with p.frame() as frame:
        frame.end()
        frame.drop()
        frame.fail("x")
        frame.set(late=True)
        with frame.stage(a), a:
            pass
        frame.release()
        frame.take()
        assert frame.carry() == b""
    assert len(delivered(p)) == 1
    assert lost(p) == {"ended_twice": 3, "attribute_after_end": 1, "stage_after_end": 1}


def test_a_frame_entered_by_two_threads_at_once_is_one_frame() -> None:
    p = pipeline()
    a = p.stage("a")
    frame = p.begin()
    ready = threading.Barrier(4)

    def enter() -> None:
        ready.wait()
        for _ in range(200):
            with frame.stage(a):
                pass

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frame.end()
    assert len(delivered(p)) == 1
    assert faults(p) == {}


def test_a_thread_that_ends_inside_its_frame_leaves_an_abandoned_one() -> None:
    p = pipeline()
    a = p.stage("a")

    def work() -> None:
        frame = p.begin()
        frame.__enter__()
        a.__enter__()

    for _ in range(50):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    gc.collect()
    assert [(record.outcome, record.reason) for record in delivered(p)] == [("failed", "abandoned")] * 50


@pytest.mark.parametrize("jump_s", [3600, -3600, 10**9])
def test_a_wall_clock_that_jumps_moves_no_frame(jump_s: int) -> None:
    p = pipeline()
    recorder = p._recorder
    before = recorder.wall
    first = p.begin(captured_at=before() / 1e9)
    recorder.wall = lambda: before() + jump_s * 10**9
    second = p.begin(captured_at=recorder.wall() / 1e9)
    first.end()
    second.end()
    for record in delivered(p):
        assert abs(record.start_ns - record.due_ns) < 10**9
        assert record.start_ns <= record.end_ns


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_frame_that_is_forked_is_the_parents_alone() -> None:
    p = pipeline()
    read, write = os.pipe()
    with p.frame():
        child = os.fork()
        if not child:
            # What the front door does in a child; the stand-in of a process has no such hook.
            p._recorder.forget()
    with p.frame():
        pass
    told = [record.id for record in delivered(p)]
    if not child:
        os.write(write, repr((told, dict(lost(p)))).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert told == [0, 1]
    assert os.read(read, 1000) == repr(([2], {"left_elsewhere": 1, "begun_before_fork": 1})).encode()
    os.close(read)
    os.close(write)
