"""One frame for ui.perfetto.dev, held against the Trace Event Format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from frames import a_frame, crossing, hostile

from framescope_ui.questions.views import FrameView
from framescope_ui.reports.frame_perfetto import frame_perfetto

REQUIRED = {
    "X": {"name", "cat", "ph", "ts", "dur", "pid", "tid"},
    "C": {"name", "ph", "ts", "pid", "args"},
    "i": {"name", "ph", "ts", "pid", "tid", "s"},
    "s": {"name", "cat", "id", "ph", "ts", "pid", "tid"},
    "f": {"name", "cat", "id", "ph", "ts", "pid", "tid", "bp"},
    "M": {"name", "ph", "pid", "args"},
}
"""The fields that the format asks of each phase."""
METADATA = {"process_name", "process_sort_index", "thread_name", "thread_sort_index"}


def trace(view: FrameView) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    made: dict[str, Any] = json.loads(frame_perfetto(view), parse_constant=refuse)
    return made


@pytest.mark.parametrize("view", [a_frame, crossing, hostile], ids=lambda made: made.__name__)
async def test_every_event_is_as_the_format_says(view: Any) -> None:
    made = trace(await view())
    assert made["displayTimeUnit"] == "ms"
    for event in made["traceEvents"]:
        assert REQUIRED[event["ph"]] <= set(event), event
        assert isinstance(event["pid"], int) and isinstance(event.get("tid", 0), int)
        if event["ph"] == "M":
            assert event["name"] in METADATA
            continue
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "C":
            assert all(isinstance(value, (int, float)) for value in event["args"].values())


@pytest.mark.parametrize("view", [a_frame, crossing], ids=lambda made: made.__name__)
async def test_slices_of_one_track_nest_perfectly(view: Any) -> None:
    by_track: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in trace(await view())["traceEvents"]:
        if event["ph"] == "X":
            span = (event["ts"], event["ts"] + event["dur"])
            by_track.setdefault((event["pid"], event["tid"]), []).append(span)
    for spans in by_track.values():
        for left in spans:
            for right in spans:
                assert not left[0] < right[0] < left[1] < right[1], "two slices overlap without nesting"


async def test_threads_and_queues_are_tracks_and_the_path_goes_between_them() -> None:
    events = trace(await crossing())["traceEvents"]
    tracks = {
        event["tid"]: event["args"]["name"]
        for event in events
        if event["name"] == "thread_name" and event["pid"] == 1
    }
    assert sorted(tracks.values()) == ["frame", "grabber", "queues", "worker", "worker (2)"]
    where = {
        event["name"]: tracks[event["tid"]] for event in events if event["ph"] == "X" and event["pid"] == 1
    }
    assert (where["capture"], where["rt"], where["infer"]) == ("grabber", "queues", "worker")
    flows = [(event["ph"], tracks[event["tid"]]) for event in events if event["ph"] in "sf"]
    assert flows == [("s", "grabber"), ("f", "queues"), ("s", "queues"), ("f", "worker")]
    for event in events:  # each end lies inside a slice of its track
        if event["ph"] in "sf":
            assert any(
                one["ph"] == "X" and one["tid"] == event["tid"] and one["pid"] == 1
                and one["ts"] <= event["ts"] < one["ts"] + one["dur"]
                for one in events
            )  # fmt: skip


async def test_times_are_the_frames_own_and_say_when_they_were() -> None:
    view = await a_frame()
    made = trace(view)
    events = {
        event["name"]: event for event in made["traceEvents"] if event["ph"] == "X" and event["pid"] == 1
    }
    frame, denoise = events["Frame 1\u202f499"], events["denoise"]
    assert frame["dur"] == pytest.approx(31_000)
    assert denoise["ts"] - frame["ts"] == pytest.approx(4_000, abs=0.01)
    assert denoise["args"]["lost to GPU contention, ms"] == pytest.approx(19)
    began = float(made["otherData"]["unix time of ts 0, s"])
    assert began + frame["ts"] / 1e6 == pytest.approx(view.due, abs=1e-5)
    assert "simulated" in made["otherData"]["GPU"]
    counters = {event["name"] for event in made["traceEvents"] if event["ph"] == "C"}
    assert {"GPU load, %", "GPU clock, MHz", "queue RT"} <= counters
