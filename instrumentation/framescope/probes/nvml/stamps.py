"""Places the driver's time stamps on the monotonic clock, with a bound on the error."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

NS: Final = 1_000_000_000
US: Final = 1_000

PERIOD_NS: Final = NS // 6
"""Usual distance of two entries of the driver's sample buffer, and how late an entry may come to be in it."""
KNOWN_CLOCK_NS: Final = 10 * NS
"""A newest stamp no older than this on a clock of ours is taken to be of that clock."""
EARLY_NS: Final = 50_000_000
"""How far ahead of a clock of ours a stamp may be and still be taken to be of it."""
REMEMBERED: Final = 64
"""Looks the anchor rests on: some 10 s, over which clocks slewed at 500 ppm part by 5 ms."""


def _boot_ns() -> int:
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks a stamp may be of, all in ns; ``monotonic`` is the one readings are given in."""

    monotonic: Callable[[], int] = time.monotonic_ns
    unix: Callable[[], int] = time.time_ns
    boot: Callable[[], int] = _boot_ns


class Anchor:
    """Places stamps of one device.

    They are documented as unix µs and are not reliably that: a vendor's own agent saw 1970, and believes
    them to count from boot. The newest one is compared with the clocks it might be of. With one that fits,
    a stamp is taken at its word; the least age seen of a newest stamp bounds how far that clock may lag.
    With none, each look tells that a stamp which was not there at the look before lies between the two
    (allowing for the time an entry takes to appear); what all looks agree on is the offset, half their
    slack its error (Cristian's algorithm, one way).
    """

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._clock: Callable[[], int] | None = None
        self._ages: deque[int] = deque(maxlen=REMEMBERED)
        self._bounds: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._offset_ns: int | None = None
        self.error_ns: int | None = None

    def learn(self, newest_us: int, looked_ns: int | None) -> None:
        """A newest stamp was just read; at ``looked_ns``, the look before, it was not there."""
        stamp_ns = newest_us * US
        now_ns = self._clocks.monotonic()
        if self._clock is not None and not _fits(self._clock() - stamp_ns):
            self._clock = None  # one of the two clocks was set
            self._forget()
        if self._clock is None and not self._bounds:
            candidates = (self._clocks.unix, self._clocks.boot, self._clocks.monotonic)
            self._clock = next((clock for clock in candidates if _fits(clock() - stamp_ns)), None)
        if self._clock is not None:
            self._ages.append(self._clock() - stamp_ns)
            least = min(self._ages)
            self._offset_ns = now_ns - self._clock() + min(0, least)  # nothing lies in the future
            self.error_ns = abs(least)
        elif looked_ns is not None:
            self._bounds.append((looked_ns - PERIOD_NS - stamp_ns, now_ns - stamp_ns))
            low, high = max(low for low, _ in self._bounds), min(high for _, high in self._bounds)
            if low > high:  # what was true before is not any more
                low, high = self._bounds[-1]
                self._bounds.clear()
                self._bounds.append((low, high))
            self._offset_ns, self.error_ns = (low + high) // 2, (high - low + 1) // 2

    def placed(self, stamp_us: int) -> int | None:
        """Monotonic ns of a stamp; ``None`` before anything was learned."""
        return None if self._offset_ns is None else stamp_us * US + self._offset_ns

    def _forget(self) -> None:
        self._ages.clear()
        self._bounds.clear()
        self._offset_ns = self.error_ns = None


def _fits(age_ns: int) -> bool:
    return -EARLY_NS < age_ns < KNOWN_CLOCK_NS
