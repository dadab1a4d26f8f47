"""A long list from a backend that only answers so much at once, and not in our order.

A backend cuts a full answer as it likes, so a full answer is only a hint. Newest first is made of slices
of time, longest first of bands of latency; what comes back full is halved until it does not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from .cursor import Place, to_cursor
from .protocols import FramePage, FrameRow

SHORTEST_NS: Final = 1000
"""No slice is shorter: backends tell times apart by the microsecond."""
_GROWTH: Final = 4
_SPARSE: Final = 8
"""A slice with less than this part of a full answer is followed by a longer one."""


Row = TypeVar("Row")
Order = Literal["duration", "time"]


class Spent(Exception):
    """A question has had all the requests that one question may have."""


class Crowded(Exception):
    """More than one answer holds in a slice that cannot be made shorter."""


class Allowance:
    """Requests that one question may still make."""

    def __init__(self, requests: int) -> None:
        self._left = requests

    def take(self) -> None:
        """Count one. Raises ``Spent`` when there is none left."""
        if self._left <= 0:
            raise Spent
        self._left -= 1


@dataclass(frozen=True, slots=True)
class Found(Generic[Row]):
    """One answer: its rows inside the slice, and how full it was (1.0: it may have been cut)."""

    rows: Sequence[Row]
    fullness: float

    @property
    def cut(self) -> bool:
        """Whether there may be more than was answered."""
        return self.fullness >= 1.0


async def newest_first(
    ask: Callable[[int, int], Awaitable[Found[Row]]], start_ns: int, end_ns: int, step_ns: int
) -> AsyncGenerator[Sequence[Row], None]:
    """The rows of ``[start_ns, end_ns)``, slice by slice from the end back; each slice is whole.

    ``ask`` answers for a slice; ``step_ns`` is the length of the first. Raises ``Crowded``.
    """
    until = end_ns
    step = max(step_ns, SHORTEST_NS)
    while until > start_ns:
        since = max(start_ns, until - step)
        found = await ask(since, until)
        if found.cut:
            if until - since <= SHORTEST_NS:
                raise Crowded
            step = max((until - since) // 2, SHORTEST_NS)
            continue
        yield found.rows
        until = since
        if found.fullness * _SPARSE < 1:
            step *= _GROWTH


async def longest_first(
    ask: Callable[[int, int | None], Awaitable[Found[FrameRow]]],
    throughout: Callable[[int, int | None], AsyncGenerator[Sequence[FrameRow], None]],
    least_ns: int,
    below_ns: int | None,
) -> AsyncGenerator[Sequence[FrameRow], None]:
    """The frames with a latency in ``[least_ns, below_ns)``, band by band from the longest down.

    ``ask`` answers for a band over the whole time; ``throughout`` goes through the time for a band too
    narrow to be divided. The first band is everything; one that is cut tells where to divide.
    """
    edges = [least_ns]
    upper = below_ns
    while upper is None or upper > least_ns:
        lower = max(edge for edge in edges if upper is None or edge < upper)
        found = await ask(lower, upper)
        rows = found.rows
        if found.cut:
            inside = sorted({row.latency_ns for row in rows if row.latency_ns > lower}, reverse=True)
            if inside:
                edges += _sparser(inside)
                continue
            rows = [row async for part in throughout(lower, upper) for row in part]
        yield rows
        upper = lower


def _sparser(values: Sequence[int]) -> list[int]:
    """The 1st, 2nd, 4th, 8th, … of the values: bands between them hold twice as many each time."""
    return [values[2**power - 1] for power in range(len(values).bit_length())]


async def first_page(
    parts: AsyncGenerator[Sequence[FrameRow], None],
    order: Order,
    limit: int,
    after: Place | None,
    wanted: Callable[[FrameRow], bool],
) -> FramePage:
    """As many of the wanted rows behind ``after`` as a page holds.

    ``parts`` come in order, the rows of one in any. Where the allowance ends on the way, the page is
    short and goes on with the next; raises ``Spent`` where it would be empty.
    """
    rows: list[FrameRow] = []
    spent = False
    try:
        async with aclosing(parts):
            async for part in parts:
                fresh = {(row.trace_id, row.start_ns, row.latency_ns): row for row in part if wanted(row)}
                ordered = sorted(fresh.values(), key=lambda row: _place(row, order), reverse=True)
                rows += (row for row in ordered if after is None or _place(row, order) < _rank(after))
                if len(rows) > limit:
                    break
    except Spent:
        if not rows:
            raise
        spent = True
    if len(rows) <= limit and not spent:
        return FramePage(tuple(rows))
    page = rows[:limit]
    key, trace_id = _place(page[-1], order)
    return FramePage(tuple(page), to_cursor(Place(order, key, trace_id)))


def _place(row: FrameRow, order: Order) -> tuple[int, str]:
    return (row.latency_ns if order == "duration" else row.start_ns), row.trace_id


def _rank(place: Place) -> tuple[int, str]:
    return place.key, place.trace_id
