"""The frame that is picked in the list, small: its sentence, its shares, its stages, its best evidence."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html

from framescope_ui.figures import quantity, theme
from framescope_ui.figures.frame import shown_rows
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.frame import headline, overrun_shares
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.views import EvidenceRow, FrameView, StageRow, VerdictView

MOST_SHARES = 4
MOST_EVIDENCE = 4
SLIVER = 0.02


def preview_hint() -> list[Part]:
    """What the panel is for, until a frame is picked."""
    return [
        html.H2("Preview", className="fs-title"),
        html.P(
            "Click a row, or go through them with j and k. Enter opens the frame. Several rows (their "
            "boxes, or Ctrl or Shift and a click) can be held against the others.",
            className="fs-dim",
        ),
    ]


def preview_trouble(sentence: str) -> list[Part]:
    """Why the picked frame is not shown."""
    return [html.H2("Preview", className="fs-title"), elements.notice(sentence, kind="trouble")]


def frame_preview(view: FrameView, viewer: Viewer) -> list[Part]:
    """One frame, small."""
    item = view.item
    parts: list[Part] = [
        html.Div(
            [
                html.H2(
                    f"Frame {quantity.whole(item.frame_id)}"
                    if item.frame_id is not None
                    else f"Trace {item.trace_id[:8]}",
                    className="fs-title",
                ),
                html.Div(quantity.moment(item.start, fraction=True), className="fs-note"),
            ],
            className="fs-head",
        ),
        html.P(headline(view), className="fs-preview-sentence"),
    ]
    if view.verdict is not None:
        parts += _shares(view.verdict)
    if view.stages:
        parts.append(_stages(view))
    if view.verdict is not None and (rows := _strongest(view.verdict)):
        parts.append(
            elements.table(
                ("Strongest evidence", "measured", "expected"),
                [
                    (row.text or row.name, _value(row.value, row.unit), _value(row.baseline, row.unit))
                    for row in rows
                ],
                caption="Strongest evidence of this frame",
                right=(1, 2),
            )
        )
    parts += [elements.notice(sentence, kind="trouble") for sentence in view.missing]
    like = viewer.without_filters().with_(cause=item.cause, stage=item.stage, order=viewer.order)
    parts.append(
        html.Div(
            [
                html.A(
                    ["Open frame", html.Kbd("Enter")],
                    href=viewer.frame_href(item.trace_id),
                    className="fs-button fs-main-button",
                    id="preview-open",
                ),
                *(
                    [
                        html.A(
                            "Frames like this",
                            href=like.href("/frames"),
                            className="fs-button",
                            id="preview-like",
                            title=f"{theme.title(item.cause)}" + (f" in {item.stage}" if item.stage else ""),
                        )
                    ]
                    if item.cause is not None
                    else []
                ),
            ],
            className="fs-actions",
        )
    )
    return parts


def _shares(verdict: VerdictView) -> list[Part]:
    shares = overrun_shares(verdict)
    total = sum(seconds for _, seconds in shares)
    if not total:
        return []
    label = ", ".join(f"{theme.title(c)} {quantity.milliseconds(s)} ms" for c, s in shares)
    drawn = [(cause, seconds) for cause, seconds in shares if seconds > SLIVER * total]
    return [
        html.Div(
            [
                html.Span(
                    className=f"fs-part {elements.cause_class(cause)}",
                    style={"flex": f"{seconds / total:.4f} 1 0"},
                )
                for cause, seconds in drawn
            ],
            className="fs-bar fs-preview-bar",
            role="img",
            **{"aria-label": label},
        ),
        html.Ul(
            [
                html.Li([elements.chip(c), elements.number(quantity.milliseconds(s), "ms")])
                for c, s in drawn[:MOST_SHARES]
            ],
            className="fs-preview-shares",
        ),
    ]


def _stages(view: FrameView) -> Part:
    rows = shown_rows(view, every=False)
    end = max([*(row.end for row in rows), view.budget_seconds or 0.0]) or 1.0
    start = min(0.0, *(row.start for row in rows)) if rows else 0.0

    def place(at: float) -> str:
        return f"{100 * (at - start) / (end - start):.2f}%"

    budget: list[Part] = []
    if view.budget_seconds is not None:
        budget.append(html.Span(className="fs-mini-budget", style={"left": place(view.budget_seconds)}))
    lines = [
        html.Li(
            [
                html.Span(row.name, className="fs-mini-name", title=row.name),
                html.Span([*_bar(row, place), *budget], className="fs-mini-lane", **{"aria-hidden": "true"}),
                html.Span(quantity.milliseconds(row.end - row.start), className="fs-num"),
            ],
            className="fs-mini-row" + (" fs-guilty" if row.name == view.item.stage else ""),
        )
        for row in rows
    ]
    hidden = len(view.stages) - len(rows)
    note = [] if view.budget_seconds is None else [f"budget {quantity.milliseconds(view.budget_seconds)}"]
    note += [f"{hidden} shorter ones not shown"] if hidden else []
    return html.Div(
        [
            html.Div(
                [
                    html.H3("Stages, ms", className="fs-title"),
                    html.Div("; ".join(note), className="fs-note"),
                ],
                className="fs-head",
            ),
            html.Ol(lines, className="fs-mini"),
        ]
    )


def _bar(row: StageRow, place: object) -> list[Part]:
    assert callable(place)
    took = row.end - row.start
    parts = [(cause, seconds) for cause, seconds in row.lost_by_cause if seconds > 0]
    known = min(sum(seconds for _, seconds in parts), took)

    def piece(start: float, end: float, look: str) -> html.Span:
        left, right = place(start), place(end)
        return html.Span(
            className=f"fs-mini-part {look}", style={"left": left, "width": f"calc({right} - {left})"}
        )

    kin = theme.KIND_CAUSE.get(row.kind, "unknown")
    drawn = [piece(row.start, row.end - known, f"fs-c-{kin} fs-mini-expected")]
    at = row.end - known
    for cause, seconds in parts:
        until = min(at + seconds, row.end)
        if until > at:
            drawn.append(piece(at, until, elements.cause_class(cause)))
        at = until
    return drawn


def _strongest(verdict: VerdictView) -> Sequence[EvidenceRow]:
    """The readings behind the largest shares, each reading once."""
    found: dict[str, EvidenceRow] = {}
    for share in sorted(verdict.shares, key=lambda one: -one.lost_seconds):
        for row in share.evidence:
            found.setdefault(row.text or row.name, row)
    return list(found.values())[:MOST_EVIDENCE]


def _value(value: float | None, unit: str) -> str:
    return quantity.UNKNOWN if value is None else " ".join(quantity.reading(value, unit)).strip()
