"""Pinning over REST: who may write, what is refused, and a frame that outlives its trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from memory_stores import away
from scene import NOW_NS, Scene, scene, trace_id_of

from framescope_ui import pins as module
from framescope_ui.api.routes import install_routes
from framescope_ui.frame_views import FrameViews
from framescope_ui.options import AppOptions
from framescope_ui.pins import Pins
from framescope_ui.questions.feed import LiveFeed

FRAME = trace_id_of(1499)
PIN = f"/api/frames/{FRAME}/pin"


def client_of(made: Scene, pins: Pins | None) -> httpx.AsyncClient:
    app = FastAPI(docs_url=None, redoc_url=None)
    feed = LiveFeed(made.stores, clock_ns=lambda: NOW_NS)
    options = AppOptions(allowed_origins=("https://wall.example",))
    frames = FrameViews(made.stores, pins, clock=lambda: NOW_NS / 1e9)
    install_routes(app, made.stores, feed, options, clock_ns=lambda: NOW_NS, frames=frames)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://app")


@pytest.fixture
def made() -> Scene:
    return scene()


@pytest.fixture
async def client(made: Scene, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(made, Pins(tmp_path, clock=lambda: 77.0)) as client:
        yield client


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    return body


async def test_a_pin_is_put_listed_read_and_removed(client: httpx.AsyncClient) -> None:
    put = await client.put(PIN, json={"note": "after the driver update"})
    assert put.status_code == 200, put.text
    body = put.json()
    assert body["trace_id"] == FRAME and body["note"] == "after the driver update"
    assert body["cause"] == "gpu_contention" and body["sentence"].startswith("11.0 ms over budget")
    assert (body["pinned"], body["copied"]) == (77.0, True)
    assert (await client.get("/api/pins")).json() == {"pins": [body]}
    assert (await client.get(PIN)).json() == body
    assert (await client.delete(PIN)).status_code == 204
    assert (await client.get("/api/pins")).json() == {"pins": []}


async def test_a_pinned_frame_is_shown_when_the_store_has_deleted_it(
    made: Scene, client: httpx.AsyncClient
) -> None:
    before = (await client.get(f"/api/frames/{FRAME}")).json()
    await client.put(PIN, json={"note": ""})
    made.traces.kept.clear()
    after = (await client.get(f"/api/frames/{FRAME}")).json()
    assert after["missing"][0].startswith("The store has this frame no more: this is the copy that was kept")
    assert after["verdict"] == before["verdict"] and after["stages"] == before["stages"]
    assert problem(await client.get(f"/api/frames/{trace_id_of(1399)}"), 404)


async def test_the_note_is_in_the_frames_file_and_is_text(client: httpx.AsyncClient) -> None:
    await client.put(PIN, json={"note": "<script>alert(1)</script>\x00\x1b[2J"})
    assert (await client.get(PIN)).json()["note"] == "<script>alert(1)</script>[2J"
    page = (await client.get(f"/api/frames/{FRAME}?format=html")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script" not in page


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[" * 20_000, "no JSON"),
        (b"[]", "an object with a text"),
        (b'{"note": 3}', "an object with a text"),
        (b'{"note": "\\ud800"}', "half a character"),
        (b'{"note": "' + b"x" * 4001 + b'"}', "at most 4000 characters"),
    ],
)
async def test_a_body_that_is_no_note_is_refused(client: httpx.AsyncClient, body: bytes, said: str) -> None:
    asked = await client.put(PIN, content=body, headers={"content-type": "application/json"})
    found = problem(asked, 400)
    assert found["parameter"] == "note" and said in found["detail"]


async def test_other_media_and_large_bodies_are_refused(client: httpx.AsyncClient) -> None:
    plain = await client.put(PIN, content=b'{"note": ""}', headers={"content-type": "text/plain"})
    assert "application/json" in problem(plain, 415)["detail"]
    large = b'{"note": "' + b"x" * 40_000 + b'"}'
    asked = await client.put(PIN, content=large, headers={"content-type": "application/json"})
    assert "larger than" in problem(asked, 413)["detail"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_only_our_own_pages_allowed_origins_and_programs_may_write(
    client: httpx.AsyncClient, method: str
) -> None:
    async def asked(**headers: str) -> int:
        await client.put(PIN, json={"note": ""})
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await client.request(method, PIN, headers={"content-type": "application/json", **sent},
                                        content=b'{"note": ""}')  # fmt: skip
        return response.status_code

    fine = 200 if method == "PUT" else 204
    assert await asked() == fine
    assert await asked(origin="http://app") == fine
    assert await asked(origin="https://wall.example", sec_fetch_site="cross-site") == fine
    assert await asked(origin="https://evil.example") == 403
    assert await asked(origin="null") == 403
    assert await asked(sec_fetch_site="cross-site") == 403
    refused = await client.request(method, PIN, headers={"origin": "https://evil.example"})
    assert "ui.allowed_origins" in problem(refused, 403)["detail"]


async def test_what_is_not_there_cannot_be_pinned_read_or_removed(client: httpx.AsyncClient) -> None:
    nowhere = f"/api/frames/{'0' * 32}/pin"
    assert "cannot be pinned" in problem(await client.put(nowhere, json={"note": ""}), 404)["detail"]
    assert "/api/pins" in problem(await client.get(nowhere), 404)["detail"]
    assert "/api/pins" in problem(await client.delete(nowhere), 404)["detail"]
    for method in ("GET", "PUT", "DELETE"):
        found = problem(
            await client.request(
                method, "/api/frames/abc/pin", headers={"content-type": "application/json"}, content=b"{}"
            ),
            400,
        )
        assert found["parameter"] == "trace_id"
    assert problem(await client.post(PIN), 405)


async def test_no_more_than_so_many(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PINS", 1)
    await client.put(PIN, json={"note": ""})
    asked = await client.put(f"/api/frames/{trace_id_of(1399)}/pin", json={"note": ""})
    assert "unpin one first" in problem(asked, 409)["detail"]


async def test_a_store_that_is_away_is_named_unless_the_frame_was_seen(
    made: Scene, client: httpx.AsyncClient
) -> None:
    await client.get(f"/api/frames/{FRAME}")
    made.traces.error = away()
    assert (await client.put(PIN, json={"note": "still"})).status_code == 200
    asked = await client.put(f"/api/frames/{trace_id_of(1399)}/pin", json={"note": ""})
    assert problem(asked, 504)["backend"]


async def test_without_a_directory_and_with_one_that_cannot_be_written_it_says_so(
    made: Scene, tmp_path: Path
) -> None:
    async with client_of(made, None) as client:
        for response in (await client.get("/api/pins"), await client.put(PIN, json={"note": ""})):
            assert "data directory" in problem(response, 501)["detail"]
    (tmp_path / "file").write_text("")
    async with client_of(made, Pins(tmp_path / "file" / "below")) as client:
        assert "data_dir" in problem(await client.put(PIN, json={"note": ""}), 503)["detail"]
        assert (await client.get(f"/api/frames/{FRAME}")).status_code == 200
