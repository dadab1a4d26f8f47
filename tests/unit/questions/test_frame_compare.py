"""A frame beside what is expected of it, and beside another frame."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scene import scene, trace_id_of

from framescope_ui.questions.frame import frame
from framescope_ui.questions.frame_compare import compared
from framescope_ui.questions.views import FrameView, StageRow


async def seen(number: int) -> FrameView:
    view = await frame(scene().stores, trace_id_of(number))
    assert view is not None
    return view


def shorter(view: FrameView, stage: str, by: float) -> FrameView:
    rows = [
        replace(row, end=row.end - by) if row.name == stage and row.parent is None else row
        for row in view.stages
    ]
    latency = (view.item.latency_seconds or 0.0) - by
    return replace(view, stages=rows, item=replace(view.item, latency_seconds=latency, frame_id=7))


async def test_beside_the_expected_frame_the_stage_that_lost_comes_first() -> None:
    found = compared(await seen(1499), None)
    assert found.sentence == "19.0 ms longer than the expected frame: denoise +19.0 ms."
    first = found.stages[0]
    assert (first.name, first.this, first.other) == ("denoise", pytest.approx(0.024), 0.005)
    assert [one.difference for one in found.stages[1:]] == [None, None, None], "of these nothing is expected"


async def test_beside_another_frame_differences_are_signed_and_sorted() -> None:
    this = await seen(1499)
    found = compared(shorter(this, "render", 0.002), this)
    assert found.sentence == "2.0 ms shorter than frame 1499: render −2.0 ms."
    first = found.stages[0]
    assert (first.name, first.difference) == ("render", pytest.approx(-0.002))
    assert all(one.difference == 0 for one in found.stages[1:])
    assert compared(this, this).sentence == "It took as long as frame 1499."


async def test_a_stage_that_only_one_of_them_has_is_shown_with_nothing_beside_it() -> None:
    this = await seen(1499)
    other = replace(this, stages=[*this.stages, StageRow("upload", "io", 0.0, 0.001, None, None)])
    last = compared(this, other).stages[-1]
    assert (last.name, last.this, last.other, last.difference) == ("upload", None, 0.001, None)


async def test_readings_are_compared_within_their_stage_and_units_do_not_mix() -> None:
    found = compared(await seen(1499), await seen(1399))
    told = [(one.stage, one.name, one.unit) for one in found.readings]
    assert ("denoise", "GPU wait", "s") in told
    assert (None, "GPU load", "1") in told
    units = [one.unit for one in found.readings]
    assert units == sorted(units, key=lambda unit: {"s": 0, "1": 1}[unit])


async def test_what_is_expected_of_a_frame_judged_by_its_interval_is_no_latency() -> None:
    this = await seen(1499)
    assert this.verdict is not None
    late = replace(this, verdict=replace(this.verdict, axis="interval"))
    found = compared(late, None)
    assert found.whole.difference is None
    assert "not known" in found.sentence
