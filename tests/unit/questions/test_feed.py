"""The live feed: one poller for all viewers, none without, and a failing poll is a snapshot too."""

from __future__ import annotations

import asyncio

import pytest
from memory_stores import away
from scene import NOW_NS, NS, PIPELINE, SERVICE, Scene, scene

from framescope import signals as sig
from framescope_ui.backends.protocols import About, BackendRefused, Shortcoming
from framescope_ui.questions.abilities import Abilities
from framescope_ui.questions.feed import LiveFeed
from framescope_ui.questions.views import Source

FAST = 0.1


def feed_of(made: Scene, patience: float = 5.0) -> LiveFeed:
    return LiveFeed(made.stores, interval_seconds=FAST, patience_seconds=patience, clock_ns=lambda: NOW_NS)


async def test_without_viewers_nothing_is_asked() -> None:
    made = scene(5)
    feed_of(made)
    await asyncio.sleep(0.05)
    assert made.traces.asked == 0


async def test_many_viewers_are_served_by_one_poller() -> None:
    made = scene(5)
    feed = feed_of(made)
    with feed.subscribe(SERVICE, PIPELINE) as one, feed.subscribe(SERVICE, PIPELINE) as two:
        first, second = await one.get(), await two.get()
        assert first is second
        assert feed.watched == 1
    assert feed.watched == 0


async def test_a_viewer_that_lags_gets_the_newest_and_no_backlog() -> None:
    feed = feed_of(scene(5))
    with feed.subscribe(SERVICE, PIPELINE) as quick, feed.subscribe(SERVICE, PIPELINE) as slow:
        for _ in range(3):
            newest = await quick.get()
        assert slow.qsize() == 1
        assert slow.get_nowait() is newest


async def test_a_late_viewer_gets_the_last_snapshot_at_once() -> None:
    feed = feed_of(scene(5))
    with feed.subscribe(SERVICE, PIPELINE) as first:
        snapshot = await first.get()
        with feed.subscribe(SERVICE, PIPELINE) as late:
            assert late.get_nowait() is snapshot


async def test_a_store_away_is_said_and_recovery_needs_nothing() -> None:
    made = scene(20)
    feed = feed_of(made)
    with feed.subscribe(SERVICE, PIPELINE) as queue:
        assert (await queue.get()).fps_out is not None
        made.traces.error = made.metrics.error = away()
        while (missing := await queue.get()).history:
            pass
        assert missing.health.state == "NO DATA"
        assert missing.health.sources[0].status == "away"
        assert missing.health.sources[0].since == NOW_NS / NS
        assert missing.fps_out is None
        made.traces.error = made.metrics.error = None
        while (await queue.get()).fps_out is None:
            pass


async def test_a_store_that_hangs_counts_as_away() -> None:
    made = scene(5)
    made.traces.hangs = True
    snapshot = await feed_of(made, patience=0.05).snapshot(SERVICE, PIPELINE)
    assert "no answer" in snapshot.health.text


async def test_a_store_that_refuses_is_not_said_to_be_away() -> None:
    made = scene(5)
    made.traces.error = made.metrics.error = BackendRefused("tempo", "limit too large")
    snapshot = await feed_of(made).snapshot(SERVICE, PIPELINE)
    assert snapshot.health.sources[0].status == "error"
    assert snapshot.health.text == "tempo answered with an error: limit too large"


async def test_a_fault_of_ours_is_said_and_does_not_end_the_feed() -> None:
    made = scene(5)
    made.traces.error = ZeroDivisionError()  # type: ignore[assignment]
    feed = feed_of(made)
    with feed.subscribe(SERVICE, PIPELINE) as queue:
        assert "ZeroDivisionError" in (await queue.get()).health.text
        made.traces.error = None
        while (await queue.get()).fps_out is None:
            pass


async def test_who_asks_for_no_pipeline_gets_the_first_running_one() -> None:
    snapshot = await feed_of(scene(5)).snapshot()
    assert (snapshot.service, snapshot.pipeline) == (SERVICE, PIPELINE)


