"""``/metrics``: the newest numbers for Prometheus, in its text format."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from framescope_ui.api.flat import UNITS, Row, latest_row
from framescope_ui.questions.feed import LiveFeed

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NOT_NUMBERS = ("timestamp",)
"""Prometheus dates what it scrapes by itself."""


def exposition_routes(feed: LiveFeed) -> APIRouter:
    """The scrape target; ``?service=`` and ``?pipeline=`` pick the pipeline."""
    router = APIRouter()

    @router.get(
        "/metrics",
        tags=["metrics"],
        summary="The numbers of /api/metrics/latest for Prometheus",
        response_class=PlainTextResponse,
    )
    async def metrics(service: str | None = None, pipeline: str | None = None) -> PlainTextResponse:
        """Without `service` and `pipeline`: the first running pipeline. What is not known is left out."""
        return PlainTextResponse(
            exposition(latest_row(await feed.snapshot(service, pipeline))), media_type=MEDIA_TYPE
        )

    return router


def exposition(row: Row) -> str:
    """A flat row in the text format 0.0.4: a gauge a number, named and in the unit as in the row."""
    labels = {name: str(row[name]) for name in ("service", "pipeline") if row.get(name) is not None}
    lines = []
    for column, value in row.items():
        if column in NOT_NUMBERS or isinstance(value, (str, bool)) or value is None:
            continue
        lines += _gauge(f"framescope_{column}", _unit(column), labels, value)
    lines += _gauge(
        "framescope_health", "1 for the state it is in", {**labels, "state": str(row["health"])}, 1
    )
    return "\n".join(lines) + "\n"


def _gauge(name: str, help: str, labels: Mapping[str, str], value: float) -> list[str]:
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return [
        *([f"# HELP {name} {help}"] if help else []),
        f"# TYPE {name} gauge",
        f"{name}{{{said}}} {value!r}" if said else f"{name} {value!r}",
    ]


def _unit(column: str) -> str:
    # In the newest snapshot drops are of the last minute.
    if fnmatchcase(column, "queue_*_drops"):
        return "frames per minute"
    return next((unit for name, unit in UNITS.items() if fnmatchcase(column, name)), "")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
