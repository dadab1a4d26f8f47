"""The gap between the rates and where it is going; how latency was spread."""

from __future__ import annotations

import numpy as np
import pytest
from scene import NOW_NS, NS, PIPELINE, SERVICE, scene

from framescope.signals import HISTOGRAM_BOUNDS
from framescope_ui.backends.protocols import HistogramSeries
from framescope_ui.questions import sync
from framescope_ui.questions.heat import MOST_COLUMNS, heat_of_frames, heat_of_histograms
from framescope_ui.questions.latencies import unpacked
from framescope_ui.questions.live import live
from framescope_ui.questions.thresholds import Thresholds

JUMPS = np.random.default_rng(8).integers(-1, 2, 60).tolist()
"""Rates of whole frames jump by one, to and fro."""


def test_a_gap_is_known_where_both_rates_are() -> None:
    assert sync.gap([60.0, None, 61.0], [59.0, 60.0, None]) == [1.0, None, None]


def test_a_gap_that_only_jumps_is_steady() -> None:
    assert sync.trend([float(j) for j in JUMPS], 1.0) == "steady"


@pytest.mark.parametrize(("slope", "told"), [(0.1, "growing"), (-0.1, "shrinking"), (0.0001, "steady")])
def test_a_gap_that_goes_somewhere_says_where(slope: float, told: str) -> None:
    assert sync.trend([5.0 + slope * i + jump / 4 for i, jump in enumerate(JUMPS)], 1.0) == told


def test_of_too_little_no_trend_is_told() -> None:
    assert sync.trend([1.0] * 5, 1.0) is None
    assert sync.trend([None] * 40 + [1.0] * 20, 1.0) is None


def test_a_steady_pipeline_is_hardly_ever_called_growing() -> None:
    drawn = np.random.default_rng(21)
    wrong = sum(sync.trend(list(drawn.integers(-1, 2, 60)), 1.0) != "steady" for _ in range(400))
    assert wrong <= 8


async def test_every_finished_frame_is_in_the_heat_map_once() -> None:
    batches = await scene(60).stores.traces.every_frame(SERVICE, PIPELINE, NOW_NS - 60 * NS, NOW_NS)
    frames = unpacked(batches)
    start_ns = NOW_NS - 120 * NS
    heat = heat_of_frames(frames, start_ns, NOW_NS)
    assert heat is not None
    counted = sum(n or 0 for row in heat.counts for n in row)
    assert counted == int((frames.finished & (frames.end_ns >= start_ns) & (frames.end_ns < NOW_NS)).sum())
    assert len(heat.counts) == len(heat.bounds) - 1
    assert len(heat.counts[0]) <= MOST_COLUMNS + 1
    blank = [all(row[c] is None for row in heat.counts) for c in range(len(heat.counts[0]))]
    assert any(blank), "the minute before the frames is unknown, not 0"


def test_histograms_make_the_same_map_as_the_frames_they_counted() -> None:
    counts = [0] * (len(HISTOGRAM_BOUNDS) + 1)
    counts[15], counts[18] = 55, 5
    one = HistogramSeries({}, HISTOGRAM_BOUNDS, [10 * NS, 20 * NS], [counts, counts], [1.0, 1.0])
    heat = heat_of_histograms([one], 0, 60 * NS)
    assert heat is not None
    assert heat.bounds[0] == HISTOGRAM_BOUNDS[14]
    assert heat.bounds[-1] == HISTOGRAM_BOUNDS[18]
    assert sum(n or 0 for row in heat.counts for n in row) == pytest.approx(120)
    assert heat.counts[0][:20] == [pytest.approx(5.5)] * 20, "ten seconds of a step lie in ten columns"
    assert heat.counts[0][20] is None


def test_histograms_on_other_bounds_are_not_added() -> None:
    ours = HistogramSeries({}, (1.0, 2.0), [10 * NS], [[0, 3, 0]], [1.0])
    other = HistogramSeries({}, (5.0,), [10 * NS], [[7, 7]], [1.0])
    heat = heat_of_histograms([ours, other], 0, 60 * NS)
    assert heat is not None
    assert sum(n or 0 for row in heat.counts for n in row) == pytest.approx(3)


async def test_the_snapshot_tells_gap_trend_limits_and_spread() -> None:
    seen = await live(scene(60).stores, SERVICE, PIPELINE, NOW_NS, Thresholds())
    assert seen.sync_gap == pytest.approx((seen.fps_in or 0) - (seen.fps_out or 0))
    assert seen.heat is not None
    assert seen.limits["gpu_utilization"] == (0.90, 0.95)
    assert seen.missed_per_minute is None, "the source gives no numbers"
