"""The Slow frames page in a real Chromium: incidents, preview, filters, boxes, files, what is missing."""

from __future__ import annotations

import csv
import io
import json
import re
import urllib.request
from itertools import pairwise

import pytest
from accessible import assert_accessible
from conftest import Watched
from memory_store import NS, STORM_SECONDS, MemoryStore
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

LOOKS = [(size, theme) for size in ("wide", "narrow") for theme in ("dark", "light")]
PHONE = pytest.mark.parametrize("look", [("narrow", "dark")], indirect=True, ids=["phone"])


def storm(memory: MemoryStore, margin: float = 10) -> str:
    """The address of a fixed range around the storm."""
    return f"/frames?{memory.storm(margin)}"


def the_storm(page: Page) -> Locator:
    """The incident right after the change marker; the frames before and after it make small ones."""
    return page.locator("#incidents .fs-incident", has_text="deployed 1.4").last


def opened(page: Page) -> Locator:
    """The storm, opened, with its frames."""
    incident = the_storm(page)
    incident.locator("summary").click()
    expect(incident.locator(".fs-incident-frames")).not_to_contain_text("Asking")
    return incident


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids="-".join)
def test_with_an_incident_open_and_a_frame_previewed_it_is_accessible_and_does_not_scroll_sideways(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    opened(page)
    if page.locator("#frame-preview").count():
        page.locator("#preview-open").wait_for()
    assert_accessible(page)
    assert not look.complaints


def test_a_storm_is_one_line_with_its_times_cause_cost_and_trigger(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    line = the_storm(page).locator(".fs-incident-line")
    expect(line).to_have_count(1)
    expect(line).to_contain_text("GPU contention")
    expect(line).to_contain_text(re.compile(r"\d\d:\d\d:\d\d – \d\d:\d\d:\d\d UTC"))
    expect(line).to_contain_text(re.compile(r"\d+ of \d+ slow"))
    expect(line).to_contain_text(re.compile(r"[\d.]+ s lost"))
    expect(line).to_contain_text("after “deployed 1.4")
    expect(line.locator(".fs-bar")).to_have_attribute("aria-label", re.compile("Lost to GPU contention"))
    # However many frames: nothing in the line lies over its neighbour.
    line.locator(".fs-hit").evaluate("at => { at.textContent = '12 463 of 102 527 slow, 12 463 dropped'; }")
    parts = [part.bounding_box() for part in line.locator(":scope > span").all()]
    ends = [(box["x"], box["x"] + box["width"]) for box in parts if box is not None]
    assert all(right <= left for (_, right), (left, _) in pairwise(ends))
    assert line.locator(".fs-hit").evaluate("at => at.scrollWidth <= at.clientWidth")
    cards = page.locator("#page .fs-card .fs-title").all_text_contents()
    assert "incident" in cards[0] and cards[1] == "Every frame"
    assert not look.complaints


def test_an_incident_opens_by_key_to_its_longest_frames_and_closes_again(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    the_storm(page).locator("summary").focus()
    page.keyboard.press("Enter")
    frames = the_storm(page).locator(".fs-incident-frames tbody tr")
    expect(frames).to_have_count(8)
    latencies = [float(text) for text in frames.locator("td:nth-child(3)").all_text_contents()]
    assert latencies == sorted(latencies, reverse=True)
    page.keyboard.press("Enter")
    expect(the_storm(page).locator(".fs-incident-frames")).to_be_hidden()
    page.keyboard.press("Enter")
    frames.first.locator("a").click()
    expect(page).to_have_url(re.compile(r"/frames/[0-9a-f]{32}"))


def test_all_frames_of_an_incident_are_a_list_of_their_own(look: Watched, memory: MemoryStore) -> None:
    page = look.open(storm(memory))
    opened(page).get_by_role("link", name="All its frames").click()
    expect(page).to_have_url(re.compile(r"order=duration"))
    query = dict(pair.split("=") for pair in page.url.partition("?")[2].split("&"))
    began = memory.start_ns / NS
    assert float(query["start"]) <= began + STORM_SECONDS[0] + 1
    assert float(query["end"]) >= began + STORM_SECONDS[1] - 1


@PHONE
def test_on_a_phone_an_incident_opens_to_its_frames_too(look: Watched, memory: MemoryStore) -> None:
    page = look.open(storm(memory))
    expect(opened(page).locator(".fs-incident-frames li")).to_have_count(8)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_first_frame_is_previewed_and_keys_go_through_the_others(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    rows = page.locator("#frames-grid .ag-center-cols-container .ag-row")
    title = page.locator("#frame-preview .fs-title").first
    numbers = rows.locator("a.fs-frame-link")
    expect(title).to_have_text(f"Frame {numbers.first.text_content()}")
    expect(page.locator(".fs-preview-sentence")).to_contain_text("over budget")
    expect(page.locator(".fs-mini-row")).not_to_have_count(0)
    assert "frame=" not in page.url
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(title).to_have_text(f"Frame {numbers.nth(2).text_content()}")
    expect(page).to_have_url(re.compile(r"frame=[0-9a-f]{32}"))
    page.keyboard.press("k")
    expect(title).to_have_text(f"Frame {numbers.nth(1).text_content()}")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/frames/[0-9a-f]{32}"))
    assert not look.complaints


def test_a_copied_address_shows_the_same_preview(look: Watched, memory: MemoryStore) -> None:
    page = look.open(storm(memory))
    page.locator("#frames-grid [row-index='4'] [col-id=stage]").click()
    expect(page).to_have_url(re.compile(r"frame=[0-9a-f]{32}"))
    title = page.locator("#frame-preview .fs-title").first
    number = page.locator("#frames-grid [row-index='4'] a.fs-frame-link").text_content()
    expect(title).to_have_text(f"Frame {number}")
    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    expect(title).to_have_text(f"Frame {number}")


def test_several_rows_are_picked_by_keys_or_mouse_and_held_against_the_others(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    picked, line = (
        page.locator("#frames-grid .ag-center-cols-container .ag-row-selected"),
        page.locator("#picked"),
    )
    expect(picked).to_have_count(1)
    expect(line).to_be_hidden()
    page.keyboard.press("Shift+J")
    page.keyboard.press("Shift+J")
    expect(picked).to_have_count(3)
    expect(line).to_contain_text("3 picked")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(picked).to_have_count(4)
    page.locator("#frames-grid [row-index='6'] [col-id=stage]").click(modifiers=["ControlOrMeta"])
    expect(line).to_contain_text("5 picked")
    number = page.locator("#frames-grid [row-index='6'] a.fs-frame-link").text_content()
    expect(page.locator("#frame-preview .fs-title").first).to_have_text(f"Frame {number}")
    page.reload()
    expect(picked).to_have_count(5)
    expect(page.locator("#frame-preview .fs-title").first).to_have_text(f"Frame {number}")
    page.locator("#picked-apart").click()
    expect(page.locator("#drop-frames")).to_contain_text("5 picked frames")
    expect(page.locator("h1")).to_contain_text("5 of")
    expect(page.locator("#page")).to_contain_text("What sets picked frames apart")
    page.go_back()
    expect(picked).to_have_count(5)
    page.keyboard.press("Escape")
    expect(picked).to_have_count(1)
    expect(page).not_to_have_url(re.compile(r"[?&]frames="))
    assert not look.complaints


def test_rows_picked_before_the_grid_has_settled_are_picked_beside_the_first(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    page.wait_for_function(
        """() => {
          const api = document.getElementById("frames-grid") && window.dash_ag_grid.getApi("frames-grid");
          if (!api || !api.getSelectedNodes().length) return false;
          api.deselectAll(); // as a grid that is drawn anew
          window.framescope.stepRow(1, true);
          window.framescope.stepRow(1, true);
          return true;
        }"""
    )
    expect(page.locator("#frames-grid .ag-center-cols-container .ag-row-selected")).to_have_count(3)
    expect(page.locator("#picked")).to_contain_text("3 picked")
    assert not look.complaints


def test_rows_are_picked_by_their_boxes_which_are_large_enough(look: Watched, memory: MemoryStore) -> None:
    page = look.open(storm(memory))
    expect(page.locator("#frames-grid .ag-row-selected")).to_have_count(1)
    for row in (2, 4):
        box = page.locator(f"#frames-grid [row-index='{row}'] .ag-selection-checkbox input")
        box.click()
        size = page.locator(f"#frames-grid [row-index='{row}'] .ag-selection-checkbox input").bounding_box()
        assert size is not None and min(size["width"], size["height"]) >= 24
    expect(page.locator("#picked")).to_contain_text("3 picked")
    expect(page).to_have_url(re.compile(r"[?&]frames=([0-9a-f]{32}\.?){3}"))
    assert_accessible(page)


@pytest.mark.parametrize("look", [("narrow", "dark")], indirect=True, ids="-".join)
def test_on_a_phone_rows_are_picked_by_boxes_and_held_against_the_others(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    boxes, line = page.get_by_role("checkbox"), page.locator("#picked")
    expect(boxes.first).not_to_be_checked()
    expect(line).to_be_hidden()
    boxes.nth(1).click()
    expect(line).to_contain_text("1 picked")
    expect(page.locator("#picked-apart")).to_be_hidden()
    boxes.nth(3).focus()
    page.keyboard.press("Space")
    expect(line).to_contain_text("2 picked")
    size = boxes.nth(3).bounding_box()
    assert size is not None and min(size["width"], size["height"]) >= 44
    assert_accessible(page)
    page.reload()
    expect(boxes.nth(1)).to_be_checked()
    expect(boxes.nth(2)).not_to_be_checked()
    page.locator("#picked-apart").click()
    expect(page.locator("#drop-frames")).to_contain_text("2 picked frames")
    page.go_back()
    expect(boxes.nth(3)).to_be_checked()
    page.locator("#picked-one").click()
    expect(line).to_be_hidden()
    expect(boxes.nth(3)).not_to_be_checked()
    expect(page).not_to_have_url(re.compile(r"[?&]frames="))
    assert not look.complaints


@pytest.mark.parametrize("look", [("narrow", "light")], indirect=True, ids="-".join)
def test_on_a_phone_the_cause_is_chosen_from_a_list(look: Watched, memory: MemoryStore) -> None:
    page = look.open("/frames")
    choice = page.get_by_role("combobox", name="Main cause")
    choice.select_option(index=1)
    expect(page).to_have_url(re.compile("cause="))
    expect(page.locator("#frames-list li .fs-name").first).to_have_text(
        re.compile("GPU contention"), timeout=10_000
    )
    assert not look.complaints


def test_a_frame_that_hung_leaves_the_other_bars_their_length(
    look: Watched, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list's longest frame lost a thousand times what the others lost."""
    hung = next(k for k in range(30 * 60, 60 * 60) if memory.is_slow(k))
    usual = memory.lost_ms
    monkeypatch.setattr(memory, "lost_ms", lambda k: 10_000.0 if k == hung else usual(k))
    page = look.open("/frames?order=duration&range=15m")
    grid = page.locator("#frames-grid")
    expect(grid.locator(".ag-header-cell[col-id=shares]")).to_contain_text(re.compile(r"0 to \d+ ms »"))
    first = grid.locator("[row-index='0'] .fs-bar")
    expect(first.locator(".fs-beyond")).to_be_visible()
    expect(first).to_have_attribute("aria-label", re.compile("beyond the scale"))
    second = grid.locator("[row-index='1'] .fs-bar")
    expect(second.locator(".fs-beyond")).to_have_count(0)
    bar, part = second.bounding_box(), second.locator(".fs-part").first.bounding_box()
    assert bar is not None and part is not None
    assert part["width"] > bar["width"] / 4
    end = first.locator(".fs-beyond").bounding_box()
    whole = first.bounding_box()
    assert end is not None and whole is not None
    assert end["x"] + end["width"] <= whole["x"] + whole["width"] + 1, "the mark is inside its cell"


@pytest.mark.parametrize(("group", "named"), [("cause", "GPU contention"), ("stage", "denoise")])
def test_a_group_is_a_line_that_leads_to_its_frames(
    look: Watched, memory: MemoryStore, group: str, named: str
) -> None:
    page = look.open(storm(memory))
    page.locator("#select-group").select_option(label=f"By {group}")
    line = page.locator("#groups tbody tr", has_text=named).first
    slow = int((line.locator("td").nth(1).text_content() or "").replace("\u202f", ""))
    assert slow > 100, "the storm is GPU contention in denoise"
    line.locator("a").click()
    expect(page).to_have_url(re.compile(f"{group}={named.replace(' ', '_').lower()}"))
    expect(page.locator("#groups")).to_have_count(0)
    cells = page.locator(f"#frames-grid .ag-center-cols-container [col-id={group}]")
    expect(cells.first).to_contain_text(named)
    expect(cells.filter(has_not_text=named)).to_have_count(0)


def test_frames_like_this_are_those_of_its_cause_and_stage(look: Watched, memory: MemoryStore) -> None:
    page = look.open(storm(memory))
    page.locator("#preview-like").click()
    expect(page).to_have_url(re.compile(r"cause=\w+.*stage="))
    expect(page.locator(".fs-filter.fs-chosen")).not_to_contain_text("All")


def test_filters_go_along_to_a_frame_and_back(look: Watched, memory: MemoryStore) -> None:
    page = look.open(storm(memory) + "&cause=gpu_contention&order=duration")
    page.locator("a.fs-frame-link").first.click()
    expect(page.locator(".fs-crumbs")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/frames\?.*cause=gpu_contention.*order=duration"))


def test_an_outcome_is_chosen_and_none_of_it_teaches_the_way_out(look: Watched, memory: MemoryStore) -> None:
    page = look.open(storm(memory))
    page.locator("#select-outcome").select_option(label="Dropped")
    expect(page).to_have_url(re.compile("outcome=dropped"))
    expect(page.locator("#page")).to_contain_text("No frame here was kept for outcome dropped.")
    page.get_by_role("link", name="Clear it").click()
    expect(page.locator("#frames-grid")).to_be_visible()


def of_the_strip(page: Page, name: str, kept: bool = False) -> tuple[float, float]:
    """Where a point of a trace of the strip lies in the window; of ``kept`` ones, one with a trace id."""
    page.locator("#strip .main-svg").first.wait_for()
    page.locator("#strip").scroll_into_view_if_needed()
    found: list[float] = page.evaluate(
        """([name, kept]) => {
          const gd = document.querySelector('#strip .js-plotly-plot');
          const trace = gd._fullData.find((one) => one.name === name);
          const ids = trace.customdata || [];
          const all = [...trace.x.keys()].filter((i) => !kept || ids[i]);
          const i = all[Math.floor(all.length / 2)];
          const { xaxis, yaxis } = gd._fullLayout;
          const { left, top } = gd.getBoundingClientRect();
          return [left + xaxis._offset + xaxis.d2p(trace.x[i]), top + yaxis._offset + yaxis.d2p(trace.y[i])];
        }""",
        [name, kept],
    )
    return found[0], found[1]


def test_a_click_on_a_frame_of_the_strip_opens_it_where_it_was_kept_and_else_its_moment(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    page.mouse.click(*of_the_strip(page, "GPU contention", kept=True))
    expect(page).to_have_url(re.compile(r"/frames/[0-9a-f]{32}"))
    page.go_back()
    before = page.url
    page.mouse.click(*of_the_strip(page, "on time"))
    expect(page).not_to_have_url(before)
    expect(page).to_have_url(re.compile(r"/frames\?.*start=|/frames/[0-9a-f]{32}"))
    assert not look.complaints


def test_a_box_drawn_on_the_strip_narrows_range_and_latencies_and_goes_along_to_correlate(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    plot = page.locator("#strip .nsewdrag").first
    plot.wait_for()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.05)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6, steps=8)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"latency_ms=[\d.]+-[\d.]+"))
    expect(page.locator("#clear-latency")).to_contain_text(re.compile(r"[\d.]+ to [\d.]+ ms"))
    low, high = (float(end) for end in re.search(r"latency_ms=([\d.]+)-([\d.]+)", page.url).groups())  # type: ignore[union-attr]
    cells = page.locator("#frames-grid .ag-center-cols-container [col-id=latency]")
    expect(cells).not_to_have_count(0)
    assert all(low - 0.1 <= float(text) <= high + 0.1 for text in cells.all_text_contents())
    expect(page.locator("#to-correlate")).to_have_attribute("href", re.compile(r"/correlate\?.*latency_ms="))
    page.locator("#clear-latency").click()
    expect(page).not_to_have_url(re.compile("latency_ms"))


def test_the_list_is_a_file_of_what_was_asked_for(look: Watched, memory: MemoryStore) -> None:
    page = look.open(storm(memory) + "&cause=gpu_contention")
    expect(page.locator("#frames-csv")).to_have_attribute("aria-label", "all as CSV")
    href = page.locator("#frames-csv").get_attribute("href") or ""
    rows = list(csv.DictReader(io.StringIO(urllib.request.urlopen(look.url + href).read().decode())))
    total = (page.locator("#frames-shown").text_content() or "").split("of")[1]
    assert len(rows) == int(re.sub(r"\D", "", total)) > 0
    assert {row["cause"] for row in rows} == {"gpu_contention"}
    href = page.locator("#frames-json").get_attribute("href") or ""
    frames = json.loads(urllib.request.urlopen(look.url + href).read())["frames"]
    assert [frame["trace_id"] for frame in frames] == [row["trace_id"] for row in rows]


def test_more_frames_than_one_file_holds_is_said(look: Watched) -> None:
    page = look.open("/frames?range=15m")
    expect(page.locator("#frames-shown")).to_contain_text(re.compile(r"100 of \d"))
    label = page.locator("#frames-csv").get_attribute("aria-label") or ""
    total = int(re.sub(r"\D", "", (page.locator("#frames-shown").text_content() or "").split("of")[1]))
    assert label == ("all as CSV" if total <= 1000 else "the first 1\u202f000 as CSV")


def test_a_keep_budget_that_was_hit_is_said(look: Watched, memory: MemoryStore) -> None:
    page = look.open("/frames")
    expect(page.locator("#frames-notes")).to_have_count(0)
    memory.not_kept = 2.0
    try:
        page = look.open("/frames")
        expect(page.locator("#frames-notes")).to_contain_text("too many for the keep budget")
        expect(page.locator("#frames-notes")).to_contain_text("no fair sample")
    finally:
        memory.not_kept = 0.0


def test_a_store_that_goes_away_under_the_page_is_said_where_it_was_asked_and_the_page_stays(
    look: Watched, memory: MemoryStore
) -> None:
    page = look.open(storm(memory))
    page.locator("#preview-open").wait_for()
    sentence = page.locator("h1").text_content() or ""
    memory.away = "connection refused"
    try:
        page.keyboard.press("j")
        expect(page.locator("#frame-preview")).to_contain_text("does not answer (connection refused)")
        the_storm(page).locator("summary").click()
        expect(the_storm(page).locator(".fs-incident-frames")).to_contain_text("does not answer")
        expect(page.locator("h1")).to_have_text(sentence)
        page.locator(".fs-filter", has_text="Queue wait").click()
        expect(page.locator("#retry")).to_contain_text("does not answer (connection refused)")
        expect(page.locator("h1")).to_have_text(sentence)
        expect(page.locator("#frames-grid")).to_be_visible()
    finally:
        memory.away = None
    expect(page.locator("#retry")).to_have_count(0)
    expect(page.locator(".fs-filter.fs-chosen")).to_contain_text("Queue wait")


def test_a_range_without_frames_teaches_where_to_look(look: Watched) -> None:
    page = look.open("/frames?start=1700000000&end=1700000600")
    expect(page.locator("h1")).to_have_text("No frame was recorded in this range.")
    page.get_by_role("link", name="The last 24 hours").click()
    expect(page).to_have_url(re.compile("range=24h"))
