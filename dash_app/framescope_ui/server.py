"""One ASGI server for everything the app answers: pages, REST, websockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import uvicorn
from dash import Dash
from fastapi import FastAPI

import framescope_ui
from framescope_ui.api.routes import install_routes
from framescope_ui.compressed import Compressed
from framescope_ui.frame_views import FrameViews
from framescope_ui.logo import logo_routes
from framescope_ui.options import AppOptions
from framescope_ui.pages import shell
from framescope_ui.pins import Pins
from framescope_ui.questions.feed import LiveFeed
from framescope_ui.questions.stores import Stores
from framescope_ui.security import SecurityHeaders, security_headers

__all__ = ["AppOptions", "create_app", "serve"]

USAGE_ERROR = 2
GRACE_SECONDS = 3
"""How long open connections may take to end when the server is stopped."""


def create_app(options: AppOptions, stores: Stores, clock_ns: Callable[[], int] = time.time_ns) -> FastAPI:
    """The whole app. ``app.state.dash`` is its Dash, ``app.state.feed`` its live feed."""
    feed = LiveFeed(
        stores,
        options.thresholds,
        options.interval_seconds,
        options.window_seconds,
        clock_ns=clock_ns,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await feed.close()

    app = FastAPI(
        title=f"{options.brand_name} API",
        version="1",
        description="Frames of real-time GPU pipelines: live numbers, slow frames, and why they were slow. "
        "Times are unix seconds, durations seconds, shares 0 to 1, unless a name says otherwise.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    frames = FrameViews(stores, None if options.data_dir is None else Pins(options.data_dir))
    # The interface first: Dash's catch-all answers whatever path is left with its page.
    install_routes(app, stores, feed, options, clock_ns, frames)
    if options.logo is not None:
        app.include_router(logo_routes(options.logo))
    dash = Dash(
        __name__,
        server=app,
        assets_folder=str(Path(framescope_ui.__file__).parent / "assets"),
        use_pages=False,
        requests_pathname_prefix=f"{options.base}/",
        routes_pathname_prefix="/",
        serve_locally=True,
        title=options.brand_name,
        update_title="",
        suppress_callback_exceptions=True,
        websocket_allowed_origins=list(options.allowed_origins),
        enable_mcp=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    if not options.pushed:
        # Else the browser tries to open a websocket, whether or not a callback wants one.
        dash.backend.websocket_capability = False
    shell.install(dash, stores, feed, options, frames)
    app.add_middleware(SecurityHeaders, headers=security_headers(dash.csp_hashes()))
    app.add_middleware(Compressed)
    app.state.dash = dash
    app.state.feed = feed
    return app


def serve(options: AppOptions, stores: Stores) -> int:
    """Serve until interrupted, then close the stores; 0, or 2 where the address cannot be listened on."""
    try:
        app = create_app(options, stores)
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    try:
        listener = _listen(options.host, options.port)
    except OSError as error:
        print(_refusal(options, error), file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    # It says a line for every question to a store, some twenty a second.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # What has been loaded stays: looking through it again and again took an eighth of the app's time.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        loop="asyncio",
        workers=1,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    with listener, _stopped_by_signals():
        asyncio.run(_serve_and_close(uvicorn.Server(config), listener, stores))
    return 0


async def _serve_and_close(server: uvicorn.Server, listener: socket.socket, stores: Stores) -> None:
    try:
        await server.serve(sockets=[listener])
    finally:
        await stores.aclose()


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the server as something ordinary.

    uvicorn stops on them and then raises them again for whoever handled them before, which would end the
    process by the signal, with a traceback for Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    """Bound here and not by uvicorn, which would log the error and exit with a code of its own."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _refusal(options: AppOptions, error: OSError) -> str:
    """Why the address cannot be listened on, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {options.port} on {options.host} is in use. Stop what listens there, or choose another "
            "with --port (0 takes a free one)."
        )
    if error.errno == errno.EACCES:
        return f"Port {options.port} needs more rights. Choose one above 1023 with --port."
    return (
        f"Cannot listen on {options.host}:{options.port}: {error.strerror or error}. Check --host and --port."
    )
