"""Threads that truly run at once, as on a free-threaded Python: no frame is lost, doubled, or another's."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable

import pytest

import framescope
from framescope.probes.interpreter_lock import LockProbe, there_is_one
from framescope.testing import record

THREADS = 4
FRAMES = 2_000


def at_once(work: Callable[[int], None]) -> None:
    """Run ``work`` on every thread, all let go at one moment."""
    gate = threading.Barrier(THREADS)

    def run(number: int) -> None:
        gate.wait(30)
        work(number)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # where there is a lock, it changes hands often
    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)
    finally:
        sys.setswitchinterval(before)


def test_frames_of_all_threads_are_whole_and_each_has_a_number_of_its_own():
    with record() as recorded:
        pipeline = framescope.Pipeline("p", budget_ms=60_000)
        first, second = pipeline.stages("first", "second")

        def work(number: int) -> None:
            for _ in range(FRAMES):
                with pipeline.frame(thread=number):
                    with first:
                        pass
                    with second:
                        pass

        at_once(work)
        recorded.assert_no_losses()
        assert len({frame.id for frame in recorded.frames}) == THREADS * FRAMES
        recorded.assert_stage_order("first", "second")
        assert Counter(frame.attributes["thread"] for frame in recorded.frames) == dict.fromkeys(
            range(THREADS), FRAMES
        )


def test_losses_of_all_threads_are_counted_exactly():
    with record() as recorded:
        pipeline = framescope.Pipeline("p")
        stage = pipeline.stage("nowhere")

        def work(number: int) -> None:
            for _ in range(FRAMES):
                with stage:
                    pass

        at_once(work)
        assert recorded.losses == {"stage_without_frame": THREADS * FRAMES}


def test_frames_through_one_queue_come_out_once_each():
    with record() as recorded:
        pipeline = framescope.Pipeline("p", budget_ms=60_000)
        queue = framescope.Queue(pipeline, "q", 8)
        taken: list[int] = []

        def work(number: int) -> None:
            for count in range(FRAMES // 4):
                if number % 2:
                    frame, item = queue.get(30)
                    taken.append(item)
                    frame.end()
                else:
                    queue.put(pipeline.begin(), number * FRAMES + count, 30)

        at_once(work)
        assert len(taken) == len(set(taken)) == THREADS // 2 * (FRAMES // 4)
        recorded.assert_frames(len(taken))
        recorded.assert_stage_order("q")
        recorded.assert_no_losses()


async def test_a_tasks_frame_that_several_threads_write_in_keeps_their_pairs_together():
    with record() as recorded:
        pipeline = framescope.Pipeline("p", budget_ms=60_000)
        stages = pipeline.stages("a", "b", "c", "d")

        def work(number: int) -> None:
            for _ in range(100):
                with stages[number]:
                    pass

        async with pipeline.frame():
            await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(4)))
        (frame,) = recorded.frames
        assert Counter(frame.stage_names) == {"a": 100, "b": 100, "c": 100, "d": 100}
        assert all(stage.duration_ms >= 0 for stage in frame.stages)


@pytest.mark.skipif(there_is_one(), reason="this Python has the interpreter lock")
def test_without_an_interpreter_lock_nobody_knocks_at_it():
    probe = LockProbe(lambda: (0, 0, 0))
    probe.install()
    assert probe._thread is None
    assert probe.take() == []
