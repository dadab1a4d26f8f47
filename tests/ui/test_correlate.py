"""The Correlate page in a real Chromium: a sentence, its proof, and the ways out of it."""

from __future__ import annotations

import re

import pytest
from conftest import Watched
from memory_store import MemoryStore
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

OTHERS = "framescope.gpu.process.utilization/0"


def test_it_opens_with_a_sentence_and_says_what_it_is_not(look: Watched) -> None:
    page = look.open("/correlate?range=15m")
    expect(page.locator("h1")).to_contain_text(re.compile("slow frames", re.I))
    expect(page.locator(".fs-facts")).to_contain_text("An association")
    expect(page.locator(".fs-rail-link.fs-here")).to_contain_text("Correlate")
    for card in ("Slow frames by", "Which comes first", "What sets slow frames apart", "Before and after"):
        expect(page.locator("#page")).to_contain_text(card)


def test_a_signal_is_chosen_by_its_link_and_travels_in_the_address(look: Watched) -> None:
    page = look.open("/correlate?range=15m")
    page.locator("#all-signals summary").click()
    page.locator("#all-signals a", has_text="Other processes on the GPU").click()
    expect(page).to_have_url(re.compile(r"signal=framescope.gpu.process.utilization"))
    expect(page.locator("#page")).to_contain_text("Slow frames by Other processes on the GPU")
    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    expect(page.locator(".fs-signal.fs-chosen")).to_contain_text("Other processes")


def test_every_chart_has_its_numbers_as_a_table(look: Watched) -> None:
    page = look.open(f"/correlate?range=15m&signal={OTHERS}")
    page.locator("#doses .main-svg").first.wait_for()
    for chart in page.locator("figure.fs-chart").all():
        chart.locator("summary").click()
        expect(chart.locator("table")).to_be_visible()


def test_a_cause_leads_to_its_slow_frames_and_those_lead_back(look: Watched) -> None:
    page = look.open("/correlate?range=15m")
    page.locator(".fs-chips a", has_text="Queue wait").click()
    expect(page).to_have_url(re.compile(r"/frames\?.*cause=queue_wait.*start="))
    expect(page.locator("h1")).to_contain_text("frames were slow")
    page.locator("#to-correlate").click()
    expect(page).to_have_url(re.compile(r"/correlate\?.*start="))
    expect(page.locator("#correlate-time .main-svg").first).to_be_visible()


def test_the_rail_opens_an_hour_and_the_key_does_too(look: Watched) -> None:
    page = look.open("/")
    page.locator(".fs-rail-link", has_text="Correlate").click()
    expect(page).to_have_url(re.compile(r"/correlate\?.*range=1h"))
    page = look.open("/frames")
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page).to_have_url(re.compile(r"/correlate"))


def test_a_store_that_goes_away_under_the_page_is_said_and_nothing_yet_says_what_to_do(
    look: Watched, memory: MemoryStore
) -> None:
    memory.empty = True
    try:
        page = look.open("/correlate")
        expect(page.locator("#page")).to_contain_text("framescope demo")
    finally:
        memory.empty = False
    page = look.open("/correlate?range=15m")
    sentence = page.locator("h1").text_content() or ""
    memory.away = "connection refused"
    try:
        page.locator(".fs-signal").nth(1).click()
        expect(page.locator("#retry")).to_contain_text("does not answer (connection refused)")
        expect(page.locator("h1")).to_have_text(sentence)
        expect(page.locator("#correlate-time .main-svg").first).to_be_visible()
        page.reload()
        expect(page.locator("h1")).to_have_text("The store does not answer.")
    finally:
        memory.away = None
    expect(page.locator("#correlate-time .main-svg").first).to_be_visible()


def test_a_range_without_frames_says_so(look: Watched) -> None:
    page = look.open("/correlate?start=1700000000&end=1700000600")
    expect(page.locator("h1")).to_have_text("No frame was recorded in this range.")
    expect(page.get_by_role("link", name="The last 24 hours")).to_be_visible()
