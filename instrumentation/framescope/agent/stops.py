"""When the host process was stopped as a whole: its threads' knocks then tell of no lock.

To its own threads a stop (SIGSTOP, a debugger, ``docker pause``) is a lock that somebody held. From outside
it shows: in the process's state, ten times a second, and where this process was stopped with it, in time
that passed here while its thread neither ran, nor waited for a core, nor was to wait for so long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from framescope.probes.scheduler import NOTHING, Reading

LONG_NS: Final = 500_000_000
"""A turn of the agent is a tenth of a second; what it does in one may take another two."""
REMEMBERED: Final = 64


class Stops:
    """The newest stretches in which the host stood still. All times monotonic ns."""

    def __init__(self, scheduler: Callable[[], Reading] | None = None) -> None:
        """``scheduler``: of the thread that calls ``turn``; None where that is one of the host's."""
        self._scheduler = scheduler
        self._found: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._ran_ns = 0
        self._since_ns: int | None = None
        self._turned: tuple[int, Reading] | None = None

    def saw(self, time_ns: int, stopped: bool) -> None:
        """The host's state, in the order of time. A stop began after it was last seen to run."""
        if stopped:
            self._since_ns = self._ran_ns if self._since_ns is None else self._since_ns
            return
        if self._since_ns is not None:
            self._found.append((self._since_ns, time_ns))
        self._ran_ns, self._since_ns = time_ns, None

    def turn(self, now_ns: int) -> None:
        """One more turn of this process's own."""
        if self._scheduler is None:
            return
        last, self._turned = self._turned, (now_ns, self._scheduler())
        before, after = last[1] if last is not None else NOTHING, self._turned[1]
        if last is None or before[1] < 0 or after[1] < 0:
            return
        unexplained = now_ns - last[0] - (after[0] - before[0]) - (after[1] - before[1])
        if unexplained > LONG_NS:
            self._found.append((last[0], now_ns))

    def within(self, start_ns: int, end_ns: int) -> bool:
        """Whether it stood still in any of this stretch, as far as is known by now."""
        if self._since_ns is not None and end_ns > self._since_ns:
            return True
        return any(since < end_ns and until > start_ns for since, until in self._found)
