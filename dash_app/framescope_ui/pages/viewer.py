"""What one viewer looks at: read from the address, written back into links. The address is the state."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any, Literal, cast
from urllib.parse import parse_qs, quote, urlencode

from framescope_ui.figures.quantity import zone_of
from framescope_ui.figures.theme import Theme

RANGES: dict[str, tuple[str, float]] = {
    "1m": ("Last 1 min", 60.0),
    "5m": ("Last 5 min", 300.0),
    "15m": ("Last 15 min", 900.0),
    "1h": ("Last 1 h", 3600.0),
    "6h": ("Last 6 h", 21600.0),
    "24h": ("Last 24 h", 86400.0),
}
LIVE_RANGES = ("1m", "5m", "15m", "1h")
DEFAULT_RANGE = "5m"
LONGEST_SECONDS = 366 * 86400.0
"""A range in an address that is longer is nonsense."""
MOST_PICKED = 50
"""Frames picked one by one that an address tells of: 1.7 kB."""
Outcome = Literal["slow", "dropped", "failed", "on_time", "any"]
OUTCOMES: dict[Outcome, str] = {
    "slow": "Slow",
    "dropped": "Dropped",
    "failed": "Failed",
    "on_time": "On time",
    "any": "Any kept",
}
Group = Literal["cause", "stage", "attribute"]
GROUPS: dict[Group, str] = {"cause": "By cause", "stage": "By stage", "attribute": "By attribute"}


@dataclass(frozen=True, slots=True)
class Viewer:
    """One viewer's choices. ``paused`` is the unix time at which the page was stopped, None while live.

    The last five are remembered by the browser and not told by the address: another viewer has another
    screen. ``home`` is its zone, ``every`` the least time between two updates, s (0: as they come).
    """

    path: str = "/"
    service: str | None = None
    pipeline: str | None = None
    range: str = DEFAULT_RANGE
    start: float | None = None
    end: float | None = None
    paused: float | None = None
    cause: str | None = None
    stage: str | None = None
    outcome: Outcome = "slow"
    cohort: tuple[str, str] | None = None
    """Name and value of a content attribute that the frames listed have."""
    latency_ms: tuple[float, float] | None = None
    """Least and greatest latency of the frames listed, the box drawn on the strip."""
    frames: tuple[str, ...] = ()
    """Trace ids of frames picked one by one."""
    group: Group | None = None
    order: Literal["time", "duration"] = "time"
    every_row: bool = False
    other: str | None = None
    """Id of the frame that the Frame page compares with; None for the expected one."""
    signal: str | None = None
    within: tuple[str, float, float] | None = None
    """Only frames while the signal of this name lay between two values: the box drawn on its chart."""
    than: tuple[float, float] | None = None
    """Another range that Correlate compares with, unix seconds."""
    theme: Theme = "dark"
    phone: bool = False
    base: str = ""
    """What the app's addresses begin with, inside another app or behind a proxy; "" at the root."""
    minimal: bool = False
    every: float = 0.0
    home: tzinfo = UTC
    utc: bool = False

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

    @property
    def zone(self) -> tzinfo:
        """The zone that times are written in: the browser's own, or UTC."""
        return UTC if self.utc else self.home

    @property
    def look(self) -> str:
        """What decides how a snapshot is drawn for this viewer."""
        return f"{self.theme} {self.phone} {self.minimal} {self.utc}"

    def with_(self, **changes: Any) -> Viewer:
        """The same with some choices changed."""
        return replace(self, **changes)

    @property
    def filtered(self) -> bool:
        """Whether fewer than all slow frames of the range are asked for."""
        return self != self.with_(cause=None, stage=None, outcome="slow", cohort=None, latency_ms=None)

    def without_filters(self) -> Viewer:
        """The same pipeline and range, nothing left out and nothing chosen in it."""
        return self.with_(
            cause=None,
            stage=None,
            outcome="slow",
            cohort=None,
            latency_ms=None,
            frames=(),
            group=None,
            order="time",
            every_row=False,
            signal=None,
            within=None,
            than=None,
        )

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
        if self.outcome != "slow":
            query["outcome"] = self.outcome
        if self.cohort is not None:
            query["cohort"] = "=".join(self.cohort)
        if self.latency_ms is not None:
            query["latency_ms"] = "-".join(f"{end:g}" for end in self.latency_ms)
        if self.frames:
            query["frames"] = ".".join(self.frames)
        if self.group is not None:
            query["group"] = self.group
        if self.within is not None:
            query["within"] = "{}:{:g}:{:g}".format(*self.within)
        if self.than is not None:
            query["than"] = "{:.3f}-{:.3f}".format(*self.than)
        if self.order != "time":
            query["order"] = self.order
        if self.every_row:
            query["rows"] = "all"
        if self.other and (path or self.path).startswith("/frames/"):
            query["with"] = self.other
        target = self.base + (path or self.path)
        return target + (f"?{urlencode(query)}" if query else "")

    def frame_href(self, trace_id: str) -> str:
        """The address of one frame; what its list is filtered by goes along, for the way back."""
        return self.with_(every_row=False, signal=None).href(f"/frames/{quote(trace_id, safe='')}")


