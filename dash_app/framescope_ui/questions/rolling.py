"""Both stores with a memory of the last answers, for a question asked again and again as time goes on.

A live page asks each second for the same five minutes, of which 299 seconds are known. These wrappers
ask the store only for what is new and for a stretch before it, where points may have arrived late, and
from time to time for everything again. What is new begins where the data end, not where the last question
did: a backend shows data seconds after they were sent, and after an outage minutes. What waited in a queue
then arrives in any order, so for a while everything is asked again every few seconds. Only a straggler that
comes more than ``SETTLED_SECONDS`` after its neighbours is seen with a delay of up to ``REFRESH_SECONDS``.

Counters and histograms are always asked for whole, as the first step of a shorter range would differ, but
not every second. What a snapshot costs the app is mostly the number of questions: 25 of them took 150 to
200 ms of CPU through a local socket on a 2-core machine, the arithmetic on their answers 20.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from framescope import signals
from framescope_ui.backends.protocols import (
    About,
    BackendAway,
    FrameBatch,
    FramePage,
    FrameQuery,
    FrameRow,
    HistogramSeries,
    Mark,
    MetricStore,
    PipelineRef,
    Series,
    Trace,
    TraceStore,
)
from framescope_ui.questions.readings import newest_time
from framescope_ui.questions.stores import NS, Stores

SETTLED_SECONDS = 8
"""What is older than the newest by this has arrived: exporters send every few seconds and retry for some
more, and Tempo finds a trace up to 5 s after another that was sent with it."""
REFRESH_SECONDS = 60
"""How often everything is asked for again."""
CATCHING_UP_SECONDS = 60
"""How long after data came late more may: the Collector tries again what it holds within 45 s."""
CATCHING_UP_REFRESH_SECONDS = 5
"""And how often everything is asked for again in that time."""
PATIENCE_SECONDS = 6.0
"""How long a store may take for one question, so that one that hangs takes nothing from the other."""
PATIENCE_AWAY_SECONDS = 2.0
"""How long, after it did not answer the last one."""
PAUSE_SECONDS = 1.0
"""A store that did not answer in time is not asked again for this long."""
COUNTER_SECONDS = 3
"""An answer about a counter, a histogram, marks or which pipelines there are is used this long."""
GAUGE_SECONDS: Mapping[str, int] = {
    signals.FRAME_PERIOD: 5,
    signals.FRAME_BUDGET_LIMIT: 5,
    signals.FRAME_QUEUE_CAPACITY: 5,
    signals.HW_GPU_MEMORY_LIMIT: 5,
    signals.HW_TEMPERATURE: 3,
    signals.HW_STATUS: 3,
    signals.FRAME_CUSTOM: 2,
    signals.SYSTEM_CPU_UTILIZATION: 2,
    signals.SYSTEM_MEMORY_UTILIZATION: 2,
    signals.PROCESS_CPU_UTILIZATION: 2,
    signals.PROCESS_MEMORY_USAGE: 2,
}
"""And so is one about a gauge that moves slowly; the others are asked for each time."""
AT_ONCE = 6
"""Questions under way at the same time, where the store does not say: more only wait for each other there."""

Known = TypeVar("Known")
Answer = TypeVar("Answer")
_Name = tuple[tuple[str, str], ...]
"""What tells one series from another: its attributes, in order."""


@dataclass(slots=True)
class _Memory(Generic[Known]):
    """What was answered for one question up to ``end_ns``, complete from ``start_ns`` on."""

    start_ns: int
    end_ns: int
    refreshed_ns: int
    known: Known


class _Horizon:
    """How far the data have come, and whether more may still come before that."""

    def __init__(self) -> None:
        self.newest_ns: int | None = None
        self._usual_lag_ns: int | None = None
        self._behind = False
        self._catching_up_until_ns = 0

    def saw(self, newest_ns: int | None, asked_ns: int) -> None:
        """Data up to ``newest_ns`` came back when everything before ``asked_ns`` was asked for."""
        if newest_ns is None or (self.newest_ns is not None and newest_ns < self.newest_ns):
            return
        if self._behind and self.newest_ns is not None and newest_ns > self.newest_ns:
            self._catching_up_until_ns = asked_ns + CATCHING_UP_SECONDS * NS
            self._behind = False
        self.newest_ns = newest_ns
        lag_ns = max(0, asked_ns - newest_ns)
        self._usual_lag_ns = min(lag_ns, lag_ns if self._usual_lag_ns is None else self._usual_lag_ns)
        if lag_ns > self._usual_lag_ns + SETTLED_SECONDS * NS:
            self._behind = True

    def missed(self) -> None:
        """A question was not answered: what is asked next may come late."""
        self._behind = True

    def asked_from(self, memory: _Memory[Known] | None, start_ns: int, end_ns: int) -> int:
        """From when on the store has to be asked: the start where the memory does not help."""
        catching_up = end_ns < self._catching_up_until_ns
        refresh = CATCHING_UP_REFRESH_SECONDS if catching_up else REFRESH_SECONDS
        if (
            memory is None
            or start_ns < memory.start_ns
            or end_ns < memory.end_ns
            or end_ns - memory.refreshed_ns > refresh * NS
        ):
            return start_ns
        complete_ns = memory.end_ns if self.newest_ns is None else min(memory.end_ns, self.newest_ns)
        return max(start_ns, complete_ns - SETTLED_SECONDS * NS)


class _Link:
    """The way to one store: so many questions at once, and whether the last one was answered."""

    def __init__(self, store: TraceStore | MetricStore) -> None:
        self._name = store.name
        self._turns = asyncio.Semaphore(getattr(store, "at_once", AT_ONCE))
        self._next_at = 0.0
        self.horizon = _Horizon()
        self.away = False

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """The store's answer. While it is away no remembered one may pass for it."""
        patience = PATIENCE_AWAY_SECONDS if self.away else PATIENCE_SECONDS
        try:
            async with self._turns:
                if asyncio.get_running_loop().time() < self._next_at:
                    raise self._hung()
                async with asyncio.timeout(patience):
                    answer = await question()
        except TimeoutError:
            self._next_at = asyncio.get_running_loop().time() + PAUSE_SECONDS
            self._lost()
            raise self._hung() from None
        except BackendAway:
            self._lost()
            raise
        self.away = False
        return answer

    def _lost(self) -> None:
        self.away = True
        self.horizon.missed()

    def _hung(self) -> BackendAway:
        return BackendAway(self._name, "it did not answer in time")


