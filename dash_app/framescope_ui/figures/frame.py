"""The Frame page's figures: its neighbours, and its stages above GPU load, clock and queues.

Both run on ms after the frame was due; everything that has a time stands on that one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from framescope_ui.figures import lanes, quantity, theme
from framescope_ui.figures.drawing import Drawing
from framescope_ui.figures.lanes import Label, Lane, escaped
from framescope_ui.figures.latency_axis import FAR_BEYOND, draw_budget
from framescope_ui.figures.live import draw_load, draw_queues, gpu_title
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.views import EveryFrame, FrameView, Line, StageRow

ROW = 19
"""px of one row of the waterfall."""
NAMED_LOSS = 0.0005
NAMED_SHARE = 0.02
"""s lost to one cause, and its share of what the row lost, from which it is written beside the bar."""
MOST_ROWS = 12
"""More stages than this: the longest, until all are asked for."""
MOST_ROWS_PHONE = 5
START_NAMED = 0.12
"""Share of the x range, some 60 px, that the frame's start has to itself where it is named."""
LEFT = 176
"""px left of the lanes: room for a stage's name and its thread."""
NAME_CHARACTERS = 17
NEIGHBOURS = 30
"""Frames drawn on either side of the one looked at."""
CUT = 4
"""Times what is usual at which the bars of neighbours are cut, where one of them took far longer."""


def shown_range(view: FrameView) -> tuple[float, float]:
    """s after the due time that the waterfall shows: the frame, and some before and after it."""
    end = max([view.item.latency_seconds or 0.0, *(row.end for row in view.stages)])
    first = min([0.0, *(row.start for row in view.stages)])
    around = 0.0 if view.foreign else max(0.55 * end, 0.004)
    return first - around, end + (around or 0.04 * end or 0.001)


def shown_rows(view: FrameView, *, every: bool, phone: bool = False) -> Sequence[StageRow]:
    """The rows drawn: all, or the longest ones in their order."""
    most = MOST_ROWS_PHONE if phone else MOST_ROWS
    if every or len(view.stages) <= most:
        return view.stages
    by_weight = sorted(
        range(len(view.stages)),
        key=lambda i: (view.stages[i].lost or 0.0, view.stages[i].end - view.stages[i].start),
        reverse=True,
    )
    return [view.stages[i] for i in sorted(by_weight[:most])]


def around(lines: Sequence[Line], due: float, start: float, end: float, window: float) -> list[Line]:
    """Lines moved to the frame's own time, with what lies in the range and one reading on either side."""
    found = []
    for line in lines:
        points = [
            (x - due, y)
            for x, y in zip(line.x, line.y, strict=True)
            if start - max(window, 0.25) <= x - due <= end + max(window, 0.25)
        ]
        found.append(replace(line, x=[x for x, _ in points], y=[y for _, y in points]))
    return found


def as_wide_as_its_window(line: Line, window: float | None) -> Line:
    """A reading stands for the time before it: each becomes a step from its window's start to its time."""
    if not window:
        return line
    xs: list[float] = []
    ys: list[float | None] = []
    before: float | None = None
    for x, y in zip(line.x, line.y, strict=True):
        if y is None:
            xs.append(x)
            ys.append(None)
            before = None
            continue
        left = x - window if before is None else max(x - window, before)
        if before is not None and left - before > window * 0.5:
            xs.append((left + before) / 2)
            ys.append(None)
        xs += [left, x]
        ys += [y, y]
        before = x
    return replace(line, x=xs, y=ys)


