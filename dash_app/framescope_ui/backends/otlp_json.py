"""OTLP as JSON, read into the app's own types.

Source: OTLP specification, "JSON Protobuf Encoding": ids in hex, 64-bit integers as text, names in camel
case. It is read directly: through protobuf's own JSON reader the records of an hour take seconds.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from .otlp_trace import whole_trace
from .protocols import Span, SpanEvent, Trace

ReadText = Callable[[str], Any]
_STATUS: Final[dict[Any, Literal["unset", "ok", "error"]]] = {
    1: "ok",
    2: "error",
    "STATUS_CODE_OK": "ok",
    "STATUS_CODE_ERROR": "error",
}


def traces_in(groups: object, read_text: ReadText = str) -> list[Trace]:
    """Every trace in a list of ``resourceSpans``, each with its root first and each span once.

    ``read_text`` makes a value of a text, for backends that write others as text. Raises ``ValueError`` for
    what is no OTLP JSON.
    """
    traces: dict[str, dict[str, tuple[Span, Mapping[str, Any]]]] = {}
    try:
        for group in _list(groups):
            resource = _attributes(_dict(group.get("resource")).get("attributes"), read_text)
            for scope in _list(group.get("scopeSpans")):
                for wire in _list(scope.get("spans")):
                    span = _span(wire, read_text)
                    traces.setdefault(span.trace_id, {}).setdefault(span.span_id, (span, resource))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"not OTLP JSON ({type(error).__name__})") from None
    return [whole_trace(trace_id, spans) for trace_id, spans in traces.items()]


def alike(items: Iterable[Any]) -> bool:
    """Whether the items make a list that an attribute can be: all texts, or numbers, or truth values."""
    kinds = {type(item) for item in items}
    return len(kinds) <= 1 and kinds <= {str, bool, int, float}


def _span(wire: Mapping[str, Any], read_text: ReadText) -> Span:
    status = _dict(wire.get("status"))
    return Span(
        trace_id=_text(wire["traceId"]).lower(),
        span_id=_text(wire["spanId"]).lower(),
        parent_span_id=_text(wire.get("parentSpanId", "")).lower() or None,
        name=_text(wire.get("name", "")),
        start_ns=int(wire.get("startTimeUnixNano", 0)),
        end_ns=int(wire.get("endTimeUnixNano", 0)),
        attributes=_attributes(wire.get("attributes"), read_text),
        status=_STATUS.get(status.get("code"), "unset"),
        status_message=_text(status.get("message", "")),
        events=tuple(
            SpanEvent(
                _text(event.get("name", "")),
                int(event.get("timeUnixNano", 0)),
                _attributes(event.get("attributes"), read_text),
            )
            for event in _list(wire.get("events"))
        ),
    )


def _attributes(pairs: object, read_text: ReadText) -> dict[str, Any]:
    found = ((_text(pair["key"]), _value(_dict(pair.get("value")), read_text)) for pair in _list(pairs))
    return {key: value for key, value in found if value is not None}


def _value(value: Mapping[str, Any], read_text: ReadText) -> Any:
    """The value as the embedded store has it (``store/attributes.py``)."""
    for kind, given in value.items():
        if kind == "stringValue":
            return read_text(_text(given))
        if kind == "intValue":
            return int(given)
        if kind == "doubleValue":
            return float(given)
        if kind == "boolValue":
            return given is True
        if kind == "arrayValue":
            items = [_value(_dict(item), read_text) for item in _list(_dict(given).get("values"))]
            return items if alike(items) else json.dumps(items)
        if kind == "kvlistValue":
            return json.dumps(_attributes(_dict(given).get("values"), read_text))
        if kind == "bytesValue":
            return base64.b64decode(given).hex()
    return None


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
