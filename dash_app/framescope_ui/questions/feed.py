"""Live snapshots for many viewers: one poller a pipeline, whatever the number of viewers.

Each viewer has a queue of one: a viewer that lags gets the newest snapshot, never a backlog. A pipeline
nobody looks at is not polled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from framescope_ui.backends.protocols import Announces, BackendError
from framescope_ui.questions.abilities import Abilities
from framescope_ui.questions.health import carried_since, no_data
from framescope_ui.questions.live import live
from framescope_ui.questions.pipelines import chosen
from framescope_ui.questions.rolling import rolling
from framescope_ui.questions.sources import Absences, missing, source_of, trouble
from framescope_ui.questions.stores import Stores, Troubles, seconds
from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.questions.views import Live, Source

log = logging.getLogger(__name__)

Key = tuple[str | None, str | None, float]
"""Service and pipeline as asked for (``None`` takes the first one there is), and s of history."""

FORGET_SECONDS = 60.0
"""A window nobody has asked for in this long is forgotten, with what its stores remember."""
MOST_STEPS = 1800
"""Points of history at most: a browser draws no more than 2 000 of a series, gaps counted."""
LONG_SECONDS = 900.0
LONG_PACE = 4
"""A longer window is polled this much more slowly: an hour of 60 FPS takes 0.4 s of CPU to put together, five
minutes 0.05, and a pixel of it holds seconds."""
EARLIEST = 0.8
LATEST = 1.2
"""Shares of the pace between which a poll waits for its pipeline's next frames."""
MOST_UNUSED = 32
"""And so are the oldest beyond this many: names come from addresses, which anybody can write."""


