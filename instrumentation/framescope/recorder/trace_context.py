"""A frame's trace id while it is under way: for log records, and for what is asked of others inside it.

The ids are made when somebody asks for them, and written among the frame's marks; the agent gives them to the
trace, should the frame be kept. Format of ``traceparent``: W3C Trace Context, level 1.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Final

from framescope.handover import TRACE, noted
from framescope.recorder.marks import Marks, NoMarks, SharedMarks, note

if TYPE_CHECKING:
    from framescope.recorder.pipeline import Recorder

NO_IDS: Final = ("", "")


def ids_of(marks: Marks) -> tuple[str, str]:
    """Trace and span id of the frame these marks belong to, in hex; both "" without one, or without room."""
    if isinstance(marks, NoMarks):
        return NO_IDS
    said = noted(marks.numbers if isinstance(marks, SharedMarks) else marks, TRACE)
    if said is None:
        said = f"{random.getrandbits(128) or 1:032x}{random.getrandbits(64) or 1:016x}"
        if not note(marks, TRACE, 0, said):
            return NO_IDS
    return said[:32], said[32:]


def traceparent(ids: tuple[str, str], sampled: bool) -> str:
    """The header's value; "" without ids."""
    trace, span = ids
    return f"00-{trace}-{span}-{'01' if sampled else '00'}" if trace else ""


class FrameLogFilter(logging.Filter):
    """Gives each log record the ``trace_id`` and ``span_id`` of the frame it was written in, or ""."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def filter(self, record: logging.LogRecord) -> bool:
        # Asked each time: a forked child's frames are held elsewhere than its parent's.
        record.trace_id, record.span_id = ids_of(self._recorder.marks.get())
        return True
