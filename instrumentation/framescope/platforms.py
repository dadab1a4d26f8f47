"""What works where: one table, and how to find out whether it works on this machine.

A line of `TABLE` is one thing that is recorded or read. docs/platforms.md shows the table (a test holds the
two together; ``python -m framescope.platforms`` prints it), ``framescope doctor`` this machine's column.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from framescope.agent.lifecycle import cannot_start
from framescope.config import ReadFile
from framescope.probes.interpreter_lock import there_is_one
from framescope.probes.process_metrics import is_there
from framescope.probes.system_call import NUMBERS

YES: Final = "yes"
COARSE_S: Final = 1e-4
"""A monotonic clock that ticks more seldom tells little of frames that take milliseconds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the lines ask: which system this is, and what its files say."""

    read_file: ReadFile
    system: str = sys.platform
    """``linux``, ``darwin`` or ``win32``, as ``sys.platform`` says."""
    tick_s: float = field(default_factory=lambda: time.get_clock_info("monotonic").resolution)
    has_lock: bool = field(default_factory=there_is_one)
    """Whether there is an interpreter lock."""
    no_agent: str = field(default_factory=cannot_start)
    """Why an agent cannot be a process of its own here."""
    has_instrumentation: bool = field(default_factory=is_there)
    """Whether OpenTelemetry's system-metrics instrumentation is installed."""

    @property
    def is_linux(self) -> bool:
        return self.system.startswith("linux")


@dataclass(frozen=True, slots=True)
class Missing:
    """Why something is not here, and what would change that; nothing would where ``change`` is empty."""

    reason: str
    change: str = ""


Look = Callable[[Machine], Missing | None]
"""None: it is here."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is recorded or read. A cell is `YES`, or words: ``no`` and why, or what it takes."""

    name: str
    look: Look | None
    """None: the doctor's check of the GPU looks for it."""
    linux: str = YES
    container: str = YES
    macos: str = YES
    windows: str = YES
    free_threaded: str = YES


def everywhere(machine: Machine) -> Missing | None:
    return None


def only_on_linux(look: Look) -> Look:
    """It needs what only Linux has."""

    def looked(machine: Machine) -> Missing | None:
        return look(machine) if machine.is_linux else Missing("only Linux tells it")

    return looked


def readable(path: str, change: str) -> Look:
    """It is here where this file of the kernel's can be read."""

    def look(machine: Machine) -> Missing | None:
        try:
            machine.read_file(Path(path))
        except OSError as error:
            return Missing(f"{path} not readable: {error.strerror or error}", change)
        return None

    return only_on_linux(look)


def _times(machine: Machine) -> Missing | None:
    if machine.tick_s <= COARSE_S:
        return None
    change = "use Python 3.13 or newer: before, Windows gave it a clock that ticks every 15.6 ms"
    return Missing(f"times are in steps of {machine.tick_s * 1e3:.1f} ms", change)


def _agent(machine: Machine) -> Missing | None:
    if not machine.no_agent:
        return None
    return Missing(f"the agent is a thread of the host: {machine.no_agent}")


def _cpu_time(machine: Machine) -> Missing | None:
    if machine.system == "win32":
        return Missing("Windows counts a thread's CPU time in ticks of 15.6 ms")
    return None


def _run_queue(machine: Machine) -> Missing | None:
    path = Path("/proc/thread-self/schedstat")
    needs = "needs Linux with CONFIG_SCHED_INFO; cpu_contention cannot be told without it"
    try:
        fields = machine.read_file(path).split()
    except OSError as error:
        return Missing(f"{path} not readable: {error.strerror or error}", needs)
    if len(fields) != 3 or fields == ["0", "0", "0"]:
        change = "boot with schedstats=enable, or sysctl kernel.sched_schedstats=1"
        return Missing(f"{path} is readable, but says {' '.join(fields)!r}", change)
    return None


def _lock(machine: Machine) -> Missing | None:
    if not machine.has_lock:
        return Missing("this interpreter has no lock")
    return only_on_linux(_run_queue)(machine)


