"""Answers packed with gzip, the files of the app packed once: a first page is 2.2 MB instead of 7.5."""

from __future__ import annotations

import gzip
from collections import OrderedDict
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES: Final = 1024
"""Below it the header costs more than packing saves."""
FILE_LEVEL: Final = 6
"""For what is packed once: Plotly's 4.8 MB become 1.5."""
ANSWER_LEVEL: Final = 1
"""For what is packed each time, while somebody waits."""
MOST_KEPT: Final = 64
_PACKABLE: Final = ("text/", "application/json", "application/javascript", "image/svg+xml")


class Compressed:
    """ASGI middleware. Only whole answers of known length are packed; a stream goes through as it comes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._files: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            await self._app(scope, receive, send)
            return
        held: list[Message] = []
        parts: list[bytes] = []

        async def packed(message: Message) -> None:
            if message["type"] == "http.response.start" and not held and _worth_it(message):
                held.append(message)
            elif message["type"] == "http.response.body" and held:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    start, body = held.pop(), b"".join(parts)
                    content = self._pack(scope, start, body)
                    headers = MutableHeaders(scope=start)
                    headers["content-encoding"] = "gzip"
                    headers["content-length"] = str(len(content))
                    headers.add_vary_header("accept-encoding")
                    await send(start)
                    await send({"type": "http.response.body", "body": content})
            else:
                await send(message)

        await self._app(scope, receive, packed)

    def _pack(self, scope: Scope, start: Message, body: bytes) -> bytes:
        headers = Headers(scope=start)
        control = headers.get("cache-control", "")
        mark = headers.get("etag") or (control if "max-age" in control else "")
        if not mark:
            return gzip.compress(body, ANSWER_LEVEL, mtime=0)
        key = (scope["path"], mark, len(body))
        if key not in self._files:
            self._files[key] = gzip.compress(body, FILE_LEVEL, mtime=0)
            while len(self._files) > MOST_KEPT:
                self._files.popitem(last=False)
        self._files.move_to_end(key)
        return self._files[key]


def _worth_it(start: Message) -> bool:
    headers = Headers(scope=start)
    length = headers.get("content-length", "")
    return (
        start["status"] == 200
        and length.isdigit()
        and int(length) >= LEAST_BYTES
        and "content-encoding" not in headers
        and headers.get("content-type", "").startswith(_PACKABLE)
    )
