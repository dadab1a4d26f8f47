"""The Frame page's bar of causes: where the milliseconds went."""

from __future__ import annotations

from dash import html

from framescope_ui.figures import quantity, theme
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.questions.views import VerdictView
from framescope_ui.reports.frame_words import overrun_shares, shares_note, shares_title, without_small


def shares_card(verdict: VerdictView) -> Part:
    """The overrun (or what was lost) by cause, to scale."""
    shares = overrun_shares(verdict)
    total = sum(seconds for _, seconds in shares)
    if not total:
        return elements.card(
            "Where the time went", html.P("Nothing was lost against what is expected.", className="fs-dim")
        )
    shown, _ = without_small(shares)
    parts = []
    for cause, seconds in shown:
        narrow = seconds / total < 0.07
        parts.append(
            html.Div(
                [
                    html.Div(
                        []
                        if narrow
                        else [
                            html.Div(f"{quantity.milliseconds(seconds)} ms", className="fs-num fs-strong"),
                            html.Div(theme.title(cause), className="fs-clip"),
                        ],
                        className="fs-share-text",
                    ),
                    html.Div(
                        html.Span(theme.code(cause), className="fs-plate")
                        if seconds / total >= 0.03
                        else None,
                        className=f"fs-share-block {elements.cause_class(cause)}",
                    ),
                ],
                className="fs-share",
                style={"flexGrow": seconds / total * 1000},
                title=f"{theme.title(cause)} {quantity.milliseconds(seconds)} ms",
            )
        )
    label = ", ".join(f"{theme.title(c)} {quantity.milliseconds(s)} ms" for c, s in shares)
    listed = html.Ul(
        [
            html.Li([elements.chip(c), elements.number(quantity.milliseconds(s), "ms", strong=True)])
            for c, s in shown
        ],
        className="fs-share-list",
    )
    return elements.card(
        shares_title(verdict),
        [html.Div(parts, className="fs-shares", role="img", **{"aria-label": label}), listed],
        note=shares_note(verdict),
    )
