"""Who a process on the GPU is, and whether it is the traced process or a child of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

INITIAL_PID_NAMESPACE: Final = "pid:[4026531836]"
"""The kernel's own inode number of the first pid namespace (include/linux/proc_ns.h), whose pids are the
ones NVML reports."""
UNKNOWN: Final = "unknown"
ANCESTORS: Final = 64


class People:
    """Names pids as the driver reports them: pids of the machine, whatever container we are in.

    Inside a container these numbers mean somebody else, or nobody. They can be told apart only where the
    machine's own ``/proc`` is mounted and ``HOST_PROC`` names it (the variable that other agents use for
    it): there ``NSpid`` gives each process's pid in its own namespace. Elsewhere everybody is unknown.
    """

    def __init__(self, pid: int, proc: Path = Path("/proc"), environ: Mapping[str, str] = os.environ) -> None:
        self._pid = pid
        self._own = _link(proc / str(pid) / "ns" / "pid") or _link(proc / "self" / "ns" / "pid")
        self._proc: Path | None = None
        self._nested = False
        if self._own == INITIAL_PID_NAMESPACE:
            self._proc = proc
        elif environ.get("HOST_PROC") and self._own is not None:
            self._proc, self._nested = Path(environ["HOST_PROC"]), True
        self._without_proc = self._own is None and not (proc / "self").exists()

    def who(self, pid: int) -> tuple[int | None, str, bool | None]:
        """(pid, name, whether it is ours); ``None`` and ``unknown`` for what cannot be told."""
        if self._without_proc:
            return self._elsewhere(pid)
        if self._proc is None:
            return None, UNKNOWN, None
        name = self._name(self._proc, pid)
        ours = self._is_ours(self._proc, pid)
        if self._nested and name == UNKNOWN:
            return None, UNKNOWN, None
        return pid, name, ours

    def _elsewhere(self, pid: int) -> tuple[int | None, str, bool | None]:
        """Where there is no ``/proc`` there are no pid namespaces either."""
        try:
            process = psutil.Process(pid)
            name = process.name()
            return pid, name, pid == self._pid or self._pid in (one.pid for one in process.parents())
        except (psutil.Error, OSError):
            return pid, UNKNOWN, pid == self._pid or None

    def _name(self, proc: Path, pid: int) -> str:
        try:
            return (proc / str(pid) / "comm").read_text(errors="replace").strip() or UNKNOWN
        except OSError:
            return UNKNOWN

    def _is_ours(self, proc: Path, pid: int) -> bool | None:
        current = pid
        for _ in range(ANCESTORS):
            itself = self._is_itself(proc, current)
            if itself:
                return True
            if current <= 1:
                return False
            try:
                stat = (proc / str(current) / "stat").read_text(errors="replace")
                current = int(stat.rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                return None  # it ended before it could be asked
        return False

    def _is_itself(self, proc: Path, pid: int) -> bool:
        if not self._nested:
            return pid == self._pid
        try:
            status = (proc / str(pid) / "status").read_text(errors="replace")
            nested = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]
        except (OSError, StopIteration, IndexError):
            return False
        return nested == str(self._pid) and _link(proc / str(pid) / "ns" / "pid") == self._own


def _link(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except OSError:
        return None
