"""Lanes: charts over time stacked on one x axis, with equal margins, one cursor and direct labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
from tsdownsample import MinMaxDownsampler

from framescope_ui.figures import quantity, theme
from framescope_ui.figures.drawing import Drawing
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.views import Line

GAP_BETWEEN = 26
"""px between two lanes; on a phone the lane's title stands there."""
GAP_SHADED = 0.01
GAP_WRITTEN = 0.05
GAP_NAMED = 0.2
"""Shares of the x range from which a gap is shaded, its length written above it, and named as well."""
MARKS_APART = 0.004
"""Share of the x range below which two change markers are one: side by side they make a hatching."""
MOST_LINES = 12
"""More change markers than this are a mesh over the curves: then only the named ones have a line through all
lanes, the others a tick at the top."""
TICK = 6
"""px of such a tick."""
NAME_CHARACTER = 0.014
"""About the share of the x range that one character of a name takes, where the window is 768 px wide."""


@dataclass(slots=True)
class Label:
    """A direct label right of a lane, at the height of its line's last value."""

    text: str
    y: float
    colour: str


@dataclass(slots=True)
class Lane:
    """One lane: its title, unit, height in px and y range, and the labels right of it. ``note`` stands under
    the unit; with ``log`` both ends are above 0."""

    title: str
    unit: str
    height: int
    low: float
    high: float
    ticks: Sequence[float] | None = None
    tick_text: Sequence[str] | None = None
    labels: list[Label] = field(default_factory=list)
    axis: str = "y"
    note: str = ""
    log: bool = False

    @property
    def layout_axis(self) -> str:
        """The key of its axis in the layout."""
        return "yaxis" + self.axis[1:]

    def place(self, y: float) -> float:
        """Where a value lies, as ranges and annotations want it: on a logarithmic axis its power of ten."""
        return math.log10(max(y, self.low)) if self.log else y

    def share(self, y: float) -> float:
        """How far up the lane a value lies, 0 to 1."""
        low, high = self.place(self.low), self.place(self.high)
        return (self.place(min(max(y, self.low), self.high)) - low) / ((high - low) or 1)


