"""The table of kept frames."""

from __future__ import annotations

from framescope_ui.backends.protocols import FrameQuery
from framescope_ui.questions.frame_item import item_of
from framescope_ui.questions.stores import Stores
from framescope_ui.questions.views import FramesPage


async def slow_frames(stores: Stores, query: FrameQuery) -> FramesPage:
    """One page of kept frames that fit the query. Raises ``BackendError``."""
    page = await stores.traces.frames(query)
    return FramesPage(
        frames=[item_of(row) for row in page.frames], next_cursor=page.next_cursor, total=page.total
    )
