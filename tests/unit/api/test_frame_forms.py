"""The forms one frame can be taken away in, and the comparison of two, over REST."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from memory_stores import away
from scene import Scene, scene, trace_id_of
from test_pins_routes import client_of, problem

FRAME, OTHER = trace_id_of(1499), trace_id_of(1399)


@pytest.fixture
def made() -> Scene:
    return scene()


@pytest.fixture
async def client(made: Scene) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(made, None) as client:
        yield client


@pytest.mark.parametrize(
    ("form", "media", "ending", "part"),
    [
        ("markdown", "text/markdown; charset=utf-8", "md", "### Evidence"),
        ("html", "text/html; charset=utf-8", "html", "<svg "),
        ("perfetto", "application/json", "perfetto.json", '"traceEvents"'),
    ],
)
async def test_a_form_is_a_file_with_a_name(
    client: httpx.AsyncClient, form: str, media: str, ending: str, part: str
) -> None:
    response = await client.get(f"/api/frames/{FRAME}?format={form}")
    assert response.status_code == 200
    assert response.headers["content-type"] == media
    name = f"framescope-ultrasound-1499-{FRAME[:8]}.{ending}"
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert part in response.text


async def test_the_raw_form_is_json_without_nan(client: httpx.AsyncClient) -> None:
    body = json.loads((await client.get(f"/api/frames/{FRAME}?format=json")).text)
    assert body["trace_id"] == FRAME
    assert body["stages"][1]["on_path"] and body["kept_near"]
    assert {one["trace_id"] for one in body["kept_near"]} >= {OTHER}
    assert FRAME not in {one["trace_id"] for one in body["kept_near"]}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("format=pdf", "format"), ("format=", "format"), ("format=json,html", "format")],
)
async def test_an_unknown_form_is_refused(client: httpx.AsyncClient, query: str, parameter: str) -> None:
    found = problem(await client.get(f"/api/frames/{FRAME}?{query}"), 400)
    assert found["parameter"] == parameter and "perfetto" in found["detail"]


async def test_files_are_made_of_what_was_seen_while_the_store_is_away(
    made: Scene, client: httpx.AsyncClient
) -> None:
    await client.get(f"/api/frames/{FRAME}")
    made.traces.error = away()
    text = (await client.get(f"/api/frames/{FRAME}?format=markdown")).text
    assert "this is what it said at" in text
    assert problem(await client.get(f"/api/frames/{FRAME}"), 504)
    assert problem(await client.get(f"/api/frames/{OTHER}?format=html"), 504)


async def test_two_frames_are_compared(client: httpx.AsyncClient) -> None:
    body = (await client.get(f"/api/frames/{FRAME}/comparison", params={"with": OTHER})).json()
    assert body["other"] == OTHER and body["sentence"] == "It took as long as frame 1399."
    assert {"name", "unit", "this", "other", "stage", "difference"} == set(body["stages"][0])
    expected = (await client.get(f"/api/frames/{FRAME}/comparison")).json()
    assert expected["other"] is None
    assert expected["latency"]["difference"] == pytest.approx(0.019)
    assert expected["stages"][0]["name"] == "denoise"


async def test_a_comparison_with_what_is_no_frame_is_refused(made: Scene, client: httpx.AsyncClient) -> None:
    path = f"/api/frames/{FRAME}/comparison"
    assert problem(await client.get(path, params={"with": "abc"}), 400)["parameter"] == "with"
    assert "0" * 32 in problem(await client.get(path, params={"with": "0" * 32}), 404)["detail"]
    assert problem(await client.get("/api/frames/abc/comparison"), 400)["parameter"] == "trace_id"
    assert problem(await client.get(f"/api/frames/{'0' * 32}/comparison"), 404)
    made.traces.error = away()
    assert problem(await client.get(path), 504)["backend"]