def stack(
    lanes: Sequence[Lane],
    at: Theme,
    *,
    phone: bool,
    top: int = 6,
    bottom: int = 26,
    left: int = 132,
    right: int = 128,
) -> Drawing:
    """An empty figure with these lanes, top first; each lane's ``axis`` is set to the axis to draw on."""
    between = 34 if phone else GAP_BETWEEN
    head = top + (18 if phone else 0)
    plot = sum(lane.height for lane in lanes) + between * (len(lanes) - 1)
    figure = Drawing(at)
    figure.update_layout(
        height=plot + head + bottom,
        margin={"l": 38 if phone else left, "r": 10 if phone else right, "t": head, "b": bottom},
        hoversubplots="axis",
        separators=".\u202f",
        xaxis={"anchor": "free", "position": 0, "type": "date"},
    )
    named: dict[str, str] = {}
    titles: list[dict[str, Any]] = []
    axes: dict[str, dict[str, Any]] = {}
    used = 0
    for number, lane in enumerate(lanes, start=1):
        lane.axis = "y" if number == 1 else f"y{number}"
        unit = lane.unit.split(",")[0]
        named[lane.axis] = f"{lane.title}, {unit}" if unit else lane.title
        upper, lower = 1 - used / plot, 1 - (used + lane.height) / plot
        used += lane.height + between
        axis: dict[str, Any] = {
            "domain": [max(lower, 0), min(upper, 1)],
            "range": [lane.place(lane.low), lane.place(lane.high)],
            **({"type": "log"} if lane.log else {}),
            "anchor": "x",
            "fixedrange": True,
            "nticks": max(2, lane.height // 22),
            "tickformat": ",~f",
        }
        if lane.ticks is not None:
            axis |= {"tickvals": list(lane.ticks)}
            if lane.tick_text is not None:
                axis |= {"ticktext": list(lane.tick_text)}
        axes[lane.layout_axis] = axis
        titles.append(_title(lane, upper, at, phone, left))
    # For files and tables made of the figure; a picture shows the titles anyway.
    figure.update_layout({**axes, "meta": {"lanes": named}})
    figure.annotations += titles
    return figure


def finish(figure: Drawing, lanes: Sequence[Lane], at: Theme, *, phone: bool) -> go.Figure:
    """Write the labels right of each lane, spaced so that they never touch."""
    if phone:
        return figure.figure()
    figure.annotations += [
        {
            "text": label.text,
            "xref": "paper",
            "x": 1,
            "xshift": 8,
            "xanchor": "left",
            "yref": lane.axis,
            "y": lane.place(lane.low)
            + pixel / lane.height * ((lane.place(lane.high) - lane.place(lane.low)) or 1),
            "yanchor": "middle",
            "showarrow": False,
            "font": {"size": 11.5, "color": label.colour},
            "align": "left",
        }
        for lane in lanes
        for label, pixel in _spread(lane)
    ]
    return figure.figure()


def _spread(lane: Lane) -> Iterator[tuple[Label, float]]:
    wanted = sorted(lane.labels, key=lambda one: one.y)
    pixels: list[float] = []
    for label in wanted:
        pixel = lane.share(label.y) * lane.height
        pixels.append(max(pixel, pixels[-1] + 15) if pixels else pixel)
    over = pixels[-1] - lane.height if pixels else 0
    if over > 0:
        for index in range(len(pixels) - 1, -1, -1):
            ceiling = lane.height if index == len(pixels) - 1 else pixels[index + 1] - 15
            pixels[index] = min(pixels[index], ceiling)
    yield from zip(wanted, pixels, strict=True)


def _title(lane: Lane, upper: float, at: Theme, phone: bool, left: int) -> dict[str, Any]:
    ink, dim = theme.token("ink", at), theme.token("ink-3", at)
    told = (", " if phone else "\n").join(part for part in (lane.unit, lane.note) if part)
    lines = escaped(told).replace("\n", " " if phone else "<br>")
    unit = f'<span style="color:{dim};font-size:11px">{lines}</span>'
    if phone:
        text, shift_x, anchor, shift_y = f"<b>{escaped(lane.title)}</b> {unit}", -34, "bottom", 3
    else:
        text, shift_x, anchor, shift_y = f"<b>{escaped(lane.title)}</b><br>{unit}", 4 - left, "top", 4
    return {
        "text": text,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": min(upper, 1),
        "xshift": shift_x,
        "yshift": shift_y,
        "xanchor": "left",
        "yanchor": anchor,
        "align": "left",
        "showarrow": False,
        "font": {"size": 12, "color": ink},
    }


def escaped(text: str) -> str:
    """Text from the wire, safe inside a chart: Plotly reads a few tags and nothing else as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def times(unix: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Unix seconds as what a Plotly date axis takes: ms since 1970 (``local_time``)."""
    return np.asarray(unix, dtype=np.float64) * 1e3


def values(line: Line, factor: float = 1.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The y values, times a factor; unknown ones are NaN, which Plotly leaves out."""
    return np.asarray([np.nan if y is None else y * factor for y in line.y], dtype=np.float32)


def segments(line: Line) -> list[tuple[list[float], list[float]]]:
    """The stretches of a line between its gaps."""
    found: list[tuple[list[float], list[float]]] = []
    xs: list[float] = []
    ys: list[float] = []
    for x, y in zip(line.x, line.y, strict=True):
        if y is None:
            if xs:
                found.append((xs, ys))
                xs, ys = [], []
            continue
        xs.append(x)
        ys.append(y)
    if xs:
        found.append((xs, ys))
    return found


def gaps(line: Line, start: float, end: float, at_least: float) -> list[tuple[float, float]]:
    """Stretches without readings inside a range that last ``at_least`` s, the open ends included."""
    runs = segments(line)
    if not runs:
        return [(start, end)]
    edges = [(start, runs[0][0][0])]
    edges += [(left[0][-1], right[0][0]) for left, right in pairwise(runs)]
    edges.append((runs[-1][0][-1], end))
    return [(left, right) for left, right in edges if right - left >= at_least]


def draw_gaps(
    figure: Drawing,
    lane: Lane,
    line: Line,
    start: float,
    end: float,
    at: Theme,
    what: str = "no readings",
    *,
    phone: bool = False,
) -> None:
    """Shade each gap of a line and write its length above it; on a phone within it: the lane's title stands
    above."""
    for left, right in gaps(line, start, end, max((end - start) * GAP_SHADED, 3.0)):
        figure.add_shape(
            type="rect",
            xref="x",
            yref=lane.axis,
            x0=left * 1e3,
            x1=right * 1e3,
            y0=lane.low,
            y1=lane.high,
            fillcolor=theme.token("shade", at),
            line={"width": 1, "color": theme.token("line", at)},
            layer="below",
        )
        share = (right - left) / (end - start)
        if share < GAP_WRITTEN:
            continue
        figure.add_annotation(
            text=f"{what}, {quantity.ago(right - left)}"
            if share >= GAP_NAMED
            else quantity.ago(right - left),
            xref="x",
            yref=lane.axis,
            x=(left + right) / 2 * 1e3,
            y=lane.place(lane.high),
            yanchor="top" if phone else "bottom",
            showarrow=False,
            font={"size": 11, "color": theme.token("ink-3", at)},
        )


def thinned(line: Line, most: int = 800) -> Line:
    """A line with at most about ``most`` points: the lowest and highest of each stretch stay."""
    if len(line.x) <= most:
        return line
    y = values(line)
    known = np.flatnonzero(~np.isnan(y))
    unknown = np.flatnonzero(np.isnan(y))
    kept = known[MinMaxDownsampler().downsample(np.ascontiguousarray(y[known]), n_out=most // 2 * 2)]
    chosen = np.union1d(kept, unknown).tolist()
    return Line(line.name, line.unit, [line.x[i] for i in chosen], [line.y[i] for i in chosen])


def round_up(value: float) -> float:
    """The next round number, for the top of an axis."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value))


def tick_step(high: float) -> float:
    """The distance of ticks from 0 to ``high``: a round one, with at most five of them."""
    power = 10.0 ** np.floor(np.log10(high / 4.5))
    return float(next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= high / 4.5))


def draw_marks(
    figure: Drawing,
    marks: Sequence[tuple[float, str]],
    start: float,
    end: float,
    at: Theme,
    *,
    named: bool = True,
    written: Sequence[tuple[float, float]] = (),
) -> None:
    """Change markers in the range: a dotted vertical through all lanes, named at the top where it fits.

    The newest are named first; a name that would touch another, or lie in a stretch where something is
    ``written`` already, is left to the list under the chart. On a phone that is all of them. Where there are
    many, those without a name are ticks.
    """
    drawn: list[tuple[float, str]] = []
    for time, text in sorted(marks, reverse=True):
        if start <= time <= end and not (drawn and drawn[-1][0] - time < MARKS_APART * (end - start)):
            drawn.append((time, text))
    taken = end + (end - start) * 2
    for time, text in drawn:
        name = text if len(text) <= 40 else text[:39] + "…"
        width = len(name) * NAME_CHARACTER * (end - start)
        right_half = time - start > (end - start) / 2
        left, right = (time - width, time) if right_half else (time, time + width)
        fits = named and right <= taken and not any(left < b and a < right for a, b in written)
        _mark(figure, time, at, tick=len(drawn) > MOST_LINES and not fits)
        if not fits:
            continue
        taken = left
        figure.add_annotation(
            text=escaped(name),
            xref="x",
            yref="paper",
            x=time * 1e3,
            y=1,
            xanchor="right" if right_half else "left",
            yanchor="bottom",
            xshift=-4 if right_half else 4,
            yshift=3,
            showarrow=False,
            font={"size": 11, "color": theme.token("ink-2", at)},
        )


def draw_level(figure: Drawing, lane: Lane, y: float, colour: str, dash: str) -> None:
    """A line through the whole lane at one value."""
    figure.add_shape(
        type="line",
        xref="paper",
        yref=lane.axis,
        x0=0,
        x1=1,
        y0=y,
        y1=y,
        line={"width": 1.2, "dash": dash, "color": colour},
    )


def _mark(figure: Drawing, time: float, at: Theme, *, tick: bool) -> None:
    """One change marker: a line through all lanes, or a tick at the top."""
    height = {"ysizemode": "pixel", "yanchor": 1, "y0": 0, "y1": -TICK} if tick else {"y0": 0, "y1": 1}
    figure.add_shape(
        type="line",
        xref="x",
        yref="paper",
        x0=time * 1e3,
        x1=time * 1e3,
        **height,
        line={"width": 1, "dash": "solid" if tick else "1px,3px", "color": theme.token("ink-3", at)},
    )
