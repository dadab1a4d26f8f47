"""The Live page: is it well now, and what is it doing to its budget."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from dash import html

from framescope.judge.gpu import HELD_BY
from framescope.signals import LOSSES
from framescope_ui.figures import quantity, theme
from framescope_ui.figures.live import gpu_title, live_figure
from framescope_ui.figures.readings import readings_figure
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.limits import limits
from framescope_ui.pages.viewer import RANGES, Viewer
from framescope_ui.questions.sources import missing
from framescope_ui.questions.views import GpuNow, Live

MISSING = (
    (
        "kept",
        "{total} slow frames were counted but not kept whole: more were slow than the keep budget takes.",
    ),
    ("frame", "At least {total} frames are missing from these counts: {why}."),
    ("delivery", "At least {total} kept frames were counted but did not arrive: {why}."),
    ("part", "Left out of frames that are counted: {why}."),
    ("reading", "Readings beside the frames that are missing: {why}."),
)
"""What is said of the losses of each kind; one that an emitter of another make names itself is a part."""
MOST_LATEST = 7
MOST_CAUSES = 8
MOST_LISTED_MARKS = 50
MOST_MARKED = 300
"""A snapshot marks at most this many slow frames; then the chart says so."""


def live_page(live: Live, viewer: Viewer) -> list[Part]:
    """The whole page for one snapshot."""
    return [
        html.H1("Live", className="fs-only-read"),
        html.Div(tiles(live), id="live-tiles", className="fs-tiles"),
        html.Div(alerts(live), id="live-alerts"),
        html.Div(
            [
                html.Div([chart_card(live, viewer), *readings_card(live, viewer)], className="fs-wide"),
                html.Div(side(live, viewer), id="live-side", className="fs-side"),
            ],
            className="fs-columns fs-columns-8-4",
        ),
        html.Div(limits(live.health.sources), id="live-limits"),
    ]


def alerts(live: Live) -> list[Part]:
    """What limits the numbers on this page: losses, faults, sources that are away."""
    found: list[Part] = []
    for source in live.health.sources:
        if missing(source):
            since = f" since {quantity.moment(source.since)}" if source.since is not None else ""
            what = "does not answer" if source.status == "away" else "answers with an error"
            found.append(elements.notice(f"{source.name} {what}{since}.", source.reason, kind="trouble"))
    if live.frames_late_seconds is not None:
        found.append(
            elements.notice(
                f"The newest frames are shown {quantity.duration_text(live.frames_late_seconds)} late.",
                "Until the trace store has caught up, rates and latencies are those of the metrics.",
                kind="trouble",
            )
        )
    losses: dict[str, list[tuple[str, float]]] = {}
    for reason, count in live.losses:
        losses.setdefault(LOSSES[reason].of if reason in LOSSES else "part", []).append((reason, count))
    lost = []
    for said, reasons in (
        *((said, losses.get(kind, ())) for kind, said in MISSING),
        ("framescope itself failed in places; the frames go on: {why}.", live.faults),
    ):
        if reasons:
            total = quantity.whole(sum(count for _, count in reasons))
            why = ", ".join(
                f"{reason.replace('_', ' ')} {quantity.whole(count)}" for reason, count in reasons
            )
            lost.append(said.format(total=total, why=why))
    if lost:
        found.append(html.Div([html.P(one) for one in lost], className="fs-notes", role="status"))
    return found


def tiles(live: Live) -> list[Part]:
    """The key numbers."""
    over = {reason.signal: reason for reason in live.health.reasons}

    def tile(name: str, value: str, unit: str, note: Part, *signals: str) -> html.Div:
        limit = next((over[signal] for signal in signals if signal in over), None)
        kind = "" if limit is None else f" fs-tile-{elements.STATE_CLASS[live.health.state]}"
        head: list[Part] = [name]
        if limit is not None:
            head.insert(0, elements.icon(f"state-{elements.STATE_CLASS[live.health.state]}"))
        return html.Div(
            [
                html.Div(head, className="fs-tile-name"),
                html.Div(
                    [html.Span(value, className="fs-num"), html.Span(unit, className="fs-unit")],
                    className="fs-tile-value",
                ),
                html.Div(note, className="fs-tile-note"),
            ],
            className="fs-tile" + kind,
        )

    budget = "" if live.budget_seconds is None else f"budget {quantity.milliseconds(live.budget_seconds)} ms"
    target = "" if live.target_fps is None else f"target {quantity.rate(live.target_fps)}"
    gap = ""
    if live.sync_gap is not None:
        gap = f"{quantity.rate(live.sync_gap)} /s fewer" if live.sync_gap >= 0.05 else "as many as in"
        gap += f", {live.sync_trend}" if live.sync_trend is not None else ""
    slow = ""
    if live.slow_share is not None and live.fps_out is not None:
        slow = f"about {quantity.whole(live.slow_share * live.fps_out * 60)} per minute"
    fullest = max(live.queues, key=lambda queue: queue.dropped_per_minute or 0.0, default=None)
    full = ""
    if fullest is not None and fullest.dropped_per_minute:
        why = f": {_words(fullest.drop_reasons[0][0])}" if fullest.drop_reasons else ""
        full = f"{fullest.name} queue{why}"
    memory = (
        "" if live.memory_utilization is None else f"memory {quantity.percent(live.memory_utilization)} %"
    )
    shown: list[Part] = [
        tile("Frames in", quantity.rate(live.fps_in), "/s", target),
        tile("Frames out", quantity.rate(live.fps_out), "/s", gap, "fps_out"),
        tile("Latency, median", quantity.milliseconds(live.latency_p50), "ms", budget),
        tile("Latency, p99", quantity.milliseconds(live.latency_p99), "ms", budget, "latency_p99"),
        tile("Slow frames", quantity.percent(live.slow_share), "%", slow, "slow_share"),
        tile("Dropped", quantity.whole(live.dropped_per_minute), "/min", full),
    ]
    if live.missed_per_minute is not None:
        shown.insert(
            1,
            tile("Lost before", quantity.whole(live.missed_per_minute), "/min", "gaps in its numbers"),
        )
    for gpu in live.gpus[:2]:
        warm = "" if gpu.temperature_celsius is None else f"{quantity.whole(gpu.temperature_celsius)} °C"
        note = elements.simulated_tag() if gpu.simulated else warm
        shown.append(
            tile(f"{gpu_title(gpu.id)} load", quantity.percent(gpu.utilization), "%", note, "gpu_utilization")
        )
    shown.append(tile("CPU", quantity.percent(live.cpu_utilization), "%", memory))
    return shown


def figure_of(live: Live, viewer: Viewer) -> go.Figure:
    """The page's figure as this viewer sees it."""
    return live_figure(live, viewer.theme, viewer.window_seconds, phone=viewer.phone, minimal=viewer.minimal)


