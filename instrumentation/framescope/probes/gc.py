"""When Python's garbage collector ran, for how long, in which thread."""

from __future__ import annotations

import gc
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

Collection = tuple[int, int, int, int]
"""(generation, thread, start, end), monotonic ns."""

SHORTEST_NS = 20_000
"""A collection shorter than this cannot make a frame slow; generation 0 runs hundreds of times a second."""


class CollectionProbe:
    """Appends every collection to a bounded list; what does not fit is counted in ``missed``."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns, capacity: int = 4096) -> None:
        self._clock = clock
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
            self._started = self._clock()
            return
        start, end = self._started, self._clock()
        if not start or end - start < SHORTEST_NS:
            return
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
