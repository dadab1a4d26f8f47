"""Jaeger seen from the app: ``TraceStore`` over its query API v3.

Jaeger answers the whole traces of one service, at most ``search_depth`` of them, in no promised order. So
every question is asked slice by slice (``backends/paging.py``), cut here to the nanosecond, and has a limit
on its requests. Clock skew adjustment is switched off: a frame's spans keep the times they were measured.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import product
from statistics import median_high
from typing import Any, Final, TypeVar

import httpx

from framescope import signals
from framescope_ui.backends.access import Access
from framescope_ui.backends.cursor import from_cursor
from framescope_ui.backends.http_api import HttpApi, Params
from framescope_ui.backends.paging import (
    Allowance,
    Crowded,
    Found,
    Spent,
    first_page,
    longest_first,
    newest_first,
)
from framescope_ui.backends.protocols import (
    About,
    Attributes,
    BackendAway,
    BackendRefused,
    FrameBatch,
    FramePage,
    FrameQuery,
    FrameRow,
    Mark,
    PipelineRef,
    Span,
    Trace,
)
from framescope_ui.backends.records import batch_end_ns, batch_of, frame_rows, mark_of, service_of
from framescope_ui.store.attributes import text

from .answer import names_in, traces_in, version_in
from .frame_search import is_wanted, names, narrowings
from .parameters import GREATEST_NAME_BYTES, Search, may_match, parameters
from .shortcomings import SHORTCOMINGS

NS: Final = 1_000_000_000
LOOK_BACK_NS: Final = 24 * 3600 * NS
"""How far a question for frames goes back where it says no start."""
AHEAD_NS: Final = 60 * NS
"""How far it goes beyond now where it says no end: an emitter's clock may be ahead."""
GREATEST_REQUESTS: Final = 120
"""Of one question, and so many more for each service gone through."""
REQUESTS_PER_SERVICE: Final = 10
GREATEST_SERVICES: Final = 50
"""A question for frames of any service goes through so many."""
LISTED_SERVICES: Final = 200
"""So many of Jaeger's services are looked at for pipelines."""
GREATEST_PAGE: Final = 1000
GREATEST_MARKS: Final = 10_000
_FRAMES_AT_ONCE: Final = 500
_RECORDS_AT_ONCE: Final = 1000
_SAMPLE: Final = 100
"""Records read from each stretch of time to see which pipelines there are."""
_FIRST_STEP_NS: Final = 10 * NS
_FIRST_STRETCH_NS: Final = 60 * NS
_STRETCHING: Final = 8
_LONGEST_RECORD_NS: Final = 30 * NS
"""A record that begins earlier than this before a range is not looked for."""
_AT_A_TIME: Final = 4
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_NOT_NOW: Final = re.compile(r"code = (Unavailable|ResourceExhausted|DeadlineExceeded)\b")
"""How a remote storage's gRPC status stands in an error of Jaeger's."""

Read = TypeVar("Read")


