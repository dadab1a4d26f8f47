"""Who looks on beside the frames: which thread is in which frame, and where in its code."""

import gc
import os
import sys
import threading
import time
import weakref

import pytest
from apart import Apart

from framescope.handover import Batch
from framescope.pipeline import Pipeline, _Process
from framescope.recorder.faults import Faults
from framescope.recorder.open_frames import LEFT_NS, THREADS, InFrame, OpenFrames, Page, read_page
from framescope.recorder.stack_sampler import (
    LATE_NOTE,
    LINES,
    LOOKS_A_FRAME,
    STAGES,
    StackSampler,
    Usual,
    open_stage,
    stack_of,
)
from framescope.recorder.witnesses import Witnesses

MS = 1_000_000
linux = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only Linux has memory without a name")


class Watched(Apart):
    """A process whose threads are looked at."""

    def __init__(self, *probes: str) -> None:
        super().__init__()
        self.witnesses = Witnesses(probes, self.faults)


def threads_in_frames(watched: Watched, later_ns: int = LEFT_NS) -> list[tuple[int, int]]:
    """Those on the page, once whoever left a frame by now is of no more interest."""
    batch = Batch(1, "", 0, 0)
    watched.witnesses.tell(batch)
    assert batch.threads is not None
    path, _ = batch.threads
    with open(path, "rb") as page:  # noqa: PTH123
        return read_page(page.read(), time.monotonic_ns() + later_ns)


@linux
def test_a_thread_is_on_the_page_while_it_is_in_a_frame():
    watched = Watched("system_calls")
    pipeline = Pipeline("p", process=watched)  # type: ignore[arg-type]
    here = (threading.get_native_id(), threading.get_ident())
    assert threads_in_frames(watched) == []
    with pipeline.frame():
        assert threads_in_frames(watched) == [here]
    assert threads_in_frames(watched) == []


@linux
def test_a_thread_stays_on_the_page_for_a_moment_because_its_next_frame_may_be_late():
    watched = Watched("system_calls")
    with Pipeline("p", process=watched).frame():  # type: ignore[arg-type]
        pass
    assert threads_in_frames(watched, later_ns=0) == [(threading.get_native_id(), threading.get_ident())]
    assert threads_in_frames(watched, later_ns=LEFT_NS) == []


@linux
def test_a_thread_that_only_hands_frames_on_is_on_the_page_too():
    watched = Watched("system_calls")
    pipeline = Pipeline("p", process=watched)  # type: ignore[arg-type]
    pipeline.begin().release()
    assert threads_in_frames(watched, later_ns=0) == [(threading.get_native_id(), threading.get_ident())]
    with pipeline.frame():
        pipeline.begin().release()
        assert len(threads_in_frames(watched)) == 1


@linux
def test_a_thread_is_on_the_page_while_it_has_a_carried_frame_in_a_stage():
    watched = Watched("system_calls")
    pipeline = Pipeline("p", process=watched)  # type: ignore[arg-type]
    stage = pipeline.stage("s")
    frame = pipeline.begin()
    assert threads_in_frames(watched) == []
    with frame.stage(stage):
        assert len(threads_in_frames(watched)) == 1
    assert threads_in_frames(watched) == []
    frame.end()


def frames_here(watched: Watched) -> list[int]:
    """The pipelines of the frames that threads are in."""
    found = watched.witnesses._open
    assert found is not None
    return [one.pipeline for one in found.here.values() if not one.over]


@linux
def test_a_thread_is_back_in_its_frame_when_it_leaves_one_of_another_pipeline_inside():
    watched = Watched("system_calls")
    outer, inner = (Pipeline(name, process=watched) for name in "oi")  # type: ignore[arg-type]
    with outer.frame():
        with inner.frame(), outer.frame():
            assert frames_here(watched) == [outer._recorder.number]
        assert frames_here(watched) == [outer._recorder.number]
        assert len(threads_in_frames(watched)) == 1
    assert frames_here(watched) == [] == threads_in_frames(watched)


