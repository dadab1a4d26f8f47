"""Tempo seen from the app: ``TraceStore`` over its HTTP API.

A search answers at most ``limit`` traces, those it meets first, and its times are whole seconds. So every
question is asked slice by slice (``backends/paging.py``), cut here to the nanosecond, and has a limit on its
requests. Frames are listed from searches alone: a trace by its id costs 20 ms and more (Tempo 3.0.3 divides
it into 50 jobs), all spans of a hundred frames by one search 0.3 s. API: Tempo's documentation, "HTTP API".
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from statistics import median_high
from typing import Any, Final

import httpx

from framescope import signals
from framescope_ui.backends.access import Access
from framescope_ui.backends.cursor import from_cursor
from framescope_ui.backends.http_api import HttpApi, Params
from framescope_ui.backends.otlp_trace import trace_of
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
    BackendError,
    BackendRefused,
    FrameBatch,
    FramePage,
    FrameQuery,
    FrameRow,
    Mark,
    PipelineRef,
    Shortcoming,
    Span,
    Trace,
)
from framescope_ui.backends.records import batch_end_ns, batch_of, frame_rows, mark_of
from framescope_ui.store.attributes import text

from . import traceql
from .frame_search import (
    GUILT_ATTRIBUTES,
    ROOT_ATTRIBUTES,
    answerable,
    fields,
    may_have_stage,
    roots,
    row_with_stage,
    rows_of,
    stages,
)
from .search_answer import PROTOBUF, TraceFound, Unreadable, found_in, trace_groups
from .shortcomings import LONGEST_SEARCH_SECONDS, UNKNOWN, configuration, shortcomings

NS: Final = 1_000_000_000
LOOK_BACK_NS: Final = 6 * 3600 * NS
"""How far a question for frames goes back where it says no start."""
AHEAD_NS: Final = 60 * NS
"""How far it goes beyond now where it says no end: an emitter's clock may be ahead."""
GREATEST_REQUESTS: Final = 100
"""Of one question."""
GREATEST_BY_ID: Final = 200
"""Traces of one question that are fetched whole because a search does not settle their guilty stage."""
GREATEST_PAGE: Final = 1000
GREATEST_MARKS: Final = 10_000
GREATEST_PIPELINES: Final = 200
"""Pairs of service and pipeline that are looked for."""
_FRAMES_AT_ONCE: Final = 500
"""Frames that one search is asked for: with all their attributes about 1 ms each."""
_GREATEST_AT_ONCE: Final = 16_000
"""Of one second that holds more: Tempo's searches divide time no further."""
_RECORDS_AT_ONCE: Final = 800
"""``frames`` records that one search is asked for: at 100 FPS 4 kB and 2 ms each."""
_MARKS_AT_ONCE: Final = 2000
_SPANS_EACH: Final = 100
"""Spans of a trace that a search tells: Tempo refuses more unless it is set up for it."""
_FIRST_STEP_NS: Final = 30 * NS
_RECORDS_STEP_NS: Final = 300 * NS
_LONGEST_RECORD_NS: Final = 30 * NS
"""A record that begins earlier than this before a range is not looked for."""
_NEARLY_FULL: Final = 0.99
"""Of an answer that holds everything: 1 would say that there may be more."""
_REMEMBERED_SECONDS: Final = 3
_AT_A_TIME: Final = 4
_GREATEST_SECOND: Final = 2**32 - 1
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_LIMIT_REFUSED: Final = re.compile(r"exceeds max limit (\d+)")
_NOT_YET: Final = "start must be before end"
"""What Tempo answers for a second that its clock, less its ``query_end_cutoff``, has just begun: it moves the
end of a search there."""
_BATCH_ATTRIBUTES: Final = (
    signals.FRAME_PIPELINE,
    signals.FRAME_BUDGET_LIMIT,
    signals.BATCH_FIRST_ID,
    signals.BATCH_OFFSETS_US,
    signals.BATCH_LATENCIES_US,
    signals.BATCH_OUTCOMES,
    signals.BATCH_CAUSES,
)
_VERSION: Final = "/api/status/buildinfo"


@dataclass(slots=True)
class _Question:
    """One question's requests, and what was found in the last seconds that were searched one by one."""

    requests: Allowance = field(default_factory=lambda: Allowance(GREATEST_REQUESTS))
    seconds: dict[tuple[str, int], list[TraceFound]] = field(default_factory=dict)


