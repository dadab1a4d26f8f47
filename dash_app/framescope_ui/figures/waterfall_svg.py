"""The waterfall as SVG text, for a file without scripts: stages, critical path, GPU load, clock, queues.

Colours are the style sheet's custom properties, so that one picture serves both themes and print.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from framescope_ui.figures import lanes, quantity, theme
from framescope_ui.figures.frame import around, as_wide_as_its_window, in_flight, packed, shown_range
from framescope_ui.figures.live import gpu_title
from framescope_ui.questions.views import FrameView, Line, StageRow

WIDTH, LEFT, RIGHT = 1000, 190, 180
ROW, BAR, HEAD = 20, 13, 22
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class _Scale:
    start: float
    end: float

    def x(self, seconds: float) -> float:
        inside = min(max(seconds, self.start), self.end)
        return LEFT + (inside - self.start) / (self.end - self.start) * (WIDTH - LEFT - RIGHT)


def cause_style(cause: str | None) -> str:
    """The custom property of a cause's colour."""
    return f"var(--fs-{theme.drawn_as(cause).replace('_', '-')})"


def waterfall_svg(view: FrameView) -> str:
    """The picture; the empty string for a frame without stages."""
    if not view.stages:
        return ""
    at = _Scale(*shown_range(view))
    parts: list[str] = []
    y = float(HEAD)
    flights = in_flight(view.neighbours, view, at.start, at.end)
    if flights:
        y = _flights(parts, view, flights, at, y)
    y += 14
    for x, head in ((WIDTH - 118, "took, ms"), (WIDTH - 52, "expected"), (WIDTH - 4, "lost")):
        parts.append(_text(x, y - 4, head, "dim", "end"))
    top = y
    rows = view.stages[:MOST_ROWS]
    for index, row in enumerate(rows):
        _stage(parts, view, row, at, top + index * ROW)
    _path(parts, rows, at, top)
    y = top + len(rows) * ROW + 16
    y = _load(parts, view, at, y)
    y = _lane(parts, "Clock", "MHz", _lines(view, "gpu_clock", at, 1e-6), at, y)
    y = _lane(parts, "Queue depth", "frames", _lines(view, "queue_depth", at, 1.0), at, y)
    behind = [*_frame_itself(view, at, y), *_ticks(at, y)]
    height = y + 22
    title = f"{len(view.stages)} stages of the frame over time, with what each lost"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg"><defs>{_patterns(rows)}</defs>'
        + "".join([*behind, *parts])
        + "</svg>"
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _rect(x0: float, x1: float, y: float, height: float, style: str, title: str = "") -> str:
    told = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{x0:.2f}" y="{y:.1f}" width="{max(x1 - x0, 0.6):.2f}" height="{height:.1f}" '
        f'style="{style}">{told}</rect>'
    )


def _line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<line x1="{x0:.2f}" y1="{y0:.1f}" x2="{x1:.2f}" y2="{y1:.1f}" class="{kind}"/>'


def _flights(
    parts: list[str], view: FrameView, flights: Sequence[tuple[float, float, int]], at: _Scale, y: float
) -> float:
    places = packed(flights)
    parts.append(_text(4, y + 11, "frames", "name"))
    for (left, right, number), place in zip(flights, places, strict=True):
        mine = number == view.item.frame_id
        top = y + place * 17
        style = "fill:var(--fs-ink-2)" if mine else "fill:var(--fs-ink-3);fill-opacity:0.35"
        parts.append(_rect(at.x(left), at.x(right), top, 13, style, f"frame {quantity.whole(number)}"))
        if at.x(right) - at.x(left) > 60:
            middle = (at.x(left) + at.x(right)) / 2
            parts.append(
                _text(middle, top + 10.5, quantity.whole(number), "plate" if mine else "dim", "middle")
            )
    return y + (max(places) + 1) * 17 + 6


