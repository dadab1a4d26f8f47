"""A figure in the zone that the page's times are written in.

Plotly draws a date given as a number in the browser's own zone (plotly.js, ``lib/dates.js``: as a JavaScript
``Date``), every point by the offset of its own day. So a figure in local time is right as it is; one in
another zone has its dates moved. Who reads a file or a notebook sits who knows where: there dates are written
out, and a text is drawn as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

import numpy as np
import plotly.graph_objects as go

from framescope_ui.figures import quantity

ZONE = "zone"
"""The annotation that names the time axis's zone."""


def localized(figure: go.Figure) -> go.Figure:
    """The figure with its time axis in the zone of ``quantity.times_in``, changed in place.

    It is moved by the difference of the two zones at the end of the range, kept as ``layout.meta.moved_ms``:
    whoever reads a time from the figure's data takes it off again. A figure without a time axis, or moved
    already, stays.
    """
    axis = figure.layout.xaxis
    meta = dict(figure.layout.meta or {})
    if axis.type != "date" or axis.range is None or "moved_ms" in meta:
        return figure
    end = float(axis.range[1]) / 1e3
    moved = quantity.ahead_seconds(end) * 1e3
    name = quantity.zone_name(end)
    figure.layout.meta = {**meta, "moved_ms": moved, "zone": name}
    _named(figure, name)
    if moved:
        _each_time(figure, lambda x: np.asarray(x, np.float64) + moved)
    return figure


def written_out(figure: go.Figure, zone: tzinfo = UTC) -> go.Figure:
    """The figure with its times as text in a zone, which it names: the same wherever it is opened. Changed in
    place; one without a time axis, or done already, stays."""
    axis = figure.layout.xaxis
    if axis.type != "date" or axis.range is None or isinstance(axis.range[1], str):
        return figure
    end = datetime.fromtimestamp(float(axis.range[1]) / 1e3, zone)

    def text(ms: float) -> str | None:
        return None if np.isnan(ms) else f"{datetime.fromtimestamp(ms / 1e3, zone):%Y-%m-%d %H:%M:%S.%f}"

    with quantity.times_in(zone):
        _named(figure, quantity.zone_name(end.timestamp()))
    _each_time(figure, lambda x: [text(float(ms)) for ms in x])
    return figure


def _named(figure: go.Figure, name: str) -> None:
    for note in figure.layout.annotations:
        if note.name == ZONE:
            note.text = name


def _each_time(figure: go.Figure, made: Callable[[Any], Any]) -> None:
    """Change every time there is: of the axis, the traces, the shapes, the annotations."""
    axis = figure.layout.xaxis
    axis.range = list(made(axis.range))
    for trace in figure.data:
        if trace.x is not None and len(trace.x):
            trace.x = made(trace.x)
    for shape in figure.layout.shapes:
        if shape.xref == "x":
            shape.x0, shape.x1 = made([shape.x0, shape.x1])
    for note in figure.layout.annotations:
        if note.xref == "x":
            (note.x,) = made([note.x])