@linux
def test_frames_left_out_of_order_leave_none_behind():
    watched = Watched("system_calls")
    first, second = (Pipeline(name, process=watched) for name in "ab")  # type: ignore[arg-type]
    a, b = first.frame().__enter__(), second.frame().__enter__()
    a.__exit__(None, None, None)
    assert frames_here(watched) == [second._recorder.number]
    b.__exit__(None, None, None)
    assert frames_here(watched) == [] == threads_in_frames(watched)


@linux
async def test_a_task_s_frame_inside_leaves_the_thread_in_its_own():
    watched = Watched("system_calls")
    thread, task = (Pipeline(name, process=watched) for name in "ab")  # type: ignore[arg-type]
    with thread.frame():
        async with task.frame():
            pass
        assert frames_here(watched) == [thread._recorder.number]


@pytest.mark.parametrize("carried", [False, True])
def test_a_frame_under_way_while_its_holder_changes_is_left_all_the_same(carried: bool):
    """In a forked child nobody looks on any more; and somebody may begin to while a frame is open."""
    watched = Watched("stacks")
    pipeline = Pipeline("p", process=watched)  # type: ignore[arg-type]
    recorder, stage = pipeline._recorder, pipeline.stage("s")
    for change in (recorder.forget, lambda: watched.witnesses.watch(recorder)):
        before = recorder.losses.get("left_elsewhere", 0)
        with pipeline.begin().stage(stage) if carried else pipeline.frame():
            change()
        assert recorder.losses["left_elsewhere"] == before + 1


@linux
def test_frames_that_are_never_left_are_not_held_on_to():
    watched = Watched("stacks")
    pipeline = Pipeline("p", process=watched)  # type: ignore[arg-type]
    gone = [weakref.ref(pipeline.frame().__enter__()) for _ in range(50)]
    gc.collect()
    assert sum(one() is not None for one in gone) == 0
    assert len(watched.witnesses._open.here) == 1  # type: ignore[union-attr]


@linux
def test_a_thread_that_ended_gives_its_place_back():
    watched = Watched("system_calls")
    pipeline = Pipeline("p", process=watched)  # type: ignore[arg-type]

    def one_frame() -> None:
        with pipeline.frame():
            assert len(threads_in_frames(watched)) == 1

    for _ in range(THREADS + 5):
        thread = threading.Thread(target=one_frame)
        thread.start()
        thread.join()
    with pipeline.frame():
        assert len(threads_in_frames(watched)) == 1


@linux
def test_threads_beyond_the_page_are_not_on_it():
    page = Page()
    slots = [page.slot() for _ in range(THREADS + 1)]
    assert slots[-1] is None
    page.give_back(slots[0] or 0)
    assert page.slot() == slots[0]


@linux
def test_the_frames_of_a_forked_child_are_not_on_its_parent_s_page():
    watched = Watched("system_calls")
    pipeline = Pipeline("p", process=watched)  # type: ignore[arg-type]
    with pipeline.frame():
        child = os.fork()
        if child == 0:
            try:
                del watched.witnesses._open._local.slot  # type: ignore[union-attr]
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert len(threads_in_frames(watched)) == 1


def test_stages_write_into_the_same_marks_whether_or_not_somebody_looks():
    watched = Watched("stacks")
    pipeline = Pipeline("p", process=watched)  # type: ignore[arg-type]
    before = pipeline.stage("before")
    with pipeline.frame(), before, pipeline.stage("after"):
        pass
    (record,) = pipeline._recorder.drain(9)
    assert list(record.marks[::2]) == [0, 1, ~1, ~0]


