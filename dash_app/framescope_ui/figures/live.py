"""The Live page's figure: latency, frames, GPU load, queues and host on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import plotly.graph_objects as go

from framescope_ui.figures import lanes, local_time, quantity, theme
from framescope_ui.figures.drawing import Drawing
from framescope_ui.figures.heat import draw_heat, heat_lane
from framescope_ui.figures.lanes import Label, Lane
from framescope_ui.figures.latency_axis import draw_budget, latency_lane
from framescope_ui.figures.theme import Theme
from framescope_ui.questions.views import Line, Live, SlowMark

DASHES = ("solid", "4px,3px", "1px,3px", "6px,2px,1px,2px")
MOST_MARKS = 400
"""More slow frames than this cannot be told apart: the worst of each pixel column are drawn."""
MOST_MARKS_PHONE = 120


def live_figure(
    live: Live, at: Theme, window_seconds: float = 300.0, *, phone: bool = False, minimal: bool = False
) -> go.Figure:
    """Every lane of the Live page over the last ``window_seconds`` before ``live.time``; ``minimal`` has the
    latency and the rates alone."""
    start, end = live.time - window_seconds, live.time
    latency = _latency_lane(live, phone)
    heat = heat_lane(live.heat, 84 if phone else 96)
    frames = _frames_lane(live, phone)
    gap = _gap_lane(live)
    loads = live.history.get("gpu_utilization", ()) if not minimal else ()
    gpus = [_gpu_lane(live, line, phone) for line in loads]
    queues = _queue_lane(live, phone)
    host = Lane("Host", "%", 54, 0, 100, (0, 50, 100))
    with_queues = not minimal and bool(live.history.get("queue_depth"))
    shown = [
        latency,
        *([heat] if live.heat is not None and not minimal else []),
        frames,
        *([gap] if not minimal else []),
        *gpus,
        *([queues] if with_queues else []),
        *([host] if not minimal else []),
    ]
    figure = over_time(live, shown, start, end, at, phone)
    _draw_latency(figure, latency, live, start, end, at, phone)
    if live.heat is not None and not minimal:
        draw_heat(figure, heat, live.heat, live.budget_seconds, at)
    _draw_frames(figure, frames, live, at)
    if gap in shown:
        _draw_gap(figure, gap, live, at)
    others = {line.name: line for line in live.history.get("gpu_others", ())}
    for lane, line in zip(gpus, loads, strict=True):
        draw_load(figure, lane, line, others.get(line.name), at)
        _draw_limit(figure, lane, live.limits.get("gpu_utilization"), at, phone)
        lanes.draw_gaps(figure, lane, line, start, end, at, phone=phone)
    if with_queues:
        draw_queues(figure, queues, live.history.get("queue_depth", ()), at)
        _draw_drops(figure, queues, live, at)
    if host in shown:
        _draw_host(figure, host, live, at)
    written = [
        gap
        for line in live.history.get("latency_p99", ())[:1]
        for gap in lanes.gaps(line, start, end, (end - start) * lanes.GAP_WRITTEN)
    ]
    lanes.draw_marks(figure, live.marks, start, end, at, named=not phone, written=written)
    return lanes.finish(figure, shown, at, phone=phone)


def over_time(live: Live, shown: Sequence[Lane], start: float, end: float, at: Theme, phone: bool) -> Drawing:
    """An empty figure of a snapshot's window, with these lanes."""
    figure = lanes.stack(shown, at, phone=phone, top=20)
    figure.update_layout(
        xaxis={
            "range": [start * 1e3, end * 1e3],
            "tickformat": "%H:%M:%S" if end - start <= 90 else "%H:%M",
        },
        uirevision=f"{live.service}/{live.pipeline}/{end - start:g}",
    )
    draw_zone(figure, at, phone=phone)
    return figure


def draw_zone(figure: Drawing, at: Theme, *, phone: bool) -> None:
    """Name the zone of the time axis at its end: that of whoever looks, until ``local_time`` gives it one."""
    figure.add_annotation(
        name=local_time.ZONE,
        text="local time",
        xref="paper",
        yref="paper",
        x=1,
        y=0,
        xshift=0 if phone else 8,
        yshift=-4,
        xanchor="right" if phone else "left",
        yanchor="top",
        showarrow=False,
        font={"size": 11, "color": theme.token("ink-3", at)},
        bgcolor=theme.token("surface", at),
    )


def _greatest(found: Sequence[Line]) -> float:
    return max((y for line in found for y in line.y if y is not None), default=0.0)


