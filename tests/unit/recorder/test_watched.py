"""Queues of the host's own, looked at from outside."""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import threading
from collections import deque

import pytest

from framescope.handover import UNKNOWN
from framescope.recorder.watched import MOST_WAITS, WatchedQueue


class Clock:
    """Time as a test sets it."""

    now = 0

    def __call__(self) -> int:
        return self.now


def test_each_items_wait_is_from_its_put_to_its_get():
    clock, mine = Clock(), queue.Queue(4)
    watched = WatchedQueue("gpu", mine, clock)
    for clock.now in (10, 20):
        mine.put(clock.now)
    assert (watched.depth, watched.capacity) == (2, 4)
    clock.now = 25
    assert mine.get() == 10
    clock.now = 50
    assert mine.get_nowait() == 20
    assert watched.take_waits() == [15, 30]
    assert watched.take_waits() == []


def test_items_that_were_there_before_have_waited_nobody_knows_how_long():
    clock, mine = Clock(), queue.Queue()
    mine.put("old")
    watched = WatchedQueue("gpu", mine, clock)
    mine.put("new")
    clock.now = 7
    assert [mine.get(), mine.get()] == ["old", "new"]
    assert watched.take_waits() == [7]
    assert watched.capacity == UNKNOWN


def test_a_producer_that_is_held_and_one_that_is_refused_are_told_apart():
    mine = queue.Queue(1)
    watched = WatchedQueue("gpu", mine)
    mine.put(1)
    assert watched.blocked_ns == 0
    with pytest.raises(queue.Full):
        mine.put_nowait(2)
    assert watched.dropped == {"queue_full": 1}
    threading.Timer(0.02, mine.get).start()
    mine.put(3, timeout=5)
    assert watched.blocked_ns > 10_000_000


@pytest.mark.parametrize("kind", [queue.LifoQueue, queue.PriorityQueue])
def test_a_queue_of_another_order_gives_depth_and_no_waits(kind):
    mine = kind(3)
    watched = WatchedQueue("gpu", mine)
    mine.put(1)
    mine.put(2)
    assert watched.depth == 2
    mine.get()
    assert watched.take_waits() == []


async def test_an_asyncio_queue_tells_waits_holding_and_refusals():
    clock, mine = Clock(), asyncio.Queue(1)
    watched = WatchedQueue("gpu", mine, clock)
    await mine.put(1)
    with pytest.raises(asyncio.QueueFull):
        mine.put_nowait(2)
    holding = asyncio.create_task(mine.put(3))
    await asyncio.sleep(0)
    clock.now = 40
    assert await mine.get() == 1
    await holding
    assert watched.take_waits() == [40]
    assert watched.blocked_ns == 40
    assert watched.dropped == {"queue_full": 1}


def test_a_multiprocessing_queue_tells_capacity_and_refusals():
    mine = multiprocessing.get_context("spawn").Queue(1)
    watched = WatchedQueue("gpu", mine)
    mine.put(1)
    with pytest.raises(queue.Full):
        mine.put(2, block=False)
    assert (watched.capacity, watched.depth, watched.dropped) == (1, 1, {"queue_full": 1})
    assert watched.take_waits() == []
    assert mine.get(timeout=5) == 1
    mine.close()


def test_a_deque_tells_its_depth_and_capacity_alone():
    mine: deque[int] = deque([1, 2], maxlen=5)
    watched = WatchedQueue("gpu", mine)
    assert (watched.depth, watched.capacity, watched.blocked_ns) == (2, 5, UNKNOWN)


def test_waits_nobody_fetches_are_bounded_and_counted():
    mine: queue.Queue[int] = queue.Queue()
    watched = WatchedQueue("gpu", mine)
    for number in range(MOST_WAITS + 3):
        mine.put(number)
        mine.get()
    assert len(watched.take_waits()) == MOST_WAITS
    assert watched.missed_waits == 3


def test_what_cannot_tell_its_depth_is_unknown_and_raises_nothing():
    class Broken:
        def qsize(self) -> int:
            raise NotImplementedError

    assert WatchedQueue("x", Broken()).depth == UNKNOWN
    assert WatchedQueue("x", object()).depth == UNKNOWN
