"""Every chart on every page: saved as a picture, as CSV and as JSON, and read as a table."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime
from pathlib import Path

import pytest
from conftest import Watched
from memory_store import PIPELINE, SERVICE, MemoryStore
from playwright.sync_api import Locator, Page, expect
from test_correlate import OTHERS
from test_pages import a_slow_frame

pytestmark = pytest.mark.browser

CHARTS = {
    "/": ("live",),
    "/frames": ("strip",),
    "frame": ("neighbours", "waterfall"),
    f"/correlate?range=15m&signal={OTHERS}": ("correlate-time", "doses", "lags"),
}


def chart(look: Watched, memory: MemoryStore, path: str, name: str) -> Locator:
    look.open(f"/frames/{a_slow_frame(memory)}" if path == "frame" else path)
    found = look.page.locator(f".fs-chart[data-chart={name}]")
    found.locator(".main-svg").first.wait_for()
    return found


def unix_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e9)


def saved(page: Page, of: Locator, name: str) -> tuple[str, bytes]:
    """The file a button gives: its name and what is in it. Reached by the keyboard alone."""
    button = of.get_by_role("button", name=name, exact=True)
    button.focus()
    with page.expect_download(timeout=30_000) as waiting:
        page.keyboard.press("Enter")
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in CHARTS.items() for name in names])
def test_every_chart_is_saved_and_read(look: Watched, memory: MemoryStore, path: str, name: str) -> None:
    of = chart(look, memory, path, name)
    for ending, begins in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        file, content = saved(look.page, of, ending)
        assert content.startswith(begins)
        assert file.startswith(PIPELINE) and name in file and file.endswith(ending.lower())
    _, content = saved(look.page, of, "CSV")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    _, content = saved(look.page, of, "JSON")
    told = json.loads(content)
    assert (told["service"], told["pipeline"], told["chart"]) == (SERVICE, PIPELINE, name)
    assert rows and told["data"]
    assert set(rows[0]) == set(told["data"][0])
    of.locator("summary", has_text="Show as a table").click()
    expect(of.locator("table").first).to_be_visible()
    assert of.locator("tbody tr").count() > 0
    assert not look.complaints


def test_the_names_of_files_say_pipeline_and_range(look: Watched, memory: MemoryStore) -> None:
    file, _ = saved(look.page, chart(look, memory, "/", "live"), "CSV")
    assert re.fullmatch(PIPELINE + r"-live-\d{8}T\d{6}Z-\d{8}T\d{6}Z\.csv", file)
    file, _ = saved(look.page, chart(look, memory, "frame", "waterfall"), "CSV")
    assert re.fullmatch(PIPELINE + r"-frame-[0-9a-f]{32}-waterfall\.csv", file)


def test_the_numbers_saved_are_those_drawn(look: Watched, memory: MemoryStore) -> None:
    of = chart(look, memory, "/frames", "strip")
    _, content = saved(look.page, of, "CSV")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert {row["lane"] for row in rows} == {"Every frame, ms"}
    contended = [row for row in rows if row["series"] == "GPU contention"]
    assert contended
    for row in contended[:20]:
        k = round((unix_ns(row["time"]) - memory.start_ns) / 1e9 * 60)
        assert memory.is_slow(k)
        assert float(row["y"]) == pytest.approx(memory.latency_ns(k) / 1e6, abs=0.01)


def test_a_name_that_looks_like_a_formula_is_text_in_a_spreadsheet(look: Watched) -> None:
    page = look.open("/")
    of = page.locator(".fs-chart[data-chart=live]")
    of.locator(".main-svg").first.wait_for()
    page.keyboard.press(" ")  # nothing replaces what is changed here
    expect(page.locator("#paused-line")).to_be_visible()
    of.locator(".main-svg").first.wait_for()
    page.wait_for_timeout(500)
    page.evaluate(
        """() => { const gd = document.querySelector('.fs-chart .js-plotly-plot');
        gd._fullData[0].name = '=cmd|calc'; }"""
    )
    _, content = saved(page, of, "CSV")
    assert b",'=cmd|calc," in content


def test_the_table_leads_to_the_frames_that_were_kept(look: Watched, memory: MemoryStore) -> None:
    of = chart(look, memory, "/", "live")
    of.locator("summary", has_text="Show as a table").click()
    of.locator("tbody a").first.click()
    expect(look.page).to_have_url(re.compile(r"/frames/[0-9a-f]{32}"))
