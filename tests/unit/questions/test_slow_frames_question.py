"""The list of kept frames and what stands beside it: cohorts, latencies, groups, what the budget left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory_stores import away
from scene import FPS, NOW_NS, NS, PIPELINE, SERVICE, Scene, scene

from framescope import signals as sig
from framescope_ui.backends.protocols import FrameQuery
from framescope_ui.pages.slow_frames import notes
from framescope_ui.questions.slow_frames import Narrowed, SlowFrames, slow_frames, slow_frames_overview

QUERY = FrameQuery(
    service=SERVICE, pipeline=PIPELINE, start_ns=NOW_NS - 60 * NS, end_ns=NOW_NS, outcomes=("slow",)
)


def with_modes() -> Scene:
    """The scene, its even seconds ``mode`` b, its odd ones doppler: the slow frames come in even seconds."""
    made = scene()
    made.traces.batches = [
        replace(one, attributes={"mode": ["b" if number % 2 == 0 else "doppler"] * FPS})
        for number, one in enumerate(made.traces.batches)
    ]
    return made


async def overview(made: Scene, **asked: object) -> SlowFrames:
    return await slow_frames_overview(made.stores, SERVICE, PIPELINE, QUERY, **asked)  # type: ignore[arg-type]


async def test_a_cohort_is_picked_among_kept_and_all_frames_alike() -> None:
    made = with_modes()
    modes = {}
    for mode in ("b", "doppler"):
        seen = await overview(made, narrowed=Narrowed(cohort=("mode", mode)))
        assert seen.every.total == 30 * FPS
        assert len(seen.page.frames) == sum(count for _, count in seen.counts)
        modes[mode] = len(seen.page.frames)
    assert sum(modes.values()) == 30
    nobody = await overview(made, narrowed=Narrowed(cohort=("mode", "m")))
    assert (nobody.every.total, list(nobody.page.frames)) == (0, [])


async def test_changes_of_the_range_are_told_and_where_nobody_knows_them_that_is() -> None:
    made = scene()
    told = [text for _, text in (await overview(made)).marks]
    assert told == ["deployed 1.4"]

    async def refuse(*_: object) -> None:
        raise away("tempo")

    made.traces.marks = refuse  # type: ignore[method-assign, assignment]
    seen = await overview(made)
    assert not seen.marks
    assert any(said.startswith("Change markers are not known: tempo") for said in seen.missing)


async def test_a_cohort_without_a_range_is_no_question() -> None:
    with pytest.raises(ValueError, match="pipeline and range"):
        await slow_frames(scene().stores, FrameQuery(), Narrowed(cohort=("mode", "b")))


async def test_pages_of_what_was_narrowed_follow_each_other_without_overlap() -> None:
    made = with_modes()
    query, seen = replace(QUERY, limit=4), []
    while True:
        page = await slow_frames(made.stores, query, Narrowed(cohort=("mode", "b")))
        seen += [item.trace_id for item in page.frames]
        if page.next_cursor is None:
            break
        query = replace(query, cursor=page.next_cursor)
    whole = await slow_frames(made.stores, QUERY, Narrowed(cohort=("mode", "b")))
    assert seen == [item.trace_id for item in whole.frames]


async def test_groups_tell_frames_slow_ones_and_what_they_lost() -> None:
    made = with_modes()
    by_mode = (await overview(made, group="attribute")).groups
    assert {(one.of, one.name, one.frames) for one in by_mode} == {
        ("mode", "b", 30 * FPS),
        ("mode", "doppler", 30 * FPS),
    }
    assert sum(one.slow for one in by_mode) == 30
    (cause,) = (await overview(made, group="cause")).groups
    assert (cause.name, cause.slow, cause.frames) == ("gpu_contention", 30, None)
    assert cause.lost_seconds == pytest.approx(30 * 0.019)
    seen = await overview(made, group="stage")
    assert sum(one.slow for one in seen.groups) == 30
    assert any("30 frames kept whole" in sentence for sentence in seen.missing)


async def test_frames_that_were_too_many_for_the_keep_budget_are_told() -> None:
    made = scene()
    assert (await overview(made)).not_kept in (None, 0)
    made.metrics.put(
        sig.FS_FRAMES_LOST,
        [NOW_NS - 5 * NS],
        [40.0],
        service__name=SERVICE,
        frame__pipeline=PIPELINE,
        reason="keep_budget",
    )
    seen = await overview(made)
    assert seen.not_kept == 40
    assert "no fair sample" in str(notes(seen))


async def test_a_metric_store_that_is_away_leaves_the_page_and_is_said() -> None:
    made = scene()
    made.metrics.error = away("metrics")
    seen = await overview(made)
    assert len(seen.page.frames) == 30 and seen.not_kept is None
    assert any("metrics does not answer" in sentence for sentence in seen.missing)