def readings_of(live: Live, viewer: Viewer) -> go.Figure | None:
    """The second figure; None in the minimal mode, and where there is nothing to draw."""
    if viewer.minimal:
        return None
    return readings_figure(live, viewer.theme, viewer.window_seconds, phone=viewer.phone)


def readings_card(live: Live, viewer: Viewer) -> list[Part]:
    """Clocks, memory, temperature and power of each GPU, and the user's own numbers."""
    figure = readings_of(live, viewer)
    if figure is None:
        return []
    return [
        elements.card(
            "Device readings and custom numbers" if live.gpus else "Custom numbers",
            elements.chart(figure, readings_finding(live), id="live-readings-figure"),
            note="a lane each",
        )
    ]


def readings_finding(live: Live) -> str:
    """What the second figure shows, in one sentence."""
    told: list[str] = []
    for gpu in live.gpus:
        clock = None if gpu.clock_hz is None else gpu.clock_hz / 1e6
        told.append(
            f"{gpu_title(gpu.id)}: clock {quantity.whole(clock)} MHz, "
            f"{quantity.whole(gpu.temperature_celsius)} °C, {quantity.whole(gpu.power_watts)} W"
        )
    told += [f"{name} {value:.4g}" for name, value in live.custom]
    return "; ".join(told) or "No reading now."


def finding(live: Live) -> str:
    """What the figure shows, in one sentence."""
    return (
        f"Latency median {quantity.milliseconds(live.latency_p50)} ms, "
        f"p99 {quantity.milliseconds(live.latency_p99)} ms, "
        f"budget {quantity.milliseconds(live.budget_seconds)} ms; "
        f"{len(live.slow_marks)} slow frames in this window."
    )


def chart_card(live: Live, viewer: Viewer) -> Part:
    """The lanes, with the legend of causes."""
    return elements.card(
        RANGES[viewer.range][0] if viewer.start is None else "Chosen range",
        [
            elements.chart(figure_of(live, viewer), finding(live), id="live-figure"),
            html.Div(marks(live), id="live-marks"),
        ],
        note=html.Div(legend(live), id="live-legend", className="fs-legend"),
        grow=True,
    )


