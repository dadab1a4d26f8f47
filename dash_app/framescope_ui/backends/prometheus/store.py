"""Metrics of Prometheus, Mimir, Thanos or VictoriaMetrics as the app asks for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
import numpy as np

from framescope import signals
from framescope_ui.backends.access import Access
from framescope_ui.backends.protocols import About, BackendRefused, HistogramSeries, Series, Shortcoming

from . import server, tables, windows
from .answers import Answer, Samples, together
from .growth import Steps, grown
from .names import BUCKET, JOB, SUM, attributes_of, histogram_names, label_of, metric_names
from .query_api import MOST_SAMPLES, QueryApi
from .selectors import Matcher, Selection, is_text, of_service
from .tables import Table
from .windows import NS_PER_MS, Grid, Stretch

GREATEST_STEPS: Final = 20_000
LOOK_BACK_MS: Final = 300_000
"""How far before a range a series' last value is looked for: the query API's own default."""
_REMEMBERED_SECONDS: Final = 300.0
_DOUBTED_SECONDS: Final = 5.0
"""A remembered finding younger than this is not asked for again because an answer was empty."""
_STRETCHES_AGAIN: Final = 20
"""Where more stretches than this need every sample, the whole range is read so."""
_FIRST_WINDOW_MS: Final = 15 * 60_000
_FEW: Final = 100_000
"""Where a window brought fewer samples, the next one before it is twice as long."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Labels a metric's series have, and when that was found (s of the clock)."""

    labels: frozenset[str]
    since: float


