"""A store that tells of new frames is asked when there are some; one that fails to is asked as before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from memory_stores import MemoryTraces, away
from scene import NOW_NS, PIPELINE, SERVICE, scene

from framescope_ui.backends.protocols import Announces
from framescope_ui.questions.feed import LiveFeed
from framescope_ui.questions.stores import Stores

PACE = 0.5
"""s; a poll that takes longer than its pace is followed by the next one, with nothing to wait for."""


@dataclass
class Telling:
    """Which records were waited for, and what is told."""

    told: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    waited_for: list[int] = field(default_factory=list)
    fails: bool = False


class TellingTraces(MemoryTraces):
    def __init__(self, telling: Telling, like: MemoryTraces) -> None:
        super().__init__()
        self.kept, self.batches, self.marked = like.kept, like.batches, like.marked
        self._telling = telling

    async def arrived(self, service: str, pipeline: str, after_ns: int, patience_seconds: float) -> int:
        assert (service, pipeline) == (SERVICE, PIPELINE)
        self._telling.waited_for.append(after_ns)
        if self._telling.fails:
            raise away()
        try:
            async with asyncio.timeout(patience_seconds):
                return await self._telling.told.get()
        except TimeoutError:
            return after_ns


def feed_of(telling: Telling, interval: float) -> LiveFeed:
    made = scene(5)
    traces = TellingTraces(telling, made.traces)
    assert isinstance(traces, Announces) and not isinstance(made.traces, Announces)
    return LiveFeed(Stores(traces, made.metrics), interval_seconds=interval, clock_ns=lambda: NOW_NS)


async def test_each_poll_waits_for_what_is_newer_than_the_last_one_saw() -> None:
    telling = Telling()
    with feed_of(telling, PACE).subscribe(SERVICE, PIPELINE) as queue:
        await queue.get()
        telling.told.put_nowait(10)
        await queue.get()
        telling.told.put_nowait(20)
        await queue.get()
        while len(telling.waited_for) < 3:
            await asyncio.sleep(0.01)
    assert telling.waited_for[0] == 0
    assert [at for at in dict.fromkeys(telling.waited_for) if at] in ([10], [10, 20])


async def test_a_silent_store_and_one_that_fails_are_still_polled() -> None:
    for fails in (False, True):
        telling = Telling(fails=fails)
        with feed_of(telling, PACE).subscribe(SERVICE, PIPELINE) as queue:
            for _ in range(3):
                assert (await asyncio.wait_for(queue.get(), 30)).history
