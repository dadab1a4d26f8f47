"""What Jaeger's API v3 answers, read: traces in OTLP JSON under ``result``, names, its version.

The JSON is read directly: through protobuf's own JSON reader, records of an hour take seconds.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from framescope import signals
from framescope_ui.backends.protocols import Span, SpanEvent, Trace

_STATUS: Final[dict[Any, Literal["unset", "ok", "error"]]] = {
    1: "ok",
    2: "error",
    "STATUS_CODE_OK": "ok",
    "STATUS_CODE_ERROR": "error",
}
_VERSION: Final = re.compile(r"JAEGER_VERSION\s*=\s*(\{[^{}]*\})")


def traces_in(answer: object) -> list[Trace]:
    """Every trace of an answer, each with its root first and each span once.

    Jaeger answers a trace in as many groups as its storage keeps it in. A trace that crosses processes
    has several resources: its own is that of its root. Raises ``ValueError`` for what is no OTLP JSON.
    """
    traces: dict[str, dict[str, tuple[Span, Mapping[str, Any]]]] = {}
    try:
        for group in _list(_dict(_dict(answer).get("result")).get("resourceSpans")):
            resource = _attributes(_dict(group.get("resource")).get("attributes"))
            for scope in _list(group.get("scopeSpans")):
                for wire in _list(scope.get("spans")):
                    span = _span(wire)
                    traces.setdefault(span.trace_id, {}).setdefault(span.span_id, (span, resource))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"not OTLP JSON ({type(error).__name__})") from None
    return [_trace(trace_id, spans) for trace_id, spans in traces.items()]


def names_in(answer: object, under: str) -> list[str]:
    """The names ``/api/v3/services`` or ``/operations`` lists. Raises ``ValueError`` for another shape."""
    listed = answer.get(under) if isinstance(answer, dict) else None
    if listed is None:
        listed = []  # how protobuf's JSON writes an empty list
    if not isinstance(answer, dict) or not isinstance(listed, list):
        raise ValueError(f"no list of {under}")
    names = (one.get("name") if isinstance(one, dict) else one for one in listed)
    return [name for name in names if isinstance(name, str) and name]


def version_in(page: bytes) -> str | None:
    """The version that Jaeger writes into its start page; None where it says none."""
    found = _VERSION.search(page.decode("utf-8", "replace"))
    try:
        said = json.loads(found[1]).get("gitVersion") if found else None
    except ValueError:
        return None
    return said.removeprefix("v") if isinstance(said, str) and said not in ("", "dev") else None


def _trace(trace_id: str, spans: Mapping[str, tuple[Span, Mapping[str, Any]]]) -> Trace:
    ordered = sorted(
        spans.values(),
        key=lambda pair: (
            pair[0].parent_span_id in spans,
            pair[0].name != signals.SPAN_FRAME,
            pair[0].start_ns,
            -pair[0].end_ns,
        ),
    )
    return Trace(trace_id, ordered[0][1], tuple(span for span, _ in ordered))


def _span(wire: Mapping[str, Any]) -> Span:
    status = _dict(wire.get("status"))
    return Span(
        trace_id=_text(wire["traceId"]).lower(),
        span_id=_text(wire["spanId"]).lower(),
        parent_span_id=_text(wire.get("parentSpanId", "")).lower() or None,
        name=_text(wire.get("name", "")),
        start_ns=int(wire.get("startTimeUnixNano", 0)),
        end_ns=int(wire.get("endTimeUnixNano", 0)),
        attributes=_attributes(wire.get("attributes")),
        status=_STATUS.get(status.get("code"), "unset"),
        status_message=_text(status.get("message", "")),
        events=tuple(
            SpanEvent(
                _text(event.get("name", "")),
                int(event.get("timeUnixNano", 0)),
                _attributes(event.get("attributes")),
            )
            for event in _list(wire.get("events"))
        ),
    )


def _attributes(pairs: object) -> dict[str, Any]:
    found = ((_text(pair["key"]), _value(_dict(pair.get("value")))) for pair in _list(pairs))
    return {key: value for key, value in found if value is not None}


def _value(value: Mapping[str, Any]) -> Any:
    """The value as the embedded store has it (``store/attributes.py``), but for texts that are lists."""
    for kind, given in value.items():
        if kind == "stringValue":
            return _list_or_text(_text(given))
        if kind == "intValue":
            return int(given)
        if kind == "doubleValue":
            return float(given)
        if kind == "boolValue":
            return given is True
        if kind == "arrayValue":
            items = [_value(_dict(item)) for item in _list(_dict(given).get("values"))]
            return items if _alike(items) else json.dumps(items)
        if kind == "kvlistValue":
            return json.dumps(_attributes(_dict(given).get("values")))
        if kind == "bytesValue":
            return base64.b64decode(given).hex()
    return None


def _list_or_text(text: str) -> Any:
    """Storages of Jaeger's older model (Badger, Cassandra) keep a list as its JSON text.

    A text that was written like a list of texts, numbers or truth values is therefore taken for one.
    """
    if not (text.startswith("[") and text.endswith("]")):
        return text
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if {type(item) for item in items} == {int, float}:  # 2.0 was written as 2
        return [float(item) for item in items]
    return items if _alike(items) else text


def _alike(items: Iterable[Any]) -> bool:
    kinds = {type(item) for item in items}
    return len(kinds) <= 1 and kinds <= {str, bool, int, float}


def _dict(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError("not a list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not text")
    return value
