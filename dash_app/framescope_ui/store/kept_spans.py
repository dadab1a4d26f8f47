"""Where the spans of kept rows are: in the row while its file is written to, in packs once it is sealed.

A row of a sealed file tells its ``place``: the number of its pack and its slot there. Roots lie apart from
the other spans of their frames, since lists ask for no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import scope_spans
from .packed import Packed, Row, Rows, pack
from .question import Ask
from .schema import FRAME_PACK, PACKED_FRAME, PACKED_SPAN, SPAN_PACK, Table
from .segments import Segment, union

_SLOT_BITS: Final = 11
_ROWS_TOGETHER: Final = 2**_SLOT_BITS
"""Rows of a pack. Of 512 a nine-span frame takes 7 % more, of 6 144 3 % less; the demo's roots then open in
0.6 and 4.4 ms instead of 1.8."""
_BYTES_TOGETHER: Final = 16 * 2**20
_PACKS_A_STATEMENT: Final = 32
"""Packs written, or read, at once."""
_PARTS: Final = pa.schema(
    [
        ("root", pa.binary()),
        ("children", pa.binary()),
        ("body", pa.binary()),
        ("start_ns", pa.int64()),
        ("resource", pa.uint64()),
    ]
)


def roots(segment: Segment, rows: Mapping[int, Row], ask: Ask) -> dict[int, bytes]:
    """The root spans of a segment's frames, by their places; a page of them at most."""
    if not segment.packed:
        found = ask(
            f"SELECT rowid AS place, root FROM {segment.schema}.frame "
            "WHERE rowid IN (SELECT unnest($places::BIGINT[]))",
            {"places": list(rows)},
        )
        return dict(zip(found["place"].to_pylist(), found["root"].to_pylist(), strict=True))
    return {
        place: packs["roots"].messages(slot, rows[place])[0][0]
        for place, slot, packs in _opened(segment, FRAME_PACK, ("roots",), rows, ask)
    }


def of_trace(segment: Segment, trace_id: bytes, ask: Ask) -> list[Any]:
    """root, children, body, start_ns, resource (its id): Arrow tables of the rows that are of one trace."""
    found = []
    for table, columns in (
        (PACKED_FRAME, "root, children, NULL::BLOB AS body"),
        (PACKED_SPAN, "NULL::BLOB AS root, NULL::BLOB AS children, body"),
    ):
        if table.name in segment.covers:
            rows = ask(
                f"SELECT {'place' if segment.packed else columns}, start_ns, resource "
                f"FROM {segment.schema}.{table.name} WHERE trace_id = $trace_id LIMIT 10000",
                {"trace_id": trace_id},
            )
            if len(rows):
                found.append(_unpacked(segment, table, trace_id, rows, ask) if segment.packed else rows)
    return found


def _unpacked(segment: Segment, table: Table, trace_id: bytes, rows: Any, ask: Ask) -> Any:
    told = {row["place"]: dict.fromkeys(_PARTS.names) | row for row in rows.to_pylist()}
    keys = {place: Row(trace_id, row["start_ns"]) for place, row in told.items()}
    if table is PACKED_SPAN:
        for place, slot, packs in _opened(segment, SPAN_PACK, ("bodies",), keys, ask):
            (told[place]["body"],), _ = packs["bodies"].messages(slot, keys[place])
    else:
        for place, slot, packs in _opened(segment, FRAME_PACK, ("roots", "children", "nested"), keys, ask):
            row = keys[place]
            (told[place]["root"],), root_id = packs["roots"].messages(slot, row)
            others, _ = packs["children"].messages(slot, row._replace(root_id=root_id))
            told[place]["children"] = scope_spans.joined(others) if packs["nested"] else b"".join(others)
    return pa.Table.from_pylist(list(told.values()), _PARTS)


