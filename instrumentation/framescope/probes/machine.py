"""What happens to the whole machine below the processes: steal time, CPU frequency, paging. Linux only.

Sources: ``proc_stat(5)``, ``proc_vmstat(5)``, ``Documentation/admin-guide/pm/cpufreq.rst`` of the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from framescope.probes.kernel_file import KernelFile

POLICIES: Final = 8
"""Groups of cores whose clock is asked, evenly spread: asking one can wake a sleeping core."""
STEAL_FIELD: Final = 7
"""Of the ``cpu`` line: user nice system idle iowait irq softirq **steal** guest guest_nice. Guest time is
inside user time already."""


@dataclass(frozen=True, slots=True)
class MachineReading:
    """``steal`` is the share of all cores' time in the window of ``window_ns``, ending at ``time_ns``
    (monotonic), that a hypervisor gave to others. ``frequency_hz`` is a mean over cores. Pages swapped and
    major faults are cumulative since boot. What the machine does not tell is ``None``.
    """

    time_ns: int
    window_ns: int
    steal: float | None = None
    frequency_hz: float | None = None
    pages_in: int | None = None
    pages_out: int | None = None
    major_faults: int | None = None


class MachineProbe:
    """Reads ``/proc`` and ``/sys`` under ``root``. ``read`` raises nothing."""

    name = "machine"

    def __init__(self, root: Path = Path("/")) -> None:
        self._stat = KernelFile(root / "proc/stat")
        self._vmstat = KernelFile(root / "proc/vmstat")
        policies = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*/scaling_cur_freq"))
        self._clocks = [KernelFile(path) for path in policies[:: max(1, len(policies) // POLICIES)]]
        self._last: tuple[int, int, int] | None = None

    def read(self, now_ns: int) -> MachineReading | None:
        """What changed since the last call; ``None`` where the machine tells nothing of this."""
        times = parse_cpu_times(_text(self._stat))
        before, self._last = self._last, None
        steal, window_ns = None, 0
        if len(times) > STEAL_FIELD:
            total = sum(times[: STEAL_FIELD + 1])
            self._last = now_ns, total, times[STEAL_FIELD]
            if before is not None and total > before[1]:
                # Steal can fall by a little when a core comes or goes.
                steal = max(0, times[STEAL_FIELD] - before[2]) / (total - before[1])
                window_ns = now_ns - before[0]
        counts = parse_counts(_text(self._vmstat))
        clocks = [int(text) * 1000 for text in map(_text, self._clocks) if text.strip().isdecimal()]
        if not times and not counts and not clocks:
            return None
        return MachineReading(
            time_ns=now_ns,
            window_ns=window_ns,
            steal=steal,
            frequency_hz=sum(clocks) / len(clocks) if clocks else None,
            pages_in=counts.get("pswpin"),
            pages_out=counts.get("pswpout"),
            major_faults=counts.get("pgmajfault"),
        )

    def close(self) -> None:
        for file in (self._stat, self._vmstat, *self._clocks):
            file.close()


def parse_cpu_times(stat: str) -> Sequence[int]:
    """The fields of the ``cpu`` line of ``/proc/stat``, in clock ticks; none where there is no such line."""
    label, *fields = stat.partition("\n")[0].split()[:11] or [""]
    if label != "cpu" or not all(field.isdecimal() for field in fields):
        return ()
    return tuple(int(field) for field in fields)


def parse_counts(vmstat: str) -> dict[str, int]:
    """Name and value of each line of ``/proc/vmstat``; lines that are something else are passed over."""
    pairs = (line.split() for line in vmstat.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _text(file: KernelFile) -> str:
    try:
        return file.read()
    except OSError:
        return ""
