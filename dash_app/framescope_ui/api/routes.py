"""All routes of the interface, in the one order that works: the 404 of unknown ``/api`` paths last."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from framescope_ui.api.correlate import correlate_routes
from framescope_ui.api.docs import docs_routes
from framescope_ui.api.exposition import exposition_routes
from framescope_ui.api.frames import frames_routes
from framescope_ui.api.incidents import incidents_routes
from framescope_ui.api.metrics import metrics_routes
from framescope_ui.api.pins import pins_routes
from framescope_ui.api.problems import NotFound, install_problems, problem
from framescope_ui.api.push import push_routes
from framescope_ui.api.state import state_routes
from framescope_ui.frame_views import FrameViews
from framescope_ui.options import AppOptions
from framescope_ui.questions.feed import LiveFeed
from framescope_ui.questions.stores import Stores

EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
NOT_BUILT = ("/report", "/api/export")
"""Paths of the plan that nothing answers yet: said, rather than answered with a page."""


def install_routes(
    app: FastAPI,
    stores: Stores,
    feed: LiveFeed,
    options: AppOptions,
    clock_ns: Callable[[], int] = time.time_ns,
    frames: FrameViews | None = None,
) -> None:
    """Put the interface onto an app, before anything that catches every path.

    ``frames`` are the frames that the pages show too; without them none can be pinned.
    """
    frames = frames or FrameViews(stores)
    install_problems(app)
    routers = (
        metrics_routes(feed, options.history, options.interval_seconds),
        exposition_routes(feed),
        frames_routes(stores, frames),
        pins_routes(frames, options.allowed_origins),
        correlate_routes(stores, clock_ns),
        incidents_routes(stores, clock_ns),
        state_routes(stores, feed, clock_ns),
        push_routes(feed, options.allowed_origins),
        docs_routes(app),
    )
    for router in routers:
        app.include_router(router)
    known = [route for router in routers for route in router.routes]

    async def not_built(request: Request) -> Response:
        return problem(
            501, f"{request.url.path} is not built yet. /docs lists what there is.", request.url.path
        )

    for path in NOT_BUILT:
        app.add_api_route(path, not_built, methods=EVERY_METHOD, include_in_schema=False)

    @app.api_route("/api/{path:path}", methods=EVERY_METHOD, include_in_schema=False)
    async def unknown(request: Request, path: str) -> None:
        allowed = _methods(known, request)
        if allowed:
            raise HTTPException(405, f"This path answers {allowed}.", {"Allow": allowed})
        raise NotFound(f"There is no /api/{path[:80]}. /docs lists what there is.")


def _methods(routes: Sequence[BaseRoute], request: Request) -> str:
    """The methods that a known path answers; empty for an unknown one."""
    found = {
        method
        for route in routes
        if route.matches(request.scope)[0] is Match.PARTIAL
        for method in getattr(route, "methods", None) or ()
    }
    return ", ".join(sorted(found))
