"""``/docs``: the interface described in one plain page, made of its own OpenAPI document, offline."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin:2rem 0 .25rem;font-size:1.1rem}code{font-family:ui-monospace,monospace}
table{border-collapse:collapse;margin:.5rem 0}
td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top}
.method{font-weight:700}
"""


def docs_routes(app: FastAPI) -> APIRouter:
    """The page; the document itself is at ``/openapi.json``."""
    router = APIRouter()

    @router.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()))

    return router


def docs_page(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>"
        f"<p>{escape(document['info'].get('description', ''))}</p>"
        '<p>Machine-readable: <a href="openapi.json">openapi.json</a>.</p>'
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(path, method, operation))
    parts.append(
        '<h2><span class="method">WS</span> <code>/ws/metrics</code></h2>'
        "<p>A flat snapshot, as of /api/metrics/latest, at every update interval; "
        "<code>?service=</code> and <code>?pipeline=</code> pick the pipeline.</p></main></body></html>"
    )
    return "".join(parts)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th scope='row'><code>{escape(p['name'])}</code></th><td>{escape(p.get('in', ''))}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", ())
    )
    return (
        f'<h2><span class="method">{escape(method.upper())}</span> <code>{escape(path)}</code></h2>'
        f"<p>{escape(operation.get('summary', ''))}. {escape(operation.get('description', ''))}</p>"
        + (f"<table>{rows}</table>" if rows else "")
    )