async def test_an_empty_store_is_no_data_and_no_fault() -> None:
    snapshot = await feed_of(Scene()).snapshot()
    assert snapshot.health.state == "NO DATA"
    assert [s.status for s in snapshot.health.sources] == ["ok"]


async def test_however_many_ask_at_once_the_stores_are_asked_once() -> None:
    made = scene(5)
    feed = feed_of(made)
    first, *others = await asyncio.gather(*(feed.snapshot(SERVICE, PIPELINE) for _ in range(10)))
    assert all(other is first for other in others)
    asked = made.traces.asked
    await feed_of(made).snapshot(SERVICE, PIPELINE)
    assert made.traces.asked == 2 * asked


async def test_an_asker_that_leaves_does_not_take_the_answer_from_the_others() -> None:
    feed = feed_of(scene(5))
    leaving = asyncio.create_task(feed.snapshot(SERVICE, PIPELINE))
    staying = asyncio.create_task(feed.snapshot(SERVICE, PIPELINE))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).fps_out is not None


async def test_made_up_names_are_not_remembered_without_bound() -> None:
    feed = feed_of(scene(2))
    for number in range(100):
        await feed.snapshot(f"made-up-{number}", "x")
    assert len(feed._windows) < 40


async def test_windows_of_different_length_are_apart() -> None:
    feed = feed_of(scene(60))
    short, long = await feed.snapshot(SERVICE, PIPELINE, 20), await feed.snapshot(SERVICE, PIPELINE, 50)
    assert len(short.history["cpu"][0].x) < len(long.history["cpu"][0].x)


async def test_with_the_traces_away_the_pipelines_are_those_that_were_counted() -> None:
    made = scene(20)
    made.traces.name = "tempo"
    made.traces.error = away("tempo")
    times = range(NOW_NS - 19 * NS, NOW_NS + 1, NS)
    made.metrics.put(
        sig.FRAME_COUNT,
        times,
        [50.0] * 20,
        service__name=SERVICE,
        frame__pipeline=PIPELINE,
        frame__outcome="on_time",
    )
    snapshot = await feed_of(made).snapshot()
    assert (snapshot.service, snapshot.pipeline) == (SERVICE, PIPELINE)
    assert snapshot.fps_out is not None


@pytest.mark.parametrize("named", [(None, None), (SERVICE, PIPELINE)])
async def test_with_both_away_both_are_named(named: tuple[str | None, str | None]) -> None:
    made = scene(5)
    made.traces.name, made.metrics.name = "tempo", "prometheus"
    made.traces.error, made.metrics.error = away("tempo"), away("prometheus")
    health = (await feed_of(made).snapshot(*named)).health
    assert {source.name: source.status for source in health.sources} == {
        "tempo": "away",
        "prometheus": "away",
    }
    assert "tempo away and prometheus away" in health.text


async def test_what_a_backend_cannot_answer_is_told_with_it() -> None:
    made = scene(5)
    made.metrics.name = "prometheus"
    made.metrics.said = About("Prometheus", "3.16", (Shortcoming("late points", "no window", "set one"),))
    feed = feed_of(made)
    await feed.snapshot(SERVICE, PIPELINE)
    while True:
        feed._windows.clear()
        sources = (await feed.snapshot(SERVICE, PIPELINE)).health.sources
        told = {source.name: [missing.what for missing in source.missing] for source in sources}
        if told["prometheus"]:
            break
        await asyncio.sleep(0)
    assert told["prometheus"] == ["late points"]
    assert told["memory"] == []


async def test_a_store_that_does_not_say_what_it_is_is_asked_again_later() -> None:
    made = scene(5)
    made.metrics.error = away("memory")
    abilities = Abilities(made.stores)
    source = Source("memory", "ok", None, None, "")
    abilities.told([source], now=0.0)
    await asyncio.sleep(0)
    made.metrics.error = None
    made.metrics.said = About("x", None, (Shortcoming("a", "b"),))
    assert abilities.told([source], now=1.0)[0].missing == ()
    await asyncio.sleep(0)
    abilities.told([source], now=20.0)
    await asyncio.sleep(0.01)
    assert [one.what for one in abilities.told([source], now=21.0)[0].missing] == ["a"]
    await abilities.close()
