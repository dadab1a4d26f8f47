"""One frame, whole: stages, verdict, surroundings, and what is missing."""

from __future__ import annotations

import pytest
from memory_stores import away
from scene import NOW_NS, PIPELINE, SERVICE, Scene, scene, slow_trace, trace_id_of

from framescope import signals as sig
from framescope_ui.backends.protocols import BackendAway, Span, Trace
from framescope_ui.questions.frame import frame
from framescope_ui.questions.views import FrameView

MS = 1_000_000


async def seen(made: Scene, number: int = 1499) -> FrameView:
    view = await frame(made.stores, trace_id_of(number))
    assert view is not None
    return view


async def test_stages_are_bars_from_the_due_time_with_gpu_work_under_its_stage() -> None:
    view = await seen(scene())
    assert [(s.name, s.parent) for s in view.stages] == [
        ("capture", None),
        ("denoise", None),
        ("denoise", "denoise"),
        ("render", None),
    ]
    stage, work = view.stages[1], view.stages[2]
    assert (stage.start, stage.end) == (pytest.approx(0.004), pytest.approx(0.028))
    assert stage.lost == pytest.approx(0.019)
    assert list(stage.lost_by_cause) == [("gpu_contention", pytest.approx(0.019))]
    assert (work.gpu_busy, work.gpu_wait) == (pytest.approx(0.004), pytest.approx(0.018))


async def test_the_verdict_accounts_for_the_loss_and_names_the_culprit() -> None:
    verdict = (await seen(scene())).verdict
    assert verdict is not None
    assert (verdict.cause, verdict.culprit_process, verdict.culprit_pid) == ("gpu_contention", "train", 11)
    assert verdict.lost_seconds == pytest.approx(0.019)
    assert sum(share.lost_seconds for share in verdict.shares) == pytest.approx(verdict.lost_seconds)
    assert verdict.sentence


async def test_around_it_raw_gpu_readings_queues_and_neighbours() -> None:
    view = await seen(scene())
    (gpu,) = view.series["gpu_utilization"]
    assert gpu.name == sig.SOFTWARE_ACCELERATOR
    assert len(gpu.x) == pytest.approx(40, abs=1)
    assert gpu.x[0] == pytest.approx(view.due - 2, abs=0.1)
    assert view.series["gpu_others"][0].y[0] == pytest.approx(0.2)
    assert [line.name for line in view.series["queue_depth"]] == ["RT"]
    assert len(view.series["queue_depth"][0].x) > 100
    assert view.neighbours is not None
    assert list(view.neighbours.frame_id) == list(range(1449, 1550))
    assert view.gpu_simulated
    assert view.missing == []


async def test_the_slow_frames_before_and_after_are_named() -> None:
    view = await seen(scene())
    assert (view.earlier_slow, view.later_slow) == (trace_id_of(1399), trace_id_of(1599))
    assert (await seen(scene(), 99)).earlier_slow is None
    assert (await seen(scene(), 2999)).later_slow is None


async def test_an_unknown_id_is_none() -> None:
    assert await frame(scene().stores, "f" * 32) is None


async def test_metrics_away_takes_only_the_readings() -> None:
    made = scene()
    made.metrics.error = away()
    view = await seen(made)
    assert view.verdict is not None
    assert view.series["gpu_utilization"] == []
    assert any("connection refused" in sentence for sentence in view.missing)


async def test_the_trace_store_away_is_an_error() -> None:
    made = scene()
    made.traces.error = away()
    with pytest.raises(BackendAway):
        await seen(made)


async def test_without_a_gpu_it_says_that_no_probe_ran() -> None:
    view = await seen(scene(with_gpu=False))
    assert any("no GPU probe" in sentence for sentence in view.missing)


