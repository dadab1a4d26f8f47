"""When Python's garbage collector ran, for how long, in which thread.

The collector tells its end by calling Python, and where another thread has asked for the interpreter lock
meanwhile, that call gives the lock away before it reads a clock: the end would be later by whatever the other
does with it (5 ms and more; CPython 3.11, Python/ceval.c, ``RESUME``). What the collecting thread computed
since the start ends with the collection.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

Collection = tuple[int, int, int, int]
"""(generation, thread, start, end), monotonic ns."""

FINE = time.get_clock_info("thread_time").resolution <= 1e-6
"""Whether CPU time is told by the microsecond, and not by the tick."""
SHORTEST_NS = 20_000
"""A collection shorter than this cannot make a frame slow; generation 0 runs hundreds of times a second."""


class CollectionProbe:
    """Appends every collection to a bounded list; what does not fit is counted in ``missed``."""

    def __init__(
        self,
        clock: Callable[[], int] = time.monotonic_ns,
        capacity: int = 4096,
        computed: Callable[[], int] | None = None,
    ) -> None:
        """``computed``: ns of CPU time of the calling thread; None for the system's, where ``clock`` is the
        system's too and it is told finely enough, else for no correction."""
        self._clock = clock
        own = time.thread_time_ns if clock is time.monotonic_ns and FINE else clock
        self._computed = computed or own
        self._computed_before = 0
        self._seen: deque[Collection] = deque()
        self._capacity = capacity
        self._started = 0
        self.missed = 0

    def install(self) -> None:
        """Start listening to the collector."""
        gc.callbacks.append(self._called)

    def remove(self) -> None:
        """Stop listening; harmless when not installed."""
        if self._called in gc.callbacks:
            gc.callbacks.remove(self._called)

    def _called(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._computed_before = self._computed()
            self._started = self._clock()
            return
        start, end = self._started, self._clock()
        if not start or end - start < SHORTEST_NS:
            return
        end = min(end, start + max(SHORTEST_NS, self._computed() - self._computed_before))
        if len(self._seen) >= self._capacity:
            self.missed += 1
        else:
            self._seen.append((info["generation"], threading.get_ident(), start, end))

    def collect(self) -> list[Collection] | None:
        """Collections since the last call; None where nobody listens: not installed, or thrown out again."""
        seen = self._seen
        if not seen and self._called not in gc.callbacks:
            return None
        return [seen.popleft() for _ in range(len(seen))]
