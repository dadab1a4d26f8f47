"""The frame around every page: rail, bar, routing, live updates. ``install`` puts all of it into an app.

The address holds the viewer's choices. A page is rendered on the server when the address changes; what
moves by itself arrives as whole snapshots in one store of the shell (the push loop outlives navigation,
so its target must too), and the script in ``assets`` puts them in place.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dash import Dash, Input, Output, State, ctx, dcc, html, no_update, set_props

from framescope_ui.backends.protocols import BackendAway, BackendError
from framescope_ui.figures import quantity, theme
from framescope_ui.frame_views import FrameViews
from framescope_ui.logo import LOGO_PATH
from framescope_ui.options import AppOptions
from framescope_ui.pages import elements, push
from framescope_ui.pages.correlate import correlate_page, longer
from framescope_ui.pages.correlate_later import install_correlate
from framescope_ui.pages.correlate_selected import selection_of
from framescope_ui.pages.elements import Part
from framescope_ui.pages.empty import nothing_in_range, nothing_yet
from framescope_ui.pages.frame import frame_page, unknown_page
from framescope_ui.pages.frame_beside import beside
from framescope_ui.pages.limits import limits
from framescope_ui.pages.live import live_page
from framescope_ui.pages.slow_frames import narrowed_of, query_of, slow_frames_page
from framescope_ui.pages.slow_frames_later import install_slow_frames
from framescope_ui.pages.viewer import LIVE_RANGES, PACES, RANGES, Viewer, viewer_of
from framescope_ui.questions.correlate import correlate
from framescope_ui.questions.feed import LiveFeed, step_of
from framescope_ui.questions.live import live
from framescope_ui.questions.pipelines import picked, pipelines
from framescope_ui.questions.slow_frames import slow_frames_overview
from framescope_ui.questions.stores import Stores
from framescope_ui.questions.views import Choice, Live

Callback = TypeVar("Callback", bound=Callable[..., Awaitable[Any]])
Registration = Callable[..., Callable[[Callback], Callback]]
"""``app.callback`` with the type Dash does not give it: coroutines in, the same coroutines out. Always the
app's own and not Dash's global one, whose push loop stays dead after a restart."""

LONGEST_WAIT_SECONDS = 2.0
"""Longest wait for the next snapshot, or for the browser to say what it shows, before looking again."""
RAIL = (("Live", "/", "live"), ("Slow frames", "/frames", "slow"), ("Correlate", "/correlate", "correlate"))
"""The pages that exist: name, address, icon."""

INDEX = """<!DOCTYPE html>
<html lang="en" data-bs-theme="{theme}" data-theme-option="{option}" data-base="{base}"
      data-pushed="{pushed}">
  <head>
    {%metas%}
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <script src="{boot}"></script>
    <title>{%title%}</title>
    {%favicon%}
    {%css%}
    <style>{brand}</style>
  </head>
  <body>
    {%app_entry%}
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>"""


def install(
    app: Dash, stores: Stores, feed: LiveFeed, options: AppOptions, frames: FrameViews | None = None
) -> None:
    """Give the app its layout, its pages and their callbacks, all of them coroutines.

    ``frames`` are the frames that the interface gives too; without them none can be pinned.
    """
    app.title = options.brand_name
    app.update_title = ""
    app.config.suppress_callback_exceptions = True
    app.index_string = (
        INDEX.replace("{theme}", "dark" if options.theme == "auto" else options.theme)
        .replace("{option}", options.theme)
        .replace("{brand}", theme.brand_style(options.brand_color) if options.brand_color else "")
        .replace("{boot}", app.get_asset_url("theme.js"))
        .replace("{base}", options.base)
        .replace("{pushed}", "yes" if options.pushed else "no")
    )
    app.layout = layout(options)
    pages = Pages(stores, feed, options, frames or FrameViews(stores))
    _routes(app, pages)
    install_slow_frames(app, stores, _seen, in_browser)
    install_correlate(app, _seen, in_browser)
    _updates(app, feed, options)
    # Dash would do this during the first request, and a second one at the same moment would get a page
    # without scripts.
    app._setup_server()


def layout(options: AppOptions) -> html.Div:
    """What stays while pages come and go."""
    return html.Div(
        [
            html.A("Skip to the content", href="#main", className="fs-skip", id="skip"),
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="screen"),
            dcc.Store(id="viewer"),
            dcc.Store(id="push"),
            dcc.Store(id="poll"),
            dcc.Store(id="placed"),
            html.Header(
                [
                    html.Div(_waiting_state(), id="state", role="status", className="fs-state"),
                    html.Div(id="controls", className="fs-controls"),
                    html.Div(
                        [
                            html.Div(id="clock", className="fs-clock"),
                            html.Div(id="age", className="fs-age"),
                        ],
                        className="fs-times",
                    ),
                    _view(options),
                    html.Button(
                        "?",
                        id="help-open",
                        className="fs-icon-button",
                        title="Keys (?)",
                        **{"aria-label": "Keys"},
                    ),
                    html.Button(
                        elements.icon("theme"),
                        id="theme-switch",
                        className="fs-icon-button",
                        title="Light or dark (t)",
                        **{"aria-label": "Switch between light and dark"},
                    ),
                ],
                id="bar",
                className="fs-top",
            ),
            html.Nav(id="rail", className="fs-rail", **{"aria-label": "Pages"}),
            html.Main(
                [
                    html.Div(id="lost", className="fs-lost-line", role="status"),
                    html.Div(id="loading", className="fs-loading"),
                    html.Div(id="trouble", className="fs-trouble"),
                    html.Div(id="page", className="fs-page"),
                ],
                id="main",
                tabIndex=-1,
            ),
            html.Div(_help(), id="help", hidden=True, role="dialog", **{"aria-label": "Keyboard"}),
        ],
        id="shell",
        className="fs-shell",
        **{"data-brand": options.brand_name, "data-interval": str(options.interval_seconds)},
    )


def _view(options: AppOptions) -> Part:
    """The menu of what this browser remembers: zone, how much is shown, how often it is renewed."""
    own = f"{options.interval_seconds:g} s"

    def choice(name: str, label: str, among: Sequence[tuple[str, str]]) -> html.Label:
        return html.Label(
            [
                html.Span(label),
                html.Select(
                    [html.Option(text, value=value) for value, text in among],
                    className="fs-view-select",
                    **{"data-view": name},
                ),
            ]
        )

    return html.Details(
        [
            html.Summary("View", className="fs-button"),
            html.Div(
                [
                    choice("zone", "Times", (("local", "local time"), ("utc", "UTC"))),
                    choice("detail", "Live page", (("full", "everything"), ("minimal", "minimal"))),
                    choice(
                        "every",
                        "New every",
                        [(f"{pace:g}", f"{pace:g} s" if pace else own) for pace in PACES],
                    ),
                ],
                className="fs-card fs-menu",
            ),
        ],
        id="view",
        className="fs-view",
    )


def _waiting_state() -> list[Part]:
    return [
        elements.badge("NO DATA"),
        html.Div([html.Div("Asking the store.", className="fs-why")], className="fs-reason-text"),
    ]


def _help() -> Part:
    keys = (
        ("g l", "Live"),
        ("g s", "Slow frames"),
        ("g c", "Correlate"),
        ("Space", "live or pause; in the list, pick this row too"),
        ("[ ]", "earlier, later slow frame"),
        ("j k", "row down, row up"),
        ("J K", "pick the next row too, the one before too"),
        ("Enter", "open"),
        ("Esc", "back; of several picked rows, to one"),
        ("← →", "pan the chart"),
        ("+ −", "zoom in, zoom out"),
        ("0", "the chart as it was"),
        ("/", "filter, or a frame to compare with"),
        ("e", "take away: files, ticket, other tools"),
        ("w", "wall: 125 %, 150 %, off"),
        ("t", "light or dark"),
        ("y", "copy link"),
        ("?", "this help"),
    )
    return html.Div(
        [
            html.H2("Keyboard", className="fs-title"),
            html.Dl(
                [html.Div([html.Dt(html.Kbd(key)), html.Dd(what)], className="fs-pair") for key, what in keys]
            ),
            html.Button("Single keys are on", id="help-keys", className="fs-button"),
            html.Button("Close", id="help-close", className="fs-button"),
        ],
        className="fs-card fs-help",
    )


def rail(viewer: Viewer, options: AppOptions) -> list[Part]:
    """The list of pages; a frame lives under Slow frames."""
    plain = viewer.without_filters()
    mark: Part = elements.icon("brand")
    if options.logo is not None:
        mark = html.Img(src=viewer.base + LOGO_PATH, alt="", className="fs-logo")
    links: list[Part] = [html.Div(mark, className="fs-brand", title=options.brand_name)]
    for name, path, picture in RAIL:
        here = viewer.path in push.LIVE_PATHS if path == "/" else viewer.path.startswith(path)
        links.append(
            html.A(
                [elements.icon(picture), html.Span(name)],
                href=(longer(plain) if path == "/correlate" and not here else plain).href(path),
                className="fs-rail-link" + (" fs-here" if here else ""),
                **({"aria-current": "page"} if here else {}),
            )
        )
    return links


def controls(viewer: Viewer, choices: Sequence[Choice], now: float) -> list[Part]:
    """Service, pipeline, range, live or pause; each choice is the address it leads to."""
    base = viewer.without_filters().with_(order=viewer.order)
    if viewer.path.startswith("/frames/"):
        base = base.with_(path="/frames")
    services = sorted(
        {choice.service for choice in choices} | ({viewer.service} if viewer.service else set())
    )
    mine = sorted(
        {choice.pipeline for choice in choices if choice.service == viewer.service}
        | ({viewer.pipeline} if viewer.pipeline else set())
    )
    first = {s: next((c.pipeline for c in choices if c.service == s), None) for s in services}
    parts: list[Part] = []
    if services:
        parts.append(
            elements.select(
                "Service",
                [
                    (
                        name,
                        base.with_(
                            service=name, pipeline=viewer.pipeline if name == viewer.service else first[name]
                        ).href(),
                    )
                    for name in services
                ],
                base.href(),
                id="service",
            )
        )
        parts.append(
            elements.select(
                "Pipeline",
                [(name, base.with_(pipeline=name).href()) for name in mine],
                base.href(),
                id="pipeline",
            )
        )
    ranges = LIVE_RANGES if viewer.path in push.LIVE_PATHS else tuple(RANGES)
    options = [(RANGES[key][0], viewer.with_(range=key, start=None, end=None).href()) for key in ranges]
    if viewer.start is not None:
        options.insert(0, ("Chosen range", viewer.href()))
    if not viewer.path.startswith("/frames/"):
        parts.append(elements.select("Range", options, viewer.href(), id="range"))
        parts.append(_live_or_pause(viewer, now))
    return parts


def _live_or_pause(viewer: Viewer, now: float) -> Part:
    def side(name: str, href: str, chosen: bool, id: str) -> html.A:
        return html.A(
            [elements.icon(id), name],
            href=href,
            id=id,
            className="fs-side-of" + (" fs-chosen" if chosen else ""),
            **({"aria-current": "true"} if chosen else {}),
        )

    paused = viewer.paused is not None or viewer.start is not None
    return html.Div(
        [
            side("Live", viewer.with_(paused=None, start=None, end=None).href(), not paused, "go-live"),
            side(
                "Paused" if paused else "Pause",
                viewer.with_(paused=viewer.paused or now).href(),
                paused,
                "go-pause",
            ),
        ],
        className="fs-switch",
        role="group",
        **{"aria-label": "Live or paused"},
    )


@dataclass(frozen=True, slots=True)
class Rendered:
    """One answer to an address; ``current`` is the bar of the snapshot a live page was made of. ``trouble``
    is said above the page that was there before; without one, ``page`` says it."""

    page: list[Part]
    controls: list[Part]
    rail: list[Part]
    current: dict[str, Any] | None
    trouble: Part = None


class Pages:
    """Renders the page of an address; remembers since when a backend has been away."""

    def __init__(
        self,
        stores: Stores,
        feed: LiveFeed,
        options: AppOptions,
        frames: FrameViews,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores = stores
        self._frames = frames
        self._feed = feed
        self._options = options
        self._clock = clock
        self._away_since: dict[str, float] = {}

    async def rendered(self, viewer: Viewer) -> Rendered:
        """The page of these choices, or what keeps it from being shown; times in the viewer's zone."""
        with quantity.times_in(viewer.zone, viewer.home):
            return await self._rendered(viewer)

    async def _rendered(self, viewer: Viewer) -> Rendered:
        now = self._clock()
        choices: list[Choice] = []
        seen: Live | None = None
        trouble: Part = None
        try:
            choices = await pipelines(self._stores, int(now * 1e9))
            first = picked(choices, viewer.service, viewer.pipeline)
            if first is not None:
                viewer = viewer.with_(service=first.service, pipeline=first.pipeline)
            body, seen = await self._page(viewer, now)
            self._away_since.clear()
            if not viewer.path.startswith("/frames/"):
                body = [_of(viewer.service, viewer.pipeline), *body]
        except BackendError as error:
            body, trouble = self._trouble(error, now), self._trouble_beside(error, now)
        body = [_zone(viewer, now), *body]
        current = push.bar(seen) if seen is not None and viewer.paused is None else None
        return Rendered(body, controls(viewer, choices, now), rail(viewer, self._options), current, trouble)

    async def _page(self, viewer: Viewer, now: float) -> tuple[list[Part], Live | None]:
        if viewer.path in push.LIVE_PATHS:
            return await self._live(viewer, now)
        return await self._still(viewer, now), None

    async def _still(self, viewer: Viewer, now: float) -> list[Part]:
        """A page that does not change by itself."""
        if viewer.path.rstrip("/") == "/frames":
            return await self._slow_frames(viewer, now)
        if viewer.path.rstrip("/") == "/correlate":
            return await self._correlate(viewer, now)
        if viewer.path.startswith("/frames/"):
            trace_id = viewer.path.removeprefix("/frames/").strip("/")
            view = await self._frames.shown(trace_id)
            more = await beside(self._frames, view, viewer, self._options.trace_links)
            if view is None:
                return unknown_page(trace_id, viewer)
            return [_of(view.item.service, view.item.pipeline), *frame_page(view, viewer, more)]
        return [
            html.H1("There is no page at this address.", className="fs-sentence"),
            elements.notice(
                f"Asked for: {viewer.path[:120]}", html.A("Go to the Live page", href=viewer.href("/"))
            ),
        ]

    async def _live(self, viewer: Viewer, now: float) -> tuple[list[Part], Live]:
        if viewer.service is None or viewer.pipeline is None:
            seen = await self._feed.snapshot(viewer.service, viewer.pipeline)
        elif viewer.paused is None and viewer.start is None:
            seen = await self._feed.snapshot(*_watched(viewer))
        else:
            start, end = viewer.span(now)
            seen = await live(
                self._stores,
                viewer.service,
                viewer.pipeline,
                int(end * 1e9),
                self._options.thresholds,
                end - start,
                step_of(self._options.interval_seconds, end - start),
            )
        if push.has_values(seen):
            page = live_page(seen, viewer)
        elif viewer.service is None or viewer.pipeline is None:
            page = nothing_yet(seen)
        else:
            page = nothing_in_range(seen, viewer)
        if viewer.paused is not None:
            page.insert(1, _paused_line(viewer.paused))
        return page, seen

    async def _slow_frames(self, viewer: Viewer, now: float) -> list[Part]:
        if viewer.service is None or viewer.pipeline is None:
            return nothing_yet(await self._feed.snapshot())
        seen = await slow_frames_overview(
            self._stores,
            viewer.service,
            viewer.pipeline,
            query_of(viewer, now),
            narrowed_of(viewer),
            viewer.group,
        )
        body = slow_frames_page(seen, viewer, now)
        body += limits(self._feed.backends())
        if viewer.paused is not None:
            body.insert(1, _paused_line(viewer.paused))
        return body

    async def _correlate(self, viewer: Viewer, now: float) -> list[Part]:
        if viewer.service is None or viewer.pipeline is None:
            return nothing_yet(await self._feed.snapshot())
        start, end = viewer.span(now)
        found = await correlate(
            self._stores,
            viewer.service,
            viewer.pipeline,
            start,
            end,
            viewer.signal,
            stages=True,
            selection=selection_of(viewer),
            than=viewer.than,
        )
        # Links lead to the range this page tells of, though time goes on.
        fixed = viewer.with_(start=start, end=end, paused=None)
        body = correlate_page(found, viewer, fixed)
        body += limits(self._feed.backends())
        if viewer.paused is not None:
            body.insert(1, _paused_line(viewer.paused))
        return body

    def _trouble_beside(self, error: BackendError, now: float) -> Part:
        if not isinstance(error, BackendAway):
            return None
        since = self._away_since.setdefault(error.backend, now)
        return html.Div(
            elements.notice(
                f"{error.backend} does not answer ({error.reason}).",
                f"What was asked for is missing since {quantity.moment(since)}; below stands what was there "
                "before. It is asked again every 3 s.",
                kind="trouble",
            ),
            id="retry",
        )

    def _trouble(self, error: BackendError, now: float) -> list[Part]:
        if not isinstance(error, BackendAway):
            return [
                html.H1("This question was not answered.", className="fs-sentence"),
                elements.notice(f"{error.backend} refused it.", error.reason, kind="trouble"),
            ]
        since = self._away_since.setdefault(error.backend, now)
        return [
            html.H1("The store does not answer.", className="fs-sentence"),
            html.Div(
                elements.notice(
                    f"{error.backend} does not answer ({error.reason}).",
                    f"What this page shows is missing since {quantity.moment(since)}. "
                    "It is asked again every 3 s.",
                    kind="trouble",
                ),
                id="retry",
            ),
        ]


