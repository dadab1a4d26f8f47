"""Reads probes on a thread of its own, so that one that hangs stops neither the agent nor the others.

There is one such thread, and it reads what is due one after the other. When a reading is not over in time
its thread is left behind with it and another goes on with the rest; should the reading come back after
all, what it gave is too old to use, and the probe takes its place in the schedule again.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from framescope.agent.totals import Labels

DEADLINE_NS: Final = 1_000_000_000
"""A reading that takes longer hangs. The dearest that works, all processes of a GPU, takes some ms."""
PATIENCE_S: Final = 0.05
"""How long the agent waits for readings to come in before it goes on without; they usually take 1 ms."""

Point = tuple[str, Labels, int, float]
"""One value of a metric: its name, labels, when it was read (monotonic ns), the value in its unit."""

R = TypeVar("R")


@dataclass(slots=True, eq=False)
class Scheduled(Generic[R]):
    """One probe of the table.

    ``read`` is called with the time (monotonic ns) on the poller's thread, not more often than every
    ``every_ns``. What it gives, unless that is None, goes to ``take`` on the agent's thread: it remembers
    what frames are judged by, answers with what is to be sent, and raises ``ValueError`` for nonsense.
    Both may raise anything: that is counted and the reading left out.
    """

    name: str
    every_ns: int
    read: Callable[[int], R | None]
    take: Callable[[R], Iterable[Point]]
    close: Callable[[], None] = lambda: None
    due_ns: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A reading that was tried: what it gave or the error it ended in, when it began and how long it took."""

    probe: Scheduled[Any]
    began_ns: int
    took_ns: int
    reading: Any = None
    error: Exception | None = None


class Poller:
    """The schedule. Not thread-safe: one thread calls ``turn``."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.hanging: dict[Scheduled[Any], int] = {}
        """Probes that do not answer, and since when (monotonic ns)."""
        self._clock = clock
        self._probes: list[Scheduled[Any]] = []
        self._asked: dict[Scheduled[Any], None] = {}
        self._since_ns = 0
        self._requests: queue.SimpleQueue[Scheduled[Any] | None] | None = None
        self._answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def add(self, probe: Scheduled[Any]) -> None:
        """Read this one too."""
        self._probes.append(probe)

    @property
    def probes(self) -> tuple[Scheduled[Any], ...]:
        """All of the schedule."""
        return tuple(self._probes)

    def turn(self, now_ns: int) -> list[Outcome]:
        """Have read what is due; answers what came in, and a ``TimeoutError`` for what does not."""
        waiting_already = bool(self._asked)
        if not waiting_already:
            self._since_ns = now_ns
        for probe in self._probes:
            if now_ns >= probe.due_ns and probe not in self._asked and probe not in self.hanging:
                probe.due_ns = now_ns + probe.every_ns
                self._ask(probe)
        outcomes = self._gather(now_ns, 0.0 if waiting_already else PATIENCE_S)
        if self._asked and now_ns - self._since_ns > DEADLINE_NS:
            outcomes += self._leave_behind(now_ns)
        return outcomes

    def close(self, timeout: float = 1.0) -> None:
        """Let go of every probe that answers; waits no longer than ``timeout`` seconds."""
        if self._requests is None or self._thread is None:
            _close(self._probes)
            return
        self._requests.put(None)
        self._thread.join(timeout)
        if not self._thread.is_alive():
            answering = [probe for probe in self._probes if probe not in self.hanging]
            last = threading.Thread(target=_close, args=(answering,), daemon=True)  # this may hang too
            last.start()
            last.join(timeout)

    def _ask(self, probe: Scheduled[Any]) -> None:
        self._asked[probe] = None
        requests = self._requests or self._start()
        requests.put(probe)

    def _start(self) -> queue.SimpleQueue[Scheduled[Any] | None]:
        self._requests = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=_read,
            args=(self._requests, self._answers, self._clock),
            name="framescope-probes",
            daemon=True,
        )
        self._thread.start()
        return self._requests

    def _gather(self, now_ns: int, patience: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        until = time.monotonic() + patience
        while self._asked or self.hanging:
            left = until - time.monotonic() if self._asked else 0.0
            try:
                outcome = self._answers.get(block=left > 0, timeout=max(left, 0.0))
            except queue.Empty:
                break
            if self.hanging.pop(outcome.probe, None) is None:
                self._asked.pop(outcome.probe, None)
                self._since_ns = now_ns  # the next in line is being read since then
                outcomes.append(outcome)
        return outcomes

    def _leave_behind(self, now_ns: int) -> list[Outcome]:
        """Give up the thread that hangs; another goes on with what waited behind it."""
        assert self._requests is not None
        probe, since_ns = next(iter(self._asked)), self._since_ns
        waiting = _drain(self._requests)
        self._since_ns = now_ns
        if probe in waiting:  # the thread has not come to it: the machine is busy, the probe does not hang
            for one in waiting:
                self._requests.put(one)
            return []
        # What is not found in its queue any more, the thread left behind still answers for.
        self._requests.put(None)
        self._start()
        for one in waiting:
            self._ask(one)
        del self._asked[probe]
        self.hanging[probe] = since_ns
        error = TimeoutError(f"{probe.name}: no reading within {DEADLINE_NS / 1e9:g} s")
        return [Outcome(probe, since_ns, now_ns - since_ns, error=error)]


def _drain(requests: queue.SimpleQueue[Scheduled[Any] | None]) -> list[Scheduled[Any]]:
    found: list[Scheduled[Any]] = []
    while True:
        try:
            probe = requests.get_nowait()
        except queue.Empty:
            return found
        if probe is not None:
            found.append(probe)


def _read(
    requests: queue.SimpleQueue[Scheduled[Any] | None],
    answers: queue.SimpleQueue[Outcome],
    clock: Callable[[], int],
) -> None:
    """What the thread does: read, answer, until told to end."""
    while (probe := requests.get()) is not None:
        began = clock()
        try:
            reading = probe.read(began)
        except Exception as error:
            answers.put(Outcome(probe, began, clock() - began, error=error))
        else:
            answers.put(Outcome(probe, began, clock() - began, reading))


def _close(probes: Iterable[Scheduled[Any]]) -> None:
    for probe in probes:
        with contextlib.suppress(Exception):
            probe.close()
