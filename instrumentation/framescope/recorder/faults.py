"""Faults inside the recorder: counted, logged once a minute at most, never raised into the host.

Under test (``FRAMESCOPE_RAISE=1``) they are raised again, so that none hides.
"""

from __future__ import annotations

import logging
import os
import threading
import time

_LOG = logging.getLogger("framescope")
_QUIET_NS = 60 * 1_000_000_000


class Faults:
    """Counts by place. ``note`` is called inside ``except`` and swallows what happened."""

    def __init__(self, raising: bool | None = None) -> None:
        self.counts: dict[str, int] = {}
        self._logged: dict[str, int] = {}
        self._lock = threading.Lock()
        self._raising = os.environ.get("FRAMESCOPE_RAISE") == "1" if raising is None else raising

    def note(self, where: str) -> None:
        """Count a fault at ``where`` and log it, at most once a minute; raise it again under test."""
        now = time.monotonic_ns()
        with self._lock:
            self.counts[where] = self.counts.get(where, 0) + 1
            due = now - self._logged.get(where, -_QUIET_NS) >= _QUIET_NS
            if due:
                self._logged[where] = now
        if due:
            _LOG.warning("framescope: a fault in %s; the host's frame goes on", where, exc_info=True)
        if self._raising:
            raise  # always called from an except block
