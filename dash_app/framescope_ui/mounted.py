"""One app's addresses inside another's: what begins with a prefix goes to the app within, without it.

The app within thinks it is at the root, which is what Dash can do; that its pages' links begin with the
prefix is its own affair (``AppOptions.base``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import flask
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framescope_ui.loop_thread import LoopThread

PATIENCE_SECONDS: Final = 60.0
"""How long a Flask view waits for an answer. The slowest question gives up earlier."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Mounted:
    """ASGI middleware: HTTP and websockets under ``at`` go to ``inner``, everything else to ``app``."""

    def __init__(self, app: ASGIApp, at: str, inner: ASGIApp, close: Callable[[], Awaitable[None]]) -> None:
        """``close`` is awaited when the outer app has shut down."""
        self._app = app
        self._at = at
        self._inner = inner
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
        elif scope["path"] == self._at and scope["type"] == "http":
            await RedirectResponse(f"{scope.get('root_path', '')}{self._at}/")(scope, receive, send)
        elif scope["path"].startswith(f"{self._at}/"):
            await self._inner(within(scope, self._at), receive, send)
        else:
            await self._app(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._close()
            await send(message)

        return sent


def within(scope: Scope, at: str) -> Scope:
    """The scope as an app at the root would get it. Nothing of the outer app's own state goes along."""
    kept = {
        name: value for name, value in scope.items() if name not in ("app", "router", "endpoint", "state")
    }
    raw = scope.get("raw_path") or scope["path"].encode()
    return {**kept, "path": scope["path"][len(at) :], "raw_path": raw[len(at) :], "root_path": ""}


def mount_on_flask(server: flask.Flask, at: str, inner: ASGIApp, loop: LoopThread) -> None:
    """Views under ``at`` that ask ``inner``, on the loop's thread.

    Views, not WSGI middleware: whatever guards the app's other views guards these. A websocket cannot come
    this way.
    """

    def view(rest: str = "") -> flask.Response:
        return _asked(inner, f"/{rest}", loop)

    for rule in (f"{at}/", f"{at}/<path:rest>"):
        server.add_url_rule(rule, endpoint=f"framescope {rule}", view_func=view, methods=METHODS)


def _asked(inner: ASGIApp, path: str, loop: LoopThread) -> flask.Response:
    request = flask.request
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": path,
        "raw_path": path.encode(),
        "query_string": request.query_string,
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers
        ],
        "client": (request.remote_addr or "", 0),
        "server": None,
    }
    body = request.get_data()
    try:
        status, headers, content = loop.run(_answered(inner, scope, body), PATIENCE_SECONDS)
    except TimeoutError:
        return flask.Response(f"no answer within {PATIENCE_SECONDS:g} s", 504, mimetype="text/plain")
    answer = flask.Response(content, status)
    answer.headers.clear()
    for name, value in headers:
        answer.headers.add(name.decode("latin-1"), value.decode("latin-1"))
    return answer


async def _answered(
    inner: ASGIApp, scope: Scope, body: bytes
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of one request. Answers are pages, files and JSON: none is without end."""
    sent: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    status, headers, parts = 500, list[tuple[bytes, bytes]](), list[bytes]()

    async def receive() -> Message:
        if not sent:  # whoever waits for the browser to leave, while it answers, waits in vain
            await asyncio.Event().wait()
        return sent.pop()

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await inner(scope, receive, send)
    return status, headers, b"".join(parts)
