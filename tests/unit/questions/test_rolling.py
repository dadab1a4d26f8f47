"""Stores with a memory answer what the store would, and ask it for less."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from memory_stores import MemoryMetrics, away
from scene import NOW_NS, NS, PIPELINE, SERVICE, scene

from framescope import signals as sig
from framescope_ui.backends.protocols import BackendAway, FrameQuery
from framescope_ui.questions import rolling
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


# --- data that come late ------------------------------------------------------------------------------


async def test_what_a_queue_held_back_appears_as_soon_as_it_comes() -> None:
    store = MemoryMetrics()
    metrics = RollingMetrics(store)

    async def seen(now: int) -> list[float]:
        return [v for one in await metrics.gauge("m", {}, now - 300 * NS, now) for v in one.values]

    def sent(first: int, last: int) -> None:
        store.series["m"] = []
        store.put(
            "m", [NOW_NS + at * NS for at in range(first, last)], [float(at) for at in range(first, last)]
        )

    sent(-50, 0)
    for second in range(40):  # the backend answers all the while, with nothing new
        await seen(NOW_NS + second * NS)
    sent(-50, 40)
    assert await seen(NOW_NS + 40 * NS) == [float(at) for at in range(-50, 40)]


async def test_what_comes_in_any_order_after_an_outage_is_found_within_seconds() -> None:
    made = scene(seconds=120)
    every = list(made.traces.batches)
    traces = RollingTraces(made.traces)

    async def unseen(second: int) -> int:
        """How many records there are by then and not seen; none is seen twice."""
        now = NOW_NS - 60 * NS + second * NS
        found = await traces.every_frame(SERVICE, PIPELINE, now - 100 * NS, now)
        assert len({(b.start_ns, b.first_id) for b in found}) == len(found)
        there = {b.start_ns for b in every if now - 100 * NS <= b.start_ns < now}
        return len(there - {b.start_ns for b in found})

    made.traces.batches = every[:60]
    assert await unseen(0) == 0
    made.traces.error = away()
    for second in range(1, 20):
        with pytest.raises(BackendAway):
            await unseen(second)
    made.traces.error = None
    assert await unseen(30) == 30
    made.traces.batches = [*every[:60], *every[80:]]  # what the queue holds comes the newest first
    assert await unseen(40) == 20
    made.traces.batches = every
    await unseen(41)
    assert await unseen(46) == 0


async def test_a_store_that_always_shows_data_late_is_not_asked_for_everything() -> None:
    asked: list[int] = []

    class Late(MemoryMetrics):
        async def gauge(self, metric, where, start_ns, end_ns, max_points=20_000):  # type: ignore[no-untyped-def]
            asked.append((end_ns - start_ns) // NS)
            return await super().gauge(metric, where, start_ns, end_ns - 30 * NS, max_points)

    store = Late()
    store.put("m", [NOW_NS + at * NS for at in range(-400, 100)], [1.0] * 500)
    metrics = RollingMetrics(store)
    for second in range(20):
        now = NOW_NS + second * NS
        await metrics.gauge("m", {}, now - 300 * NS, now)
    assert asked[0] == 300
    assert max(asked[1:]) < 50


async def test_a_store_that_hangs_is_away_and_the_questions_behind_it_do_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rolling, "PATIENCE_SECONDS", 0.05)
    made = scene(5)
    made.traces.hangs = True
    traces = RollingTraces(made.traces)
    asking = (traces.marks(str(number), 0, NOW_NS) for number in range(50))
    answers = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 5)
    assert all(isinstance(answer, BackendAway) for answer in answers)
    assert made.traces.asked <= rolling.AT_ONCE


async def test_which_pipelines_there_are_is_asked_now_and_then_and_at_once_while_there_are_none() -> None:
    made = scene(seconds=60)
    asked: list[int] = []

    class Counting(type(made.traces)):  # type: ignore[misc]
        silent = True

        async def pipelines(self, start_ns, end_ns):  # type: ignore[no-untyped-def]
            asked.append(end_ns)
            return [] if self.silent else await made.traces.pipelines(start_ns, end_ns)

    store = Counting()
    traces = RollingTraces(store)
    for second in range(3):
        assert await traces.pipelines(NOW_NS + (second - 60) * NS, NOW_NS + second * NS) == []
    assert len(asked) == 3
    store.silent = False
    found = [
        await traces.pipelines(NOW_NS + (second - 60) * NS, NOW_NS + second * NS) for second in range(3, 6)
    ]
    assert all(one == found[0] != [] for one in found)
    assert len(asked) == 4
