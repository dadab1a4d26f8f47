"""Live snapshots for many viewers: one poller a pipeline, whatever the number of viewers.

Each viewer has a queue of one: a viewer that lags gets the newest snapshot, never a backlog. A pipeline
nobody looks at is not polled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from framescope_ui.backends.protocols import BackendError
from framescope_ui.questions.health import carried_since, no_data
from framescope_ui.questions.live import live
from framescope_ui.questions.pipelines import picked, pipelines
from framescope_ui.questions.sources import Absences
from framescope_ui.questions.stores import Stores, seconds
from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.questions.views import Live, Source

log = logging.getLogger(__name__)

Key = tuple[str | None, str | None]
"""Service and pipeline as asked for; ``None`` takes the first one there is."""


@dataclass(slots=True)
class _Watched:
    """One pipeline with viewers."""

    viewers: set[asyncio.Queue[Live]] = field(default_factory=set)
    newest: Live | None = None
    poller: asyncio.Task[None] | None = None


class LiveFeed:
    """Polls what somebody looks at and hands each viewer the newest whole snapshot.

    A poll that fails publishes a snapshot without values, which says who is away and since when; the
    next poll that succeeds is the recovery, nothing has to be restarted.
    """

    def __init__(
        self,
        stores: Stores,
        thresholds: Thresholds | None = None,
        interval_seconds: float = 1.0,
        window_seconds: float = 300.0,
        patience_seconds: float = 5.0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """``patience_seconds`` is how long a poll may take before its stores count as away."""
        self._stores = stores
        self._thresholds = thresholds or Thresholds()
        self._interval = interval_seconds
        self._window = window_seconds
        self._patience = patience_seconds
        self._clock_ns = clock_ns
        self._absences = Absences()
        self._states: dict[Key, Live] = {}
        self._watched: dict[Key, _Watched] = {}

    @contextlib.contextmanager
    def subscribe(
        self, service: str | None = None, pipeline: str | None = None
    ) -> Iterator[asyncio.Queue[Live]]:
        """A queue that always holds the newest snapshot not yet taken: ``await queue.get()``."""
        key = (service, pipeline)
        watched = self._watched.setdefault(key, _Watched())
        queue: asyncio.Queue[Live] = asyncio.Queue(maxsize=1)
        watched.viewers.add(queue)
        if watched.newest is not None:
            _offer(queue, watched.newest)
        if watched.poller is None or watched.poller.done():
            watched.poller = asyncio.get_running_loop().create_task(self._poll(key, watched))
        try:
            yield queue
        finally:
            watched.viewers.discard(queue)
            if not watched.viewers:
                if watched.poller is not None:
                    watched.poller.cancel()
                if self._watched.get(key) is watched:
                    del self._watched[key]

    @property
    def watched(self) -> int:
        """How many pipelines are being polled."""
        return len(self._watched)

    async def snapshot(
        self, service: str | None = None, pipeline: str | None = None, window_seconds: float | None = None
    ) -> Live:
        """One snapshot, now: the poller's where one runs and is current, else asked for. Never raises."""
        watched = self._watched.get((service, pipeline))
        now_ns = self._clock_ns()
        newest = watched.newest if watched is not None and window_seconds is None else None
        if newest is not None and seconds(now_ns) - newest.time < 2 * self._interval:
            return newest
        return await self._asked((service, pipeline), now_ns, window_seconds or self._window)

    async def close(self) -> None:
        """End every poller."""
        pollers = [w.poller for w in self._watched.values() if w.poller is not None]
        for poller in pollers:
            poller.cancel()
        await asyncio.gather(*pollers, return_exceptions=True)

    async def _poll(self, key: Key, watched: _Watched) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            watched.newest = await self._asked(key, self._clock_ns(), self._window)
            for queue in tuple(watched.viewers):
                _offer(queue, watched.newest)
            await asyncio.sleep(max(0.05, self._interval - (loop.time() - began)))

    async def _asked(self, key: Key, now_ns: int, window_seconds: float) -> Live:
        service, pipeline = key
        now = seconds(now_ns)
        names = list(dict.fromkeys((self._stores.traces.name, self._stores.metrics.name)))
        try:
            async with asyncio.timeout(self._patience):
                if service is None or pipeline is None:
                    choice = picked(await pipelines(self._stores, now_ns), service, pipeline)
                    if choice is None:
                        return self._empty(key, now, [Source(n, "ok", None, None, "") for n in names])
                    service, pipeline = choice.service, choice.pipeline
                answer = await live(
                    self._stores, service, pipeline, now_ns, self._thresholds, window_seconds, self._step
                )
        except BackendError as error:
            return self._empty(key, now, [Source(error.backend, "away", None, None, error.reason)])
        except TimeoutError:
            reason = f"no answer within {self._patience:g} s"
            return self._empty(key, now, [Source(n, "away", None, None, reason) for n in names])
        except Exception as error:
            # A fault of ours must not end the feed: the page says so and the next poll tries again.
            log.exception("live snapshot of %s/%s failed", service, pipeline)
            reason = f"internal error ({type(error).__name__}), see the log"
            return self._empty(key, now, [Source("app", "away", None, None, reason)])
        self._absences.dated([Source("app", "ok", None, None, "")], now)
        health = replace(answer.health, sources=self._absences.dated(answer.health.sources, now))
        earlier = self._states.get((service, pipeline))
        answer = replace(answer, health=carried_since(earlier.health if earlier else None, health))
        self._states[(service, pipeline)] = answer
        return answer

    @property
    def _step(self) -> float:
        return max(0.1, self._interval)

    def _empty(self, key: Key, now: float, sources: list[Source]) -> Live:
        """A snapshot without any value, and why there is none."""
        dated = self._absences.dated(sources, now)
        away = [source for source in dated if source.status == "away"]
        if away:
            names = " and ".join(source.name for source in away)
            text = f"{names} away: {away[0].reason}"
            since = away[0].since
        else:
            text, since = "no pipeline has sent anything in the last day", None
        last = self._states.get(key)
        heard = last.time - last.newest_age_seconds if last and last.newest_age_seconds is not None else None
        return Live(
            time=now,
            service=key[0],
            pipeline=key[1],
            health=no_data(text, since, dated),
            newest_age_seconds=None if heard is None else max(0.0, now - heard),
            fps_in=None,
            fps_out=None,
            target_fps=None,
            latency_p50=None,
            latency_p95=None,
            latency_p99=None,
            budget_seconds=None,
            slow_share=None,
            dropped_per_minute=None,
            cpu_utilization=None,
            memory_utilization=None,
            process_cpu_utilization=None,
            process_memory_bytes=None,
        )


def _offer(queue: asyncio.Queue[Live], snapshot: Live) -> None:
    """Put the snapshot in, in the place of one that was not taken."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(snapshot)
