"""Figures are drawn without Plotly's checks; here each one that a test draws is checked whole."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from framescope_ui.figures.drawing import Drawing


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    unchecked = Drawing.figure

    def figure(drawing: Drawing) -> go.Figure:
        made = unchecked(drawing)
        go.Figure(made.to_plotly_json())
        return made

    monkeypatch.setattr(Drawing, "figure", figure)