def waterfall_figure(
    view: FrameView, at: Theme, *, every_row: bool = False, phone: bool = False
) -> go.Figure:
    """The frame's stages, and beneath them on the same axis GPU load, clock and queue depths."""
    start, end = shown_range(view)
    window = view.gpu_window_seconds or 0.0
    rows = shown_rows(view, every=every_row, phone=phone)
    flights = in_flight(view.neighbours, view, start, end)
    stages = Lane("", "", ROW * max(len(rows), 1), len(rows) - 0.4, -0.6, ())
    load = around(view.series.get("gpu_utilization", ()), view.due, start, end, window)
    others = around(view.series.get("gpu_others", ()), view.due, start, end, window)
    clock = around(view.series.get("gpu_clock", ()), view.due, start, end, window)
    depth = around(view.series.get("queue_depth", ()), view.due, start, end, 0.0)
    places = packed(flights)
    deep = max(places, default=0) + 1
    top = Lane("frames", "", deep * (ROW - 3), deep - 0.4, -0.6, ())
    simulated = "%, simulated" if view.gpu_simulated else "%"
    load_lane = Lane(f"{gpu_title(view.gpu_id)} load", simulated, 70, 0, 105, (0, 50, 100))
    clock_top = (
        lanes.round_up(max((y or 0) / 1e6 for line in clock for y in line.y) * 1.1) if _any(clock) else 1
    )
    clock_lane = Lane("SM clock" if not view.gpu_simulated else "Clock", "MHz", 50, 0, clock_top)
    deepest = max([y or 0 for line in depth for y in line.y] or [1])
    depth_lane = Lane("Queue depth", "frames", 50, 0, max(deepest * 1.15, 2), (0, max(deepest, 2)))
    shown = [
        *([top] if flights else []),
        stages,
        *([load_lane] if _any(load) else []),
        *([clock_lane] if _any(clock) else []),
        *([depth_lane] if _any(depth) else []),
    ]
    figure = lanes.stack(shown, at, phone=phone, top=38 if phone else 24, left=LEFT, right=158)
    figure.update_layout(
        xaxis={
            "type": "linear",
            "range": [start * 1e3, end * 1e3],
            "ticksuffix": " ms",
            "showticksuffix": "last",
            "nticks": 9,
        },
        hovermode="closest" if not _any(load) else "x unified",
        barmode="overlay",
        uirevision=view.item.trace_id,
    )
    figure.update_layout({stages.layout_axis: {"showgrid": False}, top.layout_axis: {"showgrid": False}})
    # The neighbours above name them: here stand the names of the frame's own moments.
    lanes.draw_marks(figure, _after_due(view.marks, view), start, end, at, named=False)
    _frame_itself(figure, view, at, phone)
    if flights:
        _draw_flights(figure, top, flights, places, view, at)
    _draw_stages(figure, stages, rows, view, at, phone)
    if load_lane in shown:
        split = {line.name: line for line in others}
        dim = window > (view.item.latency_seconds or 0.0)
        for line in load[:1]:
            wide = as_wide_as_its_window(line, window)
            draw_load(figure, load_lane, wide, split.get(line.name), at, dim=dim)
            lanes.draw_gaps(figure, load_lane, wide, start, end, at, phone=phone)
        if window:
            load_lane.labels.append(
                Label(f"one reading covers {_window_text(window)}", 0, theme.token("ink-3", at))
            )
    if clock_lane in shown:
        _draw_clock(figure, clock_lane, clock[0], window, at)
    if depth_lane in shown:
        draw_queues(figure, depth_lane, depth, at)
    return lanes.finish(figure, shown, at, phone=phone)