class JaegerStore:
    """Traces of the Jaeger at ``access``. ``transport`` and ``now_ns`` are for tests."""

    name = "Jaeger"

    def __init__(
        self,
        access: Access,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._api = HttpApi(self.name, access, transport)
        self._now_ns = now_ns
        self._seen = False

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._api.aclose()

    async def about(self) -> About:
        """What it is and what it cannot answer; the version stands in Jaeger's start page."""
        await self._services()
        try:
            page = await self._api.get("/", accept="text/html")
        except BackendRefused:  # a proxy that serves the interface alone
            page = None
        return About("Jaeger", version_in(page or b""), SHORTCOMINGS)

    async def pipelines(self, start_ns: int, end_ns: int) -> list[PipelineRef]:
        """Pipelines heard of in the range, newest first, by a sample of what each service sent.

        The sample grows sparser with age: of a service that runs several pipelines, one that stopped long
        before the others may be missing.
        """
        turns = asyncio.Semaphore(_AT_A_TIME)

        async def of(service: str) -> list[PipelineRef]:
            async with turns:
                return await self._pipelines_of(service, start_ns, end_ns)

        services = (await self._services())[:LISTED_SERVICES]
        found = await asyncio.gather(*(of(service) for service in services))
        refs = [ref for some in found for ref in some]
        return sorted(refs, key=lambda ref: (-(ref.newest_ns or 0), ref.service, ref.pipeline))

    async def frames(self, query: FrameQuery) -> FramePage:
        """Kept frames, one page. Raises ``ValueError`` for a cursor that is not ours.

        Without an end it reaches to a minute from now, without a start 24 hours back from its end. A page
        may be short and go on.
        """
        after = from_cursor(query.cursor, query.order) if query.cursor is not None else None
        end = query.end_ns if query.end_ns is not None else self._now_ns() + AHEAD_NS
        start = query.start_ns if query.start_ns is not None else end - LOOK_BACK_NS
        least, below = max(0, query.min_latency_ns or 0), None
        if after is not None and query.order == "time":
            end = min(end, after.key + 1)
        elif after is not None:
            below = after.key + 1
        if not self._can_match(names(query)):
            return FramePage(())
        limit = max(1, min(query.limit, GREATEST_PAGE))
        ask = await self._frame_asker(query, depth=max(100, min(2 * (limit + 1), _FRAMES_AT_ONCE)))

        def throughout(low: int, high: int | None) -> AsyncGenerator[Sequence[FrameRow], None]:
            return newest_first(lambda a, b: ask(a, b, low, high), start, end, _FIRST_STEP_NS)

        if query.order == "time":
            parts = throughout(least, below)
        else:
            parts = longest_first(lambda low, high: ask(start, end, low, high), throughout, least, below)
        try:
            return await first_page(parts, query.order, limit, after, lambda row: is_wanted(row, query))
        except (Spent, Crowded):
            raise self._too_much() from None

    async def trace(self, trace_id: str) -> Trace | None:
        """One trace, whole, with the times its spans were measured at."""
        wanted = trace_id.lower()
        if not _TRACE_ID.fullmatch(wanted):
            return None
        found = await self._traces(f"/api/v3/traces/{wanted}", [("raw_traces", "true")])
        return next((trace for trace in found if trace.trace_id == wanted), None)

    async def every_frame(
        self,
        service: str,
        pipeline: str,
        start_ns: int,
        end_ns: int,
        limit: int = 3600,
        attributes: bool = False,
    ) -> list[FrameBatch]:
        """The ``frames`` records that overlap the range, oldest first, at most ``limit`` (the newest)."""
        wanted = max(1, limit)
        search = Search(
            service,
            signals.SPAN_FRAMES,
            start_ns - _LONGEST_RECORD_NS,
            end_ns,
            _RECORDS_AT_ONCE,
            {signals.FRAME_PIPELINE: pipeline},
        )

        def read(span: Span, resource: Attributes) -> FrameBatch | None:
            batch = batch_of(service, span, text(resource.get(signals.SERVICE_VERSION)))
            if batch is None or batch.pipeline != pipeline:
                return None
            return batch if max(span.end_ns, batch_end_ns(batch)) >= start_ns else None

        step = min(wanted, _RECORDS_AT_ONCE // 2) * NS  # a record a second
        found = await self._newest(search, read, wanted, step)
        return sorted(found, key=lambda batch: (batch.start_ns, batch.first_id))[-wanted:]

    async def marks(self, service: str, start_ns: int, end_ns: int) -> list[Mark]:
        """Change markers, oldest first, at most 10 000 (the newest)."""
        search = Search(service, signals.SPAN_MARK, start_ns, end_ns, _RECORDS_AT_ONCE)
        found = await self._newest(
            search, lambda span, _: mark_of(service, span), GREATEST_MARKS, end_ns - start_ns
        )
        return sorted(set(found), key=lambda mark: (mark.time_ns, mark.text))[-GREATEST_MARKS:]

    async def _frame_asker(
        self, query: FrameQuery, depth: int
    ) -> Callable[[int, int, int, int | None], Awaitable[Found[FrameRow]]]:
        """Answers the frames of a stretch of time and of a band of latency, from all searches it takes."""
        services = [query.service] if query.service is not None else await self._services_with_frames()
        searches = list(product(services, narrowings(query)))
        allowance = Allowance(GREATEST_REQUESTS + REQUESTS_PER_SERVICE * len(services))

        async def ask(since: int, until: int, least: int, below: int | None) -> Found[FrameRow]:
            rows: list[FrameRow] = []
            fullness = 0.0
            middle: int | None = None
            for service, attributes in searches:
                allowance.take()
                search = Search(service, signals.SPAN_FRAME, since, until, depth, attributes, least, below)
                traces = await self._search(search)
                fullness = max(fullness, len(traces) / depth)
                fresh = [
                    row
                    for trace in traces
                    for row in frame_rows(trace)
                    if row.service == service
                    and since <= row.start_ns < until
                    and row.latency_ns >= least
                    and (below is None or row.latency_ns < below)
                ]
                if len(traces) >= depth and fresh:
                    middle = max(middle or 0, median_high(row.start_ns for row in fresh))
                rows += fresh
            return Found(rows, fullness, middle)

        return ask

    async def _newest(
        self, whole: Search, read: Callable[[Span, Attributes], Read | None], limit: int, step_ns: int
    ) -> list[Read]:
        """What is read of the newest spans of a search: at least ``limit``, if there are so many."""
        if not self._can_match((whole.service, *whole.attributes.values())):
            return []
        allowance = Allowance(GREATEST_REQUESTS)

        async def ask(since: int, until: int) -> Found[Read]:
            allowance.take()
            traces = await self._search(replace(whole, start_ns=since, end_ns=until))
            found = (
                read(span, trace.resource)
                for trace in traces
                if service_of(trace.resource) == whole.service
                for span in trace.spans
                if span.name == whole.operation and since <= span.start_ns < until
            )
            return Found([one for one in found if one is not None], len(traces) / whole.depth)

        newest: list[Read] = []
        try:
            async with aclosing(newest_first(ask, whole.start_ns, whole.end_ns, step_ns)) as parts:
                async for part in parts:
                    newest += part
                    if len(newest) >= limit:
                        break
        except (Spent, Crowded):
            raise self._too_much() from None
        return newest

    async def _pipelines_of(self, service: str, start_ns: int, end_ns: int) -> list[PipelineRef]:
        operations = await self._names("/api/v3/operations", [("service", service)], "operations")
        operation = next(
            (one for one in (signals.SPAN_FRAMES, signals.SPAN_FRAME) if one in operations), None
        )
        heard: dict[str, PipelineRef] = {}
        if operation is None or not self._can_match([service]):
            return []
        until, stretch = end_ns, _FIRST_STRETCH_NS
        while until > start_ns:
            since = max(start_ns, until - stretch)
            for trace in await self._search(Search(service, operation, since, until, _SAMPLE)):
                for ref in _heard(trace, service, operation, since, until, end_ns):
                    before = heard.get(ref.pipeline)
                    if before is None or (before.newest_ns or 0) < (ref.newest_ns or 0):
                        heard[ref.pipeline] = ref
            until, stretch = since, stretch * _STRETCHING
        return list(heard.values())

    async def _services(self) -> list[str]:
        return await self._names("/api/v3/services", (), "services")

    async def _services_with_frames(self) -> list[str]:
        services = await self._services()
        if len(services) > GREATEST_SERVICES:
            raise BackendRefused(
                self.name,
                f"it searches one service at a time and knows {len(services)}: choose a service",
            )
        return services

    async def _search(self, search: Search) -> list[Trace]:
        return await self._traces("/api/v3/traces", parameters(search))

    async def _traces(self, path: str, params: Params) -> list[Trace]:
        answer = await self._ask(path, params)
        if answer is not None:
            return self._read(traces_in, answer)
        if not self._seen:  # "no traces found" and "no such page" are both a 404
            await self._services()
        return []

    async def _names(self, path: str, params: Params, under: str) -> list[str]:
        answer = await self._ask(path, params)
        if answer is None:
            raise BackendRefused(
                self.name, f"{self._api.place} has no Jaeger query API v3: check the address and its path"
            )
        return self._read(lambda said: names_in(said, under), answer)

    async def _ask(self, path: str, params: Params) -> Any:
        try:
            return await self._api.json("GET", path, params)
        except BackendRefused as error:
            if _NOT_NOW.search(error.reason):
                raise BackendAway(self.name, error.reason) from None
            raise

    def _read(self, reader: Callable[[Any], list[Read]], answer: Any) -> list[Read]:
        try:
            found = reader(answer)
        except ValueError as error:
            raise BackendRefused(
                self.name, f"{self._api.place} does not answer as Jaeger's API v3 does: {error}"
            ) from None
        self._seen = True
        return found

    def _can_match(self, said: Iterable[str]) -> bool:
        """Whether the names can be those of anything stored. Raises ``BackendRefused`` for over-long ones."""
        for name in said:
            if not may_match(name):
                return False
            if len(name.encode()) > GREATEST_NAME_BYTES:
                raise BackendRefused(
                    self.name, f"it is not asked for names of more than {GREATEST_NAME_BYTES} bytes"
                )
        return True

    def _too_much(self) -> BackendRefused:
        return BackendRefused(
            self.name,
            f"{GREATEST_REQUESTS} searches did not bring it to an end: choose a shorter time, a pipeline "
            "or a greater latency",
        )


def _heard(
    trace: Trace, service: str, operation: str, since: int, until: int, end_ns: int
) -> Iterator[PipelineRef]:
    """The pipelines whose spans of this name are in a trace, and when they were heard of in the stretch."""
    if service_of(trace.resource) != service:
        return
    host = text(trace.resource.get(signals.HOST_NAME))
    for span in trace.spans:
        pipeline = text(span.attributes.get(signals.FRAME_PIPELINE))
        if span.name == operation and pipeline is not None and since <= span.start_ns < until:
            newest = min(span.end_ns, end_ns - 1) if operation == signals.SPAN_FRAMES else span.start_ns
            yield PipelineRef(service, pipeline, newest, host)