def _waits(machine: Machine) -> Missing | None:
    if not NUMBERS:
        return Missing(f"the system calls of {platform.machine()} are not known")
    return readable("/proc/self/syscall", "needs a kernel with CONFIG_HAVE_ARCH_TRACEHOOK")(machine)


def _more_of_the_process(machine: Machine) -> Missing | None:
    return None if machine.has_instrumentation else Missing("comes with `pip install framescope[system]`")


TABLE: Final[tuple[Line, ...]] = (
    Line("times of frames, stages and queues", _times, windows="from Python 3.13; before, 15.6 ms steps"),
    Line("agent in a process of its own", _agent, windows="no: a thread of the host"),
    Line("CPU time", _cpu_time, windows="no: counted in ticks of 15.6 ms"),
    Line("run-queue time", only_on_linux(_run_queue), "CONFIG_SCHED_INFO", macos="no", windows="no"),
    Line(
        "blocked and I/O time",
        only_on_linux(_run_queue),
        "with run-queue time",
        macos="no: needs run-queue time",
        windows="no: needs run-queue time",
    ),
    Line("garbage collections", everywhere),
    Line(
        "waits for the interpreter lock",
        _lock,
        "with run-queue time",
        macos="no: needs run-queue time",
        windows="no: needs run-queue time",
        free_threaded="there is no lock",
    ),
    Line(
        "what a thread waits in (`probes.system_calls`)",
        only_on_linux(_waits),
        "x86-64, Arm 64",
        container="unless `/proc` is masked",
        macos="no",
        windows="no",
        free_threaded="yes, but for the lock",
    ),
    Line("stacks of slow stages (`probes.stacks`)", everywhere),
    Line(
        "CPU limit of the control group",
        readable("/proc/self/cgroup", "let this process see /proc and /sys/fs/cgroup"),
        "cgroup v1, v2",
        macos="no",
        windows="no",
    ),
    Line(
        "pressure on CPU, memory and I/O",
        readable("/proc/pressure/cpu", "needs Linux 4.20 with CONFIG_PSI; boot with psi=1 where it is off"),
        "Linux 4.20, CONFIG_PSI",
        container="the machine's",
        macos="no",
        windows="no",
    ),
    Line(
        "short memory",
        readable(
            "/proc/pressure/memory", "needs Linux 4.20 with CONFIG_PSI; boot with psi=1 where it is off"
        ),
        "with pressure and run-queue time",
        macos="no",
        windows="no",
    ),
    Line(
        "major page faults, paging, steal",
        readable("/proc/vmstat", "let this process see /proc"),
        container="the machine's, but for the process's faults",
        macos="no",
        windows="no",
    ),
    Line(
        "CPU frequency",
        readable("/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", ""),
        "cpufreq; seldom in a virtual machine",
        container="the machine's",
        macos="no",
        windows="no",
    ),
    Line("CPU and memory of machine and process", everywhere, container="the machine's"),
    Line("more of the process (`probes.process`)", _more_of_the_process, "`framescope[system]`"),
    Line(
        "GPU readings (NVML)",
        None,
        "NVIDIA driver",
        container="`--gpus all`",
        macos="no: no driver",
        windows="NVIDIA driver",
    ),
    Line(
        "GPU time of stages (CUDA)",
        None,
        "NVIDIA driver",
        container="`--gpus all`",
        macos="no: no driver",
        windows="NVIDIA driver, not tried",
    ),
    Line(
        "one clock for frames carried between processes",
        readable("/proc/sys/kernel/random/boot_id", "frames carried from here are laid on the wall clock"),
        macos="by the wall clock",
        windows="by the wall clock",
    ),
)

COLUMNS: Final = ("linux", "container", "macos", "windows", "free_threaded")
TITLES: Final = ("Linux", "in a container", "macOS", "Windows", "free-threaded Python")


def as_markdown() -> str:
    """The table as docs/platforms.md shows it."""
    rows = [("", *TITLES), ("---",) * (1 + len(TITLES))]
    rows += [(line.name, *(getattr(line, column) for column in COLUMNS)) for line in TABLE]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(as_markdown() + "\n")
