"""A logo of the user's own: shown where ours would be, and refused with what to do where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from memory_stores import MemoryMetrics, MemoryTraces

from framescope_ui.logo import MOST_BYTES
from framescope_ui.options import AppOptions
from framescope_ui.pages.shell import rail
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.stores import Stores
from framescope_ui.server import create_app

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (SVG, "image/svg+xml"),
        (b"\n <?xml version='1.0'?>" + SVG, "image/svg+xml"),
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"\xff\xd8\xff...", "image/jpeg"),
        (b"RIFF....WEBP", "image/webp"),
    ],
)
def test_it_is_served_as_what_it_is(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "logo").write_bytes(content)
    options = AppOptions(logo=tmp_path / "logo", brand_name="Ours")
    answer = TestClient(create_app(options, Stores(MemoryTraces(), MemoryMetrics()))).get("/brand-logo")
    assert (answer.content, answer.headers["content-type"].partition(";")[0]) == (content, kind)
    shown = rail(Viewer(base="/lab"), options)[0]
    assert shown.children.src == "/lab/brand-logo"
    assert shown.title == "Ours"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"hello", "neither SVG, PNG"),
        (SVG + bytes(MOST_BYTES), "Take a smaller"),
        (b"RIFF....WAVE", "neither SVG, PNG"),
    ],
)
def test_what_is_no_logo_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "logo").write_bytes(content)
    with pytest.raises(ValueError, match=f"ui.logo .*{said}"):
        create_app(AppOptions(logo=tmp_path / "logo"), Stores(MemoryTraces(), MemoryMetrics()))
