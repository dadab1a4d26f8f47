"""The Frame page: one sentence about one frame, and its proof."""

from __future__ import annotations

from dash import html

from framescope_ui.figures.live import gpu_title
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.frame_beside import Beside
from framescope_ui.pages.frame_compare import compare_card
from framescope_ui.pages.frame_evidence import evidence_card
from framescope_ui.pages.frame_pins import note_card, pin_button, pinned_card
from framescope_ui.pages.frame_shares import shares_card
from framescope_ui.pages.frame_take_away import take_away
from framescope_ui.pages.frame_timeline import attributes_of, neighbours_card, waterfall_card
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.views import FrameView
from framescope_ui.reports.frame_words import frame_name, key_facts, split_headline
from framescope_ui.reports.frame_words import headline as headline
from framescope_ui.reports.frame_words import overrun_shares as overrun_shares


def frame_page(view: FrameView, viewer: Viewer, beside: Beside | None = None) -> list[Part]:
    """One frame, whole; ``beside`` is what is shown with it that is not its own."""
    beside = beside or Beside()
    side: list[Part] = [
        *([evidence_card(view.verdict, viewer)] if view.verdict is not None else []),
        *pinned_card(view, viewer, beside),
    ]
    return [
        _head(view, viewer, beside),
        _headline(view),
        _key_numbers(view),
        *(elements.notice(sentence, kind="trouble") for sentence in view.missing),
        *note_card(view, beside),
        *([shares_card(view.verdict)] if view.verdict is not None else []),
        html.Div(
            [
                html.Div(
                    [
                        *([neighbours_card(view, viewer)] if view.neighbours else []),
                        waterfall_card(view, viewer),
                        *([] if view.foreign else [compare_card(view, viewer, beside)]),
                        *attributes_of(view),
                    ],
                    className="fs-wide",
                ),
                *([html.Div(side, className="fs-side")] if side else []),
            ],
            className="fs-columns fs-columns-9-3" if side else "fs-columns",
        ),
    ]


def unknown_page(trace_id: str, viewer: Viewer) -> list[Part]:
    """An id no store knows: what an id is, why it may be gone, and the way back."""
    return [
        _breadcrumb("Unknown frame", viewer),
        html.H1("No frame is stored under this id.", className="fs-sentence"),
        elements.notice(
            f"Asked for: {trace_id[:80]}",
            "A frame's id is its trace id: 32 hexadecimal digits, as they stand in its address and in the "
            "list of slow frames.",
            "Only frames that were kept whole have a page: every slow, late, failed or dropped one, their "
            "neighbours, and a sample of the others. They are deleted when the store's retention ends, and a "
            "frame shows up here a few seconds after it ended.",
            html.A("Back to the slow frames", href=viewer.href("/frames")),
        ),
    ]


def _breadcrumb(name: str, viewer: Viewer, trace_id: str = "") -> html.Nav:
    back = viewer.href("/frames")
    if trace_id:  # picked in the list again
        back += f"{'&' if '?' in back else '?'}frame={trace_id}"
    parts: list[Part] = [
        html.A("Slow frames", href=back, id="back"),
        html.Span("/", className="fs-dim", **{"aria-hidden": "true"}),
        html.Span(name),
    ]
    if trace_id:
        parts.append(html.Code(f"trace {trace_id[:16]}", title=trace_id))
    return html.Nav(parts, className="fs-crumbs", **{"aria-label": "Breadcrumb"})


def _head(view: FrameView, viewer: Viewer, beside: Beside) -> Part:
    def step(trace_id: str | None, text: str, key: str, id: str) -> Part:
        inside = [text, html.Kbd(key)]
        if trace_id is None:
            return html.Span(inside, className="fs-button fs-off", **{"aria-disabled": "true"})
        return html.A(inside, href=viewer.frame_href(trace_id), className="fs-button", id=id)

    return html.Div(
        [
            _breadcrumb(frame_name(view), viewer, view.item.trace_id),
            html.Div(
                [
                    step(view.earlier_slow, "Earlier slow frame", "[", "earlier"),
                    step(view.later_slow, "Later slow frame", "]", "later"),
                    *pin_button(view, beside),
                    take_away(view, viewer, beside),
                    html.Button("Copy link", className="fs-button", id="copy-link"),
                ],
                className="fs-actions",
            ),
        ],
        className="fs-frame-head",
    )


def _headline(view: FrameView) -> html.H1:
    first, rest = split_headline(headline(view))
    return html.H1([html.Strong(first), f" {rest}" if rest else ""], className="fs-sentence")


def _key_numbers(view: FrameView) -> html.Dl:
    pairs: list[Part] = []
    for fact in key_facts(view):
        value: Part = elements.number(fact.value, fact.unit, strong=True)
        if view.gpu_simulated and fact.title == gpu_title(view.gpu_id):
            value = html.Span([value, elements.simulated_tag()])
        pairs.append(html.Div([html.Dt(fact.title), html.Dd(value)]))
    return html.Dl(pairs, className="fs-key-line")
