"""A small Jaeger for tests: honours the parameters of its API v3 as version 2.20 with Badger does."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
from emission import trace_id_of
from opentelemetry.sdk.trace import ReadableSpan

from framescope import signals

HEX_128, HEX_64 = "032x", "016x"


class JaegerServer:
    """Answers from the spans in ``spans``. What it was asked is in ``asked``.

    ``lists_as_text``: keeps a list as its JSON text (Badger), else typed (memory). ``order`` is "newest" or
    "any": which traces a cut answer holds.
    """

    def __init__(self, *, lists_as_text: bool = True, order: str = "newest") -> None:
        self.spans: list[ReadableSpan] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._lists_as_text = lists_as_text
        self._order = order
        self._dice = random.Random(7)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    @property
    def searches(self) -> list[dict[str, str]]:
        return [params for path, params in self.asked if path == "/api/v3/traces"]

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, params = request.url.path, dict(request.url.params)
        self.asked.append((path, params))
        if path == "/":
            return httpx.Response(200, text='<script>JAEGER_VERSION = {"gitVersion":"v2.20.0"};</script>')
        if path == "/api/v3/services":
            return httpx.Response(200, json={"services": sorted({_service(span) for span in self.spans})})
        if path == "/api/v3/operations":
            names = sorted({span.name for span in self.spans if _service(span) == params["service"]})
            return httpx.Response(200, json={"operations": [{"name": name} for name in names]})
        if path == "/api/v3/traces":
            return self._traces(self.found(params))
        if path.startswith("/api/v3/traces/"):
            return self._traces([path.removeprefix("/api/v3/traces/")])
        return httpx.Response(404, text="404 page not found")

    def found(self, params: Mapping[str, str]) -> list[str]:
        """Ids of the traces a search finds."""
        told = {name.removeprefix("query."): value for name, value in params.items()}
        first, last = _microseconds(told["start_time_min"]), _microseconds(told["start_time_max"])
        assert first < last
        wanted = json.loads(told.get("attributes", "{}"))
        least = int(told.get("duration_min", "0us").removesuffix("us"))
        most = int(told.get("duration_max", f"{2**62}us").removesuffix("us"))
        newest: dict[str, int] = {}
        for span in self.spans:
            start = (span.start_time or 0) // 1000
            if (
                _service(span) == told["service_name"]
                and span.name == told["operation_name"]
                and first <= start <= last
                and all(
                    _as_text((span.attributes or {}).get(name)) == value for name, value in wanted.items()
                )
                and any(least <= _length_us(other) <= most for other in self._spans_of(trace_id_of(span)))
            ):
                newest[trace_id_of(span)] = start
        ids = sorted(newest, key=lambda one: -newest[one])
        if self._order == "any":
            self._dice.shuffle(ids)
        return ids[: int(told["search_depth"])]

    def _spans_of(self, trace_id: str) -> list[ReadableSpan]:
        return [span for span in self.spans if trace_id_of(span) == trace_id]

    def _traces(self, ids: Sequence[str]) -> httpx.Response:
        groups = [self._group(span) for one in ids for span in self._spans_of(one)]
        if not groups:
            return httpx.Response(404, json={"error": {"httpCode": 404, "message": "No traces found"}})
        return httpx.Response(200, json={"result": {"resourceSpans": groups}})

    def _group(self, span: ReadableSpan) -> dict[str, Any]:
        context = span.get_span_context()
        assert context
        wire: dict[str, Any] = {
            "traceId": format(context.trace_id, HEX_128),
            "spanId": format(context.span_id, HEX_64),
            "name": span.name,
            "startTimeUnixNano": str(span.start_time),
            "endTimeUnixNano": str(span.end_time),
            "attributes": self._pairs(span.attributes or {}),
            "events": [
                {
                    "timeUnixNano": str(event.timestamp),
                    "name": event.name,
                    "attributes": self._pairs(event.attributes or {}),
                }
                for event in span.events
            ],
            "status": {"code": span.status.status_code.value, "message": span.status.description or ""},
        }
        if span.parent:
            wire["parentSpanId"] = format(span.parent.span_id, HEX_64)
        return {
            "resource": {"attributes": self._pairs(span.resource.attributes)},
            "scopeSpans": [{"scope": {"name": signals.SCOPE}, "spans": [wire]}],
        }

    def _pairs(self, attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{"key": key, "value": self._value(value)} for key, value in attributes.items()]

    def _value(self, value: Any) -> dict[str, Any]:
        if isinstance(value, bool):
            return {"boolValue": value}
        if isinstance(value, int):
            return {"intValue": str(value)}
        if isinstance(value, float):
            return {"doubleValue": value}
        if isinstance(value, str):
            return {"stringValue": value}
        if self._lists_as_text:
            return {"stringValue": json.dumps(list(value), separators=(",", ":"))}
        return {"arrayValue": {"values": [self._value(item) for item in value]}}


def _service(span: ReadableSpan) -> str:
    return str(span.resource.attributes[signals.SERVICE_NAME])


def _length_us(span: ReadableSpan) -> int:
    return ((span.end_time or 0) - (span.start_time or 0)) // 1000


def _as_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _microseconds(time: str) -> int:
    at = datetime.fromisoformat(time)
    return round(at.timestamp() * 1_000_000)
