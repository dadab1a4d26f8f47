"""Correlate's tables: cells that wrap, or a frame that scrolls."""

from __future__ import annotations

from collections.abc import Sequence

from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part


def wrapping_table(
    head: Sequence[str],
    rows: Sequence[Sequence[Part]],
    *,
    caption: str,
    right: Sequence[int] = (),
    wide: bool = False,
) -> Part:
    """A table whose cells wrap, or a wide one that scrolls in its frame; either can be reached by
    keyboard."""
    made = elements.table(head, rows, caption=caption, right=right)
    made.className = "fs-table-frame" if wide else "fs-table-frame fs-wrapping"
    made.tabIndex = 0
    return made