def _stage(parts: list[str], view: FrameView, row: StageRow, at: _Scale, y: float) -> None:
    guilty = row.parent is None and row.name == view.item.stage
    name = f"└ {row.name}" if row.parent is not None else row.name
    beside = row.thread or row.kind if row.parent is None else ""
    parts.append(
        _text(4, y + 14, name if len(name) < 22 else name[:21] + "…", "strong" if guilty else "name")
    )
    parts.append(_text(LEFT - 8, y + 14, beside[:14], "dim", "end"))
    took = row.end - row.start
    top = y + (ROW - BAR) / 2
    told = f"{row.name}: {quantity.milliseconds(took)} ms"
    if row.parent is not None and row.gpu_busy is not None:
        busy = min(row.gpu_busy, took)
        parts.append(_rect(at.x(row.start), at.x(row.end), y + ROW / 2 - 0.6, 1.2, "fill:var(--fs-gpu-work)"))
        begin = at.x(row.end - busy)
        parts.append(_rect(begin, at.x(row.end), top + 3, BAR - 6, "fill:var(--fs-gpu-work)", told))
    else:
        lost = [(cause, seconds) for cause, seconds in row.lost_by_cause if seconds > 0]
        known = min(sum(seconds for _, seconds in lost), took)
        kin = cause_style(theme.KIND_CAUSE.get(row.kind, "unknown"))
        style = f"fill:{kin};fill-opacity:0.38;stroke:{kin};stroke-opacity:0.8"
        parts.append(_rect(at.x(row.start), at.x(row.end - known), top, BAR, style, told))
        x = row.end - known
        for cause, seconds in lost:
            right = min(x + seconds, row.end)
            said = f"{row.name}: {quantity.milliseconds(seconds)} ms lost to {theme.title(cause)}"
            drawn = theme.drawn_as(cause)
            parts.append(_rect(at.x(x), at.x(right), top, BAR, f"fill:url(#p-{drawn})", said))
            x = right
        named = [
            f"{theme.code(cause)} {quantity.milliseconds(seconds)}"
            for cause, seconds in lost
            if seconds >= 5e-4
        ]
        if named:
            parts.append(_text(at.x(row.end) + 6, y + 14, " · ".join(named) + " ms", "note"))
    parts.append(_text(WIDTH - 118, y + 14, quantity.milliseconds(took), "value", "end"))
    parts.append(_text(WIDTH - 52, y + 14, quantity.milliseconds(row.expected), "dim", "end"))
    big = (row.lost or 0.0) >= 0.001
    lost_text = quantity.milliseconds(row.lost, signed=True)
    parts.append(_text(WIDTH - 4, y + 14, lost_text, "strong" if big else "name", "end"))


def _path(parts: list[str], rows: Sequence[StageRow], at: _Scale, top: float) -> None:
    """The critical path as one line along the feet of its bars."""
    steps = sorted(
        (begin, end, index) for index, row in enumerate(rows) for begin, end in row.on_path if end > begin
    )
    points = [
        f"{at.x(x):.1f},{top + index * ROW + ROW - 2:.1f}"
        for begin, end, index in steps
        for x in (begin, end)
    ]
    if points:
        parts.append(f'<polyline points="{" ".join(points)}" class="path"/>')


def _lines(view: FrameView, key: str, at: _Scale, factor: float) -> list[Line]:
    window = view.gpu_window_seconds or 0.0
    of_gpu = key.startswith("gpu")
    found = around(view.series.get(key, ()), view.due, at.start, at.end, window if of_gpu else 0.0)
    return [
        Line(line.name, line.unit, line.x, [None if y is None else y * factor for y in line.y])
        for line in (as_wide_as_its_window(one, window) if of_gpu else one for one in found)
        if any(y is not None for y in line.y)
    ]


def _load(parts: list[str], view: FrameView, at: _Scale, y: float) -> float:
    load = _lines(view, "gpu_utilization", at, 100.0)[:1]
    if not load:
        return y
    height = 54.0
    unit = "%, simulated" if view.gpu_simulated else "%"
    _lane_head(parts, f"{gpu_title(view.gpu_id)} load", unit, 100, y, height)
    for line, style in (
        (load[0], "fill:var(--fs-gpu-work);fill-opacity:0.55"),
        *(
            (one, "fill:var(--fs-gpu-contention);fill-opacity:0.75")
            for one in _lines(view, "gpu_others", at, 100)[:1]
        ),
    ):
        for xs, ys in lanes.segments(line):
            points = _steps(xs, ys, at, y, height, 100.0)
            first, last = points[0].split(",")[0], points[-1].split(",")[0]
            foot = f"{y + height:.1f}"
            parts.append(
                f'<polygon points="{first},{foot} {" ".join(points)} {last},{foot}" style="{style}"/>'
            )
    if view.series.get("gpu_others"):
        parts.append(_text(WIDTH - RIGHT + 8, y + 12, "GW load in all", "note"))
        parts.append(_text(WIDTH - RIGHT + 8, y + 28, "GS of it by others", "note"))
    if view.gpu_window_seconds:
        said = f"one reading covers {view.gpu_window_seconds * 1e3:.0f} ms"
        parts.append(_text(WIDTH - RIGHT + 8, y + 46, said, "dim"))
    return y + height + 16


def _steps(
    xs: Sequence[float], ys: Sequence[float], at: _Scale, y: float, height: float, top: float
) -> list[str]:
    points: list[str] = []
    before: float | None = None
    for x, value in zip(xs, ys, strict=True):
        level = y + height - min(max(value / top, 0.0), 1.0) * height
        if before is not None:
            points.append(f"{at.x(x):.1f},{before:.1f}")
        points.append(f"{at.x(x):.1f},{level:.1f}")
        before = level
    return points


