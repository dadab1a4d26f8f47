"""The axis that latencies stand on: from 0, or logarithmic where one frame would hide all the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from framescope_ui.figures import lanes, theme
from framescope_ui.figures.drawing import Drawing
from framescope_ui.figures.lanes import Lane
from framescope_ui.figures.theme import Theme

FAR_BEYOND = 10
"""The longest frame took so many times what is usual: a linear axis would show that one frame alone."""
STEPS = (1, 2, 5)
"""Ticks of a logarithmic axis, in each power of ten; where it spans two or more, the first of them."""
TICKS_APART = 13
"""px between a tick and the budget, from which both are written."""


def latency_lane(
    title: str, height: int, usual: ArrayLike, longest: float, budget_seconds: float | None
) -> Lane:
    """A lane in ms for latencies (s): the ``usual`` ones, all of them or their medians, and the longest.

    Logarithmic where the longest is so far beyond the usual and the budget that all others would lie on one
    line.
    """
    known = np.asarray(usual, dtype=np.float64)
    known = known[known > 0]
    highest = max(longest, (budget_seconds or 0.0) * 1.2) * 1e3
    if not known.size or longest <= FAR_BEYOND * max(float(np.median(known)), budget_seconds or 0.0):
        return Lane(title, "ms", height, 0, lanes.round_up(highest * 1.05))
    least = min(float(known.min()), budget_seconds or longest)
    return Lane(title, "ms, log scale", height, least * 0.9e3, highest * 1.2, log=True)


def draw_budget(
    figure: Drawing, lane: Lane, budget_seconds: float | None, at: Theme, *, phone: bool = False
) -> None:
    """The budget: a dashed line, and its number among the axis's ticks (on a phone, its name on the line)."""
    budget = None if budget_seconds is None else budget_seconds * 1e3
    if budget is None and not lane.log:
        return
    ticks = [
        tick
        for tick in (_decades(lane) if lane.log else _steps(lane))
        if budget is None or abs(lane.share(tick) - lane.share(budget)) * lane.height > TICKS_APART
    ]
    named = [f"{tick:g}" for tick in ticks]
    if budget is not None:
        ticks.append(budget)
        named.append(f"{budget:.3g}" if phone else f"budget {budget:.4g}")
    figure.update_layout({lane.layout_axis: {"tickvals": ticks, "ticktext": named}})
    if budget is None:
        return
    lanes.draw_level(figure, lane, budget, theme.token("ink", at), "4px,3px")
    if phone:
        figure.add_annotation(
            text="budget",
            xref="paper",
            x=0,
            xanchor="left",
            yref=lane.axis,
            y=lane.place(budget),
            yanchor="bottom",
            showarrow=False,
            font={"size": 11, "color": theme.token("ink-2", at)},
        )


def _steps(lane: Lane) -> list[float]:
    step = lanes.tick_step(lane.high)
    ticks: list[Any] = np.arange(0, lane.high + step / 2, step).tolist()
    return ticks


def _decades(lane: Lane) -> list[float]:
    first, last = (int(np.floor(lane.place(end))) for end in (lane.low, lane.high))
    steps = STEPS if lane.place(lane.high) - lane.place(lane.low) < 2 else STEPS[:1]
    every = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return [tick for tick in every if lane.low <= tick <= lane.high]
