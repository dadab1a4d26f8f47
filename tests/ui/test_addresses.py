"""What stands in the address: kept by the browser's own buttons, harmless where it makes no sense."""

from __future__ import annotations

import re

import pytest
from conftest import Watched
from memory_store import SERVICE, MemoryStore
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

NONSENSE = (
    "range=9y&start=x&end=1e999&paused=nan",
    "start=5&end=1",
    "start=1&end=32503679999",
    "cause=%3Cscript%3E&stage=%00&outcome=lost&group=colour&order=sideways",
    "latency_ms=9-1&cohort=novalue&within=a:b:c&than=1-&signal=no/such",
    "frames=zz.%2e%2e.0&frame=../../etc&with=%27%3B--",
    "range=5m&range=1h&service=" + "x" * 3000,
)


@pytest.mark.parametrize("path", ["/", "/frames", "/correlate"])
def test_nonsense_in_an_address_is_as_if_it_were_not_there(look: Watched, path: str) -> None:
    for query in NONSENSE:
        page = look.open(f"{path}?{query}")
        expect(page.locator("h1")).not_to_be_empty(timeout=15_000)
        expect(page.locator("#page")).not_to_contain_text("Traceback")
        expect(page.locator("#page script")).to_have_count(0)
    assert not look.complaints


@pytest.mark.parametrize(
    "path", ["/nowhere", "/frames/", "/frames/" + "0" * 31 + "g", "/frames/a%2Fb", "/live/x"]
)
def test_an_address_that_is_no_page_leads_somewhere(look: Watched, path: str) -> None:
    page = look.open(path)
    expect(page.locator("#page a").first).to_be_visible(timeout=15_000)
    assert not look.complaints


def test_a_service_nobody_heard_of_leads_to_those_that_there_are(look: Watched) -> None:
    page = look.open("/?service=nobody&pipeline=nothing")
    expect(page.locator("h1")).to_have_text("No frame of nothing arrived in this range.", timeout=15_000)
    page.get_by_role("combobox", name="Service").select_option(SERVICE)
    expect(page.locator("#live-figure .main-svg").first).to_be_visible(timeout=15_000)


def test_back_and_forward_bring_filters_ranges_and_the_picked_frame_again(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(f"/frames?{memory.storm()}")
    title = page.locator("#frame-preview .fs-title").first
    chosen = page.get_by_role("navigation", name="Main cause").locator(".fs-chosen")
    page.locator("#frames-grid [row-index='3'] [col-id=stage]").click()
    number = page.locator("#frames-grid [row-index='3'] a.fs-frame-link").text_content()
    expect(title).to_have_text(f"Frame {number}")
    page.locator(".fs-filter", has_text="Queue wait").click()
    expect(chosen).to_contain_text("Queue wait", timeout=10_000)
    page.locator("#to-correlate").click()
    expect(page.locator("#drop-cause")).to_contain_text("Queue wait", timeout=15_000)
    page.go_back()
    expect(chosen).to_contain_text("Queue wait", timeout=10_000)
    page.go_back()
    expect(chosen).to_contain_text("All", timeout=10_000)
    expect(title).to_have_text(f"Frame {number}", timeout=10_000)
    page.go_forward()
    page.go_forward()
    expect(page.locator("#drop-cause")).to_contain_text("Queue wait", timeout=15_000)
    expect(page).to_have_url(re.compile("cause=queue_wait"))
    assert not look.complaints


def test_two_tabs_of_one_browser_keep_their_own_pipeline_range_and_picks(
    look: Watched, memory: MemoryStore
) -> None:
    first = look.open(f"/frames?{memory.storm()}")
    expect(first.locator("#frames-grid .ag-row-selected")).to_have_count(1, timeout=10_000)
    second = first.context.new_page()
    second.goto(f"{look.url}/?range=1m")
    expect(second.locator("#live-figure .main-svg").first).to_be_visible(timeout=15_000)
    first.keyboard.press("Shift+J")
    expect(first.locator("#picked")).to_contain_text("2 picked")
    newest = second.locator("#clock")
    before = newest.text_content()
    expect(newest).not_to_have_text(before or "", timeout=10_000)
    assert "frames=" in first.url and "frames=" not in second.url
    expect(second.get_by_role("combobox", name="Range")).to_have_value(re.compile("range=1m"))
    second.close()
