"""The kept frames on either side of a frame: always the nearest, and the next slow one each way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from memory_stores import MemoryMetrics, MemoryTraces, away

from framescope import signals as sig
from framescope_ui.backends.protocols import FrameQuery, FrameRow, Span, Trace
from framescope_ui.questions.kept_beside import NEAR, Side, after, before
from framescope_ui.questions.stores import NS, Stores, Troubles

AT_NS = 1_795_000_000 * NS
AROUND_NS = 100 * NS


class OldestFirst(MemoryTraces):
    """A store that finds the oldest without reading all."""

    async def oldest_frames(self, query: FrameQuery) -> Sequence[FrameRow]:
        every = (await self.frames(replace(query, limit=10_000))).frames
        return every[::-1][: query.limit]


def kept(second: float, outcome: str = "on_time") -> Trace:
    """A kept frame so many seconds from the one that is looked at; its trace id tells when."""
    start_ns = AT_NS + round(second * NS)
    trace_id = f"{start_ns:032x}"
    told = {sig.FRAME_PIPELINE: "p", sig.FRAME_OUTCOME: outcome}
    span = Span(trace_id, "a" * 16, None, sig.SPAN_FRAME, start_ns, start_ns + NS // 100, told)
    return Trace(trace_id, {sig.SERVICE_NAME: "s"}, (span,))


def seconds_from(side: Side) -> list[float]:
    return [round(item.start - AT_NS / NS, 3) for item in side.near]


async def sides(traces: MemoryTraces, *others: Trace) -> tuple[Side, Side]:
    traces.kept = [kept(0, "slow"), *others]
    stores, troubles = Stores(traces, MemoryMetrics()), Troubles()
    found = [await side(stores, troubles, "s", "p", AT_NS, AROUND_NS) for side in (before, after)]
    assert not troubles.all
    return found[0], found[1]


either = pytest.mark.parametrize(
    "store", [MemoryTraces, OldestFirst], ids=["newest first", "finds the oldest"]
)


@either
async def test_the_nearest_are_told_however_many_there_are(store: type[MemoryTraces]) -> None:
    some = [kept(sign * second / 10) for second in range(1, 2 * NEAR) for sign in (-1, 1)]
    earlier, later = await sides(store(), *some)
    assert seconds_from(earlier) == [-(one + 1) / 10 for one in range(NEAR)]
    assert seconds_from(later) == [(one + 1) / 10 for one in range(NEAR)]


async def test_of_very_many_after_it_the_nearest_are_told_by_a_store_that_finds_them() -> None:
    _, later = await sides(OldestFirst(), *(kept(second / 10) for second in range(1, 5 * NEAR)))
    assert seconds_from(later) == [(one + 1) / 10 for one in range(NEAR)]


@either
@pytest.mark.parametrize("second", [1.5, 30.0, 600.0], ids=["near", "behind those that are near", "far"])
async def test_the_next_slow_one_is_found_wherever_it_is(store: type[MemoryTraces], second: float) -> None:
    some = [kept(sign * one / 10) for one in range(1, 5 * NEAR) for sign in (-1, 1)]
    wanted = [kept(-second - 0.01, "slow"), kept(second + 0.01, "slow")]
    others = [kept(-second - 5, "slow"), kept(second + 5, "slow")]
    earlier, later = await sides(store(), *some, *wanted, *others)
    assert [earlier.slow, later.slow] == [one.trace_id for one in wanted]


@either
async def test_with_nobody_beside_it_there_is_nothing(store: type[MemoryTraces]) -> None:
    assert await sides(store()) == (Side([]), Side([]))


async def test_a_store_that_is_away_leaves_the_sides_empty_and_is_noted() -> None:
    traces = MemoryTraces()
    traces.error = away("traces")
    troubles = Troubles()
    stores = Stores(traces, MemoryMetrics())
    assert not (await before(stores, troubles, "s", "p", AT_NS, AROUND_NS)).near
    assert not (await after(stores, troubles, "s", "p", AT_NS, AROUND_NS)).near
    assert troubles.all
