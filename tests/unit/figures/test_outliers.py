"""One frame that took far longer than all others does not hide them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from scene import NOW_NS, NS, PIPELINE, SERVICE, scene, trace_id_of
from test_correlate_page import START, answer

from framescope_ui.figures.correlate_time import time_figure
from framescope_ui.figures.frame import neighbours_figure, waterfall_figure
from framescope_ui.figures.latency_axis import FAR_BEYOND, latency_lane
from framescope_ui.figures.live import live_figure
from framescope_ui.figures.strip import strip_figure
from framescope_ui.questions.frame import frame
from framescope_ui.questions.live import live
from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.questions.views import EveryFrame, FrameView, SlowMark

BUDGET = 0.012
NOW = NOW_NS / NS
HUGE = 30.0
"""s: a frame that hung."""


def strip_of(longest: float) -> Any:
    every = EveryFrame(
        [START + i for i in range(10)],
        [*[0.009] * 9, longest],
        [*["on_time"] * 9, "slow"],
        [*[None] * 9, "gpu_contention"],
        list(range(10)),
        BUDGET,
        10,
    )
    return strip_figure(every, "dark", START, START + 10)


def test_within_ten_times_the_budget_the_axis_begins_at_zero() -> None:
    lane = latency_lane("Latency", 200, [0.008] * 5, FAR_BEYOND * BUDGET, BUDGET)
    assert (lane.low, lane.log, lane.unit) == (0, False, "ms")


def test_beyond_it_is_logarithmic_and_says_so() -> None:
    lane = latency_lane("Latency", 200, [0.008] * 5, 1.01 * FAR_BEYOND * BUDGET, BUDGET)
    assert lane.log and "log scale" in lane.unit
    assert 0 < lane.low < 8 and lane.high > FAR_BEYOND * BUDGET * 1e3
    assert lane.share(lane.low) == 0 and lane.share(lane.high) == 1


def test_without_any_latency_there_is_an_axis_all_the_same() -> None:
    assert latency_lane("Latency", 200, [], 0.0, None).high > 0
    assert not latency_lane("Latency", 200, [0.0], HUGE, None).log


@pytest.mark.parametrize("which", ["strip", "live", "correlate"])
async def test_a_frame_of_thirty_seconds_leaves_the_budget_and_the_others_where_they_are_seen(
    which: str,
) -> None:
    if which == "strip":
        figure = strip_of(HUGE)
    elif which == "live":
        seen = await live(scene(60).stores, SERVICE, PIPELINE, NOW_NS, Thresholds())
        hung = SlowMark(NOW - 5, HUGE, "gpu_contention", None, 1)
        figure = live_figure(replace(seen, slow_marks=[*seen.slow_marks, hung]), "dark")
    else:
        hung = SlowMark(START + 5, HUGE, "gpu_contention", None, 1)
        figure = time_figure(answer(slow_marks=[hung]), None, "dark")
    axis = figure.layout.yaxis
    low, high = axis.range
    assert axis.type == "log"
    budgets = [tick for tick, name in zip(axis.tickvals, axis.ticktext, strict=True) if "budget" in name]
    assert len(budgets) == 1
    share = (math.log10(budgets[0]) - low) / (high - low)
    assert share > 0.02
    labels = [note for note in figure.layout.annotations if note.yref == "y" and note.xref == "paper"]
    assert all(low - 0.3 <= note.y <= high + 0.3 for note in labels), "labels stand where their lines end"


def test_on_a_phone_the_budget_is_named_on_its_line_and_only_its_number_left_of_it() -> None:
    every = EveryFrame([START] * 3, [0.009, 0.009, HUGE], ["on_time"] * 3, [None] * 3, [1, 2, 3], BUDGET, 3)
    figure = strip_figure(every, "dark", START - 1, START + 1, phone=True)
    assert "12" in figure.layout.yaxis.ticktext
    (name,) = [note for note in figure.layout.annotations if note.text == "budget"]
    assert name.y == pytest.approx(math.log10(12))


async def slow_frame() -> FrameView:
    view = await frame(scene(60).stores, trace_id_of(1499))
    assert view is not None and view.neighbours is not None
    return view


async def test_a_neighbour_that_hung_is_cut_and_the_lane_says_so() -> None:
    view = await slow_frame()
    every = view.neighbours
    assert every is not None
    nearest = min(range(len(every.x)), key=lambda i: abs(every.x[i] - view.due))
    took = [HUGE if i == nearest else y for i, y in enumerate(every.latency_seconds)]
    figure = neighbours_figure(replace(view, neighbours=replace(every, latency_seconds=took)), "dark")
    assert figure.layout.yaxis.range[1] < 1000
    assert any("bars cut at" in str(note.text) for note in figure.layout.annotations)
    calm = neighbours_figure(view, "dark")
    assert not any("bars cut at" in str(note.text) for note in calm.layout.annotations)


async def test_a_loss_too_small_for_its_row_is_not_written_beside_it() -> None:
    view = await slow_frame()
    lost = [("python_gil", 6.19), ("cpu_contention", 0.0012)]
    rows = [replace(view.stages[0], start=0.0, end=6.2, lost=6.1912, lost_by_cause=lost)]
    texts = [
        str(note.text) for note in waterfall_figure(replace(view, stages=rows), "dark").layout.annotations
    ]
    assert any("BG 6" in text for text in texts)
    assert not any("CS 1.2" in text for text in texts)


def test_steps_without_frames_are_shaded_as_one_stretch() -> None:
    found = answer()
    course = replace(found.course, frames=[1000, 0, 0, 0, 1000, 1000, 0, 1000, 0, 0])
    figure = time_figure(replace(found, course=course), None, "dark")
    shaded = [
        ((shape.x0 / 1e3 - START) / 10, (shape.x1 / 1e3 - START) / 10)
        for shape in figure.layout.shapes
        if shape.type == "rect" and shape.yref == "y2"
    ]
    assert [(round(a), round(b)) for a, b in shaded] == [(1, 4), (6, 7), (8, 10)]
