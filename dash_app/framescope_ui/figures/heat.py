"""The spread of latency as a heat map: one lane, lightness for how many frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from framescope_ui.figures import lanes, quantity, theme
from framescope_ui.figures.drawing import Drawing
from framescope_ui.figures.lanes import Lane
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.views import Heat

SHADES = {
    "dark": ("#12171D", "#1D2C3B", "#2C4A63", "#4A7693", "#86B2CC", "#E3F1FA"),
    "light": ("#FFFFFF", "#DCE7F0", "#A9C3D8", "#6B94B5", "#36628A", "#10304F"),
}
"""From no frame to the most, in lightness alone."""


def heat_lane(heat: Heat | None, height: int) -> Lane:
    """A lane whose rows are the heat map's buckets, named by their upper ends."""
    if heat is None:
        return Lane("Spread", "ms", height, -0.5, 0.5, ())
    ticks = _ticks(heat, height)
    return Lane(
        "Spread",
        f"ms, log scale,\n0 to {quantity.whole(_most(heat))} frames",
        height,
        -0.5,
        len(heat.counts) - 0.5,
        [at for at, _ in ticks],
        [text for _, text in ticks],
    )


def _most(heat: Heat) -> float:
    """The most frames of one bucket and stretch."""
    return max((n or 0 for row in heat.counts for n in row), default=0)


def draw_heat(figure: Drawing, lane: Lane, heat: Heat, budget_seconds: float | None, at: Theme) -> None:
    """The map, on a square-root scale; a stretch without frames is blank. The budget is a dashed line."""
    names = [_until(low, high) for low, high in pairwise(heat.bounds)]
    columns = len(heat.counts[0])
    centres = [heat.start + (c + 0.5) * heat.column_seconds for c in range(columns)]
    most = _most(heat) or 1
    figure.add_heatmap(
        x=np.asarray(centres) * 1e3,
        y=names,
        z=np.asarray([[np.nan if n is None else n for n in row] for row in heat.counts], np.float32),
        zmin=0,
        zmax=most,
        yaxis=lane.axis,
        name="frames",
        showscale=False,
        hoverongaps=False,
        colorscale=_scale(SHADES[at], most),
        hovertemplate="%{z:,.0f} frames of %{y}<extra></extra>",
    )
    figure.update_layout({lane.layout_axis: {"type": "category", "categoryarray": names}})
    place = None if budget_seconds is None else place_of(heat, budget_seconds)
    if place is not None:
        lanes.draw_level(figure, lane, place, theme.token("ink", at), "4px,3px")


def _scale(shades: Sequence[str], most: float) -> list[tuple[float, str]]:
    """The square root of the count decides; even one frame in a hundred thousand is told from none."""
    none, some = shades[0], shades[1:]
    one = min(0.5 / most, 0.01)
    rest = [(one + (1 - one) * (k / (len(some) - 1)) ** 2, shade) for k, shade in enumerate(some)]
    return [(0.0, none), (one, none), *rest]


def place_of(heat: Heat, latency_seconds: float) -> float | None:
    """Where a latency lies between the rows, which are equally high; None outside of them."""
    for row, (low, high) in enumerate(pairwise(heat.bounds)):
        if low < latency_seconds <= high:
            if not low or math.isinf(high):
                return float(row)
            return row - 0.5 + math.log(latency_seconds / low) / math.log(high / low)
    return None


def _until(low: float, high: float) -> str:
    if math.isinf(high):
        return f"over {low * 1e3:.3g} ms"
    return f"{low * 1e3:.3g} to {high * 1e3:.3g} ms"


def _ticks(heat: Heat, height: int) -> list[tuple[float, str]]:
    """1, 2, 5, 10 … ms where they lie, as many as have room."""
    found: list[tuple[float, str]] = []
    row = height / len(heat.counts)
    for power in range(-1, 5):
        for digit in (1, 2, 5):
            place = place_of(heat, digit * 10.0**power / 1e3)
            if place is not None and (not found or (place - found[-1][0]) * row >= 14):
                found.append((place, f"{digit * 10.0**power:g}"))
    return found
