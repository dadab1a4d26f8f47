"""What the Correlate page does after it was drawn: boxes select frames, other ranges are compared with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from dash import Dash, Input, Output, State, no_update

from framescope_ui.pages.correlate_changes import other_range
from framescope_ui.pages.viewer import Viewer

Callback = TypeVar("Callback", bound=Callable[..., Awaitable[Any]])
Registration = Callable[..., Callable[[Callback], Callback]]


def install_correlate(
    app: Dash, seen_by: Callable[[dict[str, Any] | None], Viewer], in_browser: Callable[[str], str]
) -> None:
    """Register the callbacks. ``seen_by`` reads what a viewer looks at; ``in_browser`` makes the clientside
    ones."""
    for figure, prop, does in (
        ("correlate-time", "selectedData", "boxedTime"),
        ("doses", "selectedData", "boxedDoses"),
        ("doses", "clickData", "openDose"),
    ):
        app.clientside_callback(
            in_browser(does),
            Output("placed", "data", allow_duplicate=True),
            Input(figure, prop),
            prevent_initial_call=True,
        )
    callback: Registration[Any] = app.callback

    @callback(
        Output("url", "search", allow_duplicate=True),
        Output("than-said", "children"),
        Input("than-compare", "n_clicks"),
        State("than-start", "value"),
        State("than-end", "value"),
        State("viewer", "data"),
        prevent_initial_call=True,
    )
    async def compared(
        clicks: int | None, start: str | None, end: str | None, seen: dict[str, Any] | None
    ) -> Any:
        if not clicks:
            return no_update, no_update
        viewer = seen_by(seen)
        than = other_range(start, end, viewer.zone)
        if isinstance(than, str):
            return no_update, than
        return "?" + viewer.with_(than=than).href().partition("?")[2], ""