def _of(service: str | None, pipeline: str | None) -> Part:
    """What the page is of, for the names of files saved from it."""
    return html.Span(hidden=True, **{"data-service": service, "data-pipeline": pipeline})


def _zone(viewer: Viewer, now: float) -> Part:
    """Which zone the page's times are in, for what the browser writes."""
    return html.Span(hidden=True, **{"data-zone": quantity.zone_name(viewer.span(now)[1])})


def _keeps(data: dict[str, Any] | None, viewer: Viewer) -> bool:
    """Whether the browser shows this very page already, under other choices perhaps: and not the trouble that
    kept it from being shown."""
    shown = _seen(data)
    drawn = data is not None and data.get("drawn") is True
    return drawn and shown.path == viewer.path and shown.phone == viewer.phone


def _paused_line(paused: float) -> Part:
    return html.P(
        f"Paused at {quantity.moment(paused)}.", className="fs-paused", id="paused-line", role="status"
    )


def _routes(app: Dash, pages: Pages) -> None:
    callback: Registration[Any] = app.callback
    app.clientside_callback(in_browser("screen"), Output("screen", "data"), Input("shell", "id"))

    @callback(
        Output("page", "children"),
        Output("controls", "children"),
        Output("rail", "children"),
        Output("viewer", "data"),
        Output("push", "data", allow_duplicate=True),
        Output("trouble", "children"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("screen", "data"),
        State("viewer", "data"),
        prevent_initial_call="initial_duplicate",
    )
    async def render(
        path: str | None, search: str | None, screen: dict[str, Any] | None, shown: dict[str, Any] | None
    ) -> Any:
        if screen is None:
            return (no_update,) * 6
        viewer = viewer_of(path, search, screen)
        made = await pages.rendered(viewer)
        if made.trouble is not None and _keeps(shown, viewer):
            return (no_update,) * 5 + (made.trouble,)
        seen = {"path": path, "search": search, "screen": screen, "drawn": made.trouble is None}
        return made.page, made.controls, made.rail, seen, made.current or no_update, None


def in_browser(does: str) -> str:
    """A clientside callback into the script in ``assets``, which may arrive after Dash has begun."""
    return (
        "function(data) {"
        f" const go = () => window.framescope.{does}(data);"
        f" const there = () => window.framescope && window.framescope.{does};"
        " if (there()) return go();"
        " return new Promise((done) => {"
        " const again = setInterval(() => {"
        " if (!there()) return;"
        " clearInterval(again); done(go()); }, 50); }); }"
    )


def _seen(data: dict[str, Any] | None) -> Viewer:
    """The viewer of a callback; what it writes from here on is in the viewer's zone. A request has a context
    of its own, so that this is nobody else's."""
    data = data or {}
    viewer = viewer_of(data.get("path"), data.get("search"), data.get("screen"))
    quantity.write_times_in(viewer.zone, viewer.home)
    return viewer


def _watched(viewer: Viewer) -> tuple[str | None, str | None, float | None]:
    """What the feed is asked for: service, pipeline, and on the Live page how much history."""
    live = viewer.path in push.LIVE_PATHS and viewer.start is None
    return viewer.service, viewer.pipeline, viewer.window_seconds if live else None


async def _asked(socket: Any, before: Viewer) -> Viewer:
    """What the viewer looks at now; what it was before, where the browser does not say in time."""
    try:
        return _seen(await socket.get_prop("viewer", "data", timeout=LONGEST_WAIT_SECONDS))
    except TimeoutError:
        return before


def _updates(app: Dash, feed: LiveFeed, options: AppOptions) -> None:
    callback: Registration[Any] = app.callback
    snapshots = push.Snapshots()

    async def pushed() -> None:
        socket = ctx.websocket
        viewer = Viewer()
        shown, shown_at = viewer.look, 0.0
        while socket is not None and not socket.is_shutdown:
            viewer = await _asked(socket, viewer)
            watched = _watched(viewer)
            with feed.subscribe(*watched) as queue:
                while not socket.is_shutdown and _watched(viewer) == watched:
                    with contextlib.suppress(TimeoutError):
                        seen = await asyncio.wait_for(queue.get(), LONGEST_WAIT_SECONDS)
                        viewer = await _asked(socket, viewer)
                        if _watched(viewer) == watched:
                            # The bar goes on each time; half a second early is due: polls are not on the dot.
                            due = viewer.look != shown or seen.time - shown_at > viewer.every - 0.5
                            set_props("push", {"data": snapshots.of(seen, viewer, due)})
                            if due:
                                shown, shown_at = viewer.look, seen.time

    if options.pushed:
        callback(websocket=True, persistent=True)(pushed)

    @callback(
        Output("push", "data"), Input("poll", "data"), State("viewer", "data"), prevent_initial_call=True
    )
    async def asked(tick: int | None, seen: dict[str, Any] | None) -> Any:
        if tick is None:
            return no_update
        viewer = _seen(seen)
        return snapshots.of(await feed.snapshot(*_watched(viewer)), viewer)

    app.clientside_callback(
        in_browser("place"),
        Output("placed", "data"),
        Input("push", "data"),
        prevent_initial_call=True,
    )
    for figure, prop, does in (
        ("live-figure", "clickData", "openMoment"),
        ("live-readings-figure", "clickData", "openMoment"),
        ("strip", "clickData", "openMoment"),
        ("neighbours", "clickData", "openPoint"),
        ("strip", "relayoutData", "boxed"),
        ("correlate-time", "clickData", "openMoment"),
        ("correlate-time", "relayoutData", "narrowed"),
        ("page", "children", "arrived"),
        ("trouble", "children", "arrived"),
    ):
        app.clientside_callback(
            in_browser(does),
            Output("placed", "data", allow_duplicate=True),
            Input(figure, prop),
            prevent_initial_call=True,
        )
