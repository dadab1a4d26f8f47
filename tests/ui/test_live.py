"""The Live page in a real Chromium: its switches, its clicks, its second viewer, and its store going away."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlparse

import pytest
from conftest import AppServer, Watched
from memory_store import MemoryStore
from playwright.sync_api import Browser, Page, expect
from test_pages import eventually

from framescope_ui.questions.stores import Stores

pytestmark = pytest.mark.browser

BERLIN = "Europe/Berlin"


@pytest.fixture
def berlin(browser: Browser, server: AppServer) -> Iterator[Page]:
    """A browser that lives in Berlin."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, timezone_id=BERLIN)
    yield context.new_page()
    context.close()


def drawn(page: Page) -> Page:
    expect(page.locator("#live-figure .main-svg").first).to_be_visible()
    return page


def open_view(page: Page) -> None:
    page.locator("#view summary").click()
    expect(page.locator(".fs-menu")).to_be_visible()


def lanes(page: Page) -> list[str]:
    names: dict[str, str] = page.evaluate(
        "() => document.querySelector('#live-figure .js-plotly-plot').layout.meta.lanes"
    )
    return [name.split(",")[0] for name in names.values()]


def last_x(page: Page) -> float:
    found: float = page.evaluate(
        "() => document.querySelector('#live-figure .js-plotly-plot')._fullData[0].x.at(-1)"
    )
    return found


def test_everything_has_a_lane_and_the_side_says_why_frames_were_dropped(look: Watched) -> None:
    page = drawn(look.open("/"))
    for lane in ("Latency", "Spread", "Frames", "Sync gap", "GPU 0 load", "Queue depth", "Host"):
        assert lane in lanes(page)
    expect(page.locator("#live-side")).to_contain_text("queue full")
    expect(page.locator("#live-tiles")).to_contain_text("steady")
    expect(page.locator("#live-readings-figure .main-svg").first).to_be_visible()
    expect(page.locator("#live-readings-figure")).to_contain_text("Temperature")
    expect(page.locator("#live-readings-figure")).to_contain_text("Clock")
    assert not look.complaints


def test_the_menu_shuts_by_escape(look: Watched) -> None:
    page = drawn(look.open("/"))
    open_view(page)
    page.locator("#view summary").focus()
    page.keyboard.press("Escape")
    expect(page.locator(".fs-menu")).to_be_hidden()
    assert not look.complaints


def test_minimal_mode_shows_little_and_is_remembered(look: Watched) -> None:
    page = drawn(look.open("/"))
    open_view(page)
    page.get_by_label("Live page").select_option("minimal")
    expect(page.locator("#live-readings-figure")).to_have_count(0)
    eventually(lambda: lanes(page) == ["Latency", "Frames"], page)
    expect(page.locator("#live-side")).not_to_contain_text("Queues")
    page.reload()
    drawn(page)
    eventually(lambda: lanes(page) == ["Latency", "Frames"], page)
    open_view(page)
    expect(page.get_by_label("Live page")).to_have_value("minimal")
    page.get_by_label("Live page").select_option("full")
    expect(page.locator("#live-readings-figure")).to_have_count(1)


def test_the_update_interval_holds_the_charts_and_not_the_clock(look: Watched) -> None:
    page = drawn(look.open("/"))
    expect(page.locator("#age")).to_contain_text("newest data")
    open_view(page)
    page.get_by_label("New every").select_option("10")
    page.wait_for_timeout(3000)  # what was on its way arrives
    page.evaluate(
        """() => { window.drawings = 0;
        const gd = document.querySelector('#live-figure .js-plotly-plot');
        gd.on('plotly_afterplot', () => window.drawings++); }"""
    )
    clock = page.locator("#clock").text_content()
    page.wait_for_timeout(9000)
    assert page.evaluate("window.drawings") <= 4, "a second would have drawn nine times"
    assert page.locator("#clock").text_content() != clock
    expect(page.locator("#lost")).to_be_empty()


