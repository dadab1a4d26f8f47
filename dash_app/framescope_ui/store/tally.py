"""Counts of what the store received, stored and refused, by reason. Nothing is lost uncounted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping


class Tally:
    """Named counts, added to from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str, amount: int = 1) -> None:
        """Add ``amount`` to the count of that name."""
        if amount:
            with self._lock:
                self._counts[name] += amount

    def add_all(self, amounts: Mapping[str, int]) -> None:
        """Add several counts at once."""
        with self._lock:
            self._counts.update(amounts)

    def snapshot(self) -> dict[str, int]:
        """All counts so far, by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))
