"""``/api/pins`` and ``/api/frames/{trace_id}/pin``: the only paths that write."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from framescope_ui.api.origins import origin_allowed
from framescope_ui.api.plain import plain
from framescope_ui.api.problems import BadParameter, NotFound
from framescope_ui.api.trace_ids import trace_id_of
from framescope_ui.frame_views import FrameViews
from framescope_ui.pins import LONGEST_NOTE, Pin, Pins, PinsFull, PinsUnavailable

MOST_BODY = 32 * 1024
"""Bytes of a request: a note of LONGEST_NOTE characters, escaped to the utmost, fits."""


def pins_routes(frames: FrameViews, allowed_origins: Collection[str]) -> APIRouter:
    """List, pin, write to and unpin."""
    router = APIRouter(prefix="/api", tags=["pins"])

    def kept() -> Pins:
        if frames.pins is None:
            raise HTTPException(501, "This app keeps no pins: it was started without a data directory.")
        return frames.pins

    def may_write(request: Request) -> None:
        """Only our own pages and programs: another site's page could else write in a viewer's name."""
        origin, host = request.headers.get("origin"), request.headers.get("host")
        foreign = request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign if origin is None else not origin_allowed(origin, host, allowed_origins):
            raise HTTPException(
                403,
                f"Pages of {(origin or 'another site')[:100]} may not write here. ui.allowed_origins names "
                "those that may.",
            )

    @router.get("/pins", summary="Frames that were pinned, with their notes")
    async def listed() -> dict[str, Any]:
        """The newest first. `copied`: the frame can be shown although the store may have deleted it."""
        return {"pins": [pin_json(pin) for pin in await _answered(kept().all())]}

    @router.get("/frames/{trace_id}/pin", summary="The pin of one frame")
    async def single(trace_id: str) -> dict[str, Any]:
        found = await _answered(kept().one(trace_id_of(trace_id)))
        if found is None:
            raise NotFound(f"Frame {trace_id_of(trace_id)} is not pinned. /api/pins lists those that are.")
        return pin_json(found)

    @router.put("/frames/{trace_id}/pin", summary="Pin a frame, or write another note to it")
    async def put(trace_id: str, request: Request) -> dict[str, Any]:
        """The body is a JSON object with `note`, a text that may be empty. A copy of the frame is kept."""
        may_write(request)
        kept()
        wanted = trace_id_of(trace_id)
        note = await _note(request)
        view = await frames.shown(wanted)
        if view is None:
            raise NotFound(f"No trace {wanted} is stored, so it cannot be pinned.")
        try:
            return pin_json(await _answered(frames.pin(view, note)))
        except ValueError as error:
            raise BadParameter("note", f"note: {error}") from error
        except PinsFull as error:
            raise HTTPException(409, f"{error}. /api/pins lists them.") from error

    @router.delete("/frames/{trace_id}/pin", status_code=204, summary="Unpin a frame")
    async def removed(trace_id: str, request: Request) -> Response:
        """Its note and its copy are gone then."""
        may_write(request)
        wanted = trace_id_of(trace_id)
        if not await _answered(kept().remove(wanted)):
            raise NotFound(f"Frame {wanted} is not pinned. /api/pins lists those that are.")
        return Response(status_code=204)

    return router


async def _answered(question: Any) -> Any:
    try:
        return await question
    except PinsUnavailable as error:
        raise HTTPException(503, str(error)) from error


async def _note(request: Request) -> str:
    """The note of a request's body."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, 'Send application/json: {"note": "…"}.')
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            raise HTTPException(
                413, f"The body is larger than {MOST_BODY} bytes: a note has {LONGEST_NOTE} characters."
            )
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadParameter("note", 'note: the body is no JSON; send {"note": "…"}') from error
    note = found.get("note", "") if isinstance(found, dict) else None
    if not isinstance(note, str):
        raise BadParameter("note", 'note: send an object with a text, {"note": "…"}')
    try:
        note.encode()
    except UnicodeEncodeError as error:
        raise BadParameter("note", "note: it holds half a character (a lone surrogate)") from error
    return "".join(letter for letter in note if letter in "\n\t" or letter.isprintable()).strip()


def pin_json(pin: Pin) -> dict[str, Any]:
    """One pin: the frame's fields, the note, and when."""
    body: dict[str, Any] = plain(pin)
    return {**body.pop("frame"), **body}
