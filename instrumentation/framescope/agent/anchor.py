"""One wall-clock anchor: where monotonic time stands on the wall, how sure that is, renewed now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

RENEW_NS: Final = 10_000_000_000
"""Clocks slewed at the usual 500 ppm part by 5 ms in 10 s; the anchor's error includes what it saw."""
TRIES: Final = 5


class WallAnchor:
    """Converts monotonic ns to unix ns. ``error_ns`` bounds the conversion's error."""

    def __init__(
        self,
        monotonic: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset, self.error_ns = self._measure()
        self._taken_ns = monotonic()

    def renew(self, now_ns: int) -> None:
        """Anchor again when the last one is old; a step of the wall clock shows in ``error_ns`` once."""
        if now_ns - self._taken_ns < RENEW_NS:
            return
        offset, bracket = self._measure()
        self.error_ns = bracket + abs(offset - self._offset)
        self._offset = offset
        self._taken_ns = now_ns

    def unix_ns(self, monotonic_ns: int) -> int:
        """This moment in unix ns."""
        return monotonic_ns + self._offset

    def _measure(self) -> tuple[int, int]:
        best: tuple[int, int] | None = None
        for _ in range(TRIES):
            before = self._monotonic()
            wall = self._wall()
            after = self._monotonic()
            half = (after - before) // 2
            if best is None or half < best[1]:
                best = (wall - before - half, half)
        assert best is not None
        return best
