"""Frames that somebody pinned, with their notes, in one small SQLite file of the app's data directory.

A pin keeps a copy of the frame beside it: retention deletes the trace, not what was worth a note. Every call
opens the file anew, so that several apps on one directory see each other's pins, and runs off the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

MOST_PINS: Final = 500
LONGEST_NOTE: Final = 4000
MOST_COPY_BYTES: Final = 1_000_000
"""Largest copy kept, compressed. A frame of 9 stages with its surroundings takes about 10 kB."""
FILE_NAME: Final = "pins.sqlite3"
BUSY_SECONDS: Final = 3.0
"""How long a write waits for another app's."""

_TABLE = """
create table if not exists pins (
  trace_id text primary key, note text not null, pinned real not null, changed real not null,
  service text not null, pipeline text, frame_id integer, start real not null, latency_seconds real,
  cause text, sentence text not null, copy blob
) strict
"""
_COLUMNS = (
    "trace_id, note, pinned, changed, service, pipeline, frame_id, start, latency_seconds, cause, sentence, "
    "copy is not null"
)
Answer = TypeVar("Answer")


class PinsUnavailable(Exception):
    """The file cannot be used; the text says why and what to do."""


class PinsFull(Exception):
    """There are as many pins as are kept."""


@dataclass(frozen=True, slots=True)
class PinnedFrame:
    """What a list of pins shows of a frame without asking any store. Times in unix s."""

    trace_id: str
    service: str
    pipeline: str | None
    frame_id: int | None
    start: float
    latency_seconds: float | None
    cause: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Pin:
    """A pinned frame: its note, when it was pinned and last written to, and whether a copy of it is kept."""

    frame: PinnedFrame
    note: str
    pinned: float
    changed: float
    copied: bool


class Pins:
    """The pins of one data directory."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = directory / FILE_NAME
        self._clock = clock

    async def all(self) -> list[Pin]:
        """Every pin, the newest first."""
        return await self._off_loop(self._all)

    async def one(self, trace_id: str) -> Pin | None:
        """The pin of a frame; None where it is not pinned."""
        return await self._off_loop(lambda: self._one(trace_id))

    async def copy(self, trace_id: str) -> str | None:
        """The text kept beside a pin; None where there is no such pin, or it was too large to keep."""
        return await self._off_loop(lambda: self._copy(trace_id))

    async def put(self, frame: PinnedFrame, note: str, copy: str | None) -> Pin:
        """Pin a frame, or write another note to a pinned one. Without ``copy`` the one kept before stays.

        Raises ``ValueError`` for a note too long, ``PinsFull`` where no more are kept.
        """
        if len(note) > LONGEST_NOTE:
            raise ValueError(f"a note has at most {LONGEST_NOTE} characters, this one has {len(note)}")
        return await self._off_loop(lambda: self._put(frame, note, copy))

    async def remove(self, trace_id: str) -> bool:
        """Unpin a frame; its note and copy are gone. False where it was not pinned."""
        return await self._off_loop(lambda: self._remove(trace_id))

    # ---- on a thread of its own ----
    async def _off_loop(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.to_thread(ask)
        except (sqlite3.Error, OSError) as error:
            raise PinsUnavailable(
                f"Pins cannot be kept in {self._path}: {error}. The app needs to write there (data_dir)."
            ) from error

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        try:
            with connection:
                connection.execute(_TABLE)
                yield connection
        finally:
            connection.close()

    def _all(self) -> list[Pin]:
        if not self._path.exists():
            return []
        with self._opened() as connection:
            rows = connection.execute(f"select {_COLUMNS} from pins order by pinned desc, trace_id")
            return [_pin(row) for row in rows]

    def _one(self, trace_id: str) -> Pin | None:
        if not self._path.exists():
            return None
        with self._opened() as connection:
            row = connection.execute(
                f"select {_COLUMNS} from pins where trace_id = ?", (trace_id,)
            ).fetchone()
        return None if row is None else _pin(row)

    def _copy(self, trace_id: str) -> str | None:
        if not self._path.exists():
            return None
        with self._opened() as connection:
            row = connection.execute("select copy from pins where trace_id = ?", (trace_id,)).fetchone()
        if row is None or row[0] is None:
            return None
        try:
            return zlib.decompress(row[0]).decode()
        except (zlib.error, UnicodeDecodeError):
            return None  # what is not readable any more is as good as not there

    def _put(self, frame: PinnedFrame, note: str, copy: str | None) -> Pin:
        now = self._clock()
        packed = None if copy is None else zlib.compress(copy.encode(), 6)
        if packed is not None and len(packed) > MOST_COPY_BYTES:
            packed = None
        with self._opened() as connection:
            connection.execute("begin immediate")
            known = connection.execute("select 1 from pins where trace_id = ?", (frame.trace_id,)).fetchone()
            count = connection.execute("select count(*) from pins").fetchone()[0]
            if known is None and count >= MOST_PINS:
                raise PinsFull(f"{MOST_PINS} frames are pinned, and no more are kept: unpin one first")
            connection.execute(
                "insert into pins values (?,?,?,?,?,?,?,?,?,?,?,?) on conflict (trace_id) do update set "
                "note = excluded.note, changed = excluded.changed, copy = coalesce(excluded.copy, copy)",
                (
                    frame.trace_id, note, now, now, frame.service, frame.pipeline, frame.frame_id,
                    frame.start, frame.latency_seconds, frame.cause, frame.sentence, packed,
                ),
            )  # fmt: skip
            row = connection.execute(
                f"select {_COLUMNS} from pins where trace_id = ?", (frame.trace_id,)
            ).fetchone()
        return _pin(row)

    def _remove(self, trace_id: str) -> bool:
        if not self._path.exists():
            return False
        with self._opened() as connection:
            return connection.execute("delete from pins where trace_id = ?", (trace_id,)).rowcount > 0


def _pin(row: tuple[Any, ...]) -> Pin:
    trace_id, note, pinned, changed, *of_list, copied = row
    return Pin(PinnedFrame(trace_id, *of_list), note, pinned, changed, bool(copied))
