"""Pressure stall information: for which share of the time some, or all, tasks waited for a resource.

The kernel spreads what it has counted at each read, and reads less than a jiffy apart discard the
difference for every reader of the machine: never read faster than `MINIMUM_INTERVAL_NS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from framescope.probes.cgroup import RESOLVE_EVERY_NS, below, parse_membership, parse_mounts
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
    """Reads ``/proc/pressure`` under ``root``, or the given file of each resource. ``unavailable`` says why
    there is nothing to read."""

    name = "pressure"

    def __init__(self, root: Path = Path("/"), files: Mapping[str, Path] | None = None) -> None:
        machine = {resource: root / "proc" / "pressure" / resource for resource in RESOURCES}
        self._files = {resource: KernelFile(path) for resource, path in (files or machine).items()}
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
                reason = f"{file.path}: {error.strerror or error}"
                continue
            for kind, total_ns in parse_pressure(text).items():
                # The machine as a whole is never fully stalled on CPU: that line is always zero.
                if kind == "some" or resource != "cpu":
                    totals[resource if kind == "some" else f"{resource}.{kind}"] = total_ns
        if totals:
            self.unavailable = None
        elif self.unavailable is None:
            self.unavailable = reason or "the pressure files say nothing"
        return totals


class GroupPressureProbe:
    """Stalls for memory and I/O in the control group (version 2) of process ``pid`` alone: in a container, or
    a service, a witness that no neighbour can be."""

    name = "group_pressure"

    def __init__(self, pid: int, root: Path = Path("/")) -> None:
        self._pid = pid
        self._root = root
        self._folder: Path | None = None
        self._inner: PressureProbe | None = None
        self._resolve_due_ns: int | None = None

    def read(self, now_ns: int) -> PressureReading | None:
        """As `PressureProbe.read`; ``None`` too where the process is in no group but the machine's root."""
        if self._resolve_due_ns is None or now_ns >= self._resolve_due_ns:
            self._resolve_due_ns = now_ns + RESOLVE_EVERY_NS
            folder = self._resolve()
            if folder != self._folder:
                self.close()
                self._folder = folder
                if folder is not None:
                    files = {resource: folder / f"{resource}.pressure" for resource in ("memory", "io")}
                    self._inner = PressureProbe(files=files)
        return None if self._inner is None else self._inner.read(now_ns)

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()
        self._inner = None

    def _resolve(self) -> Path | None:
        try:
            groups = parse_membership((self._root / f"proc/{self._pid}/cgroup").read_text(errors="replace"))
            mounts = parse_mounts((self._root / "proc/self/mountinfo").read_text(errors="replace"))
        except OSError:
            return None
        paths = [path for version, path in groups if version == 2]
        for mount in mounts:
            if mount.version == 2 and paths:
                folder = self._root / mount.point.lstrip("/") / below(mount.root, paths[0])
                # Every group has this file but the root of all, whose pressure is the machine's.
                if (folder / "cgroup.events").exists() and (folder / "memory.pressure").exists():
                    return folder
        return None


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
