"""Series as lines: a gap in the readings is a gap in the line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from framescope_ui.backends.protocols import Series
from framescope_ui.questions.stores import seconds
from framescope_ui.questions.views import Line

GAP_SPACINGS = 3.0
"""Two readings further apart than this many usual spacings have a gap between them."""


def usual_spacing(x: Sequence[float]) -> float | None:
    """The median distance of neighbouring readings; None with fewer than two of them."""
    distances = [b - a for a, b in pairwise(x) if b > a]
    return median(distances) if distances else None


def with_gaps(
    x: Sequence[float], y: Sequence[float | None], spacing: float | None = None
) -> tuple[list[float], list[float | None]]:
    """The same readings with a ``None`` half way into every gap, so that no line is drawn over it.

    ``spacing`` is the usual distance of two readings where it is known better than by their median.
    """
    usual = spacing if spacing is not None else usual_spacing(x)
    if usual is None:
        return list(x), list(y)
    out_x: list[float] = []
    out_y: list[float | None] = []
    for index, (time, value) in enumerate(zip(x, y, strict=True)):
        if index and time - x[index - 1] > GAP_SPACINGS * usual:
            out_x.append((time + x[index - 1]) / 2)
            out_y.append(None)
        out_x.append(time)
        out_y.append(value)
    return out_x, out_y


def line_of(series: Series, name: str, unit: str) -> Line:
    """A store's series as a line, every reading at its own time."""
    x, y = with_gaps([seconds(t) for t in series.times_ns], list(series.values))
    return Line(name=name, unit=unit, x=x, y=y)
