"""The tables of a segment file: one list of columns each, in DuckDB's types and Arrow's.

A kept frame is one row: hot columns for lists and filters, its root span and its other spans as the
wire had them. While a file is written to their bytes are compressed together (zstd over 2 048 rows at a
time), which beats both typed columns and compressing each frame alone; in a sealed file they are packed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

LAYOUT: Final = 2
"""Written into each segment; a file of another layout is set aside, never misread."""
PACKED_LAYOUT: Final = 3
"""Written into a sealed file whose spans are in packs. Those of a file sealed before are in its rows."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its name, and for each column its name, DuckDB type and Arrow type.

    ``begins`` and ``ends`` are the columns that say which times a row covers; without them the table
    is asked by identity only.
    """

    name: str
    columns: tuple[tuple[str, str, Any], ...]
    begins: str | None = None
    ends: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(name for name, _, _ in self.columns)

    @property
    def create(self) -> str:
        """The column list of CREATE TABLE."""
        return ", ".join(f"{name} {kind}" for name, kind, _ in self.columns)

    def empty(self, names: Iterable[str]) -> Any:
        """An Arrow table of those columns without a row."""
        kinds = {name: kind for name, _, kind in self.columns}
        return pa.table({name: pa.array([], kinds[name]) for name in names})

    def arrow(self, rows: list[tuple[Any, ...]]) -> Any:
        """Rows as an Arrow table, columns in order."""
        columns = zip(*rows, strict=True)
        return pa.table(
            {
                name: pa.array(values, kind)
                for (name, _, kind), values in zip(self.columns, columns, strict=True)
            }
        )


_TEXT = ("VARCHAR", pa.string())
_TIME = ("BIGINT", pa.int64())
_FLOAT = ("DOUBLE", pa.float64())
_BYTES = ("BLOB", pa.binary())
_PACKED = ("BLOB USING COMPRESSION zstd", pa.binary())
_DIGEST = ("UBIGINT", pa.uint64())

FRAME: Final = Table(
    "frame",
    (
        ("trace_id", *_BYTES),
        ("service", *_TEXT),
        ("instance", *_TEXT),
        ("host", *_TEXT),
        ("pipeline", *_TEXT),
        ("frame_id", "BIGINT", pa.int64()),
        ("start_ns", *_TIME),
        ("latency_ns", *_TIME),
        ("outcome", *_TEXT),
        ("kept", *_TEXT),
        ("cause", *_TEXT),
        ("confidence", *_FLOAT),
        ("lost", *_FLOAT),
        ("overrun", *_FLOAT),
        ("budget", *_FLOAT),
        ("stage", *_TEXT),
        ("stage_lost", *_FLOAT),
        ("resource", *_DIGEST),
        ("root", *_PACKED),
        ("children", *_PACKED),
    ),
    begins="start_ns",
    ends="start_ns",
)
"""One kept frame. ``root`` is an OTLP Span, ``children`` an OTLP ScopeSpans of the others that came
with it. Durations in ns or s as the names on the wire; ``stage`` lost ``stage_lost`` seconds."""

BATCH: Final = Table(
    "batch",
    (
        ("service", *_TEXT),
        ("instance", *_TEXT),
        ("host", *_TEXT),
        ("pipeline", *_TEXT),
        ("start_ns", *_TIME),
        ("end_ns", *_TIME),
        ("first_id", "BIGINT", pa.int64()),
        ("offsets_us", "BIGINT[]", pa.list_(pa.int64())),
        ("latencies_us", "BIGINT[]", pa.list_(pa.int64())),
        ("outcomes", *_TEXT),
        ("causes", "VARCHAR[]", pa.list_(pa.string())),
        ("depths", "MAP(VARCHAR, BIGINT[])", pa.map_(pa.string(), pa.list_(pa.int64()))),
        ("budget_ns", "BIGINT", pa.int64()),
        ("attributes", "MAP(VARCHAR, VARCHAR[])", pa.map_(pa.string(), pa.list_(pa.string()))),
    ),
    begins="start_ns",
    ends="end_ns",
)
"""One ``frames`` record; ``start_ns`` to ``end_ns`` covers every frame in it."""

MARK: Final = Table(
    "mark",
    (("service", *_TEXT), ("time_ns", *_TIME), ("text", *_TEXT)),
    begins="time_ns",
    ends="time_ns",
)

SPAN: Final = Table(
    "span",
    (
        ("trace_id", *_BYTES),
        ("start_ns", *_TIME),
        ("resource", *_DIGEST),
        ("body", *_PACKED),
    ),
    begins="start_ns",
    ends="start_ns",
)
"""A span of somebody else, or one of ours that came apart from its frame's root."""

