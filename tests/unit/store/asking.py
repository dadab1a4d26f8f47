"""Segments asked as the query socket asks them, with eyes on the statements; kept frames put in by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framescope_ui.store.schema import FRAME
from framescope_ui.store.segments import Segments


class Asking:
    """Runs statements over segments, each over a cursor of its own, and remembers them."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self.statements: list[str] = []

    def __call__(self, statement: str, values: Mapping[str, Any] | None) -> Any:
        self.statements.append(statement)
        cursor = self._segments.cursor()
        found = cursor.sql(statement, params=values).to_arrow_table()
        cursor.close()
        return found


def keep(
    segments: Segments, start_ns: int, number: int | None = None, latency_ns: int = 5, outcome: str = "slow"
) -> None:
    """A kept frame in the file that is written to; its trace id is its ``number``, else its start."""
    segment, cursor = segments.current, segments.cursor()
    segment.cover(FRAME, start_ns, start_ns)
    cursor.execute(
        f"INSERT INTO {segment.schema}.frame BY NAME SELECT 's' AS service, ? AS start_ns, "
        "? AS latency_ns, ? AS outcome, 'a' AS stage, from_hex(?) AS trace_id, 'root'::BLOB AS root",
        [start_ns, latency_ns, outcome, f"{start_ns if number is None else number:032x}"],
    )
    cursor.close()