@dataclass(slots=True)
class _Window:
    """What is known of one key. ``stores`` remember their last answers for it."""

    stores: Stores
    viewers: set[asyncio.Queue[Live]] = field(default_factory=set)
    poller: asyncio.Task[None] | None = None
    asking: asyncio.Task[Live] | None = None
    newest: Live | None = None
    answered: Live | None = None
    """The last snapshot that stores answered, where ``newest`` may be one that says they are away."""
    used: float = 0.0
    reached_ns: int = 0
    """How far the records reached that the last poll was made for, where the store tells of them."""


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
        patience_seconds: float = 8.0,
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
        self._abilities = Abilities(stores)
        self._windows: dict[Key, _Window] = {}

    @contextlib.contextmanager
    def subscribe(
        self, service: str | None = None, pipeline: str | None = None, window_seconds: float | None = None
    ) -> Iterator[asyncio.Queue[Live]]:
        """A queue that always holds the newest snapshot not yet taken: ``await queue.get()``.

        ``window_seconds`` of history, the feed's own where not given.
        """
        key = (service, pipeline, window_seconds or self._window)
        window = self._window_of(key)
        queue: asyncio.Queue[Live] = asyncio.Queue(maxsize=1)
        if window.newest is not None and window.viewers:
            _offer(queue, window.newest)
        window.viewers.add(queue)
        if window.poller is None or window.poller.done():
            window.poller = asyncio.get_running_loop().create_task(self._poll(key, window))
        try:
            yield queue
        finally:
            window.viewers.discard(queue)
            if not window.viewers and window.poller is not None:
                window.poller.cancel()
                window.poller = None

    @property
    def watched(self) -> int:
        """How many windows are being polled."""
        return sum(1 for window in self._windows.values() if window.viewers)

    async def snapshot(
        self, service: str | None = None, pipeline: str | None = None, window_seconds: float | None = None
    ) -> Live:
        """One snapshot, not older than the interval. Never raises: who is away is in its ``health``.

        However many ask at once, the stores are asked once.
        """
        key = (service, pipeline, window_seconds or self._window)
        window = self._window_of(key)
        if window.newest is not None and seconds(self._clock_ns()) - window.newest.time < self._pace(key[2]):
            return window.newest
        return await self._refreshed(key, window)

    def backends(self) -> list[Source]:
        """The backends with what they are known not to answer, whether or not they are there now."""
        names = dict.fromkeys((self._stores.traces.name, self._stores.metrics.name))
        there = [Source(name, "ok", None, None, "") for name in names]
        return self._abilities.told(there, seconds(self._clock_ns()))

    async def close(self) -> None:
        """End every poller."""
        tasks = [t for w in self._windows.values() for t in (w.poller, w.asking) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self._abilities.close(), return_exceptions=True)

    def _window_of(self, key: Key) -> _Window:
        now = seconds(self._clock_ns())
        if key not in self._windows:
            unused = [(w.used, k) for k, w in self._windows.items() if not w.viewers]
            spare = sorted(unused, key=lambda one: one[0])[: max(0, len(unused) - MOST_UNUSED)]
            for other in [k for used, k in unused if now - used > FORGET_SECONDS] + [k for _, k in spare]:
                self._windows.pop(other, None)
            self._windows[key] = _Window(rolling(self._stores))
        self._windows[key].used = now
        return self._windows[key]

    async def _refreshed(self, key: Key, window: _Window) -> Live:
        if window.asking is None or window.asking.done():
            window.asking = asyncio.get_running_loop().create_task(self._asked(window, key, self._clock_ns()))
        # Shielded: one asker that leaves must not take the answer from the others.
        window.newest = await asyncio.shield(window.asking)
        return window.newest

    async def _poll(self, key: Key, window: _Window) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            snapshot = await self._refreshed(key, window)
            window.used = seconds(self._clock_ns())
            for queue in tuple(window.viewers):
                _offer(queue, snapshot)
            await self._until_due(window, snapshot, self._pace(key[2]), began)

    async def _until_due(self, window: _Window, snapshot: Live, pace: float, began: float) -> None:
        """Wait for the next poll: when the store has more, after most of the pace; else when it is past.

        Emitters send about once a second. Whoever asks at moments of his own shows it up to a pace later.
        """
        loop, store = asyncio.get_running_loop(), self._stores.traces
        service, pipeline = snapshot.service, snapshot.pipeline
        tells = isinstance(store, Announces) and service is not None and pipeline is not None
        await asyncio.sleep(max(0.05, pace * (EARLIEST if tells else 1.0) - (loop.time() - began)))
        patience = pace * LATEST - (loop.time() - began)
        if isinstance(store, Announces) and service is not None and pipeline is not None and patience > 0:
            try:
                window.reached_ns = await store.arrived(service, pipeline, window.reached_ns, patience)
            except BackendError:
                await asyncio.sleep(patience)

    async def _asked(self, window: _Window, key: Key, now_ns: int) -> Live:
        service, pipeline, window_seconds = key
        stores = window.stores
        now = seconds(now_ns)
        names = list(dict.fromkeys((self._stores.traces.name, self._stores.metrics.name)))
        looking, asking = Troubles(), Troubles()
        try:
            async with asyncio.timeout(self._patience):
                if service is None or pipeline is None:
                    choice = await chosen(stores, now_ns, service, pipeline, looking)
                    if choice is None:
                        nothing = [Source(n, "ok", None, None, "") for n in names]
                        return self._empty(window, key, now, self._abilities.told(nothing, now))
                    service, pipeline = choice.service, choice.pipeline
                answer = await live(
                    stores,
                    service,
                    pipeline,
                    now_ns,
                    self._thresholds,
                    window_seconds,
                    step_of(self._interval, window_seconds),
                    asking,
                )
        except BackendError:
            return self._empty(window, key, now, [source_of(error) for error in (asking.all or looking.all)])
        except TimeoutError:
            reason = f"no answer within {self._patience:g} s"
            return self._empty(window, key, now, [Source(n, "away", None, None, reason) for n in names])
        except Exception as error:
            # A fault of ours must not end the feed: the page says so and the next poll tries again.
            log.exception("live snapshot of %s/%s failed", service, pipeline)
            reason = f"internal error ({type(error).__name__}), see the log"
            return self._empty(window, key, now, [Source("app", "error", None, None, reason)])
        self._absences.dated([Source("app", "ok", None, None, "")], now)
        sources = self._abilities.told(self._absences.dated(answer.health.sources, now), now)
        away = [source.since for source in sources if missing(source)]
        health = replace(answer.health, sources=sources)
        if health.state == "NO DATA" and health.since is None and away:
            health = replace(health, since=away[0])
        earlier = window.answered.health if window.answered is not None else None
        answer = replace(answer, health=carried_since(earlier, health))
        window.answered = answer
        return answer

    def _pace(self, window_seconds: float) -> float:
        """s between two polls of a window."""
        return self._interval * (LONG_PACE if window_seconds > LONG_SECONDS else 1)

    def _empty(self, window: _Window, key: Key, now: float, sources: list[Source]) -> Live:
        """A snapshot without any value, and why there is none."""
        dated = self._absences.dated(sources, now)
        away = [source for source in dated if missing(source)]
        if away:
            text = f"{' and '.join(trouble(source) for source in away)}: {away[0].reason}"
            since = away[0].since
        else:
            text, since = "no pipeline has sent anything in the last day", None
        last = window.answered
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


def step_of(interval_seconds: float, window_seconds: float) -> float:
    """s of one point of history: the interval, or as many whole ones as keep to ``MOST_STEPS``."""
    interval = max(0.1, interval_seconds)
    return interval * max(1, math.ceil(window_seconds / (interval * MOST_STEPS)))


def _offer(queue: asyncio.Queue[Live], snapshot: Live) -> None:
    """Put the snapshot in, in the place of one that was not taken."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(snapshot)
