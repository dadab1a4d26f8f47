"""The data directory: one DuckDB file per stretch of arrival time, attached to one engine.

Deleting rows gives no disk back, so a file is the unit of forgetting. Names are ``S-T.duckdb`` with a
rising sequence number and the unix second of its start; ``S-T-L.duckdb`` is a sealed file that holds all
of the segments S to L (``sealing``). One thread writes (the caller's duty), any number read. A file that
cannot be read is set aside, never a reason not to start.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from .heard import HeardOf
from .metric_rows import Series
from .remembered import Remembered
from .schema import BATCH, FRAME, LAYOUT, PACKED_LAYOUT, SERIES, TABLES, Table
from .trace_filter import TraceFilter

_log = logging.getLogger(__name__)

_NAME: Final = re.compile(r"^(\d{8})-(\d{10})(?:-(\d{8}))?\.duckdb$")
UNFINISHED: Final = ".unfinished"
"""How the name of a file ends that is still being sealed; one that was left by a crash is removed."""
_SET_ASIDE: Final = "set-aside"
_CHECKPOINT_AFTER: Final = "32MB"
"""Log after which rows move into the file. The log counts as disk too, and each time the last, unfinished
group of rows is written anew. File and log of 45 000 to 90 000 kept frames took 953 bytes a frame with 64 MB
and groups of 15 vectors, 728 with 32 MB and 7, 705 with 16 MB and 4; closed 556, 580 and 623; 107, 95 and
94 us of CPU."""
_ROWS_TOGETHER: Final = 7 * 2048
"""Rows of a group in a file that is written to: about what a log of that size holds, so that little is
written anew. With DuckDB's own 16 MB and 60 vectors 150 000 kept frames took 912 bytes each when closed."""
_ANSWERS: Final = 256
"""Tables remembered of what closed files answered, of a page's rows at most."""
_ROOTS: Final = 4096
"""Root spans remembered, some 1 kB each: a page of 100 frames has 100 places of a file unpacked, 60 ms."""
_PASSING: Final = (
    "No space left",
    "Could not write",
    "Permission denied",
    "Read-only file system",
    "Too many open files",
    "Could not set lock",
)
"""What DuckDB says when the machine is at fault and not the file: such a file is not set aside."""


class DirectoryInUse(RuntimeError):
    """Another store owns the data directory."""


@dataclass(slots=True)
class Segment:
    """One file: where it is, when it began, which times its tables cover, which series it knows."""

    sequence: int
    started_s: int
    path: Path
    covers: dict[str, tuple[int, int]] = field(default_factory=dict)
    series: set[int] = field(default_factory=set)
    resources: set[int] = field(default_factory=set)
    last: int | None = None
    """Of a sealed one, the last sequence number it holds."""
    heard: Mapping[str, HeardOf] = field(
        default_factory=lambda: {table.name: HeardOf() for table in (BATCH, FRAME)}
    )
    """The pipelines that its records and kept frames are of."""
    traces: TraceFilter | None = None
    """Of one that is written to no more, once it was asked for a trace."""
    rewritten: int = 0
    """How many of its rows were changed; others are only ever added, behind those that are there."""
    packed: bool = False
    """Whether spans are in packs (``kept_spans``) instead of in their rows."""

    @property
    def schema(self) -> str:
        """The name its tables are under in SQL: ours, made of its number."""
        return f"segment_{self.sequence}" + ("" if self.last is None else f"_{self.last}")

    @property
    def place(self) -> str:
        """The SQL of where a kept frame is in it."""
        return "place" if self.packed else "rowid"

    @property
    def count(self) -> int:
        """How many segments it was when they were written."""
        return 1 if self.last is None else self.last - self.sequence + 1

    def cover(self, table: Table, first: int, last: int) -> None:
        """Note that ``table`` holds rows from ``first`` to ``last``."""
        low, high = self.covers.get(table.name, (first, last))
        self.covers[table.name] = (min(low, first), max(high, last))

    def bytes_on_disk(self) -> int:
        """Size of the file and its log."""
        size = 0
        for path in _files(self.path):
            with contextlib.suppress(FileNotFoundError):  # forgotten or sealed meanwhile
                size += path.stat().st_size
        return size


