"""An agent on the thread that ships: no process, no thread of its own, nothing is sent anywhere."""

from __future__ import annotations

from collections.abc import Callable

from framescope.handover import HEADER, Batch, unpack


class LinkAtHand:
    """A link whose batches go to a function, such as ``Agent.feed``, by way of the bytes that are sent."""

    def __init__(self, feed: Callable[[Batch], None]) -> None:
        self._feed = feed

    def send(self, message: bytes, frames: int) -> None:
        self._feed(unpack(message[HEADER.size :]))

    def revive(self) -> bool:
        return True

    def losses(self) -> dict[str, int]:
        return {}

    def close(self, timeout: float) -> None: ...
