"""The latencies of all frames in little memory, however long the example runs."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

_STEP = math.log(1.01)


class Latencies:
    """Counts latencies in steps of 1 %, and exactly how many were over ``budget_ns``.

    One thread adds; others may read.
    """

    def __init__(self, budget_ns: int) -> None:
        self._budget_ns = budget_ns
        self._counts: Counter[int] = Counter()
        self.slow = 0

    def add(self, latency_ns: int) -> None:
        """Count one frame's latency."""
        self._counts[round(math.log(max(latency_ns, 1)) / _STEP)] += 1
        self.slow += latency_ns > self._budget_ns

    def quantiles(self, shares: Sequence[float]) -> list[float] | None:
        """Latencies in s that these shares of the frames did not exceed, within 1 %; None without any."""
        counts = sorted(self._counts.copy().items())
        if not counts:
            return None
        upto = list(accumulate(count for _, count in counts))
        places = (bisect_left(upto, share * upto[-1]) for share in shares)
        return [math.exp(counts[place][0] * _STEP) / 1e9 for place in places]
