"""The numbers of Correlate against laws whose truth is known, and against statsmodels where it has them."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from statsmodels.regression.linear_model import yule_walker
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from framescope_ui.statistics.contrast import WINDOWS, contrast, median, ranks
from framescope_ui.statistics.discoveries import adjusted
from framescope_ui.statistics.lag import ORDER, _prediction, lags
from framescope_ui.statistics.long_run import cosines, independent, sum_variance
from framescope_ui.statistics.risk import Windows, changed_often, proportions, risk_ratio, wilson

SIZE = 1000


def drifting(random: np.random.Generator, size: int, keep: float) -> np.ndarray:
    """Noise of variance 1 that keeps this share of itself from step to step."""
    found = np.empty(size)
    last = random.standard_normal()
    for at, new in enumerate(random.standard_normal(size) * np.sqrt(1 - keep * keep)):
        last = keep * last + new
        found[at] = last
    return found


def counted(random: np.random.Generator, under: np.ndarray, chance: np.ndarray, frames: int = 100) -> Windows:
    n = np.full(len(under), float(frames))
    y = random.binomial(frames, chance).astype(float)
    return Windows(n * under, y * under, n * ~under, y * ~under)


# -- the sum of what hangs together ----------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.0, 0.8, 0.95])
def test_the_variance_of_a_sum_is_that_of_many_sums(keep: float) -> None:
    random = np.random.default_rng(1)
    rows = np.stack([drifting(random, SIZE, keep) for _ in range(300)])
    variance, _ = sum_variance(cosines(rows), SIZE)
    assert np.median(variance) == pytest.approx(rows.sum(axis=1).var(), rel=0.35)


def test_what_changed_once_is_worth_a_few_values_and_what_never_repeats_many() -> None:
    step = np.where(np.arange(SIZE) < 400, 0.6, -0.4)
    noise = np.random.default_rng(2).standard_normal(SIZE)
    assert independent(step, SIZE * float((step**2).sum())) < 5
    assert independent(noise, SIZE * float((noise**2).sum())) > 100


def test_too_short_a_series_is_refused_and_not_guessed() -> None:
    with pytest.raises(ValueError, match="at least 40"):
        sum_variance(cosines(np.zeros(20)), 20)


# -- risk ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("truth", [1.0, 4.0])
def test_the_interval_of_the_ratio_holds_the_truth_though_everything_hangs_together(truth: float) -> None:
    """60 runs of it here; 500 of each law are in bench/correlate.py."""
    random = np.random.default_rng(3)
    held = 0
    for _ in range(60):
        under = drifting(random, SIZE, 0.9) > 1
        storm = np.exp(0.7 * drifting(random, SIZE, 0.9) - 0.245)
        found = risk_ratio(counted(random, under, np.clip(0.01 * np.where(under, truth, 1) * storm, 0, 1)))
        assert found is not None
        held += found.low <= truth <= found.high
    assert held >= 54


def test_frames_of_one_storm_do_not_count_as_independent() -> None:
    random = np.random.default_rng(4)
    under = drifting(random, SIZE, 0.9) > 1
    calm = risk_ratio(counted(random, under, np.full(SIZE, 0.02)))
    storm = risk_ratio(
        counted(random, under, np.clip(0.02 * np.exp(drifting(random, SIZE, 0.95) - 0.5), 0, 1))
    )
    assert calm is not None and storm is not None
    assert np.log(storm.high / storm.low) > 1.5 * np.log(calm.high / calm.low)


def test_time_without_a_pipeline_makes_a_finding_no_less_sure() -> None:
    random = np.random.default_rng(8)
    under = drifting(random, SIZE, 0.9) > 1
    alone = counted(random, under, np.where(under, 0.1, 0.01))
    ran = (alone.frames_under, alone.slow_under, alone.frames_else, alone.slow_else)
    late = Windows(*(np.concatenate([np.zeros(5 * SIZE), one]) for one in ran))
    paused = Windows(*(np.insert(one, SIZE // 2, np.zeros(SIZE)) for one in ran))
    assert risk_ratio(late) == risk_ratio(paused) == risk_ratio(alone)
    assert changed_often(late) and changed_often(paused)


def test_the_ratio_is_the_ratio_and_the_counts_are_the_counts() -> None:
    under = np.arange(SIZE) % 2 == 0
    n, y = np.full(SIZE, 10.0), np.where(under, 3.0, 1.0)
    found = risk_ratio(Windows(n * under, y * under, n * ~under, y * ~under))
    assert found is not None
    assert found.estimate == pytest.approx(3.0)
    assert (found.frames_under, found.slow_under, found.frames_else, found.slow_else) == (
        5000,
        1500,
        5000,
        500,
    )
    assert found.low < 3.0 < found.high and found.p < 1e-6


def test_with_no_slow_frame_without_the_condition_the_ratio_has_no_upper_end() -> None:
    random = np.random.default_rng(5)
    under = drifting(random, SIZE, 0.5) > 0
    found = risk_ratio(counted(random, under, np.where(under, 0.02, 0.0)))
    assert found is not None
    assert found.estimate is None and found.low > 5 and found.high > 100


def test_too_few_slow_frames_give_no_ratio() -> None:
    under = np.arange(SIZE) % 2 == 0
    n = np.ones(SIZE)
    y = np.zeros(SIZE)
    y[:9] = 1
    assert risk_ratio(Windows(n * under, y * under, n * ~under, y * ~under)) is None


def test_a_condition_that_came_once_is_not_held_for_a_signal() -> None:
    n = np.full(SIZE, 10.0)
    once, often = np.arange(SIZE) > 600, np.arange(SIZE) // 7 % 2 == 0
    assert not changed_often(Windows(n * once, n * 0, n * ~once, n * 0))
    assert changed_often(Windows(n * often, n * 0, n * ~often, n * 0))


def test_wilsons_interval_is_that_of_statsmodels() -> None:
    for slow, frames in ((0, 50), (3, 50), (25, 50), (50, 50)):
        low, high = proportion_confint(slow, frames, method="wilson")
        assert wilson(slow / frames, frames, 1.959964) == pytest.approx((low, high), abs=1e-6)


def test_a_share_is_worth_fewer_frames_where_they_hang_together() -> None:
    random = np.random.default_rng(6)
    frames = np.full((2, SIZE), 50.0)
    chance = np.clip(0.05 * np.exp(drifting(random, SIZE, 0.97) - 0.5), 0, 1)
    slow = np.stack([random.binomial(50, 0.05, SIZE), random.binomial(50, chance)]).astype(float)
    alone, together = proportions(frames, slow)
    assert alone.effective > 10_000 > 3000 > together.effective
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert alone.low < alone.share < alone.high


# -- lag -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", [0, 3, -4])
def test_the_lag_that_was_put_in_comes_out(behind: int) -> None:
    random = np.random.default_rng(7)
    signal = drifting(random, 6000, 0.9)
    slow = np.roll(signal, behind) + random.standard_normal(6000)
    found = lags(signal, slow)
    assert found is not None and found.peak == behind
    assert found.peak_low <= behind <= found.peak_high


def test_without_a_connection_no_lag_is_claimed_though_both_drift() -> None:
    random = np.random.default_rng(8)
    claimed = 0
    for _ in range(40):
        found = lags(drifting(random, 3000, 0.98), drifting(random, 3000, 0.98))
        claimed += found is not None and found.peak is not None
    assert claimed <= 4


def test_what_is_not_known_takes_no_part() -> None:
    random = np.random.default_rng(9)
    signal = drifting(random, 6000, 0.9)
    slow = np.roll(signal, 2) + random.standard_normal(6000)
    signal[1000:1400] = np.nan
    found = lags(signal, slow)
    assert found is not None and found.peak == 2


def test_a_constant_and_a_short_range_have_no_lag() -> None:
    assert lags(np.ones(3000), np.random.default_rng(1).standard_normal(3000)) is None
    assert lags(np.arange(100.0), np.arange(100.0)) is None


def test_the_prediction_is_that_of_yule_and_walker() -> None:
    x = drifting(np.random.default_rng(10), 5000, 0.7)
    x = (x - x.mean()) / x.std()
    theirs, _ = yule_walker(x, order=ORDER, method="mle", demean=False, result_object=False)
    assert _prediction(x) == pytest.approx(theirs, abs=1e-4)


# -- many questions --------------------------------------------------------------------------------


def test_adjusted_p_values_are_those_of_statsmodels() -> None:
    p = np.random.default_rng(11).random(40) ** 3
    assert adjusted(p.tolist()) == pytest.approx(multipletests(p, method="fdr_bh")[1].tolist())
    assert adjusted([]) == []


# -- two kinds of frames ---------------------------------------------------------------------------


def sampled(random: np.random.Generator, size: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    slow = random.random(size) < 0.4
    return slow, np.where(slow, 1.0, 50.0), np.sort(random.integers(0, WINDOWS, size))


def test_a_difference_is_found_with_its_sign_and_size() -> None:
    random = np.random.default_rng(12)
    slow, weight, window = sampled(random)
    value = (random.random(600) < np.where(slow, 0.6, 0.2)).astype(float)
    found = contrast(value, slow, weight, window)
    assert found is not None and found.p < 1e-3
    assert found.low < 0.4 < found.high and found.slow - found.on_time == pytest.approx(found.difference)


def test_what_parts_them_wholly_is_a_difference_and_not_a_certainty() -> None:
    slow, weight, window = sampled(np.random.default_rng(15))
    found = contrast(slow.astype(float), slow, weight, window)
    assert found is not None and found.difference == pytest.approx(1) and 0 < found.p < 1e-3
    assert found.low < 1


def test_a_mode_that_drifts_by_itself_is_seldom_taken_for_a_difference() -> None:
    random = np.random.default_rng(13)
    taken = 0
    for _ in range(100):
        course = drifting(random, WINDOWS, 0.8)
        storm = drifting(random, WINDOWS, 0.8)
        window = np.sort(random.integers(0, WINDOWS, 600))
        slow = random.random(600) < 1 / (1 + np.exp(-2 * storm[window]))
        found = contrast((course[window] > 0).astype(float), slow, np.ones(600), window)
        taken += found is not None and found.p < 0.05
    assert taken <= 12


def test_cliffs_delta_counts_who_has_the_greater_value() -> None:
    slow = np.array([True] * 30 + [False] * 30)
    value = np.concatenate([np.arange(30) + 100.0, np.arange(30.0)])
    place = ranks(value, slow, np.ones(60))
    assert place[slow].mean() - place[~slow].mean() == pytest.approx(1.0)
    assert ranks(np.ones(60), slow, np.ones(60)) == pytest.approx(np.ones(60))
    assert median(np.array([1.0, 2.0, 10.0]), np.array([1.0, 1.0, 5.0])) == 10.0


def test_the_app_starts_without_scipy() -> None:
    asked = "import sys, framescope_ui.server; print([m for m in sys.modules if m.split('.')[0] in given])"
    given = "given = {'scipy', 'statsmodels', 'pandas'}; "
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", given + asked], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr
