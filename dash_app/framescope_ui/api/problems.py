"""Errors as RFC 9457 problem JSON: what went wrong, and what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from framescope_ui.backends.protocols import BackendAway, BackendError, Unsupported

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class BadParameter(ValueError):
    """A query parameter that cannot be understood; the text says what would be."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail


class NotFound(LookupError):
    """Something addressed that does not exist; the text says where to look instead."""


def problem(
    status: int,
    detail: str,
    instance: str,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    """One problem document. ``more`` are extension members, such as the backend that failed."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        **more,
    }
    return JSONResponse(
        body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers) if headers else None
    )


def install_problems(app: FastAPI) -> None:
    """Answer every error of a route with a problem document."""

    @app.exception_handler(BadParameter)
    async def bad_parameter(request: Request, error: BadParameter) -> Response:
        return problem(400, error.detail, request.url.path, parameter=error.name)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = str(first["loc"][-1]) if first.get("loc") else "request"
        return problem(400, f"{name}: {first.get('msg', 'not valid')}", request.url.path, parameter=name)

    @app.exception_handler(NotFound)
    async def not_found(request: Request, error: NotFound) -> Response:
        return problem(404, str(error), request.url.path)

    @app.exception_handler(BackendError)
    async def backend(request: Request, error: BackendError) -> Response:
        if isinstance(error, Unsupported):
            return problem(501, str(error), request.url.path, backend=error.backend)
        if isinstance(error, BackendAway):
            return problem(
                504, str(error), request.url.path, headers={"Retry-After": "5"}, backend=error.backend
            )
        return problem(502, str(error), request.url.path, backend=error.backend)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), request.url.path, headers=error.headers)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        log.error("%s failed", request.url.path, exc_info=error)
        return problem(500, "An internal error; the app's log has the details.", request.url.path)
