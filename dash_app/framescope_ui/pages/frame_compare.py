"""The Frame page's comparison: with what is expected, or with any other frame, differences first."""

from __future__ import annotations

from collections.abc import Sequence

from dash import dcc, html

from framescope_ui.figures import quantity
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.frame_beside import Beside
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.frame_compare import Comparison, Pair
from framescope_ui.questions.views import FrameItem, FrameView

MOST_STAGES = 12
MOST_READINGS = 10
"""Rows shown at once; the rest on request."""
MOST_CHOICES = 30


def compare_card(view: FrameView, viewer: Viewer, beside: Beside) -> Part:
    """What to compare with, the finding, and both tables."""
    body: list[Part] = [_choices(view, viewer, beside)]
    found = beside.comparison
    if beside.not_compared:
        body.append(
            elements.notice(
                beside.not_compared,
                html.A("Compare with the expected frame", href=viewer.with_(other=None).href()),
                kind="trouble",
            )
        )
    elif found is not None:
        body += _found(found, viewer)
    note = "the expected frame" if viewer.other is None else "another frame"
    return elements.card("Compared with", body, note=note, id="compare")


def _choices(view: FrameView, viewer: Viewer, beside: Beside) -> Part:
    def named(item: FrameItem) -> str:
        number = "Trace" if item.frame_id is None else f"Frame {quantity.whole(item.frame_id)}"
        outcome = (item.outcome or "").replace("_", " ")
        return f"{number}, {quantity.duration_text(item.latency_seconds)} {outcome}".strip()

    def at(trace_id: str | None) -> str:
        return viewer.with_(other=trace_id).href()

    options: dict[str, str] = {at(None): "the expected frame"}
    options |= {at(one): text for one, text in (
        (view.earlier_slow, "the slow frame before"), (view.later_slow, "the slow frame after"),
    ) if one is not None}  # fmt: skip
    near = sorted(view.kept_near, key=lambda item: abs(item.start - view.due))[:MOST_CHOICES]
    for item in sorted(near, key=lambda one: one.start):
        options.setdefault(at(item.trace_id), named(item))
    for pin in beside.pins[:MOST_CHOICES]:
        if pin.frame.trace_id != view.item.trace_id:
            number = "Trace" if pin.frame.frame_id is None else f"Frame {quantity.whole(pin.frame.frame_id)}"
            options.setdefault(at(pin.frame.trace_id), f"{number}, pinned")
    if viewer.other is not None:
        options.setdefault(viewer.href(), f"frame of trace {viewer.other[:8]}")
    return html.Div(
        [
            elements.select(
                "Frame", [(text, href) for href, text in options.items()], viewer.href(), id="with"
            ),
            html.Form(
                [
                    html.Label("or the id of any frame", htmlFor="compare-id"),
                    dcc.Input(
                        id="compare-id",
                        type="text",
                        placeholder="trace id, or a frame's address",
                        autoComplete="off",
                        spellCheck=False,
                        maxLength=2000,
                    ),
                    html.Button("Compare", className="fs-button", type="submit", id="compare-go"),
                ],
                id="compare-form",
                className="fs-compare-form",
            ),
            html.P(id="compare-said", className="fs-said", role="status"),
        ],
        className="fs-compare-choices",
    )


def _found(found: Comparison, viewer: Viewer) -> list[Part]:
    finding: list[Part] = [html.Strong(found.sentence)]
    other = "expected"
    if found.other is not None:
        item = found.other.item
        other = "other"
        name = "the other trace" if item.frame_id is None else f"frame {quantity.whole(item.frame_id)}"
        finding += [" ", html.A(f"Open {name}", href=viewer.with_(other=None).frame_href(item.trace_id))]
    scale = max((abs(pair.difference or 0.0) for pair in found.stages), default=0.0)
    rows = [_row(pair, scale) for pair in (found.whole, *found.stages)]
    tables: list[Part] = [html.P(finding, className="fs-finding")]
    tables += _table(
        ("Stage", "this, ms", f"{other}, ms", "difference", f"bar: up to {quantity.milliseconds(scale)} ms"),
        rows,
        MOST_STAGES + 1,
        "Stages of both frames",
        "stages",
    )
    if found.readings:
        tables += _table(
            ("Reading", "this", other, "difference"),
            [_row(pair, None) for pair in found.readings],
            MOST_READINGS,
            "Readings of both frames",
            "readings",
        )
    else:
        tables.append(html.P("No readings are there to be compared.", className="fs-dim"))
    return tables


def _table(
    head: Sequence[str], rows: Sequence[Sequence[Part]], most: int, caption: str, what: str
) -> list[Part]:
    right = (1, 2, 3)
    made: list[Part] = [elements.table(head, rows[:most], caption=caption, right=right, wide=True)]
    if len(rows) > most:
        rest = elements.table(head, rows[most:200], caption=f"{caption}, continued", right=right, wide=True)
        made.append(html.Details([html.Summary(f"{len(rows) - most} more {what}"), rest]))
    return made


def _row(pair: Pair, scale: float | None) -> list[Part]:
    name: Part = pair.name if pair.stage is None else f"{pair.name} in {pair.stage}"
    if scale is None:
        cells = [_reading(value, pair.unit) for value in (pair.this, pair.other)]
        return [name, *cells, _reading(pair.difference, pair.unit, signed=True)]
    times = [quantity.milliseconds(value) for value in (pair.this, pair.other)]
    difference = quantity.milliseconds(pair.difference, signed=True)
    if pair.name == "latency":
        return [html.Strong("the whole frame"), *times, html.Strong(difference), ""]
    return [name, *times, difference, _bar(pair.difference, scale)]


def _reading(value: float | None, unit: str, *, signed: bool = False) -> str:
    if value is None:
        return quantity.UNKNOWN
    if signed and unit == "1":
        points = value * 100
        return f"{'+' if points > 0 else ''}{quantity.grouped(points, 1 if abs(points) < 9.95 else 0)} points"
    number, of = quantity.reading(value, unit)
    of = "" if unit == "{item}" else of
    return f"{'+' if signed and value > 0 else ''}{number} {of}".strip()


def _bar(difference: float | None, scale: float) -> Part:
    """Left of the middle: shorter than the other; right: longer."""
    if difference is None or not scale:
        return ""
    share = min(abs(difference) / scale, 1.0) * 50
    left = 50 - share if difference < 0 else 50
    return html.Span(
        html.Span(style={"marginLeft": f"{left:.1f}%", "width": f"{share:.1f}%"}),
        className="fs-apart",
        **{"aria-hidden": "true"},
    )
