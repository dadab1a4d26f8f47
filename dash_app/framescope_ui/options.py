"""What the app was started with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.trace_links import TraceLink


@dataclass(frozen=True, slots=True)
class AppOptions:
    """Address, pace, limits and looks of the app.

    ``interval_seconds`` is the pace of live updates; ``history`` the number of live points a chart and
    ``/api/metrics/history`` hold. ``allowed_origins`` are origins, beside the app's own, whose pages may
    open its websockets and pin frames. ``trace_links`` lead to the same trace in other tools; pinned frames
    are kept in ``data_dir``, and without one none can be pinned. ``brand_color`` is ``#rrggbb``; it takes
    the place of our own accent, in each theme as light or dark as it must be to be read there. ``logo`` is
    a picture for the place of our own.

    ``base`` is what the addresses of the pages begin with where something in front of the app takes it away
    again: another app, or a proxy. ``pushed``: whether browsers can be pushed to; else they ask.
    """

    host: str = "127.0.0.1"
    port: int = 8050
    interval_seconds: float = 1.0
    history: int = 300
    thresholds: Thresholds = field(default_factory=Thresholds)
    brand_name: str = "framescope"
    brand_color: str | None = None
    theme: str = "auto"
    allowed_origins: tuple[str, ...] = ()
    trace_links: tuple[TraceLink, ...] = ()
    data_dir: Path | None = None
    logo: Path | None = None
    base: str = ""
    pushed: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, not {self.port}")
        if not self.interval_seconds >= 0.1:
            raise ValueError(f"interval_seconds must be at least 0.1, not {self.interval_seconds}")
        if not 10 <= self.history <= 3600:
            raise ValueError(f"history must be between 10 and 3600 points, not {self.history}")
        if self.theme not in ("auto", "light", "dark"):
            raise ValueError(f"theme must be auto, light or dark, not {self.theme!r}")
        if not re.fullmatch(r"(/[\w.~-]+)*", self.base, re.ASCII):
            raise ValueError(f"base must be a path such as /framescope, not {self.base!r}")

    @property
    def window_seconds(self) -> float:
        """s of history the Live page shows."""
        return max(self.history * self.interval_seconds, 60.0)
