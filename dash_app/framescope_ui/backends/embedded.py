"""The embedded store seen from the app: both protocols over its query socket.

Keeps nothing between questions but idle connections, so a store that goes away and comes back is simply
asked again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import pyarrow as pa
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from framescope_ui.store.address import socket_path
from framescope_ui.store.attributes import mapping

from .cursor import Place, from_cursor, to_cursor
from .otlp_trace import span_of
from .protocols import (
    About,
    BackendAway,
    BackendRefused,
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

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_GREATEST_PAGE: Final = 1000


Kind = Literal["gauges", "increases"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A question about points, and who waits for its answer."""

    kind: Kind
    arguments: Mapping[str, Any]
    answer: asyncio.Future[list[Series]]


def _fail(wanted: Sequence[_Wanted], error: Exception) -> None:
    for one in wanted:
        if not one.answer.done():
            one.answer.set_exception(error)


class EmbeddedStore:
    """Metrics and traces of the store that owns ``data_dir``. ``timeout`` in s, for one question."""

    name = "embedded store"
    at_once = 64
    """Questions worth having under way: those about points go as one."""

    def __init__(self, data_dir: Path, timeout: float = 10.0) -> None:
        self._path = socket_path(data_dir)
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(self._path)),
            base_url="http://store",
            timeout=timeout,
            trust_env=False,
        )
        self._wanted: list[_Wanted] = []
        self._asking: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._http.aclose()

    async def about(self) -> About:
        """What it is; it answers every question the protocols have."""
        await self.status()
        return About("framescope's embedded store", version("framescope"))

    async def status(self) -> dict[str, Any]:
        """What the store says of itself: see ``framescope_ui.store.server``."""
        answer = await self._send("GET", "/status", None)
        said: dict[str, Any] = answer.json()
        return said

    async def arrived(self, service: str, pipeline: str, after_ns: int, patience_seconds: float) -> int:
        """The newest time (unix ns) of the pipeline's records, once beyond ``after_ns`` or after a while."""
        asked = {
            "service": service,
            "pipeline": pipeline,
            "after_ns": after_ns,
            "patience_s": patience_seconds,
        }
        answer = await self._send("POST", "/arrived", asked)
        return int(answer.json()["newest_ns"])

    async def pipelines(self, start_ns: int, end_ns: int) -> list[PipelineRef]:
        """Pipelines heard of in the range, newest first."""
        rows = await self._ask("pipelines", {"start_ns": start_ns, "end_ns": end_ns})
        return [PipelineRef(**row) for row in rows.to_pylist()]

    async def frames(self, query: FrameQuery) -> FramePage:
        """Kept frames, one page. Raises ``ValueError`` for a cursor that is not ours."""
        after = from_cursor(query.cursor, query.order) if query.cursor is not None else None
        limit = _limit(query)
        rows = await self._ask(
            "frames",
            {
                **_filters(query),
                "order": query.order,
                "limit": limit,
                "after_key": after.key if after else None,
                "after_trace_id": after.trace_id if after else None,
            },
        )
        found = rows.to_pylist()
        page = found[:limit]
        following = None
        if len(found) > limit:
            last = page[-1]
            key = last["latency_ns"] if query.order == "duration" else last["start_ns"]
            following = to_cursor(Place(query.order, key, last["trace_id"].hex()))
        total = (rows.schema.metadata or {}).get(b"total")
        return FramePage(_frame_rows(page), following, int(total) if total is not None else None)

    async def oldest_frames(self, query: FrameQuery) -> Sequence[FrameRow]:
        """The oldest kept frames that match, the oldest first."""
        limit = _limit(query)
        rows = await self._ask("frames", {**_filters(query), "order": "oldest", "limit": limit})
        return _frame_rows(rows.to_pylist()[:limit])

    async def trace(self, trace_id: str) -> Trace | None:
        """One trace with all its spans, whichever message they came in."""
        wanted = trace_id.lower()
        if not _TRACE_ID.fullmatch(wanted):
            return None
        rows = await self._ask("trace", {"trace_id": wanted})
        return _trace(wanted, rows.to_pylist())

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
        arguments = {"service": service, "pipeline": pipeline, "start_ns": start_ns, "end_ns": end_ns}
        rows = await self._ask("every_frame", {**arguments, "limit": limit, "attributes": attributes})
        starts, first_ids, outcomes, causes, budgets = (
            rows[name].to_pylist() for name in ("start_ns", "first_id", "outcomes", "causes", "budget_ns")
        )
        offsets, latencies = _lists(rows["offsets_us"]), _lists(rows["latencies_us"])
        depths = _maps_of_lists(rows["depths"])
        contents: list[dict[str, list[str]]] = (
            [dict(told) for told in rows["attributes"].to_pylist()] if attributes else [{}] * len(starts)
        )
        batches = (
            FrameBatch(service, pipeline, *row)
            for row in zip(
                starts,
                first_ids,
                offsets,
                latencies,
                outcomes,
                causes,
                depths,
                budgets,
                contents,
                strict=True,
            )
        )
        # A record that was sent twice is stored twice.
        return list({(batch.start_ns, batch.first_id): batch for batch in batches}.values())

    async def marks(self, service: str, start_ns: int, end_ns: int) -> list[Mark]:
        """Change markers, oldest first."""
        rows = await self._ask("marks", {"service": service, "start_ns": start_ns, "end_ns": end_ns})
        return [Mark(service, row["time_ns"], row["text"]) for row in rows.to_pylist()]

    async def gauge(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, max_points: int = 20_000
    ) -> list[Series]:
        """Raw readings, each at its own time; of more than ``max_points`` in a series the newest."""
        asked = {**_metric(metric, where, start_ns, end_ns), "max_points": max_points}
        return await self._points("gauges", asked)

    async def increase(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[Series]:
        """Increase of a counter per step; emitters that differ only by instance are added up."""
        asked = {**_metric(metric, where, start_ns, end_ns), "step_ns": step_ns}
        return await self._points("increases", asked)

    async def histogram(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[HistogramSeries]:
        """Increase of a histogram per step; emitters that differ only by instance are added up."""
        rows = await self._ask("histogram", {**_metric(metric, where, start_ns, end_ns), "step_ns": step_ns})
        return [
            HistogramSeries(
                dict(row["attributes"]), row["bounds"], row["times_ns"], row["counts"], row["sums"]
            )
            for row in rows.to_pylist()
        ]

    async def _points(self, kind: Kind, arguments: Mapping[str, Any]) -> list[Series]:
        """Readings or increases, asked for together with all that are wanted in the same moment."""
        loop = asyncio.get_running_loop()
        wanted = _Wanted(kind, arguments, loop.create_future())
        if not self._wanted:
            # Behind whatever else is about to ask.
            loop.call_soon(self._ask_together)
        self._wanted.append(wanted)
        return await wanted.answer

    def _ask_together(self) -> None:
        wanted, self._wanted = self._wanted, []
        asking = asyncio.get_running_loop().create_task(self._answer(wanted))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def _answer(self, wanted: Sequence[_Wanted]) -> None:
        ordered = sorted(wanted, key=lambda one: one.kind == "increases")
        asked = {
            "gauges": [one.arguments for one in ordered if one.kind == "gauges"],
            "increases": [one.arguments for one in ordered if one.kind == "increases"],
        }
        try:
            rows = (await self._ask("points", asked)).to_pylist()
        except BackendRefused as error:
            if len(wanted) == 1:
                _fail(wanted, error)
            else:  # one of them is at fault
                await asyncio.gather(*(self._answer([one]) for one in wanted))
        except Exception as error:
            _fail(wanted, error)
        else:
            found: dict[int, list[Series]] = {}
            for row in rows:
                found.setdefault(row["asked"], []).append(_series(row))
            for number, one in enumerate(ordered):
                if not one.answer.done():  # who asked has gone
                    one.answer.set_result(found.get(number, []))

    async def _ask(self, question: str, arguments: Mapping[str, Any]) -> Any:
        answer = await self._send("POST", f"/ask/{question}", arguments)
        return pa.ipc.open_stream(answer.content).read_all()

    async def _send(self, method: str, path: str, arguments: Mapping[str, Any] | None) -> httpx.Response:
        try:
            try:
                answer = await self._http.request(method, path, json=arguments)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # An idle connection that the store closed, or one to a store that was restarted.
                answer = await self._http.request(method, path, json=arguments)
        except httpx.TimeoutException:
            raise BackendAway(self.name, "it did not answer in time") from None
        except httpx.TransportError:
            raise BackendAway(self.name, "it is not running (start it with `framescope store`)") from None
        if answer.is_success:
            return answer
        detail = str(answer.json().get("detail", answer.text)) if _is_json(answer) else answer.text
        raise BackendRefused(self.name, detail)


def _filters(query: FrameQuery) -> dict[str, Any]:
    return {
        "service": query.service,
        "pipeline": query.pipeline,
        "start_ns": query.start_ns,
        "end_ns": query.end_ns,
        "outcomes": list(query.outcomes),
        "causes": list(query.causes),
        "kept": list(query.kept),
        "stage": query.stage,
        "min_latency_ns": query.min_latency_ns,
        "total": query.counted,
    }


def _limit(query: FrameQuery) -> int:
    return max(1, min(query.limit, _GREATEST_PAGE))


def _metric(metric: str, where: Mapping[str, str], start_ns: int, end_ns: int) -> dict[str, Any]:
    return {"metric": metric, "where": dict(where), "start_ns": start_ns, "end_ns": end_ns}


def _is_json(answer: httpx.Response) -> bool:
    return "json" in answer.headers.get("content-type", "")


def _series(row: Mapping[str, Any]) -> Series:
    return Series(dict(row["attributes"]), row["times_ns"], row["values"])


def _lists(column: Any) -> list[Any]:
    """A column of number lists, each a view of the column's one array: an hour of frames is not copied."""
    return [part for chunk in column.chunks for part in _lists_of(chunk)]


def _lists_of(array: Any) -> list[Any]:
    edges, values = array.offsets.to_pylist(), array.values.to_numpy()
    return [values[low:high] for low, high in pairwise(edges)]


def _maps_of_lists(column: Any) -> list[dict[str, Any]]:
    """A column of maps from a name to a number list."""
    maps: list[dict[str, Any]] = []
    for array in column.chunks:
        edges, names, lists = array.offsets.to_pylist(), array.keys.to_pylist(), _lists_of(array.items)
        maps += (dict(zip(names[low:high], lists[low:high], strict=True)) for low, high in pairwise(edges))
    return maps


def _frame_rows(rows: Iterable[Mapping[str, Any]]) -> tuple[FrameRow, ...]:
    """Rows of a page. A frame that was sent twice is stored twice, side by side in any order."""
    frames = {(row["trace_id"], row["start_ns"], row["latency_ns"]): row for row in rows}
    return tuple(_frame_row(row) for row in frames.values())


def _frame_row(row: Mapping[str, Any]) -> FrameRow:
    root = trace_pb2.Span.FromString(row["root"])
    return FrameRow(
        trace_id=row["trace_id"].hex(),
        service=row["service"],
        start_ns=row["start_ns"],
        latency_ns=row["latency_ns"],
        attributes=mapping(root.attributes),
        stage=row["stage"],
    )


def _trace(trace_id: str, rows: Iterable[Mapping[str, Any]]) -> Trace | None:
    spans: dict[bytes, trace_pb2.Span] = {}
    resource: dict[str, Any] = {}
    for row in rows:
        if row["resource"] and (row["root"] or not resource):
            resource = mapping(Resource.FromString(row["resource"]).attributes)
        for body in (row["root"], row["body"]):
            if body:
                span = trace_pb2.Span.FromString(body)
                spans.setdefault(span.span_id, span)
        if row["children"]:
            for span in trace_pb2.ScopeSpans.FromString(row["children"]).spans:
                spans.setdefault(span.span_id, span)
    if not spans:
        return None
    ordered = sorted(
        spans.values(),
        key=lambda span: (span.parent_span_id in spans, span.start_time_unix_nano, -span.end_time_unix_nano),
    )
    return Trace(trace_id, resource, tuple(span_of(span, trace_id) for span in ordered))
