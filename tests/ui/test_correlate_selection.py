"""Correlate in a real Chromium, over frames with a law in them: attributes, boxes, two sides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from accessible import assert_accessible, open_everything
from conftest import AppServer, Watched
from lawful_store import LawfulStore
from playwright.sync_api import Locator, Page, expect

from framescope_ui.questions.stores import Stores

pytestmark = pytest.mark.browser

LOOKS = [(size, theme) for size in ("wide", "narrow") for theme in ("dark", "light")]
OPEN = "/correlate?range=5m"


@pytest.fixture(scope="module")
def lawful() -> LawfulStore:
    return LawfulStore()


@pytest.fixture(scope="module")
def server(lawful: LawfulStore) -> Iterator[AppServer]:
    running = AppServer(Stores(lawful, lawful))
    running.start()
    yield running
    running.stop()


def query(page: Page) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(page.url).query).items()}


def drag(page: Page, area: Locator, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """A box over a plot, corners as shares of its width and height."""
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + begin[0] * box["width"], box["y"] + begin[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=8)
    page.mouse.up()


def lane(page: Page, chart: str, axes: str) -> Locator:
    return page.locator(f"#{chart} .draglayer .{axes} .drag").first


def opened(look: Watched, path: str = OPEN) -> Page:
    page = look.open(path)
    page.locator("#correlate-time .main-svg").first.wait_for()
    page.locator("#doses .main-svg").first.wait_for()
    return page


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids="-".join)
def test_a_selection_and_a_comparison_are_quiet_and_accessible(look: Watched) -> None:
    page = opened(look, f"{OPEN}&cause=gc_pause&signal=attribute/mode%3Ddoppler&cohort=lines%3D64")
    page.locator("#than-before").click()
    expect(page).to_have_url(re.compile("than="))
    expect(page.locator("#than-before")).to_have_attribute("aria-current", "true")
    expect(page.locator("#changes h3").first).to_contain_text(" and ")
    expect(page.locator("#age")).to_contain_text("newest data")
    assert page.locator("h1").count() == 1
    assert_accessible(page)
    open_everything(page)
    assert_accessible(page)
    assert not look.complaints


def test_the_law_is_found_and_said_with_its_interval(look: Watched) -> None:
    page = opened(look)
    expect(page.locator("h1")).to_have_text(
        re.compile(r"Slow frames are [\d.]+× as likely when (GPU load is above 90 %|.*)\.")
    )
    expect(page.locator(".fs-signals")).to_contain_text("GPU load")
    expect(page.locator(".fs-facts")).to_contain_text("95 % interval")


def test_an_attribute_is_looked_at_value_by_value_and_its_values_select_frames(look: Watched) -> None:
    page = opened(look)
    page.locator("#all-signals summary").click()
    page.locator("#all-signals a", has_text="mode doppler").click()
    expect(page.locator("h1")).to_have_text(re.compile(r"as likely when mode is doppler\.$"))
    expect(page.locator("#page")).to_contain_text("Slow frames by mode")
    doses = page.locator("figure", has=page.locator("#doses"))
    doses.locator("summary").click()
    link = doses.locator("table a", has_text="doppler")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#drop-cohort")).to_contain_text("mode = doppler")
    assert query(page)["cohort"] == "mode=doppler"
    expect(page.locator("#to-frames")).to_contain_text("frames")


def test_an_attribute_groups_slow_frames_and_its_value_narrows_the_list(look: Watched) -> None:
    page = look.open("/frames?range=5m&group=attribute")
    group = page.locator("#groups .fs-group", has_text="mode")
    expect(group.locator("tbody tr")).to_have_count(2)
    group.locator("tbody a", has_text="doppler").click()
    expect(page.locator("#clear-cohort")).to_contain_text("mode = doppler")
    assert query(page)["cohort"] == "mode=doppler"
    expect(page.locator("#frames-grid .ag-center-cols-container .ag-row").first).to_be_visible()


def test_a_box_on_the_time_chart_selects_a_stretch_of_time_and_a_chip_gives_it_back(look: Watched) -> None:
    page = opened(look)
    drag(page, lane(page, "correlate-time", "xy"), (0.3, 0.02), (0.6, 0.98))
    expect(page.locator("#drop-range")).to_be_visible()
    told = query(page)
    assert 60 < float(told["end"]) - float(told["start"]) < 120 and "latency_ms" not in told
    page.locator("#drop-range").click()
    expect(page.locator("#drop-range")).to_have_count(0)


def test_a_box_over_high_latencies_selects_them_and_leads_to_those_frames(look: Watched) -> None:
    page = opened(look)
    drag(page, lane(page, "correlate-time", "xy"), (0.2, 0.02), (0.8, 0.3))
    expect(page.locator("#drop-latency")).to_be_visible()
    least, greatest = map(float, query(page)["latency_ms"].split("-"))
    assert 12 < least < greatest
    expect(page.locator("#to-frames")).to_contain_text(" ms of ")
    page.locator("#to-frames").click()
    expect(page).to_have_url(re.compile(r"/frames\?.*latency_ms="))


def test_a_box_over_doses_selects_the_frames_of_those_steps(look: Watched) -> None:
    page = opened(look, f"{OPEN}&signal=hw.gpu.utilization/0")
    drag(page, lane(page, "doses", "xy"), (0.5, 0.1), (0.98, 0.9))
    expect(page.locator("#drop-within")).to_contain_text("GPU load")
    name, low, high = query(page)["within"].rsplit(":", 2)
    assert name == "hw.gpu.utilization/0" and 0.5 < float(low) < float(high) <= 1.1
    expect(page.locator("#page")).to_contain_text("GPU load")
    page.locator("#drop-within").click()
    expect(page.locator("#drop-within")).to_have_count(0)


def test_a_box_in_the_signals_lane_selects_frames_by_time_and_value(look: Watched) -> None:
    page = opened(look, f"{OPEN}&signal=hw.gpu.utilization/0")
    drag(page, lane(page, "correlate-time", "xy2"), (0.1, 0.05), (0.9, 0.3))
    expect(page.locator("#drop-within")).to_be_visible()
    expect(page.locator("#drop-range")).to_be_visible()


def test_what_slow_frames_were_narrowed_to_is_honoured_here(look: Watched) -> None:
    page = opened(look, f"{OPEN}&cause=gc_pause&stage=denoise")
    expect(page.locator("#drop-cause")).to_contain_text("slow by")
    expect(page.locator("#selection")).to_contain_text("known of frames kept whole only")
    expect(page.locator("h1")).to_contain_text(re.compile("frames slow by", re.I))
    causes = page.get_by_role("navigation", name="Slow frames by cause")
    expect(causes.locator("a")).to_have_count(1)


def test_no_frame_of_a_selection_is_said_with_the_way_out(look: Watched) -> None:
    page = look.open(f"{OPEN}&cohort=mode%3Dm-mode")
    expect(page.locator("#page")).to_contain_text("No frame of this range fits the selection.")
    page.locator("#unselect").click()
    expect(page.locator("#correlate-time .main-svg").first).to_be_visible()


def test_a_marker_two_versions_and_another_range_are_compared_cause_by_cause(look: Watched) -> None:
    page = opened(look, "/correlate?range=15m")
    changes = page.locator("#changes")
    expect(changes).to_contain_text("deployed 1.5")
    expect(changes).to_contain_text("Version 1.5 after 1.4")
    expect(changes.locator("table").first).to_contain_text("GPU contention")
    page.locator("#than-before").click()
    expect(page.locator("#than-before")).to_have_attribute("aria-current", "true")
    page.locator("#than-none").click()
    expect(page.locator("#than-none")).to_have_count(0)


def test_another_range_is_given_by_its_ends_and_a_wrong_one_is_explained(
    look: Watched, lawful: LawfulStore
) -> None:
    page = opened(look)
    page.locator("#than-start").fill("yesterday")
    page.locator("#than-compare").click()
    expect(page.locator("#than-said")).to_contain_text("'yesterday' is no time. Write 2026-01-31 14:05")
    page.locator("#than-start").fill("2026-01-31 14:05")
    page.locator("#than-end").fill("2026-01-31 14:00")
    page.locator("#than-compare").click()
    expect(page.locator("#than-said")).to_contain_text("swap the two times")
    page.locator("#than-end").fill("2026-01-31 14:10")
    page.locator("#than-compare").press("Enter")
    expect(page).to_have_url(re.compile("than=1769868300"))
    expect(page.locator("#changes")).to_contain_text("too few slow frames to compare")


def test_frames_the_keep_budget_turned_away_are_said(look: Watched, lawful: LawfulStore) -> None:
    lawful.not_kept = 1.5
    try:
        page = opened(look)
        expect(page.locator("#page")).to_contain_text("one too many for the keep budget")
    finally:
        lawful.not_kept = 0.0