def _latency_lane(live: Live, phone: bool) -> Lane:
    longest = max(
        _greatest(live.history.get("latency_p99", ())),
        max((mark.latency_seconds for mark in live.slow_marks), default=0.0),
    )
    usual = [y for line in live.history.get("latency_p50", ()) for y in line.y if y is not None]
    return latency_lane("Latency", 190 if phone else 250, usual, longest, live.budget_seconds)


def _frames_lane(live: Live, phone: bool) -> Lane:
    found = [*live.history.get("fps_in", ()), *live.history.get("fps_out", ())]
    known = [y for line in found for y in line.y if y is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if live.target_fps:
        low, high = min(low, live.target_fps), max(high, live.target_fps)
    floor = 0.0 if low < high * 0.6 else np.floor(low * 0.95 / 5) * 5
    unit = "per second" if floor == 0 else f"per second,\naxis from {floor:g}"
    return Lane("Frames", unit, 66, float(floor), float(np.ceil(high * 1.02)))


def gpu_title(gpu_id: str | None) -> str:
    """What a GPU is called in a title: by its id where that is short enough to help."""
    return f"GPU {gpu_id}" if gpu_id and len(gpu_id) <= 3 else "GPU"


def _gpu_lane(live: Live, line: Line, phone: bool) -> Lane:
    gpu = next((one for one in live.gpus if one.id == line.name or one.name == line.name), None)
    simulated = gpu.simulated if gpu else False
    name = f"{gpu_title(gpu.id if gpu else None)} load"
    return Lane(name, "%, simulated" if simulated else "%", 100 if phone else 118, 0, 105, (0, 50, 100))


def _queue_lane(live: Live, phone: bool) -> Lane:
    found = live.history.get("queue_depth", ())
    most = max([_greatest(found), *(queue.capacity or 0 for queue in live.queues), 2])
    return Lane("Queue depth", "frames", 60 if phone else 64, 0, most * 1.08, (0, most))


def _draw_latency(
    figure: Drawing, lane: Lane, live: Live, start: float, end: float, at: Theme, phone: bool
) -> None:
    drawn = (
        ("latency_p50", "median", theme.token("ink-3", at), 1.5, live.latency_p50),
        ("latency_p95", "p95", theme.token("ink-2", at), 1.5, live.latency_p95),
        ("latency_p99", "p99", theme.token("ink", at), 2, live.latency_p99),
    )
    for key, name, colour, width, now in drawn:
        for line in live.history.get(key, ())[:1]:
            thin = lanes.thinned(line)
            figure.add_scatter(
                x=lanes.times(thin.x),
                y=lanes.values(thin, 1e3),
                mode="lines",
                name=f"{name}, ms",
                yaxis=lane.axis,
                line={"color": colour, "width": width},
                hovertemplate="%{y:.1f}",
            )
            last = next((y for y in reversed(line.y) if y is not None), None)
            if key == "latency_p99":
                lanes.draw_gaps(figure, lane, line, start, end, at, "no frames", phone=phone)
            if now is not None and last is not None:
                lane.labels.append(Label(f"{name} <b>{quantity.milliseconds(now)}</b>", last * 1e3, colour))
    draw_budget(figure, lane, live.budget_seconds, at, phone=phone)
    draw_slow(
        figure,
        lane,
        worst_per_column(live.slow_marks, start, end, MOST_MARKS_PHONE if phone else MOST_MARKS),
        at,
    )


def worst_per_column(
    marks: Sequence[SlowMark], start: float, end: float, columns: int = MOST_MARKS
) -> Sequence[SlowMark]:
    """All marks while they are few; else the longest frame of each of ``columns`` slices of the range."""
    if len(marks) <= columns:
        return marks
    width = (end - start) / columns

    def column(mark: SlowMark) -> int:
        return int((mark.time - start) / width)

    return [
        max(group, key=lambda mark: mark.latency_seconds)
        for _, group in groupby(sorted(marks, key=column), key=column)
    ]


def draw_slow(figure: Drawing, lane: Lane, marks: Sequence[SlowMark], at: Theme) -> None:
    """Slow frames as the marks of their main causes; a mark with a trace id can be opened."""
    for cause in sorted({mark.cause for mark in marks}):
        mine = [mark for mark in marks if mark.cause == cause]
        one = theme.look(cause)
        hollow = one.pattern == "x"
        figure.add_scatter(
            x=lanes.times([mark.time for mark in mine]),
            y=np.asarray([mark.latency_seconds * 1e3 for mark in mine], dtype=np.float32),
            mode="markers",
            name=theme.title(cause),
            yaxis=lane.axis,
            customdata=[mark.trace_id for mark in mine],
            marker={
                "symbol": one.symbol,
                "size": 7,
                "color": one.colour(at),
                "line": {
                    "width": 1.4 if hollow else 0.6,
                    "color": one.colour(at) if hollow else theme.token("surface", at),
                },
            },
            hovertemplate="%{y:.1f}",
        )


def _draw_frames(figure: Drawing, lane: Lane, live: Live, at: Theme) -> None:
    for key, name, colour, now in (
        ("fps_in", "in", theme.token("ink-3", at), live.fps_in),
        ("fps_out", "out", theme.token("ink", at), live.fps_out),
    ):
        for line in live.history.get(key, ())[:1]:
            thin = lanes.thinned(line)
            figure.add_scatter(
                x=lanes.times(thin.x),
                y=lanes.values(thin),
                mode="lines",
                name=f"frames {name}, /s",
                yaxis=lane.axis,
                line={"color": colour, "width": 1.5},
                hovertemplate="%{y:.1f}",
            )
            last = next((y for y in reversed(line.y) if y is not None), None)
            if now is not None and last is not None:
                lane.labels.append(Label(f"{name} <b>{quantity.rate(now)}</b>", last, colour))


def _gap_lane(live: Live) -> Lane:
    """In minus out, around 0."""
    known = [abs(y) for line in live.history.get("sync_gap", ()) for y in line.y if y is not None]
    reach = lanes.round_up(max([*known, 1.0]))
    return Lane("Sync gap", "in minus out,\nper second", 44, -reach, reach, (-reach, 0, reach))


def _draw_gap(figure: Drawing, lane: Lane, live: Live, at: Theme) -> None:
    for line in live.history.get("sync_gap", ())[:1]:
        thin = lanes.thinned(line)
        figure.add_scatter(
            x=lanes.times(thin.x),
            y=lanes.values(thin),
            mode="lines",
            name="in minus out, /s",
            yaxis=lane.axis,
            line={"color": theme.token("ink-2", at), "width": 1.5},
            hovertemplate="%{y:.1f}",
        )
    if live.sync_gap is not None:
        text = f"<b>{quantity.rate(live.sync_gap)}</b> {live.sync_trend or ''}"
        lane.labels.append(Label(text, live.sync_gap, theme.token("ink", at)))


def _draw_limit(
    figure: Drawing, lane: Lane, limits: tuple[float, float] | None, at: Theme, phone: bool
) -> None:
    """From where on the state is a warning: a dotted line in that state's colour, named."""
    if limits is None:
        return
    lanes.draw_level(figure, lane, limits[0] * 100, theme.token("warn", at), "2px,3px")
    if not phone:
        figure.add_annotation(
            text=f"warning {limits[0] * 100:g}",
            xref="paper",
            x=0,
            xanchor="left",
            xshift=4,
            yref=lane.axis,
            y=limits[0] * 100,
            yanchor="bottom",
            showarrow=False,
            font={"size": 11, "color": theme.token("warn", at)},
        )


def _draw_drops(figure: Drawing, lane: Lane, live: Live, at: Theme) -> None:
    """A mark on the ground of the queues' lane for each step in which one dropped frames, by its reason."""
    for line in live.history.get("drops", ()):
        thin = lanes.thinned(line, MOST_MARKS)
        figure.add_scatter(
            x=lanes.times(thin.x),
            y=np.zeros(len(thin.x), dtype=np.float32),
            mode="markers",
            name=f"dropped, {lanes.escaped(line.name)}",
            yaxis=lane.axis,
            cliponaxis=False,
            text=[f"{y:g} dropped" for y in thin.y],
            marker={"symbol": "x-thin-open", "size": 7, "color": theme.token("ink", at)},
            hovertemplate="%{text}",
        )


def draw_load(
    figure: Drawing, lane: Lane, load: Line, others: Line | None, at: Theme, *, dim: bool = False
) -> None:
    """GPU load as areas: ours below, the others' on top; in grey where the two are not told apart."""
    ours_look, others_look = theme.look("gpu_work"), theme.look("gpu_contention")
    opacity = 0.35 if dim else 0.62
    load = lanes.thinned(load)
    other_at = _sampled(others, load.x) if others else None
    split = other_at is not None and any(value is not None for value in other_at)
    lookup = dict(zip(load.x, other_at or (), strict=False))
    for xs, ys in lanes.segments(load):
        total = np.asarray(ys, dtype=np.float32) * 100
        if not split:
            figure.add_scatter(
                x=lanes.times(xs),
                y=total,
                mode="lines",
                name="GPU load, %",
                yaxis=lane.axis,
                line={"color": theme.token("ink-2", at), "width": 1.2, "shape": "hv"},
                fill="tozeroy",
                fillcolor=theme.token("shade-2", at),
                hovertemplate="%{y:.0f}",
            )
            continue
        theirs = np.asarray([min((lookup.get(x) or 0) * 100, y) for x, y in zip(xs, total, strict=True)])
        figure.add_scatter(
            x=lanes.times(xs),
            y=(total - theirs).astype(np.float32),
            mode="lines",
            name="this pipeline, %",
            yaxis=lane.axis,
            line={"color": ours_look.colour(at), "width": 1.2, "shape": "hv"},
            fill="tozeroy",
            fillcolor=theme.rgba(ours_look.colour(at), opacity),
            hovertemplate="%{y:.0f}",
        )
        figure.add_scatter(
            x=lanes.times(xs),
            y=total,
            mode="lines",
            name="with others, %",
            yaxis=lane.axis,
            line={"color": others_look.colour(at), "width": 1.2, "shape": "hv"},
            fill="tonexty",
            fillcolor=theme.rgba(others_look.colour(at), opacity),
            fillpattern={
                "shape": others_look.pattern,
                "fillmode": "overlay",
                "fgcolor": theme.rgba(theme.token("surface", at), 0.42 if at == "dark" else 0.5),
                "size": 7,
                "solidity": 0.24,
            },
            hovertemplate="%{y:.0f}",
        )
    last = next((y for y in reversed(load.y) if y is not None), None)
    if last is None:
        return
    lane.labels.append(Label(f"<b>{quantity.percent(last)}</b> in all", last * 100, theme.token("ink", at)))
    if split:
        other = next((v for v in reversed(other_at or []) if v is not None), 0.0)
        other = min(other, last)
        lane.labels.append(
            Label(
                f"<b>GS</b> others {quantity.percent(other)}",
                (last - other / 2) * 100,
                others_look.colour(at),
            )
        )
        lane.labels.append(
            Label(
                f"<b>GW</b> ours {quantity.percent(last - other)}",
                (last - other) / 2 * 100,
                ours_look.colour(at) if at == "light" else theme.token("ink-2", at),
            )
        )


def _sampled(line: Line, xs: Sequence[float]) -> list[float | None]:
    """The reading in force at each x: the last one not after it."""
    if not line.x:
        return [None] * len(xs)
    at = np.searchsorted(np.asarray(line.x), np.asarray(xs) + 1e-6, side="right") - 1
    return [line.y[i] if i >= 0 else None for i in at.tolist()]


def draw_queues(figure: Drawing, lane: Lane, depths: Sequence[Line], at: Theme) -> None:
    """Queue depths as steps, told apart by their dashes."""
    colour = theme.look("queue_wait").colour(at)
    for number, line in enumerate(depths):
        thin = lanes.thinned(line)
        figure.add_scatter(
            x=lanes.times(thin.x),
            y=lanes.values(thin),
            mode="lines",
            name=f"{lanes.escaped(line.name)} queue",
            yaxis=lane.axis,
            line={"color": colour, "width": 1.5, "shape": "hv", "dash": DASHES[number % len(DASHES)]},
            hovertemplate="%{y:.0f}",
        )
        last = next((y for y in reversed(line.y) if y is not None), None)
        if last is not None:
            lane.labels.append(Label(f"{lanes.escaped(line.name)} {quantity.whole(last)}", last, colour))


def _draw_host(figure: Drawing, lane: Lane, live: Live, at: Theme) -> None:
    for key, name, colour, now in (
        ("cpu", "CPU", theme.look("cpu_work").colour(at), live.cpu_utilization),
        ("memory", "memory", theme.token("ink-3", at), live.memory_utilization),
    ):
        for line in live.history.get(key, ())[:1]:
            thin = lanes.thinned(line)
            figure.add_scatter(
                x=lanes.times(thin.x),
                y=lanes.values(thin, 100),
                mode="lines",
                name=f"{name}, %",
                yaxis=lane.axis,
                line={"color": colour, "width": 1.5},
                hovertemplate="%{y:.0f}",
            )
            last = next((y for y in reversed(line.y) if y is not None), None)
            if now is not None and last is not None:
                lane.labels.append(Label(f"{name} {quantity.percent(now)}", last * 100, colour))
