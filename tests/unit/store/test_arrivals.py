"""Who waits for a pipeline's frames is told when they come, of that one only, and never waits for ever."""

from __future__ import annotations

import asyncio

from framescope_ui.store.arrivals import Arrivals

OURS, OTHER = ("us", "cine"), ("us", "doppler")


async def test_what_is_newer_already_is_told_at_once() -> None:
    arrivals = Arrivals()
    arrivals.note({OURS: 20})
    await asyncio.sleep(0)
    assert await arrivals.after(OURS, 10, 30) == 20


async def test_a_waiter_is_told_of_its_own_pipeline_from_another_thread() -> None:
    arrivals = Arrivals()
    waiting = asyncio.create_task(arrivals.after(OURS, 10, 30))
    await asyncio.sleep(0)
    await asyncio.to_thread(arrivals.note, {OTHER: 99})
    await asyncio.to_thread(arrivals.note, {OURS: 10})
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await asyncio.to_thread(arrivals.note, {OURS: 11})
    assert await waiting == 11


async def test_nothing_new_is_what_was_known_after_a_while() -> None:
    arrivals = Arrivals()
    assert await arrivals.after(OURS, 10, 0.01) == 10
    arrivals.note({OURS: 7})
    await asyncio.sleep(0)
    assert await arrivals.after(OURS, 10, 0.01) == 7
    assert not arrivals._waiting