def _window_text(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _any(found: Sequence[Line]) -> bool:
    return any(y is not None for line in found for y in line.y)


def _frame_itself(figure: Drawing, view: FrameView, at: Theme, phone: bool) -> None:
    ended = view.item.latency_seconds is not None
    latency = (view.item.latency_seconds or 0.0) * 1e3
    budget = view.budget_seconds * 1e3 if view.budget_seconds else None
    shades = [(0.0, latency, "shade")] if ended else []
    if budget is not None and latency > budget:
        shades.append((budget, latency, "shade-2"))
    for left, right, shade in shades:
        figure.add_shape(
            type="rect",
            xref="x",
            yref="paper",
            x0=left,
            x1=right,
            y0=0,
            y1=1,
            fillcolor=theme.token(shade, at),
            line={"width": 0},
            layer="below",
        )
    edges: list[tuple[float, str, str | None]] = [(0.0, "start", None)]
    if ended:
        edges.append((latency, f"end {latency:.1f}", None))
    if budget is not None:
        edges.append((budget, f"budget {budget:.1f}", "4px,3px"))
    start, end = shown_range(view)
    nearest = min((x for x, _, _ in edges[1:]), default=None)
    crowded = nearest is not None and nearest < START_NAMED * (end - start) * 1e3
    for x, text, dash in edges:
        figure.add_shape(
            type="line",
            xref="x",
            yref="paper",
            x0=x,
            x1=x,
            y0=0,
            y1=1,
            line={
                "width": 1.2 if dash else 1,
                "dash": dash or "solid",
                "color": theme.token("ink" if dash else "ink-3", at),
            },
        )
        close = budget is not None and x != budget and abs(x - budget) < 0.12 * max(latency, budget)
        if text == "start" and (phone or crowded):
            continue
        figure.add_annotation(
            text=text,
            xref="x",
            yref="paper",
            x=x,
            y=1,
            yanchor="bottom",
            yshift=(32 if close else 18) if phone else 2,
            xanchor="center"
            if not close or phone
            else ("left" if budget is not None and x > budget else "right"),
            showarrow=False,
            font={"size": 11, "color": theme.token("ink-2", at)},
        )


def in_flight(
    every: EveryFrame | None, view: FrameView, start: float, end: float
) -> list[tuple[float, float, int]]:
    if every is None:
        return []
    found = [
        (x - view.due, x - view.due + latency, number)
        for x, latency, number in zip(every.x, every.latency_seconds, every.frame_id, strict=True)
    ]
    return [one for one in found if one[1] > start and one[0] < end][:40]


def packed(flights: Sequence[tuple[float, float, int]]) -> list[int]:
    """A row for each frame in flight, the first one free, so that none lies on another."""
    free_from: list[float] = []
    places = []
    for left, right, _ in flights:
        place = next((row for row, free in enumerate(free_from) if free <= left), len(free_from))
        free_from[place : place + 1] = [right]
        places.append(place)
    return places


def _draw_flights(
    figure: Drawing,
    lane: Lane,
    flights: Sequence[tuple[float, float, int]],
    places: Sequence[int],
    view: FrameView,
    at: Theme,
) -> None:
    start, end = shown_range(view)
    mine = view.item.frame_id
    figure.add_bar(
        orientation="h",
        base=[left * 1e3 for left, _, _ in flights],
        x=[(right - left) * 1e3 for left, right, _ in flights],
        y=list(places),
        name="frames in flight, ms",
        yaxis=lane.axis,
        width=0.72,
        marker={
            "color": [
                theme.token("ink-2", at) if number == mine else theme.rgba(theme.token("ink-3", at), 0.35)
                for _, _, number in flights
            ],
            "line": {"width": 0},
        },
        text=[
            quantity.whole(number) if min(right, end) - max(left, start) > (end - start) * 0.09 else ""
            for left, right, number in flights
        ],
        hovertext=[f"frame {quantity.whole(number)}" for _, _, number in flights],
        textposition="inside",
        insidetextanchor="middle",
        insidetextfont={
            "size": 11,
            "color": [theme.token("surface" if number == mine else "ink-2", at) for _, _, number in flights],
        },
        textangle=0,
        hovertemplate="%{hovertext}<extra></extra>",
        constraintext="none",
    )


def _draw_stages(
    figure: Drawing, lane: Lane, rows: Sequence[StageRow], view: FrameView, at: Theme, phone: bool
) -> None:
    guilty = view.item.stage
    pale: list[tuple[float, float, int, StageRow, str]] = []
    lost: dict[str, list[tuple[float, float, int, StageRow]]] = {}
    for index, row in enumerate(rows):
        took = row.end - row.start
        if row.parent is not None and row.gpu_busy is not None:
            _draw_busy(figure, lane, row, index, at)
            continue
        parts = [(cause, seconds) for cause, seconds in row.lost_by_cause if seconds > 0]
        known = min(sum(seconds for _, seconds in parts), took)
        pale.append((row.start, took - known, index, row, theme.KIND_CAUSE.get(row.kind, "unknown")))
        at_x = row.end - known
        for cause, seconds in parts:
            width = min(seconds, row.end - at_x)
            if width > 0:
                lost.setdefault(cause, []).append((at_x, width, index, row))
            at_x += width
    if pale:
        colours = [theme.look(kin).colour(at) for *_, kin in pale]
        figure.add_bar(
            orientation="h",
            base=[left * 1e3 for left, *_ in pale],
            x=[width * 1e3 for _, width, *_ in pale],
            y=[index for _, _, index, *_ in pale],
            name="expected part, ms",
            yaxis=lane.axis,
            width=0.66,
            marker={
                "color": [theme.rgba(colour, 0.38) for colour in colours],
                "line": {"width": 1, "color": [theme.rgba(colour, 0.8) for colour in colours]},
            },
            hovertext=[_row_hover(row) for _, _, _, row, _ in pale],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    for cause, parts_of in lost.items():
        figure.add_bar(
            orientation="h",
            base=[left * 1e3 for left, *_ in parts_of],
            x=[width * 1e3 for _, width, *_ in parts_of],
            y=[index for _, _, index, _ in parts_of],
            name=f"lost to {theme.title(cause)}, ms",
            yaxis=lane.axis,
            width=0.66,
            marker={
                "color": theme.fill(cause, at),
                "line": {"width": 1, "color": theme.outline(cause, at)},
                "pattern": theme.pattern([cause] * len(parts_of), at),
            },
            hovertext=[
                f"{escaped(row.name)}: {quantity.milliseconds(width)} ms lost to {theme.title(cause)}"
                for _, width, _, row in parts_of
            ],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    _draw_path(figure, lane, rows, at)
    _name_losses(figure, lane, rows, at)
    if not phone:
        _columns(figure, lane, rows, guilty, at)
        return
    figure.update_layout(
        {
            lane.layout_axis: {
                "tickvals": list(range(len(rows))),
                "ticktext": [escaped(row.name[:24]) for row in rows],
                "ticklabelposition": "inside",
                "tickfont": {"size": 11, "color": theme.token("ink", at)},
            }
        }
    )


def _draw_path(figure: Drawing, lane: Lane, rows: Sequence[StageRow], at: Theme) -> None:
    """The critical path: one line along the feet of the bars that made the frame as long as it was."""
    steps = sorted((begin, end, index) for index, row in enumerate(rows) for begin, end in row.on_path)
    if not steps:
        return
    figure.add_scatter(
        x=[x * 1e3 for begin, end, _ in steps for x in (begin, end)],
        y=[index + 0.42 for _, _, index in steps for _ in range(2)],
        mode="lines",
        yaxis=lane.axis,
        name="critical path",
        line={"color": theme.token("ink", at), "width": 1.4},
        hoverinfo="skip",
    )


def _name_losses(figure: Drawing, lane: Lane, rows: Sequence[StageRow], at: Theme) -> None:
    """Right of each row that lost half a millisecond or more: to what."""
    for index, row in enumerate(rows):
        told = [
            f"{theme.code(cause)} {quantity.milliseconds(seconds)}"
            for cause, seconds in row.lost_by_cause
            if seconds >= max(NAMED_LOSS, NAMED_SHARE * (row.lost or 0.0))
        ]
        if not told:
            continue
        figure.add_annotation(
            text=" · ".join(told[:3]) + " ms",
            xref="x",
            yref=lane.axis,
            x=row.end * 1e3,
            y=index,
            xanchor="left",
            xshift=4,
            showarrow=False,
            bgcolor=theme.token("surface", at),
            font={"size": 11, "color": theme.token("ink-2", at)},
        )


def _draw_busy(figure: Drawing, lane: Lane, row: StageRow, index: int, at: Theme) -> None:
    colour = theme.look("gpu_work").colour(at)
    busy = min(row.gpu_busy or 0.0, row.end - row.start)
    figure.add_scatter(
        x=[row.start * 1e3, row.end * 1e3],
        y=[index, index],
        mode="lines",
        yaxis=lane.axis,
        line={"color": colour, "width": 1.2},
        hoverinfo="skip",
    )
    figure.add_bar(
        orientation="h",
        base=[(row.end - busy) * 1e3],
        x=[busy * 1e3],
        y=[index],
        yaxis=lane.axis,
        width=0.4,
        marker={"color": colour, "line": {"width": 0}},
        hovertext=[_row_hover(row)],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _row_hover(row: StageRow) -> str:
    parts = [f"{escaped(row.name)}: {quantity.milliseconds(row.end - row.start)} ms"]
    if row.expected is not None:
        parts.append(f"expected {quantity.milliseconds(row.expected)}")
    if row.gpu_busy is not None:
        parts.append(f"GPU busy {quantity.milliseconds(row.gpu_busy)}")
    if row.gpu_wait is not None:
        parts.append(f"waited {quantity.milliseconds(row.gpu_wait)}")
    if row.thread:
        parts.append(f"on {escaped(row.thread)}")
    if row.on_path:
        parts.append("on the critical path")
    if row.depth_at_entry is not None:
        parts.append(f"{row.depth_at_entry} in the queue on entry")
    if row.message:
        parts.append(escaped(row.message[:120]))
    return ", ".join(parts)


def _columns(figure: Drawing, lane: Lane, rows: Sequence[StageRow], guilty: str | None, at: Theme) -> None:
    def write(text: str, index: float, shift: int, colour: str, *, right: bool, bold: bool = False) -> None:
        figure.add_annotation(
            text=f"<b>{text}</b>" if bold else text,
            xref="paper",
            yref=lane.axis,
            x=1 if right else 0,
            y=index,
            xshift=shift,
            xanchor="right" if right else "left",
            yanchor="middle",
            showarrow=False,
            font={"size": 12, "color": colour},
        )

    ink, ink_2, ink_3 = (theme.token(name, at) for name in ("ink", "ink-2", "ink-3"))
    for shift, head in ((50, "took, ms"), (103, "expected"), (155, "lost")):
        write(head, -0.6, shift, ink_3, right=True)
        figure.annotations[-1].update(yshift=10, font={"size": 11, "color": ink_3})
    for index, row in enumerate(rows):
        name = row.name if len(row.name) <= NAME_CHARACTERS else row.name[: NAME_CHARACTERS - 1] + "…"
        if row.parent is not None:
            write(f"└ {escaped(name)}", index, 14 - LEFT, ink_2, right=False)
        else:
            write(
                escaped(name),
                index,
                4 - LEFT,
                ink if row.name == guilty else ink_2,
                right=False,
                bold=row.name == guilty,
            )
        beside = row.thread or row.kind
        if row.parent is None and beside:
            beside = beside if len(beside) <= 11 else beside[:10] + "…"
            write(escaped(beside), index, -6, ink_3, right=False)
            figure.annotations[-1].update(xanchor="right", font={"size": 11, "color": ink_3})
        write(quantity.milliseconds(row.end - row.start), index, 50, ink, right=True)
        write(quantity.milliseconds(row.expected), index, 103, ink_3, right=True)
        big = (row.lost or 0) >= 0.001
        write(
            quantity.milliseconds(row.lost, signed=True),
            index,
            155,
            ink if big else ink_2,
            right=True,
            bold=big,
        )


def _draw_clock(figure: Drawing, lane: Lane, line: Line, window: float, at: Theme) -> None:
    wide = as_wide_as_its_window(line, window)
    ink = theme.token("ink", at)
    figure.add_scatter(
        x=lanes.times(wide.x),
        y=lanes.values(wide, 1e-6),
        mode="lines",
        name="clock, MHz",
        yaxis=lane.axis,
        line={"color": ink, "width": 1.5, "shape": "hv"},
        hovertemplate="%{y:,.0f}",
    )
    last = next((y for y in reversed(line.y) if y is not None), None)
    if last is not None:
        lane.labels.append(Label(f"<b>{quantity.whole(last / 1e6)}</b> MHz", last / 1e6, ink))


def neighbours_figure(view: FrameView, at: Theme, *, phone: bool = False) -> go.Figure:
    """The frames around this one with the GPU's load under them, on ms after this frame was due."""
    every = view.neighbours
    chosen = _nearest(every, view) if every else []
    xs = [every.x[i] - view.due for i in chosen] if every else []
    start, end = (min(xs), max(xs)) if xs else (-0.25, 0.25)
    spacing = (end - start) / max(len(xs) - 1, 1) or 0.01
    start, end = start - spacing, end + spacing * 2
    latency = _neighbours_lane(every, chosen, view)
    window = view.gpu_window_seconds or 0.0
    load = around(view.series.get("gpu_utilization", ()), view.due, start, end, window)
    others = {
        line.name: line for line in around(view.series.get("gpu_others", ()), view.due, start, end, window)
    }
    unit = "%, simulated" if view.gpu_simulated else "%"
    load_lane = Lane(f"{gpu_title(view.gpu_id)} load", unit, 40, 0, 105, (0, 100))
    shown = [latency, *([load_lane] if _any(load) else [])]
    figure = lanes.stack(shown, at, phone=phone, left=LEFT, right=158, top=20 if view.marks else 6)
    figure.update_layout(
        xaxis={
            "type": "linear",
            "range": [start * 1e3, end * 1e3],
            "ticksuffix": " ms",
            "showticksuffix": "last",
        },
        hovermode="closest",
        barmode="overlay",
        uirevision=view.item.trace_id,
    )
    if every:
        _draw_neighbours(figure, latency, every, chosen, view, spacing, at)
    draw_budget(figure, latency, view.budget_seconds, at, phone=phone)
    if view.budget_seconds:
        latency.labels.append(
            Label(
                f"budget {view.budget_seconds * 1e3:.1f} ms",
                view.budget_seconds * 1e3,
                theme.token("ink-2", at),
            )
        )
    took = view.item.latency_seconds
    latency.labels.append(
        Label(
            f"<b>{quantity.whole(view.item.frame_id)}</b>, "
            + ("not ended" if took is None else f"{quantity.milliseconds(took)} ms"),
            (took or 0.0) * 1e3,
            theme.token("ink", at),
        )
    )
    if load_lane in shown:
        for line in load[:1]:
            wide = as_wide_as_its_window(line, window)
            draw_load(figure, load_lane, wide, others.get(line.name), at)
            lanes.draw_gaps(figure, load_lane, wide, start, end, at, phone=phone)
        load_lane.labels.clear()
        if window:
            load_lane.labels.append(
                Label(f"readings {_window_text(window)} apart", 50, theme.token("ink-3", at))
            )
    lanes.draw_marks(figure, _after_due(view.marks, view), start, end, at, named=not phone)
    left, right = shown_range(view)
    figure.add_shape(
        type="rect",
        xref="x",
        yref="paper",
        x0=left * 1e3,
        x1=right * 1e3,
        y0=0,
        y1=1,
        line={"width": 1.2, "color": theme.token("brand", at)},
        fillcolor="rgba(0,0,0,0)",
    )
    return lanes.finish(figure, shown, at, phone=phone)


def _neighbours_lane(every: EveryFrame | None, chosen: Sequence[int], view: FrameView) -> Lane:
    """From 0 to the longest frame; bars of frames that took much longer than the others are cut, which the
    lane says."""
    budget = view.budget_seconds or 0.0
    took = [every.latency_seconds[i] for i in _finished(every, chosen)] if every else []
    longest = max([*took, budget * 1.2], default=0.0)
    usual = max(float(np.median(took)) if took else 0.0, budget)
    if longest <= FAR_BEYOND * usual:
        return Lane("Latency", "ms", 64, 0, lanes.round_up(longest * 1.05e3))
    top = lanes.round_up(CUT * usual * 1e3)
    return Lane("Latency", "ms", 64, 0, top, note=f"bars cut at {top:g}")


def _finished(every: EveryFrame, chosen: Sequence[int]) -> list[int]:
    return [i for i in chosen if every.outcome[i] not in ("dropped", "failed")]


def _after_due(marks: Sequence[tuple[float, str]], view: FrameView) -> list[tuple[float, str]]:
    return [(time - view.due, text) for time, text in marks]


def _nearest(every: EveryFrame, view: FrameView) -> list[int]:
    if not every.x:
        return []
    middle = int(np.argmin(np.abs(np.asarray(every.x) - view.due)))
    return list(range(max(middle - NEIGHBOURS, 0), min(middle + NEIGHBOURS + 1, len(every.x))))


def _draw_neighbours(
    figure: Drawing,
    lane: Lane,
    every: EveryFrame,
    chosen: Sequence[int],
    view: FrameView,
    spacing: float,
    at: Theme,
) -> None:
    quiet = theme.rgba(theme.token("ink-3", at), 0.55)
    finished = _finished(every, chosen)
    kept = {item.frame_id: item.trace_id for item in view.kept_near if item.frame_id is not None}
    causes = [(every.cause[i] or "unknown") if every.outcome[i] == "slow" else "" for i in finished]
    patterns = theme.pattern([cause or "structural" for cause in causes], at)
    figure.add_bar(
        x=[(every.x[i] - view.due + spacing * 0.5) * 1e3 for i in finished],
        y=[every.latency_seconds[i] * 1e3 for i in finished],
        yaxis=lane.axis,
        width=spacing * 0.8e3,
        marker={
            "color": [theme.fill(cause, at) if cause else quiet for cause in causes],
            "line": {
                "width": [1 if cause else 0 for cause in causes],
                "color": [theme.outline(cause, at) if cause else quiet for cause in causes],
            },
            "pattern": patterns,
        },
        hovertext=[
            f"frame {quantity.whole(every.frame_id[i])}: {quantity.milliseconds(every.latency_seconds[i])} ms"
            + (f", {theme.title(every.cause[i])}" if every.outcome[i] == "slow" else "")
            + (", click to open" if every.frame_id[i] in kept else "")
            for i in finished
        ],
        customdata=[kept.get(every.frame_id[i]) for i in finished],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    lost = [i for i in chosen if every.outcome[i] in ("dropped", "failed")]
    if lost:
        figure.add_scatter(
            x=[(every.x[i] - view.due + spacing * 0.5) * 1e3 for i in lost],
            y=[0.0 for _ in lost],
            mode="markers",
            yaxis=lane.axis,
            cliponaxis=False,
            marker={"symbol": "x-thin-open", "size": 7, "color": theme.token("ink", at)},
            hovertext=[f"frame {quantity.whole(every.frame_id[i])}: {every.outcome[i]}" for i in lost],
            customdata=[kept.get(every.frame_id[i]) for i in lost],
            hovertemplate="%{hovertext}<extra></extra>",
        )
