"""The Live page's figures: as many points as can be seen, extremes kept; times in the viewer's zone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

import numpy as np
import plotly.graph_objects as go
import pytest
from scene import NOW_NS, NS, PIPELINE, SERVICE, scene

from framescope_ui.figures import lanes, quantity
from framescope_ui.figures.heat import heat_lane, place_of
from framescope_ui.figures.live import live_figure
from framescope_ui.figures.local_time import ZONE, localized, written_out
from framescope_ui.figures.readings import readings_figure
from framescope_ui.pages.push import Snapshots
from framescope_ui.pages.viewer import Viewer, viewer_of
from framescope_ui.questions.live import live
from framescope_ui.questions.thresholds import Thresholds
from framescope_ui.questions.views import Heat, Line, Live

MOST_POINTS = 2000
BERLIN = ZoneInfo("Europe/Berlin")


async def snapshot() -> Live:
    return await live(scene(60).stores, SERVICE, PIPELINE, NOW_NS, Thresholds())


def long_line(name: str, spike_at: int) -> Line:
    y: list[float | None] = [float(v) for v in np.random.default_rng(spike_at).normal(10, 1, 36_000)]
    y[spike_at], y[spike_at + 5], y[20_000] = 99.0, -42.0, None
    return Line(name, "s", [NOW_NS / NS - 3600 + i / 10 for i in range(36_000)], y)


async def test_a_series_of_an_hour_is_thinned_and_keeps_its_extremes() -> None:
    seen = await snapshot()
    keys = ("latency_p50", "latency_p95", "latency_p99", "fps_in", "fps_out", "cpu", "memory", "sync_gap")
    seen = replace(
        seen, history={**seen.history, **{key: [long_line(key, 7000 + n)] for n, key in enumerate(keys)}}
    )
    figure = live_figure(seen, "dark", 3600)
    assert all(len(trace.x) <= MOST_POINTS for trace in figure.data)
    for name, factor in (("p99, ms", 1e3), ("frames in, /s", 1.0), ("CPU, %", 100.0)):
        y = np.asarray(next(trace.y for trace in figure.data if trace.name == name))
        assert (np.nanmax(y), np.nanmin(y)) == pytest.approx((99.0 * factor, -42.0 * factor))
        assert np.isnan(y).any(), "the gap is still one"


def test_thinning_leaves_a_short_line_alone() -> None:
    line = Line("a", "1", [1.0, 2.0], [3.0, None])
    assert lanes.thinned(line) is line


async def test_minimal_has_latency_and_rates_alone() -> None:
    seen = await snapshot()
    named = live_figure(seen, "dark", minimal=True).layout.meta["lanes"].values()
    assert [name.split(",")[0] for name in named] == ["Latency", "Frames"]
    assert len(live_figure(seen, "dark").layout.meta["lanes"]) > 5


async def test_each_reading_of_a_gpu_and_each_custom_number_has_a_lane() -> None:
    seen = await snapshot()
    line = Line("score of a very long name", "", [NOW_NS / NS - 2, NOW_NS / NS - 1], [0.5, 0.9])
    figure = readings_figure(replace(seen, history={**seen.history, "custom": [line]}), "dark")
    assert figure is not None
    assert "score of a ver…" in figure.layout.meta["lanes"].values()
    assert readings_figure(replace(seen, gpus=[], history={}), "dark") is None


def test_a_latency_lies_where_its_bucket_is() -> None:
    heat = Heat(0.0, 1.0, [0.004, 0.008, 0.016], [[1.0], [2.0]])
    assert place_of(heat, 0.008) == pytest.approx(0.5)
    assert place_of(heat, 0.016) == pytest.approx(1.5)
    assert place_of(heat, 0.032) is None
    assert heat_lane(heat, 100).tick_text == ["5", "10"]


async def test_a_figure_in_the_browsers_own_zone_is_left_as_it_is() -> None:
    seen = await snapshot()
    plain, here = live_figure(seen, "dark"), live_figure(seen, "dark")
    with quantity.times_in(BERLIN, BERLIN):
        localized(here)
    assert here.layout.xaxis.range == plain.layout.xaxis.range
    assert here.layout.meta["moved_ms"] == 0


async def test_in_utc_every_date_is_moved_by_what_the_browser_will_add() -> None:
    seen = replace(await snapshot(), marks=[(NOW_NS / NS - 5, "deployed 1.4")])
    plain, moved = live_figure(seen, "dark"), live_figure(seen, "dark")
    with quantity.times_in(UTC, BERLIN):
        localized(localized(moved))  # once is enough
    offset = -quantity.local(NOW_NS / NS, BERLIN).utcoffset().total_seconds() * 1e3
    assert moved.layout.meta["moved_ms"] == offset
    assert moved.layout.xaxis.range[0] == plain.layout.xaxis.range[0] + offset
    assert moved.data[0].x[0] == plain.data[0].x[0] + offset
    lines = [s for s in moved.layout.shapes if s.xref == "x"]
    assert {s.x0 - offset for s in lines} == {s.x0 for s in plain.layout.shapes if s.xref == "x"}
    over_all = [s.x0 for s in moved.layout.shapes if s.xref == "paper"]
    assert set(over_all) == {0}


def zone_of(figure: go.Figure) -> str:
    return next(note.text for note in figure.layout.annotations if note.name == ZONE)


async def test_the_zone_that_is_named_is_the_one_that_is_drawn() -> None:
    """As a number a date is drawn in the reader's zone, as text where it stands."""
    marks = [(NOW_NS / NS - 5, "deployed 1.4")]
    seen = replace(await snapshot(), marks=marks)
    plain, here, elsewhere = (live_figure(seen, "dark") for _ in range(3))
    assert zone_of(plain) == "local time"
    with quantity.times_in(BERLIN, BERLIN):
        assert zone_of(localized(here)) == quantity.zone_name(NOW_NS / NS) != "UTC"
    written_out(written_out(elsewhere, BERLIN), UTC)  # once is enough
    assert zone_of(elsewhere) == zone_of(here)
    with quantity.times_in(BERLIN):
        now, mark = (quantity.local(at) for at in (NOW_NS / NS, marks[0][0]))
    assert elsewhere.layout.xaxis.range[1] == f"{now:%Y-%m-%d %H:%M:%S.%f}"
    drawn = [shape.x0 for shape in elsewhere.layout.shapes if shape.xref == "x"]
    assert f"{mark:%Y-%m-%d %H:%M:%S.%f}" in drawn
    assert all(isinstance(x, str) for x in elsewhere.data[0].x)
    elsewhere.to_json()


