"""What the Correlate page says and draws, from answers made up for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from framescope_ui.figures.correlate import dose_figure, dose_names, lag_figure
from framescope_ui.figures.correlate_time import joined, time_figure
from framescope_ui.pages.correlate import correlate_page, longer
from framescope_ui.pages.correlate_changes import other_range
from framescope_ui.pages.correlate_words import finding, interval_text, lag_words, ratio, sentence
from framescope_ui.pages.viewer import Viewer, viewer_of
from framescope_ui.questions.correlate_risk import comes_first, ends
from framescope_ui.questions.correlate_views import (
    CauseCourse,
    Chosen,
    Correlation,
    Dose,
    LagCurve,
    Selection,
    SignalRisk,
)
from framescope_ui.questions.views import Line, SlowMark
from framescope_ui.statistics.lag import Lags
from framescope_ui.statistics.risk import Windows, risk_ratio

START = 1_800_000_000.0
LOAD = SignalRisk(
    "hw.gpu.utilization/0", "GPU load", "1", 0.9, 4.2, (3.1, 5.6), 1000, 9000, 64, 137, 0.1, (0.0, 0.2), 0.1,
    1e-6, 1e-5, True,
)  # fmt: skip
CHOSEN = Chosen(
    LOAD.name,
    [Dose(0.4, 0.6, 0.012, (0.009, 0.016), 6000, 72), Dose(0.6, 1.0, 0.06, (0.04, 0.09), 4000, 240)],
    0,
    0,
    LagCurve([-0.1, 0.0, 0.1], [0.01, 0.2, 0.3], [-0.02, 0.1, 0.2], [0.04, 0.3, 0.4], 0.05),
    Line("GPU load", "1", [START + i for i in range(100)], [0.5] * 50 + [None] + [0.95] * 49),
    [(START + 51, START + 99)],
)


def answer(**changes: Any) -> Correlation:
    made = Correlation(
        "s", "p", START, START + 100, 10_000, 201, [LOAD], CHOSEN, [], [],
        CauseCourse(START, 10.0, [1000] * 10, {"gpu_contention": [10] * 10, "unknown": [1] * 10}),
        [Line("median", "s", [START], [0.008]), Line("p99", "s", [START], [0.019])],
        [SlowMark(START + 5, 0.02, "gpu_contention", "a" * 32, 7)], 0.01,
    )  # fmt: skip
    return replace(made, **changes)


def text(part: Any) -> str:
    if part is None or isinstance(part, (int, float)):
        return ""
    if isinstance(part, str):
        return part
    if isinstance(part, (list, tuple)):
        return " ".join(text(one) for one in part)
    return text(getattr(part, "children", None))


def shown(found: Correlation) -> str:
    viewer = Viewer("/correlate", "s", "p")
    return text(correlate_page(found, viewer, viewer))


def test_the_sentence_holds_the_number_and_the_condition() -> None:
    assert sentence(answer()) == "Slow frames are 4.2× as likely when GPU load is above 90 %."


def test_a_signal_with_which_slow_frames_get_rarer_is_told_the_other_way_round() -> None:
    clock = replace(LOAD, title="GPU clock", unit="Hz", threshold=1.4e9, risk_ratio=0.25, interval=(0.2, 0.5))
    assert finding(clock) == "Slow frames are 4.0× as likely when GPU clock is not above 1\u202f400 MHz."
    page = shown(answer(signals=[clock]))
    assert "2.0 to 5.0" in page and "0.2 to 0.5" not in page.split("All 1 signals")[0]


def test_slow_frames_on_one_side_only_are_told_so() -> None:
    assert finding(replace(LOAD, risk_ratio=None)) == "Slow frames came only when GPU load is above 90 %."
    assert finding(replace(LOAD, risk_ratio=0.0)) == "Slow frames came only when GPU load is not above 90 %."
    assert interval_text((3.1, None)) == "3.1 and more" and ratio(None) == "–"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frames": 0, "slow": 0}, "No frame was recorded"),
        ({"slow": 3}, "at least 10 are needed"),
        ({"slow": 0}, "None of 10\u202f000 frames were slow"),
        ({"signals": [replace(LOAD, claimed=False)]}, "No signal stands out"),
        ({"signals": [], "chosen": None}, "no signal was read"),
    ],
)
def test_what_cannot_be_told_is_said_and_nothing_is_claimed(changes: dict[str, Any], says: str) -> None:
    page = shown(answer(**changes))
    assert says in page and "as likely when" not in page


def test_the_signals_lane_is_named_with_its_unit_and_without_its_notes() -> None:
    line = Line("score", "", [float(t) for t in range(3)], [0.1, 0.2, 0.3])
    score = replace(LOAD, name="frame.custom/score", title="Custom score", unit="", threshold=0.2)
    for risk, named in ((score, "Custom score"), (replace(LOAD, simulated=True), "GPU load, %")):
        chosen = replace(answer().chosen, name=risk.name, line=line, lowest=line, highest=line)
        figure = time_figure(answer(signals=[risk], chosen=chosen), risk, "dark")
        assert figure.layout.meta["lanes"]["y2"] == named
        titles = [str(note.text) for note in figure.layout.annotations]
        assert any("mean; thin:<br>lowest, highest" in text for text in titles)


def test_every_page_says_that_it_is_an_association() -> None:
    assert "An association; the cause is judged frame by frame" in shown(answer())


def test_an_order_is_told_only_where_the_whole_interval_of_the_lag_has_it() -> None:
    def found(low: int, high: int, peak: int | None = 3) -> Lags:
        flat = np.zeros(41)
        return Lags(np.arange(-20, 21), flat, flat, flat, 0.1, peak, low, high)

    assert comes_first(found(1, 4), 0.1, 0.1) == "signal"
    assert comes_first(found(-4, -1), 0.1, 0.1) == "frames"
    for low, high in ((-1, 4), (0, 2), (0, 0)):
        assert comes_first(found(low, high), 0.1, 0.1) is None
    assert comes_first(found(1, 4), 0.1, 0.3) is None, "the clocks may be 0.3 s apart"
    assert comes_first(found(1, 4, peak=None), 0.1, 0.1) is None and comes_first(None, 0.1, 0.1) is None


def test_the_lag_is_told_with_its_interval_and_its_step() -> None:
    first = replace(LOAD, lag_seconds=0.3, lag_interval=(0.1, 0.4), first="signal")
    said = "The signal leads by 300.0 ms, 95 % interval 100 ms to 400 ms, in steps of 100 ms"
    assert lag_words(first) == said
    behind = replace(LOAD, lag_seconds=-0.3, lag_interval=(-0.4, -0.1), first="frames")
    assert lag_words(behind).startswith("Slow frames lead by 300.0 ms")
    both = "Which comes first cannot be told in steps of 100 ms: lag 95 % interval −100 ms to 400 ms"
    assert lag_words(replace(first, lag_interval=(-0.1, 0.4), first=None)) == both
    assert lag_words(replace(LOAD, lag_seconds=None, lag_interval=None)) == "No lag can be claimed"


def test_of_very_many_frames_all_slow_on_one_side_the_interval_is_open_and_the_page_tells_it() -> None:
    on = (np.arange(1800) // 20 % 2).astype(np.float64)
    under, other = on * 120, (1 - on) * 120
    slow = np.where(on, 36.0, 0.0)
    made = risk_ratio(Windows(under, slow, other, 0 * other))
    assert made is not None and made.estimate is None and made.low > 900 and made.high == np.inf
    made = risk_ratio(Windows(other, 0 * other, under, slow))
    assert made is not None and (made.estimate, made.low) == (0.0, 0.0) and 0 < made.high <= 0.01
    rarer = replace(LOAD, risk_ratio=made.estimate, interval=ends(made))
    assert "Slow frames came only when GPU load is not above 90 %." in shown(answer(signals=[rarer]))


def test_what_could_not_be_tested_is_not_called_chance() -> None:
    why = "it changed too rarely in this range: choose a longer one"
    untold = replace(LOAD, risk_ratio=None, interval=None, p=None, p_adjusted=None, claimed=False, why=why)
    assert sentence(answer(signals=[untold])) == (
        f"Whether slow frames go along with GPU load cannot be told: {why}."
    )


def test_a_finding_is_bright_and_the_rest_says_that_it_may_be_chance() -> None:
    page = shown(answer(signals=[LOAD, replace(LOAD, name="x", title="CPU load", claimed=False)]))
    assert "may be chance" in page


def test_the_figures_hold_the_numbers() -> None:
    doses = dose_figure(CHOSEN, LOAD, "dark")
    assert np.asarray(doses.data[0].y).tolist() == pytest.approx([1.2, 6.0])
    assert np.asarray(doses.data[0].error_y.array).tolist() == pytest.approx([0.4, 3.0])
    assert list(doses.data[0].marker.symbol) == ["circle-open", "circle-open"]
    assert dose_names(CHOSEN, "1") == ["40–60", "60–100"]
    lags = lag_figure(CHOSEN, LOAD, "light")
    assert np.asarray(lags.data[2].x).tolist() == pytest.approx([-100, 0, 100])
    drawn = time_figure(answer(), LOAD, "dark")
    bars = [trace for trace in drawn.data if trace.type == "bar"]
    assert [bar.name for bar in bars] == ["GPU contention", "Unknown"]
    assert np.asarray(bars[0].y).tolist() == pytest.approx([1.0] * 10)


def test_stretches_that_nearly_touch_are_shaded_as_one() -> None:
    assert joined([(0, 1), (1.1, 2), (5, 6)], 0.2) == [(0, 2), (5, 6)]


def test_the_signal_travels_in_the_address_and_no_further_than_this_page() -> None:
    viewer = viewer_of("/correlate", "?signal=hw.power%2F0&range=1h", None)
    assert viewer.signal == "hw.power/0" and "signal=hw.power%2F0" in viewer.href()
    assert "signal" not in viewer.frame_href("a" * 32)
    assert longer(Viewer()).range == "1h" and longer(Viewer(range="24h")).range == "24h"


def test_another_range_is_read_in_the_viewers_zone_and_a_wrong_one_is_explained() -> None:
    assert other_range("2026-01-31 14:05", "2026-01-31 14:10") == (1769868300, 1769868600)
    assert other_range(" 2026-01-31 15:05 ", "2026-01-31T14:10Z", ZoneInfo("Europe/Berlin")) == (
        1769868300,
        1769868600,
    )
    assert other_range("yesterday", "2026-01-31") == "from: 'yesterday' is no time. Write 2026-01-31 14:05."
    assert other_range("2026-01-31 14:05", None) == "to: '' is no time. Write 2026-01-31 14:05."
    assert other_range("2026-01-31 14:05", "2026-01-31 14:05") == (
        "The range ends before it begins: swap the two times."
    )


def test_an_attributes_value_is_the_condition_and_a_selection_is_part_of_the_sentence() -> None:
    mode = replace(
        LOAD, name="attribute/mode=doppler", title="mode", unit="1", attribute="mode", value="doppler"
    )
    assert finding(mode) == "Slow frames are 4.2× as likely when mode is doppler."
    assert (
        finding(replace(mode, risk_ratio=0.5)) == "Slow frames are 2.0× as likely when mode is not doppler."
    )
    chosen = Selection(cause="gc_pause", latency=(0.012, 0.03), cohort=("view", "long"))
    assert sentence(answer(selection=chosen)) == (
        "Among frames with view = long, frames slow by GC pause with 12.0 to 30.0 ms are 4.2× as likely "
        "when GPU load is above 90 %."
    )
    few = sentence(answer(slow=3, selection=Selection(cause="gc_pause")))
    assert few.startswith("3 of 10\u202f000 frames were slow by GC pause: at least 10 are needed")


def test_what_was_selected_is_told_with_the_way_out_of_it() -> None:
    chosen = Selection(cause="gc_pause", within=("hw.gpu.utilization/0", 0.8, 0.95))
    page = shown(answer(selection=chosen))
    assert "201 slow by GC pause of 10\u202f000 frames" in page and "GPU load 80 % to 95 %" in page
    nothing = shown(answer(frames=0, slow=0, selection=chosen))
    assert "No frame of this range fits the selection." in nothing


def test_frames_that_the_keep_budget_turned_away_are_told_beside_the_numbers_they_limit() -> None:
    assert "About 42 frames were one too many for the keep budget" in shown(answer(keep_budget=42))
    assert "keep budget" not in shown(answer())
