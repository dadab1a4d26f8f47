"""What slow frames go along with: a scene whose law is known, from the stores to the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from memory_stores import MemoryMetrics, MemoryTraces, away

from framescope import signals as sig
from framescope_ui.backends.protocols import FrameBatch, Mark, Series, Span, Trace
from framescope_ui.questions.correlate import correlate
from framescope_ui.questions.correlate_answer import Answers, correlated
from framescope_ui.questions.correlate_apart import compared, sample
from framescope_ui.questions.correlate_change import before_and_after, side_of
from framescope_ui.questions.correlate_signals import (
    Met,
    Signal,
    met_by_time,
    stretches,
    threshold_of,
    ticks_of,
    values_on,
)
from framescope_ui.questions.latencies import Latencies, unpacked
from framescope_ui.questions.stores import Stores

NS = 1_000_000_000
START = 1_800_000_000
SECONDS = 600
SERVICE, PIPELINE = "ultrasound", "cine"
OWN = {"service__name": SERVICE}
GPU = {**OWN, "hw__id": "0", "framescope__gpu__simulated": "true"}
LOAD = "hw.gpu.utilization/0"


class Scene:
    """Ten minutes at 50 FPS: another job comes for 6 s of every 24 and makes a slow frame likelier."""

    def __init__(self, times_likelier: float = 6.0, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        self.traces, self.metrics = MemoryTraces(), MemoryMetrics()
        busy = np.array([second % 24 < 6 for second in range(SECONDS)])
        load = np.repeat(np.where(busy, 0.96, 0.55), 10) + random.uniform(-0.03, 0.03, SECONDS * 10)
        times = [START * NS + (i + 1) * NS // 10 for i in range(SECONDS * 10)]
        self.metrics.put(sig.HW_GPU_UTILIZATION, times, load.tolist(), **GPU)
        noise = 1.5e9 + 1e7 * random.standard_normal(SECONDS * 10)
        self.metrics.put(sig.FS_GPU_CLOCK, times, noise.tolist(), **GPU)
        self.metrics.put(sig.SYSTEM_MEMORY_UTILIZATION, times[::10], [0.5] * SECONDS, **OWN)
        self.metrics.put(sig.FS_CLOCK_ERROR, times[::600], [0.0003] * 10, **OWN)
        for second in range(SECONDS):
            self._second(second, 0.02 * (times_likelier if busy[second] else 1.0), random)
        self.stores = Stores(self.traces, self.metrics)

    def _second(self, second: int, chance: float, random: np.random.Generator) -> None:
        slow = random.random(50) < chance
        latencies = np.where(slow, 25_000, 12_000) + random.integers(0, 900, 50)
        self.traces.batches.append(
            FrameBatch(
                SERVICE,
                PIPELINE,
                (START + second) * NS,
                second * 50,
                [i * 20_000 for i in range(50)],
                latencies.tolist(),
                "".join("s" if one else "o" for one in slow),
                ["GS"] * int(slow.sum()),
                {"rt": random.integers(0, 3, 50).tolist()},
                20_000_000,
            )
        )
        for i in np.flatnonzero(slow | (np.arange(50) == 7)).tolist():
            due = (START + second) * NS + i * NS // 50
            mode = "doppler" if random.random() < (0.8 if slow[i] else 0.2) else "b"
            self.traces.kept.append(kept(second * 50 + i, due, int(latencies[i]) * 1000, bool(slow[i]), mode))

    async def answer(
        self, signal: str | None = None, stages: bool = False, start: int = START, end: int = START + SECONDS
    ):  # type: ignore[no-untyped-def]
        return await correlate(self.stores, SERVICE, PIPELINE, start, end, signal, stages)


def kept(number: int, due: int, latency: int, slow: bool, mode: str) -> Trace:
    trace_id = f"{number:032x}"
    told = {
        sig.FRAME_ID: number,
        sig.FRAME_PIPELINE: PIPELINE,
        sig.FRAME_OUTCOME: "slow" if slow else "on_time",
        sig.FRAME_SLOW: slow,
        sig.FRAME_SAMPLING_WEIGHT: 1 if slow else 50,
        sig.FRAME_KEPT: "slow" if slow else "baseline",
        sig.GPU_TIME: latency / 2e9,
        "mode": mode,
        "exam": f"id-{number}",
    }
    root = Span(trace_id, "a", None, sig.SPAN_FRAME, due, due + latency, told)
    stages = (("capture", 0, 4_000_000), ("denoise", 4_000_000, latency))
    spans = [
        Span(trace_id, name, "a", name, due + begin, due + end, {sig.FRAME_STAGE_NAME: name})
        for name, begin, end in stages
    ]
    return Trace(trace_id, {sig.SERVICE_NAME: SERVICE}, (root, *spans))


@pytest.fixture(scope="module")
def made() -> Scene:
    return Scene()


# -- the whole answer --------------------------------------------------------------------------------


async def test_the_signal_that_makes_frames_slow_is_found_with_its_ratio_and_its_counts(made: Scene) -> None:
    found = await made.answer()
    first = found.signals[0]
    assert first.name == LOAD and first.claimed and first.threshold == 0.9 and first.simulated
    assert first.interval is not None and first.interval[0] < 6.0 < first.interval[1]
    assert first.n_above + first.n_below == pytest.approx(SECONDS * 50, abs=60)
    assert first.slow_above + first.slow_below <= found.slow
    assert first.lag_step_seconds == 0.1
    assert found.frames == SECONDS * 50 and found.clock_error_seconds == 0.0003


async def test_a_signal_without_a_part_in_it_is_not_claimed_and_a_constant_says_so(made: Scene) -> None:
    by_name = {one.name: one for one in (await made.answer()).signals}
    assert not by_name["framescope.gpu.clock/0"].claimed
    assert not by_name["frame.queue.depth/rt"].claimed
    constant = by_name["system.memory.utilization"]
    assert constant.risk_ratio is None and constant.interval is None and "hardly changed" in constant.why


async def test_the_chosen_signal_is_shown_dose_by_dose(made: Scene) -> None:
    chosen = (await made.answer(LOAD)).chosen
    assert chosen is not None and chosen.name == LOAD
    assert sum(dose.frames for dose in chosen.doses) + chosen.left_out + chosen.unread == SECONDS * 50
    assert chosen.doses[-1].share > 3 * chosen.doses[0].share
    assert all(dose.interval[0] <= dose.share <= dose.interval[1] for dose in chosen.doses)
    assert len(chosen.above) == 25 and chosen.lag is not None


async def test_attributes_and_stages_set_slow_frames_apart_and_an_id_does_not(made: Scene) -> None:
    found = await made.answer(stages=True)
    apart = {(one.kind, one.name): one for one in found.differences}
    mode = apart["attribute", "mode"]
    assert mode.claimed and mode.value == "doppler"
    assert mode.slow == pytest.approx(0.8, abs=0.12) and mode.on_time == pytest.approx(0.2, abs=0.12)
    denoise, capture = apart["stage", "denoise"], apart.get(("stage", "capture"))
    assert denoise.claimed and denoise.effect > 0.9 and denoise.slow > denoise.on_time
    assert capture is None, "a stage that always takes the same is no difference"
    assert apart["reading", sig.GPU_TIME].effect > 0.9
    assert ("attribute", "exam") not in apart
    assert any("exam has more than" in text for text in found.missing)


async def test_of_a_range_without_end_the_newest_day_is_answered(made: Scene) -> None:
    found = await made.answer(start=0)
    assert found.cut_before == found.start == START + SECONDS - 86_400
    assert found.frames == SECONDS * 50


async def test_without_stages_no_whole_trace_is_read(made: Scene) -> None:
    assert not any(one.kind == "stage" for one in (await made.answer()).differences)


async def test_what_the_flight_recorder_kept_is_no_change_to_compare_by() -> None:
    scene = Scene()
    half = START + SECONDS // 2
    scene.traces.marked = [Mark(SERVICE, half * NS, f"{sig.MARK_KEPT}5 s: 9 slow of 50 frames")]
    assert not (await scene.answer()).changes
    scene.traces.marked += [Mark(SERVICE, (START + 100) * NS, "deployed 1.4")]
    (change,) = (await scene.answer()).changes
    assert (change.kind, change.text, change.after[1]) == ("marker", "deployed 1.4", START + SECONDS)


async def test_a_change_is_told_cause_by_cause_with_both_sides() -> None:
    scene = Scene()
    half = START + SECONDS // 2
    scene.traces.marked = [
        Mark(SERVICE, half * NS, "deployed 1.4"),
        Mark(SERVICE, (START + 595) * NS, "late"),
    ]
    # After the change every slow frame is one less: none at all.
    scene.traces.batches = [
        b if b.start_ns < half * NS else replace(b, outcomes=b.outcomes.replace("s", "o"), causes=[])
        for b in scene.traces.batches
    ]
    found = await scene.answer()
    (change,) = found.changes
    assert change.text == "deployed 1.4" and change.frames_before == change.frames_after + 5 * 50
    everything, contention = change.causes
    assert everything.cause is None and everything.slow_after == 0 and everything.slow_before == found.slow
    assert everything.claimed and everything.ratio == 0 and everything.interval is not None
    assert everything.interval[1] is not None and everything.interval[1] < 0.3
    assert contention.cause == "gpu_contention"


async def test_causes_over_time_count_every_slow_frame(made: Scene) -> None:
    found = await made.answer()
    assert sum(map(sum, found.course.slow.values())) == found.slow
    assert sum(found.course.frames) == found.frames


async def test_a_backend_that_is_away_is_named_and_the_rest_is_answered() -> None:
    scene = Scene()
    scene.metrics.error = away("prometheus")
    found = await scene.answer()
    assert [one.name for one in found.signals] == ["frame.queue.depth/rt"]
    assert any("prometheus" in text for text in found.missing)


async def test_a_signal_nobody_knows_is_said_and_another_is_looked_at(made: Scene) -> None:
    found = await made.answer("hw.nothing")
    assert found.chosen is not None and any("hw.nothing" in text for text in found.missing)


@pytest.mark.parametrize(
    ("start", "end"), [(START - 100, START - 50), (START, START + 2), (START, START + 30)]
)
async def test_no_frames_and_little_time_claim_nothing(made: Scene, start: int, end: int) -> None:
    found = await made.answer(start=start, end=end)
    assert not any(one.claimed for one in found.signals)
    assert all(one.why or one.interval for one in found.signals)


def test_with_nothing_connected_hardly_a_page_claims_anything() -> None:
    """40 ranges of ten minutes, ten drifting signals each; 500 of four lengths are in bench/correlate.py."""
    random = np.random.default_rng(14)
    pages = 0
    for _ in range(40):
        gauges = {
            sig.FRAME_CUSTOM: [
                Series(
                    {sig.FRAME_METRIC_NAME: str(i)},
                    [(START + t + 1) * NS for t in range(SECONDS)],
                    drift(random, SECONDS).tolist(),
                )
                for i in range(10)
            ]
        }
        chance = np.repeat(0.02 * np.exp(drift(random, SECONDS) - 0.5), 50)
        answers = Answers(frames_with(random.random(SECONDS * 50) < chance), gauges)
        found = correlated(answers, SERVICE, PIPELINE, START * NS, (START + SECONDS) * NS)
        pages += any(one.claimed for one in found.signals)
    assert pages <= 5


def drift(random: np.random.Generator, size: int) -> np.ndarray:
    found, last = np.empty(size), 0.0
    for at, new in enumerate(random.standard_normal(size)):
        last = 0.9 * last + 0.436 * new
        found[at] = last
    return found


def frames_with(slow: np.ndarray) -> Latencies:
    size = len(slow)
    return Latencies(
        START * NS + np.arange(size) * NS // 50,
        np.where(slow, 25_000_000, 12_000_000),
        np.arange(size),
        np.where(slow, "s", "o"),
        np.where(slow, "gc_pause", None),
        {},
        20_000_000,
    )


# -- how frames and readings meet ----------------------------------------------------------------------


def signal_of(
    values: list[float], spacing_ns: int = NS, limit: float | None = None, unit: str = "1"
) -> Signal:
    times = START * NS + (np.arange(len(values)) + 1) * spacing_ns
    return Signal("x", "X", unit, times, np.array(values), spacing_ns, limit)


def test_a_reading_tells_of_the_time_before_it_and_of_no_gap() -> None:
    ticks = ticks_of(frames_with(np.zeros(500, np.bool_)), START * NS, (START + 10) * NS)
    signal = signal_of([1.0, 2.0, 3.0])
    values = values_on(ticks, signal)
    assert values[:10].tolist() == [1.0] * 10 and values[10:20].tolist() == [2.0] * 10
    assert np.isnan(values[30:]).all()
    assert met_by_time(ticks, signal).unread == pytest.approx(350, abs=5)


def test_dropped_frames_are_neither_slow_nor_on_time() -> None:
    frames = frames_with(np.zeros(500, np.bool_))
    frames.outcome[:100] = "d"
    assert ticks_of(frames, START * NS, (START + 10) * NS).frames.sum() == 400


@pytest.mark.parametrize(
    ("values", "limit", "expected"),
    [
        ([0.5] * 80 + [0.95] * 20, 0.9, 0.9),  # the usual limit parts them
        ([0.1] * 80 + [0.3] * 20, 0.9, 0.2),  # it does not: they part by themselves
        ([0.5] * 100, 0.9, None),
    ],
)
def test_the_threshold_is_seen_from_the_signal_alone(
    values: list[float], limit: float, expected: float | None
) -> None:
    signal = signal_of(values, limit=limit)
    met = Met(signal.values, np.ones(100), np.zeros(100), np.arange(100), 100, 0)
    found = threshold_of(signal, met)
    assert found == expected if expected is None else found == pytest.approx(expected, abs=0.11)


def test_stretches_above_are_joined_where_they_touch() -> None:
    times = START * NS + np.arange(1, 11) * NS
    above = np.array([0, 1, 1, 0, 0, 0, 0, 1, 0, 0], np.bool_)
    assert stretches(times, above, NS) == [(START + 1.0, START + 3.0), (START + 7.0, START + 8.0)]


def test_kept_frames_stand_for_all_of_their_kind_in_their_part_of_the_range() -> None:
    slow = np.zeros(6000, np.bool_)
    slow[::10] = True
    frames = frames_with(slow)
    from framescope_ui.backends.records import frame_rows

    rows = [
        row
        for i in range(0, 6000, 5)
        for row in frame_rows(kept(i, int(frames.due_ns[i]), 12_000_000, bool(slow[i]), "b"))
    ]
    found = sample([(row, None) for row in rows], {}, frames, START * NS, (START + 120) * NS)
    assert sum(one.weight for one in found if one.slow) == pytest.approx(600)
    assert sum(one.weight for one in found if not one.slow) == pytest.approx(5400)
    assert compared(found[:10])[0] == []


def test_before_and_after_count_only_their_own_range() -> None:
    slow = np.zeros(6000, np.bool_)
    slow[3000:] = np.arange(3000) % 10 == 0
    frames = frames_with(slow)
    sides = [side_of(frames, (START + at) * NS, (START + at + 60) * NS) for at in (0, 60)]
    found = before_and_after(*sides, "marker")
    whole = found.causes[0]
    assert (found.frames_before, found.frames_after, whole.slow_before, whole.slow_after) == (
        3000,
        3000,
        0,
        300,
    )
    assert whole.ratio is not None and whole.ratio.estimate is None and whole.ratio.low > 1


def test_nothing_at_all_is_answered_with_nothing() -> None:
    found = correlated(Answers(unpacked(())), SERVICE, PIPELINE, START * NS, (START + 60) * NS)
    assert (found.frames, found.slow, found.signals, found.chosen) == (0, 0, [], None)
