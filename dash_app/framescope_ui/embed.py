"""The pages inside somebody's own Dash app: one line, under a prefix. See docs/embed.md.

    framescope_ui.embed.add_pages("/framescope")      # before Dash(...): it is a Dash Hook
    app = dash.Dash(__name__, backend="fastapi")

The pages are a Dash app of their own inside the other one's server: no id, callback, asset or layout of the
two can meet. On FastAPI values are pushed; on Flask, which has no websocket, the pages ask for them.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from dash import Dash, _callback, _get_app, hooks
from dash._hooks import HooksManager
from fastapi import FastAPI

from framescope.causes import load
from framescope.config import CAUSES, modules_in, read_text, resolve
from framescope_ui import settings
from framescope_ui.connections import open_stores
from framescope_ui.loop_thread import LoopThread
from framescope_ui.mounted import Mounted, mount_on_flask
from framescope_ui.options import AppOptions
from framescope_ui.questions.stores import Stores
from framescope_ui.server import create_app

__all__ = ["add_pages"]

Built = TypeVar("Built")


def add_pages(
    prefix: str = "/framescope",
    *,
    app: Dash | None = None,
    stores: Stores | None = None,
    options: AppOptions | None = None,
) -> None:
    """Add framescope's pages under ``prefix`` to ``app``, or to every Dash app that is made from now on.

    ``prefix`` comes after the app's own. ``stores`` are what is read from, ``options`` how it looks; both are
    else what the settings say (file and environment, as for ``framescope ui``). An app made with
    ``server=False`` is given as ``app`` after its ``init_app``. Raises ``ValueError`` for a prefix that is no
    path, ``TypeError`` for a server that is neither Flask nor FastAPI, ``ConfigError`` for wrong settings.
    """
    if not re.fullmatch(r"(/[\w.~-]+)+", prefix, re.ASCII):
        raise ValueError(
            f"prefix must be a path such as /framescope, without a slash at its end, not {prefix!r}"
        )
    if app is not None:
        _add(app, prefix, stores, options)
        return

    def setup(made: Dash) -> None:
        _add(made, prefix, stores, options)

    hooks.setup()(setup)


def _add(app: Dash, prefix: str, stores: Stores | None, options: AppOptions | None) -> None:
    at = app.config.routes_pathname_prefix.rstrip("/") + prefix
    server, kind = app.server, app.backend.server_type
    if kind not in ("fastapi", "flask"):
        raise TypeError(f"framescope's pages can be added to a Dash app on Flask or FastAPI, not on {kind}")
    if _has_pages(server, kind, at):
        return
    if stores is None or options is None:
        environ = os.environ
        found = resolve(
            settings.reader(environ, Path.home()),
            environ=environ,
            read_file=read_text,
            also_known=settings.every_setting(environ, Path.home()),
        )
        load(modules_in(found.optional_text(CAUSES.key)))
        stores = stores or open_stores(found)
        options = options or settings.app_options(found)
    base = app.config.requests_pathname_prefix.rstrip("/") + prefix
    mine = replace(options, base=base, pushed=kind == "fastapi")
    reading = stores
    inner = _apart(lambda: _served(mine, reading))
    if kind == "fastapi":

        async def close() -> None:
            await inner.state.feed.close()
            await reading.aclose()

        server.add_middleware(Mounted, at=at, inner=inner, close=close)
    else:
        mount_on_flask(server, at, inner, LoopThread("framescope-pages"))


def _has_pages(server: Any, kind: str, at: str) -> bool:
    """Whether they are there already: several Dash apps may share one server."""
    if kind == "flask":
        return f"framescope {at}/" in server.view_functions
    return any(one.cls is Mounted and one.kwargs.get("at") == at for one in server.user_middleware)


def _served(options: AppOptions, stores: Stores) -> FastAPI:
    """The app within, ready without the start-up event it will not get."""
    app = create_app(options, stores)
    dash = app.state.dash
    # Dash adds the route of all other addresses at start-up.
    dash.backend._setup_catchall()
    dash._hooks = _GuardsOnly
    return app


class _GuardsOnly:
    """Of the hooks of the app around ours only those that guard websockets: its other ones are for its own
    pages."""

    hooks = type(hooks)()

    @staticmethod
    def get_hooks(hook: str) -> Any:
        guards = ("websocket_connect", "websocket_message")
        return HooksManager.get_hooks(hook) if hook in guards else []


def _apart(build: Callable[[], Built]) -> Built:
    """Build a second Dash app where it neither takes nor leaves anything of the first.

    Dash keeps callbacks registered by ``dash.callback`` in lists of the module until the next app takes them,
    remembers the last app that was made, and runs every hook on every app.
    """
    with _dash_as_new():
        return contextvars.copy_context().run(build)


@contextlib.contextmanager
def _dash_as_new() -> Iterator[None]:
    shared: list[Any] = [
        _callback.GLOBAL_CALLBACK_LIST,
        _callback.GLOBAL_CALLBACK_MAP,
        _callback.GLOBAL_INLINE_SCRIPTS,
        _callback.GLOBAL_API_PATHS,
    ]
    held = [one.copy() for one in shared]
    before, app = HooksManager.hooks, _get_app.APP
    for one in shared:
        one.clear()
    HooksManager.hooks = type(before)()
    try:
        yield
    finally:
        HooksManager.hooks, _get_app.APP = before, app
        for one, kept in zip(shared, held, strict=True):
            one.clear()
            one.update(kept) if isinstance(one, dict) else one.extend(kept)