def _lane_head(parts: list[str], title: str, unit: str, top: float, y: float, height: float) -> None:
    parts.append(_text(4, y + 11, title, "strong"))
    parts.append(_text(4, y + 26, unit, "dim"))
    parts.append(_text(LEFT - 8, y + 9, quantity.whole(top), "dim", "end"))
    parts.append(_text(LEFT - 8, y + height, "0", "dim", "end"))
    parts.append(_line(LEFT, y + height, WIDTH - RIGHT, y + height, "grid"))


def _lane(parts: list[str], title: str, unit: str, drawn: Sequence[Line], at: _Scale, y: float) -> float:
    if not drawn:
        return y
    height = 40.0
    kind = "clock" if unit == "MHz" else "depth"
    top = lanes.round_up(max(value or 0.0 for line in drawn for value in line.y) * 1.1)
    _lane_head(parts, title, unit, top, y, height)
    for number, line in enumerate(drawn[:4]):
        for xs, ys in lanes.segments(line):
            points = " ".join(_steps(xs, ys, at, y, height, top))
            parts.append(f'<polyline points="{points}" class="{kind} series s{number}"/>')
        last = next(value for value in reversed(line.y) if value is not None)
        many = len(drawn) > 1
        said = f"{line.name} {quantity.whole(last)}" if many else quantity.whole(last)
        parts.append(
            _line(
                WIDTH - RIGHT + 8,
                y + 8 + number * 14,
                WIDTH - RIGHT + 26,
                y + 8 + number * 14,
                f"{kind} series s{number}",
            )
        )
        parts.append(_text(WIDTH - RIGHT + 32, y + 12 + number * 14, said[:24], "note"))
    return y + max(height, min(len(drawn), 4) * 14) + 16


def _frame_itself(view: FrameView, at: _Scale, foot: float) -> Iterator[str]:
    latency, budget = view.item.latency_seconds, view.budget_seconds
    edges: list[tuple[float, str, str]] = [(0.0, "start", "edge")]
    if latency is not None:
        shaded = "fill:var(--fs-ink);fill-opacity:0.055"
        yield _rect(at.x(0.0), at.x(latency), HEAD - 4, foot - HEAD, shaded)
        edges.append((latency, f"end {latency * 1e3:.1f}", "edge"))
        if budget is not None and latency > budget:
            yield _rect(at.x(budget), at.x(latency), HEAD - 4, foot - HEAD, shaded)
    if budget is not None and at.start < budget < at.end:
        edges.append((budget, f"budget {budget * 1e3:.1f}", "budget"))
    placed: list[float] = []
    for x, text, kind in sorted(edges, key=lambda edge: edge[2] != "budget"):
        yield _line(at.x(x), HEAD - 4, at.x(x), foot - 4, kind)
        if all(abs(at.x(x) - other) > 64 for other in placed):
            yield _text(at.x(x), HEAD - 9, text, "dim", "middle")
            placed.append(at.x(x))


def _ticks(at: _Scale, foot: float) -> Iterator[str]:
    step = lanes.tick_step((at.end - at.start) * 1e3)
    first = int(at.start * 1e3 // step) + 1
    last = int(at.end * 1e3 // step)
    for number in range(first, last + 1):
        x = at.x(number * step / 1e3)
        unit = " ms" if number == last else ""
        yield _line(x, HEAD, x, foot - 4, "grid")
        yield _text(x, foot + 12, f"{number * step:g}".replace("-", "−") + unit, "dim", "middle")


def _patterns(rows: Sequence[StageRow]) -> str:
    causes = {theme.drawn_as(cause) for row in rows for cause, seconds in row.lost_by_cause if seconds > 0}
    return "".join(_pattern(cause) for cause in sorted(causes))


def _pattern(cause: str) -> str:
    colour, kind = cause_style(cause), theme.look(cause).pattern
    over = 'style="stroke:var(--fs-surface);stroke-opacity:0.45;stroke-width:1.6;fill:none"'
    marks = {
        "": "",
        "/": f'<path d="M-2,2 L2,-2 M0,8 L8,0 M6,10 L10,6" {over}/>',
        ".": '<circle cx="2" cy="2" r="1.2" style="fill:var(--fs-surface);fill-opacity:0.5"/>'
        '<circle cx="6" cy="6" r="1.2" style="fill:var(--fs-surface);fill-opacity:0.5"/>',
        "-": f'<path d="M0,4 H8" {over}/>',
        "|": f'<path d="M4,0 V8" {over}/>',
        "+": f'<path d="M0,4 H8 M4,0 V8" {over}/>',
        "x": f'<path d="M0,0 L8,8 M8,0 L0,8" style="stroke:{colour};stroke-opacity:0.75;fill:none"/>',
    }[kind]
    ground = f"fill:{colour}" + (";fill-opacity:0.12" if kind == "x" else "")
    return (
        f'<pattern id="p-{cause}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" style="{ground}"/>{marks}</pattern>'
    )
