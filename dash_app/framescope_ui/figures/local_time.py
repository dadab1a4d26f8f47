"""A figure in the zone that the page's times are written in.

Plotly draws a date given as a number in the browser's own zone (plotly.js, ``lib/dates.js``: as a JavaScript
``Date``), every point by the offset of its own day. So a figure in local time is right as it is; one in
another zone has its dates moved.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from framescope_ui.figures import quantity


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
    figure.layout.meta = {**meta, "moved_ms": moved, "zone": quantity.zone_name(end)}
    if not moved:
        return figure
    axis.range = [float(edge) + moved for edge in axis.range]
    for trace in figure.data:
        if trace.x is not None and len(trace.x):
            trace.x = np.asarray(trace.x, np.float64) + moved
    for shape in figure.layout.shapes:
        if shape.xref == "x":
            shape.x0, shape.x1 = shape.x0 + moved, shape.x1 + moved
    for note in figure.layout.annotations:
        if note.xref == "x":
            note.x = note.x + moved
    return figure
