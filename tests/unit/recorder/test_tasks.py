"""Frames of asyncio tasks that take turns on one thread."""

from __future__ import annotations

import asyncio
import contextvars

from framescope.handover import works_in
from framescope.pipeline import OffPipeline
from framescope.probes.scheduler import NOTHING
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder


class Clock:
    """Counts the readings."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now


class Timer:
    """A GPU timer that only numbers what it was asked."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.next = 0

    def begin(self) -> int:
        self.next += 1
        self.open.add(self.next)
        return self.next

    def end(self, token: int) -> None:
        self.open.remove(token)

    def collect(self) -> list[object]:
        return []


def recorder() -> Recorder:
    return Recorder(0, "p", clock=Clock(), scheduler=lambda: (5, 5, 5), faults=Faults(raising=True))


def balanced(marks: list[object]) -> bool:
    """Whether every stage entered was left, inside the others."""
    open_stages: list[int] = []
    for what in marks[::2]:
        if isinstance(what, tuple):
            continue
        assert isinstance(what, int)
        if what >= 0:
            open_stages.append(what)
        elif open_stages.pop() != ~what:
            return False
    return not open_stages


async def test_tasks_that_take_turns_each_mark_their_own_frame():
    p = recorder()
    stages = [p.stage(name) for name in "abc"]

    async def one(number: int) -> None:
        async with p.begin(sequence=number):
            for stage in stages:
                with stage:
                    await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(5)))
    records = p.drain(10)
    assert sorted(record.sequence for record in records) == [0, 1, 2, 3, 4]
    assert all(record.marks[::2] == [0, ~0, 1, ~1, 2, ~2] for record in records)
    assert p.losses == {}


async def test_what_the_scheduler_tells_of_a_shared_thread_is_not_taken_for_a_tasks():
    p = recorder()
    async with p.begin():
        pass
    (record,) = p.drain(1)
    assert [(before, after) for _, _, before, _, after, _ in record.segments] == [(NOTHING, NOTHING)]
    assert record.gap is None


async def test_two_threads_that_share_a_frame_do_not_part_a_stage_from_its_time():
    p = recorder()
    a, b = p.stage("a"), p.stage("b")

    def work(stage: object) -> None:
        for _ in range(100):
            with stage:  # type: ignore[attr-defined]
                pass

    async with p.begin():
        await asyncio.gather(asyncio.to_thread(work, a), asyncio.to_thread(work, b))
    (record,) = p.drain(1)
    assert len(record.marks) == 800
    assert set(record.marks[::2]) == {0, ~0, 1, ~1}
    for index in (0, 1):
        assert balanced([x for what, at in zip(record.marks[::2], record.marks[1::2], strict=True)
                         for x in (what, at) if what in (index, ~index)])  # fmt: skip


async def test_a_task_that_outlives_its_frame_writes_into_no_other():
    p = recorder()
    stage = p.stage("a")
    go = asyncio.Event()

    async def late() -> None:
        await go.wait()
        with stage:
            pass

    async with p.begin():
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
    async with p.begin():
        go.set()
        await task
    first, second = p.drain(2)
    assert all(at > first.end_ns for at in first.marks[1::2])
    assert second.marks == []


def test_a_frame_left_in_another_context_than_it_was_entered_in_ends_all_the_same():
    p = recorder()
    frame = p.begin()
    contextvars.copy_context().run(frame.__enter__)
    frame.__exit__(None, None, None)
    assert [record.outcome for record in p.drain(2)] == ["done"]
    assert p.losses == {"left_elsewhere": 1}


async def test_gpu_stages_of_tasks_keep_their_own_tokens():
    p, timer = recorder(), Timer()
    stage = p.stage("reconstruct", "gpu", timer)

    async def one() -> None:
        async with p.begin():
            with stage:
                await asyncio.sleep(0)

    await asyncio.gather(one(), one())
    assert timer.open == set()
    assert sorted(works_in(record.marks) for record in p.drain(2)) == [[(0, 1)], [(0, 2)]]


async def test_a_gpu_stage_without_a_frame_launches_no_timer():
    p, timer = recorder(), Timer()
    with p.stage("reconstruct", "gpu", timer):
        pass
    assert timer.next == 0
    assert p.losses == {"stage_without_frame": 1}


async def test_a_runaway_loop_of_stages_is_cut_and_counted_and_the_next_frame_is_whole():
    p = recorder()
    stage = p.stage("a")
    for _ in range(2):
        with p.begin():
            for _ in range(3000):
                with stage:
                    pass
    with p.begin(), stage:
        pass
    first, _, third = p.drain(3)
    assert len(first.marks) <= 4100
    assert third.marks[::2] == [0, ~0]
    assert p.losses["stage_limit"] > 3000


async def test_a_pipeline_that_is_switched_off_awaits_nothing():
    async with OffPipeline("p").frame() as frame:
        assert frame.id == -1


def test_a_batch_is_the_stage_of_each_of_its_frames():
    p = recorder()
    infer = p.stage("infer")
    frames = [p.begin() for _ in range(3)]
    with infer.together(frames):
        pass
    for frame in frames:
        frame.end()
    assert [record.marks[::2] for record in p.drain(3)] == [[0, ~0]] * 3
