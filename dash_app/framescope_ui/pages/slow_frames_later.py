"""What the Slow frames page asks after it was drawn: more rows, a picked frame, an incident's frames."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from dash import MATCH, Dash, Input, Output, Patch, State, no_update

from framescope_ui.backends.protocols import BackendError, FrameQuery
from framescope_ui.pages import elements
from framescope_ui.pages.frame_preview import frame_preview, preview_hint, preview_trouble
from framescope_ui.pages.frames_table import phone_row_to_pick, row_of
from framescope_ui.pages.incidents import incident_frames
from framescope_ui.pages.slow_frames import narrowed_of, query_of
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.frame import frame
from framescope_ui.questions.slow_frames import slow_frames
from framescope_ui.questions.stores import Stores
from framescope_ui.questions.views import FramesPage

Callback = TypeVar("Callback", bound=Callable[..., Awaitable[Any]])
Registration = Callable[..., Callable[[Callback], Callback]]

FRAMES_OF_AN_INCIDENT = 8
NEIGHBOURS = 1
"""Around a preview: it draws none."""
AROUND_SECONDS = 0.1
"""Readings around a preview: it draws none either."""


def install_slow_frames(
    app: Dash,
    stores: Stores,
    seen_by: Callable[[dict[str, Any] | None], Viewer],
    in_browser: Callable[[str], str],
) -> None:
    """Register the callbacks. ``seen_by`` reads what a viewer looks at; ``in_browser`` makes the clientside
    ones."""
    _more_rows(app, stores, seen_by)
    _picked(app, stores, seen_by, in_browser)
    _incident(app, stores, seen_by)


def _of(place: dict[str, Any], viewer: Viewer) -> Viewer:
    """The viewer with the pipeline that the page is of, which the address need not name."""
    return viewer.with_(service=place["service"], pipeline=place["pipeline"])


def _more_rows(app: Dash, stores: Stores, seen_by: Callable[[dict[str, Any] | None], Viewer]) -> None:
    """The next page of the list, appended; the grid and the phone's list each have their button."""
    callback: Registration[Any] = app.callback

    async def following(
        place: dict[str, Any], seen: dict[str, Any] | None
    ) -> tuple[Viewer, FramesPage, dict[str, Any]]:
        viewer = _of(place, seen_by(seen))
        query = query_of(viewer, place["at"], place["cursor"])
        page = await slow_frames(stores, query, narrowed_of(viewer))
        return viewer, page, {**place, "cursor": page.next_cursor}

    def register(
        list_id: str, prop: str, button: str, line: Callable[..., Any], *, again: bool = False
    ) -> None:
        @callback(
            Output(list_id, prop),
            Output("frames-place", "data", allow_duplicate=again),
            Output(button, "hidden"),
            Output(button, "children"),
            Input(button, "n_clicks"),
            State("frames-place", "data"),
            State("viewer", "data"),
            prevent_initial_call=True,
        )
        async def more(clicks: int | None, place: dict[str, Any] | None, seen: dict[str, Any] | None) -> Any:
            if not clicks or not place or not place["cursor"]:
                return (no_update,) * 4
            try:
                viewer, page, next_place = await following(place, seen)
            except BackendError as error:
                return no_update, no_update, False, f"{error.backend} does not answer. Try again"
            rows = Patch()
            rows.extend([line(item, viewer) for item in page.frames])
            return rows, next_place, page.next_cursor is None, "Load more"

    register("frames-grid", "rowData", "frames-more", row_of)
    register("frames-list", "children", "frames-more-phone", phone_row_to_pick, again=True)


def _picked(
    app: Dash,
    stores: Stores,
    seen_by: Callable[[dict[str, Any] | None], Viewer],
    in_browser: Callable[[str], str],
) -> None:
    callback: Registration[Any] = app.callback
    # Which row is picked stands in the address, written there without drawing the page anew.
    app.clientside_callback(
        in_browser("pickFirst"), Output("frames-picked", "data"), Input("frames-first", "data")
    )
    app.clientside_callback(
        in_browser("pickedBefore"),
        Output("placed", "data", allow_duplicate=True),
        Input("frames-place", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        in_browser("pickRow"),
        Output("frames-picked", "data", allow_duplicate=True),
        Input("frames-grid", "selectedRows"),
        prevent_initial_call=True,
    )

    @callback(
        Output("frame-preview", "children"),
        Input("frames-picked", "data"),
        State("viewer", "data"),
        prevent_initial_call=True,
    )
    async def previewed(trace_id: str | None, seen: dict[str, Any] | None) -> Any:
        if not trace_id:
            return preview_hint()
        try:
            view = await frame(stores, trace_id, around_seconds=AROUND_SECONDS, neighbours=NEIGHBOURS)
        except BackendError as error:
            return preview_trouble(f"{error.backend} does not answer ({error.reason}).")
        if view is None:
            return preview_trouble(f"No frame is stored under {trace_id[:40]}: retention may have taken it.")
        return frame_preview(view, seen_by(seen))


def _incident(app: Dash, stores: Stores, seen_by: Callable[[dict[str, Any] | None], Viewer]) -> None:
    callback: Registration[Any] = app.callback
    of = {"start": MATCH, "end": MATCH}

    @callback(
        Output({"type": "incident-frames", **of}, "children"),
        Input({"type": "incident", **of}, "n_clicks"),
        State({"type": "incident", **of}, "id"),
        State("incidents-of", "data"),
        State("viewer", "data"),
        prevent_initial_call=True,
    )
    async def opened(
        clicks: int | None,
        ends: dict[str, Any],
        place: dict[str, Any] | None,
        seen: dict[str, Any] | None,
    ) -> Any:
        if not clicks or not place or clicks % 2 == 0:
            return no_update
        viewer = _of(place, seen_by(seen))
        query = FrameQuery(
            service=viewer.service,
            pipeline=viewer.pipeline,
            start_ns=int(ends["start"]) * 1_000_000,
            end_ns=int(ends["end"]) * 1_000_000,
            outcomes=("slow",),
            order="duration",
            limit=FRAMES_OF_AN_INCIDENT,
        )
        try:
            page = await slow_frames(stores, query)
        except BackendError as error:
            return elements.notice(
                f"{error.backend} does not answer ({error.reason}).",
                "Open it again to ask again.",
                kind="trouble",
            )
        return incident_frames(page.frames, page.total, viewer)
