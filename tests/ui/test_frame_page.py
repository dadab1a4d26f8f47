"""The Frame page in a real Chromium: compare, pin, write down, take away, and keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from accessible import assert_accessible
from conftest import AppServer, Watched
from memory_store import HOSTILE, MemoryStore
from playwright.sync_api import Browser, Page, expect
from test_pages import LOOKS, a_slow_frame, eventually

from framescope_ui.questions.stores import Stores
from framescope_ui.trace_links import TraceLink

pytestmark = pytest.mark.browser
RANGE = "document.querySelector('#waterfall .js-plotly-plot')._fullLayout.xaxis.range.map(Number)"


def frame_of(memory: MemoryStore, cause: str) -> str:
    """A slow frame of this cause, of about a minute ago."""
    first = int(a_slow_frame(memory), 16)
    return memory.trace_id(
        next(k for k in range(first, first + 2000) if memory.is_slow(k) and memory.cause_of(k) == cause)
    )


@pytest.fixture
def unpinned(server: AppServer) -> Iterator[None]:
    """Nothing is pinned before or after."""
    assert server.data_dir is not None
    (server.data_dir / "pins.sqlite3").unlink(missing_ok=True)
    yield
    (server.data_dir / "pins.sqlite3").unlink(missing_ok=True)


def opened(look: Watched, path: str) -> Page:
    page = look.open(path)
    page.locator("#waterfall .js-plotly-plot .main-svg").first.wait_for()
    return page


def shown_range(page: Page) -> list[float]:
    return [float(end) for end in page.evaluate(RANGE)]


# ---- the waterfall, its neighbours, where a stage was ------------------------------------------------


def test_threads_queues_and_the_critical_path_are_in_the_waterfall(
    look: Watched, memory: MemoryStore
) -> None:
    page = opened(look, f"/frames/{frame_of(memory, 'queue_wait')}")
    written = page.locator("#waterfall .annotation-text").all_text_contents()
    assert {"grabber", "worker", "queue"} <= set(written)
    drawn = "document.querySelector('#waterfall .js-plotly-plot').data.map((one) => one.name)"
    assert "critical path" in page.evaluate(drawn)
    expect(page.locator(".fs-legend")).to_contain_text("critical path")
    table = page.locator("#waterfall").locator("xpath=ancestor::figure").locator("table")
    page.locator("figure", has=page.locator("#waterfall")).locator("summary").click()
    expect(table).to_contain_text("worker")
    expect(table).to_contain_text("Critical path, ms")


def test_a_neighbour_that_was_kept_opens_on_a_click(look: Watched, memory: MemoryStore) -> None:
    trace_id = a_slow_frame(memory)
    page = opened(look, f"/frames/{trace_id}")
    other = memory.trace_id(next(k for k in range(int(trace_id, 16) - 1, 0, -1) if memory.is_slow(k)))
    page.locator("#neighbours .js-plotly-plot .main-svg").first.wait_for()
    found = page.evaluate(
        "(id) => { const gd = document.querySelector('#neighbours .js-plotly-plot');"
        " const bars = gd.data.find((one) => one.type === 'bar'); const k = bars.customdata.indexOf(id);"
        " if (k < 0) return null; const l = gd._fullLayout, box = gd.getBoundingClientRect();"
        " return [box.x + l.xaxis._offset + l.xaxis.d2p(bars.x[k]),"
        " box.y + l.yaxis._offset + l.yaxis.d2p(bars.y[k] / 2)]; }",
        other,
    )
    assert found is not None, "the slow frame before is no neighbour that can be opened"
    page.mouse.click(*found)
    expect(page).to_have_url(re.compile(other))


def test_stacks_say_how_many_samples_they_rest_on(look: Watched, memory: MemoryStore) -> None:
    page = opened(look, f"/frames/{frame_of(memory, 'gc_pause')}")
    where = page.locator(".fs-stacks")
    expect(where).to_contain_text("Where decode was, seen 4 times after its usual time")
    where.locator("summary").first.click()
    expect(where).to_contain_text("4 samples of this stage alone, taken once it had run its usual 1.3 ms")
    expect(where).to_contain_text("So few looks tell where it was, not for how long")
    expect(where.locator("li").first).to_contain_text(f"decode.py:41 {HOSTILE} ×3 of 4")
    assert not look.complaints


def test_what_was_not_measured_is_folded_and_what_to_do_stands_before_it(
    look: Watched, memory: MemoryStore
) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    folded = page.locator("#evidence details.fs-folded")
    expect(folded).to_contain_text(re.compile(r"Not measured: \d+"))
    expect(folded.locator(".fs-considered").first).to_be_hidden()
    folded.locator("summary").click()
    expect(folded.locator(".fs-considered").first).to_be_visible()
    text = page.locator("#evidence").inner_text()
    assert text.index("What to do") < text.index("Not measured")


# ---- compare -----------------------------------------------------------------------------------------


def test_it_opens_beside_the_expected_frame_and_compares_with_another_from_the_list(
    look: Watched, memory: MemoryStore
) -> None:
    page = opened(look, f"/frames/{frame_of(memory, 'gpu_contention')}")
    compare = page.locator("#compare")
    expect(compare.locator(".fs-finding")).to_contain_text(
        re.compile(r"ms longer than the expected frame: denoise \+")
    )
    expect(compare.locator("tbody tr").nth(1)).to_contain_text("denoise")
    page.locator("#select-with").select_option(label="the slow frame before")
    expect(page).to_have_url(re.compile(r"with=[0-9a-f]{32}"))
    expect(compare.locator(".fs-finding")).to_contain_text(re.compile(r"than frame \d+"))
    sentence, shared = compare.locator(".fs-finding").inner_text(), page.url
    page.goto("about:blank")
    page.goto(shared)
    expect(compare.locator(".fs-finding")).to_have_text(sentence)
    here = page.url
    compare.get_by_role("link", name="Open frame").click()
    expect(page).not_to_have_url(here)
    expect(page.locator(".fs-crumbs")).to_contain_text("Frame")


def test_any_frame_can_be_pasted_by_its_id_or_its_address(look: Watched, memory: MemoryStore) -> None:
    trace_id, other = frame_of(memory, "gpu_contention"), frame_of(memory, "gc_pause")
    page = opened(look, f"/frames/{trace_id}")
    field = page.locator("#compare-id")
    field.fill("what is an id?")
    field.press("Enter")
    expect(page.locator("#compare-said")).to_contain_text("32 hexadecimal digits")
    field.fill(f"{look.url}/frames/{other}?range=1h")
    field.press("Enter")
    expect(page).to_have_url(re.compile(f"{trace_id}.*with={other}"))
    differences = page.locator("#compare table").first.locator("tbody tr td:nth-child(4)")
    expect(page.locator("#compare .fs-finding")).to_contain_text("than frame")
    found = [
        abs(float(text.replace("−", "-"))) for text in differences.all_text_contents()[1:] if text != "–"
    ]
    assert found == sorted(found, reverse=True) and found[0] > 1


def test_a_frame_that_is_not_there_to_compare_with_is_said(look: Watched, memory: MemoryStore) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}?with={'0' * 31}5")
    expect(page.locator("#compare")).to_contain_text("No frame is stored under")
    page.get_by_role("link", name="Compare with the expected frame").click()
    expect(page.locator("#compare .fs-finding")).to_contain_text("the expected frame")
    page = opened(look, f"/frames/{a_slow_frame(memory)}?with=%3Cb%3E")
    expect(page.locator("#compare")).to_contain_text("'<b>' is no frame's id")


# ---- pin and write down ------------------------------------------------------------------------------


def test_a_frame_is_pinned_annotated_listed_and_unpinned(
    look: Watched, server: AppServer, memory: MemoryStore, unpinned: None
) -> None:
    trace_id = a_slow_frame(memory)
    page = opened(look, f"/frames/{trace_id}")
    page.locator("#pin").click()
    expect(page.locator("#pinned")).to_contain_text("this one")
    note = f"after the driver update {HOSTILE}\nsee the second line"
    page.locator("#note").fill(note)
    page.locator("#note-save").click()
    expect(page.locator("#pinned .fs-pin-first")).to_have_text(note.split("\n")[0])
    server.stop()  # it is on disk, not in the process
    server.start()
    page.reload()
    expect(page.locator("#note")).to_have_value(note)
    page.goto(f"{look.url}/frames/{frame_of(memory, 'gc_pause')}")
    expect(page.locator("#pinned")).to_contain_text("1 of at most")
    page.locator("#pinned").get_by_role("link", name=re.compile("^Compare with")).click()
    expect(page).to_have_url(re.compile(f"with={trace_id}"))
    page.goto(f"{look.url}/frames/{trace_id}")
    page.locator("#pin").click()
    expect(page.locator("#pin")).to_have_text("Unpin and delete the note")
    page.locator("#pin").click()
    expect(page.locator("#pin")).to_have_text("Pin")
    expect(page.locator("#pinned")).to_have_count(0)


def test_a_note_that_cannot_be_saved_says_why_and_stays_in_the_field(
    look: Watched, server: AppServer, memory: MemoryStore, unpinned: None
) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    page.locator("#pin").click()
    page.locator("#note").fill("worth knowing")
    page.route(
        "**/pin", lambda route: route.fulfill(status=503, json={"detail": "Pins cannot be kept: disk full."})
    )
    page.locator("#note-save").click()
    expect(page.locator("#pin-said")).to_have_text("Not saved: Pins cannot be kept: disk full.")
    page.unroute("**/pin")
    page.route("**/pin", lambda route: route.abort())
    page.locator("#note-save").click()
    expect(page.locator("#pin-said")).to_contain_text("the app does not answer")
    assert page.locator("#note").input_value() == "worth knowing"


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids="-".join)
def test_a_pinned_and_compared_frame_is_accessible_and_does_not_scroll_sideways(
    look: Watched, memory: MemoryStore, unpinned: None
) -> None:
    page = opened(look, f"/frames/{frame_of(memory, 'gc_pause')}?with={frame_of(memory, 'queue_wait')}")
    page.locator("#pin").click()
    page.locator("#note").wait_for()
    page.locator(".fs-stacks summary").first.click()
    page.locator("#take-away").click()
    expect(page.locator(".fs-ways-out")).to_be_visible()
    expect(page.locator("#age")).to_contain_text("newest data")
    assert_accessible(page)
    assert not look.complaints


# ---- take away ---------------------------------------------------------------------------------------


def test_where_the_browser_refuses_the_clipboard_a_file_is_offered(
    look: Watched, memory: MemoryStore
) -> None:
    look.page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'));")
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    page.locator("#take-away").click()
    page.locator("#copy-markdown").click()
    expect(page.locator("#copy-said a")).to_have_attribute("href", re.compile("format=markdown"))


def test_the_html_file_opens_without_a_network_and_shows_the_frame(
    look: Watched, memory: MemoryStore, tmp_path: Path
) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    sentence = page.locator("h1").inner_text()
    page.locator("#take-away").click()
    told = int(re.search(r"(\d+) kB", page.locator("#save-html").inner_text())[1])  # type: ignore[index]
    with page.expect_download() as saving:
        page.locator("#save-html").click()
    assert re.fullmatch(r"framescope-us-inference-\d+-[0-9a-f]{8}\.html", saving.value.suggested_filename)
    saved = tmp_path / "frame.html"
    saving.value.save_as(saved)
    assert abs(saved.stat().st_size / 1000 - told) <= 1
    context = page.context.browser.new_context(offline=True, viewport={"width": 1200, "height": 900})  # type: ignore[union-attr]
    alone, said = context.new_page(), []
    alone.on("console", lambda one: said.append(one.text))
    alone.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith("file:") else None)
    alone.goto(saved.as_uri())
    expect(alone.locator("h1")).to_have_text(sentence)
    assert alone.locator("svg rect").count() > 10
    assert HOSTILE[:8] in (alone.locator("svg").first.text_content() or "")
    assert_accessible(alone)
    assert said == []
    context.close()


def test_markdown_goes_to_the_clipboard(look: Watched, memory: MemoryStore) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=look.url)
    sentence = page.locator("h1").inner_text()
    page.locator("#take-away").click()
    page.locator("#copy-markdown").click()
    expect(page.locator("#copy-said")).to_contain_text("opied")
    assert sentence[:20] in page.evaluate("() => navigator.clipboard.readText()")


def test_a_trace_for_perfetto_is_a_download(look: Watched, memory: MemoryStore) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    page.locator("#take-away").click()
    with page.expect_download() as saving:
        page.locator("#save-perfetto").click()
    assert saving.value.suggested_filename.endswith(".perfetto.json")
    assert json.loads(Path(saving.value.path()).read_text())["traceEvents"]


@pytest.mark.parametrize(("link", "part"), [("#json", "verdict")])
def test_raw_json_is_a_download(
    look: Watched, memory: MemoryStore, tmp_path: Path, link: str, part: str
) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    page.locator("#take-away").click()
    with page.expect_download() as saving:
        page.locator(link).click()
    saving.value.save_as(tmp_path / "saved")
    assert part in json.loads((tmp_path / "saved").read_text())
    assert saving.value.suggested_filename.endswith(".json")


def test_without_links_to_other_tools_it_says_how_to_get_them(look: Watched, memory: MemoryStore) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    page.locator("#take-away").click()
    expect(page.locator("#no-links")).to_contain_text("links.jaeger")


def test_the_same_trace_in_other_tools_is_a_link_each(browser: Browser, memory: MemoryStore) -> None:
    links = (
        TraceLink("Grafana", "https://grafana.example/explore?q={trace_id}&from={start_ms}&to={end_ms}"),
        TraceLink("Tempo", "https://tempo.example/api/traces/{trace_id}"),
        TraceLink("Jaeger", "https://jaeger.example/trace/{trace_id}"),
    )
    mine = AppServer(Stores(memory, memory), trace_links=links)
    mine.start()
    context = browser.new_context(viewport={"width": 375, "height": 812})
    try:
        page = context.new_page()
        trace = a_slow_frame(memory)
        page.goto(f"{mine.url}/frames/{trace}")
        page.locator("#take-away").click()
        found = page.locator("#links a")
        expect(found).to_have_text([f"This trace in {link.name}" for link in links])
        for link in found.all():
            assert trace in (link.get_attribute("href") or "")
            assert link.get_attribute("target") == "_blank"
            assert "noopener" in (link.get_attribute("rel") or "")
        assert_accessible(page)
    finally:
        context.close()
        mine.stop()


# ---- keys --------------------------------------------------------------------------------------------


def test_arrows_pan_plus_and_minus_zoom_and_zero_brings_it_back(look: Watched, memory: MemoryStore) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    left, right = shown_range(page)
    page.keyboard.press("ArrowRight")
    eventually(lambda: shown_range(page)[0] > left, page)
    moved = shown_range(page)
    assert moved[1] - moved[0] == pytest.approx(right - left)
    page.keyboard.press("+")
    eventually(lambda: shown_range(page)[1] - shown_range(page)[0] < (right - left) * 0.8, page)
    page.keyboard.press("-")
    page.keyboard.press("-")
    eventually(lambda: shown_range(page)[1] - shown_range(page)[0] > (right - left) * 1.2, page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("0")
    eventually(lambda: shown_range(page) == pytest.approx([left, right]), page)


def test_the_ways_out_the_filter_and_the_wall_are_one_key_away(look: Watched, memory: MemoryStore) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    here = page.url
    page.keyboard.press("e")
    expect(page.locator(".fs-ways-out")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "copy-markdown"
    page.keyboard.press("Escape")
    expect(page.locator(".fs-ways-out")).to_be_hidden()
    assert page.url == here, "Escape left the page instead of the menu"
    page.keyboard.press("w")
    expect(page.locator("html")).to_have_attribute("data-wall", "125")
    expect(page.locator(".fs-rail")).to_be_hidden()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-wall", "125")
    page.locator("#page h1").wait_for()
    page.keyboard.press("w")
    page.keyboard.press("w")
    expect(page.locator(".fs-rail")).to_be_visible()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "compare-id"
    page.keyboard.press("w")
    expect(page.locator("html")).not_to_have_attribute("data-wall", "125")


def test_every_key_is_listed_and_single_keys_can_be_switched_off(look: Watched, memory: MemoryStore) -> None:
    page = opened(look, f"/frames/{a_slow_frame(memory)}")
    page.locator("#help-open").click()
    listed = page.locator("#help kbd").all_text_contents()
    assert {"w", "e", "/", "← →", "+ −", "0", "[ ]", "?"} <= set(listed)
    page.locator("#help-keys").click()
    expect(page.locator("#help-keys")).to_have_text("Single keys are off")
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.reload()
    page.locator("#waterfall .js-plotly-plot .main-svg").first.wait_for()
    for key in ("w", "?", "e"):
        page.keyboard.press(key)
    expect(page.locator("html")).not_to_have_attribute("data-wall", "125")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator(".fs-ways-out")).to_be_hidden()
    page.locator("#help-open").click()
    page.locator("#help-keys").click()
    page.locator("#help-close").click()
    page.keyboard.press("e")
    expect(page.locator(".fs-ways-out")).to_be_visible()


# ---- a store that goes away --------------------------------------------------------------------------


def test_a_store_that_dies_under_the_page_is_said_and_the_frame_stays(
    look: Watched, memory: MemoryStore
) -> None:
    trace_id = a_slow_frame(memory)
    page = opened(look, f"/frames/{trace_id}")
    sentence = page.locator("h1").inner_text()
    memory.away = "connection refused"
    try:
        expect(page.locator(".fs-why")).to_contain_text("store away: connection refused")
        expect(page.locator("h1")).to_have_text(sentence)
        page.keyboard.press("t")  # it is drawn anew, of what the store last said
        old = re.compile("what it said|was there before")
        stood = page.locator(".fs-notice-trouble").filter(has_text=old)
        expect(stood.first).to_be_visible()
        expect(page.locator("h1")).to_have_text(sentence)
        page.locator("#take-away").click()
        with page.expect_download() as saving:
            page.locator("#save-html").click()
        assert "this is what it said at" in Path(saving.value.path()).read_text()
        page.goto(f"{look.url}/frames/{frame_of(memory, 'io_wait')}")
        expect(page.locator("#retry")).to_contain_text("does not answer (connection refused)")
    finally:
        memory.away = None
    expect(page.locator("h1")).to_contain_text("over budget")