def _opened(
    segment: Segment, table: Table, names: Sequence[str], places: Iterable[int], ask: Ask
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Each place with its slot and the opened packs of that name; each pack is opened once."""
    by_pack: defaultdict[int, list[int]] = defaultdict(list)
    for place in places:
        by_pack[place >> _SLOT_BITS].append(place)
    wanted = list(by_pack)
    for low in range(0, len(wanted), _PACKS_A_STATEMENT):
        found = ask(
            f"SELECT id, {', '.join(names)} FROM {segment.schema}.{table.name} "
            "WHERE id IN (SELECT unnest($ids::BIGINT[]))",
            {"ids": wanted[low : low + _PACKS_A_STATEMENT]},
        )
        for row in found.to_pylist():
            packs = {name: Packed(body) if isinstance(body, bytes) else body for name, body in row.items()}
            for place in by_pack[row["id"]]:
                yield place, place % _ROWS_TOGETHER, packs


def pack_rows(
    source: duckdb.DuckDBPyConnection,
    target: duckdb.DuckDBPyConnection,
    group: Sequence[Segment],
    schema: str,
    goes_on: Callable[[], bool],
) -> bool:
    """Write the frames and spans of ``group`` into the sealed file under ``schema``, packed, in their order.

    ``source`` reads while ``target`` writes. False where ``goes_on`` said no, asked before each pack.
    """
    for table, packs in ((PACKED_FRAME, FRAME_PACK), (PACKED_SPAN, SPAN_PACK)):
        filling = _Filling(target, schema, table, packs)
        for packed, segments in groupby(group, key=lambda segment: segment.packed):
            if packed:
                for segment in segments:
                    filling.copy(segment)
                continue
            for rows in _together(source, table, list(segments)):
                if not goes_on():
                    return False
                filling.add(rows)
        filling.write()
    return True


def _together(source: duckdb.DuckDBPyConnection, table: Table, segments: Sequence[Segment]) -> Iterator[Any]:
    """Rows for one pack each, in their order."""
    bodies = ("root", "children") if table is PACKED_FRAME else ("body",)
    names = (*(name for name in table.names if name != "place"), *bodies)
    rows = source.sql(f"SELECT {', '.join(names)} FROM {union(table, segments, ', '.join(names))}")
    for batch in rows.to_arrow_reader(_ROWS_TOGETHER):
        sizes = sum(pc.fill_null(pc.binary_length(batch[name]), 0).to_numpy() for name in bodies)
        edges, size = [0], 0
        for place, its in enumerate(sizes.tolist()):
            if size and (size + its > _BYTES_TOGETHER or place - edges[-1] == _ROWS_TOGETHER):
                edges.append(place)
                size = 0
            size += its
        for low, high in zip(edges, [*edges[1:], len(batch)], strict=True):
            yield batch.slice(low, high - low)


@dataclass(slots=True)
class _Filling:
    """The packed rows of one table on their way into a sealed file."""

    target: duckdb.DuckDBPyConnection
    schema: str
    table: Table
    packs: Table
    next: int = 0
    """Number of the next pack."""
    rows: list[Any] = field(default_factory=list)
    made: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, rows: Any) -> None:
        """Pack these rows."""
        bodies = _packed_frames(rows) if self.table is PACKED_FRAME else _packed_spans(rows)
        places = pa.array(np.arange(len(rows)) + (self.next << _SLOT_BITS), pa.int64())
        self.rows.append(
            pa.table({name: places if name == "place" else rows[name] for name in self.table.names})
        )
        self.made.append((self.next, *bodies))
        self.next += 1
        if len(self.made) == _PACKS_A_STATEMENT:
            self.write()

    def copy(self, segment: Segment) -> None:
        """Take over what is packed already, under new numbers."""
        self.write()
        others = ", ".join(name for name in self.table.names if name != "place")
        self.target.execute(
            f"INSERT INTO {self.schema}.{self.table.name} ({others}, place) "
            f"SELECT {others}, place + {self.next << _SLOT_BITS} FROM {segment.schema}.{self.table.name}"
        )
        parts = ", ".join(name for name in self.packs.names if name != "id")
        of = f"{segment.schema}.{self.packs.name}"
        self.target.execute(
            f"INSERT INTO {self.schema}.{self.packs.name} (id, {parts}) "
            f"SELECT id + {self.next}, {parts} FROM {of}"
        )
        ((packs,),) = self.target.execute(f"SELECT coalesce(max(id) + 1, 0) FROM {of}").fetchall()
        self.next += packs

    def write(self) -> None:
        """Hand over what is packed."""
        if self.made:
            for table, rows in (
                (self.table, pa.concat_tables(self.rows)),
                (self.packs, self.packs.arrow(self.made)),
            ):
                self.target.register("packed_rows", rows)
                self.target.execute(f"INSERT INTO {self.schema}.{table.name} SELECT * FROM packed_rows")
                self.target.unregister("packed_rows")
        self.rows, self.made = [], []


def _packed_frames(rows: Any) -> tuple[bytes, bytes, bool]:
    """Roots, the others, and whether those are spans or a message each that is kept as a whole."""
    told = _rows(rows)
    roots, root_ids = pack(rows["root"].to_pylist(), np.arange(len(rows)), told)
    bodies = [body or b"" for body in rows["children"].to_pylist()]
    spans = [scope_spans.split(body) for body in bodies]
    is_nested = all(messages is not None for messages in spans)
    children = [
        [body] if body and not is_nested else messages or []
        for body, messages in zip(bodies, spans, strict=True)
    ]
    owners = np.repeat(np.arange(len(rows)), [len(messages) for messages in children])
    flat = [message for messages in children for message in messages]
    return roots, pack(flat, owners, told._replace(root_ids=root_ids))[0], is_nested


def _packed_spans(rows: Any) -> tuple[bytes]:
    return (pack(rows["body"].to_pylist(), np.arange(len(rows)), _rows(rows))[0],)


def _rows(rows: Any) -> Rows:
    ids = np.frombuffer(b"".join(rows["trace_id"].to_pylist()), "<i8").reshape(-1, 2)
    return Rows(ids, rows["start_ns"].to_numpy(), np.zeros(len(rows), np.int64))
