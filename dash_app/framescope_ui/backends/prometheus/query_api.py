"""The query API that Prometheus, Mimir, Thanos and VictoriaMetrics share, over HTTP."""

from __future__ import annotations

import logging
from typing import Any, Final

import httpx

from framescope_ui.backends.access import Access
from framescope_ui.backends.http_api import HttpApi, Params
from framescope_ui.backends.protocols import BackendAway, BackendRefused

from . import selectors
from .answers import Answer, Malformed, answer, strings, together
from .selectors import Selection
from .windows import Grid, Stretch, windows

MOST_SAMPLES: Final = 3_000_000
"""Samples one question may bring here. The app would hold some 100 bytes for each while it reads them."""

_EVERY: Final = (
    ("nocache", "1"),  # VictoriaMetrics: else it hides the newest 30 s and moves a range's ends
    ("latency_offset", "1ms"),  # VictoriaMetrics: the least; what is newest is not replaced by a guess
    ("max_source_resolution", "0s"),  # Thanos: samples, not what downsampling left of them
)
"""Sent with each query; a server that does not know one of them ignores it."""
_LATE: Final = ("timed out", "timeout exceeded", "deadline exceeded")

_log = logging.getLogger(__name__)


class QueryApi:
    """Asks one server. ``incomplete`` is why the last answer lacked data, "" where it was whole."""

    def __init__(self, name: str, access: Access, transport: httpx.AsyncBaseTransport | None) -> None:
        self._http = HttpApi(name, access, transport)
        self._name = name
        self.incomplete = ""
        self._said = ""

    async def aclose(self) -> None:
        """Close idle connections."""
        await self._http.aclose()

    async def at(self, query: str, time_ms: int) -> Answer:
        """An instant query."""
        return await self._query(
            "/api/v1/query", (("query", query), ("time", selectors.at(time_ms)), *_EVERY)
        )

    async def samples(self, of: Selection, stretch: Stretch) -> Answer:
        """Every sample of a stretch, with its own time. Raises ``BackendRefused`` for too many."""
        parts: list[Answer] = []
        for window in windows(stretch):
            part = await self._samples(of, window)
            parts.append(part)
            if sum(one.size for one in parts) > MOST_SAMPLES:
                raise BackendRefused(
                    self._name,
                    f"more than {MOST_SAMPLES} samples: ask for a shorter time, or a step of whole seconds",
                )
        return together(parts)

    async def _samples(self, of: Selection, window: Stretch) -> Answer:
        # A range is open on the left since Prometheus 3.0 and in VictoriaMetrics, and closed before: the
        # millisecond before the window is asked for in vain, or cut off here.
        found = await self.at(selectors.samples(of, window.length_ms), window.end_ms - 1)
        return found.since(window.start_ms)

    async def lasts(self, of: Selection, grid: Grid) -> Answer:
        """Each series' last sample of each stretch of a grid, at the stretch's last millisecond."""
        return await self._on(grid, selectors.last(of, grid.step_ms))

    async def falls(self, of: Selection, grid: Grid) -> Answer:
        """Where on a grid a counter fell since the stretch before began."""
        return await self._on(grid, selectors.falls(of, 2 * grid.step_ms))

    async def _on(self, grid: Grid, query: str) -> Answer:
        parts = [
            await self._query(
                "/api/v1/query_range",
                (
                    ("query", query),
                    ("start", selectors.at(part.start_ms + part.step_ms - 1)),
                    ("end", selectors.at(part.end_ms - 1)),
                    ("step", selectors.at(part.step_ms)),
                    *_EVERY,
                ),
            )
            for part in grid.parts()
        ]
        return together(parts)

    async def labels(self, of: Selection, stretch: Stretch | None = None) -> frozenset[str]:
        """Names of the labels of series that have samples in about that stretch."""
        return frozenset(await self._strings("/api/v1/labels", of, stretch))

    async def _strings(self, path: str, of: Selection, stretch: Stretch | None) -> list[str]:
        times = (
            (("start", selectors.at(stretch.start_ms)), ("end", selectors.at(stretch.end_ms)))
            if stretch is not None
            else ()
        )
        body = await self.json("POST", path, (("match[]", of.text), *times))
        try:
            found, missing = strings(body)
        except Malformed:
            raise self._not_this_api(path) from None
        self._note(missing)
        return found

    async def series(self, of: Selection, stretch: Stretch) -> list[dict[str, str]]:
        """Labels of each series that may have samples in a stretch."""
        params = (
            ("match[]", of.text),
            ("start", selectors.at(stretch.start_ms)),
            ("end", selectors.at(stretch.end_ms)),
        )
        body = await self.json("POST", "/api/v1/series", params)
        try:
            return [{str(key): str(value) for key, value in one.items()} for one in body["data"]]
        except (KeyError, TypeError, AttributeError):
            raise self._not_this_api("/api/v1/series") from None

    async def _query(self, path: str, params: Params) -> Answer:
        body = await self.json("POST", path, params)
        try:
            found = answer(body)
        except Malformed:
            raise self._not_this_api(path) from None
        self._note(found.incomplete)
        return found

    async def json(self, method: str, path: str, params: Params = ()) -> Any:
        """What it answers, as JSON. A server that ran out of time is away, not a refusal."""
        try:
            body = await self._http.json(method, path, params)
        except BackendRefused as refused:
            if any(word in refused.reason for word in _LATE):
                raise BackendAway(self._name, refused.reason) from None
            raise
        if body is None:
            raise self._not_this_api(path)
        return body

    async def text(self, path: str) -> str | None:
        """A page as text; None where there is none."""
        try:
            body = await self._http.get(path, accept="text/plain")
        except BackendRefused:
            return None
        return body.decode("utf-8", "replace") if body is not None else None

    async def maybe(self, path: str, params: Params = ()) -> Any:
        """A page that not every server has: its ``data``, or None."""
        try:
            body = await self._http.json("GET", path, params)
        except BackendRefused:
            return None
        return body.get("data") if isinstance(body, dict) else None

    def _not_this_api(self, path: str) -> BackendRefused:
        place = self._http.place
        return BackendRefused(
            self._name, f"{place} has no {path} of Prometheus: the address may lack a path (/prometheus, say)"
        )

    def _note(self, missing: str) -> None:
        self.incomplete = missing
        if missing and missing != self._said:
            self._said = missing
            _log.warning("%s answers without some of its data: %s", self._name, missing)
