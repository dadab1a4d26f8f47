"""Pages of kept frames over a segment that is written to: the same question again is one about new rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Asking, keep
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from framescope_ui.store.kept_frames import Frames, frames
from framescope_ui.store.remembered import Remembered
from framescope_ui.store.segments import Segments

QUESTIONS = (
    Frames(start_ns=0, outcomes=["slow"], order="duration", limit=3),
    Frames(start_ns=0, order="time", limit=2),
    Frames(start_ns=0, end_ns=60, order="duration", limit=50),
    Frames(start_ns=20, end_ns=80, outcomes=["slow", "late"], limit=50),
    Frames(outcomes=["slow"], limit=1),
    Frames(end_ns=50, order="oldest", limit=1),
    Frames(start_ns=0, stage="b", limit=4),
    Frames(start_ns=0, limit=4, after_key=50, after_trace_id="00" * 16),
)
FRAMES = some.tuples(some.integers(1, 99), some.integers(1, 9), some.sampled_from(["slow", "late", "ontime"]))


class Store:
    """Segments in a directory of their own, with a hand to write frames and eyes on what is asked."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000.0
        self.numbers = itertools.count(1)
        self.segments = Segments(
            folder,
            segment_seconds=600,
            retention_seconds=1e9,
            retention_bytes=2**30,
            now_s=lambda: self.now,
        )
        self.ask = Asking(self.segments)

    def keep(self, *kept: tuple[int, int, str]) -> None:
        for start_ns, latency_ns, outcome in kept:
            keep(self.segments, start_ns, next(self.numbers), latency_ns, outcome)

    def told(self, question: Frames) -> tuple[Any, list[Any]]:
        page = frames(question, self.segments, self.ask)
        return page.schema.metadata, page.to_pylist()

    def told_anew(self, question: Frames) -> tuple[Any, list[Any]]:
        """As somebody answers who remembers nothing."""
        self.segments.answers = Remembered(1)
        return self.told(question)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.segments.close()


STEPS = some.lists(
    some.one_of(
        some.lists(FRAMES, min_size=1, max_size=5),
        some.sampled_from([*QUESTIONS, *QUESTIONS, *QUESTIONS, "a new segment"]),
    ),
    min_size=8,
    max_size=30,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_what_is_remembered_says_the_same_as_looking_through_everything(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    store, anew = (Store(tmp_path_factory.mktemp("store")) for _ in range(2))
    try:
        for step in steps:
            if isinstance(step, Frames):
                assert store.told(step) == anew.told_anew(step)
            else:
                for one in (store, anew):
                    if step == "a new segment":
                        one.now += 700
                        one.segments.roll_if_due()
                    else:
                        one.keep(*step)
    finally:
        store.segments.close()
        anew.segments.close()


def test_only_rows_that_have_come_since_are_looked_through(store: Store) -> None:
    longest = Frames(start_ns=0, order="duration", limit=2)
    store.keep((1, 5, "slow"), (2, 7, "slow"), (3, 6, "slow"))
    assert [row["start_ns"] for row in store.told(longest)[1]] == [2, 3, 1]
    store.ask.statements.clear()
    store.keep((4, 9, "slow"))
    told, rows = store.told(longest)
    assert [row["start_ns"] for row in rows] == [4, 2, 3]
    assert told == {b"total": b"4"}
    *through, roots = store.ask.statements
    assert all("rowid > $" in statement for statement in through)
    assert "root" in roots
    store.ask.statements.clear()
    assert store.told(longest) == (told, rows)
    assert len(store.ask.statements) == 1, "whether there is anything new"


def test_frames_whose_stage_was_told_later_are_looked_at_again(store: Store) -> None:
    of_b = Frames(start_ns=0, stage="b", limit=4)
    store.keep((1, 5, "slow"))
    assert store.told(of_b) == ({b"total": b"0"}, [])
    cursor, segment = store.segments.cursor(), store.segments.current
    cursor.execute(f"UPDATE {segment.schema}.frame SET stage = 'b'")
    cursor.close()
    segment.rewritten += 1  # as the writer says
    assert [row["start_ns"] for row in store.told(of_b)[1]] == [1]
