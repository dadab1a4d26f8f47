"""Every frame's latency in a range, as a strip; the slow ones wear their cause's mark."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from tsdownsample import MinMaxDownsampler

from framescope_ui.figures import lanes, theme
from framescope_ui.figures.lanes import Lane
from framescope_ui.figures.live import (
    MOST_MARKS,
    MOST_MARKS_PHONE,
    draw_budget,
    draw_slow,
    draw_zone,
    worst_per_column,
)
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.views import EveryFrame, SlowMark

MOST_POINTS = 2000
"""More frames than this share pixels: the shortest and longest of each column are drawn."""


def strip_figure(every: EveryFrame, at: Theme, start: float, end: float, *, phone: bool = False) -> go.Figure:
    """One lane with every frame of ``[start, end)`` unix seconds."""
    worst = max([*every.latency_seconds, (every.budget_seconds or 0) * 1.2], default=0.0)
    lane = Lane("Every frame", "ms", 110, 0, lanes.round_up(worst * 1.05e3))
    figure = lanes.stack([lane], at, phone=phone, right=44)
    spread = "%H:%M:%S" if end - start <= 120 else "%H:%M"
    figure.update_layout(
        xaxis={"range": [start * 1e3, end * 1e3], "tickformat": spread},
        hovermode="closest",
        uirevision=f"{start}/{end}",
    )
    outcome = np.asarray(every.outcome)
    latency = np.asarray(every.latency_seconds, dtype=np.float64)
    x = np.asarray(every.x, dtype=np.float64)
    slow, dropped = outcome == "slow", (outcome == "dropped") | (outcome == "failed")
    usual = np.flatnonzero(~slow & ~dropped)
    if len(usual) > MOST_POINTS:
        usual = usual[MinMaxDownsampler().downsample(latency[usual], n_out=MOST_POINTS)]
    _points(figure, lane, x[usual], latency[usual], at)
    marks = [
        SlowMark(float(x[i]), float(latency[i]), every.cause[i] or "unknown", None, every.frame_id[i])
        for i in np.flatnonzero(slow).tolist()
    ]
    columns = MOST_MARKS_PHONE if phone else MOST_MARKS
    draw_slow(figure, lane, worst_per_column(marks, start, end, columns), at)
    draw_zone(figure, at, phone=phone)
    lost = np.flatnonzero(dropped)
    if len(lost):
        figure.add_scatter(
            x=x[lost] * 1e3,
            y=np.zeros(len(lost), dtype=np.float32),
            mode="markers",
            name="dropped or failed",
            yaxis=lane.axis,
            cliponaxis=False,
            marker={"symbol": "x-thin-open", "size": 6, "color": theme.token("ink-2", at)},
            hovertemplate="dropped or failed",
        )
    draw_budget(figure, lane, every.budget_seconds, at, phone=phone)
    return lanes.finish(figure, [lane], at, phone=phone)


def strip_note(every: EveryFrame, *, phone: bool = False) -> str:
    """What the strip leaves out, in words."""
    slow = sum(1 for outcome in every.outcome if outcome == "slow")
    if slow > (MOST_MARKS_PHONE if phone else MOST_MARKS):
        return f"the worst slow frame of each pixel column; {slow:,} in all".replace(",", "\u202f")
    if every.total > MOST_POINTS:
        return "every slow frame; of the others the shortest and longest of each pixel column"
    return "every frame"


def _points(
    figure: go.Figure,
    lane: Lane,
    x: np.ndarray[Any, np.dtype[np.float64]],
    latency: np.ndarray[Any, np.dtype[np.float64]],
    at: Theme,
) -> None:
    figure.add_scatter(
        x=x * 1e3,
        y=(latency * 1e3).astype(np.float32),
        mode="markers",
        name="on time",
        yaxis=lane.axis,
        marker={"symbol": "circle", "size": 3, "color": theme.rgba(theme.token("ink-3", at), 0.7)},
        hovertemplate="%{y:.1f} ms",
    )
