"""What the pages ask, for a notebook or a script: plain calls, answers as tables. See docs/embed.md.

    import pandas as pd
    from framescope_ui.notebook import connect, table

    frames = connect()
    pd.DataFrame(table(frames.kept(last=600)))

Everything here is the pages' own: ``questions`` over the configured backends, ``figures`` of their views.
In a notebook, which has an event loop, the questions can also be awaited as they are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import plotly.graph_objects as go

from framescope.causes import load
from framescope.config import CAUSES, modules_in, read_text, resolve
from framescope_ui import settings
from framescope_ui.backends.protocols import FrameQuery
from framescope_ui.connections import open_stores
from framescope_ui.figures.local_time import written_out
from framescope_ui.loop_thread import LoopThread
from framescope_ui.questions.correlate import correlate
from framescope_ui.questions.correlate_views import Correlation
from framescope_ui.questions.every_frame import every_frame
from framescope_ui.questions.frame import frame
from framescope_ui.questions.incidents import Incidents, incidents
from framescope_ui.questions.live import live
from framescope_ui.questions.pipelines import picked, pipelines
from framescope_ui.questions.slow_frames import slow_frames
from framescope_ui.questions.stores import NS, Stores
from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.questions.views import Choice, EveryFrame, FrameItem, FrameView, Live

Answer = TypeVar("Answer")

__all__ = ["Reader", "connect", "in_zone", "table"]

_LOOP = LoopThread("framescope-notebook")
_SCALARS = (str, bool, int, float)


def connect(stores: Stores | None = None, service: str | None = None, pipeline: str | None = None) -> Reader:
    """A reader of what ``framescope ui`` would read: the settings of file and environment.

    Of ``service`` and ``pipeline``, else of the one heard of last. Raises ``ConfigError`` for wrong settings.
    """
    thresholds = Thresholds()
    if stores is None:
        home, environ = Path.home(), os.environ
        found = resolve(
            settings.reader(environ, home),
            environ=environ,
            read_file=read_text,
            also_known=settings.every_setting(environ, home),
        )
        load(modules_in(found.optional_text(CAUSES.key)))
        stores, thresholds = open_stores(found), settings.thresholds(found)
    return Reader(stores, service, pipeline, thresholds)


class Reader:
    """Asks the questions of the pages, one call each.

    A range is ``start`` to ``end`` in unix seconds; without ``end`` up to now, without ``start`` the ``last``
    seconds before it. Raises ``BackendError`` where a backend does not answer, ``LookupError`` where no
    pipeline has been heard of.
    """

    def __init__(
        self,
        stores: Stores,
        service: str | None = None,
        pipeline: str | None = None,
        thresholds: Thresholds | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.stores = stores
        self._service = service
        self._pipeline = pipeline
        self._thresholds = thresholds or Thresholds()
        self._clock = clock

    def ask(self, question: Awaitable[Answer]) -> Answer:
        """The answer of any question of ``framescope_ui.questions``, over ``stores``."""

        async def asked() -> Answer:
            return await question

        return _LOOP.run(asked())

    def pipelines(self) -> list[Choice]:
        """Pipelines heard of in the last day, the running ones first."""
        return self.ask(pipelines(self.stores, int(self._clock() * NS)))

    def kept(
        self,
        start: float | None = None,
        end: float | None = None,
        last: float = 3600.0,
        outcomes: Sequence[str] = ("slow", "dropped", "failed"),
        causes: Sequence[str] = (),
        longest_first: bool = False,
        limit: int = 100,
    ) -> Sequence[FrameItem]:
        """Frames that were kept whole, newest (or longest) first; ``outcomes`` empty: any."""
        service, pipeline = self._chosen()
        since, until = self._range(start, end, last)
        query = FrameQuery(
            service,
            pipeline,
            int(since * NS),
            int(until * NS),
            outcomes=tuple(outcomes),
            causes=tuple(causes),
            order="duration" if longest_first else "time",
            limit=limit,
        )
        return self.ask(slow_frames(self.stores, query)).frames

    def every_frame(
        self, start: float | None = None, end: float | None = None, last: float = 300.0
    ) -> EveryFrame:
        """Latency, outcome and cause of every frame, kept or not."""
        return self.ask(every_frame(self.stores, *self._chosen(), *self._range(start, end, last)))

    def frame(self, trace_id: str) -> FrameView | None:
        """One frame whole: stages, evidence, verdict; None for a trace that is not stored."""
        return self.ask(frame(self.stores, trace_id))

    def incidents(
        self, start: float | None = None, end: float | None = None, last: float = 3600.0
    ) -> Incidents:
        """Slow frames that belong together."""
        return self.ask(incidents(self.stores, *self._chosen(), *self._range(start, end, last)))

    def correlate(
        self,
        start: float | None = None,
        end: float | None = None,
        last: float = 3600.0,
        signal: str | None = None,
    ) -> Correlation:
        """What slow frames go along with; ``signal`` is looked at closely."""
        return self.ask(correlate(self.stores, *self._chosen(), *self._range(start, end, last), signal))

    def live(self, window_seconds: float = 300.0) -> Live:
        """The snapshot that the Live page shows."""
        at = int(self._clock() * NS)
        return self.ask(live(self.stores, *self._chosen(), at, self._thresholds, window_seconds))

    def _chosen(self) -> tuple[str, str]:
        if self._service is not None and self._pipeline is not None:
            return self._service, self._pipeline
        found = picked(self.pipelines(), self._service, self._pipeline)
        if found is None:
            raise LookupError("no pipeline has sent anything in the last day: give service and pipeline")
        return found.service, found.pipeline

    def _range(self, start: float | None, end: float | None, last: float) -> tuple[float, float]:
        until = self._clock() if end is None else end
        return (until - last if start is None else start), until


def in_zone(figure: go.Figure, zone: str = "UTC") -> go.Figure:
    """A figure over time with its times written in this zone (an IANA name), changed in place.

    Without it a figure is drawn in the zone of whoever looks at it, and says "local time". Raises
    ``ValueError`` for a zone this machine does not know.
    """
    try:
        known: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise ValueError(
            f"{zone!r} is no time zone this machine knows: give a name like Europe/Berlin"
        ) from None
    return written_out(figure, known)


def table(views: Any) -> dict[str, list[Any]]:
    """Views as columns: what ``pandas.DataFrame`` (and ``polars.DataFrame``) takes as it is.

    ``views`` is a list of views, or one whose fields are parallel lists (``every_frame``). A row has the
    fields that are one value; shares by cause (``overrun_by_cause``) are a column a cause; whatever else is
    nested stays in the view. Times are unix seconds: ``pandas.to_datetime(column, unit="s", utc=True)``.
    """
    if is_dataclass(views) and not isinstance(views, type):
        return _parallel(views)
    rows = [_row(view) for view in views]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _parallel(view: Any) -> dict[str, list[Any]]:
    columns = {
        one.name: list(value)
        for one in fields(view)
        if isinstance(value := getattr(view, one.name), Sequence) and not isinstance(value, str)
    }
    if len({len(column) for column in columns.values()}) > 1:
        raise TypeError(f"{type(view).__name__} has no rows of its own: give one of its lists")
    return columns


def _row(view: Any) -> dict[str, Any]:
    if isinstance(view, Mapping):
        return {str(name): value for name, value in view.items() if _is_one(value)}
    row: dict[str, Any] = {}
    for one in fields(view):
        value = getattr(view, one.name)
        if _is_one(value):
            row[one.name] = value
        elif one.name.endswith("_by_cause"):
            row |= {f"{one.name}.{cause}": share for cause, share in value}
    return row


def _is_one(value: Any) -> bool:
    return value is None or isinstance(value, _SCALARS)
