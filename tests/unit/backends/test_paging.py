"""Long lists from a backend that answers few rows at once, in an order of its own."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from statistics import median_high

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framescope_ui.backends.cursor import Place, from_cursor
from framescope_ui.backends.paging import (
    SHORTEST_NS,
    Allowance,
    Crowded,
    Found,
    Order,
    Spent,
    first_page,
    longest_first,
    newest_first,
)
from framescope_ui.backends.protocols import FramePage, FrameRow

END = 10**9
DEPTH = 8


class Backend:
    """Rows of which an answer holds ``DEPTH``: the newest, or any."""

    def __init__(self, rows: Sequence[FrameRow], *, newest: bool = True, requests: int = 100_000) -> None:
        self.rows = sorted(rows, key=lambda row: row.start_ns, reverse=True)
        self.asked: list[tuple[int, int, int, int | None]] = []
        self._newest = newest
        self._dice = random.Random(3)
        self._allowance = Allowance(requests)

    async def ask(self, since: int, until: int, least: int, below: int | None) -> Found[FrameRow]:
        self._allowance.take()
        self.asked.append((since, until, least, below))
        inside = [
            row
            for row in self.rows
            if since <= row.start_ns < until
            and row.latency_ns >= least
            and (below is None or row.latency_ns < below)
        ]
        if not self._newest:
            self._dice.shuffle(inside)
        answer = inside[:DEPTH]
        cut = len(answer) == DEPTH
        return Found(answer, len(answer) / DEPTH, median_high(r.start_ns for r in answer) if cut else None)

    def slices(self, least: int = 0, below: int | None = None) -> AsyncGenerator[Sequence[FrameRow], None]:
        return newest_first(lambda since, until: self.ask(since, until, least, below), 0, END, 1000)

    def bands(self, below: int | None = None) -> AsyncGenerator[Sequence[FrameRow], None]:
        return longest_first(lambda low, high: self.ask(0, END, low, high), self.slices, 0, below)

    async def page(self, order: Order, limit: int, after: Place | None = None) -> FramePage:
        below = after.key + 1 if after and order == "duration" else None
        parts = self.slices() if order == "time" else self.bands(below)
        return await first_page(parts, order, limit, after, lambda row: True)


def _row(place: int, start_ns: int, latency_ns: int) -> FrameRow:
    return FrameRow(f"{place:032x}", "scanner", start_ns, latency_ns, {})


# No more rows than an answer holds share a microsecond: else nothing could tell them apart.
many_rows = st.lists(
    st.tuples(st.integers(0, END // SHORTEST_NS // 4 - 1), st.integers(0, 40) | st.integers(0, 10**8)),
    max_size=60,
    unique_by=lambda pair: pair[0],
).map(lambda pairs: [_row(n, 4 * at * SHORTEST_NS, latency) for n, (at, latency) in enumerate(pairs)])


@settings(max_examples=60, deadline=None)
@given(many_rows, st.booleans())
async def test_newest_first_gives_every_row_once_and_in_order(rows: list[FrameRow], newest: bool) -> None:
    parts = [list(part) async for part in Backend(rows, newest=newest).slices()]
    assert sorted(row.trace_id for part in parts for row in part) == sorted(row.trace_id for row in rows)
    edges = [row.start_ns for part in parts for row in sorted(part, key=lambda r: -r.start_ns)]
    assert edges == sorted(edges, reverse=True)


@settings(max_examples=60, deadline=None)
@given(many_rows, st.booleans())
async def test_longest_first_gives_every_row_once_and_in_order(rows: list[FrameRow], newest: bool) -> None:
    parts = [list(part) async for part in Backend(rows, newest=newest).bands()]
    assert sorted(row.trace_id for part in parts for row in part) == sorted(row.trace_id for row in rows)
    edges = [row.latency_ns for part in parts for row in sorted(part, key=lambda r: -r.latency_ns)]
    assert edges == sorted(edges, reverse=True)


@settings(max_examples=40, deadline=None)
@given(many_rows, st.sampled_from(["time", "duration"]), st.integers(1, 20), st.booleans())
async def test_pages_give_every_row_once(
    rows: list[FrameRow], order: Order, limit: int, newest: bool
) -> None:
    backend = Backend(rows, newest=newest)
    seen: list[FrameRow] = []
    after: Place | None = None
    while True:
        page = await backend.page(order, limit, after)
        assert len(page.frames) <= limit
        seen += page.frames
        if page.next_cursor is None:
            break
        after = from_cursor(page.next_cursor, order)
    keys = [(row.latency_ns if order == "duration" else row.start_ns, row.trace_id) for row in seen]
    assert keys == sorted(keys, reverse=True)
    assert len(seen) == len(rows)


async def test_an_empty_day_costs_few_requests() -> None:
    backend = Backend([])
    day = 24 * 3600 * 10**9
    parts = newest_first(lambda a, b: backend.ask(a, b, 0, None), 0, day, 10 * 10**9)
    assert [row async for part in parts for row in part] == []
    assert len(backend.asked) < 10


async def test_the_longest_of_many_are_found_without_reading_them_all() -> None:
    dice = random.Random(5)
    rows = [_row(n, n * 10_000, round(dice.expovariate(1e-6))) for n in range(5000)]
    backend = Backend(rows)
    page = await backend.page("duration", 5)
    assert [row.latency_ns for row in page.frames] == sorted((r.latency_ns for r in rows), reverse=True)[:5]
    assert len(backend.asked) < 20


async def test_more_equal_rows_than_an_answer_holds_in_one_microsecond_are_refused() -> None:
    rows = [_row(n, 5000, 7) for n in range(DEPTH)]
    with pytest.raises(Crowded):
        await Backend(rows).page("time", 5)
    with pytest.raises(Crowded):
        await Backend(rows).page("duration", 5)


async def test_where_the_allowance_ends_the_page_is_short_and_goes_on() -> None:
    rows = [_row(n, END - 1 - n * 10**6, n) for n in range(100)]
    backend = Backend(rows, requests=12)
    page = await backend.page("time", 90)
    assert 0 < len(page.frames) < 90
    assert page.next_cursor is not None
    assert from_cursor(page.next_cursor, "time").trace_id == page.frames[-1].trace_id


async def test_where_the_allowance_ends_with_nothing_found_it_is_said() -> None:
    with pytest.raises(Spent):
        await Backend([], requests=3).page("time", 10)


async def test_a_row_that_was_answered_twice_is_listed_once() -> None:
    row = _row(1, 5, 7)
    page = await Backend([row, row]).page("time", 10)
    assert page.frames == (row,)
