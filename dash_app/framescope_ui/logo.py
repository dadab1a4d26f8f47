"""A logo of the user's own: read once, as what its first bytes say it is, and served beside the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

LOGO_PATH: Final = "/brand-logo"
MOST_BYTES: Final = 512 * 1024
"""It is sent with every first page."""
_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "image/svg+xml"),
)


def logo_routes(path: Path) -> APIRouter:
    """Serves the picture. Raises ``ValueError``, saying what to do, where it cannot be read or is none."""
    content, kind = logo_of(path)
    router = APIRouter()

    @router.get(LOGO_PATH, include_in_schema=False)
    async def logo() -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "max-age=3600"})

    return router


def logo_of(path: Path) -> tuple[bytes, str]:
    """The picture and its media type. Raises ``ValueError``."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"ui.logo {path}: cannot be read ({error.strerror or error})") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"ui.logo {path}: larger than {MOST_BYTES // 1024} kB. Take a smaller picture.")
    for beginning, kind in _BEGINNINGS:
        if content.lstrip().startswith(beginning):
            return content, kind
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return content, "image/webp"
    raise ValueError(f"ui.logo {path}: neither SVG, PNG, JPEG nor WebP")