@pytest.mark.parametrize(
    ("screen", "text"),
    [
        ({"zone": "Europe/Berlin", "offset": 60}, "CET"),
        ({"zone": "Europe/Berlin", "offset": 60, "utc": True}, "UTC"),
        ({"zone": "Nowhere/Atall", "offset": -210}, "UTC-03:30"),
        ({"zone": "../../etc/passwd", "offset": "x"}, "UTC"),
        ({"zone": "Asia/Tehran", "offset": 210}, "UTC+0330"),
        ({}, "UTC"),
    ],
)
def test_times_say_their_zone(screen: dict[str, object], text: str) -> None:
    viewer = viewer_of("/", "", screen)
    with quantity.times_in(viewer.zone, viewer.home):
        assert quantity.moment(1_700_000_000).endswith(f" {text}")
    assert quantity.moment(1_700_000_000) == "22:13:20 UTC"


async def test_viewers_of_the_same_thing_are_sent_the_same() -> None:
    seen, snapshots = await snapshot(), Snapshots()
    first, second = (snapshots.of(seen, Viewer(every=pace))["live"] for pace in (0.0, 5.0))
    assert first is second
    assert snapshots.of(seen, Viewer(theme="light"))["live"] is not first
    assert snapshots.of(replace(seen), Viewer())["live"] is not first
    assert "live" not in snapshots.of(seen, Viewer(), due=False)