def viewer_of(path: str | None, search: str | None, screen: Mapping[str, Any] | None) -> Viewer:
    """The choices in an address. What cannot be read there is as if it were not there."""
    found = {name: values[-1] for name, values in parse_qs((search or "").lstrip("?")).items()}
    start, end = _ends(found.get("start"), found.get("end")) or (None, None)
    wanted = found.get("range", DEFAULT_RANGE)
    screen = screen or {}
    base = base_of(screen.get("base"))
    return Viewer(
        path=(path or "/").removeprefix(base) or "/",
        service=found.get("service"),
        pipeline=found.get("pipeline"),
        range=wanted if wanted in RANGES else DEFAULT_RANGE,
        start=start,
        end=end,
        paused=_time(found.get("paused")),
        cause=found.get("cause"),
        stage=found.get("stage"),
        outcome=cast(Outcome, found["outcome"]) if found.get("outcome") in OUTCOMES else "slow",
        cohort=cohort_of(found.get("cohort")),
        latency_ms=latencies_of(found.get("latency_ms")),
        frames=frames_of(found.get("frames")),
        group=cast(Group, found["group"]) if found.get("group") in GROUPS else None,
        order="duration" if found.get("order") == "duration" else "time",
        every_row=found.get("rows") == "all",
        other=found.get("with"),
        signal=found.get("signal"),
        within=within_of(found.get("within")),
        than=_ends(*(found.get("than") or "").partition("-")[::2]),
        theme="light" if screen.get("theme") == "light" else "dark",
        phone=bool(screen.get("phone")),
        base=base,
        minimal=bool(screen.get("minimal")),
        every=_pace(screen.get("every")),
        home=zone_of(screen.get("zone"), screen.get("offset")),
        utc=bool(screen.get("utc")),
    )


def base_of(text: object) -> str:
    """What addresses begin with, as the page was given it; "" for anything that is no plain path."""
    return text if isinstance(text, str) and re.fullmatch(r"(/[\w.~-]+)*", text, re.ASCII) else ""


def cohort_of(text: str | None) -> tuple[str, str] | None:
    """``name=value`` as addresses have it; None for anything else."""
    name, sign, value = (text or "").partition("=")
    return (name, value) if name and sign and value else None


def latencies_of(text: str | None) -> tuple[float, float] | None:
    """``least-greatest`` in ms as addresses have it; None for anything else."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)-(\d{1,9}(?:\.\d{1,6})?)", text or "", re.ASCII)
    ends = (float(found[1]), float(found[2])) if found else None
    return ends if ends is not None and ends[0] < ends[1] else None


def frames_of(text: str | None) -> tuple[str, ...]:
    """Trace ids with points between them as addresses have them, each once, the first ``MOST_PICKED``; what
    is no trace id is as if it were not there."""
    ids = dict.fromkeys(one for one in (text or "").split(".") if re.fullmatch("[0-9a-f]{32}", one))
    return tuple(ids)[:MOST_PICKED]


def within_of(text: str | None) -> tuple[str, float, float] | None:
    """``name:low:high`` as addresses have it; None for anything else."""
    try:
        name, low_text, high_text = (text or "").rsplit(":", 2)
        low, high = float(low_text), float(high_text)
    except ValueError:
        return None
    return (name, low, high) if name and math.isfinite(low) and math.isfinite(high) and low <= high else None


def _ends(first: str | None, last: str | None) -> tuple[float, float] | None:
    start, end = _time(first), _time(last)
    if start is None or end is None or not 0 < end - start <= LONGEST_SECONDS:
        return None
    return start, end


PACES = (0.0, 2.0, 5.0, 10.0)
"""The update intervals offered, s; 0 is the app's own pace."""


def _pace(told: object) -> float:
    return float(told) if isinstance(told, (int, float)) and told in PACES else 0.0


def _time(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) and 0 < value < 32503680000 else None
