"""The pages in a real Chromium: what they show, and what they must never do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import combinations

import pytest
from accessible import assert_accessible, open_everything
from conftest import AppServer, Watched
from memory_store import FOREIGN_TRACE, HOSTILE, NS, MemoryStore
from playwright.sync_api import Browser, Page, expect

from framescope_ui.questions.stores import Stores

pytestmark = pytest.mark.browser

LOOKS = [(size, theme) for size in ("wide", "narrow") for theme in ("dark", "light")]


def eventually(holds: Callable[[], bool], page: Page) -> None:
    """Wait for it; Playwright's own way evaluates strings, which the pages' security policy forbids."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not come true within 20 s"
        page.wait_for_timeout(100)


def a_slow_frame(memory: MemoryStore) -> str:
    """A slow frame of a minute ago."""
    k = (memory.clock_ns() - memory.start_ns) // NS * 60 - 3600
    return memory.trace_id(next(n for n in range(k, k + 1000) if memory.is_slow(n)))


def pages(memory: MemoryStore) -> dict[str, str]:
    return {
        "live": "/",
        "slow frames": "/frames",
        "frame": f"/frames/{a_slow_frame(memory)}",
        "unknown": "/frames/abc",
    }


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids="-".join)
@pytest.mark.parametrize("name", ["live", "slow frames", "frame", "unknown"])
def test_a_page_is_quiet_accessible_and_does_not_scroll_sideways(
    look: Watched, memory: MemoryStore, name: str
) -> None:
    page = look.open(pages(memory)[name])
    if name != "unknown":
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
    expect(page.locator("#age")).to_contain_text("newest data")

    assert_accessible(page)
    open_everything(page)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    assert_accessible(page)
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    assert not look.complaints


def test_nothing_in_the_bar_lies_over_its_neighbour_at_any_width(look: Watched) -> None:
    page = look.open("/")
    expect(page.locator("#state .fs-why")).not_to_be_empty()
    page.locator("#controls .fs-switch").wait_for()
    parts = ["#state .fs-badge", "#state .fs-reason-text", "#controls", ".fs-times", "#view", "#help-open"]
    boxes = """(parts) => parts.map((part) => document.querySelector(part)).filter(Boolean)
        .map((one) => one.getBoundingClientRect().toJSON())"""
    for width in (375, 768, 1000, 1200, 1399, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        eventually(lambda: len(page.evaluate(boxes, parts)) == len(parts), page)
        found = page.evaluate(boxes, parts)
        for part, one in zip(parts, found, strict=True):
            assert one["width"] > 30 and one["left"] >= 0 and one["right"] <= width, f"{part} at {width} px"
        for one, other in combinations(found, 2):
            beside = one["left"] >= other["right"] or other["left"] >= one["right"]
            beneath = one["top"] >= other["bottom"] or other["top"] >= one["bottom"]
            assert beside or beneath, f"two parts lie over each other at {width} px"
        assert page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_live_values_arrive_by_push(look: Watched) -> None:
    polls: list[str] = []
    look.page.on(
        "request", lambda asked: polls.append(asked.url) if "update-component" in asked.url else None
    )
    page = look.open("/")
    expect(page.locator("#age")).to_contain_text("newest data")
    newest = page.locator("#live-side .fs-table tbody tr td a").first
    before, asked = newest.text_content(), len(polls)
    expect(newest).not_to_have_text(before or "")
    assert len(polls) == asked, "values changed by asking, not by push"


def test_without_a_shared_worker_the_page_asks_instead(look: Watched) -> None:
    look.page.add_init_script("delete window.SharedWorker;")
    page = look.open("/")
    expect(page.locator("#age")).to_contain_text("newest data")
    newest = page.locator("#live-side .fs-table tbody tr td a").first
    before = newest.text_content()
    expect(newest).not_to_have_text(before or "")


def test_a_restarted_server_is_found_again_without_reload(look: Watched, server: AppServer) -> None:
    page = look.open("/")
    expect(page.locator("#age")).to_contain_text("newest data")
    page.evaluate("window.notReloaded = true")
    server.stop()
    try:
        expect(page.locator("#lost")).to_contain_text("Connection lost")
        expect(page.locator("#lost")).to_contain_text("values are from")
    finally:
        server.start()
    expect(page.locator("#lost")).to_be_empty(timeout=45_000)
    newest = page.locator("#live-side .fs-table tbody tr td a").first
    before = newest.text_content()
    expect(newest).not_to_have_text(before or "")
    assert page.evaluate("window.notReloaded") is True


def test_a_store_that_is_away_is_named_with_since_when_and_the_page_recovers(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open("/frames")
    memory.away = "connection refused"
    try:
        expect(page.locator(".fs-why")).to_contain_text("store away: connection refused")
        expect(page.locator(".fs-since")).to_contain_text(re.compile(r"since \d\d:\d\d:\d\d"))
        page.locator(".fs-filter", has_text="Queue wait").click()
        expect(page.locator("#retry")).to_contain_text("does not answer (connection refused)")
        expect(page.locator("#retry")).to_contain_text(re.compile(r"missing since \d\d:\d\d:\d\d UTC"))
    finally:
        memory.away = None
    expect(page.locator("h1")).to_contain_text("frames were slow")


@pytest.mark.parametrize("path", ["/", "/frames"])
def test_what_a_backend_cannot_answer_is_there_for_who_looks_for_it(look: Watched, path: str) -> None:
    page = look.open(path)
    page.reload()  # what it is, it is asked beside the first page
    limits = page.locator("#limits")
    expect(limits).to_contain_text("Limits of store: 1")
    expect(limits.locator("table")).to_be_hidden()
    limits.locator("summary").click()
    expect(limits.locator("table")).to_be_visible()
    expect(limits).to_contain_text("open its window")


def test_nothing_yet_says_what_to_do(browser: Browser) -> None:
    nothing = MemoryStore()
    nothing.empty = True
    mine = AppServer(Stores(nothing, nothing))
    mine.start()
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    try:
        page = context.new_page()
        page.goto(mine.url)
        expect(page.locator("#page")).to_contain_text("No frames yet.")
        expect(page.locator("#page")).to_contain_text("framescope demo")
    finally:
        context.close()
        mine.stop()


def test_a_row_opens_its_frame_by_link_by_double_click_and_by_enter(look: Watched) -> None:
    for way in ("link", "double click", "enter"):
        page = look.open("/frames")
        row = page.locator(".ag-center-cols-container .ag-row").first
        number = row.locator("a.fs-frame-link").text_content() or ""
        if way == "link":
            row.locator("a.fs-frame-link").click()
        elif way == "double click":
            row.locator("[col-id=stage]").dblclick()
        else:
            row.locator("[col-id=stage]").click()
            page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"/frames/[0-9a-f]{32}"))
        expect(page.locator(".fs-crumbs")).to_contain_text(f"Frame {number}")


