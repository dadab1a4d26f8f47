"""Every frame, kept or not: unpacked once, counted without bias."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from memory_stores import MemoryMetrics, MemoryTraces
from scene import NOW_NS, NS, PIPELINE, SERVICE, scene

from framescope_ui.backends.protocols import FrameBatch, PipelineRef
from framescope_ui.questions.every_frame import MOST_RECORDS, counted_causes, every_frame, latencies
from framescope_ui.questions.latencies import unpacked
from framescope_ui.questions.pipelines import picked, pipelines
from framescope_ui.questions.stores import Stores

BATCH = FrameBatch(
    SERVICE,
    PIPELINE,
    NS,
    100,
    offsets_us=[0, 20_000, 40_000, 60_000],
    latencies_us=[12_000, 31_000, 1_000, 40_000],
    outcomes="osds",
    causes=["GS", "?"],
)


async def test_the_range_is_half_open_and_complete() -> None:
    made = scene()
    end = NOW_NS / NS
    strip = await every_frame(made.stores, SERVICE, PIPELINE, end - 10, end)
    assert strip.total == len(strip.x) == 500
    assert strip.x[0] == end - 10
    assert list(strip.frame_id) == list(range(2500, 3000))
    assert strip.budget_seconds == 0.02


async def test_of_a_range_with_too_many_frames_the_newest_are_answered_and_it_says_so() -> None:
    made = scene(seconds=20)
    first = made.traces.batches[0]
    made.traces.batches = [
        replace(first, start_ns=NOW_NS - n * NS, first_id=-n, outcomes="")
        for n in range(MOST_RECORDS + 50, 0, -1)
    ]
    end = NOW_NS / NS
    assert (await every_frame(made.stores, SERVICE, PIPELINE, end - 2 * MOST_RECORDS, end)).cut_before == (
        end - MOST_RECORDS
    )
    assert (await every_frame(made.stores, SERVICE, PIPELINE, end - 100, end)).cut_before is None


async def test_causes_are_counted_over_every_slow_frame_kept_or_not() -> None:
    made = scene()
    made.traces.kept = []
    frames, _ = await latencies(made.stores, SERVICE, PIPELINE, NOW_NS - 60 * NS, NOW_NS)
    counts = counted_causes(frames)
    assert counts == [("gpu_contention", 30)]


def test_causes_go_to_the_slow_frames_in_their_order() -> None:
    frames = unpacked([BATCH])
    assert list(frames.cause) == [None, "gpu_contention", None, "unknown"]
    assert frames.finished.tolist() == [True, True, False, True]


def test_a_record_delivered_twice_counts_once() -> None:
    assert len(unpacked([BATCH, BATCH])) == 4


def test_arrays_of_unequal_length_are_used_as_far_as_they_go() -> None:
    short = replace(BATCH, latencies_us=[12_000, 31_000], depths={"RT": [3]})
    frames = unpacked([short])
    assert frames.frame_id.tolist() == [100, 101]
    assert frames.depths["RT"].tolist() == [3, -1]


@given(
    st.lists(st.sampled_from("osdfx?"), max_size=50),
    st.lists(st.sampled_from(["GS", "CW", "!!"]), max_size=60),
)
def test_any_letters_and_codes_are_survived(outcomes: list[str], codes: list[str]) -> None:
    size = len(outcomes)
    batch = FrameBatch(SERVICE, PIPELINE, 0, 0, list(range(size)), [5] * size, "".join(outcomes), codes)
    assert len(unpacked([batch])) == size


async def test_running_pipelines_come_first_by_name_then_the_newest() -> None:
    class Refs(MemoryTraces):
        async def pipelines(self, start_ns: int, end_ns: int) -> list[PipelineRef]:
            return [
                PipelineRef("b", "run", NOW_NS - NS),
                PipelineRef("a", "run", NOW_NS - 3 * NS),
                PipelineRef("a", "run", NOW_NS - 90 * NS),
                PipelineRef("a", "old", NOW_NS - 7200 * NS),
                PipelineRef("z", "older", NOW_NS - 300 * NS),
            ]

    choices = await pipelines(Stores(Refs(), MemoryMetrics()), NOW_NS)
    assert [(c.service, c.pipeline) for c in choices] == [
        ("a", "run"),
        ("b", "run"),
        ("z", "older"),
        ("a", "old"),
    ]
    assert picked(choices, None, None) is choices[0]
    assert picked(choices, "b", None) is choices[1]
    assert picked(choices, "nobody", None) is None


def test_attributes_of_all_frames_are_places_among_their_texts() -> None:
    def one(second: int, modes: list[str] | None) -> FrameBatch:
        told = {} if modes is None else {"mode": modes}
        return FrameBatch(
            "s", "p", second * NS, second * 3, [0, 1, 2], [9, 9, 9], "oso", ["GS"], attributes=told
        )

    found = unpacked([one(0, ["b", "", "doppler"]), one(1, ["b"]), one(2, None)])
    mode = found.attributes["mode"]
    assert [None if p < 0 else mode.names[p] for p in mode.place] == [
        "b",
        None,
        "doppler",
        *"bbb",
        *[None] * 3,
    ]
    assert [mode.names[p] for p in found.only(found.slow).attributes["mode"].place if p >= 0] == ["b"]
