"""Major page faults of a process: how often one of its threads had to wait for a page to be read in.

And, from the same line of the kernel's, whether the process is stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from framescope.probes.kernel_file import KernelFile

MAJOR_FIELD: Final = 9
"""Of ``/proc/PID/stat``, counted from the state, which follows the name (``proc_pid_stat(5)``, majflt)."""
STOPPED: Final = ("T", "t")
"""Its states of a process stopped by a signal, or by who traces it."""


@dataclass(frozen=True, slots=True)
class PageFaults:
    """``major`` is cumulative over all threads, ended ones too; ``time_ns`` is monotonic. ``stopped``: the
    process stood still then."""

    time_ns: int
    major: int
    stopped: bool = False


class PageFaultProbe:
    """Reads ``/proc/PID/stat`` under ``root``. ``read`` raises nothing."""

    name = "page_faults"

    def __init__(self, pid: int, root: Path = Path("/")) -> None:
        self._stat = KernelFile(root / f"proc/{pid}/stat")

    def read(self, now_ns: int) -> PageFaults | None:
        """Faults so far; ``None`` once the process is gone, and where there is no /proc."""
        try:
            stat = self._stat.read()
        except OSError:
            return None
        major = parse_major_faults(stat)
        return None if major is None else PageFaults(now_ns, major, _fields(stat)[0] in STOPPED)

    def close(self) -> None:
        self._stat.close()


def parse_major_faults(stat: str) -> int | None:
    """The field of a process's ``stat`` line."""
    fields = _fields(stat)
    told = fields[MAJOR_FIELD] if len(fields) > MAJOR_FIELD else ""
    return int(told) if told.isdecimal() else None


def _fields(stat: str) -> list[str]:
    """From the state on. The process's name stands in brackets before it, and may hold anything, more too."""
    return stat.rpartition(")")[2].split()
