"""Correlate over what every frame carries itself, and over frames that were selected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from memory_stores import MemoryMetrics, MemoryTraces

from framescope import signals as sig
from framescope_ui.backends.protocols import FrameBatch, FramePage, FrameQuery, FrameRow, Series
from framescope_ui.questions.correlate import correlate
from framescope_ui.questions.correlate_answer import Answers, OtherRange, correlated
from framescope_ui.questions.correlate_content import MOST_VALUES, numbers_of
from framescope_ui.questions.correlate_views import Correlation, Selection, SignalRisk
from framescope_ui.questions.latencies import Latencies, Texts
from framescope_ui.questions.stores import Stores

NS = 1_000_000_000
START = 1_800_000_000
SECONDS, FPS = 600, 50
SIZE = SECONDS * FPS
SERVICE, PIPELINE = "ultrasound", "cine"
LOAD = "hw.gpu.utilization/0"
BUSY = np.array([second % 24 < 6 for second in range(SECONDS)])
"""Another job on the GPU, 6 s of every 24."""


def texts(values: np.ndarray) -> Texts:
    names, place = np.unique(values, return_inverse=True)
    return Texts([str(name) for name in names], place.astype(np.int32))


def frames(
    seed: int = 1, start: int = START, version: np.ndarray | None = None, **attributes: np.ndarray
) -> Latencies:
    """GPU contention makes frames slow while the job runs, garbage collection at any time; Doppler frames are
    likelier to be slow than others by either."""
    random = np.random.default_rng(seed)
    mode = random.random(SIZE) < 0.4
    busy = np.repeat(BUSY, FPS)
    contention = random.random(SIZE) < np.where(busy, 0.12, 0.004) * np.where(mode, 1.5, 0.5)
    collection = ~contention & (random.random(SIZE) < 0.01 * np.where(mode, 3.0, 1.0))
    slow = contention | collection
    told = {"mode": texts(np.where(mode, "doppler", "b")), "depth": texts(np.where(mode, "8", "4"))}
    if version is not None:
        told[sig.SERVICE_VERSION] = texts(version)
    return Latencies(
        start * NS + np.arange(SIZE) * (NS // FPS),
        np.where(contention, 40_000_000, np.where(collection, 25_000_000, 12_000_000)),
        np.arange(SIZE),
        np.where(slow, "s", "o"),
        np.where(contention, "gpu_contention", np.where(collection, "gc_pause", None)).astype(object),
        {},
        20_000_000,
        {**told, **{name: texts(values) for name, values in attributes.items()}},
    )


def load() -> dict[str, list[Series]]:
    times = [START * NS + (i + 1) * NS // 10 for i in range(SECONDS * 10)]
    noise = np.random.default_rng(3).uniform(-0.03, 0.03, SECONDS * 10)
    return {
        sig.HW_GPU_UTILIZATION: [
            Series({sig.HW_ID: "0"}, times, (np.repeat(np.where(BUSY, 0.96, 0.55), 10) + noise).tolist())
        ]
    }


def asked(made: Latencies, **more: object) -> Correlation:
    given = {"selection": Selection(), **more}
    return correlated(
        Answers(made, load()),
        SERVICE,
        PIPELINE,
        START * NS,
        (START + SECONDS) * NS,
        **given,  # type: ignore[arg-type]
    )


def by_name(found: Correlation) -> dict[str, SignalRisk]:
    return {one.name: one for one in found.signals}


# -- what frames carry ------------------------------------------------------------------------------


def test_an_attribute_is_a_signal_over_all_frames_value_by_value() -> None:
    made = frames()
    found = asked(made, signal="attribute/mode=doppler")
    mode = by_name(found)["attribute/mode=doppler"]
    assert "attribute/mode=b" not in by_name(found), "of two values one is the other's rest"
    assert (mode.title, mode.value, mode.attribute) == ("mode", "doppler", "mode")
    assert mode.n_above + mode.n_below == found.frames == SIZE
    assert mode.claimed and mode.risk_ratio is not None and 2 < mode.risk_ratio < 4
    assert mode.lag_seconds is None, "what a frame carries is of that very frame"
    assert found.chosen is not None and [dose.value for dose in found.chosen.doses] == ["b", "doppler"]
    assert sum(dose.frames for dose in found.chosen.doses) == SIZE
    apart = next(one for one in found.differences if one.kind == "attribute" and one.name == mode.name)
    assert apart.value == "doppler" and apart.slow > apart.on_time and apart.n_slow == found.slow


def test_a_number_is_parted_where_its_values_part_and_shown_dose_by_dose() -> None:
    found = asked(frames(), signal="attribute/depth")
    depth = by_name(found)["attribute/depth"]
    assert depth.claimed and depth.value is None and depth.threshold is not None and 4 <= depth.threshold < 8
    assert found.chosen is not None
    assert [(dose.low, dose.value) for dose in found.chosen.doses] == [(4.0, None), (8.0, None)]
    assert found.chosen.lowest is not None and found.chosen.highest is not None
    assert {y for y in found.chosen.highest.y if y is not None} <= {4.0, 8.0}


def test_frames_without_the_attribute_are_left_out_and_counted() -> None:
    made = frames()
    place = made.attributes["mode"].place.copy()
    place[:1000] = -1
    some = replace(made, attributes={"mode": Texts(made.attributes["mode"].names, place)})
    found = asked(some, signal="attribute/mode=doppler")
    mode = by_name(found)["attribute/mode=doppler"]
    assert mode.n_above + mode.n_below == SIZE - 1000
    assert found.chosen is not None and found.chosen.unread == 1000


def test_an_id_is_no_cohort_and_a_constant_is_not_asked() -> None:
    exam = np.array([f"id {i % (MOST_VALUES + 1)}" for i in range(SIZE)])
    found = asked(frames(exam=exam, site=np.full(SIZE, "north")))
    assert not any("exam" in one.name or "site" in one.name for one in found.signals)
    assert any("exam has more than" in text for text in found.missing)


def test_texts_that_are_numbers_are_numbers_and_others_are_not() -> None:
    assert numbers_of(["4", "0.25", "1e3", ""]) is not None
    assert numbers_of(["4", "b"]) is None and numbers_of(["nan", "4"]) is None


# -- selected frames --------------------------------------------------------------------------------


def test_a_cause_says_which_frames_count_as_slow() -> None:
    made = frames()
    found = asked(made, selection=Selection(cause="gc_pause"))
    of_cause = int((made.cause == "gc_pause").sum())
    assert (found.frames, found.slow) == (SIZE, of_cause) and set(found.course.slow) == {"gc_pause"}
    risks = by_name(found)
    assert not risks[LOAD].claimed, "collections do not come with the GPU's load"
    assert by_name(asked(made, selection=Selection(cause="gpu_contention")))[LOAD].claimed


def test_a_box_over_latencies_says_which_frames_count_as_slow() -> None:
    made = frames()
    found = asked(made, selection=Selection(latency=(0.030, 0.050)))
    assert (found.frames, found.slow) == (SIZE, int((made.latency_ns == 40_000_000).sum()))


def test_a_cohort_says_among_which_frames() -> None:
    made = frames()
    found = asked(made, selection=Selection(cohort=("mode", "doppler")))
    mode = made.attributes["mode"]
    doppler = mode.place == list(mode.names).index("doppler")
    assert (found.frames, found.slow) == (int(doppler.sum()), int((doppler & made.slow).sum()))
    assert "attribute/mode=doppler" not in by_name(found), "all of them are"
    unknown = asked(made, selection=Selection(cohort=("mode", "m")))
    assert unknown.frames == 0 and any("mode = m" in text for text in unknown.missing)


def test_a_box_over_a_signal_says_among_which_frames() -> None:
    found = asked(frames(), selection=Selection(within=(LOAD, 0.9, 1.0)))
    assert found.frames == pytest.approx(int(BUSY.sum()) * FPS, abs=FPS)
    numbers = asked(frames(), selection=Selection(within=("attribute/depth", 5, 9)))
    assert numbers.frames == int((frames().attributes["depth"].place == 1).sum())
    nowhere = asked(frames(), selection=Selection(within=("hw.nothing", 0, 1)))
    assert nowhere.frames == 0 and any("no signal hw.nothing" in text for text in nowhere.missing)


# -- two sides --------------------------------------------------------------------------------------


def test_another_range_is_compared_cause_by_cause_under_the_same_selection() -> None:
    earlier = frames(seed=2, start=START - 86_400)
    calm = replace(earlier, outcome=np.where(earlier.cause == "gc_pause", "o", earlier.outcome))
    than = OtherRange((START - 86_400) * NS, (START - 86_400 + SECONDS) * NS, calm)
    (change,) = asked(frames(), than=than).changes
    assert (change.kind, change.before) == ("ranges", (START - 86_400, START - 86_400 + SECONDS))
    assert change.frames_before == change.frames_after == SIZE
    causes = {one.cause: one for one in change.causes}
    assert causes["gc_pause"].slow_before == 0 and causes["gc_pause"].claimed
    assert not causes["gpu_contention"].claimed
    (only,) = asked(frames(), than=than, selection=Selection(cohort=("mode", "b"))).changes
    assert only.frames_before < SIZE and only.frames_after < SIZE


def test_a_version_is_compared_with_the_one_before_it() -> None:
    version = np.where(np.arange(SIZE) < SIZE // 2, "1.4", "1.5")
    made = frames(version=version)
    worse = np.array(made.outcome)
    worse[SIZE // 2 :: 10] = "s"
    made = replace(made, outcome=worse)
    (change,) = asked(made).changes
    assert (change.kind, change.text) == ("versions", "1.5 after 1.4")
    assert change.frames_before == change.frames_after == SIZE // 2
    whole = change.causes[0]
    assert whole.claimed and whole.ratio is not None and whole.ratio > 2
    assert not any(sig.SERVICE_VERSION in one.name for one in asked(made).signals)


# -- from the stores --------------------------------------------------------------------------------


class Traces(MemoryTraces):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[FrameQuery] = []

    async def frames(self, query: FrameQuery) -> FramePage:
        self.queries.append(query)
        return await super().frames(query)


async def test_on_time_only_the_fair_sample_is_asked_for_and_slow_ones_by_the_selection() -> None:
    traces = Traces()
    chosen = Selection(cause="gc_pause", latency=(0.02, 0.03))
    await correlate(Stores(traces, MemoryMetrics()), SERVICE, PIPELINE, START, START + 60, selection=chosen)
    on_time = [query for query in traces.queries if query.outcomes == ("on_time",)]
    slow = [query for query in traces.queries if query.outcomes == ("slow",)]
    assert on_time and {query.kept for query in on_time} == {("baseline",)}
    assert slow and {(query.causes, query.min_latency_ns) for query in slow} == {(("gc_pause",), 20_000_000)}


async def test_frames_that_the_keep_budget_turned_away_are_told() -> None:
    metrics = MemoryMetrics()
    own = {"service__name": SERVICE, "frame__pipeline": PIPELINE}
    metrics.put(
        sig.FS_FRAMES_LOST, [(START + 9) * NS, (START + 19) * NS], [40.0, 2.0], **own, reason="keep_budget"
    )
    metrics.put(sig.FS_FRAMES_LOST, [(START + 9) * NS], [7.0], **own, reason="queue_full")
    found = await correlate(Stores(MemoryTraces(), metrics), SERVICE, PIPELINE, START, START + 60)
    assert found.keep_budget == 42


async def test_attributes_come_from_the_records_and_the_other_range_is_asked_too() -> None:
    traces = MemoryTraces()
    for start in (START, START - 3600):
        for second in range(60):
            slow = [second % 3 == 0 and i % 5 == 0 for i in range(FPS)]
            traces.batches.append(
                FrameBatch(
                    SERVICE, PIPELINE, (start + second) * NS, second * FPS,
                    [i * 20_000 for i in range(FPS)], [25_000 if one else 9_000 for one in slow],
                    "".join("s" if one else "o" for one in slow), ["GS"] * sum(slow),
                    attributes={"mode": ["doppler" if one else "b" for one in slow]},
                )
            )  # fmt: skip
    found = await correlate(
        Stores(traces, MemoryMetrics()),
        SERVICE,
        PIPELINE,
        START,
        START + 60,
        than=(START - 3600, START - 3540),
    )
    assert found.frames == 60 * FPS
    assert by_name(found)["attribute/mode=doppler"].claimed
    (change,) = found.changes
    assert (change.kind, change.frames_before, change.frames_after) == ("ranges", 60 * FPS, 60 * FPS)


def test_a_kept_frame_that_was_slow_in_another_way_stands_for_nobody() -> None:
    made = frames()
    rows = []
    for at in [*np.flatnonzero(made.slow)[:80].tolist(), *np.arange(5, SIZE, 100).tolist()]:
        slow = bool(made.slow[at])
        told = {sig.FRAME_OUTCOME: "slow" if slow else "on_time", sig.FRAME_SAMPLING_WEIGHT: 1}
        rows.append(FrameRow(f"{at:032x}", SERVICE, int(made.due_ns[at]), int(made.latency_ns[at]), told))
    answers = Answers(made, load(), kept=rows)
    chosen = Selection(cause="gc_pause")
    found = correlated(answers, SERVICE, PIPELINE, START * NS, (START + SECONDS) * NS, selection=chosen)
    mine = sum(made.cause[int(row.trace_id, 16)] == "gc_pause" for row in rows)
    assert 0 < found.sampled_slow == mine < 80


# -- frames picked one by one ------------------------------------------------------------------------


def row(made: Latencies, at: int, **attributes: object) -> FrameRow:
    told = {sig.FRAME_OUTCOME: "slow" if made.slow[at] else "on_time", sig.FRAME_SAMPLING_WEIGHT: 1}
    due, latency = int(made.due_ns[at]), int(made.latency_ns[at])
    return FrameRow(f"{at:032x}", SERVICE, due + 300, latency, {**told, **attributes})


def picked(made: Latencies, places: list[int], absent: int = 0) -> Correlation:
    """The answer for these frames, and some nobody finds; beside them every hundredth frame was kept."""
    rows = [row(made, at, mode="doppler", **{sig.GC_TIME: 0.003 + at * 7919 % 1000 * 1e-9}) for at in places]
    others = [
        row(made, at, mode="b", **{sig.GC_TIME: 0.001 + at * 7919 % 1000 * 1e-9})
        for at in range(0, SIZE, 100)
        if at not in places
    ]
    ids = tuple(one.trace_id for one in rows) + tuple(f"{'f' * 31}{n}" for n in range(absent))
    return correlated(
        Answers(made, load(), kept=[*rows, *others], picked=rows),
        SERVICE,
        PIPELINE,
        START * NS,
        (START + SECONDS) * NS,
        selection=Selection(frames=ids),
    )


def test_picked_frames_are_held_against_all_others_whatever_they_were() -> None:
    made = frames()
    on_time = np.flatnonzero(~made.slow)[::1000][:3].tolist()
    slow = (
        np.random.default_rng(5).choice(np.flatnonzero(made.cause == "gc_pause"), 60, replace=False).tolist()
    )
    found = picked(made, sorted(on_time + slow))
    assert (found.slow, found.frames, found.sampled_slow) == (63, SIZE, 63)
    apart = {one.name: one for one in found.differences if one.kind == "reading"}
    assert apart[sig.GC_TIME].claimed and apart[sig.GC_TIME].effect > 0.9
    assert not found.missing


def test_of_a_few_picked_frames_differences_are_told_and_not_claimed() -> None:
    made = frames()
    found = picked(made, np.flatnonzero(made.slow)[:4].tolist(), absent=2)
    apart = {one.name: one for one in found.differences}
    assert apart["mode"].value in ("b", "doppler") and abs(apart["mode"].effect) == 1.0
    assert all(
        (one.p, one.p_adjusted, one.interval, one.claimed) == (None, None, None, False)
        for one in apart.values()
    )
    assert "2 of the 6 picked frames are not compared" in found.missing[0]
