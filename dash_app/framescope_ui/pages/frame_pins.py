"""The Frame page's pin: a button, a note that stays with the frame, and the list of pinned frames."""

from __future__ import annotations

from dash import html

from framescope_ui.figures import quantity
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.frame_beside import Beside
from framescope_ui.pages.viewer import Viewer
from framescope_ui.pins import LONGEST_NOTE, MOST_PINS, Pin
from framescope_ui.questions.views import FrameView
from framescope_ui.reports.frame_words import stamp

MOST_LISTED = 8


def pin_button(view: FrameView, beside: Beside) -> list[Part]:
    """Pin or unpin; nothing where pins cannot be kept, which the list says."""
    if beside.no_pins:
        return []
    pinned = beside.pin is not None
    return [
        html.Button(
            "Unpin" if pinned else "Pin",
            className="fs-button",
            id="pin",
            title="Its note and copy are deleted"
            if pinned
            else "Keep this frame, with a note, beyond the store's retention",
            **{
                "data-trace": view.item.trace_id,
                "data-pinned": "yes" if pinned else "no",
                "data-noted": "yes" if beside.pin is not None and beside.pin.note else "no",
            },
        )
    ]


def note_card(view: FrameView, beside: Beside) -> list[Part]:
    """The note of a pinned frame, to read and to write."""
    said = html.P(id="pin-said", className="fs-said", role="status")
    pin = beside.pin
    if pin is None:
        return [] if beside.no_pins else [said]
    kept = (
        "A copy is kept: the frame stays here when the store deletes it."
        if pin.copied
        else "It is too large for a copy: it goes when the store deletes it."
    )
    note = f"pinned {stamp(pin.pinned)}"
    if pin.changed != pin.pinned:
        note += f", written {stamp(pin.changed)}"
    return [
        elements.card(
            "Note",
            [
                html.Label(
                    "What is worth knowing about this frame", htmlFor="note", className="fs-only-read"
                ),
                html.Div(
                    html.Textarea(
                        pin.note,
                        id="note",
                        key=f"{view.item.trace_id}-{pin.changed}",
                        maxLength=LONGEST_NOTE,
                        rows=min(max(pin.note.count("\n") + 1, 2), 8),
                        className="fs-note-field",
                        placeholder="What is worth knowing about this frame",
                        **{"data-trace": view.item.trace_id},
                    ),
                ),
                html.Div(
                    [html.Button("Save note", className="fs-button", id="note-save"), said],
                    className="fs-note-row",
                ),
                html.P(kept, className="fs-dim"),
            ],
            note=note,
            id="pinned-note",
        )
    ]


def pinned_card(view: FrameView, viewer: Viewer, beside: Beside) -> list[Part]:
    """The pinned frames, this one marked."""
    if beside.no_pins:
        return [elements.card("Pinned frames", html.P(beside.no_pins, className="fs-dim"), id="pinned")]
    if not beside.pins:
        return []
    rows = [_row(pin, view, viewer) for pin in beside.pins]
    body: list[Part] = [html.Ul(rows[:MOST_LISTED], className="fs-pins")]
    if len(rows) > MOST_LISTED:
        more = html.Ul(rows[MOST_LISTED:], className="fs-pins")
        body.append(html.Details([html.Summary(f"{len(rows) - MOST_LISTED} more"), more]))
    count = f"{len(rows)} of at most {MOST_PINS}"
    return [elements.card("Pinned frames", body, note=count, id="pinned")]


def _row(pin: Pin, view: FrameView, viewer: Viewer) -> Part:
    frame = pin.frame
    name = "Trace" if frame.frame_id is None else f"Frame {quantity.whole(frame.frame_id)}"
    here = frame.trace_id == view.item.trace_id
    first = pin.note.splitlines()[0] if pin.note else frame.sentence
    line: Part = html.A(name, href=viewer.with_(other=None).frame_href(frame.trace_id))
    if here:
        line = html.Strong(f"{name}, this one")
    return html.Li(
        [
            html.Div([line, html.Span(quantity.duration_text(frame.latency_seconds), className="fs-num")]),
            html.Div(first, className="fs-pin-first"),
            html.Div(
                [
                    f"{frame.service}, {stamp(frame.start)}",
                    *(
                        []
                        if here
                        else [
                            " · ",
                            html.A(
                                "compare",
                                href=viewer.with_(other=frame.trace_id).href(),
                                **{"aria-label": f"Compare with {name}"},
                            ),
                        ]
                    ),
                ],
                className="fs-dim",
            ),
        ]
    )
