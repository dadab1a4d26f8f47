"""Views as JSON values. What is not a finite number is ``null``: JSON knows no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from framescope_ui.questions.views import FrameItem, FrameView, Health, VerdictView


def plain(value: Any) -> Any:
    """Any view as dicts, lists, strings and finite numbers."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


ITEM_FIELDS = (
    "trace_id",
    "frame_id",
    "service",
    "pipeline",
    "start",
    "latency_seconds",
    "overrun_seconds",
    "lost_seconds",
    "outcome",
    "cause",
    "confidence",
    "stage",
)


def item_json(item: FrameItem) -> dict[str, Any]:
    """A line of ``/api/frames``."""
    return {name: plain(getattr(item, name)) for name in ITEM_FIELDS}


def verdict_json(verdict: VerdictView) -> dict[str, Any]:
    """The verdict as the contract spells it: the culprit is one object or null."""
    body: dict[str, Any] = plain(verdict)
    process, pid = body.pop("culprit_process"), body.pop("culprit_pid")
    body["culprit"] = None if process is None else {"process": process, "pid": pid}
    return body


def frame_json(frame: FrameView) -> dict[str, Any]:
    """``/api/frames/{trace_id}``: the list line's fields, the stages, the verdict, what was around."""
    body: dict[str, Any] = plain(frame)
    del body["item"]
    body["attributes"] = dict(frame.attributes)
    body["verdict"] = None if frame.verdict is None else verdict_json(frame.verdict)
    return {**item_json(frame.item), **body}


def health_json(health: Health) -> dict[str, Any]:
    """``/api/health``."""
    body: dict[str, Any] = plain(health)
    return body
