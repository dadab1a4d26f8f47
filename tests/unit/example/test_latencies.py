"""The example's own latencies: bounded memory, honest quantiles."""

from __future__ import annotations

import pytest

from ultrasound.latencies import Latencies

MS = 1_000_000


def test_quantiles_are_right_within_one_percent() -> None:
    latencies = Latencies(12 * MS)
    for number in range(1, 1001):
        latencies.add(number * MS)
    assert latencies.quantiles((0.5, 0.95, 0.99)) == pytest.approx([0.5, 0.95, 0.99], rel=0.01)


def test_slow_frames_are_counted_exactly() -> None:
    latencies = Latencies(12 * MS)
    for over in (-1, 0, 1, 2):
        latencies.add(12 * MS + over)
    assert latencies.slow == 2


def test_without_a_frame_there_are_no_quantiles() -> None:
    assert Latencies(MS).quantiles((0.5,)) is None


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    latencies = Latencies(MS)
    for number in range(200_000):
        latencies.add(number * 50_000)  # up to 10 s
    assert len(latencies._counts) < 2_500
