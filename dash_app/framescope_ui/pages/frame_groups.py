"""Slow frames in groups on the Slow frames page: a line a cause, a stage, or a value of an attribute."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from dash import html

from framescope_ui.figures import quantity, theme
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.frame_groups import Group

SHARE_WIDTH_REM = 6.0
"""The bar of a group whose frames were all slow, or that has all of the lost time."""


def groups_card(groups: Sequence[Group], viewer: Viewer) -> list[Part]:
    """The card; nothing where nothing is grouped, a sentence where there is nothing to group by."""
    if viewer.group is None:
        return []
    title = {"cause": "By main cause", "stage": "By the stage that lost most", "attribute": "By attribute"}
    if not groups:
        return [
            elements.card(title[viewer.group], html.P(_why_none(viewer), className="fs-dim"), id="groups")
        ]
    if viewer.group == "attribute":
        body: Part = [
            html.Section(
                [html.H3(name, className="fs-title"), _table(list(some), viewer, name)],
                className="fs-group",
            )
            for name, some in groupby(groups, key=lambda one: one.of or "")
        ]
        note = "all frames of the range, kept or not; choose a value to look at its frames"
    else:
        body = _table(groups, viewer, title[viewer.group])
        note = "most time lost first; choose one to look at its frames"
    return [elements.card(title[viewer.group], body, note=note, id="groups")]


def _why_none(viewer: Viewer) -> str:
    if viewer.group == "attribute":
        return (
            "No frame of this range tells what it was of. Give frames attributes where they begin: "
            'pipeline.frame(mode="doppler", depth=4).'
        )
    return "There is no slow frame to group."


def _table(groups: Sequence[Group], viewer: Viewer, caption: str) -> Part:
    of_all = all(one.frames is not None for one in groups)
    most = max((one.lost_seconds for one in groups), default=0.0) or 1.0
    head = ["", *(["Frames"] if of_all else []), "Slow", *(["Slow, %"] if of_all else []), "Median, ms",
            "Lost, s", "", "Main cause"]  # fmt: skip
    rows: list[list[Part]] = []
    for one in groups:
        share = [] if one.slow_share is None else [quantity.percent(one.slow_share)]
        rows.append(
            [
                _named(one, viewer),
                *([quantity.whole(one.frames)] if of_all else []),
                quantity.whole(one.slow),
                *(share if of_all else []),
                quantity.milliseconds(one.median_seconds),
                f"{one.lost_seconds:.2f}",
                _bar(one, most),
                quantity.UNKNOWN if one.main_cause is None or not one.slow else elements.chip(one.main_cause),
            ]
        )
    numbers = range(1, len(head) - 2)
    return elements.table(head, rows, caption=f"Slow frames: {caption}", right=tuple(numbers), wide=True)


def _named(one: Group, viewer: Viewer) -> Part:
    if viewer.group == "cause":
        return html.A(elements.chip(one.name), href=viewer.with_(cause=one.name, group=None).href())
    if viewer.group == "stage":
        return html.A(one.name, href=viewer.with_(stage=one.name, group=None).href())
    chosen = viewer.with_(cohort=(one.of or "", one.name), group=None)
    return html.A(one.name, href=chosen.href())


def _bar(one: Group, most_seconds: float) -> Part:
    width = SHARE_WIDTH_REM * one.lost_seconds / most_seconds
    return html.Span(
        html.Span(
            className=f"fs-part {elements.cause_class(one.main_cause)}", style={"width": f"{width:.2f}rem"}
        ),
        className="fs-bar",
        title=f"{one.lost_seconds:.2f} s lost, most by {theme.title(one.main_cause)}",
        **{"aria-hidden": "true"},
    )
