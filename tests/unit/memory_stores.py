"""Both store protocols over plain lists: what a test puts in is what a question gets out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from framescope import signals
from framescope_ui.backends.protocols import (
    About,
    BackendAway,
    BackendError,
    FrameBatch,
    FramePage,
    FrameQuery,
    FrameRow,
    HistogramSeries,
    Mark,
    PipelineRef,
    Series,
    Trace,
)


class MemoryTraces:
    """Kept frames, records and marks in lists. ``error`` is raised by every question while set."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.kept: list[Trace] = []
        self.batches: list[FrameBatch] = []
        self.marked: list[Mark] = []
        self.error: BackendError | None = None
        self.hangs = False
        self.asked = 0
        self.said = About("memory", None)

    async def _asked(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def about(self) -> About:
        await self._asked()
        return self.said

    async def aclose(self) -> None:
        """Nothing is open."""

    async def pipelines(self, start_ns: int, end_ns: int) -> list[PipelineRef]:
        await self._asked()
        refs = [
            PipelineRef(b.service, b.pipeline, b.start_ns + 1000 * (b.offsets_us[-1] + b.latencies_us[-1]))
            for b in self.batches
            if start_ns <= b.start_ns < end_ns
        ]
        return sorted(refs, key=lambda ref: -(ref.newest_ns or 0))

    async def frames(self, query: FrameQuery) -> FramePage:
        await self._asked()
        rows = [row for row in map(_row, self.kept) if row is not None and _fits(row, query)]
        rows.sort(key=lambda r: -r.latency_ns if query.order == "duration" else -r.start_ns)
        first = int(query.cursor or 0)
        rest = len(rows) > first + query.limit
        return FramePage(
            tuple(rows[first : first + query.limit]), str(first + query.limit) if rest else None, len(rows)
        )

    async def trace(self, trace_id: str) -> Trace | None:
        await self._asked()
        return next((t for t in self.kept if t.trace_id == trace_id), None)

    async def every_frame(
        self,
        service: str,
        pipeline: str,
        start_ns: int,
        end_ns: int,
        limit: int = 3600,
        attributes: bool = False,
    ) -> list[FrameBatch]:
        await self._asked()
        found = [
            b
            for b in self.batches
            if (b.service, b.pipeline) == (service, pipeline)
            and b.start_ns < end_ns
            and b.start_ns + 1_000_000_000 >= start_ns
        ]
        return found[-limit:]

    async def marks(self, service: str, start_ns: int, end_ns: int) -> list[Mark]:
        await self._asked()
        return [m for m in self.marked if m.service == service and start_ns <= m.time_ns < end_ns]


class MemoryMetrics:
    """Series in lists by metric name; a counter's points are its increases."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.series: dict[str, list[Series]] = {}
        self.histograms: dict[str, list[HistogramSeries]] = {}
        self.error: BackendError | None = None
        self.said = About("memory", None)

    async def about(self) -> About:
        if self.error is not None:
            raise self.error
        return self.said

    async def aclose(self) -> None:
        """Nothing is open."""

    def put(self, metric: str, times_ns: Sequence[int], values: Sequence[float], **attributes: str) -> None:
        """Add one series; ``__`` in a keyword stands for a dot."""
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        self.series.setdefault(metric, []).append(Series(named, list(times_ns), list(values)))

    async def gauge(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, max_points: int = 20_000
    ) -> list[Series]:
        if self.error is not None:
            raise self.error
        found = []
        for one in self.series.get(metric, []):
            if any(one.attributes.get(name, value) != value for name, value in where.items()):
                continue
            points = [(t, v) for t, v in zip(one.times_ns, one.values, strict=True) if start_ns <= t < end_ns]
            if points:
                found.append(Series(one.attributes, [t for t, _ in points], [v for _, v in points]))
        return found

    async def increase(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[Series]:
        return await self.gauge(metric, where, start_ns, end_ns)

    async def histogram(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[HistogramSeries]:
        if self.error is not None:
            raise self.error
        return self.histograms.get(metric, [])


def away(name: str = "memory") -> BackendAway:
    """What a store that does not answer raises."""
    return BackendAway(name, "connection refused")


def _row(trace: Trace) -> FrameRow | None:
    root = next((s for s in trace.spans if s.name == signals.SPAN_FRAME), None)
    if root is None:
        return None
    service = str(trace.resource[signals.SERVICE_NAME])
    return FrameRow(
        trace.trace_id, service, root.start_ns, root.end_ns - root.start_ns, root.attributes, "denoise"
    )


def _fits(row: FrameRow, query: FrameQuery) -> bool:
    return (
        query.service in (None, row.service)
        and query.pipeline in (None, row.attributes.get(signals.FRAME_PIPELINE))
        and (query.start_ns is None or row.start_ns >= query.start_ns)
        and (query.end_ns is None or row.start_ns < query.end_ns)
        and (not query.outcomes or row.attributes.get(signals.FRAME_OUTCOME) in query.outcomes)
        and (not query.causes or row.attributes.get(signals.FRAME_CAUSE_NAME) in query.causes)
        and (not query.kept or row.attributes.get(signals.FRAME_KEPT) in query.kept)
        and (query.min_latency_ns is None or row.latency_ns >= query.min_latency_ns)
    )
