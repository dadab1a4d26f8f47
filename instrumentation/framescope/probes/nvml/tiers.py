"""How often each group of NVML calls is made, and that none of them takes more than its share."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

NS: Final = 1_000_000_000
SHARE: Final = 100
"""A group of calls takes at most one part in this many of the time: one that costs 4.5 ms, as listing the
processes did on a laptop's GPU, is made at most every 0.45 s whatever is set. NVML calls take a lock of the
driver that render threads wait for too."""
COSTS: Final = 5
"""Turns whose median is a group's usual cost."""
GPM_FLOOR_NS: Final = NS // 10
"""Two GPM samples closer than this give nonsense (NVML's documentation)."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """Period of each group of calls, in ns; 0 switches a group off.

    ``utilization``: the device's buffer of load samples, which gets an entry every 1/6 s; asked at 10 Hz so
    that a frame finds the sample of its end when it is judged, 0.3 s later. Two calls of 2.5 µs each
    (medians reported by NVML's users on an RTX 4090).
    ``sharing``: load by process, which contention is told by. Two calls that walk a buffer in the driver;
    more often than the driver's 1/6 s tells nothing new.
    ``fields``: one batch for power, energy, throttle times and PCIe bytes, and three calls for clocks.
    ``activity``: GPM, on Hopper and later; never under 0.1 s.
    ``memory``: memory (12 µs), temperatures, encoder, decoder.
    ``residents``: who holds memory (4.5 ms), fan (0.14 ms), error totals, MIG slices.
    ``events``: Xid and ECC errors, as they happen, on a thread that waits in the driver.
    """

    utilization_ns: int = NS // 10
    sharing_ns: int = NS // 5
    fields_ns: int = NS // 5
    activity_ns: int = NS // 2
    memory_ns: int = NS
    residents_ns: int = 10 * NS
    events: bool = True


class Turns:
    """When one group of calls is due, and what it costs."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._due_ns: int | None = None
        self._costs: deque[int] = deque(maxlen=COSTS)

    def due(self, now_ns: int) -> bool:
        if self._period_ns <= 0:
            return False
        return self._due_ns is None or now_ns >= self._due_ns

    def took(self, began_ns: int, ended_ns: int) -> None:
        """A turn was made. The next may come a tenth early, so that a caller's jitter skips no beat."""
        self._costs.append(max(0, ended_ns - began_ns))
        usual = sorted(self._costs)[len(self._costs) // 2]
        self._due_ns = began_ns + max(self._period_ns - self._period_ns // 10, SHARE * usual)

    @property
    def cost_ns(self) -> int | None:
        """What the newest turn took."""
        return self._costs[-1] if self._costs else None
