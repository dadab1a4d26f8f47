"""Correlate before and after: slow frames on two sides, cause by cause."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from dash import dcc, html

from framescope_ui.figures import quantity, theme
from framescope_ui.pages import elements
from framescope_ui.pages.correlate_table import wrapping_table
from framescope_ui.pages.correlate_words import CHANCE, CLASSES, interval_text, ratio, share_of
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.correlate_views import CauseChange, Change, Correlation

DAY, WEEK = 86_400.0, 604_800.0


def changes_card(found: Correlation, viewer: Viewer, fixed: Viewer) -> Part:
    """Two ranges, either side of each change marker, versions."""
    parts: list[Part] = [compare_with(found, viewer, fixed)]
    for change in sorted(found.changes, key=lambda one: (one.kind != "ranges", -one.after[0])):
        parts += [html.H3(change_words(change), className="fs-strong"), _change_table(change, fixed)]
    if not found.changes:
        parts.append(
            elements.notice(
                "No change in this range has a minute of frames on both sides.",
                'pipeline.mark("deployed 1.4") sets a marker, and the resource attribute service.version '
                "tells versions apart; then this tells what they did to slow frames, cause by cause. "
                "Or compare with another range.",
            )
        )
    return elements.card(
        "Before and after", parts, note="share of frames slow, 95 % interval of the ratio", id="changes"
    )


def compare_with(found: Correlation, viewer: Viewer, fixed: Viewer) -> Part:
    """Other ranges to compare this one with, each a link; and any other by its ends."""
    length = found.end - found.start
    links = []
    for text, back, id in (
        ("The range before", length, "than-before"),
        ("A day earlier", DAY, "than-day"),
        ("A week earlier", WEEK, "than-week"),
    ):
        than = (found.start - back, found.end - back)
        chosen = viewer.than is not None and abs(viewer.than[0] - than[0]) < 0.01
        links.append(
            html.A(
                text,
                href=fixed.with_(than=than).href(),
                className="fs-filter" + (" fs-chosen" if chosen else ""),
                id=id,
                **({"aria-current": "true"} if chosen else {}),
            )
        )
    if viewer.than is not None:
        links.append(html.A("No other range", href=viewer.with_(than=None).href(), id="than-none"))
    return html.Div(
        [
            html.Nav(links, className="fs-chips", **{"aria-label": "Compare with"}),
            html.Div(
                [
                    _time_field(
                        "than-start",
                        f"Another range, from ({quantity.zone_name()})",
                        viewer.than and viewer.than[0],
                    ),
                    _time_field("than-end", f"to ({quantity.zone_name()})", viewer.than and viewer.than[1]),
                    html.Button("Compare", id="than-compare", className="fs-button", type="button"),
                    html.Span(id="than-said", role="status", className="fs-dim"),
                ],
                className="fs-choices",
            ),
        ],
        className="fs-filters",
    )


def _time_field(id: str, label: str, value: float | None) -> Part:
    """A field for a time."""
    told = "" if value is None else f"{quantity.local(value):%Y-%m-%d %H:%M:%S}"
    field = dcc.Input(id=id, type="text", value=told, placeholder="2026-01-31 14:05", className="fs-field")
    return html.Label([html.Span(label), field], className="fs-field-frame")


def other_range(start: str | None, end: str | None, zone: tzinfo = UTC) -> tuple[float, float] | str:
    """The range these texts mean, in unix seconds; or what is wrong with them, and what to write. A time that
    names no zone is in ``zone``."""
    ends = []
    for name, text in (("from", start), ("to", end)):
        try:
            told = datetime.fromisoformat((text or "").strip())
        except ValueError:
            return f"{name}: {(text or '').strip()[:40]!r} is no time. Write 2026-01-31 14:05."
        ends.append((told if told.tzinfo is not None else told.replace(tzinfo=zone)).timestamp())
    if ends[0] >= ends[1]:
        return "The range ends before it begins: swap the two times."
    return ends[0], ends[1]


def change_words(change: Change) -> str:
    """What a change did, in a sentence."""
    whole = change.causes[0]
    at = change_title(change)
    later = {"marker": "after it", "versions": "with it", "ranges": "in the later"}[change.kind]
    earlier = {"marker": "before it", "versions": "before it", "ranges": "in the earlier"}[change.kind]
    if whole.interval is None:
        return f"{at}: too few slow frames to compare."
    if not whole.claimed:
        return f"{at}: a difference in slow frames may be chance."
    if whole.ratio is None:
        return f"{at}: slow frames came only {later}."
    if whole.ratio == 0:
        return f"{at}: slow frames came only {earlier}."
    return f"{at}: slow frames {ratio(whole.ratio)} as likely {later}."


def change_title(change: Change) -> str:
    """What is compared."""
    if change.kind == "marker":
        return f"{change.text}, {quantity.moment(change.after[0])}"
    if change.kind == "versions":
        return f"Version {change.text}"
    sides = (change.before, change.after)
    return " and ".join(
        f"{quantity.local(start):%Y-%m-%d} {quantity.clock(start)} to {quantity.moment(end)}"
        for start, end in sides
    )


def _change_table(change: Change, fixed: Viewer) -> Part:
    rows: list[list[Part]] = []
    for one in change.causes:
        who = "All slow frames" if one.cause is None else theme.title(one.cause)
        shown = fixed.with_(cause=one.cause, signal=None, within=None, than=None)
        before, after = (
            html.A(
                f"{quantity.percent(share_of(slow, frames))} %",
                href=shown.with_(start=side[0], end=side[1]).href("/frames"),
                title=f"{who}: the frames",
            )
            for slow, frames, side in (
                (one.slow_before, change.frames_before, change.before),
                (one.slow_after, change.frames_after, change.after),
            )
        )
        name: Part = who if one.cause is None else elements.chip(one.cause, code=False)
        rows.append([name, before, after, _ratio_words(one)])
    of_before, of_after = quantity.whole(change.frames_before), quantity.whole(change.frames_after)
    head = ("Cause", f"Before, of {of_before}", f"After, of {of_after}", "Ratio, 95 % interval")
    made = wrapping_table(head, rows, caption=change_words(change), right=(1, 2, 3))
    for row, one in zip(made.children.children[2].children, change.causes, strict=True):
        row.className = CLASSES[one.claimed]
    return made


def _ratio_words(one: CauseChange) -> str:
    """1.4×, 1.2 to 1.8; may be chance."""
    if one.interval is None:
        return "too few"
    told = f"{ratio(one.ratio)}, {interval_text(one.interval)}"
    return told if one.claimed else f"{told}; {CHANCE}"
