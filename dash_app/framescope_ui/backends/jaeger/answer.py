"""What Jaeger's API v3 answers, read: traces in OTLP JSON under ``result``, names, its version."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from framescope_ui.backends import otlp_json
from framescope_ui.backends.protocols import Trace

_VERSION: Final = re.compile(r"JAEGER_VERSION\s*=\s*(\{[^{}]*\})")


def traces_in(answer: object) -> list[Trace]:
    """Every trace of an answer, root first. Raises ``ValueError`` for what is no OTLP JSON.

    Jaeger answers a trace in as many groups as its storage keeps it in.
    """
    result = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(result, dict):
        raise ValueError("not OTLP JSON (no result)")
    return otlp_json.traces_in(result.get("resourceSpans"), list_or_text)


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


def list_or_text(text: str) -> Any:
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
    return items if otlp_json.alike(items) else text
