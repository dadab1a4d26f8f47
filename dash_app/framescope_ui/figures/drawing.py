"""A figure on the way: what is added to it as plain values, and a Plotly figure of them at the end.

Plotly checks every property as it is set, and makes what stands there already anew: 125 ms of CPU for Live's
figure of 5 min, 5 this way. The tests have Plotly check whole figures instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import plotly.graph_objects as go

from framescope_ui.figures import theme
from framescope_ui.figures.theme import Theme


class Drawing:
    """What ``go.Figure`` is while it is drawn: its ``add_…`` and ``update_layout``, of plain values."""

    def __init__(self, at: Theme) -> None:
        self._traces: list[dict[str, Any]] = []
        self._shapes: list[dict[str, Any]] = []
        self._layout: dict[str, Any] = {"template": _template(at)}
        self.annotations: list[dict[str, Any]] = []

    def add_scatter(self, **told: Any) -> None:
        """Lines, areas or marks."""
        self._add("scatter", told)

    def add_bar(self, **told: Any) -> None:
        """Bars."""
        self._add("bar", told)

    def add_heatmap(self, **told: Any) -> None:
        """A heat map."""
        self._add("heatmap", told)

    def add_shape(self, **told: Any) -> None:
        """A line or a box."""
        self._shapes.append(told)

    def add_annotation(self, **told: Any) -> None:
        """A text."""
        self.annotations.append(told)

    def update_layout(self, told: Mapping[str, Any] | None = None, **more: Any) -> None:
        """Set what is given, within what is there."""
        _merge(self._layout, {**(told or {}), **more})

    def figure(self) -> go.Figure:
        """The figure."""
        layout = {**self._layout, "annotations": self.annotations, "shapes": self._shapes}
        return go.Figure(data=self._traces, layout=layout, _validate=False)

    def _add(self, kind: str, told: Mapping[str, Any]) -> None:
        known = {name: value for name, value in told.items() if value is not None}
        self._traces.append({"type": kind, **known})


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(name, {}), value)
        elif value is not None:
            into[name] = value


@cache
def _template(at: Theme) -> dict[str, Any]:
    made: dict[str, Any] = theme.template(at).to_plotly_json()
    return made
