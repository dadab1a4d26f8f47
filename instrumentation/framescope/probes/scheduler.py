"""What the scheduler did to the calling thread: CPU time, run-queue time, block operations.

Read at a frame's start, end and thread handovers, so it must cost about a microsecond and must not
release the interpreter lock: a plain ``os.pread`` here let a busy Python thread in between and moved
the p95 of a 0.9 ms section to 6.2 ms; through ``ctypes.PyDLL`` it stayed at 0.95 ms.

The run-queue time is read only where the thread has been switched out since the reading before: it
cannot have waited for a core without that. Measured on one machine: 1.3 µs a reading without a
switch, 3.0 µs with one, of which the read of schedstat is 1.3.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from framescope.compiled import core

Reading = tuple[int, int, int]
"""(CPU ns, run-queue ns, block operations) of the calling thread so far; −1 is unknown."""

NOTHING: Final[Reading] = (-1, -1, -1)
_BUFFER = 96  # schedstat is three decimal integers of at most 20 digits


class _ThreadStat:
    """One thread's open schedstat descriptor, closed when the thread ends."""

    __slots__ = ("buffer", "descriptor", "request", "runqueue", "switches")

    def __init__(self) -> None:
        self.descriptor = -1
        self.descriptor = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        self.buffer = ctypes.create_string_buffer(_BUFFER)
        # As ctypes wants them: converting four integers at each call costs 0.3 µs.
        self.request = (
            ctypes.c_int(self.descriptor),
            ctypes.c_void_p(ctypes.addressof(self.buffer)),
            ctypes.c_size_t(_BUFFER),
            ctypes.c_int64(0),
        )
        self.runqueue = -1
        self.switches = -1

    def parse(self, length: int) -> int:
        """The run-queue time in the buffer, in ns; −1 where it holds none."""
        if length > 0:
            with contextlib.suppress(ValueError, IndexError):
                return int(self.buffer.raw[:length].split(b" ", 2)[1])
        # Somebody closed our descriptor, and perhaps another file has its number now: leave it alone.
        self.descriptor, self.request = -1, (ctypes.c_int(-1), *self.request[1:])
        return -1

    def __del__(self) -> None:
        # A host that became a daemon has closed all files, ours too; our number may be one of its own by now.
        with contextlib.suppress(OSError):
            if self.descriptor >= 0 and "/schedstat" in os.readlink(f"/proc/self/fd/{self.descriptor}"):  # noqa: PTH115
                os.close(self.descriptor)


nothing: Final[Callable[[], Reading]] = itertools.repeat(NOTHING).__next__
"""The reader of a machine, or a setting, that tells nothing. In C: it is called twice a frame."""


def _cpu_only() -> Reading:
    return (time.thread_time_ns(), -1, -1)


def reader() -> Callable[[], Reading]:
    """The fullest reader this machine allows; decided once, so that a reading has no branch for it."""
    if not sys.platform.startswith("linux"):
        # Windows counts a thread's CPU time in ticks of 15.6 ms: 0, or more than the frame took.
        return nothing if sys.platform == "win32" else _cpu_only
    import resource

    if core is not None:
        read_in_c: Callable[[], Reading] = core.read_scheduler
        return read_in_c
    try:
        pread = ctypes.PyDLL(None).pread  # PyDLL: the call keeps the interpreter lock
        pread.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64]
        pread.restype = ctypes.c_ssize_t
        _ThreadStat()
    except (OSError, AttributeError):
        return _cpu_only

    local = threading.local()
    thread_time_ns = time.thread_time_ns
    getrusage, thread_scope = resource.getrusage, resource.RUSAGE_THREAD

    def read() -> Reading:
        try:
            stat: _ThreadStat = local.stat
        except AttributeError:
            try:
                stat = local.stat = _ThreadStat()
            except OSError:  # the host is out of descriptors: that is no reason to disturb it
                return _cpu_only()
        usage = getrusage(thread_scope)
        switches = usage.ru_nvcsw + usage.ru_nivcsw
        if switches != stat.switches:
            # A switch between the two calls is in this run-queue time already, and seen by the next reading.
            stat.switches = switches
            stat.runqueue = stat.parse(pread(*stat.request))
        # The first schedstat field can be 1.9 ms stale, so CPU time is the thread's own clock.
        return (thread_time_ns(), stat.runqueue, usage.ru_inblock + usage.ru_oublock)

    return read
