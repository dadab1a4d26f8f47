"""Histograms on the one grid, and series that cannot grow without bound."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from framescope import signals as sig
from framescope.agent.totals import MAX_SERIES, Totals

LABELS = ((sig.FRAME_PIPELINE, "p"),)


def test_a_value_on_a_bound_belongs_below_it_and_one_beyond_the_last_above_all():
    totals = Totals()
    for value in (0.0, sig.HISTOGRAM_BOUNDS[0], sig.HISTOGRAM_BOUNDS[1], 99.0):
        totals.observe(sig.FRAME_LATENCY, LABELS, value)
    counts = totals.distributions[sig.FRAME_LATENCY][LABELS].counts
    assert (counts[0], counts[1], counts[-1]) == (2, 1, 1)


@given(st.lists(st.floats(0, 100), max_size=50))
def test_every_value_is_in_the_bucket_whose_bounds_hold_it(values):
    totals = Totals()
    for value in values:
        totals.observe(sig.FRAME_LATENCY, LABELS, value)
    bounds = (-1.0, *sig.HISTOGRAM_BOUNDS, float("inf"))
    expected = [sum(low < value <= high for value in values) for low, high in itertools.pairwise(bounds)]
    known = totals.distributions.get(sig.FRAME_LATENCY, {}).get(LABELS)
    assert (known.counts if known else [0] * len(expected)) == expected


def test_the_budgets_own_histogram_is_dense_at_one():
    totals = Totals()
    totals.observe(sig.FRAME_BUDGET_USAGE, LABELS, 1.01)
    assert totals.distributions[sig.FRAME_BUDGET_USAGE][LABELS].bounds == sig.BUDGET_USAGE_BOUNDS


def test_series_beyond_the_limit_are_refused_and_counted():
    totals = Totals()
    for number in range(MAX_SERIES + 3):
        totals.add(sig.FRAME_COUNT, ((sig.FRAME_PIPELINE, str(number)),), 1)
    assert len(totals.counters[sig.FRAME_COUNT]) == MAX_SERIES
    assert totals.refused == 3
