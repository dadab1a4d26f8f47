"""GPU times in traces: with a place of their own, or with none."""

from __future__ import annotations

from typing import Any

from framescope import signals as sig
from framescope.judge import Baseline, read_frame
from framescope.judge.model import Gpu
from framescope_ui.backends.protocols import Span

MS = 1_000_000


def trace(*children: Span, **stage: Any) -> tuple[Span, ...]:
    told = {sig.FRAME_STAGE_NAME: "denoise", sig.FRAME_STAGE_KIND: "gpu", **stage}
    root = Span("t", "0", None, sig.SPAN_FRAME, 0, 10 * MS, {sig.FRAME_PIPELINE: "p"})
    return (root, Span("t", "1", "0", "denoise", 1 * MS, 3 * MS, told), *children)


def work_of(spans: tuple[Span, ...]) -> Gpu:
    frame = read_frame(spans)
    assert frame is not None
    (stage,) = frame.stages
    assert stage.gpu is not None
    return stage.gpu


def test_work_with_a_span_of_its_own_is_placed() -> None:
    told = {sig.FRAME_STAGE_NAME: "denoise", sig.FRAME_STAGE_KIND: "gpu", sig.GPU_TIME: 0.005}
    work = work_of(trace(Span("t", "2", "1", "denoise on GPU", 2 * MS, 7 * MS, told)))
    assert (work.placed, work.start_ns, work.time_ns) == (True, 2 * MS, 5 * MS)


def test_a_time_on_the_stage_itself_says_for_how_long_and_not_when() -> None:
    work = work_of(trace(**{sig.GPU_TIME: 0.000003, sig.GPU_ID: "GPU-1"}))
    assert (work.placed, work.time_ns, work.device) == (False, 3000, "GPU-1")


def test_what_has_no_place_teaches_nothing_about_places() -> None:
    learnt = Baseline()
    for _ in range(20):
        frame = read_frame(trace(**{sig.GPU_TIME: 0.000003}))
        assert frame is not None
        learnt.learn(frame, undisturbed=True)
    learnt.settle()
    frame = read_frame(trace(**{sig.GPU_TIME: 0.000003}))
    assert frame is not None
    learnt.apply(frame)
    assert dict(frame.stages[0].expected_gpu) == {"time": 3000}


def test_a_clock_s_error_longer_than_the_work_leaves_it_no_place() -> None:
    assert Gpu("GPU-1", 0, 100, clock_error_ns=100).placed
    assert not Gpu("GPU-1", 0, 100, clock_error_ns=101).placed
    assert Gpu("software-0", 0, 0).placed  # of the host's own clock