def test_a_fault_while_looking_never_reaches_the_frame():
    told: list[str] = []
    onlooker = OpenFrames(clock=lambda: 1 // 0, page=object(), failed=told.append)  # type: ignore[arg-type]
    assert onlooker.enter(0, []) is None
    onlooker.leave(onlooker.here[threading.get_ident()], None)
    assert told == ["open_frames", "open_frames"]


def test_frames_that_make_no_sense_to_them_are_nobody_else_s_trouble():
    faults = Faults(raising=False)
    witnesses = Witnesses(("stacks",), faults)
    witnesses.look_at([("nonsense",)])
    assert faults.counts == {"witnesses": 1}


def test_stages_of_pipelines_made_over_and_over_are_not_remembered_forever():
    usual = Usual()
    for number in range(STAGES + 10):
        usual.learn(number, [0, 0, ~0, 4 * MS])
    assert len(usual._turns) == len(usual._median) == 10
    assert usual.overruns(STAGES + 9, 0, 6 * MS)


# --- stacks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], None),
        ([0, 5], (0, 5)),
        ([0, 5, ~0, 6], None),
        ([0, 5, 1, 6], (1, 6)),
        ([0, 5, 1, 6, ~1, 7], (0, 5)),
        ([0, 5, ("error", 0), "E", 1, 6, ~1], (1, 6)),  # half a pair: the other half is on its way
        ([0, 5, ~0, 6, 0, 7], (0, 7)),
    ],
)
def test_the_stage_under_way_is_read_off_the_marks(marks, expected):
    assert open_stage(marks) == expected


def deeper(calls: int) -> str:
    return deeper(calls - 1) if calls else stack_of(sys._getframe())


def test_a_stack_is_a_line_a_call_innermost_last_and_bounded():
    lines = deeper(40).splitlines()
    assert len(lines) == LINES
    assert lines[-1].startswith("recorder/test_onlookers.py:")
    assert lines[-1].endswith(" deeper")


class Look:
    """A sampler that looks when told, at this thread, in stage 0 of pipeline 3."""

    def __init__(self) -> None:
        self.now = 0
        self.frames = OpenFrames()
        self.sampler = StackSampler(self.frames, clock=lambda: self.now, stacks=lambda: {1: sys._getframe()})
        record = [None] * 12
        record[0], record[10] = 3, [0, 0, ~0, 4 * MS]
        self.sampler.look_at([tuple(record)])

    def at(self, ms: float, due_ms: float | None = None) -> list[str]:
        self.now = round(ms * MS)
        self.sampler.look(round((ms if due_ms is None else due_ms) * MS))
        return [text for _, _, text in self.sampler.take()]


def test_a_stage_is_looked_at_once_it_takes_longer_than_usual():
    look = Look()
    look.frames.here[1] = InFrame(3, [0, 0])
    assert look.at(3) == []
    assert look.at(4.9) == []
    assert len(look.at(6)) == 1


def test_a_stage_that_nobody_knows_yet_is_not_looked_at():
    look = Look()
    look.frames.here[1] = InFrame(3, [5, 0])
    assert look.at(500) == []


def test_a_look_that_came_late_says_so():
    look = Look()
    look.frames.here[1] = InFrame(3, [0, 0])
    (text,) = look.at(30, due_ms=10)
    assert text.endswith(LATE_NOTE)


def test_one_frame_is_looked_at_only_so_often():
    look = Look()
    look.frames.here[1] = InFrame(3, [0, 0])
    looks = sum(len(look.at(10 + at)) for at in range(3 * LOOKS_A_FRAME))
    assert looks == LOOKS_A_FRAME
    look.frames.here[1] = InFrame(3, [0, 0])  # the next frame
    assert len(look.at(1000)) == 1


class Nowhere:
    """A link that takes everything and sends nothing."""

    def send(self, message: bytes, frames: int) -> None: ...
    def revive(self) -> bool:
        return False

    def losses(self) -> dict[str, int]:
        return {}

    def close(self, timeout: float) -> None: ...


def test_an_agent_that_is_a_thread_of_the_host_looks_at_no_calls_and_says_so(monkeypatch, caplog):
    monkeypatch.setenv("FRAMESCOPE_AGENT", "thread")
    monkeypatch.setenv("FRAMESCOPE_PROBES_SYSTEM_CALLS", "1")
    process = _Process(Nowhere())
    try:
        batch = Batch(1, "", 0, 0)
        process.witnesses.tell(batch)
        assert batch.threads is None
        assert "emitter.probes.system_calls needs an agent that is a process" in caplog.text
    finally:
        process.close(1)
