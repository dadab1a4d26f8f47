"""Rows as CSV, for who has a spreadsheet and no program."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import Response

from framescope_ui.api.problems import BadParameter

FORMATS = ("json", "csv")


def wants_csv(value: str) -> bool:
    """Whether ``format=csv`` was asked for. Raises ``BadParameter`` for anything but json and csv."""
    if value not in FORMATS:
        raise BadParameter("format", f"format: {value[:40]!r} is not one of {', '.join(FORMATS)}")
    return value == "csv"


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """RFC 4180 with a header; what is not known is an empty field.

    A text that a spreadsheet would take for a formula gets an apostrophe before it: names of services and
    stages come from whoever sends spans.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_field(row.get(name)) for name in columns])
    return out.getvalue()


def csv_response(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    name: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The same as a download called ``name``."""
    return Response(
        csv_text(rows, columns),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', **(headers or {})},
    )


def _field(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
