"""``/api/metrics``: the newest numbers and their history, flat."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from framescope_ui.api.flat import UNITS, history_rows, latest_row
from framescope_ui.api.problems import BadParameter
from framescope_ui.api.table import csv_response, wants_csv
from framescope_ui.questions.feed import LiveFeed

MOST_ROWS = 3600


def metrics_routes(feed: LiveFeed, history: int, interval_seconds: float) -> APIRouter:
    """``history`` is how many rows are answered where the caller does not say."""
    router = APIRouter(prefix="/api/metrics", tags=["metrics"])

    @router.get("/latest", summary="The newest numbers of a pipeline, one flat object")
    async def latest(service: str | None = None, pipeline: str | None = None) -> dict[str, Any]:
        """Without `service` and `pipeline`: the first running pipeline. What is not known is null."""
        return dict(latest_row(await feed.snapshot(service, pipeline)))

    @router.get("/history", summary="The last N steps, as rows for pandas.DataFrame(resp.json()['data'])")
    async def rows(
        last: str | None = None,
        service: str | None = None,
        pipeline: str | None = None,
        format: Annotated[str, Query(description="json or csv")] = "json",
    ) -> Any:
        """Oldest first, one row a step of the update interval; what is not known in a step is null."""
        as_csv = wants_csv(format)
        wanted = _count(last, history)
        # A few steps more than asked for: the newest are not complete yet.
        snapshot = await feed.snapshot(
            service, pipeline, None if wanted <= history else (wanted + 10) * interval_seconds
        )
        data = history_rows(snapshot, wanted)
        if as_csv:
            return csv_response(data, list(data[0]) if data else [], "framescope-metrics.csv")
        return {
            "service": snapshot.service,
            "pipeline": snapshot.pipeline,
            "interval_seconds": interval_seconds,
            "health": snapshot.health.state,
            "count": len(data),
            "units": dict(UNITS),
            "data": data,
        }

    return router


def _count(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= MOST_ROWS:
        raise BadParameter("last", f"last: give a whole number of rows from 1 to {MOST_ROWS}")
    return int(text)
