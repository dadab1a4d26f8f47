"""Flat rows: the columns of A7, whatever is missing."""

from __future__ import annotations

from dataclasses import replace

from scene import NOW_NS, PIPELINE, SERVICE, scene

from framescope_ui.api.flat import history_rows, latest_row
from framescope_ui.questions.live import live
from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.questions.views import GpuNow, Line, Live, QueueNow


async def snapshot() -> Live:
    return await live(scene(30).stores, SERVICE, PIPELINE, NOW_NS, Thresholds())


async def test_a_second_gpu_has_columns_of_its_own() -> None:
    seen = await snapshot()
    second = GpuNow("1", "B", False, 0.9, None, None, None, None, None, None)
    row = latest_row(replace(seen, gpus=[*seen.gpus, second]))
    assert (row["gpu_utilization"], row["gpu1_utilization"]) == (seen.gpus[0].utilization, 0.9)


async def test_names_of_queues_become_columns() -> None:
    seen = await snapshot()
    row = latest_row(
        replace(seen, queues=[QueueNow("Real-time Q", 1, 2, 3, 4), QueueNow("出力", 1, 2, 3, 4)])
    )
    assert row["queue_real_time_q_drops"] == 3
    assert row["queue_unnamed_depth"] == 1


async def test_without_a_gpu_its_columns_are_there_and_empty() -> None:
    row = latest_row(replace(await snapshot(), gpus=[]))
    assert row["gpu_utilization"] is None
    assert row["gpu_temperature"] is None


async def test_a_reading_each_five_seconds_fills_the_rows_between() -> None:
    seen = await snapshot()
    times = list(seen.history["fps_out"][0].x)
    sparse = Line("CPU", "1", times[::5], [0.5] * len(times[::5]))
    rows = history_rows(replace(seen, history={**seen.history, "cpu": [sparse]}), 20)
    assert {row["cpu"] for row in rows} == {0.5}


async def test_a_hole_stays_a_hole() -> None:
    seen = await snapshot()
    times = list(seen.history["fps_out"][0].x)
    broken = Line("CPU", "1", [*times[:5], *times[-2:]], [0.5] * 7)
    rows = history_rows(replace(seen, history={**seen.history, "cpu": [broken]}), 100)
    assert [row["cpu"] for row in rows][10:15] == [None] * 5


async def test_nothing_known_is_no_rows() -> None:
    assert history_rows(replace(await snapshot(), history={}), 300) == []


async def test_drops_counted_once_stand_in_one_row_and_depths_hold() -> None:
    seen = await snapshot()
    times = list(seen.history["fps_out"][0].x)
    queue = seen.queues[0].name
    drops = Line(queue, "{frame}", times[::5], [3.0] * len(times[::5]))
    depth = Line(queue, "{item}", times[::5], [2.0] * len(times[::5]))
    rows = history_rows(
        replace(seen, history={**seen.history, "queue_drops": [drops], "queue_depth": [depth]}), 99
    )
    inside = [row for row in rows if times[0] <= float(row["timestamp"] or 0) <= times[-1]]
    assert [row["queue_rt_drops"] for row in inside] == [
        3.0 if i % 5 == 0 else None for i in range(len(times))
    ]
    assert {row["queue_rt_depth"] for row in inside} == {2.0}
