"""What every backend must answer, whatever is behind it.

A subclass gives the fixture ``stores``; each test makes up a service name of its own, so that one
running backend serves all of them. ``send`` returns when what it sent can be read.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import emission
import numpy as np
import pytest
from emission import MS, SECOND
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status, StatusCode

from framescope import signals
from framescope_ui.backends.protocols import (
    BackendAway,
    FrameQuery,
    FrameRow,
    MetricStore,
    TraceStore,
)
from framescope_ui.questions.correlate import correlate
from framescope_ui.questions.stores import Stores as Both


class Send(Protocol):
    """Pushes over OTLP; returns when it can be read."""

    def __call__(self, spans: Sequence[ReadableSpan] = (), metrics: MetricsData | None = None) -> None: ...


@dataclass(frozen=True)
class Stores:
    """A backend under test. ``stop`` and ``start`` take it away and bring it back with its data."""

    traces: TraceStore
    metrics: MetricStore
    send: Send
    stop: Callable[[], None]
    start: Callable[[], None]


@pytest.fixture
def service() -> str:
    return f"scanner-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def base() -> int:
    """A whole second, a minute ago: recent enough for every backend."""
    return (time.time_ns() // SECOND - 60) * SECOND


async def _all_pages(
    ask: Callable[[str | None], Awaitable[tuple[Sequence[FrameRow], str | None]]],
) -> list[FrameRow]:
    rows: list[FrameRow] = []
    cursor = None
    while True:
        page, cursor = await ask(cursor)
        rows += page
        if cursor is None:
            return rows


class StoreContract:
    """The cases; see the module."""

    async def test_slow_frames_come_by_cause_in_the_order_asked_for(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service)
        sent = [("gpu_contention", 31), ("cpu_work", 12), ("gpu_contention", 18), (None, 8)]
        for place, (cause, latency) in enumerate(sent):
            stores.send(
                emission.frame(
                    origin, base + place * SECOND, latency * MS, frame_id=place, cause=cause, guilty="denoise"
                )
            )
        asked = FrameQuery(service=service, start_ns=base, end_ns=base + 10 * SECOND)

        everything = await stores.traces.frames(asked)
        assert [row.attributes[signals.FRAME_ID] for row in everything.frames] == [3, 2, 1, 0]
        longest = await stores.traces.frames(
            FrameQuery(service=service, start_ns=base, end_ns=base + 10 * SECOND, order="duration")
        )
        assert [row.latency_ns // MS for row in longest.frames] == [31, 18, 12, 8]
        by_cause = await stores.traces.frames(
            FrameQuery(service=service, start_ns=base, end_ns=base + 10 * SECOND, causes=("gpu_contention",))
        )
        assert [row.latency_ns // MS for row in by_cause.frames] == [18, 31]
        slow = await stores.traces.frames(
            FrameQuery(
                service=service,
                pipeline="ultrasound",
                start_ns=base,
                end_ns=base + 10 * SECOND,
                outcomes=("slow",),
            )
        )
        assert len(slow.frames) == 3
        assert {row.stage for row in slow.frames} == {"denoise"}
        over_15 = await stores.traces.frames(
            FrameQuery(service=service, start_ns=base, end_ns=base + 10 * SECOND, min_latency_ns=15 * MS)
        )
        assert [row.latency_ns // MS for row in over_15.frames] == [18, 31]

    async def test_a_range_holds_its_start_and_not_its_end(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service)
        for place in range(3):
            stores.send(
                emission.frame(origin, base + place * SECOND, 20 * MS, frame_id=place, cause="cpu_work")
            )
        page = await stores.traces.frames(
            FrameQuery(service=service, start_ns=base, end_ns=base + 2 * SECOND)
        )
        assert [row.attributes[signals.FRAME_ID] for row in page.frames] == [1, 0]

    async def test_frames_of_one_stage_are_found_by_the_stage_that_lost_most(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service)
        stores.send(emission.frame(origin, base, 30 * MS, cause="gpu_work", guilty="denoise"))
        stores.send(emission.frame(origin, base + SECOND, 30 * MS, cause="io_wait", guilty="render"))
        page = await stores.traces.frames(FrameQuery(service=service, start_ns=base, stage="render"))
        assert [row.attributes[signals.FRAME_CAUSE_NAME] for row in page.frames] == ["io_wait"]

    async def test_one_frame_comes_back_whole(self, stores: Stores, service: str, base: int) -> None:
        origin = emission.resource(service)
        extra = {
            signals.GPU_UTILIZATION_MEAN: 0.97,
            signals.GPU_ID: "0",
            "image.rows": 240,
            "modes": ["B", "M"],
        }
        spans = emission.frame(
            origin, base, 31_234_567, cause="gpu_contention", guilty="denoise", extra=extra
        )
        failed = emission.span(
            "overlay",
            base + MS,
            base + 2 * MS,
            {signals.FRAME_STAGE_NAME: "overlay", signals.FRAME_STAGE_KIND: "cpu"},
            origin,
            parent=spans[0],
            status=Status(StatusCode.ERROR, "no image"),
            events=[Event("exception", {"exception.type": "ValueError"}, base + MS + 500)],
        )
        stores.send([*spans, failed])

        found = await stores.traces.trace(emission.trace_id_of(spans[0]))

        assert found is not None
        assert found.resource[signals.SERVICE_NAME] == service
        root = found.spans[0]
        assert (root.name, root.parent_span_id) == (signals.SPAN_FRAME, None)
        assert (root.start_ns, root.end_ns) == (base, base + 31_234_567)
        assert root.attributes[signals.GPU_UTILIZATION_MEAN] == 0.97
        assert root.attributes["image.rows"] == 240
        assert list(root.attributes["modes"]) == ["B", "M"]  # type: ignore[call-overload]
        assert root.attributes[signals.FRAME_SLOW] is True
        stages = {span.name: span for span in found.spans[1:]}
        assert set(stages) == {"capture", "denoise", "render", "overlay"}
        assert all(span.parent_span_id == root.span_id for span in stages.values())
        assert stages["overlay"].status == "error"
        assert stages["overlay"].status_message == "no image"
        assert [(event.name, event.time_ns) for event in stages["overlay"].events] == [
            ("exception", base + MS + 500)
        ]

    async def test_a_trace_that_came_in_pieces_is_answered_as_one(
        self, stores: Stores, service: str, base: int
    ) -> None:
        root, *stages = emission.frame(
            emission.resource(service), base, 30 * MS, cause="gpu_work", guilty="denoise"
        )
        stores.send(stages[:1])
        stores.send([root])
        stores.send(stages[1:])
        found = await stores.traces.trace(emission.trace_id_of(root))
        assert found is not None
        assert found.spans[0].name == signals.SPAN_FRAME
        assert {span.name for span in found.spans} == {"frame", "capture", "denoise", "render"}
        page = await stores.traces.frames(FrameQuery(service=service, start_ns=base))
        assert [row.stage for row in page.frames] == ["denoise"]

    async def test_a_trace_without_any_of_our_attributes_is_answered_all_the_same(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service)
        server = emission.span("GET /scan", base, base + 50 * MS, {"http.request.method": "GET"}, origin)
        query = emission.span("SELECT", base + MS, base + 9 * MS, {"db.system": "x"}, origin, parent=server)
        stores.send([server, query])
        found = await stores.traces.trace(emission.trace_id_of(server))
        assert found is not None
        assert [span.name for span in found.spans] == ["GET /scan", "SELECT"]
        assert (await stores.traces.frames(FrameQuery(service=service))).frames == ()

    async def test_an_unknown_trace_is_none(self, stores: Stores) -> None:
        assert await stores.traces.trace(uuid.uuid4().hex) is None
        assert await stores.traces.trace("not an id") is None

    async def test_an_empty_range_and_an_unknown_service_are_empty_answers(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service)
        stores.send(
            [*emission.frame(origin, base, 20 * MS), emission.frames_record(origin, base, 0, [9000])],
            emission.metrics_of(origin, [emission.gauge(signals.HW_GPU_UTILIZATION, [(base, 0.5)], {})]),
        )
        before, after = base - 20 * SECOND, base - 10 * SECOND
        for who, start, end in ((service, before, after), ("nobody", base, base + SECOND)):
            where = {signals.SERVICE_NAME: who}
            page = await stores.traces.frames(FrameQuery(service=who, start_ns=start, end_ns=end))
            assert (page.frames, page.next_cursor) == ((), None)
            assert await stores.traces.every_frame(who, "ultrasound", start, end) == []
            assert await stores.traces.marks(who, start, end) == []
            assert await stores.metrics.gauge(signals.HW_GPU_UTILIZATION, where, start, end) == []
            assert await stores.metrics.increase(signals.FRAME_COUNT, where, start, end, SECOND) == []
            assert await stores.metrics.histogram(signals.FRAME_LATENCY, where, start, end, SECOND) == []

    async def test_paging_gives_every_frame_once(self, stores: Stores, service: str, base: int) -> None:
        origin = emission.resource(service)
        spans = []
        for place in range(250):
            # Latencies repeat, and so do starts: the cursor must tell equals apart.
            latency = (11 + place % 7) * MS
            spans += emission.frame(origin, base + place // 3 * MS, latency, frame_id=place, cause="cpu_work")
        stores.send(spans)
        for order in ("time", "duration"):

            async def page(cursor: str | None, order: str = order) -> tuple[Sequence[FrameRow], str | None]:
                answer = await stores.traces.frames(
                    FrameQuery(service=service, order=order, limit=40, cursor=cursor)  # type: ignore[arg-type]
                )
                return answer.frames, answer.next_cursor

            rows = await _all_pages(page)
            ids = [row.attributes[signals.FRAME_ID] for row in rows]
            assert sorted(ids) == list(range(250))  # type: ignore[type-var]
            keys = [row.latency_ns if order == "duration" else row.start_ns for row in rows]
            assert keys == sorted(keys, reverse=True)

    async def test_frames_that_arrive_while_somebody_pages_repeat_nothing(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service)
        for place in range(10):
            stores.send(emission.frame(origin, base + place * MS, 20 * MS, frame_id=place))
        first = await stores.traces.frames(FrameQuery(service=service, limit=5))
        stores.send(emission.frame(origin, base + SECOND, 20 * MS, frame_id=99))
        second = await stores.traces.frames(FrameQuery(service=service, limit=5, cursor=first.next_cursor))
        ids = [row.attributes[signals.FRAME_ID] for row in (*first.frames, *second.frames)]
        assert ids == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]

    async def test_a_cursor_that_is_not_ours_is_a_value_error(self, stores: Stores, service: str) -> None:
        for cursor in ("", "x", "%%%", "WzEsMl0", "é", "bnVsbA"):
            with pytest.raises(ValueError, match="cursor"):
                await stores.traces.frames(FrameQuery(service=service, cursor=cursor))

    async def test_gpu_readings_100_ms_apart_keep_their_own_times(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service)
        readings = [(base + place * 100 * MS, place / 100) for place in range(50)]
        others = [(at + 7 * MS, 1 - value) for at, value in readings]
        stores.send(
            metrics=emission.metrics_of(
                origin,
                [
                    emission.gauge(signals.HW_GPU_UTILIZATION, readings, {signals.HW_ID: "0"}),
                    emission.gauge(signals.HW_GPU_UTILIZATION, others, {signals.HW_ID: "1"}),
                ],
            )
        )
        where = {signals.SERVICE_NAME: service}
        found = await stores.metrics.gauge(signals.HW_GPU_UTILIZATION, where, base, base + 5 * SECOND)
        by_gpu = {series.attributes[signals.HW_ID]: series for series in found}
        assert list(by_gpu["0"].times_ns) == [at for at, _ in readings]
        assert list(by_gpu["0"].values) == pytest.approx([value for _, value in readings])
        assert list(by_gpu["1"].times_ns) == [at for at, _ in others]
        where[signals.HW_ID] = "1"
        (second,) = await stores.metrics.gauge(
            signals.HW_GPU_UTILIZATION, where, base + 107 * MS, base + 1007 * MS
        )
        assert list(second.times_ns) == [at for at, _ in others[1:10]]

    async def test_a_series_over_its_greatest_number_of_points_keeps_the_newest(
        self, stores: Stores, service: str, base: int
    ) -> None:
        readings = [(base + place * 100 * MS, float(place)) for place in range(50)]
        stores.send(
            metrics=emission.metrics_of(
                emission.resource(service), [emission.gauge(signals.HW_POWER, readings, {})]
            )
        )
        (series,) = await stores.metrics.gauge(
            signals.HW_POWER, {signals.SERVICE_NAME: service}, base, base + 9 * SECOND, max_points=10
        )
        assert list(series.values) == [float(place) for place in range(40, 50)]

    async def test_a_busy_series_takes_no_room_from_a_quiet_one_asked_for_beside_it(
        self, stores: Stores, service: str, base: int
    ) -> None:
        busy = [(base + place * 100 * MS, float(place)) for place in range(50)]
        quiet = [(base + place * SECOND, float(place)) for place in range(2)]
        gauges = [
            emission.gauge(signals.HW_POWER, busy, {}),
            emission.gauge(signals.HW_TEMPERATURE, quiet, {}),
        ]
        stores.send(metrics=emission.metrics_of(emission.resource(service), gauges))
        where, end = {signals.SERVICE_NAME: service}, base + 9 * SECOND
        ((much,), (little,)) = await asyncio.gather(
            stores.metrics.gauge(signals.HW_POWER, where, base, end, max_points=10),
            stores.metrics.gauge(signals.HW_TEMPERATURE, where, base, end, max_points=10),
        )
        assert list(much.values) == [float(place) for place in range(40, 50)]
        assert list(little.values) == [0, 1]

    async def test_a_counter_grows_by_step_from_its_start_through_a_restart(
        self, stores: Stores, service: str, base: int
    ) -> None:
        told = {signals.FRAME_PIPELINE: "ultrasound", signals.FRAME_OUTCOME: "on_time"}
        origin = emission.resource(service)
        first = [(base + place * SECOND, 60.0 * place) for place in range(1, 6)]
        second = [(base + place * SECOND, 60.0 * (place - 6)) for place in range(7, 10)]
        count = signals.FRAME_COUNT
        stores.send(metrics=emission.metrics_of(origin, [emission.counter(count, base, first, told)]))
        stores.send(
            metrics=emission.metrics_of(origin, [emission.counter(count, base + 6 * SECOND, second, told)])
        )
        (series,) = await stores.metrics.increase(
            count, {signals.SERVICE_NAME: service}, base, base + 10 * SECOND, 2 * SECOND
        )
        ends = [(at - base) // SECOND for at in series.times_ns]
        assert ends == [2, 4, 6, 8, 10]
        assert list(series.values) == [60, 120, 120, 60, 120]
        assert series.attributes[signals.FRAME_OUTCOME] == "on_time"

    async def test_a_counter_older_than_the_range_only_tells_what_it_grew_by(
        self, stores: Stores, service: str, base: int
    ) -> None:
        points = [(base + place * SECOND, 1000.0 + 60 * place) for place in range(5)]
        metric = emission.counter(signals.FRAME_COUNT, base - 3600 * SECOND, points, {})
        stores.send(metrics=emission.metrics_of(emission.resource(service), [metric]))
        where = {signals.SERVICE_NAME: service}
        (whole,) = await stores.metrics.increase(
            signals.FRAME_COUNT, where, base, base + 5 * SECOND, 5 * SECOND
        )
        assert list(whole.values) == [240]
        (later,) = await stores.metrics.increase(
            signals.FRAME_COUNT, where, base + 2 * SECOND, base + 5 * SECOND, 3 * SECOND
        )
        assert list(later.values) == [180]

    async def test_two_emitters_of_one_service_are_added_after_differencing(
        self, stores: Stores, service: str, base: int
    ) -> None:
        for instance, size in (("i-1", 1000.0), ("i-2", 10.0)):
            points = [(base + place * SECOND, size * place) for place in range(1, 5)]
            metric = emission.counter(signals.FRAME_COUNT, base, points, {})
            stores.send(metrics=emission.metrics_of(emission.resource(service, instance), [metric]))
        found = await stores.metrics.increase(
            signals.FRAME_COUNT, {signals.SERVICE_NAME: service}, base, base + 5 * SECOND, 5 * SECOND
        )
        assert sum(series.values[0] for series in found) == 4040

    async def test_a_histogram_grows_by_step_with_its_own_bounds(
        self, stores: Stores, service: str, base: int
    ) -> None:
        points = [(base + s * SECOND, {0.004: 90 * s, 0.030: 10 * s}) for s in range(1, 5)]
        metric = emission.histogram(
            signals.FRAME_LATENCY, base, points, {signals.FRAME_PIPELINE: "ultrasound"}
        )
        stores.send(metrics=emission.metrics_of(emission.resource(service), [metric]))
        (series,) = await stores.metrics.histogram(
            signals.FRAME_LATENCY,
            {signals.SERVICE_NAME: service, signals.FRAME_PIPELINE: "ultrasound"},
            base,
            base + 5 * SECOND,
            SECOND,
        )
        assert list(series.bounds) == pytest.approx(list(signals.HISTOGRAM_BOUNDS))
        assert [(at - base) // SECOND for at in series.times_ns] == [2, 3, 4, 5]
        for counts, total in zip(series.counts, series.sums, strict=True):
            assert len(counts) == len(series.bounds) + 1
            assert sum(counts) == 100
            assert total == pytest.approx(90 * 0.004 + 10 * 0.030)
            p99_bucket = int(np.searchsorted(np.cumsum(counts), 99))
            assert series.bounds[p99_bucket - 1] < 0.030 <= series.bounds[p99_bucket]

    async def test_every_frame_has_its_latency(self, stores: Stores, service: str, base: int) -> None:
        origin = emission.resource(service)
        latencies = [
            [8000 + (second * 100 + place) % 50 * 100 for place in range(100)] for second in range(5)
        ]
        for second, values in enumerate(latencies):
            stores.send([emission.frames_record(origin, base + second * SECOND, second * 100, values)])
        batches = await stores.traces.every_frame(service, "ultrasound", base, base + 5 * SECOND)
        assert [batch.first_id for batch in batches] == [0, 100, 200, 300, 400]
        assert [list(batch.latencies_us) for batch in batches] == latencies
        first = batches[0]
        assert (first.start_ns, first.budget_ns) == (base, 10 * MS)
        assert list(first.offsets_us[:3]) == [0, 10_000, 20_000]
        assert len(first.causes) == first.outcomes.count("s") > 0
        assert list(first.depths["gpu"][:4]) == [0, 1, 2, 0]
        newest = await stores.traces.every_frame(service, "ultrasound", base, base + 5 * SECOND, limit=2)
        assert [batch.first_id for batch in newest] == [300, 400]
        overlap = await stores.traces.every_frame(service, "ultrasound", base + 1500 * MS, base + 1600 * MS)
        assert [batch.first_id for batch in overlap] == [100]

    async def test_content_attributes_of_every_frame_come_where_they_are_asked_for(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin, modes = emission.resource(service), ["doppler", "b", "", "b"]
        told = {"mode": modes, "depth of scan": ["4.5"]}
        stores.send([emission.frames_record(origin, base, 0, [8000] * 4, attributes=told)])
        stores.send([emission.frames_record(origin, base + SECOND, 4, [8000], attributes={"mode": ["b"]})])
        first, second = await stores.traces.every_frame(
            service, "ultrasound", base, base + 5 * SECOND, attributes=True
        )
        assert {name: list(texts) for name, texts in first.attributes.items()} == {
            "mode": modes,
            "depth of scan": ["4.5"],
        }
        assert {name: list(texts) for name, texts in second.attributes.items()} == {"mode": ["b"]}
        assert list(first.depths["gpu"]) == [0, 1, 2, 0]

    async def test_a_record_tells_the_version_of_its_service(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service).merge(Resource({signals.SERVICE_VERSION: "1.4"}))
        stores.send([emission.frames_record(origin, base, 0, [8000] * 4)])
        (one,) = await stores.traces.every_frame(service, "ultrasound", base, base + SECOND, attributes=True)
        assert {name: list(texts) for name, texts in one.attributes.items()} == {
            signals.SERVICE_VERSION: ["1.4"]
        }

    async def test_frames_are_asked_for_by_why_they_were_kept(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service)
        for place, why in enumerate(("baseline", "neighbour", "baseline")):
            stores.send(
                emission.frame(origin, base + place * SECOND, 8 * MS, extra={signals.FRAME_KEPT: why})
            )
        page = await stores.traces.frames(FrameQuery(service=service, kept=("baseline",)))
        assert [row.attributes[signals.FRAME_KEPT] for row in page.frames] == ["baseline"] * 2

    async def test_marks_come_oldest_first(self, stores: Stores, service: str, base: int) -> None:
        origin = emission.resource(service)
        stores.send([emission.mark(origin, base + SECOND, "1.5"), emission.mark(origin, base, "1.4")])
        found = await stores.traces.marks(service, base, base + 10 * SECOND)
        assert [(mark.time_ns, mark.text) for mark in found] == [
            (base, "1.4"),
            (base + SECOND, "1.5"),
        ]

    async def test_pipelines_heard_of_come_newest_first(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service, host="ward-3")
        stores.send([emission.frames_record(origin, base, 0, [9000] * 10, pipeline="older")])
        stores.send([emission.frames_record(origin, base + 5 * SECOND, 0, [9000] * 10, pipeline="newer")])
        found = await stores.traces.pipelines(base, base + 10 * SECOND)
        mine = [one for one in found if one.service == service]
        assert [one.pipeline for one in mine] == ["newer", "older"]
        assert mine[0].host == "ward-3"
        assert mine[0].newest_ns is not None and mine[0].newest_ns >= base + 5 * SECOND
        assert [
            one for one in await stores.traces.pipelines(base - 9 * SECOND, base) if one.service == service
        ] == []

    @pytest.mark.parametrize(
        "name",
        [
            "'; DROP TABLE frame; --",
            '" OR 1=1 --',
            "$1",
            "?",
            "a\x00b",
            "\\",
            "%",
            "日本語🙂",
            "{{x}}",
            "' OR ''='",
        ],
    )
    async def test_a_name_made_to_break_queries_is_a_name_like_any_other(
        self, stores: Stores, service: str, base: int, name: str
    ) -> None:
        origin = emission.resource(service)
        stores.send(emission.frame(origin, base, 20 * MS, cause="cpu_work", guilty="denoise"))
        for asked in (
            FrameQuery(service=name),
            FrameQuery(service=service, pipeline=name),
            FrameQuery(service=service, causes=(name,)),
            FrameQuery(service=service, outcomes=(name,)),
            FrameQuery(service=service, stage=name),
        ):
            assert (await stores.traces.frames(asked)).frames == ()
        end = base + 10 * SECOND
        assert await stores.traces.trace(name) is None
        assert await stores.traces.every_frame(name, name, base, end) == []
        assert await stores.traces.marks(name, base, end) == []
        assert await stores.metrics.gauge(name, {name: name}, base, end) == []
        assert await stores.metrics.increase(signals.FRAME_COUNT, {name: name}, base, end, SECOND) == []
        assert await stores.metrics.histogram(name, {signals.SERVICE_NAME: name}, base, end, SECOND) == []
        assert len((await stores.traces.frames(FrameQuery(service=service))).frames) == 1

    async def test_a_backend_that_is_gone_is_away_and_comes_back_with_its_data(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin = emission.resource(service)
        stores.send(emission.frame(origin, base, 20 * MS))
        assert len((await stores.traces.frames(FrameQuery(service=service))).frames) == 1
        stores.stop()
        try:
            with pytest.raises(BackendAway):
                await stores.traces.frames(FrameQuery(service=service))
            with pytest.raises(BackendAway):
                await stores.metrics.gauge(signals.HW_POWER, {}, base, base + SECOND)
        finally:
            stores.start()
        assert len((await stores.traces.frames(FrameQuery(service=service))).frames) == 1

    async def test_correlate_gives_the_same_answer_on_every_backend(
        self, stores: Stores, service: str, base: int
    ) -> None:
        origin, seconds, fps = emission.resource(service), 100, 50
        start = base - 60 * SECOND
        random = np.random.default_rng(1)
        busy = np.arange(seconds) % 10 < 4
        spans, slow_when_busy = [emission.mark(origin, start + 3 * SECOND, "deployed 1.4")], 0
        convex, other = 0, np.random.default_rng(2)
        for second in range(seconds):
            slow = random.random(fps) < (0.3 if busy[second] else 0.03)
            slow_when_busy += int(slow.sum()) if busy[second] else 0
            latencies = [18_000 if one else 8_000 for one in slow]
            at = start + second * SECOND
            probe = ["convex" if other.random() < (0.9 if one else 0.3) else "linear" for one in slow]
            convex += probe.count("convex")
            record = emission.frames_record(
                origin, at, second * fps, latencies, period_us=20_000, attributes={"probe": probe}
            )
            spans.append(record)
            for place in (*np.flatnonzero(slow)[:1].tolist(), *np.flatnonzero(~slow)[:1].tolist()):
                spans += emission.frame(
                    origin,
                    at + place * 20 * MS,
                    latencies[place] * 1000,
                    frame_id=second * fps + place,
                    cause="gpu_contention" if slow[place] else None,
                    guilty="denoise",
                    extra={"mode": "doppler" if random.random() < (0.9 if slow[place] else 0.1) else "b"},
                )
        readings = [
            (start + (i + 1) * SECOND // 10, 0.95 if busy[i // 10] else 0.6) for i in range(seconds * 10)
        ]
        gpu = {signals.HW_ID: "0", signals.HW_NAME: "GPU"}
        stores.send(spans)
        stores.send(
            metrics=emission.metrics_of(origin, [emission.gauge(signals.HW_GPU_UTILIZATION, readings, gpu)])
        )

        found = await correlate(
            Both(stores.traces, stores.metrics),
            service,
            "ultrasound",
            start / SECOND,
            start / SECOND + seconds,
            stages=True,
        )

        assert found.missing == []
        assert found.frames == seconds * fps and [text for _, text in found.marks] == ["deployed 1.4"]
        load = next(one for one in found.signals if one.name == f"{signals.HW_GPU_UTILIZATION}/0")
        assert load.claimed and load.threshold == 0.9
        assert (load.n_above, load.slow_above) == (int(busy.sum()) * fps, slow_when_busy)
        apart = {(one.kind, one.name): one for one in found.differences}
        assert apart["stage", "denoise"].claimed and apart["stage", "denoise"].effect > 0.9
        mode = apart["attribute", "mode"]
        assert mode.value == "doppler" and mode.slow > 0.7 and mode.on_time < 0.3
        probe = next(one for one in found.signals if one.name == "attribute/probe=linear")
        assert probe.claimed and probe.n_below == convex and probe.n_above == seconds * fps - convex
