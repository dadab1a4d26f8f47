"""Every frame's latency in a range, as a strip; the slow ones wear their cause's mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from tsdownsample import MinMaxDownsampler

from framescope_ui.figures import lanes, theme
from framescope_ui.figures.drawing import Drawing
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
HEIGHT = 130
FAR_BEYOND = 10
"""The longest frame took so many times what is usual: a linear axis would show that one frame alone."""
STEPS = (1, 2, 5)
"""Ticks of a log axis, in each power of ten."""


def strip_figure(
    every: EveryFrame,
    at: Theme,
    start: float,
    end: float,
    *,
    phone: bool = False,
    incidents: Sequence[tuple[float, float]] = (),
    box: tuple[float, float] | None = None,
    changes: Sequence[tuple[float, str]] = (),
) -> go.Figure:
    """One lane with every frame of ``[start, end)`` unix seconds, a bracket over each of the ``incidents``,
    the latencies (ms) that a ``box`` was drawn around, and change markers (unix seconds and text)."""
    log = is_log(every)
    outcome = np.asarray(every.outcome)
    latency = np.asarray(every.latency_seconds, dtype=np.float64)
    x = np.asarray(every.x, dtype=np.float64)
    slow, dropped = outcome == "slow", (outcome == "dropped") | (outcome == "failed")
    worst = max(latency.max(initial=0.0), (every.budget_seconds or 0) * 1.2) * 1e3
    least = latency[~dropped & (latency > 0)].min(initial=worst / 1e3) * 0.9e3
    low, high = (least, worst * 1.2) if log else (0.0, lanes.round_up(worst * 1.05))
    lane = Lane("Every frame", "ms, log scale" if log else "ms", HEIGHT, low, high)
    figure = lanes.stack([lane], at, phone=phone, top=20 if changes else 14, right=44)
    spread = "%H:%M:%S" if end - start <= 120 else "%H:%M"
    figure.update_layout(
        xaxis={"range": [start * 1e3, end * 1e3], "tickformat": spread},
        yaxis={"fixedrange": False},
        hovermode="closest",
        uirevision=f"{start}/{end}/{box}",
    )
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
            y=np.full(len(lost), low, dtype=np.float32),
            mode="markers",
            name="dropped or failed",
            yaxis=lane.axis,
            cliponaxis=False,
            marker={"symbol": "x-thin-open", "size": 6, "color": theme.token("ink-2", at)},
            hovertemplate="dropped or failed",
        )
    draw_budget(figure, lane, every.budget_seconds, at, phone=phone and not log)
    if log:
        _log_axis(figure, lane, every.budget_seconds)
    _brackets(figure, lane, incidents, start, end, at)
    lanes.draw_marks(figure, changes, start, end, at, named=not phone)
    if box is not None:
        _box(figure, lane, box, at)
    return lanes.finish(figure, [lane], at, phone=phone)


def is_log(every: EveryFrame) -> bool:
    """Whether the axis is logarithmic: the longest frame is so far beyond the usual that all others would lie
    on one line."""
    latency = np.asarray(every.latency_seconds, dtype=np.float64)
    latency = latency[latency > 0]
    if not latency.size:
        return False
    usual = max(float(np.median(latency)), every.budget_seconds or 0.0)
    return bool(latency.max() > FAR_BEYOND * usual)


def strip_note(every: EveryFrame, *, phone: bool = False) -> str:
    """What the strip leaves out, in words."""
    slow = sum(1 for outcome in every.outcome if outcome == "slow")
    if slow > (MOST_MARKS_PHONE if phone else MOST_MARKS):
        return f"the worst slow frame of each pixel column; {slow:,} in all".replace(",", "\u202f")
    if every.total > MOST_POINTS:
        return "every slow frame; of the others the shortest and longest of each pixel column"
    return "every frame"


def _points(
    figure: Drawing,
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


def _log_axis(figure: Drawing, lane: Lane, budget_seconds: float | None) -> None:
    decades = (lane.low, lane.high)
    span = np.log10(decades[1] / decades[0])
    first, last = (int(np.floor(np.log10(end))) for end in decades)
    steps = STEPS if span < 2 else STEPS[:1]
    budget = None if budget_seconds is None else budget_seconds * 1e3
    ticks = [
        step * 10.0**power
        for power in range(first, last + 1)
        for step in steps
        if decades[0] <= step * 10.0**power <= decades[1]
        and (budget is None or abs(np.log10(step * 10.0**power / budget)) > span * 13 / lane.height)
    ]
    named = [f"{tick:g}" for tick in ticks]
    if budget is not None:
        ticks, named = [*ticks, budget], [*named, f"budget {budget:g}"]
    figure.update_layout(
        {
            lane.layout_axis: {
                "type": "log",
                "range": [float(np.log10(end)) for end in decades],
                "tickvals": ticks,
                "ticktext": named,
            }
        }
    )


def _brackets(
    figure: Drawing,
    lane: Lane,
    incidents: Sequence[tuple[float, float]],
    start: float,
    end: float,
    at: Theme,
) -> None:
    """One trace for all: a shape each took 26 s where there were 60 incidents, Plotly validates all anew."""
    if not incidents:
        return
    ends = [(max(left, start) * 1e3, min(right, end) * 1e3) for left, right in incidents]
    figure.add_scatter(
        x=np.array([place for left, right in ends for place in (left, right, np.nan)]),
        y=np.array([lane.high, lane.high, np.nan] * len(ends), dtype=np.float32),
        mode="lines+markers",
        name="incidents",
        yaxis=lane.axis,
        cliponaxis=False,
        connectgaps=False,
        line={"width": 1.4, "color": theme.token("ink-2", at)},
        marker={"symbol": "line-ns-open", "size": 6, "color": theme.token("ink-2", at)},
        hoverinfo="skip",
    )


def _box(figure: Drawing, lane: Lane, box: tuple[float, float], at: Theme) -> None:
    figure.add_shape(
        type="rect",
        xref="paper",
        yref=lane.axis,
        x0=0,
        x1=1,
        y0=max(box[0], lane.low),
        y1=min(box[1], lane.high),
        line={"width": 1.2, "color": theme.token("brand", at)},
        fillcolor=theme.rgba(theme.token("brand", at), 0.08),
        layer="below",
    )
