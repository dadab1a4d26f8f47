"""OTLP attribute values as plain Python values, without loss."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from framescope import signals


def plain(value: AnyValue) -> Any:
    """The value an attribute has: text, bool, int, float, or a list of one of them.

    What the app's attributes cannot hold is written as text: bytes in hex, maps and mixed or nested
    lists as JSON. An empty value is None.
    """
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        items = [plain(item) for item in value.array_value.values]
        kinds = {type(item) for item in items}
        if len(kinds) > 1 or kinds & {list, type(None)}:
            return json.dumps(items)
        return items
    if kind == "kvlist_value":
        return json.dumps({pair.key: plain(pair.value) for pair in value.kvlist_value.values})
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind)


def mapping(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes by name; of a name given twice the last counts. Empty values are left out."""
    found = ((pair.key, plain(pair.value)) for pair in pairs)
    return {key: value for key, value in found if value is not None}


def label(value: Any) -> str:
    """An attribute's value as series carry it: ``true``, ``7``, ``0.5``, lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return json.dumps(value)
    return str(value)


def text(value: Any) -> str | None:
    """The value if it is text."""
    return value if isinstance(value, str) else None


def integer(value: Any) -> int | None:
    """The value if it is an integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """The value if it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def letters(value: Any) -> str | None:
    """The outcomes of a ``frames`` record, a letter a frame, however an emitter spells the list."""
    if isinstance(value, list) and all(isinstance(item, str) and len(item) == 1 for item in value):
        return "".join(value)
    return text(value)


def contents(told: Mapping[str, Any], frames: int, version: str | None = None) -> dict[str, list[str]]:
    """The content attributes of a ``frames`` record of so many frames: a text each, or one for all. The
    version of the service is one of them."""
    prefix = signals.BATCH_ATTRIBUTES_PREFIX
    found = {} if version is None else {signals.SERVICE_VERSION: [version]}
    for name, value in told.items():
        if name.startswith(prefix):
            texts = [value] if isinstance(value, str) else value  # a list of one may come as its item
            if (
                isinstance(texts, list)
                and len(texts) in (1, frames)
                and all(isinstance(t, str) for t in texts)
            ):
                found[name.removeprefix(prefix)] = texts
    return found


def codes(value: Any) -> list[str] | None:
    """The causes of a ``frames`` record, a code a slow frame; none told is an empty list."""
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return value.split() if isinstance(value, str) else None
