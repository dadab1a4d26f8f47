"""What the app asks of Jaeger, against a small server that honours its parameters."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime

import emission
import httpx
import pytest
from emission import MS, SECOND
from jaeger_server import JaegerServer

from framescope import signals
from framescope_ui.backends.access import Access
from framescope_ui.backends.jaeger import JaegerStore
from framescope_ui.backends.jaeger.store import GREATEST_SERVICES, LOOK_BACK_NS
from framescope_ui.backends.protocols import BackendAway, BackendRefused, FrameQuery, FrameRow

BASE = 1_800_000_000 * SECOND
NOW = BASE + 3600 * SECOND
SCANNER = emission.resource("scanner", host="ward-3")

StoreOf = Callable[[httpx.AsyncBaseTransport], JaegerStore]


@pytest.fixture
async def store_of() -> AsyncIterator[StoreOf]:
    opened: list[JaegerStore] = []

    def open_store(transport: httpx.AsyncBaseTransport) -> JaegerStore:
        opened.append(JaegerStore(Access("http://jaeger:16686"), transport=transport, now_ns=lambda: NOW))
        return opened[-1]

    yield open_store
    for store in opened:
        await store.aclose()


@pytest.fixture
def server() -> JaegerServer:
    return JaegerServer()


@pytest.fixture
def store(server: JaegerServer, store_of: StoreOf) -> JaegerStore:
    return store_of(server.transport)


def _says(status: int, body: object) -> httpx.MockTransport:
    text = body if isinstance(body, str) else json.dumps(body)
    return httpx.MockTransport(lambda request: httpx.Response(status, text=text))


def _ids(rows: tuple[FrameRow, ...]) -> list[object]:
    return [row.attributes[signals.FRAME_ID] for row in rows]


async def test_frames_of_two_services_in_one_trace_are_each_their_own_services(
    server: JaegerServer, store: JaegerStore
) -> None:
    root, *stages = emission.frame(SCANNER, BASE, 20 * MS, cause="gpu_work", guilty="denoise")
    display = emission.resource("display")
    shown = emission.span(
        signals.SPAN_FRAME, BASE + MS, BASE + 5 * MS, root.attributes or {}, display, parent=stages[0]
    )
    server.spans += [root, *stages, shown]
    for service, start_ns in (("scanner", BASE), ("display", BASE + MS)):
        page = await store.frames(FrameQuery(service, start_ns=BASE, end_ns=BASE + SECOND))
        assert [(row.service, row.start_ns) for row in page.frames] == [(service, start_ns)]


async def test_each_outcome_and_cause_is_a_search_of_its_own(
    server: JaegerServer, store: JaegerStore
) -> None:
    for place, cause in enumerate(("gpu_work", "io_wait", "cpu_work")):
        server.spans += emission.frame(SCANNER, BASE + place * SECOND, 20 * MS, frame_id=place, cause=cause)
    page = await store.frames(
        FrameQuery("scanner", "ultrasound", BASE, BASE + 9 * SECOND, ("slow",), ("gpu_work", "cpu_work"))
    )
    assert _ids(page.frames) == [2, 0]
    asked = {search["query.attributes"] for search in server.searches}
    assert [json.loads(one)[signals.FRAME_CAUSE_NAME] for one in sorted(asked)] == ["cpu_work", "gpu_work"]
    assert all(json.loads(one)[signals.FRAME_PIPELINE] == "ultrasound" for one in asked)


async def test_very_many_causes_are_cut_here_and_not_asked_for_one_by_one(
    server: JaegerServer, store: JaegerStore
) -> None:
    server.spans += emission.frame(SCANNER, BASE, 20 * MS, cause="gpu_work")
    server.spans += emission.frame(SCANNER, BASE, 20 * MS, cause="io_wait")
    causes = ("gpu_work", *(f"cause-{n}" for n in range(30)))
    page = await store.frames(FrameQuery("scanner", None, BASE, BASE + SECOND, causes=causes))
    assert [row.attributes[signals.FRAME_CAUSE_NAME] for row in page.frames] == ["gpu_work"]
    assert len(server.searches) == 1


@pytest.mark.parametrize("order", ["time", "duration"])
@pytest.mark.parametrize("kept", ["newest", "any"])
async def test_a_list_longer_than_one_answer_is_paged_whole_whatever_a_cut_answer_holds(
    order: str, kept: str, store_of: StoreOf
) -> None:
    server = JaegerServer(order=kept)
    store = store_of(server.transport)
    for place in range(300):
        server.spans += emission.frame(
            SCANNER, BASE + place // 3 * MS, (11 + place % 5) * MS, frame_id=place, stages=()
        )
    rows: list[FrameRow] = []
    cursor = None
    while True:
        page = await store.frames(
            FrameQuery("scanner", order=order, limit=45, cursor=cursor)  # type: ignore[arg-type]
        )
        rows += page.frames
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(row.attributes[signals.FRAME_ID] for row in rows) == list(range(300))  # type: ignore[type-var]
    keys = [row.latency_ns if order == "duration" else row.start_ns for row in rows]
    assert keys == sorted(keys, reverse=True)


async def test_the_latency_is_that_of_the_root_and_is_cut_to_the_nanosecond(
    server: JaegerServer, store: JaegerStore
) -> None:
    # Jaeger compares the length of any span, and in whole microseconds.
    server.spans += emission.frame(SCANNER, BASE, 20 * MS + 500, frame_id=1)
    server.spans += emission.frame(SCANNER, BASE + 1, 20 * MS + 499, frame_id=2)
    short = emission.frame(SCANNER, BASE + 2, 10 * MS, frame_id=3)
    outlasting = emission.span("denoise on GPU", BASE, BASE + 90 * MS, {}, SCANNER, parent=short[0])
    server.spans += [*short, outlasting]
    page = await store.frames(FrameQuery("scanner", min_latency_ns=20 * MS + 500))
    assert _ids(page.frames) == [1]


async def test_the_next_page_does_not_ask_again_for_what_is_newer(
    server: JaegerServer, store: JaegerStore
) -> None:
    for place in range(3):
        server.spans += emission.frame(SCANNER, BASE + place * SECOND, 20 * MS, frame_id=place)
    page = await store.frames(FrameQuery("scanner", limit=1))
    server.asked.clear()
    await store.frames(FrameQuery("scanner", limit=1, cursor=page.next_cursor))
    latest = max(search["query.start_time_max"] for search in server.searches)
    assert datetime.fromisoformat(latest).timestamp() == (BASE + 2 * SECOND) / SECOND


async def test_a_range_is_cut_to_the_nanosecond(server: JaegerServer, store: JaegerStore) -> None:
    for place in range(4):
        server.spans += emission.frame(SCANNER, BASE + place, 20 * MS, frame_id=place)
    page = await store.frames(FrameQuery("scanner", start_ns=BASE + 1, end_ns=BASE + 3))
    assert _ids(page.frames) == [2, 1]


async def test_without_a_range_it_is_the_last_day(server: JaegerServer, store: JaegerStore) -> None:
    for place, at in enumerate((NOW - LOOK_BACK_NS - SECOND, NOW - LOOK_BACK_NS // 2, NOW + SECOND)):
        server.spans += emission.frame(SCANNER, at, 20 * MS, frame_id=place)
    assert _ids((await store.frames(FrameQuery("scanner"))).frames) == [2, 1]


async def test_spans_named_alike_that_are_no_frames_are_none(
    server: JaegerServer, store: JaegerStore
) -> None:
    server.spans.append(emission.span("frame", BASE, BASE + MS, {"html": "iframe"}, SCANNER))
    assert (await store.frames(FrameQuery("scanner", start_ns=BASE))).frames == ()


class Confused(JaegerServer):
    """Answers for every service, as Badger could: it joins service and name, "scanf"+"rame"."""

    def found(self, params: Mapping[str, str]) -> list[str]:
        services = {str(span.resource.attributes[signals.SERVICE_NAME]) for span in self.spans}
        found = super().found
        return [one for name in services for one in found({**params, "query.service_name": name})]


async def test_services_that_run_into_each_other_are_told_apart(store_of: StoreOf) -> None:
    server = Confused()
    for place, service in enumerate(("scan", "other")):
        origin = emission.resource(service)
        server.spans += emission.frame(origin, BASE, 20 * MS, frame_id=place)
        server.spans.append(emission.frames_record(origin, BASE, place, [9000]))
        server.spans.append(emission.mark(origin, BASE, service))
    store = store_of(server.transport)
    assert _ids((await store.frames(FrameQuery("scan", start_ns=BASE))).frames) == [0]
    batches = await store.every_frame("scan", "ultrasound", BASE, NOW)
    assert [batch.first_id for batch in batches] == [0]
    assert [mark.text for mark in await store.marks("scan", BASE, NOW)] == ["scan"]
    refs = await store.pipelines(BASE, NOW)
    assert [(ref.service, ref.pipeline) for ref in refs] == [("other", "ultrasound"), ("scan", "ultrasound")]


async def test_without_a_service_each_one_is_asked(server: JaegerServer, store: JaegerStore) -> None:
    for place, service in enumerate(("b", "a")):
        server.spans += emission.frame(
            emission.resource(service), BASE + place * SECOND, 20 * MS, frame_id=place
        )
    page = await store.frames(FrameQuery(start_ns=BASE, end_ns=BASE + 9 * SECOND))
    assert [row.service for row in page.frames] == ["a", "b"]


async def test_without_a_service_among_too_many_it_says_what_to_do(
    server: JaegerServer, store: JaegerStore
) -> None:
    for place in range(GREATEST_SERVICES + 1):
        server.spans.append(emission.mark(emission.resource(f"service-{place}"), BASE, "x"))
    with pytest.raises(BackendRefused, match="choose a service"):
        await store.frames(FrameQuery())


class Endless(JaegerServer):
    """Has half an answer of frames in every stretch of time, however short."""

    def found(self, params: Mapping[str, str]) -> list[str]:
        start = datetime.fromisoformat(params["query.start_time_min"])
        at = round(start.timestamp()) * SECOND + start.microsecond * 1000
        fresh = [emission.frame(SCANNER, at, 20 * MS, stages=())[0] for _ in range(50)]
        self.spans[:] = fresh
        return [emission.trace_id_of(root) for root in fresh]


async def test_a_stage_that_is_rare_among_too_many_frames_is_refused_with_a_way_out(
    store_of: StoreOf,
) -> None:
    store = store_of(Endless().transport)
    with pytest.raises(BackendRefused, match="choose a shorter time"):
        await store.frames(FrameQuery("scanner", stage="render", limit=40))


@pytest.mark.parametrize("as_text", [True, False])
async def test_records_are_the_same_whether_lists_are_kept_as_text_or_typed(
    as_text: bool, store_of: StoreOf
) -> None:
    server = JaegerServer(lists_as_text=as_text)
    store = store_of(server.transport)
    server.spans.append(emission.frames_record(SCANNER, BASE, 7, [9000, 11000, 12000]))
    server.spans.append(emission.frames_record(SCANNER, BASE, 7, [1], pipeline="other"))
    (batch,) = await store.every_frame("scanner", "ultrasound", BASE, BASE + SECOND)
    assert (batch.first_id, batch.outcomes, list(batch.causes)) == (7, "oss", ["GS", "GS"])
    assert list(batch.latencies_us) == [9000, 11000, 12000]
    assert list(batch.offsets_us) == [0, 10_000, 20_000]
    assert {name: list(depths) for name, depths in batch.depths.items()} == {"gpu": [0, 1, 2]}


async def test_an_hour_of_records_comes_in_few_answers_and_the_newest_in_one(
    server: JaegerServer, store: JaegerStore
) -> None:
    server.spans += [
        emission.frames_record(SCANNER, BASE + second * SECOND, second, [9000]) for second in range(600)
    ]
    batches = await store.every_frame("scanner", "ultrasound", BASE, BASE + 600 * SECOND)
    assert [batch.first_id for batch in batches] == list(range(600))
    assert len(server.searches) <= 3
    server.asked.clear()
    newest = await store.every_frame("scanner", "ultrasound", BASE, BASE + 600 * SECOND, limit=5)
    assert [batch.first_id for batch in newest] == [595, 596, 597, 598, 599]
    assert len(server.searches) == 1


async def test_a_record_that_began_before_the_range_and_reaches_into_it_belongs_to_it(
    server: JaegerServer, store: JaegerStore
) -> None:
    server.spans.append(emission.frames_record(SCANNER, BASE, 0, [9000] * 100))
    server.spans.append(emission.frames_record(SCANNER, BASE - 10 * SECOND, 1, [20_000_000]))
    server.spans.append(emission.frames_record(SCANNER, BASE - 10 * SECOND, 2, [9000]))
    batches = await store.every_frame("scanner", "ultrasound", BASE + SECOND // 2, BASE + SECOND)
    assert [batch.first_id for batch in batches] == [1, 0]


async def test_two_emitters_of_one_pipeline_both_have_their_records(
    server: JaegerServer, store: JaegerStore
) -> None:
    for instance in ("i-1", "i-2"):
        origin = emission.resource("scanner", instance)
        server.spans.append(emission.frames_record(origin, BASE, 0, [9000]))
    assert len(await store.every_frame("scanner", "ultrasound", BASE, BASE + SECOND)) == 2


async def test_marks_of_the_range_come_oldest_first(server: JaegerServer, store: JaegerStore) -> None:
    for at, text in ((3, "late"), (2, "1.5"), (1, "1.4"), (0, "early")):
        server.spans.append(emission.mark(SCANNER, BASE + at * SECOND, text))
    marks = await store.marks("scanner", BASE + SECOND, BASE + 3 * SECOND)
    assert [(mark.time_ns, mark.text) for mark in marks] == [
        (BASE + SECOND, "1.4"),
        (BASE + 2 * SECOND, "1.5"),
    ]


async def test_pipelines_are_those_of_the_records_and_of_frames_where_there_are_none(
    server: JaegerServer, store: JaegerStore
) -> None:
    server.spans.append(emission.frames_record(SCANNER, BASE, 0, [9000], pipeline="older"))
    server.spans.append(emission.frames_record(SCANNER, BASE + 40 * 60 * SECOND, 0, [9000], pipeline="newer"))
    server.spans += emission.frame(emission.resource("plain"), BASE + 5 * SECOND, 20 * MS, pipeline="alone")
    server.spans.append(emission.mark(emission.resource("web"), BASE, "deployed"))
    found = await store.pipelines(BASE, BASE + 3600 * SECOND)
    assert [(ref.service, ref.pipeline, ref.host) for ref in found] == [
        ("scanner", "newer", "ward-3"),
        ("plain", "alone", "bench-host"),
        ("scanner", "older", "ward-3"),
    ]
    assert found[1].newest_ns == BASE + 5 * SECOND
    assert "web" not in {search["query.service_name"] for search in server.searches}


async def test_a_trace_is_asked_for_only_by_what_can_be_an_id(
    server: JaegerServer, store: JaegerStore
) -> None:
    root = emission.frame(SCANNER, BASE, 20 * MS)[0]
    server.spans.append(root)
    assert (await store.trace(emission.trace_id_of(root).upper())) is not None
    server.asked.clear()
    for name in ("", "x", "../services", "é" * 32, emission.trace_id_of(root) + "0"):
        assert await store.trace(name) is None
    assert server.asked == []


@pytest.mark.parametrize("name", ["", "\ud800"])
async def test_a_name_that_nothing_can_have_is_not_asked_for(
    name: str, server: JaegerServer, store: JaegerStore
) -> None:
    for query in (FrameQuery(name), FrameQuery("s", name), FrameQuery("s", causes=(name,))):
        assert (await store.frames(query)).frames == ()
    assert await store.every_frame("s", name, BASE, NOW) == []
    assert await store.marks(name, BASE, NOW) == []
    assert server.asked == []


async def test_a_name_too_long_for_an_address_is_refused_and_not_cut(store: JaegerStore) -> None:
    with pytest.raises(BackendRefused, match="1024 bytes"):
        await store.frames(FrameQuery("ü" * 600))


async def test_a_range_that_ends_before_it_starts_is_empty(server: JaegerServer, store: JaegerStore) -> None:
    assert (await store.frames(FrameQuery("scanner", start_ns=NOW, end_ns=BASE))).frames == ()
    assert await store.every_frame("scanner", "ultrasound", NOW, BASE) == []
    assert await store.marks("scanner", NOW, BASE) == []
    assert await store.pipelines(NOW, BASE) == []
    assert server.searches == []


async def test_about_tells_the_version_and_each_shortcoming_with_its_reason(store: JaegerStore) -> None:
    about = await store.about()
    assert (about.product, about.version) == ("Jaeger", "2.20.0")
    assert about.shortcomings
    assert all(one.what and one.why for one in about.shortcomings)


async def test_an_address_without_the_interface_is_no_empty_answer(store_of: StoreOf) -> None:
    wrong = store_of(_says(404, "404 page not found"))
    for question in (wrong.frames(FrameQuery("s")), wrong.trace("a" * 32), wrong.pipelines(BASE, NOW)):
        with pytest.raises(BackendRefused, match="no Jaeger query API v3"):
            await question


@pytest.mark.parametrize("answer", [[], {"result": {"resourceSpans": 7}}, "<html>", "7"])
async def test_an_answer_of_another_kind_is_refused(answer: object, store_of: StoreOf) -> None:
    other = store_of(_says(200, answer))
    with pytest.raises(BackendRefused):
        await other.frames(FrameQuery("s"))
    with pytest.raises(BackendRefused):
        await other.trace("a" * 32)


@pytest.mark.parametrize("answer", [[], {"services": 1}, "<html>"])
async def test_services_of_another_kind_are_refused(answer: object, store_of: StoreOf) -> None:
    with pytest.raises(BackendRefused):
        await store_of(_says(200, answer)).pipelines(BASE, NOW)


@pytest.mark.parametrize(
    ("status", "message", "raised"),
    [
        (500, "search depth must be greater than 0 and less than max traces", BackendRefused),
        (400, "malformed parameter query.attributes", BackendRefused),
        (500, "rpc error: code = Unavailable desc = connection refused", BackendAway),
        (500, "rpc error: code = ResourceExhausted desc = too much", BackendAway),
        (500, "rpc error: code = Internal desc = disk", BackendRefused),
        (503, "starting", BackendAway),
    ],
)
async def test_errors_keep_jaegers_words_and_say_whether_to_come_again(
    status: int, message: str, raised: type[Exception], store_of: StoreOf
) -> None:
    store = store_of(_says(status, {"error": {"httpCode": status, "message": message}}))
    with pytest.raises(raised, match=message.partition(" desc")[0]):
        await store.frames(FrameQuery("scanner"))


async def test_a_cursor_of_another_order_is_a_value_error(server: JaegerServer, store: JaegerStore) -> None:
    for place in range(3):
        server.spans += emission.frame(SCANNER, BASE + place, 20 * MS, frame_id=place)
    page = await store.frames(FrameQuery("scanner", limit=1))
    with pytest.raises(ValueError, match="cursor"):
        await store.frames(FrameQuery("scanner", order="duration", cursor=page.next_cursor))
