"""Segments that are no longer written to, rewritten as one: less disk, and few files for long ranges.

A file written to has its last group of rows many times over in blocks that are free again, which DuckDB does
not give back; and a question costs a file some 20 ms to plan. Six files become one, and six of those one.
Spans are packed meanwhile (``kept_spans``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import duckdb

from .kept_spans import pack_rows
from .schema import HISTOGRAM, PACKED_LAYOUT, POINT, RESOURCE, SEALED_TABLES, SERIES, TABLES
from .segments import UNFINISHED, Segment, Segments, literal, union

_log = logging.getLogger(__name__)

FAN: Final = 6
"""How many files become one."""
MOST: Final = FAN * FAN
"""Segments in one file at most: six hours of ten minutes, since whole files are forgotten."""
LOOK_EVERY_S: Final = 30.0
AFTER_A_FAULT_S: Final = 600.0


class Sealer:
    """Looks for what is to be sealed, on a thread of its own."""

    def __init__(self, segments: Segments, *, greatest_bytes: int) -> None:
        """No file larger than ``greatest_bytes`` is made of several."""
        self._segments = segments
        self._greatest_bytes = greatest_bytes
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="store-sealer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let the file at hand be finished, then end."""
        self._closing.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            try:
                while not self._closing.is_set() and (
                    group := due(self._segments.all(), self._greatest_bytes)
                ):
                    seal(self._segments, group, lambda: not self._closing.is_set())
            except (duckdb.Error, OSError) as error:
                _log.error("sealing: %s", error)
            except Exception:  # the files stay as they are, and are read as they are
                _log.exception("sealing failed, to be tried again in %.0f s", AFTER_A_FAULT_S)
                self._closing.wait(AFTER_A_FAULT_S)


def due(segments: Sequence[Segment], greatest_bytes: int) -> Sequence[Segment]:
    """The first group that should be one file: neighbours of one size, or a large one by itself."""
    closed = segments[:-1]
    for level in (1, FAN):
        run: list[Segment] = []
        size = 0
        for segment in closed:
            if not (segment.count < FAN if level == 1 else FAN <= segment.count < MOST):
                run, size = [], 0
                continue
            its = segment.bytes_on_disk()
            if size + its > greatest_bytes:
                if run and any(one.last is None for one in run):
                    return run
                run, size = [], 0
            run.append(segment)
            size += its
            if sum(one.count for one in run) >= level * FAN:
                return run
            if its > greatest_bytes / 2 and segment.last is None:
                return run
    return ()


def seal(segments: Segments, group: Sequence[Segment], goes_on: Callable[[], bool] = lambda: True) -> bool:
    """Rewrite the rows of ``group`` as one file and put it in their place.

    False where one is gone, or ``goes_on`` said no, which is asked again and again; nothing has changed then.
    """
    first = group[0]
    path = Path(f"{first.path}{UNFINISHED}")
    for left in (path, Path(f"{path}.wal")):
        left.unlink(missing_ok=True)
    schema = f"sealing_{first.sequence}"
    cursor, source = segments.cursor(), segments.cursor()
    try:
        cursor.execute(f"ATTACH {literal(path)} AS {schema}")
        for table in SEALED_TABLES:
            cursor.execute(f"CREATE TABLE {schema}.{table.name} ({table.create})")
            if table in TABLES:
                names = ", ".join(table.names)
                rows = f"SELECT {names} FROM {union(table, group, names)}"
                if table in (RESOURCE, SERIES):
                    rows = f"SELECT DISTINCT ON (id) {names} FROM {union(table, group, names)}"
                elif table in (POINT, HISTOGRAM):
                    rows += " ORDER BY series, time_ns"
                cursor.execute(f"INSERT INTO {schema}.{table.name} {rows}")
        # In one transaction: packs written in several take up to twice the room.
        cursor.execute("BEGIN")
        if not pack_rows(source, cursor, group, schema, goes_on):
            return False
        cursor.execute("COMMIT")
        cursor.execute(f"CREATE TABLE {schema}.layout AS SELECT {PACKED_LAYOUT} AS version")
        cursor.execute(f"CHECKPOINT {schema}")
    finally:
        source.close()
        _leave(cursor, schema)
    _on_disk(path)
    done = segments.replace(group, path)
    _log.info("sealed %d files from %s on as one", len(group), first.path.name)
    return done


def _leave(cursor: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Give up what was not committed, and the file."""
    with contextlib.suppress(duckdb.TransactionException):
        cursor.execute("ROLLBACK")
    cursor.execute(f"DETACH DATABASE IF EXISTS {schema}")
    cursor.close()


def _on_disk(path: Path) -> None:
    """Before its name says that the other files are not needed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
