"""What stands beside the Live page's charts, and what it says where there is nothing."""

from __future__ import annotations

from dataclasses import replace

from scene import NOW_NS, PIPELINE, SERVICE, scene

from framescope_ui.pages.live import side, tiles
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.live import live
from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.questions.views import Live, QueueNow


async def snapshot() -> Live:
    return await live(scene(60).stores, SERVICE, PIPELINE, NOW_NS, Thresholds())


async def test_what_there_is_none_of_teaches_the_way_to_it() -> None:
    nothing = replace(await snapshot(), queues=(), gpus=(), custom=(), counted=())
    said = str(side(nothing, Viewer()))
    for way in ("pipeline.watch_queue", "framescope doctor", "pipeline.gauge"):
        assert way in said
    everything = str(side(replace(nothing, custom=[("score", 0.9)]), Viewer()))
    assert "pipeline.gauge" not in everything


async def test_drops_say_their_reason() -> None:
    queue = QueueNow("gpu", 4, 4, 47.0, 0.03, [("queue_full", 40.0), ("superseded", 7.0)])
    seen = replace(await snapshot(), queues=[queue])
    assert "gpu queue: queue full" in str(tiles(seen))
    assert "superseded 7" in str(side(seen, Viewer()))


async def test_the_minimal_page_has_the_newest_slow_frames_beside_it_alone() -> None:
    assert len(side(await snapshot(), Viewer(minimal=True))) == 1


async def test_frames_lost_before_the_pipeline_are_told_where_the_source_numbers_them() -> None:
    seen = await snapshot()
    assert "Lost before" not in str(tiles(seen))
    assert "Lost before" in str(tiles(replace(seen, missed_per_minute=0.0)))
