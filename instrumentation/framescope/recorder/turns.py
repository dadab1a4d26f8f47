"""When an event loop's newest turn began, and since when the loop has been busy without a break.

A turn of asyncio's loops is one ``select`` and then the callbacks that were ready by then; what becomes
ready meanwhile waits for the next turn (``BaseEventLoop._run_once``, Python 3.11 to 3.14), and a task whose
timer or socket is ready takes one turn more: the first only resolves what it awaits. A loop that had nothing
to do waits in ``select``. So what a task lost to its loop lies between the end of the loop's last such wait
and the task's step. The loop's selector (on Windows: its proactor) gets a ``select`` that notes the times:
0.4 µs a turn. Loops without one, such as uvloop's, cannot be watched.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable
from typing import Any, Final

IDLE_NS: Final = 100_000
"""A ``select`` that took longer waited for something; one that finds its events there takes 2–20 µs."""
STEP_S: Final = 1e-3
"""``select`` waits in whole milliseconds, rounded up (``EpollSelector``, ``PollSelector``)."""


class Turns:
    """Of one loop, by ``clock``: when the newest turn seen began, since when it has been busy, and for how
    long since then it was late: still in a ``select`` whose time was over."""

    __slots__ = ("began_ns", "busy_since_ns", "clock", "late_ns")

    def __init__(self, began_ns: int, clock: Callable[[], int]) -> None:
        self.began_ns = self.busy_since_ns = began_ns
        self.late_ns = 0
        self.clock = clock

    def turned(self, since_ns: int, timeout: float | None, found: bool) -> None:
        """A ``select`` returned that was called at ``since_ns``; ``found``: with something to do.

        One without anything to do came back because its time was over: from then on the loop was due, and
        what it took beyond is a wait for a core or for the interpreter lock. So is all of one that was not to
        wait at all.
        """
        self.began_ns = now = self.clock()
        if now - since_ns <= IDLE_NS:
            return
        if timeout is not None and timeout <= 0:
            self.late_ns += now - since_ns
            return
        overdue = 0
        if timeout is not None and not found:
            overdue = max(0, now - since_ns - math.ceil(timeout / STEP_S) * 1_000_000)
        self.busy_since_ns = now - overdue
        self.late_ns = overdue


NEWEST: Final = Turns(-1, time.monotonic_ns)
"""Of any loop that is watched: what began later than this was suspended by none of them."""


def turned_since(at_ns: int, clock: Callable[[], int]) -> bool:
    """Whether the loop that runs on this thread, if any does, began a turn since: what was under way then has
    been suspended, and others have run."""
    turns = of_running_loop(clock)
    return turns is not None and turns.began_ns > at_ns


def of_running_loop(clock: Callable[[], int]) -> Turns | None:
    """The turns of the event loop that runs on this thread, watched from now on; None where it cannot be."""
    asyncio: Any = sys.modules.get("asyncio")  # not imported for those who have no use for it
    running = getattr(asyncio, "_get_running_loop", None)  # None while it is being imported
    selector = getattr(running(), "_selector", None) if running is not None else None
    known = getattr(selector, "framescope_turns", None)
    if isinstance(known, Turns):
        return known if known.clock == clock else None
    plain = getattr(selector, "select", None)
    if plain is None:
        return None
    # This very turn began before, nobody saw when: what waits in it waits from now on, at least.
    turns = Turns(clock(), clock)

    def select(timeout: float | None = None) -> Any:
        called = clock()
        events = plain(timeout)
        turns.turned(called, timeout, bool(events))
        NEWEST.began_ns = turns.began_ns
        return events

    with contextlib.suppress(AttributeError, TypeError):  # one made in C takes no attributes
        selector.framescope_turns = turns  # type: ignore[union-attr]
        selector.select = select  # type: ignore[union-attr]
        return turns
    return None
