"""``pipeline.gpu_stage``: what it takes, and what it is without a GPU."""

from __future__ import annotations

import subprocess
import sys

import pytest
from apart import Apart

from framescope import Pipeline
from framescope.handover import WORK, FrameRecord
from framescope.probes.device import NOT_TIMED, GpuWork, next_token
from framescope.recorder.marks import NoMarks


def apart() -> Pipeline:
    return Pipeline("p", enabled=True, process=Apart())


class Timer:
    """A timer of somebody's own accelerator."""

    def __init__(self, *tokens: int) -> None:
        self.tokens = list(tokens)
        self.ended: list[int] = []

    def begin(self) -> int:
        return self.tokens.pop(0)

    def end(self, token: int) -> None:
        self.ended.append(token)

    def collect(self) -> list[GpuWork]:
        return []


def works(pipeline: Pipeline) -> list[int]:
    (record,) = pipeline._recorder.drain(10)
    return works_of(record)


def works_of(record: FrameRecord) -> list[int]:
    pairs = zip(record.marks[::2], record.marks[1::2], strict=True)
    return [token for what, token in pairs if type(what) is tuple and what[0] == WORK]


@pytest.mark.parametrize("carried", [False, True], ids=["in its frame", "carried by hand"])
def test_an_accelerator_of_your_own_is_timed_by_its_own_timer(carried: bool) -> None:
    pipeline, timer = apart(), Timer(7)
    stage = pipeline.gpu_stage("filter", timer)
    with pipeline.frame() as frame, frame.stage(stage) if carried else stage:
        assert timer.ended == []
    assert timer.ended == [7]
    assert works(pipeline) == [7]


@pytest.mark.parametrize("carried", [False, True], ids=["in its frame", "carried by hand"])
def test_a_turn_that_is_not_timed_has_no_work_to_wait_for(carried: bool) -> None:
    pipeline, timer = apart(), Timer(NOT_TIMED, 8)
    stage = pipeline.gpu_stage("filter", timer)
    with pipeline.frame() as frame:
        for _ in range(2):
            with frame.stage(stage) if carried else stage:
                pass
    assert timer.ended == [8]
    (record,) = pipeline._recorder.drain(10)
    assert works_of(record) == [8]
    assert [mark for mark in record.marks[::2] if type(mark) is int] == [0, ~0, 0, ~0]


def test_a_turn_that_is_not_timed_leaves_the_thread_as_it_was() -> None:
    pipeline = apart()
    stage = pipeline.gpu_stage("filter", Timer(NOT_TIMED))
    frame = pipeline.begin()
    with frame.stage(stage):
        pass
    assert isinstance(pipeline._recorder.marks.get(), NoMarks)
    frame.end()


def test_outside_a_frame_nothing_is_timed() -> None:
    pipeline, timer = apart(), Timer()
    with pipeline.gpu_stage("filter", timer):
        pass
    assert timer.ended == []


def test_what_is_no_stream_is_an_error_also_without_a_gpu() -> None:
    with pytest.raises(TypeError, match="is no CUDA stream"):
        apart().gpu_stage("filter", stream="0")


def test_switched_off_it_does_nothing() -> None:
    off = Pipeline("off", enabled=False)
    with off.frame(), off.gpu_stage("filter"):
        pass


def test_with_gpu_probes_off_a_gpu_stage_is_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
import framescope
pipeline = framescope.Pipeline("p")
with pipeline.frame(), pipeline.gpu_stage("filter"):
    pass
print(pipeline._recorder.timers, pipeline._recorder.definition.stages)
"""
    monkeypatch.setenv("FRAMESCOPE_PROBES_GPU", "0")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[] [('filter', 'gpu')]", "")


def test_tokens_are_one_count_for_all_timers() -> None:
    tokens = [next_token() for _ in range(3)]
    assert tokens == sorted(set(tokens))
    assert NOT_TIMED not in tokens
