"""What one viewer looks at: read from the address, written back into links. The address is the state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlencode

from framescope_ui.figures.theme import Theme

RANGES: dict[str, tuple[str, float]] = {
    "1m": ("Last 1 min", 60.0),
    "5m": ("Last 5 min", 300.0),
    "15m": ("Last 15 min", 900.0),
    "1h": ("Last 1 h", 3600.0),
    "6h": ("Last 6 h", 21600.0),
    "24h": ("Last 24 h", 86400.0),
}
LIVE_RANGES = ("1m", "5m", "15m")
DEFAULT_RANGE = "5m"


@dataclass(frozen=True, slots=True)
class Viewer:
    """One viewer's choices. ``paused`` is the unix time at which the page was stopped, None while live."""

    path: str = "/"
    service: str | None = None
    pipeline: str | None = None
    range: str = DEFAULT_RANGE
    start: float | None = None
    end: float | None = None
    paused: float | None = None
    cause: str | None = None
    stage: str | None = None
    order: Literal["time", "duration"] = "time"
    every_row: bool = False
    signal: str | None = None
    theme: Theme = "dark"
    phone: bool = False

    @property
    def window_seconds(self) -> float:
        """How long the range is, s."""
        if self.start is not None and self.end is not None:
            return self.end - self.start
        return RANGES[self.range][1]

    def span(self, now: float) -> tuple[float, float]:
        """The range in unix seconds: the fixed one, or the last stretch before now (or the pause)."""
        if self.start is not None and self.end is not None:
            return self.start, self.end
        end = self.paused if self.paused is not None else now
        return end - self.window_seconds, end

    def with_(self, **changes: Any) -> Viewer:
        """The same with some choices changed."""
        return replace(self, **changes)

    def href(self, path: str | None = None) -> str:
        """The address of a page under these choices."""
        query: dict[str, str] = {}
        for name in ("service", "pipeline", "cause", "stage", "signal"):
            if value := getattr(self, name):
                query[name] = value
        if self.start is not None and self.end is not None:
            query |= {"start": f"{self.start:.3f}", "end": f"{self.end:.3f}"}
        elif self.range != DEFAULT_RANGE:
            query["range"] = self.range
        if self.paused is not None:
            query["paused"] = f"{self.paused:.3f}"
        if self.order != "time":
            query["order"] = self.order
        if self.every_row:
            query["rows"] = "all"
        target = path or self.path
        return target + (f"?{urlencode(query)}" if query else "")

    def frame_href(self, trace_id: str) -> str:
        """The address of one frame."""
        kept = self.with_(cause=None, stage=None, order="time", every_row=False, signal=None)
        return kept.href(f"/frames/{quote(trace_id, safe='')}")


def viewer_of(path: str | None, search: str | None, screen: Mapping[str, Any] | None) -> Viewer:
    """The choices in an address. What cannot be read there is as if it were not there."""
    found = {name: values[-1] for name, values in parse_qs((search or "").lstrip("?")).items()}
    start, end = _time(found.get("start")), _time(found.get("end"))
    if start is None or end is None or not end > start:
        start = end = None
    wanted = found.get("range", DEFAULT_RANGE)
    screen = screen or {}
    return Viewer(
        path=path or "/",
        service=found.get("service"),
        pipeline=found.get("pipeline"),
        range=wanted if wanted in RANGES else DEFAULT_RANGE,
        start=start,
        end=end,
        paused=_time(found.get("paused")),
        cause=found.get("cause"),
        stage=found.get("stage"),
        order="duration" if found.get("order") == "duration" else "time",
        every_row=found.get("rows") == "all",
        signal=found.get("signal"),
        theme="light" if screen.get("theme") == "light" else "dark",
        phone=bool(screen.get("phone")),
    )


def _time(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) and 0 < value < 32503680000 else None