async def test_a_trace_of_somebody_else_is_shown_as_it_is() -> None:
    made = scene()
    spans = (
        Span("f" * 32, "2" * 16, "1" * 16, "SELECT", 2 * MS, 8 * MS, {"db.system.name": "sqlite"}),
        Span("f" * 32, "1" * 16, None, "GET /", 0, 10 * MS, {"http.request.method": "GET"}),
    )
    made.traces.kept.append(Trace("f" * 32, {sig.SERVICE_NAME: "web"}, spans))
    view = await frame(made.stores, "f" * 32)
    assert view is not None
    assert view.foreign
    assert view.verdict is None
    assert [(s.name, s.start) for s in view.stages] == [("SELECT", 0.002)]
    assert ("http.request.method", "GET") in view.attributes


async def test_a_ring_of_parents_loses_no_span() -> None:
    made = scene()
    spans = (
        Span("f" * 32, "1" * 16, None, "root", 0, 10 * MS, {}),
        Span("f" * 32, "2" * 16, "3" * 16, "a", 1 * MS, 2 * MS, {}),
        Span("f" * 32, "3" * 16, "2" * 16, "b", 1 * MS, 2 * MS, {}),
        Span("f" * 32, "4" * 16, "4" * 16, "own parent", 3 * MS, 4 * MS, {}),
    )
    made.traces.kept.append(Trace("f" * 32, {}, spans))
    view = await frame(made.stores, "f" * 32)
    assert view is not None
    assert sorted(s.name for s in view.stages) == ["a", "b", "own parent"]


async def test_a_trace_whose_root_has_not_arrived_is_shown_as_far_as_it_goes() -> None:
    made = scene()
    whole = slow_trace(7, 10**18)
    made.traces.kept.append(Trace("e" * 32, {sig.SERVICE_NAME: SERVICE}, whole.spans[1:]))
    view = await frame(made.stores, "e" * 32)
    assert view is not None
    assert not view.foreign
    assert view.item.pipeline != PIPELINE
    assert any("root span" in sentence for sentence in view.missing)


def plain_trace(number: int, due_ns: int, blur_ms: float, outcome: str | None = None) -> Trace:
    """A frame as an emitter in another language may send it: no baseline, no verdict."""
    trace_id = trace_id_of(number)
    end_ns = due_ns + round((1 + blur_ms) * MS)
    stage = {sig.FRAME_STAGE_NAME: "blur", sig.FRAME_STAGE_KIND: "cpu", sig.CPU_TIME: blur_ms / 1000}
    root = {sig.FRAME_PIPELINE: "plain", sig.FRAME_BUDGET_LIMIT: 0.008}
    if outcome is not None:
        root[sig.FRAME_OUTCOME] = outcome
    spans = (
        Span(trace_id, "a" * 16, None, sig.SPAN_FRAME, due_ns, end_ns, root),
        Span(trace_id, "b" * 16, "a" * 16, "blur", due_ns + MS, end_ns, stage),
    )
    return Trace(trace_id, {sig.SERVICE_NAME: "camera"}, spans)


def plain_scene(on_time: int) -> Scene:
    made = Scene()
    for number in range(on_time):
        made.traces.kept.append(plain_trace(number, NOW_NS + number * 100 * MS, 2, "on_time"))
    made.traces.kept.append(plain_trace(99, NOW_NS + 3000 * MS, 20))
    return made


async def test_a_trace_that_tells_nothing_usual_is_judged_beside_on_time_frames_kept_around_it() -> None:
    view = await seen(plain_scene(12), 99)
    assert view.verdict is not None
    assert (view.verdict.cause, view.verdict.expected_seconds) == ("cpu_work", pytest.approx(0.003))
    assert (view.item.outcome, view.item.cause, view.item.stage) == ("slow", "cpu_work", "blur")
    (blur,) = view.stages
    assert (blur.expected, blur.lost) == (pytest.approx(0.002), pytest.approx(0.018))
    assert not any("usual" in sentence or "root span" in sentence for sentence in view.missing)


async def test_with_too_few_of_those_it_says_what_is_missing() -> None:
    view = await seen(plain_scene(3), 99)
    assert view.verdict is not None
    assert (view.verdict.cause, view.verdict.lost_seconds) == ("unknown", pytest.approx(0.013))
    assert any("3 on-time frames" in sentence and "12 are needed" in sentence for sentence in view.missing)
