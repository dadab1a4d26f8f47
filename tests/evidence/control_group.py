"""A control group of version 1 or 2 beside this process's own, where one may be made."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import pytest

from framescope.probes.cgroup import below

LIMITS: Final = {
    ("cpu", 1): "cpu.cfs_quota_us",
    ("cpu", 2): "cpu.max",
    ("memory", 1): "memory.limit_in_bytes",
    ("memory", 2): "memory.max",
    ("pressure", 2): "memory.pressure",
}


class Group:
    """A fresh group that limits ``cpu`` or ``memory``, or tells its own ``pressure`` (version 2 alone).
    Skips the test where none may be made."""

    def __init__(self, controller: str) -> None:
        for self.version, path in memberships(controller):
            for root, point in mounts(controller, self.version):
                before = Path(point) / below(root, path)
                self.back = before / "cgroup.procs"
                self.folder = before / f"framescope-test-{os.getpid()}"
                try:
                    self.folder.mkdir()
                except OSError:
                    continue
                self._limit = self.folder / LIMITS[controller, self.version]
                if self._limit.exists():
                    return
                self.folder.rmdir()
        pytest.skip(f"no control group for {controller} may be made here")

    def limit(self, amount: int) -> None:
        """Percent of one CPU, or bytes."""
        if self._limit.name == "cpu.max":
            self._limit.write_text(f"{amount * 1000} 100000")
        else:
            self._limit.write_text(str(amount * 1000 if self._limit.name == "cpu.cfs_quota_us" else amount))

    def enter(self, pid: int) -> None:
        (self.folder / "cgroup.procs").write_text(str(pid))

    def leave(self, pid: int) -> None:
        self.back.write_text(str(pid))

    def remove(self) -> None:
        """Processes leave a group a little after they ended."""
        for _ in range(100):
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.02)


def memberships(controller: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            found.append((1, path))
        elif number == "0" and not controllers:
            found.append((2, path))
    return found


def mounts(controller: str, version: int) -> list[tuple[str, str]]:
    """(what it shows as its root, where it is) of each hierarchy that could limit this."""
    found: list[tuple[str, str]] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if (version == 2 and kind[0] == "cgroup2") or (
            version == 1 and kind[0] == "cgroup" and controller in kind[2].split(",")
        ):
            found.append((fields[3], fields[4]))
    return found
