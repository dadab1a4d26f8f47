"""Frames of asyncio tasks that take turns on one thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import threading
import time

import pytest

from framescope.agent.intake import fill, outline
from framescope.agent.waits import Waits
from framescope.handover import STEPS, THREAD, UNKNOWN, FrameRecord, noted, works_in
from framescope.judge.model import Frame
from framescope.pipeline import OffPipeline
from framescope.probes.scheduler import NOTHING
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder
from framescope.recorder.turns import Turns


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
    assert all(stages_of(record) == [0, ~0, 1, ~1, 2, ~2] for record in records)
    assert p.losses == {}


def stages_of(record: FrameRecord) -> list[object]:
    """The entries and exits of its stages, without notes."""
    return [what for what in record.marks[::2] if type(what) is int]


def as_the_agent_reads(record: FrameRecord, p: Recorder) -> Frame:
    frame = outline(record, p.definition, p.lose)
    fill(frame, record, p.definition, {}, [], p.lose, Waits().felt)
    return frame


class Busy:
    """A thread whose CPU time goes on only as a test says; the run queue and blocks stand still."""

    def __init__(self) -> None:
        self.cpu = 0

    def __call__(self) -> tuple[int, int, int]:
        return (self.cpu, 7, 7)


def used(record: FrameRecord) -> list[int]:
    """CPU time of each of a frame's segments."""
    return [after[0] - before[0] for _, _, before, _, after, _ in record.segments]


async def turns(p: Recorder, busy: Busy, framed: bool) -> list[FrameRecord]:
    """Two tasks that take turns: one uses 10 in each of its three steps, the other 1000."""

    async def work(amount: int) -> None:
        for _ in range(2):
            busy.cpu += amount
            await asyncio.sleep(0)
        busy.cpu += amount

    async def inside(amount: int) -> None:
        if framed:
            await p.begin(sequence=amount).around(work(amount))
        else:
            async with p.begin(sequence=amount):
                await work(amount)

    await asyncio.gather(inside(10), inside(1000))
    return p.drain(2)


async def test_a_tasks_cpu_time_is_what_it_used_between_its_awaits_and_nobody_elses():
    busy = Busy()
    p = Recorder(0, "p", scheduler=busy, faults=Faults(raising=True))
    first, second = await turns(p, busy, framed=True)
    assert (used(first), used(second)) == ([30], [3000])
    assert [noted(record.marks, STEPS)[0] for record in (first, second)] == [3, 3]
    assert first.gap is None


async def test_a_task_that_opens_its_frame_itself_is_read_the_same_where_python_tells_of_its_steps():
    busy = Busy()
    p = Recorder(0, "p", scheduler=busy, faults=Faults(raising=True))
    records = await turns(p, busy, framed=False)
    if sys.version_info >= (3, 12):
        assert [used(record) for record in records] == [[30], [3000]]
    else:  # unknown is better than another task's
        assert [(one.segments[0][2], one.segments[0][4]) for one in records] == [(NOTHING, NOTHING)] * 2


async def test_a_frame_opened_where_its_steps_cannot_be_seen_has_no_evidence():
    p = recorder()

    @contextlib.asynccontextmanager
    async def opened():
        async with p.begin():
            yield

    async with opened():
        await asyncio.sleep(0)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(p.begin())
        await asyncio.sleep(0)
    for record in p.drain(2):
        assert [(before, after) for _, _, before, _, after, _ in record.segments] == [(NOTHING, NOTHING)]
        assert noted(record.marks, STEPS) is None


async def test_what_a_task_awaits_and_what_it_raises_pass_through_its_frame():
    p = recorder()
    seen: list[str] = []

    async def work() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)  # it takes its time to end
            raise
        return "never"

    async def broken() -> None:
        await asyncio.sleep(0)
        raise ValueError("the host's own")

    async def answer() -> int:
        return await asyncio.wait_for(asyncio.to_thread(lambda: 5), 5)

    assert await p.begin().around(answer()) == 5
    with pytest.raises(ValueError, match="host's own"):
        await p.begin().around(broken())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(p.begin().around(work()), 0.01)
    assert seen == ["cancelled"]
    assert [record.outcome for record in p.drain(9)] == ["done", "failed", "failed"]
    assert p.losses == {}


