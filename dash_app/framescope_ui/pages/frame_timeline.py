"""The Frame page's pictures over time: its neighbours, its stages, and where they were in their code."""

from __future__ import annotations

from dash import html

from framescope_ui.figures import quantity
from framescope_ui.figures.frame import neighbours_figure, shown_rows, waterfall_figure
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.views import FrameView, StageRow
from framescope_ui.reports.frame_words import seen_times, stage_name

FEW_LOOKS = 5
"""Fewer samples than this say where a stage was seen, and little about shares of its time."""


def neighbours_card(view: FrameView, viewer: Viewer) -> Part:
    """The frames before and after it."""
    every = view.neighbours
    slow = sum(1 for outcome in every.outcome if outcome == "slow") if every else 0
    return elements.card(
        "Neighbouring frames",
        elements.chart(
            neighbours_figure(view, viewer.theme, phone=viewer.phone),
            f"The frames before and after this one; {slow} of them were slow.",
            id="neighbours",
        ),
        note="every frame; slow ones in their main cause's colour; those kept whole open on a click",
    )


def waterfall_card(view: FrameView, viewer: Viewer) -> Part:
    """The stages over threads and queues, with GPU and queues on the same axis, and the stacks."""
    rows = shown_rows(view, every=viewer.every_row, phone=viewer.phone)
    hidden = len(view.stages) - len(rows)
    longest = max(view.stages, key=lambda row: row.end - row.start, default=None)
    finding = f"{len(view.stages)} stages" + (
        f"; the longest is {longest.name} with {quantity.milliseconds(longest.end - longest.start)} ms"
        if longest
        else ""
    )
    table = elements.table(
        ("Stage", "Kind", "Thread", "Starts, ms", "Took, ms", "Expected", "Lost", "Critical path, ms"),
        [
            [
                stage_name(row),
                row.kind,
                row.thread or quantity.UNKNOWN,
                quantity.milliseconds(row.start),
                quantity.milliseconds(row.end - row.start),
                quantity.milliseconds(row.expected),
                quantity.milliseconds(row.lost, signed=True),
                quantity.milliseconds(sum(end - begin for begin, end in row.on_path))
                if row.on_path
                else quantity.UNKNOWN,
            ]
            for row in view.stages[:200]
        ],
        caption="Stages of this frame",
        wide=True,
        right=(3, 4, 5, 6, 7),
    )
    body: list[Part] = []
    if view.stages:
        body.append(
            elements.chart(
                waterfall_figure(view, viewer.theme, every_row=viewer.every_row, phone=viewer.phone),
                finding,
                id="waterfall",
                table=table,
            )
        )
    else:
        body.append(html.P("This frame has no stages.", className="fs-dim"))
    if hidden > 0:
        body.append(html.A(f"Show all {len(view.stages)}", href=viewer.with_(every_row=True).href()))
    if not view.foreign and not view.series.get("gpu_utilization"):
        body.append(
            html.P(
                'GPU load: not measured around this frame. "framescope doctor" says which readings this '
                "machine gives.",
                className="fs-dim",
            )
        )
    body += [
        html.P(f"{row.name} failed: {row.message or 'no reason given'}", className="fs-failed")
        for row in view.stages
        if row.status == "error"
    ]
    body += [_whereabouts(row) for row in view.stages[:200] if row.stacks]
    legend: list[Part] = [
        html.Span([html.Span(className="fs-swatch fs-pale", **{"aria-hidden": "true"}), "expected part"]),
        html.Span("lost: full colour of its cause"),
    ]
    if any(row.on_path for row in view.stages):
        legend.append(
            html.Span([html.Span(className="fs-path-swatch", **{"aria-hidden": "true"}), "critical path"])
        )
    if view.gpu_simulated:
        legend.insert(0, elements.simulated_tag())
    return elements.card(
        "This trace, span by span" if view.foreign else "This frame, stage by stage",
        body,
        note=html.Div(legend, className="fs-legend"),
    )


def _whereabouts(row: StageRow) -> Part:
    """Where a stage's thread was seen in its Python code after it had taken its usual time."""
    looks = sum(seen for _, seen in row.stacks)
    times = "once" if looks == 1 else f"{looks} times"
    usual = (
        "longer than usual" if row.expected is None else f"its usual {quantity.milliseconds(row.expected)} ms"
    )
    few = " So few looks tell where it was, not for how long." if looks < FEW_LOOKS else ""
    return html.Details(
        [
            html.Summary(f"Where {row.name} was, seen {times} after its usual time"),
            html.P(
                f"{seen_times(row)} of this stage alone, taken once it had run {usual}; nothing is known of "
                f"the time before.{few}",
                className="fs-dim",
            ),
            html.Ol(
                [
                    html.Li(
                        html.Details(
                            [
                                html.Summary([html.Code(innermost(stack)), f" ×{seen} of {looks}"]),
                                html.Pre(stack),
                            ]
                        )
                    )
                    for stack, seen in row.stacks
                ]
            ),
        ],
        className="fs-stacks",
    )


def innermost(stack: str) -> str:
    """The call a stack ends in. A remark in brackets below it is about the stack, and no call."""
    calls = [line for line in stack.splitlines() if line and not line.startswith("(")]
    return calls[-1] if calls else stack


def attributes_of(view: FrameView) -> list[Part]:
    """What the spans carry, folded."""
    if not view.attributes:
        return []
    pairs: list[tuple[Part, Part]] = [(name, html.Code(value)) for name, value in view.attributes]
    summary = html.Summary(f"{len(pairs)} attributes")
    return [html.Details([summary, elements.definition(pairs)], className="fs-card fs-attributes")]
