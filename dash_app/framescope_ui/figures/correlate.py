"""The Correlate page's figures: one time axis, doses and responses, and which comes first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from framescope_ui.figures import lanes, quantity, theme
from framescope_ui.figures.lanes import Label, Lane
from framescope_ui.figures.live import draw_budget, draw_slow, draw_zone, worst_per_column
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.correlate_views import Chosen, Correlation, SignalRisk

MOST_STRETCHES = 80
"""More shaded stretches than this are drawn as none: they would shade everything."""
NEAR = 0.004
"""Share of the axis below which a gap between two shaded stretches is too thin to be seen."""
MOST_CAUSES = 6
MOST_MARKS_PHONE = 90
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
    if unit == "s":
        return (1e3, "ms") if most < 1 else (1.0, "s")
    return 1.0, "°C" if unit == "Cel" else unit.strip("{}")


def time_figure(found: Correlation, risk: SignalRisk | None, at: Theme, *, phone: bool = False) -> go.Figure:
    """Latency, the chosen signal and slow frames by cause on one time axis; shaded where the signal was
    above."""
    worst = max(
        [
            *(mark.latency_seconds for mark in found.slow_marks),
            *(y for line in found.latency for y in line.y if y is not None),
            (found.budget_seconds or 0) * 1.2,
        ],
        default=0.0,
    )
    latency = Lane("Latency", "ms", 150, 0, lanes.round_up(worst * 1.05e3))
    shown = [latency]
    signal = None
    if found.chosen is not None and risk is not None:
        signal = _signal_lane(found.chosen, risk, phone)
        shown.append(signal)
    shares = _shares(found)
    highest = max((sum(column) for column in zip(*shares.values(), strict=True)), default=0.0)
    causes = Lane(
        "Slow frames",
        "% of frames,\nby cause" if not phone else "% of frames, by cause",
        96,
        0,
        lanes.round_up(max(highest, 0.5)),
    )
    shown.append(causes)
    figure = lanes.stack(shown, at, phone=phone, top=20)
    figure.update_layout(
        xaxis={
            "range": [found.start * 1e3, found.end * 1e3],
            "tickformat": "%H:%M:%S" if found.end - found.start <= 120 else "%H:%M",
        },
        hovermode="closest",
        barmode="stack",
        bargap=0.1,
        uirevision=f"{found.start}/{found.end}",
    )
    for line, width, ink in zip(found.latency, (1.2, 2), ("ink-3", "ink"), strict=False):
        figure.add_scatter(
            x=lanes.times(line.x),
            y=lanes.values(line, 1e3),
            mode="lines",
            name=line.name,
            yaxis=latency.axis,
            connectgaps=False,
            line={"width": width, "color": theme.token(ink, at)},
            hovertemplate="%{y:.1f} ms",
        )
        known = [y for y in line.y if y is not None]
        if known:
            latency.labels.append(
                Label(
                    f"{line.name} {quantity.milliseconds(known[-1])}", known[-1] * 1e3, theme.token(ink, at)
                )
            )
    marks = (
        worst_per_column(found.slow_marks, found.start, found.end, MOST_MARKS_PHONE)
        if phone
        else found.slow_marks
    )
    draw_slow(figure, latency, marks, at)
    draw_budget(figure, latency, found.budget_seconds, at, phone=phone)
    if signal is not None and found.chosen is not None and risk is not None:
        _draw_signal(figure, signal, found.chosen, risk, at)
    course = found.course
    middles = [(course.start + (i + 0.5) * course.step_seconds) * 1e3 for i in range(len(course.frames))]
    for cause, share in shares.items():
        figure.add_bar(
            x=middles,
            y=np.asarray(share, dtype=np.float32),
            name=theme.title(cause),
            yaxis=causes.axis,
            width=course.step_seconds * 0.9e3,
            marker={
                "color": theme.fill(cause, at),
                "line": {"width": 0},
                "pattern": theme.pattern([cause] * len(share), at),
            },
            hovertemplate=f"{lanes.escaped(theme.title(cause))}: %{{y:.2f}} %<extra></extra>",
        )
    for index, frames in enumerate(course.frames):
        if not frames:
            _shade(
                figure,
                causes,
                middles[index] - course.step_seconds * 500,
                middles[index] + course.step_seconds * 500,
                at,
            )
    draw_zone(figure, at, phone=phone)
    lanes.draw_marks(figure, found.marks, found.start, found.end, at, named=not phone)
    return lanes.finish(figure, shown, at, phone=phone)


def _shares(found: Correlation) -> dict[str, list[float]]:
    """% of the frames of each step, for the commonest causes and the rest as one."""
    course = found.course
    names = list(course.slow)
    counts = {name: list(course.slow[name]) for name in names[:MOST_CAUSES]}
    if len(names) > MOST_CAUSES:
        rest = [sum(course.slow[name][i] for name in names[MOST_CAUSES:]) for i in range(len(course.frames))]
        known = counts.get("unknown", [0] * len(rest))
        counts["unknown"] = [a + b for a, b in zip(known, rest, strict=True)]
    return {
        name: [100 * n / frames if frames else 0.0 for n, frames in zip(slow, course.frames, strict=True)]
        for name, slow in counts.items()
    }


def _signal_lane(chosen: Chosen, risk: SignalRisk, phone: bool) -> Lane:
    known = [y for y in chosen.line.y if y is not None]
    factor, unit = scale_of(risk.unit, known)
    low, high = (min(known) * factor, max(known) * factor) if known else (0.0, 1.0)
    if risk.unit == "1":
        low, high = 0.0, max(high, 100.0 if high > 20 else high)
    elif low > 0 and low < high * 0.6:
        low = 0.0
    room = (high - low) * 0.08 or 1.0
    title = risk.title if len(risk.title) <= 18 else risk.title[:17] + "…"
    note = (
        unit
        + (", simulated" if risk.simulated else "")
        + ("" if low <= 0 or phone else f",\naxis from {low:.4g}")
    )
    return Lane(title, note, 84, low if low == 0 else low - room, high + room)


def _draw_signal(figure: go.Figure, lane: Lane, chosen: Chosen, risk: SignalRisk, at: Theme) -> None:
    known = [y for y in chosen.line.y if y is not None]
    factor, unit = scale_of(risk.unit, known)
    figure.add_scatter(
        x=lanes.times(chosen.line.x),
        y=lanes.values(chosen.line, factor),
        mode="lines",
        name=lanes.escaped(risk.title),
        yaxis=lane.axis,
        connectgaps=False,
        line={"width": 1.3, "color": theme.token("ink-2", at), "shape": "hv"},
        hovertemplate=f"%{{y:.4g}} {lanes.escaped(unit)}",
    )
    if known:
        lane.labels.append(
            Label(f"{known[-1] * factor:.4g} {unit}", known[-1] * factor, theme.token("ink-2", at))
        )
    if risk.threshold is None:
        return
    figure.add_shape(
        type="line",
        xref="paper",
        yref=lane.axis,
        x0=0,
        x1=1,
        y0=risk.threshold * factor,
        y1=risk.threshold * factor,
        line={"width": 1.2, "dash": "2px,3px", "color": theme.token("ink-2", at)},
    )
    above = joined(chosen.above, NEAR * ((chosen.line.x[-1] - chosen.line.x[0]) if chosen.line.x else 0.0))
    if len(above) <= MOST_STRETCHES:
        for start, end in above:
            _shade(figure, None, start * 1e3, end * 1e3, at)


def joined(stretches: Sequence[tuple[float, float]], apart: float) -> list[tuple[float, float]]:
    """Stretches that lie no farther apart than this are drawn as one."""
    found: list[tuple[float, float]] = []
    for start, end in stretches:
        if found and start - found[-1][1] <= apart:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _shade(figure: go.Figure, lane: Lane | None, left: float, right: float, at: Theme) -> None:
    """A stretch of all lanes, or of one that knows nothing."""
    figure.add_shape(
        type="rect",
        xref="x",
        yref="paper" if lane is None else lane.axis,
        x0=left,
        x1=right,
        y0=0 if lane is None else lane.low,
        y1=1 if lane is None else lane.high,
        fillcolor=theme.token("shade-2" if lane is None else "shade", at),
        line={"width": 0 if lane is None else 1, "color": theme.token("line", at)},
        layer="below",
    )


def dose_names(chosen: Chosen, unit: str) -> list[str]:
    """Each step's ends, in people's unit, without it."""
    values = [end for dose in chosen.doses for end in (dose.low, dose.high)]
    factor, _ = scale_of(unit, values)
    span = (max(values) - min(values)) * factor if values else 0.0
    digits = 0 if span >= 20 else 1 if span >= 2 else 2 if span >= 0.2 else 3

    def text(value: float) -> str:
        return quantity.grouped(value * factor, 0 if unit.startswith("{") else digits)

    return [text(d.low) if d.low == d.high else f"{text(d.low)}–{text(d.high)}" for d in chosen.doses]


def dose_figure(chosen: Chosen, risk: SignalRisk, at: Theme, *, phone: bool = False) -> go.Figure:
    """The share of slow frames at each step of the signal with its interval, and how many frames it is of."""
    figure = go.Figure(layout={"template": theme.template(at)})
    names = dose_names(chosen, risk.unit)
    _, unit = scale_of(risk.unit, [end for dose in chosen.doses for end in (dose.low, dose.high)])
    share = np.asarray([dose.share * 100 for dose in chosen.doses], dtype=np.float64)
    high = np.asarray([dose.interval[1] * 100 for dose in chosen.doses], dtype=np.float64)
    low = np.asarray([dose.interval[0] * 100 for dose in chosen.doses], dtype=np.float64)
    ink = theme.token("ink", at)
    above = [
        risk.threshold is not None and (dose.low + dose.high) / 2 > risk.threshold for dose in chosen.doses
    ]
    figure.add_scatter(
        x=list(range(len(names))),
        y=share,
        mode="lines+markers",
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
    top = lanes.round_up(float(high.max()) * 1.1 if len(high) else 1.0)
    figure.update_layout(
        height=300,
        margin=SMALL,
        hovermode="closest",
        xaxis={
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [-0.6, len(names) - 0.4],
            "anchor": "y2",
            "tickangle": -35 if phone or max((len(n) for n in names), default=0) > 6 else 0,
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
