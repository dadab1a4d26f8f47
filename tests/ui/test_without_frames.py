"""Pages without anything to show: no frame ever, or a store that is away as the page is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from accessible import assert_accessible
from conftest import AppServer
from memory_store import MemoryStore
from playwright.sync_api import Browser, Page, expect

from framescope_ui.questions.stores import Stores

pytestmark = pytest.mark.browser
WAYS = ("framescope demo", "framescope.Pipeline(", "OTEL_EXPORTER_OTLP_ENDPOINT", "framescope doctor")


@pytest.fixture
def own() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def page(browser: Browser, own: MemoryStore) -> Iterator[Page]:
    server = AppServer(Stores(own, own))
    server.start()
    context = browser.new_context(base_url=server.url, viewport={"width": 1440, "height": 1000})
    yield context.new_page()
    context.close()
    server.stop()


def test_each_page_teaches_the_first_steps_and_fills_when_frames_come(own: MemoryStore, page: Page) -> None:
    own.empty = True
    for path in ("/frames", "/correlate", "/"):
        page.goto(path)
        expect(page.locator("h1")).to_have_text("No frames yet.")
        expect(page).to_have_title(re.compile("No frames yet"))
        for way in WAYS:
            expect(page.locator("#page")).to_contain_text(way)
    assert_accessible(page)
    own.empty = False
    expect(page.locator("#live-figure .main-svg").first).to_be_visible()


def test_a_page_opened_while_the_store_is_away_says_so_once_and_comes_by_itself(
    own: MemoryStore, page: Page
) -> None:
    own.away = "connection refused"
    page.goto("/frames")
    expect(page.locator("h1")).to_have_text("The store does not answer.")
    page.wait_for_timeout(4500)  # it has been asked again
    expect(page.locator("#retry")).to_have_count(1)
    expect(page.locator("#main")).not_to_contain_text("what was there before")
    own.away = None
    expect(page.locator("h1")).to_contain_text("frames were slow")
