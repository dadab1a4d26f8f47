"""Quantiles: exact ones are readings, those of histograms stay inside their bucket."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope.signals import HISTOGRAM_BOUNDS
from framescope_ui.backends.protocols import HistogramSeries
from framescope_ui.questions.quantiles import exact_quantile, histogram_quantile, merged_counts

latencies = st.lists(st.floats(0.0001, 1.9), min_size=1, max_size=300)
shares = st.floats(0, 1)


def counts_of(values: list[float]) -> list[float]:
    at = np.searchsorted(HISTOGRAM_BOUNDS, values, side="left")
    return np.bincount(at, minlength=len(HISTOGRAM_BOUNDS) + 1).astype(float).tolist()


def test_without_frames_there_is_no_quantile() -> None:
    assert exact_quantile(np.array([]), 0.5) is None
    assert histogram_quantile([1.0], [0, 0], 0.5) is None
    assert histogram_quantile([], [5], 0.5) is None


@given(latencies, shares)
def test_an_exact_quantile_is_one_of_the_readings(values: list[float], q: float) -> None:
    found = exact_quantile(np.array(values), q)
    assert found in values
    assert sum(v <= found for v in values) >= q * len(values) - 1e-9


@given(latencies, shares)
def test_a_histogram_quantile_lies_in_the_bucket_of_the_exact_one(values: list[float], q: float) -> None:
    bounds = (0.0, *HISTOGRAM_BOUNDS)
    exact = exact_quantile(np.array(values), q)
    found = histogram_quantile(HISTOGRAM_BOUNDS, counts_of(values), q)
    assert exact is not None
    assert found is not None
    bucket = int(np.searchsorted(HISTOGRAM_BOUNDS, exact, side="left"))
    assert bounds[bucket] <= found <= bounds[bucket + 1]


@given(latencies, shares, shares)
def test_a_higher_quantile_is_not_lower(values: list[float], a: float, b: float) -> None:
    low, high = sorted((a, b))
    counts = counts_of(values)
    first = histogram_quantile(HISTOGRAM_BOUNDS, counts, low)
    second = histogram_quantile(HISTOGRAM_BOUNDS, counts, high)
    assert first is not None
    assert second is not None
    assert first <= second


def test_above_the_last_bound_the_bound_is_all_that_is_known() -> None:
    assert histogram_quantile([0.01, 0.02], [0, 0, 5], 0.5) == 0.02


def test_counts_that_do_not_fit_the_bounds_are_an_error() -> None:
    with pytest.raises(ValueError, match="counts"):
        histogram_quantile([0.01, 0.02], [1, 2], 0.5)


def test_histograms_on_other_bounds_are_not_summed() -> None:
    one = HistogramSeries({}, [1.0], [10, 20], [[1, 0], [2, 0]], [0, 0])
    other = HistogramSeries({}, [2.0], [20], [[100, 0]], [0])
    assert merged_counts([one, other], 0) == ((1.0,), [3, 0])
    assert merged_counts([one], 10) == ((1.0,), [2, 0])
