"""OTLP over HTTP: ``/v1/traces``, ``/v1/metrics``, ``/v1/logs``; protobuf and JSON, gzip.

Errors carry a ``google.rpc.Status`` with the reason, in the request's own encoding, as the OTLP
specification asks.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Final

from google.protobuf import json_format
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route

from .otlp import Encoding, Malformed, Response, Signal, TooLarge, gunzip, take
from .receiver import RETRY_AFTER_S, receive
from .tally import Tally
from .writer import NotStored, Overloaded, Writer

_log = logging.getLogger(__name__)

_ENCODINGS: Final[dict[str, Encoding]] = {
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
    "application/json": "json",
}
_MEDIA: Final[dict[Encoding, str]] = {"protobuf": "application/x-protobuf", "json": "application/json"}
_SLOW_TO_PARSE_BYTES: Final = 256 * 1024
"""From this size on a body is parsed in a thread, so that other senders are answered meanwhile."""


def http_receiver(writer: Writer, tally: Tally, greatest_body_bytes: int) -> Starlette:
    """The ASGI application of the HTTP receiver."""

    def endpoint(signal: Signal) -> Route:
        async def export(http: HttpRequest) -> HttpResponse:
            return await _export(signal, http, writer, tally, greatest_body_bytes)

        return Route(f"/v1/{signal}", export, methods=["POST"])

    return Starlette(routes=[endpoint("traces"), endpoint("metrics"), endpoint("logs")])


async def _export(
    signal: Signal, http: HttpRequest, writer: Writer, tally: Tally, limit: int
) -> HttpResponse:
    media = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = _ENCODINGS.get(media)

    def refuse(status: int, code: Code, reason: str) -> HttpResponse:
        tally.add(f"refused: {status}")
        answer = _answer(Status(code=code, message=reason), encoding or "protobuf", status)
        if status in (429, 503):
            answer.headers["retry-after"] = str(RETRY_AFTER_S)
        return answer

    if encoding is None:
        wanted = "application/x-protobuf or application/json"
        return refuse(415, Code.INVALID_ARGUMENT, f"content type {media or 'missing'!r}: send {wanted}")
    packing = http.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", ""):
        return refuse(415, Code.INVALID_ARGUMENT, f"content encoding {packing!r}: send gzip or none")
    try:
        body = await _body(http, limit)
        if packing == "gzip":
            body = await asyncio.to_thread(gunzip, body, limit)
        if encoding == "json" or len(body) > _SLOW_TO_PARSE_BYTES:
            request = await asyncio.to_thread(take, signal, body, encoding)
        else:
            request = take(signal, body, encoding)
        response = await receive(request, len(body), writer, tally)
    except Malformed as error:
        return refuse(400, Code.INVALID_ARGUMENT, str(error))
    except TooLarge as error:
        return refuse(413, Code.INVALID_ARGUMENT, str(error))
    except Overloaded as error:
        return refuse(429, Code.RESOURCE_EXHAUSTED, str(error))
    except NotStored as error:
        return refuse(503, Code.UNAVAILABLE, str(error))
    except ClientDisconnect:
        return refuse(400, Code.INVALID_ARGUMENT, "the sender left before the body's end")
    return _answer(response, encoding, 200)


async def _body(http: HttpRequest, limit: int) -> bytes:
    too_large = TooLarge(f"the body is larger than {limit} bytes")
    declared = http.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    chunks, size = [], 0
    async for chunk in http.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _answer(message: Response | Status, encoding: Encoding, status: int) -> HttpResponse:
    if encoding == "json":
        content = json.dumps(json_format.MessageToDict(message)).encode()
    else:
        content = message.SerializeToString()
    return HttpResponse(content, status, media_type=_MEDIA[encoding])
