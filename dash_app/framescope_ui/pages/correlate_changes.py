"""Correlate before and after: slow frames either side of a change, cause by cause."""

from __future__ import annotations

from dash import html

from framescope_ui.figures import quantity
from framescope_ui.pages import elements
from framescope_ui.pages.correlate_table import wrapping_table
from framescope_ui.pages.correlate_words import CHANCE, interval_text, ratio, share_of
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.correlate_views import Change, Correlation


def changes_card(found: Correlation, fixed: Viewer) -> Part:
    """Either side of each change marker."""
    if not found.changes:
        body: Part = elements.notice(
            "No change marker in this range has enough time on both sides.",
            'pipeline.mark("deployed 1.4") sets one; then this tells what it did to slow frames, '
            "cause by cause.",
        )
        return elements.card("Before and after", body, id="changes")
    parts: list[Part] = []
    for change in reversed(found.changes):
        parts += [html.H3(change_words(change), className="fs-strong"), _change_table(change, fixed)]
    return elements.card(
        "Before and after", parts, note="share of frames slow, 95 % interval of the ratio", id="changes"
    )


def change_words(change: Change) -> str:
    """What a change did, in a sentence."""
    whole = change.causes[0]
    at = f"{change.text}, {quantity.moment(change.time)}"
    if whole.interval is None:
        return f"{at}: too few slow frames to compare."
    if not whole.claimed:
        return f"{at}: a difference in slow frames may be chance."
    if whole.ratio is None:
        return f"{at}: slow frames came only after it."
    return f"{at}: slow frames {ratio(whole.ratio)} as likely after it."


def _change_table(change: Change, fixed: Viewer) -> Part:
    rows = []
    for one in change.causes:
        name: Part = "All slow frames" if one.cause is None else elements.chip(one.cause)
        rows.append(
            [
                html.A(
                    name,
                    href=fixed.with_(cause=one.cause, signal=None, start=change.start, end=change.end).href(
                        "/frames"
                    ),
                ),
                f"{quantity.percent(share_of(one.slow_before, change.frames_before))} %",
                f"{quantity.percent(share_of(one.slow_after, change.frames_after))} %",
                ratio(one.ratio),
                interval_text(one.interval),
                "yes" if one.claimed else CHANCE if one.interval is not None else "too few",
            ]
        )
    before, after = quantity.whole(change.frames_before), quantity.whole(change.frames_after)
    head = ("Cause", f"Before, of {before}", f"After, of {after}", "Ratio", "95 % interval", "Finding")
    return wrapping_table(head, rows, caption=change_words(change), right=(1, 2, 3, 4), wide=True)