class _Recent(Generic[Known]):
    """Answers that hold for some seconds."""

    def __init__(self, link: _Link, seconds: float) -> None:
        self._link = link
        self._hold_ns = int(seconds * NS)
        self._answers: dict[Hashable, tuple[int, int, list[Known]]] = {}

    async def of(
        self, key: Hashable, start_ns: int, end_ns: int, question: Callable[[], Awaitable[list[Known]]]
    ) -> list[Known]:
        """The last answer for a range that began and ended little before this one, else a new one."""
        last = self._answers.get(key)
        if last is not None and not self._link.away:
            began, ended, answer = last
            if 0 <= end_ns - ended < self._hold_ns and 0 <= start_ns - began < self._hold_ns:
                return answer
        answer = await self._link.ask(question)
        self._answers[key] = (start_ns, end_ns, answer)
        return answer

    def forget(self, key: Hashable) -> None:
        """Ask again next time."""
        self._answers.pop(key, None)


class RollingTraces:
    """A trace store for one viewer's window. Everything but the three listings passes through."""

    def __init__(self, store: TraceStore) -> None:
        self.name = store.name
        self._store = store
        self._batches: dict[Hashable, _Memory[list[FrameBatch]]] = {}
        self._kept: dict[Hashable, _Memory[list[FrameRow]]] = {}
        self._link = _Link(store)
        self._marks: _Recent[Mark] = _Recent(self._link, COUNTER_SECONDS)
        self._pipelines: _Recent[PipelineRef] = _Recent(self._link, COUNTER_SECONDS)

    async def about(self) -> About:
        """As the store says of itself."""
        return await self._store.about()

    async def aclose(self) -> None:
        """Nothing: whoever opened the store closes it."""

    async def pipelines(self, start_ns: int, end_ns: int) -> list[PipelineRef]:
        """As the store had them a moment ago; that there are none is asked again."""
        key = end_ns - start_ns
        found = await self._pipelines.of(
            key, start_ns, end_ns, lambda: self._store.pipelines(start_ns, end_ns)
        )
        if not found:
            self._pipelines.forget(key)
        return found

    async def trace(self, trace_id: str) -> Trace | None:
        """As the store has it."""
        return await self._store.trace(trace_id)

    async def marks(self, service: str, start_ns: int, end_ns: int) -> list[Mark]:
        """As the store had them a moment ago."""
        return await self._marks.of(
            service, start_ns, end_ns, lambda: self._store.marks(service, start_ns, end_ns)
        )

    async def every_frame(
        self,
        service: str,
        pipeline: str,
        start_ns: int,
        end_ns: int,
        limit: int = 3600,
        attributes: bool = False,
    ) -> list[FrameBatch]:
        """The remembered records and the new ones; one that was asked for again replaces the old. With
        attributes it is no question of a live page, and passes through."""
        if attributes:
            return await self._store.every_frame(service, pipeline, start_ns, end_ns, limit, attributes)
        key = (service, pipeline)
        memory = self._batches.get(key)
        since = self._link.horizon.asked_from(memory, start_ns, end_ns)
        fresh = await self._link.ask(lambda: self._store.every_frame(service, pipeline, since, end_ns, limit))
        self._link.horizon.saw(fresh[-1].start_ns if fresh else None, end_ns)
        if memory is None or since == start_ns:
            found, refreshed = fresh, end_ns
        else:
            again = {(b.start_ns, b.first_id) for b in fresh}
            old = [
                b
                for b in memory.known
                if b.start_ns >= start_ns - 2 * NS and (b.start_ns, b.first_id) not in again
            ]
            found, refreshed = sorted([*old, *fresh], key=lambda b: b.start_ns)[-limit:], memory.refreshed_ns
        self._batches[key] = _Memory(start_ns, end_ns, refreshed, found)
        return list(found)

    async def frames(self, query: FrameQuery) -> FramePage:
        """The newest kept frames; other orders and later pages pass through."""
        start_ns, end_ns = query.start_ns, query.end_ns
        if query.order != "time" or query.cursor is not None or start_ns is None or end_ns is None:
            return await self._store.frames(query)
        key = replace(query, start_ns=None, end_ns=None)
        memory = self._kept.get(key)
        since = self._link.horizon.asked_from(memory, start_ns, end_ns)
        page = await self._link.ask(lambda: self._store.frames(replace(query, start_ns=since)))
        self._link.horizon.saw(page.frames[0].start_ns if page.frames else None, end_ns)
        if memory is None or since == start_ns:
            self._kept[key] = _Memory(start_ns, end_ns, end_ns, list(page.frames))
            return page
        again = {row.trace_id for row in page.frames}
        old = [row for row in memory.known if row.start_ns >= start_ns and row.trace_id not in again]
        found = sorted([*page.frames, *old], key=lambda row: -row.start_ns)[: query.limit]
        self._kept[key] = _Memory(start_ns, end_ns, memory.refreshed_ns, found)
        return FramePage(tuple(found))