_PLACE: Final = ("place", "BIGINT", pa.int64())
_PACK: Final = ("BLOB USING COMPRESSION uncompressed", pa.binary())

PACKED_FRAME: Final = Table(
    "frame",
    (
        ("trace_id", *_BYTES),
        ("service", *_TEXT),
        ("host", *_TEXT),
        ("pipeline", *_TEXT),
        ("start_ns", *_TIME),
        ("latency_ns", *_TIME),
        ("outcome", *_TEXT),
        ("kept", *_TEXT),
        ("cause", *_TEXT),
        ("stage", *_TEXT),
        ("resource", *_DIGEST),
        _PLACE,
    ),
    begins="start_ns",
    ends="start_ns",
)
"""A kept frame of a sealed file: what questions ask of it, and where its spans are (``kept_spans``)."""

FRAME_PACK: Final = Table(
    "frame_pack",
    (
        ("id", "BIGINT", pa.int64()),
        ("roots", *_PACK),
        ("children", *_PACK),
        ("nested", "BOOLEAN", pa.bool_()),
    ),
)
"""The spans of many frames (``packed``); where they are not ``nested``, children are kept as they stood."""

PACKED_SPAN: Final = Table(
    "span",
    (("trace_id", *_BYTES), ("start_ns", *_TIME), ("resource", *_DIGEST), _PLACE),
    begins="start_ns",
    ends="start_ns",
)

SPAN_PACK: Final = Table("span_pack", (("id", "BIGINT", pa.int64()), ("bodies", *_PACK)))

RESOURCE: Final = Table("resource", (("id", *_DIGEST), ("body", *_BYTES)))
"""Resources as the wire had them, by digest."""

SERIES: Final = Table(
    "series",
    (
        ("id", *_DIGEST),
        ("metric", *_TEXT),
        ("kind", *_TEXT),
        ("cumulative", "BOOLEAN", pa.bool_()),
        ("unit", *_TEXT),
        ("attributes", "MAP(VARCHAR, VARCHAR)", pa.map_(pa.string(), pa.string())),
        ("bounds", "DOUBLE[]", pa.list_(pa.float64())),
    ),
)
"""Every series with points in this segment, by digest: points stay narrow."""

POINT: Final = Table(
    "point",
    (("series", *_DIGEST), ("time_ns", *_TIME), ("began_ns", *_TIME), ("value", *_FLOAT)),
    begins="time_ns",
    ends="time_ns",
)
"""One reading. ``began_ns`` 0 where unknown."""

HISTOGRAM: Final = Table(
    "histogram",
    (
        ("series", *_DIGEST),
        ("time_ns", *_TIME),
        ("began_ns", *_TIME),
        ("sum", *_FLOAT),
        ("counts", "BIGINT[]", pa.list_(pa.int64())),
    ),
    begins="time_ns",
    ends="time_ns",
)
"""One histogram reading; the bounds are the series'."""

_SAME_WHEN_SEALED: Final = (BATCH, MARK, RESOURCE, SERIES, POINT, HISTOGRAM)
TABLES: Final = (FRAME, SPAN, *_SAME_WHEN_SEALED)
SEALED_TABLES: Final = (PACKED_FRAME, FRAME_PACK, PACKED_SPAN, SPAN_PACK, *_SAME_WHEN_SEALED)
