"""When an event loop's newest turn began: whatever runs in a turn was ready when it began.

A turn of asyncio's loops is one ``select`` and then the callbacks that were ready by then; what becomes
ready meanwhile waits for the next turn (``BaseEventLoop._run_once``, Python 3.11 to 3.14). So the time from
a turn's begin to a task's step is time that the task was ready and the loop ran others. The loop's selector
(on Windows: its proactor) gets a ``select`` that notes the time: 0.1 µs a turn. Loops without one, such as
uvloop's, cannot be watched.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any, Final


class Turns:
    """Of one loop. ``began_ns``: when the newest turn seen began, by ``clock``."""

    __slots__ = ("began_ns", "clock")

    def __init__(self, began_ns: int, clock: Callable[[], int]) -> None:
        self.began_ns = began_ns
        self.clock = clock


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
        events = plain(timeout)
        turns.began_ns = NEWEST.began_ns = clock()
        return events

    with contextlib.suppress(AttributeError, TypeError):  # one made in C takes no attributes
        selector.framescope_turns = turns  # type: ignore[union-attr]
        selector.select = select  # type: ignore[union-attr]
        return turns
    return None
