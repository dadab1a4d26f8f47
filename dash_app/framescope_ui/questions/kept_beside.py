"""The frames kept whole on either side of a frame, and the next slow one each way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from framescope_ui.backends.protocols import FindsOldest, FrameQuery, FrameRow
from framescope_ui.questions.frame_item import item_of
from framescope_ui.questions.stores import NS, Stores, Troubles
from framescope_ui.questions.views import FrameItem

LATER_STEPS_SECONDS: Final = (2, 16, 128, 1024)
"""Stores mostly answer newest first, so the next slow frame is looked for in growing stretches after it."""
PAGE: Final = 500
PAGES: Final = 10
NEAR: Final = 30
"""Kept frames looked up on either side: more than the figure of a frame's neighbours has room for."""


@dataclass(frozen=True, slots=True)
class Side:
    """The kept frames before or after one, the nearest first, and the trace of the nearest slow one."""

    near: Sequence[FrameItem] = ()
    slow: str | None = None


async def before(
    stores: Stores, troubles: Troubles, service: str, pipeline: str, start_ns: int, around_ns: int
) -> Side:
    """The side before a frame that started at ``start_ns``."""
    query = FrameQuery(service, pipeline, start_ns - around_ns, start_ns, limit=NEAR, counted=False)
    near = await troubles.answer_or(_newest(stores, query), [])
    # Those that are near come without a gap: a slow one among them is the nearest.
    slow = _first_slow(near)
    if slow is None:
        earlier = replace(query, start_ns=None, outcomes=("slow",), limit=1)
        slow = _first_slow(await troubles.answer_or(_newest(stores, earlier), []))
    return Side(near, slow)


async def after(
    stores: Stores, troubles: Troubles, service: str, pipeline: str, start_ns: int, around_ns: int
) -> Side:
    """The side after it."""
    query = FrameQuery(service, pipeline, start_ns + 1, start_ns + 1 + around_ns, limit=NEAR, counted=False)
    if isinstance(stores.traces, FindsOldest):
        near = await troubles.answer_or(_oldest(stores.traces, query), [])
        slow = _first_slow(near)
        if slow is None:
            until_ns = start_ns + LATER_STEPS_SECONDS[-1] * NS
            later = replace(query, end_ns=until_ns, outcomes=("slow",), limit=1)
            slow = _first_slow(await troubles.answer_or(_oldest(stores.traces, later), []))
        return Side(near, slow)
    near = (await troubles.answer_or(_newest(stores, replace(query, limit=2 * NEAR)), []))[::-1]
    slow = _first_slow(near) if len(near) < 2 * NEAR else None
    if slow is None:
        slow = await troubles.answer_or(_later(stores, service, pipeline, start_ns), None)
    return Side(near[:NEAR], slow)


def _first_slow(items: Sequence[FrameItem]) -> str | None:
    return next((item.trace_id for item in items if item.outcome == "slow"), None)


async def _newest(stores: Stores, query: FrameQuery) -> list[FrameItem]:
    return [item_of(row) for row in (await stores.traces.frames(query)).frames]


async def _oldest(traces: FindsOldest, query: FrameQuery) -> list[FrameItem]:
    return [item_of(row) for row in await traces.oldest_frames(query)]


async def _later(stores: Stores, service: str, pipeline: str, start_ns: int) -> str | None:
    after_ns = start_ns + 1
    for stretch in LATER_STEPS_SECONDS:
        until_ns = start_ns + stretch * NS
        oldest: FrameRow | None = None
        query = FrameQuery(service, pipeline, after_ns, until_ns, ("slow",), limit=PAGE, counted=False)
        for _ in range(PAGES):
            page = await stores.traces.frames(query)
            oldest = page.frames[-1] if page.frames else oldest
            if page.next_cursor is None:
                break
            query = replace(query, cursor=page.next_cursor)
        if oldest is not None:
            return oldest.trace_id
        after_ns = until_ns
    return None
