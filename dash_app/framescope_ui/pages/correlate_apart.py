"""Correlate's list of what sets slow frames apart."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html

from framescope_ui.figures import quantity
from framescope_ui.pages import elements
from framescope_ui.pages.correlate_table import wrapping_table
from framescope_ui.pages.correlate_words import CHANCE, CLASSES, value_text
from framescope_ui.pages.elements import Part
from framescope_ui.questions.correlate_views import Correlation, Difference

SHOWN_DIFFERENCES = 10
NOT_BROKEN = "\u00a0"
"""Between a number and its unit, in narrow columns."""
NOT_TESTED = "Told and not tested: too few frames, or too close together in time, to tell it from chance."
DELTA = "δ: how much oftener than not a slow frame has the greater value, −1 to 1; the values are medians."


def apart_card(found: Correlation) -> Part:
    """What sets slow (or picked) frames apart, the clearest first."""
    who = "picked" if found.selection.frames else "slow"
    head = ("Where they differ", "On time", who.capitalize(), "Effect")
    if not found.differences:
        body: Part = elements.notice(
            "Nothing to compare yet.",
            'Give frames attributes: pipeline.frame(mode="B", depth=4) lets them be compared by it.',
        )
    else:
        claimed = [one for one in found.differences if one.claimed]
        others = [one for one in found.differences if one.p is not None and not one.claimed]
        untested = [one for one in found.differences if one.p is None]
        body = []
        if claimed:
            body.append(_apart_table(claimed[:SHOWN_DIFFERENCES], "What sets them apart", head))
        elif not untested:
            body.append(html.P("Nothing stands out: every difference may be chance."))
        body += _more(claimed[SHOWN_DIFFERENCES:], "more", head) + _more(
            others, f"more, which {CHANCE}", head
        )
        if untested:
            body.append(html.P(NOT_TESTED))
            body.append(_apart_table(untested[:SHOWN_DIFFERENCES], "Told and not tested", head))
            body += _more(untested[SHOWN_DIFFERENCES:], "more", head)
    slow, on_time = quantity.whole(found.sampled_slow), quantity.whole(found.sampled_on_time)
    kept = f"{slow} {who} and {on_time} on-time frames kept whole"
    if any(one.value is None for one in found.differences):
        body = [*body, html.P(DELTA, className="fs-dim")]
    return elements.card(
        f"What sets {who} frames apart", body, note=f"signals of all frames, the rest of {kept}"
    )


def _more(rest: Sequence[Difference], words: str, head: Sequence[str]) -> list[Part]:
    if not rest:
        return []
    summary = html.Summary(f"{quantity.whole(len(rest))} {words}")
    return [html.Details([summary, _apart_table(rest, words.capitalize(), head)], className="fs-as-table")]


def _apart_table(differences: Sequence[Difference], caption: str, head: Sequence[str]) -> Part:
    rows = []
    for one in differences:
        name = one.title if one.value is None else f"{one.title} {_condition(one)}"
        rows.append([name, _side(one, one.on_time), _side(one, one.slow), _effect(one)])
    made = wrapping_table(head, rows, caption=caption, right=(1, 2, 3))
    for row, one in zip(made.children.children[2].children, differences, strict=True):
        row.className = CLASSES[one.claimed]
    return made


def _condition(one: Difference) -> str:
    value = one.value or ""
    return f"above {value_text(float(value[2:]), one.unit)}" if one.kind == "signal" else f"= {value}"


def _side(one: Difference, value: float) -> str:
    told = f"{quantity.percent(value)} %" if one.value is not None else value_text(value, one.unit)
    return told.replace(" ", NOT_BROKEN)


def _effect(one: Difference) -> str:
    if one.value is not None:
        points = one.effect * 100
        text = (
            f"{'+' if points > 0 else ''}{quantity.grouped(points, 0 if abs(points) >= 9.95 else 1)} points"
        )
    else:
        text = f"{'+' if one.effect > 0 else ''}{quantity.grouped(one.effect, 2)} δ"
    return text.replace(" ", NOT_BROKEN)
