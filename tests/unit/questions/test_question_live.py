"""The live snapshot: what it shows, and what it says when it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from memory_stores import MemoryMetrics, away
from scene import NOW_NS, NS, PIPELINE, SERVICE, Scene, scene, trace_id_of

from framescope import signals as sig
from framescope_ui.backends.protocols import BackendAway, BackendRefused, FrameBatch, HistogramSeries, Series
from framescope_ui.pages.live import alerts
from framescope_ui.questions.live import live
from framescope_ui.questions.thresholds import Limits, Thresholds
from framescope_ui.questions.views import Live


async def seen(made: Scene, now_ns: int = NOW_NS, thresholds: Thresholds | None = None) -> Live:
    return await live(made.stores, SERVICE, PIPELINE, now_ns, thresholds or Thresholds())


async def test_rates_and_exact_quantiles_come_from_every_frame() -> None:
    now = await seen(scene())
    assert now.fps_in == pytest.approx(50)
    assert now.fps_out == pytest.approx(50, abs=0.3)
    assert now.latency_p50 == pytest.approx(0.012)
    assert now.latency_p99 == pytest.approx(0.012)
    assert now.slow_share == pytest.approx(0.01, abs=0.003)
    assert (now.budget_seconds, now.target_fps) == (pytest.approx(0.020), pytest.approx(50))


async def test_a_healthy_pipeline_is_ok_at_its_own_target() -> None:
    assert (await seen(scene())).health.state == "OK"


async def test_an_absolute_limit_takes_the_place_of_the_relative_one() -> None:
    now = await seen(scene(), thresholds=Thresholds(fps=Limits(70, 50.5)))
    assert now.health.state == "CRITICAL"
    assert [reason.signal for reason in now.health.reasons] == ["fps_out"]
    assert "FPS" in now.health.text


async def test_gpu_queues_and_custom_numbers_are_read_now() -> None:
    now = await seen(scene())
    (gpu,) = now.gpus
    assert gpu.simulated
    assert gpu.name == sig.SOFTWARE_ACCELERATOR
    assert gpu.utilization == pytest.approx(0.6)
    assert gpu.temperature_celsius is None
    assert [(p.name, p.pid, p.ours) for p in gpu.processes] == [("python", 10, True), ("train", 11, False)]
    (queue,) = now.queues
    assert (queue.name, queue.depth, queue.capacity) == ("RT", 2.0, 8.0)
    assert queue.dropped_per_minute == pytest.approx(59)
    assert list(now.custom) == [("score", 0.93)]
    assert list(now.counted) == [("defects", pytest.approx(118))]
    assert [name for name, _ in now.lost_by_cause] == ["gpu_contention"]
    assert [text for _, text in now.marks] == ["deployed 1.4"]


async def test_history_has_a_line_for_each_thing_and_the_gpu_of_others_apart() -> None:
    history = (await seen(scene())).history
    assert set(history["latency_p99"][0].y) == {0.012, 0.031}
    assert history["gpu_others"][0].y[0] == pytest.approx(0.2)
    assert history["gpu_utilization"][0].name == sig.SOFTWARE_ACCELERATOR
    assert [line.name for line in history["queue_depth"]] == ["RT"]


async def test_every_slow_frame_is_marked_and_a_kept_one_can_be_opened() -> None:
    now = await seen(scene())
    assert len(now.slow_marks) == 30
    assert now.slow_marks[0].trace_id == trace_id_of(99)
    assert now.slow_marks[0].cause == "gpu_contention"


async def test_a_frame_of_an_earlier_run_with_the_same_number_is_not_taken_for_it() -> None:
    made = scene()
    made.traces.kept = list(scene(end_ns=NOW_NS - 100 * NS).traces.kept)
    assert {mark.trace_id for mark in (await seen(made)).slow_marks} == {None}


async def test_metrics_away_leaves_the_frames_and_says_so() -> None:
    made = scene()
    made.metrics = MemoryMetrics("prometheus")
    made.metrics.error = away("prometheus")
    now = await seen(made)
    assert now.fps_out == pytest.approx(50, abs=0.3)
    assert now.gpus == []
    assert {s.name: s.status for s in now.health.sources} == {"memory": "ok", "prometheus": "away"}


async def test_frames_away_is_no_data_whatever_the_metrics_say() -> None:
    made = scene()
    made.traces.name = "tempo"
    made.traces.error = away("tempo")
    now = await seen(made)
    assert now.health.state == "NO DATA"
    assert "tempo" in now.health.text
    assert now.cpu_utilization == pytest.approx(0.4)


async def test_with_every_store_away_nothing_can_be_answered() -> None:
    made = scene()
    made.traces.error = made.metrics.error = away()
    with pytest.raises(BackendAway):
        await seen(made)


async def test_a_silent_service_has_no_data_and_no_rates() -> None:
    now = await seen(scene(), now_ns=NOW_NS + 40 * NS)
    assert now.health.state == "NO DATA"
    assert now.fps_out is None
    assert now.latency_p99 is None
    assert now.newest_age_seconds == pytest.approx(40, abs=1)
    assert [s.status for s in now.health.sources] == ["ok", "silent"]


async def test_a_live_service_without_frames_has_stalled_at_zero() -> None:
    made = scene()
    made.traces.batches = made.traces.batches[:-20]
    now = await seen(made)
    assert now.fps_out == 0
    assert now.health.state == "CRITICAL"
    assert now.health.reasons[0].signal == "fps_out"


async def test_an_unknown_pipeline_is_empty_and_not_an_error() -> None:
    now = await live(scene().stores, "nobody", "nothing", NOW_NS, Thresholds())
    assert now.health.state == "NO DATA"
    assert now.fps_out is None
    assert now.slow_marks == []


async def test_without_records_the_histogram_answers_within_its_buckets() -> None:
    made = scene()
    made.traces.batches = []
    ends = [NOW_NS - 10 * NS, NOW_NS]
    made.metrics.histograms[sig.FRAME_LATENCY] = [
        HistogramSeries({}, [0.01, 0.02, 0.04], ends, [[0, 99, 1, 0], [0, 99, 1, 0]], [1.2, 1.2])
    ]
    made.metrics.put(
        sig.FRAME_COUNT,
        range(NOW_NS - 59 * NS, NOW_NS, NS),
        [50.0] * 59,
        service__name=SERVICE,
        frame__pipeline=PIPELINE,
        frame__outcome="on_time",
    )
    now = await seen(made)
    assert now.latency_p50 is not None
    assert 0.01 <= now.latency_p50 <= 0.02
    assert now.fps_out == pytest.approx(50, abs=0.3)


async def test_counts_exported_every_five_seconds_are_no_burst_in_one_of_them() -> None:
    made = scene()
    made.traces.batches = []
    made.metrics.put(
        sig.FRAME_COUNT,
        range(NOW_NS - 50 * NS, NOW_NS + 1, 5 * NS),
        [250.0] * 11,
        service__name=SERVICE,
        frame__pipeline=PIPELINE,
        frame__outcome="on_time",
    )
    now = await seen(made)
    assert now.fps_out == pytest.approx(50)
    (line,) = now.history["fps_out"]
    assert {round(y) for y in line.y if y is not None} == {50}


async def test_a_minute_without_an_emitter_is_no_minute_of_a_few_frames_a_second() -> None:
    made = scene()
    made.traces.batches = []
    before, after = (
        range(NOW_NS - 100 * NS, NOW_NS - 79 * NS, 5 * NS),
        range(NOW_NS - 20 * NS, NOW_NS + 1, 5 * NS),
    )
    made.metrics.put(
        sig.FRAME_COUNT,
        [*before, *after],
        [250.0] * 10,
        service__name=SERVICE,
        frame__pipeline=PIPELINE,
        frame__outcome="on_time",
    )
    now = await seen(made)
    assert now.fps_out == pytest.approx(50)
    (line,) = now.history["fps_out"]
    assert {round(y) for y in line.y if y is not None} == {50}
    assert not [
        x for x in line.x if NOW_NS / NS - 78 < x < NOW_NS / NS - 22 and line.y[line.x.index(x)] is not None
    ]


async def test_a_frame_that_claims_to_end_in_days_to_come_stretches_nothing() -> None:
    made = scene()
    last = made.traces.batches[-1]
    made.traces.batches[-1] = replace(last, latencies_us=[*last.latencies_us[:-1], 600_000_000_000])
    now = await seen(made)
    assert all(x <= NOW_NS / NS for lines in now.history.values() for line in lines for x in line.x)
    assert now.health.state == "OK"
    assert now.fps_out == pytest.approx(50, abs=0.5)
    assert now.latency_p99 == pytest.approx(0.012)
    assert now.newest_age_seconds == pytest.approx(0, abs=1)


async def test_a_stalled_pipeline_has_no_latency_now() -> None:
    made = scene(120)
    made.traces.batches = made.traces.batches[:-100]
    now = await seen(made)
    assert (now.latency_p50, now.latency_p95, now.latency_p99) == (None, None, None)
    assert now.fps_out == 0


async def test_a_stalled_pipeline_has_none_by_its_histogram_either() -> None:
    made = scene(120)
    made.traces.batches = []
    ends = [NOW_NS - at * NS for at in (100, 90, 50, 10, 0)]
    counts = [[0.0, 99.0, 1.0], [0.0, 99.0, 1.0], *([[0.0] * 3] * 3)]
    made.metrics.histograms[sig.FRAME_LATENCY] = [HistogramSeries({}, [0.01, 0.02], ends, counts, [1.0] * 5)]
    assert (await seen(made)).latency_p50 is None


async def test_no_window_asks_for_more_records_than_a_store_gives_and_each_for_all_its_readings() -> None:
    made = scene(5)
    limits: list[int] = []
    points: list[int] = []
    records, gauge = made.traces.every_frame, made.metrics.gauge

    async def every_frame(
        service: str, pipeline: str, start_ns: int, end_ns: int, limit: int = 3600
    ) -> list[FrameBatch]:
        limits.append(limit)
        return await records(service, pipeline, start_ns, end_ns, limit)

    async def counted(
        metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, max_points: int = 20_000
    ) -> list[Series]:
        if metric == sig.HW_GPU_UTILIZATION:
            points.append(max_points)
        return await gauge(metric, where, start_ns, end_ns, max_points)

    made.traces.every_frame = every_frame  # type: ignore[method-assign]
    made.metrics.gauge = counted  # type: ignore[method-assign]
    for window in (3600.0, 60_000.0):
        await live(made.stores, SERVICE, PIPELINE, NOW_NS, Thresholds(), window, step_seconds=60)
    assert limits == [7220, 100_000]
    assert points[0] >= 36_000
    assert points[1] <= 1_000_000


async def test_a_store_that_refuses_has_answered_with_an_error_and_is_not_away() -> None:
    made = scene()
    made.traces.name = "tempo"
    made.traces.error = BackendRefused("tempo", "query too long")
    now = await seen(made)
    assert {s.name: s.status for s in now.health.sources} == {"tempo": "error", "memory": "ok"}
    assert now.health.text == "tempo answered with an error: query too long"


# --- backends that show frames later than metrics, or only one of the two ------------------------------


def counted(made: Scene, until_ns: int = NOW_NS, slow: float = 0.0) -> Scene:
    """The scene with its frames counted by the metric store too, 50 a second."""
    own = {"service__name": SERVICE, "frame__pipeline": PIPELINE}
    times = range(NOW_NS - 59 * NS, until_ns + 1, NS)
    for outcome, share in (("on_time", 1 - slow), ("slow", slow), ("dropped", 0.0)):
        made.metrics.put(sig.FRAME_COUNT, times, [50.0 * share] * len(times), **own, frame__outcome=outcome)
    made.metrics.histograms[sig.FRAME_LATENCY] = [
        HistogramSeries({}, [0.01, 0.02, 0.04], [NOW_NS - 10 * NS, NOW_NS], [[0, 99, 1, 0]] * 2, [1.2] * 2)
    ]
    return made


@pytest.mark.parametrize("late", [3, 9, 12, 40])
async def test_frames_that_are_shown_late_are_no_stall(late: int) -> None:
    made = counted(scene(120))
    made.traces.batches = made.traces.batches[:-late]
    now = await seen(made)
    assert now.health.state == "OK", now.health.text
    assert now.fps_out == pytest.approx(50, abs=0.3)
    assert now.latency_p50 is not None
    assert all(y != 0 for y in now.history["fps_out"][0].y)


async def test_records_that_are_far_behind_leave_it_to_the_metrics_and_that_is_said() -> None:
    made = counted(scene(120))
    made.traces.batches = made.traces.batches[:-40]
    now = await seen(made)
    assert now.frames_late_seconds == pytest.approx(40, abs=1.1)
    assert now.history["fps_out"][0].x[-1] == pytest.approx(NOW_NS / NS, abs=1.1)
    assert now.slow_marks != []
    assert (await seen(counted(scene(120)))).frames_late_seconds is None


async def test_a_pipeline_whose_count_stands_still_has_stalled() -> None:
    made = counted(scene(120), until_ns=NOW_NS - 30 * NS)
    made.traces.batches = made.traces.batches[:-30]
    now = await seen(made)
    assert (now.fps_out, now.health.state) == (0, "CRITICAL")
    assert now.frames_late_seconds is None


async def test_with_only_the_frames_away_the_metrics_tell_the_state() -> None:
    made = counted(scene(), slow=0.4)
    made.traces.name = "tempo"
    made.traces.error = away("tempo")
    now = await seen(made)
    assert now.fps_out == pytest.approx(50, abs=0.3)
    assert now.latency_p99 is not None
    assert now.slow_share == pytest.approx(0.4)
    assert now.dropped_per_minute == 0
    assert now.health.state == "CRITICAL"
    assert [reason.signal for reason in now.health.reasons] == ["slow_share"]
    assert {s.name: s.status for s in now.health.sources}["tempo"] == "away"


async def test_with_only_the_frames_away_a_healthy_pipeline_stays_healthy_and_says_so() -> None:
    made = counted(scene())
    made.traces.name = "tempo"
    made.traces.error = away("tempo")
    now = await seen(made)
    assert now.health.state == "OK"
    assert now.health.text == "tempo away: the state is judged without it"


async def test_each_store_has_the_age_of_what_it_holds() -> None:
    made = counted(scene())
    made.traces.name, made.metrics.name = "tempo", "prometheus"
    made.traces.batches = made.traces.batches[:-7]
    ages = {source.name: source.newest_age_seconds for source in (await seen(made)).health.sources}
    assert ages["tempo"] == pytest.approx(7, abs=0.1)
    assert ages["prometheus"] == pytest.approx(0, abs=1)


async def test_what_framescope_lost_is_said_by_reason_whoever_lost_it() -> None:
    made = scene()
    for pipeline, reason, count in (
        (PIPELINE, "outbox_full", 3.0),
        ("", "agent_died", 2.0),  # of which pipeline they were, nobody knows any more
        ("", "export_queue_full", 7.0),
        (PIPELINE, "stage_limit", 5.0),
        (PIPELINE, "begun_before_fork", 1.0),
        ("", "points_rejected", 9.0),
        (PIPELINE, "own_reason", 4.0),  # of an emitter that is not ours
        ("another", "outbox_full", 100.0),
    ):
        made.metrics.put(
            sig.FS_FRAMES_LOST,
            [NOW_NS - NS],
            [count],
            service__name=SERVICE,
            frame__pipeline=pipeline,
            reason=reason,
        )
    made.metrics.put(
        sig.FS_INTERNAL_ERRORS, [NOW_NS - NS], [1.0], service__name=SERVICE, reason="stage.enter"
    )
    now = await seen(made)
    assert dict(now.losses) == {
        "outbox_full": 3, "agent_died": 2, "export_queue_full": 7, "stage_limit": 5, "begun_before_fork": 1,
        "points_rejected": 9, "own_reason": 4,
    }  # fmt: skip
    assert dict(now.faults) == {"stage.enter": 1}
    said = str(alerts(now))
    assert (
        "At least 6 frames are missing from these counts: outbox full 3, agent died 2, begun before fork 1."
        in said
    )
    assert "Readings beside the frames that are missing: points rejected 9." in said
    assert "At least 7 kept frames were counted but did not arrive: export queue full 7." in said
    assert "Left out of frames that are counted: stage limit 5, own reason 4." in said
    assert "framescope itself failed in places; the frames go on: stage.enter 1." in said
