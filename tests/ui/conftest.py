"""The app on a port of its own, and a Chromium that looks at it.

``stores`` is the seam: what it gives is what the pages show. The rest does not care where it comes from.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from chromium import HANG_MS, chromium
from memory_store import MemoryStore
from playwright.sync_api import Browser, BrowserContext, Page

from framescope_ui.options import AppOptions
from framescope_ui.questions.stores import Stores
from framescope_ui.server import create_app
from framescope_ui.trace_links import TraceLink

SIZES = {"wide": (1440, 1000), "narrow": (375, 812)}


class AppServer:
    """The app under uvicorn in a thread; it can be stopped and started again on the same port."""

    def __init__(
        self, stores: Stores, data_dir: Path | None = None, trace_links: tuple[TraceLink, ...] = ()
    ) -> None:
        self._stores = stores
        self._trace_links = trace_links
        self.data_dir = data_dir
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        options = AppOptions(port=self.port, data_dir=self.data_dir, trace_links=self._trace_links)
        app = create_app(options, self._stores)
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self.port, log_level="error", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()), daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < deadline, "the app did not start within 20 s"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(20)
            assert not self._thread.is_alive(), "the app did not stop within 20 s"


@dataclass
class Watched:
    """A page, and everything it complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        self.page.locator("#page h1").wait_for(state="attached")
        return self.page


@pytest.fixture(scope="module")
def memory() -> MemoryStore:
    """Begun anew for each file: else its one incident leaves the pages' time range before the last."""
    return MemoryStore()


@pytest.fixture(scope="module")
def stores(memory: MemoryStore) -> Stores:
    return Stores(memory, memory)


@pytest.fixture(scope="module")
def server(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    running = AppServer(stores, tmp_path_factory.mktemp("data"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all tests: what a page fetches and compiles is there for the next one."""
    width, height = SIZES["wide"]
    shared = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark")
    shared.set_default_timeout(HANG_MS)
    yield shared
    shared.close()


def leave_as_found(context: BrowserContext, url: str) -> None:
    """Close all pages, and forget what they kept and were allowed."""
    for page in context.pages[1:]:
        page.close()
    page = context.pages[0] if context.pages else context.new_page()
    page.goto("about:blank")
    kept = {"origin": url, "storageTypes": "local_storage,indexeddb,cookies"}
    context.new_cdp_session(page).send("Storage.clearDataForOrigin", kept)
    page.close()
    context.clear_permissions()


@pytest.fixture
def look(context: BrowserContext, server: AppServer, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A fresh page; parametrize ``look`` indirectly with (size, theme) for another than wide and dark."""
    size, theme = getattr(request, "param", ("wide", "dark"))
    width, height = SIZES[size]
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=theme)
    watched = Watched(page, server.url)
    page.on(
        "console",
        lambda said: watched.complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: watched.complaints.append(f"uncaught: {error}"))
    page.on(
        "requestfailed",
        # Given up by the browser itself: the page was left while something of it was still on its way.
        lambda asked: (
            None
            if asked.failure == "net::ERR_ABORTED"
            else watched.complaints.append(f"failed: {asked.url} {asked.failure}")
        ),
    )
    page.on(
        "response",
        lambda got: watched.complaints.append(f"{got.status}: {got.url}") if got.status >= 400 else None,
    )
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((server.url, "data:", "blob:"))
            else watched.complaints.append(f"outside: {asked.url}")
        ),
    )
    yield watched
    leave_as_found(context, server.url)
