"""Incidents on the Slow frames page: one line a storm, opening to its causes and its frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from framescope_ui.figures import quantity, theme
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.frames_table import phone_row
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.incidents import IncidentItem, Incidents, Trigger
from framescope_ui.questions.views import FrameItem

AT_ONCE = 6
"""Shown without asking: what stands beneath, the strip, is still on the first screen."""
MOST_SHOWN = 40
MARGIN_SECONDS = 1.0
"""Shown on both sides of an incident whose frames are looked at: what was usual before and after."""
SLIVER = 0.02
"""Less than this share of an incident is not drawn: the table beneath has it."""


def incidents_card(found: Incidents, viewer: Viewer) -> list[Part]:
    """The card; nothing where there is no incident."""
    if not found.incidents:
        return []
    shown, older = found.incidents[:AT_ONCE], found.incidents[AT_ONCE:MOST_SHOWN]
    rows = [incident_row(one, viewer) for one in shown]
    body: list[Part] = [
        dcc.Store(id="incidents-of", data={"service": viewer.service, "pipeline": viewer.pipeline}),
        html.Ol(rows, className="fs-incidents", id="incidents"),
    ]
    if older:
        body.append(
            html.Details(
                [
                    html.Summary(f"{quantity.whole(len(older))} older"),
                    html.Ol([incident_row(one, viewer) for one in older], className="fs-incidents"),
                ],
                className="fs-older",
                id="incidents-older",
            )
        )
    return [elements.card(_title(found), body, note=_note(found))]


def _title(found: Incidents) -> str:
    count = len(found.incidents)
    return "1 incident" if count == 1 else f"{quantity.whole(count)} incidents"


def _note(found: Incidents) -> str:
    note = "slow frames that belong together, newest first; bars: shares of the time lost"
    if (beyond := len(found.incidents) - MOST_SHOWN) > 0:
        note += f"; the {quantity.whole(beyond)} oldest are not listed"
    return "; ".join([note, *found.missing])


def incident_row(one: IncidentItem, viewer: Viewer) -> Part:
    """When, why, what it cost and what came before in one line; its causes and frames beneath."""
    start_ms, end_ms = math.floor(one.start * 1e3), math.ceil(one.end * 1e3)
    of = {"start": start_ms, "end": end_ms}
    return html.Li(
        html.Details(
            [
                html.Summary(_line(one), className="fs-incident-line", id={"type": "incident", **of}),
                html.Div(
                    [
                        html.P(one.sentence),
                        html.Div(
                            [
                                _causes(one),
                                html.Div(
                                    html.P("Asking for its longest frames.", className="fs-dim"),
                                    id={"type": "incident-frames", **of},
                                    className="fs-incident-frames",
                                    **{"aria-live": "polite"},
                                ),
                            ],
                            className="fs-incident-parts",
                        ),
                        html.P(html.A("All its frames", href=frames_href(one, viewer))),
                    ],
                    className="fs-incident-inside",
                ),
            ]
        ),
        className="fs-incident",
    )


def frames_href(one: IncidentItem, viewer: Viewer) -> str:
    """The address of an incident's frames, longest first, with what was usual right before and after."""
    inside = viewer.without_filters().with_(
        start=one.start - MARGIN_SECONDS, end=one.end + MARGIN_SECONDS, order="duration"
    )
    return inside.href("/frames")


def _line(one: IncidentItem) -> list[Part]:
    lasted = quantity.duration_text(one.end - one.start)
    dropped = f", {quantity.whole(one.dropped)} dropped" if one.dropped else ""
    return [
        html.Span(f"{quantity.clock(one.start)} – {quantity.moment(one.end)}", className="fs-num fs-when"),
        html.Span(f"at least {lasted}" if one.going_on else lasted, className="fs-num fs-lasted"),
        elements.chip(one.cause),
        _bar(one),
        html.Span(f"{quantity.duration_text(one.lost_seconds)} lost", className="fs-num fs-cost"),
        html.Span(
            f"{quantity.whole(one.slow)} of {quantity.whole(one.frames)} slow{dropped}",
            className="fs-num fs-hit",
        ),
        html.Span(_before(one.trigger), className="fs-trigger", title=_before(one.trigger)),
    ]


def _before(trigger: Trigger | None) -> str:
    if trigger is None:
        return "nothing marked before it"
    when = "right after" if trigger.before_seconds < 1 else f"{trigger.before_seconds:.0f} s after"
    return f"{when} “{trigger.text}”" if trigger.kind == "mark" else f"{when} {trigger.text}"


def _bar(one: IncidentItem) -> Part:
    drawn = [share for share in one.shares if share.lost_seconds > SLIVER * one.lost_seconds]
    label = ", ".join(f"{theme.title(s.cause)} {quantity.duration_text(s.lost_seconds)}" for s in one.shares)
    return html.Span(
        [
            html.Span(
                className=f"fs-part {elements.cause_class(share.cause)}",
                title=f"{theme.title(share.cause)} {quantity.duration_text(share.lost_seconds)}",
                style={"flex": f"{share.lost_seconds / one.lost_seconds:.4f} 1 0"},
            )
            for share in drawn
        ],
        className="fs-bar",
        role="img",
        **{"aria-label": f"Lost to {label}"},
    )


def _causes(one: IncidentItem) -> Part:
    return elements.table(
        ("Cause", "Frames", "Lost, s"),
        [
            (elements.chip(share.cause), quantity.whole(share.frames), f"{share.lost_seconds:.2f}")
            for share in one.shares
        ],
        caption=f"Causes of the incident at {quantity.clock(one.start)}",
        right=(1, 2),
    )


def incident_frames(frames: Sequence[FrameItem], total: int | None, viewer: Viewer) -> Part:
    """The longest frames of an incident that were kept whole."""
    if not frames:
        return html.P("None of its frames was kept whole.", className="fs-dim")
    if viewer.phone:
        return html.Ol([phone_row(item, viewer) for item in frames], className="fs-rows")
    rows: list[list[Any]] = [
        [
            quantity.clock(item.start, fraction=True),
            html.A(quantity.whole(item.frame_id), href=viewer.frame_href(item.trace_id)),
            quantity.milliseconds(item.latency_seconds),
            quantity.milliseconds(item.overrun_seconds, signed=True),
            elements.chip(item.cause),
            item.stage or quantity.UNKNOWN,
        ]
        for item in frames
    ]
    of = f" of {quantity.whole(total)} kept whole" if total is not None else ""
    return elements.table(
        ("Longest first", "Frame", "Latency, ms", "Over, ms", "Main cause", "Stage"),
        rows,
        caption=f"The {quantity.whole(len(frames))} longest frames of the incident{of}",
        right=(2, 3),
    )
