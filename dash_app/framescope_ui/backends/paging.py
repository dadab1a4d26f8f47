"""A long list from a backend that only answers so much at once, and not in our order.

A backend cuts a full answer as it likes, so a full answer is only a sample. Newest first is made of slices
of time, longest first of bands of latency; what comes back full is divided until it does not.
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
_AIM: Final = 0.5
"""How full the next answer should be, as far as the last one tells."""
_GROWTH: Final = 4.0
_STRIDE: Final = 32.0
"""How much longer a slice, and how much wider a band, may be than the one before."""


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
    """One answer: its rows inside the slice, and how full it was (1.0: it may have been cut).

    ``middle_ns`` is the start of the middle row of a cut answer, where there is one.
    """

    rows: Sequence[Row]
    fullness: float
    middle_ns: int | None = None

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
            middle = found.middle_ns
            if middle is None or not since < middle < until:
                middle = (since + until) // 2
            step = max(until - middle, SHORTEST_NS)
            continue
        yield found.rows
        step = max(round((until - since) * _factor(found.fullness, _GROWTH)), SHORTEST_NS)
        until = since


async def longest_first(
    ask: Callable[[int, int | None], Awaitable[Found[FrameRow]]],
    throughout: Callable[[int, int | None], AsyncGenerator[Sequence[FrameRow], None]],
    least_ns: int,
    below_ns: int | None,
) -> AsyncGenerator[Sequence[FrameRow], None]:
    """The frames with a latency in ``[least_ns, below_ns)``, band by band from the longest down.

    ``ask`` answers for a band over the whole time; ``throughout`` goes through the time for a band too
    narrow to be divided. The first band is everything; one that is cut tells latencies to divide at.
    """
    steps: list[int] = []  # latencies to divide at, seen in answers that were cut; the longest last
    stride = 1
    upper = below_ns
    while upper is None or upper > least_ns:
        while steps and upper is not None and steps[-1] >= upper:
            steps.pop()
        lower = steps[max(0, len(steps) - stride)] if steps else least_ns
        del steps[-stride:]
        found = await ask(lower, upper)
        rows = found.rows
        if found.cut:
            inside = sorted(row.latency_ns for row in rows if row.latency_ns > lower)
            if inside:
                steps += inside
                stride = 1
                continue
            rows = [row async for part in throughout(lower, upper) for row in part]
        yield rows
        stride = max(1, round(stride * _factor(found.fullness, _STRIDE)))
        upper = lower


def _factor(fullness: float, greatest: float) -> float:
    return min(greatest, _AIM / fullness) if fullness > 0 else greatest


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