class PrometheusStore:
    """Implements ``MetricStore`` over the query API of Prometheus.

    Names: each metric is asked for by all the names it may be stored under, and which labels its series
    have is asked for once and remembered for five minutes. So any translation of OpenTelemetry names is read,
    and a server that makes no labels of resource attributes is read by ``job`` and ``instance``. ``job``
    holds the namespace too: there the service ``scanner`` is found in every namespace.

    Times: servers keep milliseconds, so points come at whole ones.

    Growth: differences are taken here, from a series' last value of five minutes before the range on, so a
    fall of the value is a restart and nothing is extrapolated. A series' first point tells what it grew by
    only after a zero: framescope's agent sends one, and Prometheus writes one with
    ``--enable-feature=created-timestamp-zero-ingestion``. VictoriaMetrics keeps no start times: there the
    first value counts from 0 by the rule of its own ``increase()``, see ``growth.began_near_zero``.
    Exponential histograms, which it stores by ``vmrange``, are not read.

    ``clock`` tells seconds that only go forward.
    """

    name = "Prometheus"

    def __init__(
        self,
        access: Access,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = QueryApi(self.name, access, transport)
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._metricsql: tuple[bool, float] | None = None

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._api.aclose()

    async def about(self) -> About:
        """Product and version, and what it cannot answer as it is set up."""
        product = await server.product(self._api, await self._speaks_metricsql(asked_again=True))
        names = (*metric_names(signals.FRAME_COUNT), *metric_names(signals.FS_FRAMES_RECORDED))
        labels = await self._api.labels(Selection(names))
        lacks = await server.shortcomings(self._api, product, labels)
        if self._api.incomplete:
            lacks.append(Shortcoming("whole answers", self._api.incomplete))
        return About(product.name, product.version, tuple(lacks))

    async def gauge(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, max_points: int = 20_000
    ) -> list[Series]:
        """Raw readings, each at its own time in ms; of more than ``max_points`` in a series the newest."""
        asked = windows.whole(start_ns, end_ns)
        if asked.length_ms <= 0 or max_points <= 0:
            return []

        async def read(of: Selection) -> Answer:
            return await self._newest(of, asked, max_points)

        found = await self._each(metric, metric_names(metric), where, asked, read)
        return [
            Series(
                attributes_of(metric, one.labels),
                [at * NS_PER_MS for at in one.times_ms[-max_points:].tolist()],
                one.values[-max_points:].tolist(),
            )
            for one in found.series
            if not one.native
        ]

    async def increase(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[Series]:
        """Increase of a counter per step; emitters that differ only by instance are added up."""
        names = metric_names(metric, "counter")
        steps = await self._growth(metric, names, where, start_ns, end_ns, step_ns, tables.counters)
        return [Series(told, step.times.tolist(), step.values[:, 0].tolist()) for told, _, step in steps]

    async def histogram(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[HistogramSeries]:
        """Increase of a histogram per step, classic or native; emitters that differ only by instance are
        added up."""

        def read(series: Sequence[Samples]) -> list[Table]:
            return tables.histograms(series, lambda labels: _alike(metric, labels, where))

        steps = await self._growth(metric, histogram_names(metric), where, start_ns, end_ns, step_ns, read)
        return [
            HistogramSeries(
                told,
                list(bounds),
                step.times.tolist(),
                step.values[:, 1:].tolist(),
                step.values[:, 0].tolist(),
            )
            for told, bounds, step in steps
        ]

    # --- growth -------------------------------------------------------------------------------------

    async def _growth(
        self,
        metric: str,
        names: tuple[str, ...],
        where: Mapping[str, str],
        start_ns: int,
        end_ns: int,
        step_ns: int,
        read: Callable[[Sequence[Samples]], list[Table]],
    ) -> list[Steps]:
        if step_ns <= 0 or end_ns <= start_ns:
            return []
        if (end_ns - start_ns) / step_ns > GREATEST_STEPS:
            raise BackendRefused(
                self.name, f"more than {GREATEST_STEPS} steps: ask for a longer step or a shorter range"
            )
        asked = windows.whole(start_ns, end_ns)
        with_baseline = Stretch(asked.start_ms - LOOK_BACK_MS, asked.end_ms)
        grid = windows.thinned(start_ns, end_ns, step_ns)

        async def points(of: Selection) -> Answer:
            if grid is None:
                return await self._api.samples(of, with_baseline)
            return await self._thinned(of, with_baseline, grid)

        found = await self._each(metric, names, where, with_baseline, points)
        if not found.series:
            return []
        guess = await self._speaks_metricsql()
        return grown(
            read(found.series),
            lambda labels: _alike(metric, labels, where),
            start_ns,
            end_ns,
            step_ns,
            guess_first=guess,
        )

    async def _thinned(self, of: Selection, asked: Stretch, grid: Grid) -> Answer:
        """Enough samples to tell each step's growth exactly: one a stretch, and all where a series begins,
        goes on or falls, and of the newest."""
        before = Grid(asked.start_ms, grid.start_ms - asked.start_ms, 1)
        baseline, lasts, newest = await asyncio.gather(
            self._api.lasts(of, before),
            self._api.lasts(of, grid),
            self._api.samples(of, Stretch(grid.end_ms, asked.end_ms)),
        )
        again = _after_gaps(lasts, grid)
        again |= await self._falls(of, lasts, grid)
        stretches = grid.stretches(again)
        if len(stretches) > _STRETCHES_AGAIN:
            return await self._api.samples(of, asked)
        whole = [await self._api.samples(of, stretch) for stretch in stretches]
        return together([baseline, _without(lasts, grid, again), *whole, newest])

    async def _falls(self, of: Selection, found: Answer, grid: Grid) -> set[int]:
        """Stretches in which a count fell, or the one after. By name, as the answer has
        none; of a classic histogram by its last bucket, which counts everything."""
        names = sorted({one.labels["__name__"] for one in found.series if "__name__" in one.labels})
        counts = [
            of.only(name, Matcher("le", "=", "+Inf")) if name.endswith(BUCKET) else of.only(name)
            for name in names
            if not name.endswith(SUM)
        ]
        fallen = await asyncio.gather(*(self._api.falls(one, grid) for one in counts))
        return {grid.place(at) for part in fallen for one in part.series for at in one.times_ms.tolist()}

    # --- readings -----------------------------------------------------------------------------------

    async def _newest(self, of: Selection, asked: Stretch, max_points: int) -> Answer:
        """Windows from the newest back, until every series has its points."""
        length, end_ms, parts, size = _FIRST_WINDOW_MS, asked.end_ms, list[Answer](), 0
        while end_ms > asked.start_ms:
            window = Stretch(max(asked.start_ms, end_ms - length), end_ms)
            part = await self._api.samples(of, window)
            parts.append(part)
            size += part.size
            end_ms = window.start_ms
            if size > MOST_SAMPLES:
                raise BackendRefused(
                    self.name, f"more than {MOST_SAMPLES} readings: ask for a shorter time or for one series"
                )
            if part.size < _FEW:
                length *= 2
            if end_ms > asked.start_ms and await self._complete(
                of, parts, Stretch(asked.start_ms, end_ms), max_points
            ):
                break
        return together(parts)

    async def _complete(
        self, of: Selection, parts: Sequence[Answer], before: Stretch, max_points: int
    ) -> bool:
        """Whether every series there is has all the points it may have."""
        counts: dict[frozenset[tuple[str, str]], int] = {}
        for part in parts:
            for one in part.series:
                counts[_identity(one)] = counts.get(_identity(one), 0) + len(one.times_ms)
        if not counts or min(counts.values()) < max_points:
            return False
        older = await self._api.series(of, before)
        return all(frozenset(labels.items()) in counts for labels in older)

    # --- names --------------------------------------------------------------------------------------

    async def _each(
        self,
        metric: str,
        names: tuple[str, ...],
        where: Mapping[str, str],
        asked: Stretch,
        read: Callable[[Selection], Awaitable[Answer]],
    ) -> Answer:
        """What ``read`` finds under every spelling that these labels may have here."""
        if not names or not all(is_text(text) for text in (metric, *where, *where.values())):
            return Answer()
        known, remembered = await self._labels(names, asked)
        found = await self._read(names, where, known.labels, read)
        doubted = remembered and self._clock() - known.since > _DOUBTED_SECONDS
        if found.series or not doubted:
            return found
        self._known.pop(names[0], None)
        again, _ = await self._labels(names, asked)
        return found if again.labels == known.labels else await self._read(names, where, again.labels, read)

    async def _read(
        self,
        names: tuple[str, ...],
        where: Mapping[str, str],
        labels: frozenset[str],
        read: Callable[[Selection], Awaitable[Answer]],
    ) -> Answer:
        spelled = (matchers(where, labels, escaped) for escaped in (True, False))
        asked = dict.fromkeys(Selection(names, tuple(one)) for one in spelled if one is not None)
        return together([await read(of) for of in asked]) if labels else Answer()

    async def _labels(self, names: tuple[str, ...], asked: Stretch) -> tuple[_Known, bool]:
        """The labels of a metric's series, and whether they were remembered. Nothing is never remembered."""
        now = self._clock()
        known = self._known.get(names[0])
        if known is not None and now - known.since < _REMEMBERED_SECONDS:
            return known, True
        found = _Known(await self._api.labels(Selection(names), asked), now)
        if found.labels:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[names[0]] = found
        return found, False

    async def _speaks_metricsql(self, asked_again: bool = False) -> bool:
        now = self._clock()
        if asked_again or self._metricsql is None or now - self._metricsql[1] > _REMEMBERED_SECONDS:
            self._metricsql = (await server.speaks_metricsql(self._api), now)
        return self._metricsql[0]


_MOST_KNOWN: Final = 1000


def matchers(where: Mapping[str, str], labels: frozenset[str], escaped: bool) -> list[Matcher] | None:
    """The conditions in one spelling of names; None where a label is missing, so that nothing can match."""
    found = []
    for attribute, value in where.items():
        label = label_of(attribute, labels, escaped)
        if label is None:
            return None
        stands_in = label == JOB and attribute == signals.SERVICE_NAME
        found.append(of_service(value) if stands_in else Matcher(label, "=", value))
    return found


def _alike(metric: str, labels: Mapping[str, str], where: Mapping[str, str]) -> dict[str, str]:
    """Attributes without the emitter's instance, unless that was asked for."""
    told = attributes_of(metric, labels)
    if signals.SERVICE_INSTANCE_ID not in where:
        told.pop(signals.SERVICE_INSTANCE_ID, None)
    return told


def _identity(series: Samples) -> frozenset[tuple[str, str]]:
    return frozenset(series.labels.items())


def _after_gaps(found: Answer, grid: Grid) -> set[int]:
    """Each series' first stretch, and those whose neighbour before is empty: it may have restarted since."""
    places: set[int] = set()
    for one in found.series:
        filled = (one.times_ms - grid.start_ms) // grid.step_ms
        places.update(filled[np.diff(filled, prepend=-2) > 1].tolist())
    return places


def _without(found: Answer, grid: Grid, places: set[int]) -> Answer:
    """Without the values of some stretches, of which every sample was read."""
    if not places:
        return found
    kept = []
    for one in found.series:
        rows = ~np.isin((one.times_ms - grid.start_ms) // grid.step_ms, list(places))
        kept.append(one.kept(rows))
    return Answer(tuple(kept), found.incomplete)
