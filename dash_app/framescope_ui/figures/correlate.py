"""What a signal does to slow frames: doses and responses, and which comes first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from framescope_ui.figures import lanes, quantity, theme
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.correlate_views import Chosen, SignalRisk

LONGEST_NAME = 14
"""Characters of a value written below the axis."""
HIGHEST_SHARE = 104.0
"""%, the top of an axis of shares: a mark at 100 is whole."""
SMALL = {"l": 44, "r": 14, "t": 10, "b": 40}


def scale_of(unit: str, values: Sequence[float]) -> tuple[float, str]:
    """What a value of the wire is multiplied with for people, and its unit then."""
    most = max((abs(v) for v in values), default=0.0)
    if unit == "1":
        return 100.0, "%"
    if unit == "Hz":
        return 1e-6, "MHz"
    if unit == "By":
        return (1e-9, "GB") if most >= 1e9 else (1e-6, "MB")
    if unit == "By/s":
        return 1e-6, "MB/s"
    if unit == "s":
        return (1e3, "ms") if most < 1 else (1.0, "s")
    return 1.0, {"Cel": "°C", "{item}": ""}.get(unit, unit.strip("{}"))


def dose_names(chosen: Chosen, unit: str) -> list[str]:
    """Each step's ends, in people's unit, without it."""
    values = [end for dose in chosen.doses for end in (dose.low, dose.high)]
    factor, _ = scale_of(unit, values)
    span = (max(values) - min(values)) * factor if values else 0.0
    digits = 0 if span >= 20 else 1 if span >= 2 else 2 if span >= 0.2 else 3

    def text(value: float) -> str:
        return quantity.grouped(value * factor, 0 if unit.startswith("{") else digits)

    return [
        d.value
        if d.value is not None
        else text(d.low)
        if d.low == d.high
        else f"{text(d.low)}–{text(d.high)}"
        for d in chosen.doses
    ]


def dose_unit(chosen: Chosen, risk: SignalRisk) -> str:
    """The unit the steps are told in; "" for values that are no numbers."""
    if risk.value is not None:
        return ""
    return scale_of(risk.unit, [end for dose in chosen.doses for end in (dose.low, dose.high)])[1]


def shortened(name: str) -> str:
    """A name as long as there is room for below an axis."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def dose_figure(chosen: Chosen, risk: SignalRisk, at: Theme, *, phone: bool = False) -> go.Figure:
    """The share of slow frames at each step of the signal with its interval, and how many frames it is of."""
    figure = go.Figure(layout={"template": theme.template(at)})
    names = [shortened(name) for name in dose_names(chosen, risk.unit)]
    room = 30 if phone else 44  # characters side by side below the axis
    of_numbers = risk.value is None
    unit = dose_unit(chosen, risk)
    share = np.asarray([dose.share * 100 for dose in chosen.doses], dtype=np.float64)
    high = np.asarray([dose.interval[1] * 100 for dose in chosen.doses], dtype=np.float64)
    low = np.asarray([dose.interval[0] * 100 for dose in chosen.doses], dtype=np.float64)
    ink = theme.token("ink", at)
    above = [
        risk.threshold is not None and (dose.low + dose.high) / 2 > risk.threshold for dose in chosen.doses
    ]
    ends = [[dose.low, dose.high] if of_numbers else dose.value for dose in chosen.doses]
    figure.add_scatter(
        x=list(range(len(names))),
        y=share,
        mode="lines+markers" if of_numbers else "markers",
        name="slow",
        line={"width": 1.2, "color": theme.token("ink-3", at)},
        marker={
            "size": 8,
            "symbol": ["circle" if a else "circle-open" for a in above],
            "color": ink,
            "line": {"width": 1.4, "color": ink},
        },
        error_y={
            "type": "data",
            "symmetric": False,
            "array": high - share,
            "arrayminus": share - low,
            "color": theme.token("ink-2", at),
            "thickness": 1.2,
            "width": 4,
        },
        customdata=[[n, d.frames] for n, d in zip(names, chosen.doses, strict=True)],
        hovertemplate="%{customdata[0]}: %{y:.2f} % of %{customdata[1]:,} frames<extra></extra>",
    )
    figure.add_bar(
        x=list(range(len(names))),
        y=[dose.frames for dose in chosen.doses],
        yaxis="y2",
        name="frames",
        width=0.6,
        marker={"color": theme.rgba(theme.token("ink-3", at), 0.55), "line": {"width": 0}},
        hovertemplate="%{y:,} frames<extra></extra>",
    )
    top = min(lanes.round_up(float(high.max()) * 1.1 if len(high) else 1.0), HIGHEST_SHARE)
    figure.update_layout(
        height=300,
        margin=SMALL,
        hovermode="closest",
        dragmode=False if phone else "select",
        selectdirection="h",
        meta={"signal": risk.name, "attribute": risk.attribute if not of_numbers else None, "doses": ends},
        xaxis={
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [-0.6, len(names) - 0.4],
            "anchor": "y2",
            "tickangle": -35 if max((len(n) for n in names), default=0) * len(names) > room else 0,
            "title": {
                "text": lanes.escaped(f"{risk.title}, {unit}" if unit else risk.title),
                "font": {"size": 11},
                "standoff": 4,
            },
            "fixedrange": True,
            "automargin": True,
        },
        yaxis={"domain": [0.3, 1], "range": [0, top], "fixedrange": True, "ticksuffix": " %"},
        yaxis2={
            "domain": [0, 0.2],
            "fixedrange": True,
            "nticks": 3,
            "rangemode": "tozero",
            "tickformat": "~s",
        },
    )
    figure.add_annotation(
        text="frames in each step",
        xref="paper",
        yref="paper",
        x=1,
        y=0.2,
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
        font={"size": 11, "color": theme.token("ink-3", at)},
    )
    return figure


