"""Which traces a closed file surely holds nothing of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from asking import Asking, keep
from hypothesis import given
from hypothesis import strategies as st

from framescope_ui.store.answers import TraceOf, trace
from framescope_ui.store.segments import Segments
from framescope_ui.store.trace_filter import TraceFilter

_chance = Random(7)
IDS: dict[str, Callable[[int], bytes]] = {
    "random": lambda number: _chance.randbytes(16),
    "counted": lambda number: number.to_bytes(16, "big"),
    "counted, least byte first": lambda number: number.to_bytes(16, "little"),
    "of 64 bits": lambda number: bytes(8) + _chance.randbytes(8),
    "of a clock": lambda number: (1_795_000_000_000_000_000 + number * 10_000_000).to_bytes(16, "big"),
}


@given(st.lists(st.binary(min_size=16, max_size=16)))
def test_a_trace_that_is_there_is_never_denied(ids: list[bytes]) -> None:
    made = TraceFilter(b"".join(ids))
    assert all(made.may_hold(one) for one in ids)


@pytest.mark.parametrize("kind", IDS)
def test_most_of_those_that_are_not_there_are_denied_however_ids_are_made(kind: str) -> None:
    made_by = IDS[kind]
    ids = [made_by(number) for number in range(100_000)]
    made = TraceFilter(b"".join(ids))
    assert all(made.may_hold(one) for one in ids[::100])
    others = [made_by(number) for number in range(1_000_000, 1_003_000)]
    assert sum(map(made.may_hold, others)) < 0.05 * len(others)


def test_of_an_empty_file_every_trace_is_denied() -> None:
    assert not TraceFilter(b"").may_hold(bytes(16))


def test_a_closed_file_is_asked_for_the_traces_it_may_hold_alone(tmp_path: Path) -> None:
    now = 1_000.0
    segments = Segments(
        tmp_path, segment_seconds=600, retention_seconds=1e9, retention_bytes=2**30, now_s=lambda: now
    )
    ask = Asking(segments)

    def asked_of_old(number: int) -> tuple[int, int]:
        """How many rows are of the trace, and statements that were put to the closed file for them."""
        ask.statements.clear()
        rows = trace(TraceOf(trace_id=f"{number:032x}"), segments, ask)
        return len(rows), sum(segments.all()[0].schema + "." in statement for statement in ask.statements)

    try:
        keep(segments, 1)
        now += 700
        segments.roll_if_due()
        now += 700
        segments.roll_if_due()  # one without a row is closed too
        keep(segments, 2)
        assert asked_of_old(2) == (1, 0)  # nothing is older than where it begins
        assert asked_of_old(3) == (0, 1)  # its trace ids, once
        assert asked_of_old(3) == (0, 0)
        assert asked_of_old(1) == (1, 1)
    finally:
        segments.close()
