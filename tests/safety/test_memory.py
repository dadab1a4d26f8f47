"""Frames leave nothing behind: the short form of bench/memory.py."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from bench.memory import sampled


@pytest.mark.timeout(600)  # under tracemalloc, at a load of 15, it took over two minutes
def test_twenty_thousand_frames_in_accelerated_time_leave_nothing_behind() -> None:
    """Recorder, hand-over and agent; Python's own count of what they hold, at each hundredth of the way."""

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        seen = list(sampled(20_000, held, samples=20))
    finally:
        tracemalloc.stop()
    # At first what is remembered fills up: baselines, the newest frames, known series.
    warm, later = seen[7:13], seen[13:]
    assert max(later) < max(warm) + 300_000
