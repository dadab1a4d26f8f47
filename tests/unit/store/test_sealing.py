"""Segments become fewer files with the same rows, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framescope_ui.store import sealing
from framescope_ui.store.schema import POINT
from framescope_ui.store.sealing import FAN, Sealer, due, seal
from framescope_ui.store.segments import UNFINISHED, Segment, Segments, union

START = 1_795_000_000
PLENTY = 2**40


class Clock:
    now = float(START)

    def __call__(self) -> float:
        return self.now


def opened(directory: Path, clock: Clock, **limits: Any) -> Segments:
    told = {"segment_seconds": 600, "retention_seconds": 86_400, "retention_bytes": 2**30} | limits
    return Segments(directory, now_s=clock, **told)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def segments(tmp_path: Path, clock: Clock) -> Iterator[Segments]:
    made = opened(tmp_path, clock)
    yield made
    made.close()


def fill(segments: Segments, clock: Clock, count: int) -> None:
    """That many closed segments, each with one point and the series and resource they all share."""
    for _ in range(count):
        cursor, schema = segments.cursor(), segments.current.schema
        cursor.execute(f"INSERT INTO {schema}.point VALUES (7, ?, 0, 0.5)", [int(clock.now)])
        cursor.execute(
            f"INSERT INTO {schema}.series VALUES (7, 'm', 'gauge', true, '1', MAP {{'a': 'b'}}, [])"
        )
        cursor.execute(f"INSERT INTO {schema}.resource VALUES (3, 'r'::BLOB)")
        cursor.close()
        segments.current.cover(POINT, int(clock.now), int(clock.now))
        clock.now += 600
        segments.roll_if_due()


def points(segments: Segments) -> list[int]:
    cursor = segments.cursor()
    found = segments.covering(POINT, None, None)
    rows = cursor.execute(f"SELECT time_ns FROM {union(POINT, found)} ORDER BY time_ns").fetchall()
    cursor.close()
    return [row[0] for row in rows]


def ranges(segments: Segments) -> list[tuple[int, int | None]]:
    return [(one.sequence, one.last) for one in segments.all()]


def test_six_become_one_with_the_same_rows_and_the_current_one_stays(
    segments: Segments, clock: Clock
) -> None:
    fill(segments, clock, FAN)
    before = points(segments)
    assert seal(segments, due(segments.all(), PLENTY))
    assert ranges(segments) == [(1, 6), (7, None)]
    assert points(segments) == before
    assert [series.metric for series in segments.of_metric("m")] == ["m"]
    assert segments.all()[0].resources == {3}
    assert len(list(segments.data_dir.glob("*.duckdb"))) == 2


def test_fewer_are_left_as_they_are(segments: Segments, clock: Clock) -> None:
    fill(segments, clock, FAN - 1)
    assert not due(segments.all(), PLENTY)


def test_six_of_the_sealed_become_one_again_and_that_is_the_end(segments: Segments, clock: Clock) -> None:
    for _ in range(FAN):
        fill(segments, clock, FAN)
        seal(segments, due(segments.all(), PLENTY))
    before = points(segments)
    assert seal(segments, due(segments.all(), PLENTY))
    assert ranges(segments) == [(1, 36), (37, None)]
    assert points(segments) == before
    assert not due(segments.all(), PLENTY)


def test_large_ones_are_sealed_by_themselves_and_once() -> None:
    class Sized(Segment):
        def bytes_on_disk(self) -> int:
            return 100

    def sized(sequence: int, last: int | None = None) -> Segment:
        return Sized(sequence, START, Path(), last=last)

    assert [one.sequence for one in due([sized(1), sized(2), sized(3)], 120)] == [1]
    assert not due([sized(1, 1), sized(2, 2), sized(3)], 120)
    assert [one.sequence for one in due([sized(n) for n in range(1, 9)], 250)] == [1, 2]


def test_what_was_sealed_is_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    first = opened(tmp_path, clock)
    fill(first, clock, FAN)
    before = points(first)
    seal(first, due(first.all(), PLENTY))
    first.close()
    second = opened(tmp_path, clock)
    assert ranges(second)[0] == (1, 6)
    assert points(second) == before
    second.close()


def test_a_crash_between_the_new_file_and_the_end_of_the_old_ones_doubles_nothing(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path, clock)
    fill(first, clock, FAN)
    before = points(first)
    monkeypatch.setattr(Segments, "_remove", lambda self, segment: None)
    seal(first, due(first.all(), PLENTY))
    monkeypatch.undo()
    first.close()
    assert len(list(tmp_path.glob("*.duckdb"))) == FAN + 2
    second = opened(tmp_path, clock)
    assert points(second) == before
    assert len(list(tmp_path.glob("*.duckdb"))) == 2
    second.close()


def test_an_unfinished_file_is_removed_and_the_segments_stay(tmp_path: Path, clock: Clock) -> None:
    first = opened(tmp_path, clock)
    fill(first, clock, 2)
    before = points(first)
    first.close()
    for name in (f"00000001-{START}.duckdb{UNFINISHED}", f"00000001-{START}.duckdb{UNFINISHED}.wal"):
        (tmp_path / name).write_bytes(b"cut short")
    second = opened(tmp_path, clock)
    assert points(second) == before and not list(tmp_path.glob(f"*{UNFINISHED}*"))
    second.close()


def test_a_segment_forgotten_meanwhile_does_not_come_back(
    segments: Segments, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(segments, clock, FAN)
    group = due(segments.all(), PLENTY)
    real = segments.replace

    def late(sealed: Any, path: Path) -> bool:
        segments._drop(segments.all()[0], "test")
        return real(sealed, path)

    monkeypatch.setattr(segments, "replace", late)
    assert not seal(segments, group)
    assert ranges(segments)[0] == (2, None)
    assert len(points(segments)) == FAN - 1


def test_numbers_go_on_after_the_last_that_was_sealed(tmp_path: Path, clock: Clock) -> None:
    first = opened(tmp_path, clock)
    fill(first, clock, FAN)
    seal(first, due(first.all(), PLENTY))
    first.close()
    current = next(path for path in tmp_path.glob("00000007-*"))
    current.unlink()
    second = opened(tmp_path, clock)
    assert second.current.sequence == 7
    second.close()


def test_a_fault_of_ours_leaves_the_files_and_a_sealer_that_tries_again(
    segments: Segments, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(segments, clock, FAN)
    before = points(segments)
    faults, done = iter([IndexError("a fault"), None]), threading.Event()

    def faulty(*told: Any) -> bool:
        if fault := next(faults):
            raise fault
        made = seal(*told)
        done.set()
        return made

    monkeypatch.setattr(sealing, "seal", faulty)
    monkeypatch.setattr(sealing, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(sealing, "AFTER_A_FAULT_S", 0.01)
    sealer = Sealer(segments, greatest_bytes=PLENTY)
    assert done.wait(60)
    sealer.close()
    assert ranges(segments)[0] == (1, FAN) and points(segments) == before
