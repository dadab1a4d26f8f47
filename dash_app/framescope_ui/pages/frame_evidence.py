"""The Frame page's evidence: measured beside expected, what to do about it, what was ruled out."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html

from framescope.judge.advice import ADVICE
from framescope_ui.figures import quantity, theme
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.views import Considered, EvidenceRow, VerdictView
from framescope_ui.reports.frame_words import confidence_words, evidence_by_cause

MOST_CONSIDERED = 4
"""Causes listed openly under one head; of more the names, and the reasons on request."""


def evidence_card(verdict: VerdictView, viewer: Viewer) -> Part:
    """The readings by cause, what to do, and what was looked at beside them."""
    parts: list[Part] = []
    slivers: list[Part] = []
    for one in evidence_by_cause(verdict):
        (slivers if one.small else parts).append(
            html.Div(
                [
                    html.H3(
                        [
                            elements.chip(one.cause),
                            elements.number(quantity.milliseconds(one.seconds), "ms", strong=True),
                        ]
                    ),
                    *(_evidence_row(stage, row) for stage, row in one.rows),
                    *(
                        html.P(f"lost in {stage}" if stage else "lost between stages", className="fs-dim")
                        for stage in one.only_lost_in
                    ),
                ],
                className="fs-evidence-cause",
            )
        )
    if slivers:
        parts.append(html.Details([html.Summary(f"{len(slivers)} smaller shares"), *slivers]))
    parts += advice_on(verdict.cause)
    parts += _considered("Ruled out", [one for one in verdict.considered if one.status == "ruled_out"])
    parts += _considered("Not measured", [one for one in verdict.considered if one.status == "not_measured"])
    parts.append(
        html.Div(
            [
                html.H3(
                    ["Confidence", elements.number(quantity.confidence(verdict.confidence), strong=True)]
                ),
                html.P(confidence_words(verdict)),
                html.A(
                    f"Frames with {theme.title(verdict.cause)}",
                    href=viewer.with_(cause=verdict.cause, every_row=False, other=None).href("/frames"),
                ),
            ],
            className="fs-evidence-cause",
        )
    )
    return elements.card(
        "Evidence",
        parts,
        note=html.Span([html.Span("measured"), html.Span("expected")], className="fs-evidence-head"),
        id="evidence",
    )


def advice_on(cause: str) -> list[Part]:
    """What to do about a cause, and how far it can be trusted."""
    advice = ADVICE.get(cause)
    if advice is None:
        return []
    return [
        html.Div(
            [
                html.H3("What to do"),
                html.Ol([html.Li(step) for step in advice.steps], className="fs-steps"),
                html.Details(
                    [
                        html.Summary("What it rests on, what can fool it"),
                        html.P(advice.rests_on),
                        html.P(advice.fooled_by),
                    ]
                ),
            ],
            className="fs-evidence-cause",
            id="advice",
        )
    ]


def _evidence_row(stage: str | None, row: EvidenceRow) -> html.Div:
    value, unit = quantity.reading(row.value, row.unit)
    if row.baseline is None:
        expected: Part = quantity.UNKNOWN
    else:
        number, of = quantity.reading(row.baseline, row.unit)
        expected = f"{number} {of}"
    return html.Div(
        [
            html.Span(row.text or row.name, className="fs-evidence-name", title=stage or ""),
            html.Span(f"{value} {unit}", className="fs-num"),
            html.Span(expected, className="fs-num fs-dim"),
        ],
        className="fs-evidence",
    )


def _considered(title: str, found: Sequence[Considered]) -> list[Part]:
    if not found:
        return []
    rows = [
        html.Div(
            [elements.chip(one.cause), html.Span(one.reason, className="fs-reason")],
            className="fs-considered",
        )
        for one in found
    ]
    if len(found) <= MOST_CONSIDERED:
        return [html.Div([html.H3(title), *rows], className="fs-evidence-cause")]
    codes = ", ".join(theme.title(one.cause) for one in found)
    return [
        html.Details(
            [
                html.Summary(
                    [html.Strong(f"{title}: {len(found)}"), html.Span(f" {codes}", className="fs-dim")]
                ),
                *rows,
            ],
            className="fs-evidence-cause fs-folded",
        )
    ]
