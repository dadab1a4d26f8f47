"""One frame in the forms it can be taken away in, and beside another one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response

from framescope_ui.api.plain import frame_json, plain
from framescope_ui.frame_views import FrameViews
from framescope_ui.pins import PinsUnavailable
from framescope_ui.questions.frame_compare import Comparison, Pair
from framescope_ui.questions.views import FrameView
from framescope_ui.reports.frame_file import frame_file
from framescope_ui.reports.frame_markdown import frame_markdown
from framescope_ui.reports.frame_perfetto import frame_perfetto
from framescope_ui.reports.frame_words import file_name


@dataclass(frozen=True, slots=True)
class Form:
    """A form a frame can have: its media type, the ending of its file's name, and what makes its text of a
    frame and of the note of its pin."""

    media_type: str
    ending: str
    made: Callable[[FrameView, str], str]


FORMS: dict[str, Form] = {
    "json": Form(
        "application/json",
        "json",
        lambda view, _: json.dumps(frame_json(view), ensure_ascii=False, allow_nan=False),
    ),
    "markdown": Form("text/markdown; charset=utf-8", "md", lambda view, _: frame_markdown(view)),
    "html": Form("text/html; charset=utf-8", "html", lambda view, note: frame_file(view, time.time(), note)),
    "perfetto": Form("application/json", "perfetto.json", lambda view, _: frame_perfetto(view)),
}


async def note_of(frames: FrameViews, trace_id: str) -> str:
    """The note of a frame's pin; "" where there is none or it cannot be read."""
    if frames.pins is None:
        return ""
    try:
        pin = await frames.pins.one(trace_id)
    except PinsUnavailable:
        return ""
    return "" if pin is None else pin.note


def formed(view: FrameView, form: str, note: str) -> Response:
    """The frame in a form, as something to save: never shown as a page of ours."""
    wanted = FORMS[form]
    headers = (
        {}
        if form == "json"
        else {"Content-Disposition": f'attachment; filename="{file_name(view, wanted.ending)}"'}
    )
    return Response(wanted.made(view, note), media_type=wanted.media_type, headers=headers)


def comparison_json(found: Comparison) -> dict[str, Any]:
    """A comparison: ``other`` is the id compared with, null for the expected frame."""
    return {
        "sentence": found.sentence,
        "other": None if found.other is None else found.other.item.trace_id,
        "latency": pair_json(found.whole),
        "stages": [pair_json(pair) for pair in found.stages],
        "readings": [pair_json(pair) for pair in found.readings],
    }


def pair_json(pair: Pair) -> dict[str, Any]:
    """One thing in both frames, with the difference."""
    body: dict[str, Any] = plain(pair)
    return {**body, "difference": plain(pair.difference)}
