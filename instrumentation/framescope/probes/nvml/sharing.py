"""Who uses the device, and who holds its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from framescope.probes.device import ProcessMemory, ProcessUse
from framescope.probes.nvml.calls import Calls
from framescope.probes.nvml.people import People
from framescope.probes.nvml.stamps import PERIOD_NS, Clocks
from framescope.probes.nvml.values import percent

NS: Final = 1_000_000_000
LONGEST_NS: Final = NS
"""The driver remembers a process's use for about this long: older use is not known from a later look."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Use by process over a window that ends at ``time_ns``."""

    time_ns: int
    window_ns: int
    uses: tuple[ProcessUse, ...]
    others: float | None


class Users:
    """Use of one device by process.

    A record is new since the look before and averages the driver's own period before it was made: the
    window of a reading spans both, so no clock of the driver's is needed to place it.
    """

    def __init__(self, calls: Calls, people: People, clocks: Clocks) -> None:
        self._calls = calls
        self._people = people
        self._clocks = clocks
        self._newest_us: int | None = None
        self._looked_ns: int | None = None

    def read(self) -> Sharing | None:
        """Use since the last call; ``None`` where it is not told, and on the first call."""
        records = self._calls.list("nvmlDeviceGetProcessUtilization", self._newest_us or 0)
        if records is None:
            return None
        now_ns = self._clocks.monotonic()
        looked_ns, self._looked_ns = self._looked_ns, now_ns
        newest = newest_uses(records, self._newest_us or 0)
        self._newest_us = max((stamp for stamp, _ in newest.values()), default=self._newest_us)
        if looked_ns is None and newest:
            return None  # these reach back to before anybody asked
        uses: list[ProcessUse] = []
        for pid, (_, share) in sorted(newest.items()):
            if share > 0:
                known, name, ours = self._people.who(pid)
                uses.append(ProcessUse(known, name, share, ours))
        window_ns = PERIOD_NS if looked_ns is None else min(LONGEST_NS, now_ns - looked_ns + PERIOD_NS)
        return Sharing(now_ns, window_ns, tuple(uses), others(uses))


def newest_uses(records: Sequence[Any], seen_us: int) -> dict[int, tuple[int, float]]:
    """Stamp (µs) and share of each process's newest record that is newer than ``seen_us``.

    Where every record is older than what was seen, the stamps start anew and all of them count.
    """
    if records and all(int(record.timeStamp) < seen_us for record in records):
        seen_us = 0
    newest: dict[int, tuple[int, float]] = {}
    for record in records:
        stamp, before = int(record.timeStamp), newest.get(record.pid)
        if record.pid and stamp > seen_us and (before is None or stamp > before[0]):
            newest[record.pid] = (stamp, percent(record.smUtil))
    return newest


def others(uses: Sequence[ProcessUse]) -> float | None:
    """What other processes used together; ``None`` when it is not known whose one of the uses is."""
    if any(use.ours is None for use in uses):
        return None
    return min(1.0, sum((use.utilization for use in uses if not use.ours), 0.0))


def residents(calls: Calls, people: People) -> tuple[ProcessMemory, ...]:
    """Processes with a context on the device, and the memory each holds; most first."""
    held: dict[int, int | None] = {}
    for kind in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
        for one in calls.list(kind) or ():
            amount = one.usedGpuMemory  # None where Windows keeps it to itself
            before = held.get(one.pid)
            held[one.pid] = amount if before is None or amount is None else max(before, amount)
    found: list[ProcessMemory] = []
    for pid, amount in sorted(held.items(), key=lambda one: -(one[1] or 0)):
        known, name, ours = people.who(pid)
        found.append(ProcessMemory(known, name, amount, ours))
    return tuple(found)