def marks(live: Live) -> list[Part]:
    """The change markers of the window, newest first: not every name has room in the chart."""
    if not live.marks:
        return []
    newest = sorted(live.marks, reverse=True)[:MOST_LISTED_MARKS]
    rows = [[quantity.clock(time), text] for time, text in newest]
    return [
        html.Details(
            [
                html.Summary(f"Change markers: {quantity.whole(len(live.marks))}"),
                elements.table((f"Time, {quantity.zone_name()}", "What"), rows, caption="Change markers"),
            ],
            className="fs-as-table",
        )
    ]


def legend(live: Live) -> list[Part]:
    """The causes met in the window, by how often."""
    causes = [mark.cause for mark in live.slow_marks]
    met = sorted(set(causes), key=causes.count, reverse=True)[:6]
    if not met:
        return [html.Span("no slow frame in this window")]
    return [
        html.Span(
            f"the newest {MOST_MARKED} slow frames, by main cause:"
            if len(live.slow_marks) >= MOST_MARKED
            else "a slow frame, by main cause:"
        ),
        *(
            html.Span(
                [
                    html.Span(
                        theme.look(cause).glyph,
                        className=f"fs-mark fs-c-{elements.known_cause(cause)}",
                        **{"aria-hidden": "true"},
                    ),
                    html.Abbr(theme.code(cause), title=theme.title(cause)),
                ]
            )
            for cause in met
        ),
    ]


def side(live: Live, viewer: Viewer) -> list[Part]:
    """The right column."""
    if viewer.minimal:
        return [_latest(live, viewer)]
    parts: list[Part] = [_lost(live)]
    parts.append(_queues(live) if live.queues else _teach("Queues", NO_QUEUES))
    parts += [_gpu(gpu) for gpu in live.gpus] or [_teach("GPU", NO_GPU)]
    if not live.custom and not live.counted:
        parts.append(_teach("Custom", NO_CUSTOM))
    else:
        parts.append(
            elements.card(
                "Custom",
                elements.definition(
                    [
                        (name, elements.number(f"{value:,.4g}".replace(",", "\u202f") + unit))
                        for numbers, unit in ((live.custom, ""), (live.counted, " / min"))
                        for name, value in numbers
                    ]
                ),
            )
        )
    parts.append(_latest(live, viewer))
    return parts


NO_QUEUES: Sequence[Part] = (
    "None is watched. ",
    html.Code('pipeline.watch_queue(queue, "gpu")'),
    " shows its depth, what it drops and how long it holds producers back.",
)
NO_GPU: Sequence[Part] = (
    "No readings of one. ",
    html.Code("framescope doctor"),
    " says what this machine gives, and how to allow the rest.",
)
NO_CUSTOM: Sequence[Part] = (
    html.Code('pipeline.gauge("score", 0.93)'),
    " shows a number of your own here, as a lane and in the interface.",
)


def _teach(title: str, text: Sequence[Part]) -> Part:
    """A card of what there is none of, with the way to it."""
    return elements.card(title, html.P(list(text), className="fs-dim"))


def _lost(live: Live) -> Part:
    if not live.lost_by_cause:
        return elements.card(
            "Time lost to slow frames",
            html.P("None in the last minute.", className="fs-dim"),
            note="ms per second, by cause",
        )
    most = max(seconds for _, seconds in live.lost_by_cause) or 1.0
    named, others = live.lost_by_cause[:MOST_CAUSES], live.lost_by_cause[MOST_CAUSES:]
    rows = [
        html.Div(
            [
                html.Span(theme.title(cause), className="fs-lost-name"),
                html.Span(
                    [
                        html.Span(
                            className=f"fs-part {elements.cause_class(cause)}",
                            style={"width": f"{max(82 * seconds / most, 1):.2f}%"},
                        ),
                        html.Span(theme.code(cause), className="fs-code"),
                    ],
                    className="fs-lost-bar",
                ),
                html.Span(quantity.milliseconds(seconds), className="fs-num"),
            ],
            className="fs-lost",
        )
        for cause, seconds in named
    ]
    if others:
        rest = quantity.milliseconds(sum(seconds for _, seconds in others))
        rows.append(
            html.Div(
                [html.Span(f"{len(others)} others"), html.Span(), html.Span(rest, className="fs-num")],
                className="fs-lost",
            )
        )
    total = html.Div(
        [
            html.Span("All causes"),
            html.Span(),
            html.Span(
                quantity.milliseconds(sum(s for _, s in live.lost_by_cause)), className="fs-num fs-strong"
            ),
        ],
        className="fs-lost fs-total",
    )
    return elements.card("Time lost to slow frames", [*rows, total], note="ms per second, by cause")


