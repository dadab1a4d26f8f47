"""``/ws/metrics``: a flat snapshot at every interval."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from framescope_ui.api.flat import latest_row
from framescope_ui.api.origins import origin_allowed
from framescope_ui.questions.feed import LiveFeed

POLICY_VIOLATION = 1008


def push_routes(feed: LiveFeed, allowed_origins: Collection[str] = ()) -> APIRouter:
    """The websocket; ``?service=`` and ``?pipeline=`` pick the pipeline."""
    router = APIRouter()

    @router.websocket("/ws/metrics")
    async def metrics(socket: WebSocket) -> None:
        if not origin_allowed(socket.headers.get("origin"), socket.headers.get("host"), allowed_origins):
            await socket.close(code=POLICY_VIOLATION, reason="this origin is not allowed")
            return
        await socket.accept()
        query = socket.query_params
        with feed.subscribe(query.get("service"), query.get("pipeline")) as queue:

            async def send() -> None:
                while True:
                    await socket.send_json(latest_row(await queue.get()))

            # Only a reader notices that the other side has gone.
            sender = asyncio.create_task(send())
            try:
                while not sender.done():
                    await _gone_or(socket, sender)
            except WebSocketDisconnect:
                pass
            finally:
                sender.cancel()
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await sender

    return router


async def _gone_or(socket: WebSocket, sender: asyncio.Task[None]) -> None:
    """Wait for a message (which says nothing to us), for the other side to go, or for the sender to end."""
    reader = asyncio.ensure_future(socket.receive_text())
    try:
        await asyncio.wait({reader, sender}, return_when=asyncio.FIRST_COMPLETED)
        if reader.done():
            reader.result()
    except KeyError:
        return  # a binary message: ignored like a text one
    finally:
        reader.cancel()
