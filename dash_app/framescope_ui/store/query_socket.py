"""The query socket: ``POST /ask/{question}``, ``POST /arrived`` and ``GET /status`` over a Unix socket of
this user.

Answers are Arrow streams; errors are problem JSON. Questions run in threads, beside the receivers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final

import duckdb
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .answers import QUESTIONS, answer
from .arrivals import Arrivals
from .question import BadQuestion, Question
from .segments import Segments
from .tally import Tally

_log = logging.getLogger(__name__)

ARROW: Final = "application/vnd.apache.arrow.stream"
_GREATEST_QUESTION_BYTES: Final = 256 * 1024
_THREADS: Final = 2


class Awaited(BaseModel):
    """What is waited for: records of a pipeline newer than ``after_ns``, no longer than ``patience_s``."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    service: str
    pipeline: str
    after_ns: Annotated[int, Field(ge=0, lt=2**63)]
    patience_s: Annotated[float, Field(ge=0, le=60)]


def query_socket(
    segments: Segments, tally: Tally, status: Callable[[], Mapping[str, Any]], arrivals: Arrivals
) -> Starlette:
    """The ASGI application of the query socket; ``status`` answers what the store says of itself."""
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store-query")

    async def ask(http: Request) -> Response:
        name = http.path_params["question"]
        if name not in QUESTIONS:
            return _problem(404, f"no question {name!r}; there are {', '.join(QUESTIONS)}")
        body = await http.body()
        if len(body) > _GREATEST_QUESTION_BYTES:
            return _problem(413, "the question is too long")
        try:
            question = QUESTIONS[name][0].model_validate_json(body)
        except ValidationError as error:
            return _problem(422, "; ".join(_said(one) for one in error.errors(include_url=False)))
        try:
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(threads, _packed, name, question, segments)
        except BadQuestion as error:
            return _problem(422, str(error))
        except duckdb.InterruptException:
            tally.add("unanswered questions")
            return _problem(504, "the question took too long: ask for a shorter range")
        except (duckdb.Error, OSError) as error:
            _log.exception("answering %s", name)
            tally.add("unanswered questions")
            return _problem(500, f"the store could not answer: {error}")
        tally.add("answered questions")
        return Response(content, media_type=ARROW)

    async def tell(http: Request) -> Response:
        loop = asyncio.get_running_loop()
        return JSONResponse(await loop.run_in_executor(threads, status))

    async def arrived(http: Request) -> Response:
        body = await http.body()
        try:
            awaited = Awaited.model_validate_json(body[:_GREATEST_QUESTION_BYTES])
        except ValidationError as error:
            return _problem(422, "; ".join(_said(one) for one in error.errors(include_url=False)))
        pipeline = (awaited.service, awaited.pipeline)
        return JSONResponse(
            {"newest_ns": await arrivals.after(pipeline, awaited.after_ns, awaited.patience_s)}
        )

    return Starlette(
        routes=[
            Route("/ask/{question}", ask, methods=["POST"]),
            Route("/status", tell, methods=["GET"]),
            Route("/arrived", arrived, methods=["POST"]),
        ]
    )


def _packed(name: str, question: Question, segments: Segments) -> bytes:
    table = answer(name, question, segments)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _said(error: Any) -> str:
    return f"{'.'.join(str(part) for part in error['loc']) or 'question'}: {error['msg']}"


def _problem(status: int, detail: str) -> Response:
    return JSONResponse(
        {"title": "the question was not answered", "status": status, "detail": detail},
        status,
        media_type="application/problem+json",
    )