def lag_figure(chosen: Chosen, risk: SignalRisk, at: Theme) -> go.Figure:
    """Correlation at each lag with its band; shaded what chance alone reaches."""
    figure = go.Figure(layout={"template": theme.template(at)})
    lag = chosen.lag
    if lag is None:
        return figure
    slowest = max(abs(s) for s in lag.lag_seconds)
    factor, unit = (1e3, "ms") if slowest < 10 else (1.0, "s")
    x = np.asarray(lag.lag_seconds) * factor
    band = theme.rgba(theme.token("ink-3", at), 0.25)
    figure.add_scatter(
        x=x, y=np.asarray(lag.high), mode="lines", line={"width": 0}, hoverinfo="skip", name="high"
    )
    figure.add_scatter(
        x=x,
        y=np.asarray(lag.low),
        mode="lines",
        line={"width": 0},
        fill="tonexty",
        fillcolor=band,
        hoverinfo="skip",
        name="low",
    )
    figure.add_scatter(
        x=x,
        y=np.asarray(lag.correlation),
        mode="lines+markers",
        name="correlation",
        line={"width": 1.5, "color": theme.token("ink", at)},
        marker={"size": 4},
        hovertemplate=f"%{{x:.0f}} {unit}: %{{y:.3f}}<extra></extra>",
    )
    figure.add_shape(
        type="rect", xref="paper", x0=0, x1=1, yref="y", y0=-lag.chance, y1=lag.chance,
        fillcolor=theme.token("shade-2", at), line={"width": 0}, layer="below",
    )  # fmt: skip
    figure.add_shape(
        type="line",
        xref="x",
        x0=0,
        x1=0,
        yref="paper",
        y0=0,
        y1=1,
        line={"width": 1, "color": theme.token("ink-3", at)},
    )
    if risk.lag_seconds is not None:
        figure.add_shape(
            type="line",
            xref="x",
            x0=risk.lag_seconds * factor,
            x1=risk.lag_seconds * factor,
            yref="paper",
            y0=0,
            y1=1,
            line={"width": 1.2, "dash": "2px,3px", "color": theme.token("ink", at)},
        )
    figure.update_layout(
        height=300,
        margin=SMALL,
        hovermode="closest",
        xaxis={
            "fixedrange": True,
            "title": {
                "text": f"← slow frames first, {unit}   signal first, {unit} →",
                "font": {"size": 11},
                "standoff": 4,
            },
        },
        yaxis={"fixedrange": True},
    )
    return figure
