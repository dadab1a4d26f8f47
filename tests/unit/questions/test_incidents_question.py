"""Storms of slow frames, found over every frame, with what came right before them."""

from __future__ import annotations

from dataclasses import replace

from memory_stores import away
from scene import FPS, NOW_NS, NS, PIPELINE, SERVICE, Scene, scene

from framescope import signals as sig
from framescope_ui.backends.protocols import Mark
from framescope_ui.pages.incidents import incidents_card
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.incidents import incidents

END = NOW_NS / NS
STORM_S = (20, 24)
"""Seconds before the end in which the storm began and ended, counted from the scene's start of a minute."""


def stormy(cause: str = "gpu_contention", pipeline: str = PIPELINE, from_second: int = STORM_S[0]) -> Scene:
    """The scene, with four seconds in which every frame took 40 ms and one was dropped."""
    made = scene()
    for place in range(from_second, from_second + STORM_S[1] - STORM_S[0]):
        outcomes = sig.OUTCOMES["dropped"] + sig.OUTCOMES["slow"] * (FPS - 1)
        made.traces.batches[place] = replace(
            made.traces.batches[place],
            pipeline=pipeline,
            outcomes=outcomes,
            latencies_us=[40_000] * FPS,
            causes=[sig.CAUSES[cause].code] * (FPS - 1),
        )
    return made


async def test_a_storm_is_one_incident_with_its_cost_and_its_worst_frame() -> None:
    (one,) = (await incidents(stormy().stores, SERVICE, PIPELINE, END - 60, END)).incidents
    assert (one.cause, one.slow, one.dropped) == ("gpu_contention", 4 * (FPS - 1) + 1, 4)
    assert 19 < one.start - (END - 60) < 21 and 3.9 < one.end - one.start < 6  # with one of the usual ones
    assert abs(one.lost_seconds - (4 * 49 * 0.028 + 0.019)) < 0.001
    assert one.worst_latency_seconds == 0.04
    assert not one.going_on
    assert one.sentence == (
        "197 of 202 frames slow within 4.0 s, 5.51 s lost in all, 100 % of it to GPU contention; 4 dropped."
    )
    assert [share.cause for share in one.shares] == ["gpu_contention"]


async def test_a_slow_frame_now_and_then_is_none() -> None:
    found = await incidents(scene().stores, SERVICE, PIPELINE, END - 60, END)
    assert (list(found.incidents), found.cut_before) == ([], None)


async def test_a_change_right_before_is_its_trigger_and_one_long_before_is_not() -> None:
    made = stormy()
    began = NOW_NS - 40 * NS
    made.traces.marked = [
        Mark(SERVICE, began - 2 * NS, "deployed 1.5"),
        Mark(SERVICE, began + 2 * NS, "later"),
    ]
    (one,) = (await incidents(made.stores, SERVICE, PIPELINE, END - 60, END)).incidents
    assert one.trigger is not None
    assert (one.trigger.kind, one.trigger.text) == ("mark", "deployed 1.5")
    assert 1 < one.trigger.before_seconds < 3
    assert "after “deployed 1.5”" in one.sentence
    made.traces.marked = [Mark(SERVICE, began - 30 * NS, "long ago")]
    (one,) = (await incidents(made.stores, SERVICE, PIPELINE, END - 60, END)).incidents
    assert one.trigger is None


async def test_what_the_flight_recorder_kept_because_of_it_is_no_trigger() -> None:
    made = stormy()
    made.traces.marked = [
        Mark(SERVICE, NOW_NS - 41 * NS, "deployed 1.5"),
        Mark(SERVICE, NOW_NS - 40 * NS, f"{sig.MARK_KEPT}5 s: 49 slow of 50 frames"),
    ]
    (one,) = (await incidents(made.stores, SERVICE, PIPELINE, END - 60, END)).incidents
    assert one.trigger is not None and one.trigger.text == "deployed 1.5"


async def test_another_pipelines_storm_right_before_is_its_trigger() -> None:
    made = stormy()
    other = stormy("cpu_contention", from_second=17).traces.batches[17:21]
    made.traces.batches += [replace(one, pipeline="archive") for one in other]
    (one,) = (await incidents(made.stores, SERVICE, PIPELINE, END - 60, END)).incidents
    assert one.trigger is not None
    assert one.trigger.text == f"{SERVICE} / archive became slow (CPU contention)"


async def test_where_nobody_tells_of_changes_the_incidents_are_told_all_the_same() -> None:
    made = stormy()

    async def refuse(*_: object) -> list[Mark]:
        raise away("traces")

    made.traces.marks = refuse  # type: ignore[method-assign]
    (one,) = (await incidents(made.stores, SERVICE, PIPELINE, END - 60, END)).incidents
    assert one.trigger is None


async def test_one_that_reaches_the_end_of_the_range_may_go_on() -> None:
    made = stormy()
    found = await incidents(made.stores, SERVICE, PIPELINE, END - 60, END - 37)
    (one,) = found.incidents
    assert one.going_on
    # Hours later, too, the page must not say that it still does.
    page = str(incidents_card(found, Viewer("/frames", SERVICE, PIPELINE))[0])
    assert f"at least {one.end - one.start:.1f} s" in page and "going on" not in page
