"""Who else uses the machine while a pipeline runs: what others take from it is no fault of the suite's, and
nobody knows how much of a frame it cost.

CPU time of the whole machine (``/proc/stat``, steal included) less that of this process and all its children,
by each one's own clock, over half a second: the first counts in ticks of 10 ms.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import psutil

EVERY_S = 0.5
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
IDLE = (3, 4)
"""Fields of the ``cpu`` line that are no work: idle, and idle while something waits for a disk."""
GUESTS = 8
"""The fields from here on are counted in the ones before as well (``proc_stat(5)``)."""


def machine_ns() -> int:
    """CPU time used on all cores, by anybody."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return TICK_NS * sum(int(one) for place, one in enumerate(fields[:GUESTS]) if place not in IDLE)


def process_ns(pid: int) -> int | None:
    """CPU time of a process, by its own clock (``clock_getcpuclockid(3)``); None when it is gone."""
    with contextlib.suppress(OSError):
        return time.clock_gettime_ns(~pid << 3 | 2)
    return None


class Company:
    """While entered, tells ``told`` of each half second: start, end (monotonic ns), ns of CPU others used."""

    def __init__(self, told: Callable[[int, int, int], None]) -> None:
        self._told = told
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._by_pid: dict[int, int] = {}

    def __enter__(self) -> Company:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(2.0)

    def _watch(self) -> None:
        at, machine, ours = time.monotonic_ns(), machine_ns(), self._ours()
        while not self._ended.wait(EVERY_S):
            since, before, own = at, machine, ours
            at, machine, ours = time.monotonic_ns(), machine_ns(), self._ours()
            self._told(since, at, max(0, machine - before - (ours - own)))

    def _ours(self) -> int:
        """CPU time of this process and its children so far, those that ended included as last seen."""
        family = psutil.Process()
        with contextlib.suppress(psutil.Error):
            for one in (family, *family.children(recursive=True)):
                used = process_ns(one.pid)
                if used is not None:
                    self._by_pid[one.pid] = used
        return sum(self._by_pid.values())
