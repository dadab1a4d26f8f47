"""When the interpreter lock was held against others: a thread that knocks and times the answer.

Waiting on nothing and taking the lock again is a knock: how much later than due it comes back, less what
it waited for a core, it waited for the lock. A knock tells of the lock, not of any one thread; what of it
was a frame's is the agent's to say (``agent.waits``).

It knocks only where there is something to find. Each turn of the shipper is a knock anyway, ten a second.
When one of those is late, or frames were off the CPU for longer than usual, it knocks every 8 ms for half
a second; where that finds the lock free, it stays away, longer each time. `gilknocker` (0.4.2, wheels for
3.11 to 3.14) knocks from Rust and costs as little, but tells one ratio over a stretch of time: not when,
so nothing about one frame.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from framescope.probes.scheduler import NOTHING, Reading, nothing

EVERY_NS: Final = 8_000_000
"""Between knocks while it looks closely. Each costs 0.06 ms of CPU, most of it for code that has gone cold
meanwhile: 0.7 % of a core for as long as the lock is found held, 1.1 % at 5 ms."""
LATE_NS: Final = 4_000_000
"""A knock that waited longer than this found the lock held for long: Python's own work gives it up after 5 ms
when asked, and rarely keeps it for most of that."""
CLOSELY_NS: Final = 500_000_000
FIRST_PAUSE_NS: Final = 500_000_000
LAST_PAUSE_NS: Final = 16_000_000_000
HELD: Final = 4096
"""Knocks held for the shipper: two seconds' worth at ten times the rate."""
UNKNOWN: Final = -1
STEP_NS: Final = 20_000
BLOCKED_NS: Final = 1_000_000

Knock = tuple[int, int, int, int]
"""(when due, when answered, ns of it waited for the lock, ns of that in which this process was on the CPU, by
all its threads, at most: what it used since the knock set out), monotonic ns. A lock that is held while
nobody runs is held by a thread that gets no core, or by one that waits without giving it up."""


def there_is_one() -> bool:
    """Whether this interpreter has the lock: a free-threaded build has none, or had it brought back."""
    enabled: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    return True if enabled is None else enabled()


class Rhythm:
    """When to knock closely: after trouble, and less and less often while the lock is not to blame."""

    def __init__(self) -> None:
        self.until_ns = 0
        self._quiet_until_ns = 0
        self._pause_ns = FIRST_PAUSE_NS
        self._found = False

    def trouble(self, now_ns: int) -> bool:
        """Something was late; answers whether to look closely from now on."""
        if now_ns < self.until_ns:
            return False  # it looks already
        if now_ns < self._quiet_until_ns:
            return False
        self.until_ns = now_ns + CLOSELY_NS
        self._found = False
        return True

    def answered(self, waited_ns: int, answered_ns: int) -> bool:
        """A knock while looking closely; answers whether to go on."""
        if waited_ns > LATE_NS:
            self._found = True
            self.until_ns = answered_ns + CLOSELY_NS
        if answered_ns < self.until_ns:
            return True
        self._pause_ns = FIRST_PAUSE_NS if self._found else min(2 * self._pause_ns, LAST_PAUSE_NS)
        self._quiet_until_ns = answered_ns + (0 if self._found else self._pause_ns)
        return False


