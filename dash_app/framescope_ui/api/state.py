"""``/api/health`` and ``/api/pipelines`` for people, ``/healthz`` and ``/readyz`` for orchestrators."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from framescope_ui.api.plain import health_json, plain
from framescope_ui.api.problems import problem
from framescope_ui.backends.protocols import BackendError
from framescope_ui.questions.feed import LiveFeed
from framescope_ui.questions.pipelines import pipelines
from framescope_ui.questions.stores import NS, Stores

READY_SECONDS = 2.0
"""How long the trace store may take before the app does not count as ready."""


def state_routes(stores: Stores, feed: LiveFeed, clock_ns: Callable[[], int] = time.time_ns) -> APIRouter:
    """State of the pipelines, and of the app itself."""
    router = APIRouter()

    @router.get("/api/health", tags=["state"], summary="Overall state of a pipeline, and why")
    async def health(service: str | None = None, pipeline: str | None = None) -> dict[str, Any]:
        """Always answers 200: the state is in the body. `sources` says who is away or silent."""
        return health_json((await feed.snapshot(service, pipeline)).health)

    @router.get("/api/pipelines", tags=["state"], summary="Pipelines heard of in the last day")
    async def listed() -> dict[str, Any]:
        """The running ones first."""
        return {"pipelines": plain(await pipelines(stores, clock_ns()))}

    @router.get("/healthz", tags=["orchestrator"], summary="The app's process is alive")
    async def healthz() -> dict[str, str]:
        """Nothing but the app itself is looked at."""
        return {"status": "ok"}

    @router.get("/readyz", tags=["orchestrator"], summary="The app can answer: its trace store does")
    async def readyz(request: Request) -> Response:
        """503 while the trace store does not answer."""
        now_ns = clock_ns()
        try:
            async with asyncio.timeout(READY_SECONDS):
                await stores.traces.pipelines(now_ns - NS, now_ns)
        except BackendError as error:
            return problem(503, str(error), request.url.path, backend=error.backend)
        except TimeoutError:
            name = stores.traces.name
            return problem(
                503, f"{name}: no answer within {READY_SECONDS:g} s", request.url.path, backend=name
            )
        return JSONResponse({"status": "ready"})

    return router
