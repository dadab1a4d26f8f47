"""Looks at what the host's threads wait in, in their frames and between two of them; opt-in.

A thread of the agent: 200 times a second it reads from the host's page which threads are in a frame now, or
were a moment ago, and of each of those its system call. All through a frame and not only once it overran: the
stage that was blocked is over by then. What it costs is the agent's, and is exported as a probe's cost.
"""

from __future__ import annotations

import logging
import mmap
import os
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from framescope.agent.waits import Sample
from framescope.probes.system_call import Call, SystemCallProbe
from framescope.recorder.open_frames import SLOT, THREADS, read_page

EVERY_S: Final = 0.005
NOT_ALLOWED: Final = "system_calls_not_allowed"
RETRY_NS: Final = 1_000_000_000
WARN_AT: Final = 5
"""Refusals before somebody is told, once."""


class CallReader(Protocol):
    """What reads a thread's system call; ``probes.system_call`` in earnest."""

    def read(self, thread: int) -> Call: ...
    def close(self) -> None: ...


class CallSampler:
    """``saw`` is called with each look. ``faults`` counts what went wrong, by what."""

    def __init__(
        self,
        pid: int,
        page: str,
        lock: tuple[int, int] | None,
        saw: Callable[[Sample], None],
        reader: CallReader | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.faults: dict[str, int] = {}
        self.took_ns = 0
        """What the last look at all threads cost."""
        self._page = page
        self._saw = saw
        self._reader: CallReader = reader or SystemCallProbe(pid, lock)
        self._clock = clock
        self._sleep = sleep
        self._not_before_ns = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start looking."""
        self._thread = threading.Thread(target=self._run, name="framescope-calls", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join(1.0)
        self._reader.close()

    def _run(self) -> None:
        try:
            descriptor = os.open(self._page, os.O_RDONLY | os.O_CLOEXEC)
            try:
                memory = mmap.mmap(descriptor, THREADS * SLOT.size, prot=mmap.PROT_READ)
            finally:
                os.close(descriptor)
        except PermissionError:  # a host that is not dumpable
            self._count(NOT_ALLOWED)
            _warn()
            return
        except (OSError, ValueError):
            self._count("system_calls_no_page")
            return
        with memory:
            while not self._stopping:
                self._sleep(EVERY_S)
                try:
                    self.look(memory[:])
                except Exception:
                    self._count("probe.system_calls")

    def look(self, page: bytes) -> None:
        """Look once at every thread that is in a frame or between two."""
        began = self._clock()
        if began < self._not_before_ns:
            return
        for kernel, python in read_page(page, began):
            try:
                call = self._reader.read(kernel)
            except PermissionError:
                self._refuse(began)
                return
            except OSError:
                continue  # the thread has ended
            else:
                self._saw(Sample(self._clock(), python, call.kind, call.text))
        self.took_ns = self._clock() - began

    def _refuse(self, now_ns: int) -> None:
        """Not allowed, or not yet: the host consents once it knows its agent. Try again in a while."""
        self._not_before_ns = now_ns + RETRY_NS
        self._count(NOT_ALLOWED)
        if self.faults[NOT_ALLOWED] == WARN_AT:
            _warn()

    def _count(self, what: str) -> None:
        self.faults[what] = self.faults.get(what, 0) + 1


def _warn() -> None:
    logging.getLogger("framescope").warning(
        "what the host's threads wait in cannot be read: permission denied. Run the host as the same user as "
        "its agent and dumpable, and where kernel.yama.ptrace_scope is 2 or 3, set it to 1 or 0; or switch "
        "emitter.probes.system_calls off"
    )