class TempoStore:
    """Traces of the Tempo at ``access``. ``transport`` and ``now_ns`` are for tests."""

    name = "Tempo"

    def __init__(
        self,
        access: Access,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._api = HttpApi(self.name, access, transport)
        self._now_ns = now_ns
        self._greatest_limit = _GREATEST_AT_ONCE
        self._unreadable_records = 0

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._api.aclose()

    async def about(self) -> About:
        """What it is, and what its configuration hides or cuts."""
        build = await self._api.json("GET", _VERSION)
        if not isinstance(build, dict) or not isinstance(build.get("version"), str):
            raise BackendRefused(self.name, f"{self._api.place} is not a Tempo: {_VERSION} tells no version")
        try:
            said = configuration(await self._api.get("/status/config", accept="text/plain"))
        except BackendError:  # a proxy that serves the API alone
            said = None
        known = shortcomings(said) if said is not None else (UNKNOWN,)
        if self._unreadable_records:
            known += (
                Shortcoming(
                    "some of every frame's latencies",
                    f"{self._unreadable_records} frames records came back cut or damaged",
                    "set distributor.max_attribute_bytes: 65536",
                ),
            )
        return About(self.name, build["version"] or None, known)

    async def frames(self, query: FrameQuery) -> FramePage:
        """Kept frames, one page. Raises ``ValueError`` for a cursor that is not ours.

        Without an end it reaches to a minute from now, without a start 6 hours back from its end. A page may
        be short and go on. By stage, only frames are found whose root and stage came to Tempo together.
        """
        after = from_cursor(query.cursor, query.order) if query.cursor is not None else None
        end = query.end_ns if query.end_ns is not None else self._now_ns() + AHEAD_NS
        start = query.start_ns if query.start_ns is not None else end - LOOK_BACK_NS
        if not answerable(query):
            return FramePage(())
        limit = max(1, min(query.limit, GREATEST_PAGE))
        question, by_id = _Question(), Allowance(GREATEST_BY_ID)

        async def ask(since_ns: int, until_ns: int, least_ns: int, below_ns: int | None) -> Found[FrameRow]:
            found, fullness = await self._frame_traces(
                query, (since_ns, until_ns), (least_ns, below_ns), question
            )
            rows = (
                await self._rows_with_stages(found, by_id)
                if query.stage is not None
                else [row for one in found for row in rows_of(one)]
            )
            inside = [
                row
                for row in rows
                if since_ns <= row.start_ns < until_ns
                and least_ns <= row.latency_ns
                and (below_ns is None or row.latency_ns < below_ns)
            ]
            return Found(inside, fullness, _middle([row.start_ns for row in inside], since_ns))

        if query.order == "time":
            until = min(end, after.key + 1) if after else end
            parts = newest_first(
                lambda a, b: ask(a, b, 0, None), start, until, self._first_step(until, _FIRST_STEP_NS)
            )
        else:
            parts = longest_first(
                lambda least, below: ask(start, end, least, below),
                lambda least, below: newest_first(
                    lambda a, b: ask(a, b, least, below),
                    start,
                    end,
                    self._first_step(end, _FIRST_STEP_NS),
                ),
                query.min_latency_ns or 0,
                after.key + 1 if after else None,
            )
        try:
            page = await first_page(
                parts, query.order, limit, after, lambda row: query.stage in (None, row.stage)
            )
            if query.stage is None:
                page = replace(page, frames=await self._page_with_stages(query, page.frames, by_id))
        except (Crowded, Spent) as error:
            raise self._too_much(error, "frames") from None
        if after is None and page.next_cursor is None and query.start_ns is not None:
            return replace(page, total=len(page.frames))
        return page

    async def trace(self, trace_id: str) -> Trace | None:
        """One trace with all its spans, whichever message they came in."""
        wanted = trace_id.lower()
        if not _TRACE_ID.fullmatch(wanted) or not int(wanted, 16):
            return None
        body = await self._api.get(f"/api/v2/traces/{wanted}", accept=PROTOBUF)
        if body is None:
            return None
        try:
            groups, partial = trace_groups(body)
        except Unreadable as error:
            raise self._not_tempo(error) from None
        return trace_of(groups, wanted, partial)

    async def every_frame(
        self,
        service: str,
        pipeline: str,
        start_ns: int,
        end_ns: int,
        limit: int = 3600,
        attributes: bool = False,
    ) -> list[FrameBatch]:
        """The ``frames`` records that overlap the range, oldest first, at most ``limit`` (the newest).

        A record whose lists do not fit together, because Tempo cut one, is left out; ``about`` says so.
        """
        if limit < 1 or not (traceql.can_be(service) and traceql.can_be(pipeline)):
            return []
        question = _Question()
        prefixes: tuple[str, ...] = (signals.BATCH_DEPTHS_PREFIX,)
        if attributes:
            prefixes += (signals.BATCH_ATTRIBUTES_PREFIX,)
        lists = await self._record_lists(service, start_ns - _LONGEST_RECORD_NS, end_ns, prefixes)
        conditions = [
            traceql.equals(traceql.SERVICE, service),
            traceql.equals(traceql.SPAN_NAME, signals.SPAN_FRAMES),
            traceql.equals(traceql.PIPELINE, pipeline),
        ]
        selected = [traceql.span_attribute(name) for name in (*_BATCH_ATTRIBUTES, *lists)]
        if attributes:
            selected.append(traceql.VERSION)
        asked = traceql.query(traceql.spans(conditions), selected)

        async def ask(since_ns: int, until_ns: int) -> Found[Span]:
            return await self._spans(asked, since_ns, until_ns, _RECORDS_AT_ONCE, question)

        batches: dict[tuple[int, int], FrameBatch] = {}
        unreadable: set[str] = set()
        step_ns = self._first_step(end_ns, _RECORDS_STEP_NS)
        parts = newest_first(ask, start_ns - _LONGEST_RECORD_NS, end_ns, step_ns)
        try:
            async with aclosing(parts):
                async for spans in parts:
                    for span in spans:
                        version = text(span.attributes.get(signals.SERVICE_VERSION))
                        batch = batch_of(service, replace(span, name=signals.SPAN_FRAMES), version)
                        if batch is None:
                            unreadable.add(span.span_id)
                        elif max(span.end_ns, batch_end_ns(batch)) >= start_ns:
                            batches[(batch.start_ns, batch.first_id)] = batch
                    if len(batches) >= limit:
                        break
        except (Crowded, Spent) as error:
            raise self._too_much(error, "frames records") from None
        self._unreadable_records = max(self._unreadable_records, len(unreadable))
        return [batches[key] for key in sorted(batches)][-limit:]

    async def marks(self, service: str, start_ns: int, end_ns: int) -> list[Mark]:
        """Change markers, oldest first, the newest 10 000."""
        if not traceql.can_be(service):
            return []
        question = _Question()
        conditions = [
            traceql.equals(traceql.SERVICE, service),
            traceql.equals(traceql.SPAN_NAME, signals.SPAN_MARK),
        ]
        text = traceql.query(traceql.spans(conditions), [traceql.span_attribute(signals.MARK_TEXT)])

        async def ask(since_ns: int, until_ns: int) -> Found[Span]:
            return await self._spans(text, since_ns, until_ns, _MARKS_AT_ONCE, question)

        found: set[tuple[int, str]] = set()
        # Marks are rare: the whole range at once, in parts only where there are many.
        parts = newest_first(ask, start_ns, end_ns, end_ns - start_ns)
        try:
            async with aclosing(parts):
                async for spans in parts:
                    marked = (mark_of(service, replace(span, name=signals.SPAN_MARK)) for span in spans)
                    found |= {(mark.time_ns, mark.text) for mark in marked if mark is not None}
                    if len(found) >= GREATEST_MARKS:
                        break
        except (Crowded, Spent) as error:
            raise self._too_much(error, "marks") from None
        return [Mark(service, at, said) for at, said in sorted(found)[-GREATEST_MARKS:]]

    async def pipelines(self, start_ns: int, end_ns: int) -> list[PipelineRef]:
        """Pipelines heard of in the range, newest first; of more than 200 some.

        Tempo says which services and pipelines its blocks hold; the newest record or frame of each is
        then looked for.
        """
        if end_ns <= start_ns:
            return []
        ours = traceql.spans([_RECORD_OR_FRAME])
        services = await self._values(traceql.SERVICE, ours, start_ns, end_ns)
        turns = asyncio.Semaphore(_AT_A_TIME)

        async def of(service: str) -> list[str]:
            async with turns:
                own = traceql.spans([traceql.equals(traceql.SERVICE, service), _RECORD_OR_FRAME])
                return await self._values(traceql.PIPELINE, own, start_ns, end_ns)

        async def newest(service: str, pipeline: str) -> PipelineRef | None:
            async with turns:
                return await self._newest(service, pipeline, start_ns, end_ns)

        known = await asyncio.gather(*(of(service) for service in services[:GREATEST_PIPELINES]))
        pairs = [(service, one) for service, some in zip(services, known, strict=False) for one in some]
        refs = await asyncio.gather(*(newest(*pair) for pair in pairs[:GREATEST_PIPELINES]))
        heard = [ref for ref in refs if ref is not None]
        return sorted(heard, key=lambda ref: (-(ref.newest_ns or 0), ref.service, ref.pipeline))

    # -- parts of the questions ---------------------------------------------------------------------------

    async def _frame_traces(
        self,
        query: FrameQuery,
        times: tuple[int, int],
        latencies: tuple[int, int | None],
        question: _Question,
    ) -> tuple[list[TraceFound], float]:
        found = roots(query, *latencies)
        names: tuple[Sequence[str], ...] = (ROOT_ATTRIBUTES,)
        if query.stage is not None:
            found = traceql.together(found, stages(query.service, query.stage), stages(query.service))
            names = (ROOT_ATTRIBUTES, GUILT_ATTRIBUTES)
        return await self._slice(traceql.query(found, fields(*names)), *times, _FRAMES_AT_ONCE, question)

    async def _rows_with_stages(self, found: Sequence[TraceFound], by_id: Allowance) -> list[FrameRow]:
        """The frames with their stages: from the spans found, and else from the whole trace."""
        settled = {one.trace_id: row for one in found if (row := row_with_stage(one)) is not None}
        open_ids = [one.trace_id for one in found if one.trace_id not in settled]
        for _ in open_ids:
            by_id.take()
        return [*settled.values(), *(row for rows in (await self._whole(open_ids)).values() for row in rows)]

    async def _page_with_stages(
        self, query: FrameQuery, rows: Sequence[FrameRow], by_id: Allowance
    ) -> tuple[FrameRow, ...]:
        """The rows with their guilty stages, by one search for all stages of the page's frames."""
        open_rows = [row for row in rows if may_have_stage(row)]
        if not open_rows:
            return tuple(rows)
        least = min(row.latency_ns for row in open_rows)
        below = max(row.latency_ns for row in open_rows) + 1
        text = traceql.query(
            traceql.together(roots(query, least, below), stages(query.service)), fields(GUILT_ATTRIBUTES)
        )
        since = min(row.start_ns for row in open_rows)
        until = max(row.start_ns for row in open_rows) + 1
        wanted = {row.trace_id for row in open_rows}
        # Others with such latencies at such times are found too: what the limit leaves out is fetched by id.
        found = await self._search(text, since, until, 2 * len(wanted) + _SPANS_EACH)
        settled = {
            one.trace_id: row
            for one in found
            if one.trace_id in wanted and (row := row_with_stage(one)) is not None
        }
        open_ids: list[str] = []
        for trace_id in dict.fromkeys(row.trace_id for row in open_rows if row.trace_id not in settled):
            try:
                by_id.take()
            except Spent:  # the rest keeps "not known which stage"
                break
            open_ids.append(trace_id)
        whole = await self._whole(open_ids)

        def stage_of(row: FrameRow) -> str | None:
            same = [settled[row.trace_id]] if row.trace_id in settled else whole.get(row.trace_id, [])
            return next((one.stage for one in same if one.start_ns == row.start_ns), None)

        return tuple(replace(row, stage=stage_of(row)) for row in rows)

    async def _whole(self, trace_ids: Sequence[str]) -> dict[str, list[FrameRow]]:
        turns = asyncio.Semaphore(_AT_A_TIME)

        async def rows(trace_id: str) -> list[FrameRow]:
            async with turns:
                trace = await self.trace(trace_id)
                return frame_rows(trace) if trace is not None else []

        return dict(zip(trace_ids, await asyncio.gather(*map(rows, trace_ids)), strict=True))

    async def _spans(
        self, text: str, since_ns: int, until_ns: int, limit: int, question: _Question
    ) -> Found[Span]:
        """The matching spans that begin in the slice."""
        found, fullness = await self._slice(text, since_ns, until_ns, limit, question)
        inside = [span for one in found for span in one.spans if since_ns <= span.start_ns < until_ns]
        return Found(inside, fullness, _middle([span.start_ns for span in inside], since_ns))

    async def _slice(
        self, text: str, since_ns: int, until_ns: int, limit: int, question: _Question
    ) -> tuple[list[TraceFound], float]:
        """What matches in the slice, and how full the answer was.

        A second cannot be divided: it may answer more. Raises ``Crowded`` beyond.
        """
        seconds = _whole_seconds(since_ns, until_ns)
        if seconds is not None and seconds[1] - seconds[0] <= 2:
            found_by_second = [await self._second(text, at, limit, question) for at in range(*seconds)]
            # How full they were tells nothing of the slice: the next may be as long as may be.
            return list({one.trace_id: one for some in found_by_second for one in some}.values()), 0.0
        found: list[TraceFound] = []
        # Adjoining parts, so that none is over the longest search that Tempo allows.
        for since, until in _parts(since_ns, until_ns):
            question.requests.take()
            part = await self._search(text, since, until, limit)
            found += part
            if len(part) >= min(limit, self._greatest_limit):
                return found, 1.0
        return found, min(len(found) / min(limit, self._greatest_limit), _NEARLY_FULL)

    async def _second(self, text: str, second: int, limit: int, question: _Question) -> list[TraceFound]:
        """What matches in one second. It is searched once, whatever part of it is wanted next."""
        key = (text, second)
        if key in question.seconds:
            return question.seconds[key]
        room = limit
        while True:
            question.requests.take()
            found = await self._search(text, second * NS, (second + 1) * NS, room)
            room = min(room, self._greatest_limit)
            if len(found) < room:
                question.seconds = dict([*question.seconds.items(), (key, found)][-_REMEMBERED_SECONDS:])
                return found
            if room >= self._greatest_limit:
                raise Crowded
            room *= 4

    async def _search(self, text: str, since_ns: int, until_ns: int, limit: int) -> list[TraceFound]:
        """At most ``limit`` of the traces with a matching span that overlap the time, in no order."""
        seconds = _whole_seconds(since_ns, until_ns)
        if seconds is None:
            return []
        start, end = seconds
        limit = min(limit, self._greatest_limit)
        params = [("q", text), ("start", str(start)), ("end", str(end)), ("spss", str(_SPANS_EACH))]
        try:
            body = await self._get("/api/search", [*params, ("limit", str(limit))])
        except BackendRefused as refusal:
            if _NOT_YET in refusal.reason:
                return []
            allowed = _LIMIT_REFUSED.search(refusal.reason)
            if allowed is None or not 0 < int(allowed[1]) < limit:
                raise
            self._greatest_limit = int(allowed[1])
            body = await self._get("/api/search", [*params, ("limit", allowed[1])])
        try:
            return found_in(body)
        except Unreadable as error:
            raise self._not_tempo(error) from None

    async def _newest(self, service: str, pipeline: str, start_ns: int, end_ns: int) -> PipelineRef | None:
        conditions = [
            traceql.equals(traceql.SERVICE, service),
            _RECORD_OR_FRAME,
            traceql.equals(traceql.PIPELINE, pipeline),
        ]
        text = traceql.query(traceql.spans(conditions), [traceql.HOST], most_recent=True)
        # From the end back in growing steps: most pipelines run now, and Tempo goes through all it is asked.
        for since, until in _growing(start_ns, end_ns):
            found = await self._search(text, since - _LONGEST_RECORD_NS, until, _NEWEST)
            heard = [
                (min(span.end_ns, end_ns - 1), one.host)
                for one in found
                for span in one.spans
                if span.start_ns < end_ns and span.end_ns >= start_ns
            ]
            if heard:
                newest_ns, host = max(heard, key=lambda pair: pair[0])
                return PipelineRef(service, pipeline, newest_ns, host)
        return None

    async def _values(self, of: traceql.Field, among: traceql.Spans, start_ns: int, end_ns: int) -> list[str]:
        said = await self._tags(f"/api/v2/search/tag/{of.token}/values", among, start_ns, end_ns)
        values = said.get("tagValues")
        if not isinstance(values, list):
            raise self._not_tempo(Unreadable("the answer has no tagValues"))
        texts = (value.get("value") for value in values if isinstance(value, dict))
        return sorted({text for text in texts if isinstance(text, str) and text})

    async def _record_lists(
        self, service: str, start_ns: int, end_ns: int, prefixes: tuple[str, ...]
    ) -> list[str]:
        """The attributes under these prefixes that records have: TraceQL selects by whole names."""
        record = traceql.spans(
            [
                traceql.equals(traceql.SERVICE, service),
                traceql.equals(traceql.SPAN_NAME, signals.SPAN_FRAMES),
            ]
        )
        said = await self._tags("/api/v2/search/tags", record, start_ns, end_ns, scope="span")
        scopes = said.get("scopes") or []
        try:
            told = [name for scope in scopes for name in scope.get("tags") or ()]
        except (AttributeError, TypeError):
            raise self._not_tempo(Unreadable("the answer has no lists of tags")) from None
        names = {name for name in told if isinstance(name, str) and name.startswith(prefixes)}
        return sorted(name for name in names if traceql.can_be_name(name))[:_GREATEST_LISTS]

    async def _tags(
        self, path: str, among: traceql.Spans, start_ns: int, end_ns: int, scope: str | None = None
    ) -> Mapping[str, Any]:
        seconds = _whole_seconds(start_ns, end_ns)
        if seconds is None:
            return {"tagValues": [], "scopes": []}
        params = [("q", traceql.query(among)), ("start", str(seconds[0])), ("end", str(seconds[1]))]
        said = await self._api.json("GET", path, params + ([("scope", scope)] if scope else []))
        if not isinstance(said, dict):
            raise self._not_tempo(Unreadable(f"{path} is not answered"))
        return said

    async def _get(self, path: str, params: Params) -> bytes:
        body = await self._api.get(path, params, PROTOBUF)
        if body is None:
            raise self._not_tempo(Unreadable(f"{path} is not found there"))
        return body

    def _first_step(self, end_ns: int, step_ns: int) -> int:
        """A slice wholly in the future would be answered by a search of the last 15 minutes."""
        return step_ns + max(0, end_ns - self._now_ns())

    def _not_tempo(self, error: Unreadable) -> BackendRefused:
        return BackendRefused(self.name, f"{error}: is {self._api.place} the address of a Tempo?")

    def _too_much(self, error: Crowded | Spent, what: str) -> BackendRefused:
        if isinstance(error, Crowded):
            reason = f"more than {self._greatest_limit} {what} in one second: choose a pipeline or an outcome"
        else:
            reason = f"too many {what} to look through: ask for a shorter time"
        return BackendRefused(self.name, reason)


_RECORD_OR_FRAME: Final = traceql.equals_any(traceql.SPAN_NAME, (signals.SPAN_FRAMES, signals.SPAN_FRAME))
_NEWEST: Final = 5
"""A record begins up to a second before the frames in it, so a few of the newest traces are looked at."""
_GREATEST_LISTS: Final = 64


def _middle(starts_ns: Sequence[int], since_ns: int) -> int | None:
    """Where to divide a slice that came back full: never inside its first second, which a search of the rest
    would answer again."""
    return max(median_high(starts_ns), (since_ns // NS + 1) * NS) if starts_ns else None


def _whole_seconds(since_ns: int, until_ns: int) -> tuple[int, int] | None:
    """The whole seconds that hold ``[since, until)``; None for a range of no time or before 1970."""
    start, end = max(1, since_ns // NS), min(-(-until_ns // NS), _GREATEST_SECOND)
    return (start, end) if until_ns > since_ns and start < end else None


def _parts(since_ns: int, until_ns: int) -> Iterator[tuple[int, int]]:
    longest = int(LONGEST_SEARCH_SECONDS) * NS - 2 * NS  # rounded to whole seconds it may be 2 s longer
    while until_ns > since_ns:
        start = max(since_ns, until_ns - longest)
        yield start, until_ns
        until_ns = start


def _growing(start_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
    """The range from its end back, in steps that grow up to the longest search."""
    step, until = 60 * NS, end_ns
    while until > start_ns:
        since = max(start_ns, until - step)
        yield since, until
        until, step = since, min(16 * step, int(LONGEST_SEARCH_SECONDS) * NS // 2)
