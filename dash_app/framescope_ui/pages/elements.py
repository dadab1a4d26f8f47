"""The small pieces every page is made of: cards, chips, numbers with units, notices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from framescope.signals import SOFTWARE_ACCELERATOR
from framescope_ui.figures import theme
from framescope_ui.figures.local_time import localized
from framescope_ui.questions.views import State

Part = Any
"""A Dash component or text; Dash has no type for it."""


def icon(name: str) -> html.Span:
    """One of the icons of ``icons.css``; always beside a word, so silent itself."""
    return html.Span(className=f"fs-icon fs-icon-{name}", **{"aria-hidden": "true"})


def swatch(cause: str | None) -> html.Span:
    """A cause's colour and pattern."""
    return html.Span(className=f"fs-swatch {cause_class(cause)}", **{"aria-hidden": "true"})


def chip(cause: str | None, *, code: bool = True) -> html.Span:
    """Swatch, code and name of a cause."""
    parts: list[Part] = [swatch(cause)]
    if code:
        parts.append(html.Span(theme.code(cause), className="fs-code"))
    parts.append(html.Span(theme.title(cause), className="fs-name"))
    return html.Span(parts, className="fs-chip")


def number(value: str, unit: str = "", *, strong: bool = False) -> html.Span:
    """A number, a thin gap, and its unit in dim ink."""
    parts: list[Part] = [html.Span(value, className="fs-num fs-strong" if strong else "fs-num")]
    if unit:
        parts.append(html.Span(unit, className="fs-unit"))
    return html.Span(parts, className="fs-value")


def card(
    title: Part, body: Part, *, note: Part = None, id: str | None = None, grow: bool = False
) -> html.Section:
    """A card: its title left, its unit or scope in dim ink right."""
    head = html.Div(
        [html.H2(title, className="fs-title"), html.Div(note, className="fs-note") if note else None],
        className="fs-head",
    )
    more = {"id": id} if id else {}
    return html.Section(
        [head, html.Div(body, className="fs-body")],
        className="fs-card" + (" fs-grow" if grow else ""),
        **more,
    )


def simulated_tag() -> html.Span:
    """The dashed tag of a device that is not a GPU."""
    return html.Span("simulated GPU", className="fs-tag", title=SOFTWARE_ACCELERATOR)


def notice(sentence: str, *more: Part, kind: str = "empty") -> html.Div:
    """What is, what that means, what to do."""
    return html.Div(
        [html.P(sentence, className="fs-notice-first"), *(html.P(part) for part in more)],
        className=f"fs-notice fs-notice-{kind}",
        role="status",
    )


SAVED_AS = (("png", "PNG"), ("svg", "SVG"), ("csv", "CSV"), ("json", "JSON"))
"""The files a chart can be saved as: ending, name shown."""


def chart(figure: go.Figure, label: str, *, id: str, table: Part = None) -> html.Figure:
    """A figure with its finding as label, a table behind it, and buttons that save it.

    This is all a page does to have a chart that can be saved: as a picture by Plotly's own means, as CSV or
    JSON of what is drawn (``assets/saving.js``; a row a drawn point). The file's name is made of the pipeline
    that the page is of, ``id`` and the range of the time axis. ``table`` is for who cannot see the chart; not
    given, it is made of the drawn series when it is opened, a row a moment. Point out a frame by its trace id
    as ``customdata``: files and table lead to it. Lanes (``figures.lanes.stack``) name themselves in both.
    """
    # The mode bar's buttons may not stand inside an image, so the image is a sibling that is only read.
    return html.Figure(
        [
            html.Span(id=f"{id}-label", role="img", className="fs-only-read", **{"aria-label": label}),
            dcc.Graph(
                id=id,
                figure=localized(figure),
                config={
                    "displaylogo": False,
                    "displayModeBar": "hover",
                    "responsive": True,
                    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "toImage"],
                },
                style={"height": f"{figure.layout.height}px"},
            ),
            html.Div(
                [
                    html.Details(
                        [
                            html.Summary("Show as a table"),
                            html.Div(className="fs-drawn") if table is None else table,
                        ],
                        className="fs-as-table",
                    ),
                    html.Div(
                        [
                            html.Span("Save", **{"aria-hidden": "true"}),
                            *(
                                html.Button(name, className="fs-save", **{"data-save": ending})
                                for ending, name in SAVED_AS
                            ),
                        ],
                        className="fs-saves",
                        role="group",
                        **{"aria-label": "Save this chart as"},
                    ),
                ],
                className="fs-chart-foot",
            ),
        ],
        className="fs-chart",
        **{"data-chart": id.removesuffix("-figure")},
    )


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Part]],
    *,
    caption: str,
    right: Sequence[int] = (),
    wide: bool = False,
) -> html.Div:
    """A plain table; ``right`` are the columns that hold numbers. A ``wide`` one scrolls in its frame on a
    phone, which the keyboard can reach."""

    def cell(index: int) -> str:
        return "fs-right" if index in right else ""

    return html.Div(
        html.Table(
            [
                html.Caption(caption, className="fs-only-read"),
                html.Thead(
                    html.Tr([html.Th(text, className=cell(i), scope="col") for i, text in enumerate(head)])
                ),
                html.Tbody(
                    [
                        html.Tr([html.Td(part, className=cell(i)) for i, part in enumerate(row)])
                        for row in rows
                    ]
                ),
            ],
            className="fs-table",
        ),
        className="fs-table-frame",
        **({"tabIndex": 0} if wide else {}),
    )


def known_cause(cause: str | None) -> str:
    """The cause whose class of the style sheet this one has."""
    return theme.drawn_as(cause)


def cause_class(cause: str | None) -> str:
    """The classes that give an element a cause's colour and pattern."""
    return f"fs-c-{known_cause(cause)} fs-p-{theme.PATTERN_CLASS[theme.look(cause).pattern]}"


STATE_CLASS: dict[State, str] = {
    "OK": "ok",
    "WARNING": "warning",
    "CRITICAL": "critical",
    "NO DATA": "nodata",
}


def badge(state: State) -> html.Span:
    """A state: icon and word, weight growing with urgency."""
    kind = STATE_CLASS[state]
    return html.Span([icon(f"state-{kind}"), html.Span(state)], className=f"fs-badge fs-badge-{kind}")


def definition(pairs: Sequence[tuple[Part, Part]]) -> html.Dl:
    """Names and values, in pairs."""
    return html.Dl(
        [html.Div([html.Dt(name), html.Dd(value)], className="fs-pair") for name, value in pairs],
        className="fs-pairs",
    )


def select(label: str, options: Sequence[tuple[str, str]], current: str, *, id: str) -> html.Label:
    """A native list of choices; each one's value is the address it leads to."""
    return html.Label(
        [
            html.Span(label, className="fs-select-label"),
            html.Select(
                [
                    html.Option(text, value=href, **({"selected": "selected"} if href == current else {}))
                    for text, href in options
                ],
                id=f"select-{id}",
                className="fs-select",
                key=f"{id}-{current}",
            ),
        ],
        className="fs-select-frame",
    )
