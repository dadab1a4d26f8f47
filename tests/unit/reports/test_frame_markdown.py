"""One frame as Markdown, for a ticket."""

from __future__ import annotations

import re

from frames import HOSTILE, a_frame, crossing, hostile

from framescope_ui.reports.frame_markdown import frame_markdown


async def test_a_ticket_holds_the_sentence_the_shares_the_evidence_and_the_stages() -> None:
    text = frame_markdown(await a_frame(), "http://app/frames/x?start=1")
    assert text.startswith("**11.0 ms over budget. 11.0 ms of it is GPU contention")
    assert "Latency **31.0 ms** · Budget **20.0 ms** · Expected **12.0 ms**" in text
    assert "The GPU is simulated" in text
    assert "| GPU contention | 11.0 | 100 |" in text
    assert "| GPU contention | GPU wait in denoise | 18.0 ms | – |" in text
    assert "### What to do" in text and "\n1. " in text
    assert "| denoise | gpu | 4.0 | 24.0 | 5.0 | +19.0 |" in text
    assert text.rstrip().splitlines()[-3].endswith("<http://app/frames/x?start=1>")
    assert re.search(r"framescope \d+\.\d+", text)


async def test_threads_are_named_where_a_frame_was_on_several() -> None:
    assert "| capture (grabber) | io |" in frame_markdown(await crossing())


async def test_text_from_outside_stays_text() -> None:
    text = frame_markdown(await hostile())
    outside_code = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    assert HOSTILE not in outside_code
    assert not re.search(r"<script|(?<!\\)\]\(|(?<!\\)@all|(?<!\\)`x", outside_code)
    for line in text.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 5, 7), line
