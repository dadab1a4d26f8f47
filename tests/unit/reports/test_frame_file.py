"""One frame as one HTML file that opens without a network."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

from frames import HOSTILE, a_frame, crossing, hostile
from scene import NOW_NS, NS

from framescope_ui.figures.waterfall_svg import waterfall_svg
from framescope_ui.reports.frame_file import frame_file

NOW = NOW_NS / NS


class Tags(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


async def test_it_holds_verdict_waterfall_evidence_advice_note_build_and_its_size() -> None:
    page = frame_file(await a_frame(), NOW, note="seen after the driver update", link="http://app/frames/x")
    for part in (
        "11.0 ms over budget", "<svg ", "GPU wait in denoise", "What to do", "Not measured", "Confidence",
        "seen after the driver update", "http://app/frames/x", "by framescope ", "2027-01-15 08:00:00 UTC",
        "simulated GPU",
    ):  # fmt: skip
        assert part in page, part
    told = int(re.search(r"It is (\d+) kB", page)[1])  # type: ignore[index]
    assert abs(told - len(page.encode()) / 1000) <= 1


async def test_nothing_in_it_can_be_fetched_or_run() -> None:
    for view in (await a_frame(), await hostile()):
        page = frame_file(view, NOW, note=HOSTILE, link=f"http://app/{HOSTILE}")
        tags = Tags(page)
        assert {tag for tag, _ in tags.found} & {
            "script", "link", "img", "iframe", "object", "embed", "a", "form", "base", "use", "image",
        } == set()  # fmt: skip
        assert not [name for _, told in tags.found for name in told if name.startswith("on")]
        assert "url(http" not in page and "@import" not in page
        policy = next(told["content"] for tag, told in tags.found if told.get("http-equiv"))
        assert policy is not None and policy.startswith("default-src 'none'; style-src 'unsafe-inline'")


async def test_the_picture_shows_threads_the_critical_path_and_what_was_lost() -> None:
    picture = waterfall_svg(await crossing())
    ET.fromstring(picture)
    assert "grabber" in picture and "worker" in picture
    assert 'class="path"' in picture
    assert "url(#p-queue_wait)" in picture and 'id="p-queue_wait"' in picture
    assert "WQ 4.0 ms" in picture


async def test_the_picture_of_hostile_names_is_still_well_formed() -> None:
    ET.fromstring(waterfall_svg(await hostile()))


async def test_it_is_made_within_the_time_of_a_page() -> None:
    view = await a_frame()
    began = time.process_time()
    for _ in range(10):
        frame_file(view, NOW)
    assert (time.process_time() - began) / 10 < 1.0, "a hang, not a bar: it takes some ms"
