"""Faults inside the recorder: counted, logged once a minute at most, never raised into the host.

Under test (``FRAMESCOPE_RAISE=1``) they are raised again, so that none hides.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from traceback import TracebackException
from typing import Final, TypeVar

_LOG = logging.getLogger("framescope")
QUIET_NS = 60 * 1_000_000_000
Number = TypeVar("Number", int, float)


def count(counts: dict[str, Number], reason: str, amount: Number = 1) -> None:
    """``amount`` more of ``reason``, from any thread or signal handler, without a lock that one of them might
    hold.

    CPython switches threads and runs signal handlers at calls, loops and function starts only: there is
    none between reading the number and writing it. Where threads run at once, on a free-threaded build, they
    take turns; a turn takes no time, so one that does not come was taken along into a forked child.
    """
    if _AT_ONCE is None:
        _add(counts, reason, amount)
        return
    held = _AT_ONCE.acquire(timeout=TURN_S)
    try:
        _add(counts, reason, amount)
    finally:
        if held:
            _AT_ONCE.release()


TURN_S: Final = 0.01
_AT_ONCE: Final = threading.RLock() if sysconfig.get_config_var("Py_GIL_DISABLED") else None
"""A signal handler may count in the middle of its own thread's turn: the lock lets it."""


def _add(counts: dict[str, Number], reason: str, amount: Number) -> None:
    try:
        counts[reason] += amount
    except KeyError:
        counts.setdefault(reason, 0)
        counts[reason] += amount


def hosts_own(error: BaseException) -> bool:
    """Whether this came from a signal handler of the host's: a time limit, perhaps, that must pass.

    Asked only where no other code of the host's is called. Then an exception raised by any function that is
    not framescope's can have come no other way.
    """
    if not isinstance(error, Exception):
        return True
    if isinstance(error, (MemoryError, RecursionError)):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and not str(trace.tb_frame.f_globals.get("__name__")).startswith("framescope")


class Faults:
    """Counts by place. ``note`` is called inside ``except`` and swallows what happened."""

    def __init__(self, raising: bool | None = None, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.counts: dict[str, int] = {}
        self._clock = clock
        self._untold: dict[str, TracebackException] = {}
        self._told_ns = -QUIET_NS
        self._raising = os.environ.get("FRAMESCOPE_RAISE") == "1" if raising is None else raising

    def note_own(self, where: str) -> None:
        """The same where nobody's code but framescope's is called: the host's own exception passes."""
        error = sys.exc_info()[1]
        if error is not None and hosts_own(error):
            raise  # always called from an except block
        self.note(where)

    def note(self, where: str) -> None:
        """Count a fault at ``where`` and remember it for ``tell``; raise it again under test.

        It is not logged here: a log handler of the host's may block, and this is the host's frame.
        """
        count(self.counts, where)
        error = sys.exc_info()[1]
        if error is not None and where not in self._untold:
            with contextlib.suppress(Exception):
                # No locals are held, and no source is read yet.
                self._untold[where] = TracebackException.from_exception(error, lookup_lines=False)
        if self._raising:
            raise  # always called from an except block

    def tell(self) -> None:
        """Log what is new, once a minute at most; the shipper's thread calls this."""
        now = self._clock()
        if not self._untold or now - self._told_ns < QUIET_NS:
            return
        self._told_ns = now
        untold, self._untold = self._untold, {}
        places = ", ".join(f"{where} ({self.counts[where]})" for where in untold)
        first = "".join(next(iter(untold.values())).format())
        _LOG.warning("framescope: faults in %s; the host's frames go on. The first:\n%s", places, first)
