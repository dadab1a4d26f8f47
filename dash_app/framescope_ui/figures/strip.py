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
from framescope_ui.figures.latency_axis import draw_budget, latency_lane
from framescope_ui.figures.live import MOST_MARKS, MOST_MARKS_PHONE, draw_slow, draw_zone, worst_per_column
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.views import EveryFrame, FrameItem, SlowMark

MOST_POINTS = 2000
"""More frames than this share pixels: the shortest and longest of each column are drawn."""
HEIGHT = 130
SAME_SECONDS = 0.5
"""Frames of one number that are no farther apart are one frame."""


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
    kept: Sequence[FrameItem] = (),
) -> go.Figure:
    """One lane with every frame of ``[start, end)`` unix seconds, a bracket over each of the ``incidents``,
    the latencies (ms) that a ``box`` was drawn around, and change markers (unix seconds and text). The marks
    of ``kept`` frames have their trace ids."""
    outcome = np.asarray(every.outcome)
    latency = np.asarray(every.latency_seconds, dtype=np.float64)
    x = np.asarray(every.x, dtype=np.float64)
    slow, dropped = outcome == "slow", (outcome == "dropped") | (outcome == "failed")
    begun = latency[~dropped & (latency > 0)]
    longest = float(latency.max(initial=0.0))
    lane = latency_lane("Every frame", HEIGHT, begun, longest, every.budget_seconds)
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
    trace_of = {item.frame_id: item for item in kept if item.frame_id is not None}
    marks = [
        SlowMark(
            float(x[i]),
            float(latency[i]),
            every.cause[i] or "unknown",
            _trace_id(trace_of.get(every.frame_id[i]), float(x[i])),
            every.frame_id[i],
        )
        for i in np.flatnonzero(slow).tolist()
    ]
    columns = MOST_MARKS_PHONE if phone else MOST_MARKS
    draw_slow(figure, lane, worst_per_column(marks, start, end, columns), at)
    draw_zone(figure, at, phone=phone)
    lost = np.flatnonzero(dropped)
    if len(lost):
        figure.add_scatter(
            x=x[lost] * 1e3,
            y=np.full(len(lost), lane.low, dtype=np.float32),
            mode="markers",
            name="dropped or failed",
            yaxis=lane.axis,
            cliponaxis=False,
            marker={"symbol": "x-thin-open", "size": 6, "color": theme.token("ink-2", at)},
            hovertemplate="dropped or failed",
        )
    draw_budget(figure, lane, every.budget_seconds, at, phone=phone)
    _brackets(figure, lane, incidents, start, end, at)
    lanes.draw_marks(figure, changes, start, end, at, named=not phone)
    if box is not None:
        _box(figure, lane, box, at)
    return lanes.finish(figure, [lane], at, phone=phone)


def _trace_id(item: FrameItem | None, time: float) -> str | None:
    """Of the kept frame of the same number; a restarted pipeline counts anew."""
    return item.trace_id if item is not None and abs(item.start - time) < SAME_SECONDS else None


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
