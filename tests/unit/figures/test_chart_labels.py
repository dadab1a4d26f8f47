"""What is written on the charts: names that fit, and nothing on top of anything else."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from plotly.utils import PlotlyJSONEncoder
from scene import NOW_NS, NS, PIPELINE, SERVICE, scene, trace_id_of

from framescope_ui.figures.frame import neighbours_figure, waterfall_figure
from framescope_ui.figures.lanes import NAME_CHARACTER
from framescope_ui.figures.live import live_figure
from framescope_ui.pages.frame import frame_page
from framescope_ui.pages.shell import in_browser
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.frame import frame
from framescope_ui.questions.live import live
from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.questions.views import FrameView, Live

NOW = NOW_NS / NS


async def snapshot() -> Live:
    return await live(scene(60).stores, SERVICE, PIPELINE, NOW_NS, Thresholds())


async def slow_frame() -> FrameView:
    view = await frame(scene(60).stores, trace_id_of(1499))
    assert view is not None
    return view


def written(figure: Any) -> list[Any]:
    return list(figure.layout.annotations)


def texts(figure: Any) -> list[str]:
    return [one.text for one in written(figure)]


async def test_on_a_phone_markers_are_lines_and_their_names_are_in_the_list() -> None:
    seen = replace(await snapshot(), marks=[(NOW - 5, "deployed 1.4")])
    assert "deployed 1.4" in texts(live_figure(seen, "dark"))
    figure = live_figure(seen, "dark", phone=True)
    assert "deployed 1.4" not in texts(figure)
    assert any(shape.x0 == (NOW - 5) * 1e3 and shape.x0 == shape.x1 for shape in figure.layout.shapes)


async def test_a_marker_in_a_gap_leaves_the_place_to_the_length_of_the_gap() -> None:
    seen = replace(await snapshot(), marks=[(NOW - 150, "deployed 1.4")])
    found = texts(live_figure(seen, "dark"))
    assert "deployed 1.4" not in found
    assert any(text.startswith("no frames, ") for text in found)


@pytest.mark.parametrize("window", [60.0, 300.0])
async def test_names_of_seventeen_markers_in_a_minute_do_not_touch(window: float) -> None:
    marks = [(NOW - 58 + 3.4 * i, f"config {i}") for i in range(17)]
    figure = live_figure(replace(await snapshot(), marks=marks), "dark", window)
    names = [one for one in written(figure) if str(one.text).startswith("config")]
    assert names
    marked = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1]
    assert {shape.x0 for shape in marked} == {time * 1e3 for time, _ in marks}
    through = [shape.x0 for shape in marked if shape.ysizemode != "pixel"]
    assert sorted(through) == sorted(one.x for one in names), "the others are ticks: lines would be a mesh"
    spans = []
    for one in names:
        width = len(one.text) * NAME_CHARACTER * window
        at = one.x / 1e3
        spans.append((at - width, at) if one.xanchor == "right" else (at, at + width))
    assert all(left[1] <= right[0] for left, right in pairwise(sorted(spans)))


async def test_a_few_markers_are_lines_also_where_their_names_have_no_room() -> None:
    marks = [(NOW - 20 + i, f"configuration {i}") for i in range(5)]
    figure = live_figure(replace(await snapshot(), marks=marks), "dark", 60.0)
    lines = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1 and shape.ysizemode != "pixel"]
    assert len(lines) == 5


async def test_the_start_is_not_named_where_the_budget_stands_on_it() -> None:
    view = await slow_frame()
    assert "start" in texts(waterfall_figure(view, "dark"))
    long = replace(view, item=replace(view.item, latency_seconds=0.25), budget_seconds=0.012)
    found = texts(waterfall_figure(long, "dark"))
    assert "start" not in found
    assert "budget 12.0" in found


async def test_a_frame_that_has_not_ended_is_said_to_be_so_and_drawn_without_an_end() -> None:
    view = await slow_frame()
    view = replace(view, item=replace(view.item, latency_seconds=None), end=None, verdict=None)
    assert not any(text.startswith("end ") for text in texts(waterfall_figure(view, "dark")))
    assert any("not ended" in text for text in texts(neighbours_figure(view, "dark")))
    assert "not ended" in PlotlyJSONEncoder().encode(frame_page(view, Viewer()))


@pytest.mark.parametrize("does", ["screen", "place", "arrived"])
def test_a_script_that_comes_late_is_waited_for(does: str) -> None:
    said = in_browser(does)
    assert f"window.framescope && window.framescope.{does}" in said
    assert said.index("if (!there()) return;") < said.index("done(go())")