@pytest.mark.parametrize(("label", "width"), [("Last 1 min", 60), ("Last 15 min", 900), ("Last 1 h", 3600)])
def test_windows_reach_from_a_minute_to_an_hour(look: Watched, label: str, width: float) -> None:
    page = drawn(look.open("/"))
    page.locator("#select-range").select_option(label=label)
    eventually(lambda: abs(shown_seconds(page) - width) < 1, page)
    points = page.evaluate(
        "() => document.querySelector('#live-figure .js-plotly-plot')._fullData"
        ".map((trace) => (trace.x || []).length)"
    )
    assert max(points) <= 2000


def shown_seconds(page: Page) -> float:
    found: float = page.evaluate(
        """() => { const gd = document.querySelector('#live-figure .js-plotly-plot');
        return gd && gd._fullLayout ? gd._fullLayout.xaxis.range.map((x) => window.framescope.unix(x))
          .reduce((a, b) => b - a) : 0; }"""
    )
    return found


@pytest.mark.parametrize("figure", ["live-figure", "live-readings-figure"])
def test_a_click_on_any_point_opens_the_frames_of_that_moment(look: Watched, figure: str) -> None:
    page = drawn(look.open("/"))
    page.keyboard.press(" ")
    expect(page.locator("#paused-line")).to_be_visible()
    plot = page.locator(f"#{figure} .nsewdrag[data-subplot]").last
    plot.wait_for()
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    span = page.evaluate(
        f"() => document.querySelector('#{figure} .js-plotly-plot')._fullLayout.xaxis.range"
        ".map((x) => window.framescope.unix(x))"
    )
    there = re.compile(r"/frames\?.*start=")
    for _ in range(5):  # a chart that is drawn anew at that moment takes no click
        page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        page.wait_for_timeout(300)
        page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        with contextlib.suppress(AssertionError):
            expect(page).to_have_url(there, timeout=5_000)
            break
    expect(page).to_have_url(there)
    asked = parse_qs(urlparse(page.url).query)
    start, end = float(asked["start"][0]), float(asked["end"][0])
    assert (start + end) / 2 == pytest.approx(span[0] + (span[1] - span[0]) / 4, abs=3)
    assert end - start == pytest.approx(10, abs=0.1)
    page.locator("#strip .main-svg").first.wait_for()


def test_times_are_local_with_their_zone_and_a_switch_makes_them_utc(berlin: Page, server: AppServer) -> None:
    page = berlin
    page.goto(server.url)
    drawn(page)
    expect(page.locator("#clock")).to_have_text(re.compile(r"\d\d:\d\d:\d\d CES?T"))
    expect(page.locator("#live-side")).to_contain_text(re.compile(r"Time, CES?T"))
    local_tick = page.locator("#live-figure .xtick text").first.text_content() or ""
    local_clock = page.locator("#clock").text_content() or ""
    assert local_tick[:2] in (local_clock[:2], f"{(int(local_clock[:2]) - 1) % 24:02d}")
    open_view(page)
    page.get_by_label("Times").select_option("utc")
    expect(page.locator("#clock")).to_have_text(re.compile(r"\d\d:\d\d:\d\d UTC"))
    now = time.gmtime()
    hours = {f"{(now.tm_hour + more) % 24:02d}" for more in (-1, 0)}
    eventually(
        lambda: (page.locator("#live-figure .xtick text").first.text_content() or "")[:2] in hours, page
    )
    assert (page.locator("#clock").text_content() or "")[:2] in hours
    page.goto(f"{server.url}/frames")
    expect(page.locator("#clock")).to_have_text(re.compile("UTC"))
    page.locator("#strip .main-svg").first.wait_for()
    assert (page.locator("#strip .xtick text").first.text_content() or "")[:2] in hours


