"""Pressure stall information: for which share of the time some, or all, tasks waited for a resource.

The kernel spreads what it has counted at each read, and reads less than a jiffy apart discard the
difference for every reader of the machine: never read faster than `MINIMUM_INTERVAL_NS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from framescope.probes.kernel_file import KernelFile

MINIMUM_INTERVAL_NS: Final = 100_000_000
RESOURCES: Final = ("cpu", "memory", "io")


@dataclass(frozen=True, slots=True)
class PressureReading:
    """Stalls in the window of ``window_ns`` that ends at ``time_ns`` (monotonic).

    Keys are the resource (``cpu memory io``) for "some task was stalled", and ``<resource>.full`` for
    "all tasks were". ``shares`` are ratios of the window; ``stalled_ns`` the stalled time itself.
    """

    time_ns: int
    window_ns: int
    shares: dict[str, float]
    stalled_ns: dict[str, int]


class PressureProbe:
    """Reads ``/proc/pressure`` under ``root``. ``unavailable`` says why there is nothing to read."""

    name = "pressure"

    def __init__(self, root: Path = Path("/")) -> None:
        self._files = {resource: KernelFile(root / "proc" / "pressure" / resource) for resource in RESOURCES}
        self._last_ns: int | None = None
        self._totals: dict[str, int] = {}
        self.unavailable: str | None = None

    def read(self, now_ns: int) -> PressureReading | None:
        """What was stalled since the last reading; ``None`` too early, on the first, or when unreadable."""
        if self._last_ns is not None and now_ns - self._last_ns < MINIMUM_INTERVAL_NS:
            return None
        before, before_ns = self._totals, self._last_ns
        self._totals, self._last_ns = self._read_totals(), now_ns
        if before_ns is None or not self._totals:
            return None
        window_ns = now_ns - before_ns
        stalled = {
            key: total - before[key]
            for key, total in self._totals.items()
            if key in before and total >= before[key]
        }
        if not stalled:
            return None
        # The kernel's own accounting period is not ours: a stall may be booked a little late.
        shares = {key: min(1.0, amount / window_ns) for key, amount in stalled.items()}
        return PressureReading(now_ns, window_ns, shares, stalled)

    def close(self) -> None:
        self._totals = {}
        self._last_ns = None
        for file in self._files.values():
            file.close()

    def _read_totals(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        reason = None
        for resource, file in self._files.items():
            try:
                text = file.read()
            except OSError as error:
                reason = f"/proc/pressure/{resource}: {error.strerror or error}"
                continue
            for kind, total_ns in parse_pressure(text).items():
                # The machine as a whole is never fully stalled on CPU: that line is always zero.
                if kind == "some" or resource != "cpu":
                    totals[resource if kind == "some" else f"{resource}.{kind}"] = total_ns
        if totals:
            self.unavailable = None
        elif self.unavailable is None:
            self.unavailable = reason or "/proc/pressure says nothing"
        return totals


def parse_pressure(text: str) -> dict[str, int]:
    """Cumulative stalled ns by kind (``some``, ``full``) from the kernel's lines; others are passed over."""
    totals: dict[str, int] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind not in ("some", "full"):
            continue
        for word in rest.split():
            name, _, value = word.partition("=")
            if name == "total" and value.isascii() and value.isdigit():
                totals[kind] = int(value) * 1000
    return totals
