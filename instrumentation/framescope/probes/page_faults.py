"""Major page faults of a process: how often one of its threads had to wait for a page to be read in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from framescope.probes.kernel_file import KernelFile

MAJOR_FIELD: Final = 9
"""Of ``/proc/PID/stat``, counted from the state, which follows the name (``proc_pid_stat(5)``, majflt)."""


@dataclass(frozen=True, slots=True)
class PageFaults:
    """``major`` is cumulative over all threads, ended ones too; ``time_ns`` is monotonic."""

    time_ns: int
    major: int


class PageFaultProbe:
    """Reads ``/proc/PID/stat`` under ``root``. ``read`` raises nothing."""

    name = "page_faults"

    def __init__(self, pid: int, root: Path = Path("/")) -> None:
        self._stat = KernelFile(root / f"proc/{pid}/stat")

    def read(self, now_ns: int) -> PageFaults | None:
        """Faults so far; ``None`` once the process is gone, and where there is no /proc."""
        try:
            major = parse_major_faults(self._stat.read())
        except OSError:
            return None
        return None if major is None else PageFaults(now_ns, major)

    def close(self) -> None:
        self._stat.close()


def parse_major_faults(stat: str) -> int | None:
    """The field of a process's ``stat`` line. Its name stands in brackets and may hold anything, more too."""
    fields = stat.rpartition(")")[2].split()
    told = fields[MAJOR_FIELD] if len(fields) > MAJOR_FIELD else ""
    return int(told) if told.isdecimal() else None
