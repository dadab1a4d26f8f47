"""The Correlate page over time: latency, the chosen signal and slow frames by cause on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from framescope_ui.figures import lanes, quantity, theme
from framescope_ui.figures.correlate import scale_of, shortened
from framescope_ui.figures.drawing import Drawing
from framescope_ui.figures.lanes import Label, Lane
from framescope_ui.figures.latency_axis import draw_budget, latency_lane
from framescope_ui.figures.live import draw_slow, draw_zone, worst_per_column
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.correlate_views import Chosen, Correlation, SignalRisk
from framescope_ui.questions.views import Line

MOST_STRETCHES = 80
"""More shaded stretches than this are drawn as none: they would shade everything."""
NEAR = 0.004
"""Share of the axis below which a gap between two shaded stretches is too thin to be seen."""
MOST_CAUSES = 6
MOST_MARKS_PHONE = 90


def time_figure(found: Correlation, risk: SignalRisk | None, at: Theme, *, phone: bool = False) -> go.Figure:
    """Latency, the chosen signal and slow frames by cause on one time axis; shaded where the signal was
    above."""
    drawn = [y for line in found.latency for y in line.y if y is not None]
    medians = [y for line in found.latency[:1] for y in line.y if y is not None]
    longest = max([*drawn, *(mark.latency_seconds for mark in found.slow_marks)], default=0.0)
    latency = latency_lane("Latency", 150, medians, longest, found.budget_seconds)
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
        min(lanes.round_up(max(highest, 0.5)), 100),
    )
    shown.append(causes)
    figure = lanes.stack(shown, at, phone=phone, top=20)
    figure.update_layout(
        dragmode=False if phone else "select",
        selectdirection="any",
        meta=_boxes(found, risk, latency, signal),
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
    for first, last in _without_frames(course.frames):
        left, right = (course.start + i * course.step_seconds for i in (first, last + 1))
        _shade(figure, causes, left * 1e3, right * 1e3, at)
    draw_zone(figure, at, phone=phone)
    lanes.draw_marks(figure, found.marks, found.start, found.end, at, named=not phone)
    return lanes.finish(figure, shown, at, phone=phone)


def _boxes(
    found: Correlation, risk: SignalRisk | None, latency: Lane, signal: Lane | None
) -> dict[str, dict[str, Any]]:
    """What a box drawn in a lane selects beside its stretch of time: by the lane's axis the signal (None:
    latency), what its values are multiplied with, the lane's ends and whether it is logarithmic."""
    boxes: dict[str, dict[str, Any]] = {
        latency.axis: {
            "signal": None,
            "factor": 1e3,
            "low": latency.low,
            "high": latency.high,
            "log": latency.log,
        }
    }
    if signal is not None and risk is not None and found.chosen is not None and risk.value is None:
        known = [y for y in found.chosen.line.y if y is not None]
        factor, _ = scale_of(risk.unit, known)
        boxes[signal.axis] = {
            "signal": risk.name,
            "factor": factor,
            "low": signal.low,
            "high": signal.high,
            "log": False,
        }
    return boxes


def _without_frames(frames: Sequence[int]) -> list[tuple[int, int]]:
    """The first and last step of each stretch in which there was no frame."""
    found: list[tuple[int, int]] = []
    for index in (index for index, count in enumerate(frames) if not count):
        if found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return found


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
    ends = (chosen.lowest or chosen.line, chosen.highest or chosen.line)
    known = [y for line in ends for y in line.y if y is not None]
    factor, unit = scale_of(risk.unit, known)
    low, high = (min(known) * factor, max(known) * factor) if known else (0.0, 1.0)
    if risk.unit == "1":
        low, high = 0.0, max(high, 100.0 if high > 20 else high)
    elif low > 0 and low < high * 0.6:
        low = 0.0
    room = (high - low) * 0.08 or 1.0
    title = risk.title if len(risk.title) <= 18 else risk.title[:17] + "…"
    if risk.value is not None:
        unit = "% of frames"
    told = [
        "" if risk.value is None else shortened(risk.value),
        "mean; thin:\nlowest, highest" if chosen.lowest is not None and risk.value is None else "",
        "simulated" if risk.simulated else "",
        "" if low <= 0 else f"axis from {low:.4g}",
    ]
    if phone:
        told = [told[0], told[2]]
    note = "\n".join(part for part in told if part)
    return Lane(title, unit, 84, low if low == 0 else low - room, high + room, note=note)


def _draw_signal(figure: Drawing, lane: Lane, chosen: Chosen, risk: SignalRisk, at: Theme) -> None:
    known = [y for y in chosen.line.y if y is not None]
    factor, unit = scale_of(risk.unit, known)
    if chosen.lowest is not None and chosen.highest is not None and risk.value is None:
        _draw_ends(figure, lane, chosen.lowest, chosen.highest, factor, at)
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
            Label(
                f"{known[-1] * factor:.{2 if risk.value is not None else 4}g} {unit}",
                known[-1] * factor,
                theme.token("ink-2", at),
            )
        )
    if risk.threshold is not None and risk.value is None:
        lanes.draw_level(figure, lane, risk.threshold * factor, theme.token("ink-2", at), "2px,3px")
    above = joined(chosen.above, NEAR * ((chosen.line.x[-1] - chosen.line.x[0]) if chosen.line.x else 0.0))
    if len(above) <= MOST_STRETCHES:
        for start, end in above:
            _shade(figure, None, start * 1e3, end * 1e3, at)


def _draw_ends(figure: Drawing, lane: Lane, lowest: Line, highest: Line, factor: float, at: Theme) -> None:
    """The lowest and the highest reading of each step, thin: extremes stay, and are no solid block."""
    for line in (lowest, highest):
        figure.add_scatter(
            x=lanes.times(line.x),
            y=lanes.values(line, factor),
            mode="lines",
            name=line.name,
            yaxis=lane.axis,
            connectgaps=False,
            line={"width": 0.8, "shape": "hv", "color": theme.rgba(theme.token("ink-3", at), 0.7)},
            hoverinfo="skip",
        )


def joined(stretches: Sequence[tuple[float, float]], apart: float) -> list[tuple[float, float]]:
    """Stretches that lie no farther apart than this are drawn as one."""
    found: list[tuple[float, float]] = []
    for start, end in stretches:
        if found and start - found[-1][1] <= apart:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _shade(figure: Drawing, lane: Lane | None, left: float, right: float, at: Theme) -> None:
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
