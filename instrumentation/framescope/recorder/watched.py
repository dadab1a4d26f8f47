"""A queue of the host's own, looked at from outside: its depth, waits, blocked time and what it refused.

``queue.Queue`` and ``asyncio.Queue`` call ``_put`` and ``_get`` for every item, under their lock or on their
loop: these are their documented places to be overridden, and where an item's wait is taken. A subclass with
another order (last in first out, by priority) gives no waits: which item came back is not known. A
``multiprocessing.Queue`` is read in another process, so it gives no waits either; a ``deque`` has no methods
to be put in the way of and gives its depth alone.
"""

from __future__ import annotations

import asyncio
import queue as standard
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from framescope.handover import UNKNOWN

MOST_WAITS: Final = 4096
"""Waits held until they are shipped, ten times a second; what does not fit is counted."""
QUEUE_FULL: Final = "queue_full"


class WatchedQueue:
    """What is known of one queue. ``depth`` and ``capacity`` are ``UNKNOWN`` where it does not tell."""

    def __init__(self, name: str, queue: Any, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.name = name
        self.dropped: dict[str, int] = {}
        self.blocked_ns = UNKNOWN
        self.missed_waits = 0
        self._queue = queue
        self._clock = clock
        self._entered: deque[int] = deque()
        self._waits: deque[int] = deque()
        self.capacity = _capacity(queue)
        if type(queue) in (standard.Queue, asyncio.Queue):
            self._take_waits()
        if isinstance(queue, asyncio.Queue):
            self._take_blocked_of_tasks()
        elif hasattr(queue, "put") and self.capacity > 0:
            self._take_blocked()

    @property
    def depth(self) -> int:
        """Items in it now."""
        try:
            return int(self._queue.qsize() if hasattr(self._queue, "qsize") else len(self._queue))
        except (NotImplementedError, OSError, ValueError, TypeError):  # macOS has no count; or it was closed
            return UNKNOWN

    def take_waits(self) -> list[int]:
        """Waits in ns since the last call."""
        return [self._waits.popleft() for _ in range(len(self._waits))]

    def forget(self) -> None:
        """Start afresh in a forked child: what the parent counted is the parent's to send."""
        self._waits.clear()
        self.dropped = {}
        self.missed_waits = 0
        self.blocked_ns = min(self.blocked_ns, 0)

    # What is put in the way adds a clock reading and an append, and lets every exception through.

    def _take_waits(self) -> None:
        put, get, clock = self._queue._put, self._queue._get, self._clock
        # Items that are there already have waited for nobody knows how long.
        self._entered.extend([UNKNOWN] * self.depth)
        entered, waits = self._entered, self._waits

        def timed_put(item: Any) -> None:
            put(item)
            entered.append(clock())

        def timed_get() -> Any:
            item = get()
            since = entered.popleft() if entered else UNKNOWN
            if since != UNKNOWN:
                if len(waits) < MOST_WAITS:
                    waits.append(clock() - since)
                else:
                    self.missed_waits += 1
            return item

        self._queue._put, self._queue._get = timed_put, timed_get

    def _take_blocked(self) -> None:
        put, clock = self._queue.put, self._clock
        self.blocked_ns = 0

        def timed_put(item: Any, *args: Any, **kwargs: Any) -> None:
            full = self.depth >= self.capacity
            began = clock()
            try:
                put(item, *args, **kwargs)
            except standard.Full:
                self._count(QUEUE_FULL)
                raise
            finally:
                if full:
                    self.blocked_ns += clock() - began

        self._queue.put = timed_put

    def _take_blocked_of_tasks(self) -> None:
        put, put_nowait, clock = self._queue.put, self._queue.put_nowait, self._clock
        self.blocked_ns = 0

        async def timed_put(item: Any) -> None:
            began = clock() if self._queue.full() else UNKNOWN
            try:
                await put(item)
            finally:
                if began != UNKNOWN:
                    self.blocked_ns += clock() - began

        def counted_put(item: Any) -> None:
            try:
                put_nowait(item)
            except asyncio.QueueFull:
                self._count(QUEUE_FULL)
                raise

        self._queue.put, self._queue.put_nowait = timed_put, counted_put

    def _count(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def _capacity(queue: Any) -> int:
    """Items it holds at most; ``UNKNOWN`` where there is no limit or it does not tell."""
    for name in ("maxsize", "_maxsize", "maxlen"):
        told = getattr(queue, name, None)
        if isinstance(told, int) and 0 < told < 2**31 - 1:  # a multiprocessing queue's "none" is a large one
            return told
    return UNKNOWN