class Segments:
    """All segments of one data directory, which this process owns until ``close``."""

    def __init__(
        self,
        data_dir: Path,
        *,
        segment_seconds: float,
        retention_seconds: float,
        retention_bytes: int,
        now_s: Callable[[], float],
    ) -> None:
        self.data_dir = data_dir
        self._series: dict[str, dict[int, Series]] = {}
        self.answers: Remembered[Any] = Remembered(_ANSWERS)
        self.roots: Remembered[bytes] = Remembered(_ROOTS)
        self.set_aside: list[str] = []
        self._segment_seconds = segment_seconds
        self._retention_seconds = retention_seconds
        self._retention_bytes = retention_bytes
        self._now_s = now_s
        self._owned = _own(data_dir)
        self._segments: tuple[Segment, ...] = ()
        self._changing = threading.Lock()
        self._listing = threading.Lock()
        self._engine = self._open_engine()
        self._open()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of one's own to the engine; close it after use."""
        with self._changing:
            return self._engine.cursor()

    def all(self) -> tuple[Segment, ...]:
        """Segments, oldest first."""
        return self._segments

    @property
    def current(self) -> Segment:
        """The segment that is written to."""
        return self._segments[-1]

    def of_metric(self, metric: str) -> list[Series]:
        """Every known series of a metric."""
        return list(self._series.get(metric, {}).values())

    def learn(self, segment: Segment, series: Iterable[Series]) -> None:
        """Note series whose points ``segment`` holds."""
        with self._listing:
            for one in series:
                self._series.setdefault(one.metric, {})[one.id] = one
                segment.series.add(one.id)

    def covering(self, table: Table, start_ns: int | None, end_ns: int | None) -> list[Segment]:
        """Segments whose ``table`` has rows that touch ``[start_ns, end_ns)``, oldest first."""
        found = []
        for segment in self._segments:
            if covered := segment.covers.get(table.name):
                first, last = covered
                if (end_ns is None or first < end_ns) and (start_ns is None or last >= start_ns):
                    found.append(segment)
        return found

    def roll_if_due(self) -> None:
        """Begin a new segment when the current one is old or large enough; forget what is over limits."""
        current = self.current
        if self._is_over(current) or current.bytes_on_disk() > self._retention_bytes / 8:
            cursor = self.cursor()
            try:
                cursor.execute(f"CHECKPOINT {current.schema}")
            finally:
                cursor.close()
            self._begin()
        self.forget()

    def forget(self) -> None:
        """Drop whole segments that are past their age, then the oldest until the size fits."""
        now = self._now_s()
        while len(self._segments) > 1 and now - self._segments[1].started_s > self._retention_seconds:
            self._drop(self._segments[0], "past its age")
        sizes = {segment.sequence: segment.bytes_on_disk() for segment in self._segments}
        total = sum(sizes.values())
        while len(self._segments) > 1 and total > self._retention_bytes:
            total -= sizes[self._segments[0].sequence]
            self._drop(self._segments[0], "over the size limit")

    def replace(self, sealed: Sequence[Segment], unfinished: Path) -> bool:
        """Put a finished file in the place of the segments whose rows it holds.

        Any thread may. False, and the file is removed, where one of them has been forgotten meanwhile.
        """
        first, last = sealed[0], sealed[-1]
        number = last.last or last.sequence
        path = self.data_dir / f"{first.sequence:08d}-{first.started_s:010d}-{number:08d}.duckdb"
        unfinished.rename(path)
        made = Segment(first.sequence, first.started_s, path, last=number)
        cursor = self.cursor()
        try:
            self._attach(made, cursor)
        finally:
            cursor.close()
        with self._listing:
            place = next((n for n, one in enumerate(self._segments) if one is first), None)
            still = place is not None and list(self._segments[place : place + len(sealed)]) == list(sealed)
            if place is not None and still:
                rest = self._segments[place + len(sealed) :]
                self._segments = (*self._segments[:place], made, *rest)
        for segment in sealed if still else [made]:
            self._remove(segment)
        return still

    def reopen(self) -> None:
        """Start a fresh engine over the same files, after a fault that ended the old one."""
        with self._changing:
            self._engine.close()
            self._engine = self._open_engine()
            # Rows that the fault took may have others in their places now.
            self.answers, self.roots = Remembered(_ANSWERS), Remembered(_ROOTS)
        self._open()

    def close(self) -> None:
        """Write everything into the files and give the directory back."""
        with self._changing:
            for segment in self._segments:
                try:
                    self._engine.execute(f"DETACH {segment.schema}")
                except duckdb.Error as error:
                    _log.warning("closing %s: %s", segment.path.name, error)
            self._engine.close()
            os.close(self._owned)

    def _open_engine(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(
            ":memory:",
            config={
                "threads": 2,
                "memory_limit": "768MB",
                "checkpoint_threshold": _CHECKPOINT_AFTER,
                "temp_directory": str(self.data_dir / "spill"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )

    def _open(self) -> None:
        found: list[Segment] = []
        _remove_what_was_sealed(self.data_dir)
        for path in sorted(self.data_dir.iterdir()):
            if match := _NAME.match(path.name):
                last = int(match[3]) if match[3] else None
                segment = Segment(int(match[1]), int(match[2]), path, last=last)
                try:
                    self._attach(segment)
                    found.append(segment)
                except duckdb.Error as error:
                    if isinstance(error, duckdb.OutOfMemoryException) or any(
                        reason in str(error) for reason in _PASSING
                    ):
                        raise
                    self._put_aside(segment, str(error))
        self._segments = tuple(found)
        if not found or found[-1].last is not None or self._is_over(found[-1]):
            self._begin()
        self.forget()

    def _attach(self, segment: Segment, engine: duckdb.DuckDBPyConnection | None = None) -> None:
        run = (engine or self._engine).execute
        run(f"ATTACH {literal(segment.path)} AS {segment.schema} (ROW_GROUP_SIZE {_ROWS_TOGETHER})")
        layout = run(f"SELECT version FROM {segment.schema}.layout").fetchone()
        if layout not in ((LAYOUT,), (PACKED_LAYOUT,)):
            raise duckdb.InvalidInputException(
                f"layout {layout}, this store reads layouts {LAYOUT} and {PACKED_LAYOUT}"
            )
        segment.packed = layout == (PACKED_LAYOUT,)
        for table in TABLES:
            if table.begins:
                first, last = _one(
                    run(f"SELECT min({table.begins}), max({table.ends}) FROM {segment.schema}.{table.name}")
                )
                if first is not None:
                    segment.cover(table, first, last)
        names = ", ".join(name for name, _, _ in SERIES.columns)
        for row in run(f"SELECT {names} FROM {segment.schema}.series").fetchall():
            digest, metric, kind, cumulative, unit, attributes, bounds = row
            told = tuple(sorted(attributes.items()))
            self.learn(segment, [Series(digest, metric, kind, cumulative, unit, told, tuple(bounds))])
        segment.resources.update(
            row[0] for row in run(f"SELECT id FROM {segment.schema}.resource").fetchall()
        )

    def _begin(self) -> None:
        taken = [segment.last or segment.sequence for segment in self._segments]
        taken += [int(path.name[:8]) for path in (self.data_dir / _SET_ASIDE).glob("*.duckdb")]
        sequence = max(taken, default=0) + 1
        started = int(self._now_s())
        path = self.data_dir / f"{sequence:08d}-{started:010d}.duckdb"
        segment = Segment(sequence, started, path)
        for heard in segment.heard.values():
            heard.whole = True  # nothing is in it that its writer will not note
        cursor = self.cursor()
        try:
            cursor.execute(f"ATTACH {literal(path)} AS {segment.schema} (ROW_GROUP_SIZE {_ROWS_TOGETHER})")
            for table in TABLES:
                cursor.execute(f"CREATE TABLE {segment.schema}.{table.name} ({table.create})")
            # Last: a segment whose making was cut short has no layout and is set aside on the next start.
            cursor.execute(f"CREATE TABLE {segment.schema}.layout AS SELECT {LAYOUT} AS version")
        except duckdb.Error:
            cursor.execute(f"DETACH DATABASE IF EXISTS {segment.schema}")
            for left in _files(path):
                left.unlink(missing_ok=True)
            raise
        finally:
            cursor.close()
        with self._listing:
            self._segments = (*self._segments, segment)

    def _is_over(self, segment: Segment) -> bool:
        """Whether its time is past; one from the future (the clock was set back) is over too."""
        return not 0 <= self._now_s() - segment.started_s < self._segment_seconds

    def _drop(self, segment: Segment, why: str) -> None:
        _log.info("forgetting segment %s: %s", segment.path.name, why)
        with self._listing:
            if segment not in self._segments:
                return  # it has been sealed meanwhile
            self._segments = tuple(other for other in self._segments if other is not segment)
        self._remove(segment)
        with self._listing:
            still = set[int]().union(*(other.series for other in self._segments))
            gone = segment.series - still
            self._series = {
                metric: left
                for metric, known in self._series.items()
                if (left := {digest: series for digest, series in known.items() if digest not in gone})
            }

    def _remove(self, segment: Segment) -> None:
        """Take a file off the engine and the disk; nobody finds it in the list any more."""
        with self._changing:
            self._engine.execute(f"DETACH DATABASE IF EXISTS {segment.schema}")
        for path in _files(segment.path):
            path.unlink(missing_ok=True)

    def _put_aside(self, segment: Segment, why: str) -> None:
        try:
            self._engine.execute(f"DETACH DATABASE IF EXISTS {segment.schema}")
        except duckdb.Error:
            _log.debug("detaching %s", segment.path.name, exc_info=True)
        aside = self.data_dir / _SET_ASIDE
        aside.mkdir(exist_ok=True)
        for path in _files(segment.path):
            if path.exists():
                path.rename(aside / path.name)
        self.set_aside.append(segment.path.name)
        _log.error("segment %s cannot be read and was set aside in %s: %s", segment.path.name, aside, why)


def union(table: Table, segments: Iterable[Segment], columns: str = "*") -> str:
    """A FROM clause over the same table of several segments. All names in it are ours."""
    parts = [f"SELECT {columns} FROM {segment.schema}.{table.name}" for segment in segments]
    return "(" + " UNION ALL ".join(parts) + ")"


def _own(data_dir: Path) -> int:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise DirectoryInUse(
            f"another store (process {owner or 'unknown'}) already uses {data_dir}: "
            "stop it, or give this one a directory of its own with --data-dir"
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _files(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(path.name + ".wal")


def _remove_what_was_sealed(data_dir: Path) -> None:
    """What a crash left: files that were not finished, and those whose rows a finished one holds."""
    for path in data_dir.glob(f"*{UNFINISHED}*"):
        path.unlink()
    found = [(path, match) for path in data_dir.iterdir() if (match := _NAME.match(path.name))]
    for path, match in found:
        first, last = int(match[1]), int(match[3] or match[1])
        for other, its in found:
            if other != path and its[3] and int(its[1]) <= first and last <= int(its[3]):
                _log.info("%s: its rows are in %s", path.name, other.name)
                for left in _files(path):
                    left.unlink(missing_ok=True)
                break


def literal(path: Path) -> str:
    """A path as an SQL text literal: ATTACH takes no parameters."""
    return "'" + str(path).replace("'", "''") + "'"


def _one(answer: duckdb.DuckDBPyConnection) -> tuple[Any, ...]:
    row = answer.fetchone()
    assert row is not None
    return row
