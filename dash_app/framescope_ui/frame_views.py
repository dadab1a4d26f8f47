"""A frame as it can be shown: from the store, from what that last said, or from the copy of its pin."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from framescope_ui.api.plain import plain
from framescope_ui.api.restored import restored
from framescope_ui.backends.protocols import BackendAway
from framescope_ui.figures import quantity
from framescope_ui.pins import Pin, PinnedFrame, Pins, PinsUnavailable
from framescope_ui.questions.frame import frame
from framescope_ui.questions.stores import Stores
from framescope_ui.questions.views import FrameView
from framescope_ui.reports.frame_words import headline

REMEMBERED = 32
"""Frames remembered whole, some 50 kB each: those that are open somewhere, and a way back."""


class FrameViews:
    """Frames of the stores, the last few remembered, and the pinned ones."""

    def __init__(
        self, stores: Stores, pins: Pins | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.pins = pins
        self._stores = stores
        self._clock = clock
        self._seen: OrderedDict[str, tuple[float, FrameView]] = OrderedDict()

    async def asked(self, trace_id: str) -> FrameView | None:
        """The frame as the store has it now, or where it has it no more, the copy of its pin.

        Raises ``BackendError`` where the store does not answer.
        """
        view = await frame(self._stores, trace_id)
        if view is None:
            return await self._copy(trace_id, "The store has this frame no more")
        self._seen[trace_id] = (self._clock(), view)
        self._seen.move_to_end(trace_id)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return view

    async def shown(self, trace_id: str) -> FrameView | None:
        """The same, and while the store is away what it last said, or the copy of the frame's pin.

        ``missing`` says so first then. Raises ``BackendError`` where there is neither.
        """
        try:
            return await self.asked(trace_id)
        except BackendAway as error:
            remembered = self._seen.get(trace_id)
            if remembered is not None:
                at, view = remembered
                said = f"{error}: this is what it said at {quantity.moment(at)}."
                return replace(view, missing=[said, *view.missing])
            copy = await self._copy(trace_id, str(error))
            if copy is None:
                raise
            return copy

    async def _copy(self, trace_id: str, why: str) -> FrameView | None:
        if self.pins is None:
            return None
        try:
            pin, text = await self.pins.one(trace_id), await self.pins.copy(trace_id)
        except PinsUnavailable:
            return None
        if pin is None or text is None:
            return None
        try:
            view = restored(FrameView, json.loads(text))
        except ValueError:
            return None
        said = f"{why}: this is the copy that was kept when it was pinned, at {quantity.moment(pin.pinned)}."
        return replace(view, missing=[said, *view.missing])

    async def pin(self, view: FrameView, note: str) -> Pin:
        """Pin a frame with a copy of what is shown of it. Only where pins are kept at all."""
        assert self.pins is not None
        known = await self.pins.one(view.item.trace_id)
        copy = None if known is not None and known.copied else json.dumps(plain(view), allow_nan=False)
        return await self.pins.put(_of_list(view), note, copy)


def _of_list(view: FrameView) -> PinnedFrame:
    item = view.item
    return PinnedFrame(
        item.trace_id, item.service, item.pipeline, item.frame_id, view.due, item.latency_seconds, item.cause,
        headline(view),
    )  # fmt: skip