def test_a_shared_address_opens_the_same_frame(look: Watched, memory: MemoryStore) -> None:
    trace_id = a_slow_frame(memory)
    page = look.open(f"/frames/{trace_id}")
    sentence = page.locator("h1").text_content()
    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    expect(page.locator("h1")).to_have_text(sentence or "")
    assert sentence and "over budget" in sentence
    expect(page.locator("#json")).to_have_attribute("href", f"/api/frames/{trace_id}")


def test_the_frame_page_proves_its_sentence(look: Watched, memory: MemoryStore) -> None:
    page = look.open(f"/frames/{a_slow_frame(memory)}")
    expect(page.locator("#evidence")).to_contain_text("Ruled out")
    expect(page.locator("#evidence")).to_contain_text("Not measured")
    expect(page.locator("#evidence")).to_contain_text("Confidence")
    page.locator("#waterfall .annotation-text", has_text="Queue depth").first.wait_for()
    lanes = page.locator("#waterfall .annotation-text").all_text_contents()
    for lane in ("GPU 0 load", "Clock", "Queue depth"):
        assert any(lane in text for text in lanes), f"{lane} is not under the waterfall: {lanes}"
    assert page.locator("#waterfall .xaxislayer-above, #waterfall .xaxislayer-below").count() >= 1
    assert page.locator(".fs-tag", has_text="simulated GPU").count() >= 1


def test_earlier_and_later_slow_frames_are_one_key_away(look: Watched, memory: MemoryStore) -> None:
    page = look.open(f"/frames/{a_slow_frame(memory)}")
    here = page.url
    page.keyboard.press("[")
    expect(page).not_to_have_url(here)
    page.locator("#later").wait_for()
    expect(page.locator("#later")).to_have_attribute("href", re.compile(re.escape(here.rsplit("/", 1)[1])))
    page.keyboard.press("]")
    expect(page).to_have_url(re.compile(re.escape(here.rsplit("/", 1)[1])))


def test_an_unknown_id_gets_a_page_that_helps(look: Watched) -> None:
    page = look.open("/frames/0123456789abcdef0123456789abcdee")
    expect(page.locator("h1")).to_have_text("No frame is stored under this id.")
    expect(page.locator("#page")).to_contain_text("retention")
    page.get_by_role("link", name="Back to the slow frames").click()
    expect(page.locator("h1")).to_contain_text("frames were slow")


def test_a_foreign_trace_is_an_ordinary_waterfall_that_says_so(look: Watched) -> None:
    page = look.open(f"/frames/{FOREIGN_TRACE}")
    expect(page.locator("h1")).to_contain_text("This trace carries nothing of framescope's")
    page.locator("#waterfall .main-svg").first.wait_for()
    assert any("SELECT" in text for text in page.locator("#waterfall .annotation-text").all_text_contents())
    assert not look.complaints


