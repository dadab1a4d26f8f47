"""Correlate's selection: which frames are meant, as chips that take each condition away again."""

from __future__ import annotations

from typing import Any

from dash import html

from framescope_ui.figures import quantity, theme
from framescope_ui.pages import elements
from framescope_ui.pages.correlate_words import latency_words, slow_words, within_words
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.correlate_views import Correlation, Selection


def selection_of(viewer: Viewer) -> Selection:
    """What the address selects."""
    ms = viewer.latency_ms
    return Selection(
        cause=viewer.cause,
        latency=None if ms is None else (ms[0] / 1e3, ms[1] / 1e3),
        cohort=viewer.cohort,
        within=viewer.within,
        frames=viewer.frames,
    )


def not_told(viewer: Viewer) -> list[str]:
    """What the address selects and this page cannot (sentences)."""
    told = []
    if viewer.stage is not None:
        told.append(
            "Which stage lost most is known of frames kept whole only: frames are meant whether or not it "
            f"was {viewer.stage}."
        )
    if viewer.outcome not in ("slow", "any"):
        told.append(
            f"This page holds slow frames against the others: the outcome {viewer.outcome} is not chosen."
        )
    return told


def selection_line(found: Correlation, viewer: Viewer, fixed: Viewer) -> Part:
    """The conditions in force, each a link that drops it, and the way to the frames themselves."""
    meant = found.selection
    parts: list[Part] = []

    def drop(text: str, id: str, **without: Any) -> None:
        parts.append(
            html.A(
                [text, html.Span("×", **{"aria-hidden": "true"})],
                href=viewer.with_(**without).href(),
                className="fs-filter fs-chosen",
                id=id,
                title="Without this",
            )
        )

    if viewer.start is not None:
        between = f"{quantity.moment(found.start)} to {quantity.moment(found.end)}"
        drop(between, "drop-range", start=None, end=None)
    if meant.frames:
        many = len(meant.frames)
        drop(f"{quantity.whole(many)} picked frame{'s' if many > 1 else ''}", "drop-frames", frames=())
    if meant.cause is not None:
        drop(f"slow by {theme.title(meant.cause)}", "drop-cause", cause=None)
    if meant.latency is not None:
        drop(latency_words(meant.latency), "drop-latency", latency_ms=None)
    if meant.cohort is not None:
        drop(f"{meant.cohort[0]} = {meant.cohort[1]}", "drop-cohort", cohort=None)
    if meant.within is not None:
        drop(within_words(found), "drop-within", within=None)
    frames = html.A(
        f"{quantity.whole(found.slow)} {slow_words(meant)} of {quantity.whole(found.frames)} frames",
        href=fixed.with_(signal=None, within=None, than=None).href("/frames"),
        className="fs-filter",
        id="to-frames",
    )
    hint = "" if viewer.phone or not found.frames else "Draw a box on a chart to select frames."
    return html.Div(
        [
            html.Nav([frames, *parts], className="fs-chips", **{"aria-label": "Selected frames"}),
            html.P([*not_told(viewer), hint], className="fs-dim") if hint or not_told(viewer) else None,
        ],
        className="fs-filters",
        id="selection",
    )


def unselected(viewer: Viewer) -> Viewer:
    """The same page of all frames."""
    return viewer.without_filters().with_(within=None, signal=viewer.signal)


def nothing_left(found: Correlation, viewer: Viewer) -> Part:
    """No frame fits the selection."""
    return elements.notice(
        "Each condition above can be taken away by itself.",
        *found.missing,
        html.A("All frames of the range", href=unselected(viewer).href(), id="unselect"),
    )
