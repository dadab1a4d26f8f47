"""Where a stage was in its Python code, from its span to the Frame page."""

from __future__ import annotations

from dataclasses import replace

from plotly.utils import PlotlyJSONEncoder
from scene import scene, trace_id_of

from framescope import signals as sig
from framescope_ui.backends.protocols import Span, Trace
from framescope_ui.pages.frame import frame_page
from framescope_ui.pages.frame_timeline import innermost
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.frame import frame
from framescope_ui.questions.views import FrameView

LATE = "(seen late: until then another thread held the interpreter lock)"
STACKS = {
    sig.FRAME_STAGE_STACKS: ["app/main.py:9 run\napp/filter.py:41 denoise", f"app/main.py:9 run\n{LATE}"],
    sig.FRAME_STAGE_STACK_COUNTS: [5, 1],
}


async def seen(**more: object) -> FrameView:
    """The frame as it is shown, when its stage ``denoise`` tells this too."""
    made = scene()
    trace_id = trace_id_of(1499)
    trace = await made.stores.traces.trace(trace_id)
    assert trace is not None

    def told(span: Span) -> Span:
        ours = span.name == "denoise" and sig.GPU_TIME not in span.attributes
        return replace(span, attributes={**span.attributes, **more}) if ours else span

    async def instead(asked: str) -> Trace:
        return replace(trace, spans=[told(span) for span in trace.spans])

    made.stores.traces.trace = instead
    view = await frame(made.stores, trace_id)
    assert view is not None
    return view


def page(view: FrameView) -> str:
    return PlotlyJSONEncoder().encode(frame_page(view, Viewer()))


async def test_the_stacks_of_a_stage_are_told_with_how_often_they_were_seen() -> None:
    view = await seen(**STACKS)
    (row,) = [row for row in view.stages if row.stacks]
    assert row.name == "denoise"
    assert [count for _, count in row.stacks] == [5, 1]


async def test_the_page_lists_them_under_the_stages_by_the_innermost_call() -> None:
    shown = page(await seen(**STACKS))
    assert "Where denoise was, seen 6 times after its usual time" in shown
    first, second = shown.index('"app/filter.py:41 denoise"'), shown.index('"app/main.py:9 run"')
    assert first < second
    assert '" \\u00d75 of 6"' in shown
    assert "6 samples of this stage alone, taken once it had run its usual 5.0 ms" in shown
    assert LATE in shown


async def test_without_stacks_nothing_is_said_of_them() -> None:
    assert "after its usual time" not in page(await seen())


async def test_what_makes_no_sense_is_left_out_or_counted_once() -> None:
    assert not any(row.stacks for row in (await seen(**{sig.FRAME_STAGE_STACKS: "one text"})).stages)
    view = await seen(**{**STACKS, sig.FRAME_STAGE_STACK_COUNTS: [3]})
    (row,) = [row for row in view.stages if row.stacks]
    assert [count for _, count in row.stacks] == [1, 1]


def test_a_remark_on_a_stack_is_no_call_of_it() -> None:
    assert innermost(f"a.py:1 f\nb.py:2 g\n{LATE}") == "b.py:2 g"
    assert innermost("") == ""