async def test_time_that_a_task_was_ready_and_its_loop_ran_others_is_the_loops():
    ms = 1_000_000
    p = Recorder(0, "p", faults=Faults(raising=True))

    def hold() -> None:
        until = time.monotonic_ns() + 20 * ms
        while time.monotonic_ns() < until:
            pass

    async def work() -> None:
        asyncio.get_running_loop().call_soon(hold)  # it is ahead of this task's next step
        await asyncio.sleep(0)
        await asyncio.sleep(0.03)  # nobody holds the loop meanwhile

    await p.begin().around(work())
    (record,) = p.drain(1)
    count, inside_ns, loop_ns, queued_ns, *_ = noted(record.marks, STEPS)
    assert count == 3
    assert 20 * ms <= loop_ns + queued_ns < record.end_ns - record.start_ns - 20 * ms
    assert inside_ns < 20 * ms


async def test_a_timer_that_ran_out_while_others_had_the_loop_waited_for_the_loop():
    ms = 1_000_000
    p = Recorder(0, "p", faults=Faults(raising=True))

    def hold() -> None:
        until = time.monotonic_ns() + 30 * ms
        while time.monotonic_ns() < until:
            pass

    async def work() -> None:
        asyncio.get_running_loop().call_later(0.001, hold)
        await asyncio.sleep(0.004)

    await p.begin().around(work())
    (record,) = p.drain(1)
    *_, loop_ns, queued_ns, _, _, _ = noted(record.marks, STEPS)
    assert loop_ns + queued_ns >= 26 * ms
    assert record.end_ns - record.start_ns >= 30 * ms


@pytest.mark.parametrize(
    ("timeout", "found", "late_ms", "busy_since_ms"),
    [
        (0, True, 8, 0),  # it was not to wait at all
        (0.0021, False, 5, 3),  # 3 ms, as it rounds up
        (0.0021, True, 0, 8),  # nobody knows when what it found came
        (None, True, 0, 8),
    ],
)
def test_a_loop_is_late_while_a_select_does_not_return_whose_time_is_over(
    timeout, found, late_ms, busy_since_ms
):
    ms = 1_000_000
    now = [0]
    turns = Turns(0, lambda: now[0])
    now[0] = 8 * ms
    turns.turned(0, timeout, found)
    assert (turns.late_ns, turns.busy_since_ns) == (late_ms * ms, busy_since_ms * ms)


async def test_a_task_whose_loop_was_late_and_off_its_core_waited_for_the_interpreter_lock():
    """The scheduler read here says that nobody ran."""
    p = Recorder(0, "p", scheduler=Busy(), faults=Faults(raising=True))

    async def late_twice() -> None:
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        turns, plain = selector.framescope_turns, selector.select

        def select(timeout: float | None = None) -> object:
            called, events = time.monotonic_ns(), plain(timeout)
            time.sleep(0.01)  # as if the lock were held by another
            turns.turned(called, timeout, bool(events))
            return events

        selector.select = select
        await asyncio.sleep(0)
        await asyncio.sleep(0.002)
        selector.select = plain

    await p.begin().around(late_twice())
    (record,) = p.drain(1)
    *_, loop_ns, _, off_ns, _, lock_ns = noted(record.marks, STEPS)
    assert 19_000_000 <= lock_ns <= off_ns <= loop_ns


