"""framescope's pages inside the example of somebody's own Dash app, in a real Chromium."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from conftest import Watched
from dash import hooks
from memory_store import MemoryStore
from playwright.sync_api import Browser, expect
from werkzeug.serving import make_server

from framescope_ui import embed
from framescope_ui.options import AppOptions
from framescope_ui.questions.stores import Stores

pytestmark = pytest.mark.browser


@pytest.fixture(params=["fastapi", "flask"])
def own_app(
    request: pytest.FixtureRequest, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The example on a port of its own, reading the memory store instead of what is configured."""
    real = embed.add_pages
    monkeypatch.setattr(
        embed,
        "add_pages",
        lambda prefix: real(prefix, stores=Stores(memory, memory), options=AppOptions()),
    )
    before = {name: list(found) for name, found in hooks._ns.items()}
    example = importlib.reload(importlib.import_module("own_dash_app"))
    app = example.make_app(request.param)
    if request.param == "flask":
        flask_server = make_server("127.0.0.1", 0, app.server, threaded=True)
        thread = threading.Thread(target=flask_server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{flask_server.server_port}"
        flask_server.shutdown()
    else:
        config = uvicorn.Config(app.server, port=0, log_level="error", timeout_graceful_shutdown=1)
        asgi_server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(asgi_server.serve()), daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not asgi_server.started:
            assert time.monotonic() < deadline, "the app did not start within 20 s"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{asgi_server.servers[0].sockets[0].getsockname()[1]}"
        asgi_server.should_exit = True
    thread.join(20)
    hooks._ns.update(before)


@pytest.fixture
def watched(browser: Browser, own_app: str) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    seen = Watched(page, own_app)
    page.on("console", lambda said: seen.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: seen.complaints.append(f"uncaught: {error}"))
    page.on(
        "response",
        lambda got: seen.complaints.append(f"{got.status}: {got.url}") if got.status >= 400 else None,
    )
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((own_app, "data:", "blob:"))
            else seen.complaints.append(f"outside: {asked.url}")
        ),
    )
    yield seen
    context.close()


def test_from_the_own_page_over_live_to_a_frame_and_back(watched: Watched) -> None:
    page = watched.page
    page.goto(watched.url)
    page.locator("#name").fill("Ann")
    expect(page.locator("#said")).to_have_text("Hello, Ann.")
    page.get_by_role("link", name="Frames").click()

    expect(page.locator("#age")).to_contain_text("newest data", timeout=60_000)
    newest = page.locator("#live-side .fs-table tbody tr td a").first
    before = newest.text_content()
    expect(newest).not_to_have_text(before or "", timeout=60_000)

    page.locator(".fs-rail-link", has_text="Slow frames").click()
    expect(page.locator(".ag-center-cols-container .ag-row").first).to_be_visible(timeout=60_000)
    assert page.url.startswith(f"{watched.url}/framescope/frames")
    page.locator(".ag-center-cols-container .ag-row a.fs-frame-link").first.click()
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=60_000)
    assert page.url.startswith(f"{watched.url}/framescope/frames/")

    page.locator(".fs-rail-link", has_text="Correlate").click()
    expect(page.locator("#page h1")).to_be_visible(timeout=60_000)
    assert page.url.startswith(f"{watched.url}/framescope/correlate")
    page.goto(f"{watched.url}/")
    expect(page.get_by_role("heading", name="My own app")).to_be_visible()
    assert not watched.complaints


def test_every_link_of_the_pages_stays_under_the_prefix(watched: Watched) -> None:
    page = watched.page
    for path in ("/", "/frames", "/correlate"):
        page.goto(f"{watched.url}/framescope{path}")
        page.locator("#page h1").wait_for(state="attached", timeout=60_000)
        page.locator(".fs-rail-link").first.wait_for()
        links = page.locator("a[href], select.fs-select option").evaluate_all(
            "all => all.map(one => one.getAttribute('href') || one.value)"
        )
        outside = [link for link in links if link.startswith("/") and not link.startswith("/framescope/")]
        assert links and not outside, path
    assert not watched.complaints
