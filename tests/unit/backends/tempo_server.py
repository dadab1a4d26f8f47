"""A small Tempo: holds what is sent in the pieces it came in, and answers searches as the real one does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import httpx
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from traceql_reader import Query, read

from framescope_ui.backends.tempo.search_answer import MESSAGES
from framescope_ui.store.attributes import mapping

SECOND = 1_000_000_000


class TempoServer:
    """``greatest_limit`` as ``max_result_limit``; ``now_s`` is where searches end at the latest."""

    def __init__(self, now_s: int) -> None:
        self.pieces: list[list[Any]] = []
        self.searches: list[dict[str, str]] = []
        self.fetched: list[str] = []
        self.greatest_limit = 100_000
        self.now_s = now_s
        self.config: str | None = None
        self.partial = False
        self.transport = httpx.MockTransport(self._answer)

    def receive(self, spans: Sequence[ReadableSpan]) -> None:
        """One message: its traces are held apart from what other messages brought."""
        self.pieces.append(list(encode_spans(spans).resource_spans))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, asked = request.url.path, dict(request.url.params)
        if path == "/api/search":
            return self._search(asked)
        if path == "/api/status/buildinfo":
            return httpx.Response(200, json={"version": "3.0.3"})
        if path == "/status/config" and self.config is not None:
            return httpx.Response(200, text=f"GET /status/config\n---\n{self.config}")
        if path.startswith("/api/v2/traces/"):
            return self._trace(path.rpartition("/")[2])
        if path.startswith("/api/v2/search/tag/"):
            name = path.removeprefix("/api/v2/search/tag/").removesuffix("/values")
            found = {one.get(name) for _, _, one in self._all_matching(read(asked["q"]))}
            values = [{"type": "string", "value": value} for value in found if value is not None]
            return httpx.Response(200, json={"tagValues": values})
        if path == "/api/v2/search/tags":
            names = {
                name.removeprefix("span.")
                for _, _, one in self._all_matching(read(asked["q"]))
                for name in one
                if name.startswith("span.")
            }
            return httpx.Response(200, json={"scopes": [{"name": "span", "tags": sorted(names)}]})
        return httpx.Response(404)

    def _search(self, asked: dict[str, str]) -> httpx.Response:
        self.searches.append(asked)
        query = read(asked["q"])
        start, end, limit = int(asked["start"]), int(asked["end"]), int(asked["limit"])
        end = min(end, self.now_s)
        if start > end:
            start = self.now_s - 900
        if start >= end:
            said = f"http parameter start must be before end. received start={start} end={end}"
            return httpx.Response(400, text=said)
        if limit > self.greatest_limit:
            return httpx.Response(400, text=f"limit {limit} exceeds max limit {self.greatest_limit}")
        traces: dict[str, Any] = {}
        for trace_id, spans, _ in self._traces(start, end):
            matching = query.matching(spans)
            if not matching or (trace_id not in traces and len(traces) >= limit and not query.most_recent):
                continue
            found = _found(trace_id, matching, spans, query, int(asked["spss"]))
            before = traces.get(trace_id)
            size = max(entry.services[0].value.span_count for entry in (found, before) if entry)
            if before is None or before.span_sets[0].matched < found.span_sets[0].matched:
                traces[trace_id] = found
            traces[trace_id].services[0].value.span_count = size
        newest = sorted(traces.values(), key=_begins, reverse=True)
        answer = MESSAGES["SearchAnswer"](traces=newest[:limit])
        return httpx.Response(200, content=answer.SerializeToString())

    def _trace(self, wanted: str) -> httpx.Response:
        self.fetched.append(wanted)
        answer = MESSAGES["TraceAnswer"](status=int(self.partial))
        for piece in self.pieces:
            for group in piece:
                spans = [s for scope in group.scope_spans for s in scope.spans if s.trace_id.hex() == wanted]
                if spans:
                    held = answer.trace.groups.add(resource=group.resource)
                    held.scope_spans.add(spans=spans)
        if not answer.trace.groups:
            return httpx.Response(404)
        return httpx.Response(200, content=answer.SerializeToString())

    def _all_matching(self, query: Query) -> list[tuple[str, Any, dict[str, Any]]]:
        return [
            (trace_id, spans, dict(one))
            for trace_id, spans, _ in self._traces(0, 2**32)
            for one in query.matching(spans)
        ]

    def _traces(self, start_s: int, end_s: int) -> list[tuple[str, list[dict[str, Any]], int]]:
        """Each piece's traces that overlap the time, their spans as TraceQL names what they have."""
        found = []
        for piece in self.pieces:
            traces: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
            for group in piece:
                resource = {f"resource.{k}": v for k, v in mapping(group.resource.attributes).items()}
                for scope in group.scope_spans:
                    for span in scope.spans:
                        traces[span.trace_id.hex()].append(_values(span, resource))
            for trace_id, spans in traces.items():
                begins = min(one["start"] for one in spans)
                ends = max(one["start"] + one["span:duration"] for one in spans)
                if begins <= end_s * SECOND and ends >= start_s * SECOND:
                    found.append((trace_id, spans, begins))
        return found


def _values(span: Any, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "wire": span,
        "start": span.start_time_unix_nano,
        "span:name": span.name,
        "span:duration": span.end_time_unix_nano - span.start_time_unix_nano,
        **resource,
        **{f"span.{name}": value for name, value in mapping(span.attributes).items()},
    }


def _found(trace_id: str, matching: Sequence[Any], spans: Sequence[Any], query: Query, most: int) -> Any:
    found = MESSAGES["TraceFound"](trace_id=trace_id.lstrip("0"))
    entry = found.services.add(key="any")
    entry.value.span_count = len(spans)
    group = found.span_sets.add(matched=len(matching))
    conditions = {c.name for spanset in query.spansets for some in spanset for c in some}
    for one in matching[:most]:
        wire = one["wire"]
        told = group.spans.add(span_id=wire.span_id.hex(), start_ns=one["start"])
        told.duration_ns = one["span:duration"]
        told.name = wire.name
        named = {name.removeprefix("span.") for name in (*query.selected, *conditions)}
        told.attributes.extend(pair for pair in wire.attributes if pair.key in named)
        for name in (*query.selected, *conditions):
            if name.startswith("resource.") and one.get(name) is not None:
                told.attributes.add(key=name.removeprefix("resource.")).value.string_value = one[name]
    return found


def _begins(found: Any) -> int:
    return min(span.start_ns for group in found.span_sets for span in group.spans)
