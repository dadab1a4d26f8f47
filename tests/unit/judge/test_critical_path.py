"""The critical path as stretches, for a waterfall."""

from __future__ import annotations

from opentelemetry.sdk.resources import Resource

from framescope import signals as sig
from framescope.agent.keeper import Judged
from framescope.agent.spans import SpanMaker
from framescope.judge.model import Frame, Stage
from framescope.judge.path import critical_path, own
from framescope.judge.reading import read_frame


def test_it_leads_from_the_start_to_the_end_and_leaves_out_what_was_hidden():
    capture, infer, hidden, render = (
        Stage("capture", "io", 0, 2, thread=1),
        Stage("infer", "gpu", 2, 9, thread=1),
        Stage("thumbnail", "cpu", 3, 6, thread=2),
        Stage("render", "cpu", 10, 12, thread=1),
    )
    path = critical_path([capture, infer, hidden, render], 0, 12)
    assert [(begin, end, stage.name) for begin, end, stage in path] == [
        (0, 2, "capture"), (2, 9, "infer"), (10, 12, "render"),
    ]  # fmt: skip


def test_its_stretches_are_what_the_stages_own():
    stages = [Stage("a", "cpu", 0, 6, thread=1), Stage("b", "cpu", 4, 11, thread=2)]
    own(stages, 0, 12)
    path = critical_path(stages, 0, 12)
    assert {stage.name: end - begin for begin, end, stage in path} == {s.name: s.owned_ns for s in stages}


def test_a_trace_of_several_threads_tells_which_and_one_of_a_single_thread_does_not():
    def told(*threads: int) -> list[int | None]:
        stages = [Stage(str(n), "cpu", n, n + 1, thread=thread) for n, thread in enumerate(threads)]
        frame = Frame("p", id=1, sequence=1, due_ns=0, start_ns=0, end_ns=9, stages=stages)
        spans = SpanMaker(Resource({}), lambda ns: ns).frame(Judged(frame, kept="slow", weight=1))
        return [(span.attributes or {}).get(sig.THREAD_ID) for span in spans[1:]]  # type: ignore[misc]

    far = (4242 << 40) ^ 140_000_000_000_000
    assert told(7, 7) == [None, None]
    assert told(7, far) == [7, far & (2**53 - 1)]


def test_work_on_another_thread_is_not_taken_for_an_inner_stage():
    class Told:
        def __init__(self, name: str, start: int, end: int, parent: str | None, **attributes: object) -> None:
            self.span_id, self.parent_span_id, self.name = name, parent, name
            self.start_ns, self.end_ns = start, end
            self.attributes = {key.replace("__", "."): value for key, value in attributes.items()}

    frame = read_frame(
        [
            Told(sig.SPAN_FRAME, 0, 10, None, frame__pipeline="p"),
            Told("infer", 0, 10, sig.SPAN_FRAME, frame__stage__name="infer", thread__id=1),
            Told("thumbnail", 2, 6, sig.SPAN_FRAME, frame__stage__name="thumbnail", thread__id=2),
        ]
    )
    assert frame is not None
    assert [(stage.name, stage.owned_ns) for stage in frame.stages] == [("infer", 10), ("thumbnail", 0)]
