"""Stores with a memory answer what the store would, and ask it for less."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from memory_stores import MemoryMetrics, away
from scene import NOW_NS, NS, PIPELINE, SERVICE, scene

from framescope import signals as sig
from framescope_ui.backends.protocols import BackendAway, FrameQuery
from framescope_ui.questions.rolling import RollingMetrics, RollingTraces

WHERE = {"service.name": SERVICE}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8))
@hypothesis_settings(max_examples=20, deadline=None)
async def test_as_time_goes_on_the_answers_are_those_of_the_store(steps: list[int]) -> None:
    made = scene(seconds=60)
    traces, metrics = RollingTraces(made.traces), RollingMetrics(made.metrics)
    query = FrameQuery(service=SERVICE, pipeline=PIPELINE, outcomes=("slow",), limit=12)
    now = NOW_NS - 60 * NS
    for step in steps:
        now += step * NS
        start = now - 30 * NS
        for metric in (sig.HW_GPU_UTILIZATION, sig.FS_GPU_PROCESS_UTILIZATION):
            told = await metrics.gauge(metric, WHERE, start, now)
            assert told == await made.metrics.gauge(metric, WHERE, start, now)
        asked = replace(query, start_ns=start, end_ns=now)
        assert (await traces.frames(asked)).frames == (await made.traces.frames(asked)).frames
        records = await traces.every_frame(SERVICE, PIPELINE, start, now)
        within = [b for b in records if b.start_ns + NS >= start]
        assert within == await made.traces.every_frame(SERVICE, PIPELINE, start, now)


async def test_only_the_new_part_is_asked_for() -> None:
    asked: list[int] = []

    class Counting(MemoryMetrics):
        async def gauge(self, metric, where, start_ns, end_ns, max_points=20_000):  # type: ignore[no-untyped-def]
            asked.append((end_ns - start_ns) // NS)
            return await super().gauge(metric, where, start_ns, end_ns, max_points)

    metrics = RollingMetrics(Counting())
    for second in range(3):
        now = NOW_NS + second * NS
        await metrics.gauge("m", {}, now - 300 * NS, now)
    assert asked == [300, 9, 9]


async def test_points_that_arrive_late_are_found() -> None:
    store = MemoryMetrics()
    metrics = RollingMetrics(store)
    store.put("m", [NOW_NS - 20 * NS, NOW_NS - NS], [1.0, 2.0])
    await metrics.gauge("m", {}, NOW_NS - 60 * NS, NOW_NS)
    store.series["m"].clear()
    store.put("m", [NOW_NS - 20 * NS, NOW_NS - 5 * NS, NOW_NS - NS], [1.0, 1.5, 2.0])
    (series,) = await metrics.gauge("m", {}, NOW_NS - 59 * NS, NOW_NS + NS)
    assert list(series.values) == [1.0, 1.5, 2.0]


async def test_what_was_missed_while_the_store_was_away_is_made_up_for() -> None:
    made = scene(seconds=60)
    traces = RollingTraces(made.traces)
    early = NOW_NS - 40 * NS
    await traces.every_frame(SERVICE, PIPELINE, early - 60 * NS, early)
    made.traces.error = away()
    with pytest.raises(BackendAway):
        await traces.every_frame(SERVICE, PIPELINE, NOW_NS - 70 * NS, NOW_NS - 10 * NS)
    made.traces.error = None
    assert len(await traces.every_frame(SERVICE, PIPELINE, NOW_NS - 60 * NS, NOW_NS)) == 60


async def test_everything_is_asked_again_after_a_while() -> None:
    store = MemoryMetrics()
    metrics = RollingMetrics(store)
    await metrics.gauge("m", {}, NOW_NS - 300 * NS, NOW_NS)
    store.put("m", [NOW_NS - 100 * NS], [1.0])
    assert await metrics.gauge("m", {}, NOW_NS - 299 * NS, NOW_NS + NS) == []
    later = NOW_NS + 62 * NS
    assert len(await metrics.gauge("m", {}, later - 300 * NS, later)) == 1


async def test_later_pages_and_other_orders_pass_through() -> None:
    made = scene(seconds=60)
    traces = RollingTraces(made.traces)
    for query in (
        FrameQuery(service=SERVICE, start_ns=0, end_ns=NOW_NS, order="duration", limit=5),
        FrameQuery(service=SERVICE, start_ns=0, end_ns=NOW_NS, cursor="5", limit=5),
        FrameQuery(service=SERVICE, limit=5),
    ):
        assert await traces.frames(query) == await made.traces.frames(query)


async def test_a_counter_is_not_asked_for_at_every_step() -> None:
    store = MemoryMetrics()
    metrics = RollingMetrics(store)

    async def increase(now: int) -> list[float]:
        series = await metrics.increase("m", {}, now - 60 * NS, now, NS)
        return [value for one in series for value in one.values]

    store.put("m", [NOW_NS - 5 * NS], [1.0])
    assert await increase(NOW_NS) == [1.0]
    store.put("m", [NOW_NS - 4 * NS], [2.0], other="x")
    assert await increase(NOW_NS + NS) == [1.0]
    assert await increase(NOW_NS + 3 * NS) == [1.0, 2.0]


async def test_while_the_store_is_away_nothing_remembered_passes_for_an_answer() -> None:
    store = MemoryMetrics()
    metrics = RollingMetrics(store)
    store.put(sig.FRAME_PERIOD, [NOW_NS - NS], [0.02])

    async def period(now: int) -> object:
        return await metrics.gauge(sig.FRAME_PERIOD, {}, now - 60 * NS, now)

    assert await period(NOW_NS)
    store.error = away()
    with pytest.raises(BackendAway):
        await metrics.gauge("other", {}, NOW_NS - 60 * NS, NOW_NS)
    with pytest.raises(BackendAway):
        await period(NOW_NS)
    store.error = None
    assert await period(NOW_NS)
