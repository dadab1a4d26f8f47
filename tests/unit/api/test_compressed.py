"""What is worth packing is packed, whatever else goes through as it came."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from framescope_ui.compressed import LEAST_BYTES, Compressed, method_of

LONG = "frame " * LEAST_BYTES


def client(monkeypatch: pytest.MonkeyPatch | None = None) -> TestClient:
    async def answer(request: Request) -> Response:
        kind = request.query_params["kind"]
        headers = {"ETag": request.query_params["etag"]} if "etag" in request.query_params else None
        size = int(request.query_params.get("size", len(LONG)))
        return Response(LONG[:size], media_type=kind, headers=headers)

    async def stream(_: Request) -> Response:
        return StreamingResponse(iter([LONG, LONG]), media_type="text/plain")

    return TestClient(Compressed(Starlette(routes=[Route("/", answer), Route("/stream", stream)])))


@pytest.mark.parametrize("kind", ["text/html", "application/json", "application/javascript", "image/svg+xml"])
def test_text_is_packed_and_says_so(kind: str) -> None:
    answer = client().get("/", params={"kind": kind})
    assert answer.text == LONG
    assert answer.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert int(answer.headers["content-length"]) < len(LONG) / 20


@pytest.mark.parametrize(
    "asked", [{"kind": "image/png"}, {"kind": "text/html", "size": "100"}, {"kind": "font/woff2"}]
)
def test_what_is_small_or_packed_already_goes_as_it_is(asked: dict[str, str]) -> None:
    assert "content-encoding" not in client().get("/", params=asked).headers


@pytest.mark.parametrize(
    ("accepted", "method"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, zstd;q=0", "gzip"),
        ("br;q=0, identity", None),
        ("*", None),
    ],
)
def test_the_best_method_that_the_browser_takes_is_used(accepted: str, method: str | None) -> None:
    assert method_of(accepted) == method


@pytest.mark.parametrize(("method", "codec"), [("zstd", "zstd"), ("br", "brotli")])
def test_what_python_does_not_unpack_is_what_its_standard_says(method: str, codec: str) -> None:
    asking = client()
    for about in ({}, {"etag": "1"}):
        with asking.stream(
            "GET", "/", params={"kind": "text/css", **about}, headers={"accept-encoding": method}
        ) as answer:
            assert answer.headers["content-encoding"] == method
            raw = b"".join(answer.iter_raw())
        assert pa.CompressedInputStream(pa.BufferReader(raw), codec).read().decode() == LONG


def test_who_does_not_take_gzip_gets_none() -> None:
    answer = client().get("/", params={"kind": "text/html"}, headers={"accept-encoding": "identity"})
    assert answer.text == LONG and "content-encoding" not in answer.headers


def test_a_stream_goes_as_it_comes() -> None:
    answer = client().get("/stream")
    assert answer.text == LONG + LONG and "content-encoding" not in answer.headers


def test_a_file_is_packed_once_and_anew_when_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[int] = []
    real = gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda *given, **more: packed.append(1) or real(*given, **more))
    asking = client()
    for etag in ("1", "1", "2", "2"):
        assert asking.get("/", params={"kind": "text/css", "etag": etag}).text == LONG
    assert len(packed) == 2
