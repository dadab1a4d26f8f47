"""What the app asks of Tempo, against a small server that answers searches as the real one does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import emission
import httpx
import pytest
from emission import MS, SECOND
from opentelemetry.sdk.trace import ReadableSpan
from tempo_server import TempoServer

from framescope import signals
from framescope_ui.backends.access import Access
from framescope_ui.backends.protocols import BackendAway, BackendRefused, FrameQuery, FrameRow
from framescope_ui.backends.tempo import TempoStore
from framescope_ui.backends.tempo.store import GREATEST_BY_ID, LOOK_BACK_NS

BASE = 1_800_000_000 * SECOND
NOW = BASE + 3600 * SECOND
SCANNER = emission.resource("scanner", host="ward-3")

StoreOf = Callable[[httpx.AsyncBaseTransport], TempoStore]


@pytest.fixture
async def store_of() -> AsyncIterator[StoreOf]:
    opened: list[TempoStore] = []

    def open_store(transport: httpx.AsyncBaseTransport) -> TempoStore:
        opened.append(TempoStore(Access("http://tempo:3200"), transport=transport, now_ns=lambda: NOW))
        return opened[-1]

    yield open_store
    for store in opened:
        await store.aclose()


@pytest.fixture
def server() -> TempoServer:
    return TempoServer(now_s=NOW // SECOND)


@pytest.fixture
def store(server: TempoServer, store_of: StoreOf) -> TempoStore:
    return store_of(server.transport)


def _ids(rows: tuple[FrameRow, ...]) -> list[object]:
    return [row.attributes[signals.FRAME_ID] for row in rows]


def _slow(place: int, guilty: str = "denoise", **more: object) -> list[ReadableSpan]:
    return emission.frame(
        SCANNER, BASE + place * SECOND, 20 * MS, frame_id=place, cause="gpu_work", guilty=guilty, extra=more
    )


async def test_a_page_of_frames_and_their_stages_is_two_searches(
    server: TempoServer, store: TempoStore
) -> None:
    server.receive([span for place in range(20) for span in _slow(place)])
    page = await store.frames(
        FrameQuery("scanner", "ultrasound", BASE, BASE + 20 * SECOND, outcomes=("slow",), limit=50)
    )
    assert _ids(page.frames) == list(range(19, -1, -1))
    assert {row.stage for row in page.frames} == {"denoise"}
    assert (page.total, page.next_cursor) == (20, None)
    assert page.frames[0].attributes[signals.FRAME_LOST_PREFIX + "gpu_work"] == pytest.approx(0.01)
    assert signals.SERVICE_NAME not in page.frames[0].attributes
    assert (len(server.searches), server.fetched) == (2, [])


async def test_a_trace_held_in_pieces_is_fetched_whole_before_a_stage_is_named(
    server: TempoServer, store: TempoStore
) -> None:
    root, capture, denoise, render = _slow(0)
    server.receive([root, capture])  # as many spans as the other piece has: a count tells nothing
    server.receive([denoise, render])
    page = await store.frames(FrameQuery("scanner", start_ns=BASE))
    assert [row.stage for row in page.frames] == ["denoise"]
    assert server.fetched == [page.frames[0].trace_id]


async def test_a_stage_found_first_settles_it_where_no_other_can_have_lost_more(
    server: TempoServer, store: TempoStore
) -> None:
    root, capture, denoise, render = _slow(0)
    server.receive([root, denoise, capture])
    server.receive([render])
    page = await store.frames(FrameQuery("scanner", start_ns=BASE))
    assert ([row.stage for row in page.frames], server.fetched) == (["denoise"], [])


async def test_a_frame_on_time_that_lost_nothing_needs_no_search_for_its_stage(
    server: TempoServer, store: TempoStore
) -> None:
    server.receive(emission.frame(SCANNER, BASE, 5 * MS))
    page = await store.frames(FrameQuery("scanner", start_ns=BASE, end_ns=BASE + SECOND))
    assert [row.stage for row in page.frames] == [None]
    assert len(server.searches) == 1


async def test_no_more_traces_are_fetched_for_a_page_than_its_bound(
    server: TempoServer, store: TempoStore
) -> None:
    for place in range(GREATEST_BY_ID + 5):
        root, *stages = emission.frame(SCANNER, BASE + place * MS, 20 * MS, cause="gpu_work", guilty="render")
        server.receive([root])
        server.receive(stages)
    page = await store.frames(FrameQuery("scanner", start_ns=BASE, limit=1000))
    assert len(server.fetched) == GREATEST_BY_ID
    assert [row.stage for row in page.frames].count(None) == 5


async def test_frames_of_a_stage_are_searched_by_it_and_kept_by_what_it_lost(
    server: TempoServer, store: TempoStore
) -> None:
    server.receive(
        [span for place in range(6) for span in _slow(place, "render" if place % 2 else "denoise")]
    )
    page = await store.frames(FrameQuery("scanner", start_ns=BASE, stage="render"))
    assert _ids(page.frames) == [5, 3, 1]


async def test_a_frame_is_the_service_of_its_root_though_its_stages_ran_in_others(
    server: TempoServer, store: TempoStore
) -> None:
    root, *stages = _slow(0)
    elsewhere = emission.resource("gpu-server")
    server.receive(
        [
            root,
            *(
                emission.span(
                    one.name,
                    one.start_time or 0,
                    one.end_time or 0,
                    one.attributes or {},
                    elsewhere,
                    parent=root,
                )
                for one in stages
            ),
        ]
    )
    for stage in (None, "denoise"):
        (row,) = (await store.frames(FrameQuery(start_ns=BASE, stage=stage))).frames
        assert (row.service, row.stage) == ("scanner", "denoise")


async def test_a_range_is_cut_to_the_nanosecond_though_searches_know_seconds(
    server: TempoServer, store: TempoStore
) -> None:
    for place in range(4):
        server.receive(emission.frame(SCANNER, BASE + place, 20 * MS, frame_id=place))
    page = await store.frames(FrameQuery("scanner", start_ns=BASE + 1, end_ns=BASE + 3))
    assert _ids(page.frames) == [2, 1]


@pytest.mark.parametrize("order", ["time", "duration"])
async def test_pages_through_crowded_seconds_give_every_frame_once(
    server: TempoServer, store: TempoStore, order: str
) -> None:
    spans = []
    for place in range(1000):
        # 600 frames in a second, starts and latencies alike: more than one search is asked for.
        spans += emission.frame(
            SCANNER,
            BASE + place // 600 * SECOND + place % 300,
            (11 + place % 5) * MS,
            frame_id=place,
            stages=(),
        )
    server.receive(spans)
    rows: list[FrameRow] = []
    cursor = None
    while True:
        page = await store.frames(
            FrameQuery("scanner", start_ns=BASE, limit=400, order=order, cursor=cursor)  # type: ignore[arg-type]
        )
        rows += page.frames
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(_ids(tuple(rows))) == list(range(1000))  # type: ignore[type-var]
    keys = [(row.latency_ns if order == "duration" else row.start_ns, row.trace_id) for row in rows]
    assert keys == sorted(keys, reverse=True)


async def test_a_smaller_greatest_limit_of_tempos_is_learned(server: TempoServer, store: TempoStore) -> None:
    server.greatest_limit = 7
    server.receive([span for place in range(30) for span in _slow(place)])
    page = await store.frames(FrameQuery("scanner", start_ns=BASE, end_ns=BASE + 40 * SECOND))
    assert _ids(page.frames) == list(range(29, -1, -1))


async def test_more_in_a_second_than_one_search_holds_is_refused_with_what_to_do(
    server: TempoServer, store: TempoStore
) -> None:
    server.greatest_limit = 7
    server.receive([span for _ in range(9) for span in _slow(0)])
    with pytest.raises(BackendRefused, match=r"more than 7 frames in one second: choose a pipeline"):
        await store.frames(FrameQuery("scanner", start_ns=BASE, end_ns=BASE + SECOND))


async def test_a_question_without_a_range_reaches_hours_back_and_beyond_now(
    server: TempoServer, store: TempoStore
) -> None:
    for place, at in enumerate((NOW - LOOK_BACK_NS - 120 * SECOND, NOW - LOOK_BACK_NS // 2, NOW - 1)):
        server.receive(emission.frame(SCANNER, at, 5 * MS, frame_id=place))
    page = await store.frames(FrameQuery("scanner"))
    assert _ids(page.frames) == [2, 1]
    assert len(server.searches) < 10


async def test_a_second_that_tempos_clock_has_just_begun_is_empty(
    server: TempoServer, store: TempoStore
) -> None:
    page = await store.frames(FrameQuery("scanner", start_ns=NOW, end_ns=NOW + SECOND))
    assert page.frames == ()


async def test_a_service_in_no_unicode_is_nobody(server: TempoServer, store: TempoStore) -> None:
    assert (await store.frames(FrameQuery("a\ud800"))).frames == ()
    assert await store.every_frame("a\ud800", "p", BASE, NOW) == []
    assert await store.marks("a\ud800", BASE, NOW) == []
    assert server.searches == []


async def test_records_come_with_every_queue_that_they_tell_of(
    server: TempoServer, store: TempoStore
) -> None:
    server.receive(
        [emission.frames_record(SCANNER, BASE + n * SECOND, n * 10, [9000] * 10) for n in range(5)]
    )
    batches = await store.every_frame("scanner", "ultrasound", BASE, BASE + 5 * SECOND, limit=3)
    assert [batch.first_id for batch in batches] == [20, 30, 40]
    assert list(batches[0].depths["gpu"][:3]) == [0, 1, 2]


async def test_a_record_that_tempo_cut_is_left_out_and_said(server: TempoServer, store: TempoStore) -> None:
    whole = emission.frames_record(SCANNER, BASE, 0, [9000] * 10)
    cut = emission.frames_record(SCANNER, BASE + SECOND, 10, [9000] * 10)
    assert cut.attributes is not None
    attributes = {**cut.attributes, signals.BATCH_OUTCOMES: "oooo"}
    server.receive(
        [whole, emission.span(signals.SPAN_FRAMES, BASE + SECOND, BASE + 2 * SECOND, attributes, SCANNER)]
    )
    server.config = "target: all\n"
    batches = await store.every_frame("scanner", "ultrasound", BASE, BASE + 5 * SECOND)
    assert [batch.first_id for batch in batches] == [0]
    (said,) = (await store.about()).shortcomings
    assert "max_attribute_bytes" in said.change


async def test_pipelines_are_heard_of_only_where_they_were(server: TempoServer, store: TempoStore) -> None:
    server.receive([emission.frames_record(SCANNER, BASE, 0, [9000], pipeline="older")])
    server.receive(emission.frame(SCANNER, BASE + 600 * SECOND, 20 * MS, pipeline="newer"))
    found = await store.pipelines(BASE, BASE + 700 * SECOND)
    assert [(one.service, one.pipeline, one.host) for one in found] == [
        ("scanner", "newer", "ward-3"),
        ("scanner", "older", "ward-3"),
    ]
    assert found[1].newest_ns == BASE + SECOND
    assert await store.pipelines(BASE + 100 * SECOND, BASE + 200 * SECOND) == []


async def test_a_trace_that_tempo_says_is_partial_is_so(server: TempoServer, store: TempoStore) -> None:
    spans = _slow(0)
    server.receive(spans)
    server.partial = True
    trace = await store.trace(emission.trace_id_of(spans[0]))
    assert trace is not None
    assert trace.partial


@pytest.mark.parametrize("trace_id", ["", "no", "../../status/config", "0" * 32, "g" * 32])
async def test_what_is_no_trace_id_is_not_asked_for(
    server: TempoServer, store: TempoStore, trace_id: str
) -> None:
    assert await store.trace(trace_id) is None
    assert server.fetched == []


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (429, "too many outstanding requests", BackendAway, "too many outstanding"),
        (503, "starting", BackendAway, "starting"),
        (400, "range specified by start and end exceeds 1h0m0s", BackendRefused, "exceeds 1h"),
        (404, "not found", BackendRefused, "the address of a Tempo"),
        (200, "<html>", BackendRefused, "the address of a Tempo"),
    ],
)
async def test_errors_are_told_in_tempos_words(
    store_of: StoreOf, status: int, body: str, kind: type[Exception], reason: str
) -> None:
    store = store_of(httpx.MockTransport(lambda request: httpx.Response(status, text=body)))
    with pytest.raises(kind, match=reason):
        await store.frames(FrameQuery("scanner"))


async def test_about_tells_what_the_configuration_hides(server: TempoServer, store: TempoStore) -> None:
    server.config = """
