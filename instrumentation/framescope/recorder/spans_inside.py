"""Spans that the host's own tracer made inside a frame: held with the frame until it is shipped."""

from __future__ import annotations

from typing import Any, Final

from framescope.handover import SPANS, SpanTold
from framescope.recorder.marks import Marks, NoMarks, SharedMarks, note

MOST_SPANS: Final = 64
"""Spans of one frame; more are counted as ``span_limit``. A frame with so many is about 20 kB."""


class SpansInside:
    """Those of one frame. What ends after the frame was shipped comes too late."""

    __slots__ = ("_shipped", "_told")

    def __init__(self) -> None:
        self._told: list[SpanTold] = []
        self._shipped = False

    def add(self, told: SpanTold) -> str:
        """Why this span is lost; "" if it is not."""
        if self._shipped:
            return "span_after_frame"
        if len(self._told) >= MOST_SPANS:
            return "span_limit"
        self._told.append(told)
        return ""

    def ship(self) -> list[SpanTold]:
        """Those there are, for the hand-over."""
        self._shipped = True
        return self._told


def spans_inside(marks: Marks) -> SpansInside | None:
    """Where the spans of the frame with these marks are held; None without a frame, or without room."""
    if isinstance(marks, NoMarks):
        return None
    numbers = marks.numbers if isinstance(marks, SharedMarks) else marks
    place = _place(numbers)
    if place is not None:
        held = numbers[place]
        return held if isinstance(held, SpansInside) else None  # shipped already: somebody outlives his frame
    made = SpansInside()
    return made if note(marks, SPANS, 0, made) else None


def ship_spans(numbers: list[Any]) -> None:
    """Have a finished frame's marks hold what can be packed, if spans were made inside it."""
    place = _place(numbers)
    if place is not None and isinstance(numbers[place], SpansInside):
        numbers[place] = numbers[place].ship()


def _place(numbers: list[Any]) -> int | None:
    """Where the spans stand among a frame's marks."""
    try:
        return numbers.index((SPANS, 0)) + 1  # in C: a frame of a thousand stages is gone through in 20 µs
    except ValueError:
        return None
