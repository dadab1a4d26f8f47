"""All routes of the interface, in the one order that works: the 404 of unknown ``/api`` paths last."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI

from framescope_ui.api.docs import docs_routes
from framescope_ui.api.frames import frames_routes
from framescope_ui.api.metrics import metrics_routes
from framescope_ui.api.problems import NotFound, install_problems
from framescope_ui.api.push import push_routes
from framescope_ui.api.state import state_routes
from framescope_ui.options import AppOptions
from framescope_ui.questions.feed import LiveFeed
from framescope_ui.questions.stores import Stores


def install_routes(
    app: FastAPI,
    stores: Stores,
    feed: LiveFeed,
    options: AppOptions,
    clock_ns: Callable[[], int] = time.time_ns,
) -> None:
    """Put the interface onto an app, before anything that catches every path."""
    install_problems(app)
    app.include_router(metrics_routes(feed, options.history, options.interval_seconds))
    app.include_router(frames_routes(stores))
    app.include_router(state_routes(stores, feed, clock_ns))
    app.include_router(push_routes(feed, options.allowed_origins))
    app.include_router(docs_routes(app))

    @app.api_route(
        "/api/{path:path}",
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        include_in_schema=False,
    )
    async def unknown(path: str) -> None:
        raise NotFound(f"There is no /api/{path[:80]}. /docs lists what there is.")
