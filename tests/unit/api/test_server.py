"""The one server: routes in the right order, headers, websockets, only coroutines, a port in use."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from scene import NOW_NS, SERVICE, Scene, scene
from starlette.routing import BaseRoute
from starlette.websockets import WebSocketDisconnect
from websockets.sync.client import ClientConnection, connect

from framescope_ui.server import AppOptions, create_app, serve


@pytest.fixture
def made() -> Scene:
    return scene()


@pytest.fixture
def client(made: Scene) -> Iterator[TestClient]:
    app = create_app(AppOptions(interval_seconds=0.1), made.stores, clock_ns=lambda: NOW_NS)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def endpoints(routes: list[BaseRoute]) -> Iterator[tuple[str, object]]:
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from endpoints(list(included.routes))
        elif (endpoint := getattr(route, "endpoint", None)) is not None:
            yield getattr(route, "path", ""), endpoint


def test_pages_are_html_in_english(client: TestClient) -> None:
    for path in ("/", "/live", "/frames", "/frames/" + "a" * 32):
        page = client.get(path)
        assert page.status_code == 200
        assert '<html lang="en"' in page.text


@pytest.mark.parametrize("path", ["/metrics", "/api/health", "/healthz", "/docs"])
def test_a_wrong_method_is_a_405_problem_that_names_the_right_one(client: TestClient, path: str) -> None:
    answer = client.post(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_not_built_is_no_page(client: TestClient) -> None:
    assert client.get("/report").status_code == 501
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_a_brand_colour_is_in_every_page(made: Scene) -> None:
    app = create_app(AppOptions(brand_color="#003366"), made.stores)
    with TestClient(app) as client:
        assert '[data-bs-theme="light"]{--fs-brand:#003366}' in client.get("/frames").text


def test_dash_does_not_answer_for_the_interface(client: TestClient) -> None:
    assert client.get("/api/nope").status_code == 404
    assert client.get("/api/nope").headers["content-type"] == "application/problem+json"
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/api/metrics/latest").json()["service"] == SERVICE
    assert client.get("/openapi.json").json()["paths"]


def test_nothing_in_the_page_comes_from_elsewhere(client: TestClient) -> None:
    page = client.get("/").text
    assert "https://" not in page.replace("https://dash.plotly.com", "")
    assert "cdn" not in page.lower()


@pytest.mark.parametrize("path", ["/", "/api/metrics/latest", "/api/nope", "/docs"])
def test_every_answer_carries_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert "script-src 'self' 'sha256-" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_every_callback_and_route_is_a_coroutine(client: TestClient) -> None:
    app = client.app
    dash = app.state.dash  # type: ignore[attr-defined]
    plain = [
        output
        for output, callback in dash.callback_map.items()
        if "callback" in callback and not inspect.iscoroutinefunction(callback["callback"])
    ]
    assert plain == []
    found = list(endpoints(app.routes))  # type: ignore[attr-defined]
    # Dash's own few plain routes (layout, favicon) run on FastAPI's threads; ours must not need one.
    ours = [(path, e) for path, e in found if getattr(e, "__module__", "").startswith("framescope")]
    assert len(ours) >= 10
    assert [path for path, endpoint in ours if not inspect.iscoroutinefunction(endpoint)] == []


def test_the_websocket_pushes_flat_snapshots(client: TestClient) -> None:
    with client.websocket_connect("/ws/metrics") as socket:
        for _ in range(3):
            row = socket.receive_json()
            assert row["service"] == SERVICE
            assert row["health"] == "OK"


def test_the_feed_stops_when_the_last_viewer_leaves(client: TestClient) -> None:
    feed = client.app.state.feed  # type: ignore[attr-defined]
    with client.websocket_connect("/ws/metrics") as socket:
        socket.receive_json()
        assert feed.watched == 1
    client.get("/healthz")
    assert feed.watched == 0


def test_a_foreign_page_may_not_open_the_websocket(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/ws/metrics", headers={"origin": "http://evil.example"}),
    ):
        pass
    assert refused.value.code == 1008


def test_our_own_page_may(client: TestClient) -> None:
    with client.websocket_connect("/ws/metrics", headers={"origin": "http://testserver"}) as socket:
        assert socket.receive_json()["service"] == SERVICE


def test_a_message_from_the_viewer_changes_nothing(client: TestClient) -> None:
    with client.websocket_connect("/ws/metrics") as socket:
        socket.send_text("hello")
        socket.send_bytes(b"\x00")
        assert socket.receive_json()["service"] == SERVICE
        assert socket.receive_json()["service"] == SERVICE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_with_exit_code_0_while_somebody_watches(number: signal.Signals) -> None:
    here = Path(__file__).parents[1]
    program = (
        "import sys; from scene import scene; from framescope_ui.server import AppOptions, serve\n"
        "sys.exit(serve(AppOptions(port=int(sys.argv[1])), scene(5).stores))"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join([str(here), *(p for p in sys.path if p)])
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(port)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
    )
    try:
        with _connected(port, process) as socket_:
            json.loads(socket_.recv(timeout=60))
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert b"Traceback" not in said
    finally:
        process.kill()
        process.wait()


def _connected(port: int, process: subprocess.Popen[bytes]) -> ClientConnection:
    for _ in range(300):
        with contextlib.suppress(OSError):
            return connect(f"ws://127.0.0.1:{port}/ws/metrics")
        assert process.poll() is None
        time.sleep(0.1)
    raise TimeoutError("the server does not listen")


def test_a_port_in_use_names_it_and_the_way_out(made: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert serve(AppOptions(port=port), made.stores) == 2
    said = capsys.readouterr().err
    assert str(port) in said
    assert "--port" in said
