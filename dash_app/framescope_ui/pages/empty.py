"""What the pages show while there is nothing to show: how frames come here, or where the last ones are."""

from __future__ import annotations

from dash import html

from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.views import Live

INSTRUMENT = """import framescope

pipeline = framescope.Pipeline("camera", target_fps=60, budget_ms=16)
grab, infer = pipeline.stages("grab", "infer")
while True:
    with pipeline.frame():
        with grab: ...
        with infer: ..."""
SEND = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"


def nothing_yet(live: Live) -> list[Part]:
    """No pipeline has ever been heard of: what is listening, and what to do."""
    return [
        html.H1("No frames yet.", className="fs-sentence"),
        html.P(_sentence(live.health.text), className="fs-dim"),
        elements.card(
            "Three ways on",
            html.Ol(
                [
                    _step(
                        "See it work. ",
                        [html.Code("framescope demo"), " runs a real pipeline that is disturbed on purpose."],
                    ),
                    _step(
                        "Instrument yours, ",
                        ["with the time a frame may take and the stages it goes through:"],
                        INSTRUMENT,
                    ),
                    _step(
                        "Send here. ",
                        [
                            "The framescope store takes OTLP on ports 4318 (HTTP) and 4317 (gRPC) unless it "
                            "was started with others; with stores of your own, send to your collector.",
                        ],
                        SEND,
                    ),
                ],
                className="fs-first-steps",
            ),
        ),
        html.P(
            [
                "Frames are sent and none is here? ",
                html.Code("framescope doctor --send-test"),
                " follows one from the recorder to this page and says where it ends. This page fills by "
                "itself as soon as a frame arrives.",
            ],
            className="fs-dim",
        ),
    ]


def nothing_in_range(live: Live, viewer: Viewer) -> list[Part]:
    """The Live page of a pipeline that sent nothing in the range."""
    last_day = viewer.without_filters().with_(range="24h", start=None, end=None, paused=None)
    return [
        html.H1(f"No frame of {viewer.pipeline} arrived in this range.", className="fs-sentence"),
        elements.notice(
            _sentence(live.health.text),
            html.Span(
                [
                    "When it last ran: ",
                    html.A("the last hour", href=viewer.with_(range="1h", start=None, end=None).href("/")),
                    ", or ",
                    html.A("slow frames of the last 24 hours", href=last_day.href("/frames")),
                    ". This page goes on by itself as soon as a frame arrives.",
                ]
            ),
        ),
    ]


def _step(name: str, told: list[Part], code: str | None = None) -> Part:
    return html.Li(
        [
            html.P([html.Strong(name), *told]),
            html.Pre(html.Code(code), tabIndex=0) if code is not None else None,
        ]
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
