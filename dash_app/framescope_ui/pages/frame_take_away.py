"""The Frame page's ways out: a ticket's text, files, and the same trace in other tools."""

from __future__ import annotations

import time
from urllib.parse import quote

from dash import html

from framescope_ui.pages.elements import Part
from framescope_ui.pages.frame_beside import Beside
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.views import FrameView
from framescope_ui.reports.frame_file import frame_file
from framescope_ui.reports.frame_words import file_name


def take_away(view: FrameView, viewer: Viewer, beside: Beside) -> Part:
    """A menu that opens in place."""
    path = f"{viewer.base}/api/frames/{quote(view.item.trace_id, safe='')}"
    note = beside.pin.note if beside.pin is not None else ""
    size = len(frame_file(view, time.time(), note).encode()) / 1000

    def file(text: str, about: str, form: str, ending: str, id: str) -> Part:
        href = path if form == "json" else f"{path}?format={form}"
        return html.Li(
            [
                html.A(text, href=href, download=file_name(view, ending), id=id, className="fs-strong"),
                html.Div(about, className="fs-dim"),
            ]
        )

    return html.Details(
        [
            html.Summary(["Take away", html.Kbd("e")], className="fs-button", id="take-away"),
            html.Div(
                [
                    html.Ul(
                        [
                            html.Li(
                                [
                                    html.Button(
                                        "Copy as Markdown",
                                        id="copy-markdown",
                                        className="fs-plain-button fs-strong",
                                        **{"data-from": f"{path}?format=markdown"},
                                    ),
                                    html.Div(
                                        "for a ticket", className="fs-dim", id="copy-said", role="status"
                                    ),
                                ]
                            ),
                            file(
                                f"HTML file, {size:.0f} kB",
                                "opens without a network",
                                "html",
                                "html",
                                "save-html",
                            ),
                            file(
                                "Perfetto trace",
                                "for ui.perfetto.dev: it is opened there by you",
                                "perfetto",
                                "perfetto.json",
                                "save-perfetto",
                            ),
                            file("Raw JSON", "as the REST interface tells it", "json", "json", "json"),
                        ]
                    ),
                    _elsewhere(view, beside),
                ],
                className="fs-ways-out",
            ),
        ],
        className="fs-take-away",
    )


def _elsewhere(view: FrameView, beside: Beside) -> Part:
    if not beside.links:
        return html.P(
            "No other tool is linked. links.grafana, links.tempo or links.jaeger in the configuration lead "
            "to this trace there.",
            className="fs-dim",
            id="no-links",
        )
    return html.Ul(
        [
            html.Li(
                html.A(
                    f"This trace in {link.name}",
                    href=link.href(view),
                    target="_blank",
                    rel="noopener noreferrer",
                    className="fs-strong",
                )
            )
            for link in beside.links
        ],
        id="links",
    )