def test_filters_narrow_the_table_and_travel_in_the_address(look: Watched) -> None:
    page = look.open("/frames")
    page.locator(".fs-filter", has_text="Queue wait").click()
    expect(page).to_have_url(re.compile("cause=queue_wait"))
    expect(page.locator(".fs-filter.fs-chosen")).to_contain_text("Queue wait")
    expect(page.locator(".ag-center-cols-container [col-id=cause]").first).to_contain_text("Queue wait")
    causes = set(page.locator(".ag-center-cols-container [col-id=cause] .fs-name").all_text_contents())
    assert causes == {"Queue wait"}
    page.locator(".fs-filter", has_text="All").click()
    page.locator("#select-stage").select_option(label="decode")
    expect(page).to_have_url(re.compile("stage=decode"))
    stages = page.locator(".ag-center-cols-container [col-id=stage]")
    expect(stages.first).to_have_text("decode")
    # The newest frame may have been one of decode already: wait until all others are gone.
    expect(stages.filter(has_not_text="decode")).to_have_count(0)
    page.locator("#select-range").select_option(label="Last 1 min")
    expect(page).to_have_url(re.compile("range=1m"))


def test_a_filter_without_frames_says_so_and_offers_the_way_out(look: Watched) -> None:
    page = look.open("/frames?cause=lock_wait")
    expect(page.locator("#page")).to_contain_text("No slow frame here was kept for Lock wait.")
    page.get_by_role("link", name="Clear it").click()
    expect(page.locator(".ag-center-cols-container .ag-row").first).to_be_visible()


def test_longest_first_is_longest_first(look: Watched) -> None:
    page = look.open("/frames?order=duration")
    rows = page.locator(".ag-center-cols-container .ag-row [col-id=latency]")
    rows.first.wait_for()
    latencies = [float(text) for text in rows.all_text_contents()]
    assert latencies == sorted(latencies, reverse=True)


def test_more_rows_are_loaded_only_when_asked_for(look: Watched) -> None:
    page = look.open("/frames")
    rows = "dash_ag_grid.getApi('frames-grid').getDisplayedRowCount()"
    page.locator(".ag-center-cols-container .ag-row").first.wait_for()
    assert page.evaluate(rows) == 100
    page.locator("#frames-more").click()
    eventually(lambda: page.evaluate(rows) == 200, page)


@pytest.mark.parametrize("look", [("narrow", "light")], indirect=True, ids="-".join)
def test_a_phone_gets_rows_that_open_and_more_of_them_when_asked(look: Watched) -> None:
    page = look.open("/frames")
    expect(page.locator(".fs-rows li")).to_have_count(100)
    page.locator("#frames-more-phone").click()
    expect(page.locator(".fs-rows li")).to_have_count(200)
    page.locator(".fs-rows a").first.click()
    expect(page.locator("#evidence")).to_be_visible()
    assert not look.complaints


@pytest.mark.parametrize("path", ["/", "/frames", "frame"])
def test_names_from_outside_are_text_and_nothing_else(look: Watched, memory: MemoryStore, path: str) -> None:
    if path == "frame":
        path = f"/frames/{a_slow_frame(memory)}"
    look.page.on("dialog", lambda box: look.complaints.append(f"dialog: {box.message}"))
    page = look.open(path)
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    expect(page.locator("#age")).to_contain_text("newest data")
    assert page.locator("#page img").count() == 0
    assert HOSTILE[:8] in page.locator("#page").inner_text() or page.locator(f"text={HOSTILE[:8]}").count()
    assert not look.complaints


def test_pausing_freezes_the_page_and_its_address_says_when(look: Watched) -> None:
    page = look.open("/")
    expect(page.locator("#age")).to_contain_text("newest data")
    page.keyboard.press(" ")
    expect(page).to_have_url(re.compile(r"paused=\d+"))
    expect(page.locator("#paused-line")).to_contain_text("Paused at")
    newest = page.locator("#live-side .fs-table tbody tr td a").first
    before, clock = newest.text_content(), page.locator("#clock").text_content()
    expect(page.locator("#clock")).not_to_have_text(clock or "")
    page.wait_for_timeout(2500)
    assert newest.text_content() == before
    page.keyboard.press(" ")
    expect(newest).not_to_have_text(before or "")


def test_keys_are_off_while_a_field_has_the_focus(look: Watched) -> None:
    page = look.open("/frames")
    page.locator("#select-range").focus()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_hidden()
    page.locator("#theme-switch").focus()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("l")
    expect(page.locator("#live-figure")).to_be_visible()


def test_the_theme_switch_changes_page_and_charts_and_is_remembered(look: Watched) -> None:
    page = look.open("/frames")
    page.locator("#strip .main-svg").first.wait_for()
    ink = "document.querySelector('#strip .annotation-text').style.fill"
    dark = page.evaluate(ink)
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    eventually(lambda: page.evaluate(ink) != dark, page)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")


def test_the_skip_link_is_first_and_leads_to_the_content(look: Watched) -> None:
    page = look.open("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert "#" not in page.url
