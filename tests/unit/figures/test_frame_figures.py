"""The Frame page's figures: the critical path, threads, what was lost to what, neighbours that open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scene import scene, trace_id_of

from framescope_ui.figures.frame import neighbours_figure, waterfall_figure
from framescope_ui.figures.strip import strip_figure
from framescope_ui.questions.frame import frame
from framescope_ui.questions.views import FrameView, StageRow


async def seen() -> FrameView:
    view = await frame(scene().stores, trace_id_of(1499))
    assert view is not None
    return view


def rows() -> list[StageRow]:
    """capture and infer one after the other, upload hidden beside infer."""
    return [
        StageRow("capture", "io", 0.0, 0.004, 0.004, None, thread="grabber", on_path=[(0.0, 0.004)]),
        StageRow(
            "infer", "gpu", 0.004, 0.030, 0.010, 0.016, [("gpu_contention", 0.012), ("gc_pause", 0.004)],
            thread="worker", on_path=[(0.004, 0.030)],
        ),
        StageRow("upload", "cpu", 0.006, 0.012, None, None, thread="worker"),
    ]  # fmt: skip


async def test_the_critical_path_runs_along_the_bars_that_made_the_frame_long() -> None:
    figure = waterfall_figure(replace(await seen(), stages=rows()), "dark")
    (path,) = [trace for trace in figure.data if trace.name == "critical path"]
    assert list(path.x) == pytest.approx([0, 4, 4, 30])
    assert [round(y) for y in path.y] == [0, 0, 1, 1], "the hidden stage is not on it"


async def test_without_a_path_none_is_drawn() -> None:
    view = await seen()
    plain = replace(view, stages=[replace(row, on_path=()) for row in view.stages])
    assert all(trace.name != "critical path" for trace in waterfall_figure(plain, "dark").data)


async def test_threads_and_every_notable_loss_are_written() -> None:
    figure = waterfall_figure(replace(await seen(), stages=rows()), "dark")
    written = [note.text for note in figure.layout.annotations]
    assert {"grabber", "worker"} <= set(written)
    assert "GS 12.0 · BP 4.0 ms" in written


async def test_bars_say_what_they_are_in_a_saved_file() -> None:
    names = {trace.name for trace in waterfall_figure(await seen(), "dark").data}
    assert {"expected part, ms", "lost to GPU contention, ms", "frames in flight, ms"} <= names


@pytest.mark.parametrize("phone", [False, True])
async def test_end_and_budget_are_not_written_on_each_other(phone: bool) -> None:
    view = replace(await seen(), stages=rows(), budget_seconds=0.0295)
    view = replace(view, item=replace(view.item, latency_seconds=0.030))
    figure = waterfall_figure(view, "dark", phone=phone)
    end, budget = (
        next(note for note in figure.layout.annotations if str(note.text).startswith(text))
        for text in ("end", "budget")
    )
    assert (end.xanchor, end.yshift) != (budget.xanchor, budget.yshift)


async def test_a_change_marker_stands_on_every_chart_over_time() -> None:
    view = await seen()
    marked = replace(view, marks=[(view.due + 0.002, "deployed 1.4"), (view.due - 60, "long before")])
    every = view.neighbours
    assert every is not None
    changes = marked.marks
    for figure, at, named in (
        (neighbours_figure(marked, "dark"), 2.0, True),
        (waterfall_figure(marked, "dark"), 2.0, False),
        (
            strip_figure(every, "dark", view.due - 1, view.due + 1, changes=changes),
            (view.due + 0.002) * 1e3,
            True,
        ),
    ):
        lines = [s.x0 for s in figure.layout.shapes if s.x0 == s.x1 and s.line.dash == "1px,3px"]
        assert lines == pytest.approx([at], abs=1e-3)
        assert ("deployed 1.4" in [note.text for note in figure.layout.annotations]) is named


async def test_neighbours_that_were_kept_lead_to_their_frame_and_others_nowhere() -> None:
    view = await seen()
    kept = replace(view, kept_near=[replace(view.item, trace_id="b" * 32, frame_id=1490)])
    bars = neighbours_figure(kept, "dark").data[0]
    told = [(text, trace) for text, trace in zip(bars.hovertext, bars.customdata, strict=True) if trace]
    assert [trace for _, trace in told] == ["b" * 32]
    assert told[0][0].endswith(", click to open")