class LockProbe:
    """Knocks at the interpreter lock; ``missed`` counts the knocks that nobody took in time."""

    def __init__(
        self,
        scheduler: Callable[[], Reading] = nothing,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
        failed: Callable[[str], None] = lambda where: None,
        process: Callable[[], int] = time.process_time_ns,
    ) -> None:
        self.missed = 0
        self._process = process
        self._used_before_ns = 0
        self._failed = failed
        self._scheduler = scheduler
        self._clock = clock
        self._sleep = sleep
        self._rhythm = Rhythm()
        self._knocks: deque[Knock] = deque()
        self._usual_ns = UNKNOWN
        self._seen: Reading = NOTHING
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def install(self) -> None:
        """Start the thread; it sleeps until there is something to find.

        Where the run queue cannot be read a late answer may as well be the machine's: nobody knocks.
        """
        if self._thread is None and there_is_one() and self._scheduler()[1] >= 0:
            self._thread = threading.Thread(target=self._run, name="framescope-lock", daemon=True)
            self._thread.start()

    def remove(self) -> None:
        """End the thread; harmless when there is none."""
        self._stopping = True
        self._wanted.set()

    def sets_out(self, seconds: float) -> int:
        """The calling thread is about to wait this long for something else; the answer is for ``is_back``."""
        now = self._clock()
        self._used_before_ns = self._process()
        return now + round(seconds * 1e9)

    def is_back(self, due_ns: int) -> None:
        """It waited. One that comes back late has knocked at a lock that was held, or waited for a core."""
        now = self._clock()
        if self._thread is None or now - due_ns <= LATE_NS:
            return  # nothing to tell; the run queue is not read for it, which would cost 0.03 ms a turn
        before, self._seen = self._seen, self._scheduler()
        if (
            0 <= before[1] <= self._seen[1] < before[1] + now - due_ns
        ):  # what was waited for a core since is less
            self._answered(due_ns, now, before, self._seen, self._used_before_ns)
        self._look_closely(now)

    def look_at(self, frames: Sequence[tuple[Any, ...]]) -> None:
        """Frames that were recorded (``FrameRecord``'s fields): was any off the CPU for longer than usual, or
        begun later after it was due?

        Usual is what three frames in four stay below: it goes up by three steps where one does not, down by
        one where it does. 4 µs for ten frames; sorting them took 40, ten times a second.
        """
        if self._thread is None or not frames:
            return
        usual = self._usual_ns
        most = 0
        for frame in frames:
            off = _off_the_cpu(frame[11]) + frame[4] - frame[3]
            if off > most:
                most = off
            usual = off if usual < 0 else usual + 3 * STEP_NS if off > usual else max(0, usual - STEP_NS)
        late = most > max(0, self._usual_ns) + BLOCKED_NS and self._usual_ns >= 0
        self._usual_ns = usual
        if late:
            self._look_closely(self._clock())

    def take(self) -> list[Knock] | None:
        """The knocks since the last call, oldest first; None where there is a lock and nobody knocks."""
        if self._thread is None and there_is_one():
            return None
        knocks = self._knocks
        return [knocks.popleft() for _ in range(len(knocks))]

    def _look_closely(self, now_ns: int) -> None:
        if self._rhythm.trouble(now_ns):
            self._wanted.set()

    def _run(self) -> None:
        while not self._stopping:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._knock()
            except Exception:
                self._failed("lock_probe")

    def _knock(self) -> None:
        before = self._scheduler()
        going_on = True
        while going_on and not self._stopping:
            due, used_before = self._clock() + EVERY_NS, self._process()
            self._sleep(EVERY_NS / 1e9)
            now, after = self._clock(), self._scheduler()
            going_on = self._rhythm.answered(self._answered(due, now, before, after, used_before), now)
            before = after

    def _answered(
        self, due_ns: int, now_ns: int, before: Reading, after: Reading, used_before_ns: int
    ) -> int:
        ready = max(0, after[1] - before[1]) if before[1] >= 0 and after[1] >= 0 else 0
        waited = max(0, now_ns - due_ns - ready)
        if len(self._knocks) < HELD:
            # All of it may have been while the knock waited. At the mean rate since it set out, a quarter of
            # the waits for a holder that had its core all the while were given to want of a core; so, none,
            # and of those beside twelve processes that want every core still two thirds.
            ran = max(0, self._process() - used_before_ns)
            self._knocks.append((due_ns, now_ns, waited, min(waited, ran)))
        else:
            self.missed += 1
        return waited


def _off_the_cpu(segments: Sequence[tuple[int, int, Reading, int, Reading, int]]) -> int:
    """ns these stretches were neither running nor ready to; 0 where that was not read."""
    off = 0
    for _, start, before, end, after, _ in segments:
        if before[1] >= 0 and after[1] >= 0:
            off += max(0, end - start - (after[0] - before[0]) - (after[1] - before[1]))
    return off
