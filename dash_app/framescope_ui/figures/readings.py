"""What each GPU reads beside its load, and the user's own numbers: a low lane each."""

from __future__ import annotations

import plotly.graph_objects as go

from framescope_ui.figures import lanes, theme
from framescope_ui.figures.lanes import Label, Lane
from framescope_ui.figures.live import gpu_title, over_time
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.views import Line, Live

READINGS = (
    ("gpu_clock", "clock", "MHz", 1e-6),
    ("gpu_memory", "memory", "GB", 1e-9),
    ("gpu_temperature", "temperature", "°C", 1.0),
    ("gpu_power", "power", "W", 1.0),
)
"""Of each GPU beside its load: the key in ``Live.history``, its name, the unit shown and the factor to it."""
MOST_CUSTOM = 6
"""More lanes than this nobody reads beside each other; the numbers are all in their list."""

LONGEST_NAME = 15


def readings_figure(
    live: Live, at: Theme, window_seconds: float = 300.0, *, phone: bool = False
) -> go.Figure | None:
    """What each GPU reads beside its load, and the user's own numbers, a lane each; None without any."""
    start, end = live.time - window_seconds, live.time
    drawn: list[tuple[Lane, Line, float]] = []
    for index, gpu in enumerate(live.gpus):
        for key, name, unit, factor in READINGS:
            found = live.history.get(key, ())
            line = found[index] if index < len(found) else None
            if line is not None and (known := [y for y in line.y if y is not None]):
                if unit == "GB" and max(known) < 1e9:
                    unit, factor = "MB", 1e-6
                title = name.capitalize() if len(live.gpus) == 1 else f"{gpu_title(gpu.id)} {name}"
                drawn.append((_reading_lane(title, unit, line, factor), line, factor))
    drawn += [
        (_reading_lane(_short(line.name), "", line, 1.0), line, 1.0)
        for line in live.history.get("custom", ())[:MOST_CUSTOM]
    ]
    if not drawn:
        return None
    shown = [lane for lane, _, _ in drawn]
    figure = over_time(live, shown, start, end, at, phone)
    for lane, line, factor in drawn:
        thin = lanes.thinned(line)
        figure.add_scatter(
            x=lanes.times(thin.x),
            y=lanes.values(thin, factor),
            mode="lines",
            name=lanes.escaped(lane.title),
            yaxis=lane.axis,
            line={"color": theme.token("ink-2", at), "width": 1.5, "shape": "hv"},
            hovertemplate="%{y:,.4~g}",
        )
        last = next((y for y in reversed(line.y) if y is not None), None)
        if last is not None:
            text = f"<b>{last * factor:,.4g}</b> {lane.unit}".replace(",", "\u202f")
            lane.labels.append(Label(text, last * factor, theme.token("ink", at)))
        lanes.draw_gaps(figure, lane, line, start, end, at, phone=phone)
    lanes.draw_marks(figure, live.marks, start, end, at, named=not phone)
    return lanes.finish(figure, shown, at, phone=phone)


def _short(name: str) -> str:
    """As much of a name as has room left of a lane; the list beside holds all of it."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _reading_lane(title: str, unit: str, line: Line, factor: float) -> Lane:
    """From 0 to a round number above; a line that goes below 0 has its own range."""
    known = [y * factor for y in line.y if y is not None]
    high = lanes.round_up(max([*known, 0.0]) * 1.05)
    low = min([*known, 0.0])
    if low < 0:
        low = -lanes.round_up(-low * 1.05)
        high = high if max(known) > 0 else 0.0
    return Lane(title, unit, 40, low, high, (low, high) if low < 0 else (0, high))
