"""CPU and memory of the machine and of the traced process, through psutil."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import psutil

NS: Final = 1_000_000_000
CHILDREN_EVERY_NS: Final = 5 * NS
"""Listing a process's children walks every process there is (milliseconds): not more often than this."""


@dataclass(frozen=True, slots=True)
class HostReading:
    """One reading. Ratios are over all cores: 1 is the whole machine.

    ``time_ns`` (monotonic) ends the window of ``window_ns`` that the two CPU ratios average; on the first
    reading there is no window yet and both are ``None``. The process's values are ``None`` once it is gone.
    """

    time_ns: int
    window_ns: int
    cpu: float | None
    memory: float | None
    process_cpu: float | None
    process_memory_bytes: int | None


class HostProbe:
    """Reads the machine and process ``pid``; with ``children``, its descendants too, but never this process.

    What a child used between the last reading and its end is not seen.
    """

    name = "host"

    def __init__(self, pid: int, children: bool = False) -> None:
        self._cores = psutil.cpu_count() or 1
        self._with_children = children
        self._host = _open(pid)
        self._children: list[psutil.Process] = []
        self._children_due_ns = 0
        self._last_ns: int | None = None
        self._machine: tuple[float, float] | None = None
        self._used: dict[psutil.Process, float] = {}

    def read(self, now_ns: int) -> HostReading:
        """Differences since the last call. Raises nothing."""
        window_ns = 0 if self._last_ns is None else now_ns - self._last_ns
        self._last_ns = now_ns
        process_cpu, process_memory = self._read_process(now_ns, window_ns)
        return HostReading(
            time_ns=now_ns,
            window_ns=window_ns,
            cpu=self._read_machine(),
            memory=_memory_utilization(),
            process_cpu=process_cpu,
            process_memory_bytes=process_memory,
        )

    def close(self) -> None:
        self._host = None
        self._children = []

    def _read_machine(self) -> float | None:
        before = self._machine
        try:
            times = psutil.cpu_times()
        except (psutil.Error, OSError, ValueError):
            self._machine = None
            return None
        # Linux counts guest time inside user time already; waiting for a disk is not using the CPU.
        idle = times.idle + getattr(times, "iowait", 0.0)
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        self._machine = (total - idle, total)
        if before is None or total <= before[1]:
            return None
        return _ratio(total - idle - before[0], total - before[1])

    def _read_process(self, now_ns: int, window_ns: int) -> tuple[float | None, int | None]:
        if self._host is None:
            return None, None
        if self._with_children and now_ns >= self._children_due_ns:
            self._children_due_ns = now_ns + CHILDREN_EVERY_NS
            self._children = _children(self._host)
        used_before, self._used = self._used, {}
        memory = 0
        growth = 0.0
        for process in (self._host, *self._children):
            now = _usage(process)
            if now is None:
                if process is self._host:
                    self._host = None
                    return None, None
                continue
            used, resident = now
            self._used[process] = used
            memory += resident
            growth += max(0.0, used - used_before.get(process, used))
        if window_ns <= 0:
            return None, memory
        return _ratio(growth, window_ns / NS * self._cores), memory


def _open(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except (psutil.Error, OSError, ValueError):
        return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [child for child in process.children(recursive=True) if child.pid != os.getpid()]
    except (psutil.Error, OSError):
        return []


def _usage(process: psutil.Process) -> tuple[float, int] | None:
    """CPU seconds so far and resident bytes; ``None`` when it is gone, a zombie, or the pid another's."""
    try:
        with process.oneshot():
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return None
            times = process.cpu_times()
            return times.user + times.system, process.memory_info().rss
    except (psutil.Error, OSError, ValueError):
        return None


def _memory_utilization() -> float | None:
    try:
        memory = psutil.virtual_memory()
    except (psutil.Error, OSError, ValueError):
        return None
    return _ratio(memory.total - memory.available, memory.total) if memory.total else None


def _ratio(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole))