async def test_a_loop_that_cannot_be_watched_leaves_the_loops_part_unknown(monkeypatch):
    async def work() -> None:
        monkeypatch.undo()  # the loop itself cannot do without

    monkeypatch.setattr(asyncio.get_running_loop(), "_selector", object())
    p = recorder()
    await p.begin().around(work())
    (record,) = p.drain(1)
    assert noted(record.marks, STEPS)[2] == UNKNOWN
    assert as_the_agent_reads(record, p).segments[0].evidence.loop_ns is None


async def test_a_frame_of_ten_thousand_awaits_is_as_small_as_one_of_three():
    p = recorder()

    async def work(awaits: int) -> None:
        for _ in range(awaits):
            await asyncio.sleep(0)

    for awaits in (3, 10_000):
        await p.begin().around(work(awaits))
    few, many = p.drain(2)
    assert len(many.marks) == len(few.marks)
    assert len(many.segments) == len(few.segments) == 1
    assert noted(many.marks, STEPS)[0] == 10_001


async def test_a_stage_on_a_thread_the_task_lends_is_read_on_that_thread():
    p = recorder()
    infer = p.stage("infer")

    def model() -> int:
        with infer, infer:
            return threading.get_ident()

    async def work() -> int:
        with infer:
            await asyncio.sleep(0)
        return await asyncio.to_thread(model)

    lent = await p.begin().around(work())
    (record,) = p.drain(1)
    assert [segment[0] for segment in record.segments] == [threading.get_ident(), lent]
    frame = as_the_agent_reads(record, p)
    assert [stage.thread for stage in frame.stages] == [threading.get_ident(), lent, lent]
    assert [segment.evidence.loop_ns is None for segment in frame.segments] == [False, False]
    assert [segment.of_task for segment in frame.segments] == [True, False]


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
    assert set(record.marks[::2]) - {(STEPS, 0)} == {0, ~0, 1, ~1, (THREAD, 0), (THREAD, 1)}
    assert len(stages_of(record)) == 400
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
    assert stages_of(first) == [0, ~0]
    late = [at for what, at in zip(first.marks[::2], first.marks[1::2], strict=True) if what in (0, ~0)]
    assert all(at > first.end_ns for at in late)
    assert stages_of(second) == []


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


async def test_a_pipeline_that_is_switched_off_awaits_nothing_of_its_own():
    async with OffPipeline("p").frame() as frame:
        assert frame.id == -1
    assert await OffPipeline("p").frame().around(asyncio.sleep(0, 5)) == 5


def test_a_batch_is_the_stage_of_each_of_its_frames():
    p = recorder()
    infer = p.stage("infer")
    frames = [p.begin() for _ in range(3)]
    with infer.together(frames):
        pass
    for frame in frames:
        frame.end()
    assert [record.marks[::2] for record in p.drain(3)] == [[0, ~0]] * 3


async def test_a_frame_that_a_plain_with_block_holds_over_an_await_has_no_evidence_and_one_without_has():
    busy = Busy()
    p = Recorder(0, "p", scheduler=busy, faults=Faults(raising=True))

    async def held() -> None:
        with p.begin(sequence=1):
            busy.cpu += 10
            await asyncio.sleep(0)

    async def another() -> None:
        with p.begin(sequence=2):
            busy.cpu += 1000

    await asyncio.gather(held(), another())
    records = {record.sequence: record for record in p.drain(2)}
    assert records[1].segments[0][4] == NOTHING
    assert used(records[2]) == [1000]


async def test_a_frame_handed_from_task_to_task_has_no_evidence():
    busy = Busy()
    p = Recorder(0, "p", scheduler=busy, faults=Faults(raising=True))
    stage, frames = p.stage("a"), asyncio.Queue()

    async def consumer() -> None:
        frame = await frames.get()
        with frame.stage(stage):
            await asyncio.sleep(0)
        frame.end()

    task = asyncio.create_task(consumer())
    await asyncio.sleep(0)
    frames.put_nowait(p.begin())
    busy.cpu += 1000  # not the frame's
    await task
    (record,) = p.drain(1)
    assert record.segments[0][4] == NOTHING