@pytest.mark.parametrize("zone", ["local", "utc"])
def test_what_is_read_off_a_chart_is_the_same_moment_in_every_zone(
    berlin: Page, server: AppServer, zone: str
) -> None:
    page = berlin
    page.goto(server.url)
    drawn(page)
    page.evaluate(f"() => localStorage.setItem('framescope-zone', '{zone}')")
    page.reload()
    drawn(page)
    end = page.evaluate(
        "() => window.framescope.unix(document.querySelector('#live-figure .js-plotly-plot')"
        "._fullLayout.xaxis.range[1])"
    )
    assert end == pytest.approx(time.time(), abs=15)
    with page.expect_download() as waiting:
        page.locator("[data-chart=live] [data-save=csv]").click()
    last = re.findall(r"p99, ms\",(\S+?)Z,", waiting.value.path().read_text())[-1]
    assert last.startswith(time.strftime("%Y-%m-%dT%H", time.gmtime(end)))


def test_two_viewers_have_their_own_choices(look: Watched, browser: Browser) -> None:
    page = drawn(look.open("/?range=1m"))
    context = browser.new_context(viewport={"width": 375, "height": 812}, color_scheme="light")
    other = context.new_page()
    tab = page.context.new_page()
    try:
        other.goto(f"{look.url}/?range=15m")
        tab.goto(look.url)
        for one, width in ((page, 60), (other, 900), (tab, 300)):
            drawn(one)
            expect(one.locator("#age")).to_contain_text("newest data", timeout=60_000)
            eventually(lambda one=one, width=width: abs(shown_seconds(one) - width) < 1, one)
        page.keyboard.press(" ")
        expect(page.locator("#paused-line")).to_be_visible()
        clock = other.locator("#live-side .fs-table tbody tr td").first.text_content()
        expect(other.locator("#paused-line")).to_have_count(0)
        before = last_x(other)
        eventually(lambda: last_x(other) > before, other)
        assert clock
    finally:
        context.close()


def test_a_store_that_goes_away_under_the_page_is_said_and_it_recovers_by_itself(
    look: Watched, memory: MemoryStore
) -> None:
    page = drawn(look.open("/"))
    expect(page.locator("#age")).to_contain_text("newest data")
    points = page.evaluate(
        "() => document.querySelector('#live-figure .js-plotly-plot')._fullData[0].x.length"
    )
    assert points > 100
    memory.away = "connection refused"
    try:
        expect(page.locator("#state")).to_contain_text("NO DATA")
        expect(page.locator("#state")).to_contain_text("store away")
        expect(page.locator("#live-figure .main-svg").first).to_be_visible()
        kept = page.evaluate(
            "() => document.querySelector('#live-figure .js-plotly-plot')._fullData[0].x.length"
        )
        assert kept > 100, "what was drawn stays"
        expect(page.locator("#live-tiles")).to_contain_text("Frames in")
        expect(page.locator("#age")).to_contain_text("newest data")
        expect(page.locator("#lost")).to_contain_text(
            re.compile(r"No answer from store: the values are from \d\d:\d\d:\d\d UTC")
        )
    finally:
        memory.away = None
    expect(page.locator("#state")).not_to_contain_text("NO DATA")
    expect(page.locator("#lost")).to_be_empty()
    before = last_x(page)
    eventually(lambda: last_x(page) > before, page)


def test_a_server_that_is_stopped_under_the_page_is_said_and_it_recovers_by_itself(
    browser: Browser, memory: MemoryStore
) -> None:
    mine = AppServer(Stores(memory, memory))
    mine.start()
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    try:
        page.goto(mine.url)
        drawn(page)
        expect(page.locator("#age")).to_contain_text("newest data")
        mine.stop()
        expect(page.locator("#lost")).to_contain_text("Connection lost")
        expect(page.locator("#live-figure .main-svg").first).to_be_visible()
        mine.start()
        expect(page.locator("#lost")).to_be_empty(timeout=60_000)
        before = last_x(page)
        eventually(lambda: last_x(page) > before, page)
    finally:
        context.close()
        mine.stop()
