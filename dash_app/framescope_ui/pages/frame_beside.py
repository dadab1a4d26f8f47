"""What the Frame page shows that is not the frame's own: its pin, other pins, another frame, other tools."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from framescope_ui.backends.protocols import BackendError
from framescope_ui.frame_views import FrameViews
from framescope_ui.pages.viewer import Viewer
from framescope_ui.pins import Pin, PinsUnavailable
from framescope_ui.questions.frame_compare import Comparison, compared
from framescope_ui.questions.views import FrameView
from framescope_ui.trace_links import TraceLink

NO_PINS = "Frames cannot be pinned: this app was started without a data directory of its own."


@dataclass(frozen=True, slots=True)
class Beside:
    """``pins`` are all there are, newest first; ``no_pins`` says why none can be kept. ``not_compared`` says
    why there is no comparison with the frame that was asked for."""

    pin: Pin | None = None
    pins: Sequence[Pin] = ()
    no_pins: str = NO_PINS
    comparison: Comparison | None = None
    not_compared: str = ""
    links: Sequence[TraceLink] = ()


async def beside(
    frames: FrameViews, view: FrameView | None, viewer: Viewer, links: Sequence[TraceLink]
) -> Beside:
    """What belongs beside a frame, asked for. A store that is away is said, and the rest shown."""
    if view is None:
        return Beside()
    pins: list[Pin] = []
    no_pins = NO_PINS
    if frames.pins is not None:
        try:
            pins, no_pins = await frames.pins.all(), ""
        except PinsUnavailable as error:
            no_pins = str(error)
    pin = next((one for one in pins if one.frame.trace_id == view.item.trace_id), None)
    comparison, why = await _comparison(frames, view, viewer.other)
    return Beside(pin, pins, no_pins, comparison, why, links)


async def _comparison(
    frames: FrameViews, view: FrameView, other: str | None
) -> tuple[Comparison | None, str]:
    if view.foreign:
        return None, ""
    if other is None:
        return compared(view, None), ""
    wanted = other.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{32}", wanted):
        return None, f"{other[:64]!r} is no frame's id: that has 32 hexadecimal digits."
    try:
        second = await frames.shown(wanted)
    except BackendError as error:
        return None, f"The frame to compare with cannot be read: {error}."
    if second is None:
        return None, f"No frame is stored under {wanted}: it was not kept, or was deleted since."
    return compared(view, second), ""