def _queues(live: Live) -> Part:
    rows = []
    for queue in live.queues:
        share = queue.depth / queue.capacity if queue.depth is not None and queue.capacity else 0.0
        holds = f" of {quantity.whole(queue.capacity)}" if queue.capacity is not None else ""
        rows.append(
            [
                queue.name,
                html.Span(
                    [
                        html.Span(
                            html.Span(style={"width": f"{min(share, 1) * 100:.0f}%"}), className="fs-fill"
                        ),
                        html.Span(quantity.whole(queue.depth) + holds, className="fs-num"),
                    ],
                    className="fs-depth",
                ),
                html.Span(
                    [
                        html.Span(quantity.whole(queue.dropped_per_minute), className="fs-num"),
                        *(
                            html.Span(f"{_words(why)} {quantity.whole(n)}", className="fs-why-dropped")
                            for why, n in queue.drop_reasons[:3]
                        ),
                    ],
                ),
                elements.number(quantity.milliseconds(queue.blocked_seconds_per_second)),
            ]
        )
    return elements.card(
        "Queues",
        elements.table(
            ("Queue", "Depth", "Dropped /min", "Blocked, ms/s"), rows, caption="Queues now", right=(2, 3)
        ),
        note="now, and per minute",
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


GPU_STATES = {
    "degraded": "had an error",
    "failed": "lost: it does not answer",
    "predicted_failure": "its memory is failing",
}
"""States of a GPU that are worth a word."""


def _gpu(gpu: GpuNow) -> Part:
    pairs: list[tuple[Part, Part]] = []
    for process in list(gpu.processes)[:4]:
        cause = "gpu_work" if process.ours else "gpu_contention"
        name = "this pipeline" if process.ours else process.name
        pairs.append(
            (
                html.Span([elements.swatch(cause), name], className="fs-chip"),
                elements.number(quantity.percent(process.utilization), "%"),
            )
        )
    memory, memory_unit = quantity.memory(gpu.memory_used_bytes, gpu.memory_total_bytes)
    clock = None if gpu.clock_hz is None else gpu.clock_hz / 1e6
    pairs += [
        ("Load", elements.number(quantity.percent(gpu.utilization), "%")),
        ("Clock", elements.number(quantity.whole(clock), "MHz")),
        ("Memory", elements.number(memory, memory_unit)),
        ("Temperature", elements.number(quantity.whole(gpu.temperature_celsius), "°C")),
        ("Power", elements.number(quantity.whole(gpu.power_watts), "W")),
        ("Throttled", elements.number(quantity.milliseconds(gpu.throttled_seconds_per_second), "ms/s")),
    ]
    if gpu.throttle_reasons:
        pairs.append(
            ("Limited by", ", ".join(HELD_BY.get(reason, reason) for reason in gpu.throttle_reasons))
        )
    if gpu.state in GPU_STATES:
        pairs.append(("State", html.Span(GPU_STATES[gpu.state], className="fs-strong")))
    title: list[Part] = [f"GPU {gpu.id} "]
    if gpu.simulated:
        title.append(elements.simulated_tag())
    return elements.card(title, elements.definition(pairs), note=gpu.name)


def _latest(live: Live, viewer: Viewer) -> Part:
    every = html.A("all slow frames", href=viewer.href("/frames"))
    if not live.latest_slow:
        return elements.card("Latest slow frames", html.P("None yet.", className="fs-dim"), note=every)
    rows = [
        [
            quantity.clock(item.start, fraction=True),
            html.A(
                quantity.whole(item.frame_id) if item.frame_id is not None else item.trace_id[:8],
                href=viewer.frame_href(item.trace_id),
            ),
            html.Span(quantity.milliseconds(item.overrun_seconds, signed=True), className="fs-num"),
            elements.chip(item.cause),
        ]
        for item in list(live.latest_slow)[:MOST_LATEST]
    ]
    return elements.card(
        "Latest slow frames",
        elements.table(
            (f"Time, {quantity.zone_name()}", "Frame", "Over, ms", "Main cause"),
            rows,
            caption="Latest slow frames",
            right=(2,),
        ),
        note=every,
    )
