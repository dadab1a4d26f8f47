"""Incidents on the Slow frames page: one line a storm, opening to what it is made of."""

from __future__ import annotations

from dash import html

from framescope_ui.figures import quantity
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.incidents import IncidentItem, Incidents

MOST_SHOWN = 20
MARGIN_SECONDS = 1.0
"""Shown on both sides of an incident whose frames are looked at: what was usual before and after."""


def incidents_card(found: Incidents, viewer: Viewer) -> list[Part]:
    """The card; nothing where there is no incident."""
    if not found.incidents:
        return []
    shown = found.incidents[:MOST_SHOWN]
    more = len(found.incidents) - len(shown)
    note = "slow frames that belong together, newest first"
    if more:
        note += f"; {quantity.whole(more)} older ones not shown"
    if found.cut_before is not None:
        note += f"; frames before {quantity.clock(found.cut_before)} UTC were not looked at"
    return [
        elements.card(
            "Incidents",
            html.Ol([incident_row(one, viewer) for one in shown], className="fs-incidents", id="incidents"),
            note=note,
        )
    ]


def incident_row(one: IncidentItem, viewer: Viewer) -> Part:
    """When, why and what it cost in one line; its parts and the way to its frames beneath."""
    inside = viewer.with_(
        start=one.start - MARGIN_SECONDS, end=one.end + MARGIN_SECONDS, cause=None, stage=None
    )
    head = html.Summary(
        [
            html.Span(
                [
                    html.Span(f"{quantity.clock(one.start)} UTC", className="fs-num"),
                    elements.chip(one.cause),
                    html.Span(
                        ("at least " if one.going_on else "") + f"{one.end - one.start:.1f} s",
                        className="fs-num fs-strong",
                    ),
                ],
                className="fs-row-first",
            ),
            html.Span(one.sentence, className="fs-row-second"),
        ]
    )
    return html.Li(
        html.Details(
            [
                head,
                elements.table(
                    ("Cause", "Frames", "Lost, s"),
                    [
                        (
                            elements.chip(share.cause),
                            quantity.whole(share.frames),
                            f"{share.lost_seconds:.2f}",
                        )
                        for share in one.shares
                    ],
                    caption=f"Causes of the incident at {quantity.clock(one.start)}",
                    right=(1, 2),
                ),
                html.P(
                    [
                        html.A("Its frames", href=inside.with_(order="duration").href("/frames")),
                        f"; the worst took {quantity.milliseconds(one.worst_latency_seconds)} ms at "
                        f"{quantity.clock(one.worst_start, fraction=True)}.",
                    ]
                ),
            ]
        ),
        className="fs-incident",
    )
