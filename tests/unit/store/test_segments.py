"""The data directory: when files begin and go, what is set aside, who owns it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from asking import Asking, keep

from framescope_ui.store.kept_frames import Frames, frames
from framescope_ui.store.schema import POINT
from framescope_ui.store.segments import DirectoryInUse, Segments, union

START = 1_795_000_000


class Clock:
    """Wall seconds, moved by hand."""

    now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _open(directory: Path, clock: Clock, **limits: Any) -> Segments:
    told = {"segment_seconds": 600, "retention_seconds": 86_400, "retention_bytes": 2**30} | limits
    return Segments(directory, now_s=clock, **told)


@pytest.fixture
def segments(tmp_path: Path, clock: Clock) -> Iterator[Segments]:
    opened = _open(tmp_path, clock)
    yield opened
    opened.close()


def _write(segments: Segments, *times: int, pad: int = 0) -> None:
    cursor = segments.cursor()
    for time in times:
        cursor.execute(f"INSERT INTO {segments.current.schema}.point VALUES (1, ?, 0, 0.5)", [time])
        segments.current.cover(POINT, time, time)
    if pad:
        cursor.execute(
            f"INSERT INTO {segments.current.schema}.point SELECT hash(i), hash(i) >> 2, 0, random() "
            f"FROM range({pad}) AS many(i)"
        )
        cursor.execute(f"CHECKPOINT {segments.current.schema}")
    cursor.close()


def _points(segments: Segments) -> list[int]:
    cursor = segments.cursor()
    found = segments.covering(POINT, None, None)
    rows = cursor.execute(f"SELECT time_ns FROM {union(POINT, found)} ORDER BY time_ns").fetchall()
    cursor.close()
    return [row[0] for row in rows]


def test_a_segment_ends_by_the_clock(segments: Segments, clock: Clock) -> None:
    clock.now += 599
    segments.roll_if_due()
    assert len(segments.all()) == 1
    clock.now += 1
    segments.roll_if_due()
    assert len(segments.all()) == 2


def test_a_clock_set_back_begins_a_new_segment_once(segments: Segments, clock: Clock) -> None:
    clock.now -= 3600
    segments.roll_if_due()
    segments.roll_if_due()
    assert [segment.sequence for segment in segments.all()] == [1, 2]


def test_only_segments_that_touch_the_range_are_asked(segments: Segments, clock: Clock) -> None:
    _write(segments, 100, 200)
    clock.now += 600
    segments.roll_if_due()
    _write(segments, 300)

    def asked(start: int | None, end: int | None) -> list[int]:
        return [segment.sequence for segment in segments.covering(POINT, start, end)]

    assert asked(None, None) == [1, 2]
    assert asked(0, 100) == []
    assert asked(0, 101) == [1]
    assert asked(200, 300) == [1]
    assert asked(201, 301) == [2]
    assert _points(segments) == [100, 200, 300]


def test_a_segment_past_its_age_goes_with_its_file(tmp_path: Path, clock: Clock) -> None:
    segments = _open(tmp_path, clock, retention_seconds=1000)
    for place in range(4):
        _write(segments, place)
        clock.now += 600
        segments.roll_if_due()
    # The first two ended 1 200 s and more ago.
    assert _points(segments) == [2, 3]
    assert len(list(tmp_path.glob("*.duckdb"))) == len(segments.all()) == 3
    segments.close()


def test_the_oldest_go_when_all_together_are_too_large(tmp_path: Path, clock: Clock) -> None:
    segments = _open(tmp_path, clock, retention_bytes=8 * 2**20)
    for place in range(8):
        _write(segments, place, pad=60_000)
        segments.roll_if_due()
    total = sum(segment.bytes_on_disk() for segment in segments.all())
    assert total <= 8 * 2**20
    assert 1 < len(segments.all()) < 9
    assert segments.all()[0].sequence > 1
    segments.close()


def test_everything_is_there_again_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    first = _open(tmp_path, clock)
    _write(first, 100)
    first.close()
    again = _open(tmp_path, clock)
    assert len(again.all()) == 1
    assert again.current.covers["point"] == (100, 100)
    assert _points(again) == [100]
    again.close()


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, None])
def test_a_file_that_cannot_be_read_is_set_aside(tmp_path: Path, clock: Clock, content: bytes | None) -> None:
    first = _open(tmp_path, clock)
    _write(first, 100)
    clock.now += 600
    first.roll_if_due()
    _write(first, 200)
    spoilt = first.all()[0].path
    first.close()
    if content is None:  # the middle of the file is lost
        whole = spoilt.read_bytes()
        content = whole[:8192] + b"\xa5" * (len(whole) - 8192)
    spoilt.write_bytes(content)
    again = _open(tmp_path, clock)
    assert again.set_aside == [spoilt.name]
    assert not spoilt.exists() and (tmp_path / "set-aside" / spoilt.name).exists()
    assert _points(again) == [200]
    again.close()


def test_a_file_of_another_layout_is_set_aside(tmp_path: Path, clock: Clock) -> None:
    with duckdb.connect(str(tmp_path / f"00000007-{START}.duckdb")) as other:
        other.execute("CREATE TABLE layout AS SELECT 999 AS version")
    segments = _open(tmp_path, clock)
    assert segments.set_aside == [f"00000007-{START}.duckdb"]
    assert segments.current.sequence == 8
    segments.close()


def test_a_directory_has_one_owner(tmp_path: Path, clock: Clock, segments: Segments) -> None:
    with pytest.raises(DirectoryInUse, match="--data-dir"):
        _open(tmp_path, clock)


def test_a_directory_with_an_odd_name_works(tmp_path: Path, clock: Clock) -> None:
    segments = _open(tmp_path / 'it\'s "odd"; -- é', clock)
    _write(segments, 1)
    assert _points(segments) == [1]
    segments.close()


def test_what_a_closed_segment_answered_is_not_asked_again_and_the_current_one_for_what_is_new(
    segments: Segments, clock: Clock
) -> None:
    ask = Asking(segments)
    keep(segments, 1)
    clock.now += 700
    segments.roll_if_due()
    keep(segments, 2)
    for start_ns, expected in ((0, [2, 1]), (1, [2, 1]), (2, [2])):
        page = frames(Frames(start_ns=start_ns, end_ns=9), segments, ask)
        assert page["start_ns"].to_pylist() == expected
        assert page.schema.metadata == {b"total": str(len(expected)).encode()}
    old, new = (sum(one.schema in statement for statement in ask.statements) for one in segments.all())
    assert (old, new) == (
        3,
        5,
    )  # rows, their roots, their number; of the new one twice the number of new ones
    keep(segments, 3)
    assert frames(Frames(start_ns=0), segments, ask)["start_ns"].to_pylist() == [3, 2, 1]
    ask.statements.clear()
    segments.reopen()  # what a fault took may have made room for other rows
    assert frames(Frames(start_ns=0), segments, ask)["start_ns"].to_pylist() == [3, 2, 1]
    assert sum(segments.all()[0].schema in statement for statement in ask.statements) == 3