class RollingMetrics:
    """A metric store for one viewer's window: gauges are remembered, the rest passes through."""

    def __init__(self, store: MetricStore) -> None:
        self.name = store.name
        self._store = store
        self._gauges: dict[Hashable, _Memory[dict[_Name, Series]]] = {}
        self._link = _Link(store)
        self._increases: _Recent[Series] = _Recent(self._link, COUNTER_SECONDS)
        self._histograms: _Recent[HistogramSeries] = _Recent(self._link, COUNTER_SECONDS)

    async def about(self) -> About:
        """As the store says of itself."""
        return await self._store.about()

    async def aclose(self) -> None:
        """Nothing: whoever opened the store closes it."""

    async def gauge(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, max_points: int = 20_000
    ) -> list[Series]:
        """The remembered readings and the new ones; a stretch asked for again replaces the old."""
        key = (metric, tuple(sorted(where.items())), max_points)
        memory = self._gauges.get(key)
        holds_ns = 0 if self._link.away else GAUGE_SECONDS.get(metric, 0) * NS
        if memory is not None and 0 <= end_ns - memory.end_ns < holds_ns and start_ns >= memory.start_ns:
            return list(memory.known.values())
        since = self._link.horizon.asked_from(memory, start_ns, end_ns)
        answer = await self._link.ask(lambda: self._store.gauge(metric, where, since, end_ns, max_points))
        self._link.horizon.saw(newest_time(answer), end_ns)
        fresh: dict[_Name, Series] = {tuple(sorted(s.attributes.items())): s for s in answer}
        if memory is None or since == start_ns:
            self._gauges[key] = _Memory(start_ns, end_ns, end_ns, fresh)
            return list(fresh.values())
        found: dict[_Name, Series] = {}
        for name in dict.fromkeys((*memory.known, *fresh)):
            old, new = memory.known.get(name), fresh.get(name)
            series = _spliced(old, new, start_ns, since, max_points)
            if series is not None:
                found[name] = series
        self._gauges[key] = _Memory(start_ns, end_ns, memory.refreshed_ns, found)
        return list(found.values())

    async def increase(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[Series]:
        """As the store had it a moment ago."""
        key = (metric, tuple(sorted(where.items())), step_ns)
        return await self._increases.of(
            key,
            start_ns,
            end_ns,
            lambda: self._store.increase(metric, where, start_ns, end_ns, step_ns),
        )

    async def histogram(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[HistogramSeries]:
        """As the store had it a moment ago."""
        key = (metric, tuple(sorted(where.items())), step_ns)
        return await self._histograms.of(
            key,
            start_ns,
            end_ns,
            lambda: self._store.histogram(metric, where, start_ns, end_ns, step_ns),
        )


def _spliced(
    old: Series | None, new: Series | None, start_ns: int, since_ns: int, max_points: int
) -> Series | None:
    """The old points before ``since_ns``, then the new ones; None without any."""
    times: list[int] = []
    values: list[float] = []
    if old is not None:
        kept = slice(bisect_left(old.times_ns, start_ns), bisect_left(old.times_ns, since_ns))
        times += old.times_ns[kept]
        values += old.values[kept]
    if new is not None:
        times += new.times_ns
        values += new.values
    named = new or old
    if named is None or not times:
        return None
    return Series(named.attributes, times[-max_points:], values[-max_points:])


def rolling(stores: Stores) -> Stores:
    """Both stores with a memory of their own."""
    return Stores(RollingTraces(stores.traces), RollingMetrics(stores.metrics))