query_frontend: {query_end_cutoff: 30s, search: {max_duration: 1h0m0s}}
live_store: {max_trace_idle: 5s, wal: {ingestion_time_range_slack: 2m0s}}
distributor: {max_attribute_bytes: 128}
overrides: {defaults: {ingestion: {max_traces_per_user: 10000}}}
"""
    about = await store.about()
    assert (about.product, about.version) == ("Tempo", "3.0.3")
    changes = "\n".join(one.change for one in about.shortcomings)
    assert len(about.shortcomings) == 6
    for name in ("query_end_cutoff: 0s", "max_trace_idle: 1s", "ingestion_time_range_slack: 1h", "65536"):
        assert name in changes


async def test_a_configuration_as_it_should_be_has_no_shortcomings(
    server: TempoServer, store: TempoStore
) -> None:
    server.config = "query_frontend: {search: {max_duration: 168h0m0s}}\nlive_store: {max_trace_idle: 1s}\n"
    assert (await store.about()).shortcomings == ()


async def test_a_configuration_that_is_not_shown_is_said_to_be_unknown(
    server: TempoServer, store: TempoStore
) -> None:
    (said,) = (await store.about()).shortcomings
    assert "/status/config" in said.why


@pytest.mark.parametrize("scopes", [5, [5], [{"tags": 5}]])
async def test_tags_of_another_shape_are_refused(store_of: StoreOf, scopes: object) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"scopes": scopes}))
    with pytest.raises(BackendRefused, match="the address of a Tempo"):
        await store_of(transport).every_frame("scanner", "ultrasound", BASE, BASE + SECOND)
