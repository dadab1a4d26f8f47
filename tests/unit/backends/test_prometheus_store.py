"""The store against a server in memory that reads PromQL as Prometheus does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_server import Server

from framescope import signals
from framescope_ui.backends.access import Access
from framescope_ui.backends.prometheus import PrometheusStore
from framescope_ui.backends.prometheus.names import escaped_label
from framescope_ui.backends.protocols import BackendAway, BackendRefused

MS = 1_000_000
SECOND = 1_000_000_000
T = 1_795_000_000
"""A unix second."""
SERVICE = {signals.SERVICE_NAME: "scanner"}


def at(second: float) -> int:
    """Unix ms of a second after ``T``."""
    return round((T + second) * 1000)


def ns(second: float) -> int:
    return at(second) * MS


def store(server: Server, clock: Callable[[], float] = lambda: 0.0, **access: Any) -> PrometheusStore:
    return PrometheusStore(Access("http://metrics:9090", **access), transport=server.transport, clock=clock)


def points(*values: float, first: float = 1, every: float = 1) -> list[tuple[int, Any]]:
    return [(at(first + place * every), value) for place, value in enumerate(values)]


NAMES = {
    "UnderscoreEscapingWithSuffixes": ("frame_count_total", True),
    "UnderscoreEscapingWithoutSuffixes": ("frame_count", True),
    "NoUTF8EscapingWithSuffixes": ("frame.count_total", False),
    "NoTranslation": ("frame.count", False),
    "VictoriaMetrics -opentelemetry.convertMetricNamesToPrometheus": ("frame_count_total", False),
}


@pytest.mark.parametrize("promoted", [True, False], ids=["promoted", "by job"])
@pytest.mark.parametrize("translation", NAMES)
async def test_a_counter_is_found_however_its_name_was_translated(translation: str, promoted: bool) -> None:
    name, escaped = NAMES[translation]
    attributes = {signals.FRAME_PIPELINE: "ultrasound", signals.FRAME_OUTCOME: "slow"}
    if promoted:
        attributes |= {**SERVICE, signals.SERVICE_INSTANCE_ID: "i-1"}
    labels = {escaped_label(key) if escaped else key: value for key, value in attributes.items()}
    server = Server()
    server.add(points(0, 60, 120), __name__=name, job="hospital/scanner", instance="i-1", **labels)
    server.add(
        points(0, 9, 99),
        __name__=name,
        job="hospital/other",
        instance="i-1",
        **labels
        | (
            {"service_name": "other"}
            if escaped and promoted
            else {"service.name": "other"}
            if promoted
            else {}
        ),
    )
    where = {**SERVICE, signals.FRAME_PIPELINE: "ultrasound"}
    (found,) = await store(server).increase(signals.FRAME_COUNT, where, ns(0), ns(10), 10 * SECOND)
    assert found.values == [120]
    assert found.attributes == {
        **SERVICE,
        signals.FRAME_PIPELINE: "ultrasound",
        signals.FRAME_OUTCOME: "slow",
    }


async def test_a_translation_that_was_changed_in_the_middle_is_read_on_both_sides() -> None:
    server = Server()
    server.add(points(0, 5, 9), __name__="frame_count_total", service_name="scanner")
    server.add(points(0, 3, first=4), __name__="frame.count", **SERVICE)
    (found,) = await store(server).increase(signals.FRAME_COUNT, SERVICE, ns(0), ns(10), 10 * SECOND)
    assert found.values == [12]


async def test_an_instance_is_asked_for_by_its_label_or_by_instance() -> None:
    for labels in ({"service_instance_id": "i-1"}, {"instance": "i-1"}):
        server = Server()
        server.add(points(1, 2), __name__="hw_power_watts", service_name="scanner", **labels)
        server.add(points(5, 6), __name__="hw_power_watts", service_name="scanner", instance="i-2")
        where = {**SERVICE, signals.SERVICE_INSTANCE_ID: "i-1"}
        (found,) = await store(server).gauge(signals.HW_POWER, where, ns(0), ns(10))
        assert found.values == [1, 2]


async def test_labels_are_asked_for_once_in_five_minutes() -> None:
    server = Server()
    server.add(points(1, 2), __name__="hw_power_watts", service_name="scanner")
    now = [0.0]
    backend = store(server, clock=lambda: now[0])

    def times() -> int:
        return sum(path == "/api/v1/labels" for path, _ in server.asked)

    for _ in range(3):
        await backend.gauge(signals.HW_POWER, SERVICE, ns(0), ns(10))
    assert times() == 1
    now[0] = 301
    await backend.gauge(signals.HW_POWER, SERVICE, ns(0), ns(10))
    assert times() == 2


async def test_nothing_found_is_not_remembered() -> None:
    server = Server()
    backend = store(server)
    assert await backend.gauge(signals.HW_POWER, SERVICE, ns(0), ns(10)) == []
    server.add(points(1, 2), __name__="hw_power_watts", service_name="scanner")
    assert len(await backend.gauge(signals.HW_POWER, SERVICE, ns(0), ns(10))) == 1


async def test_an_attribute_that_came_later_is_found_by_asking_again() -> None:
    server = Server()
    server.add(points(1, 2), __name__="hw_power_watts", service_name="scanner")
    now = [0.0]
    backend = store(server, clock=lambda: now[0])
    assert len(await backend.gauge(signals.HW_POWER, SERVICE, ns(0), ns(10))) == 1
    server.add(points(3, 4), __name__="hw_power_watts", service_name="scanner", hw_id="1")
    now[0] = 6
    (found,) = await backend.gauge(signals.HW_POWER, {**SERVICE, signals.HW_ID: "1"}, ns(0), ns(10))
    assert found.values == [3, 4]


async def test_what_no_label_can_hold_finds_nothing_and_is_not_sent() -> None:
    server = Server()
    server.add(points(1, 2), __name__="hw_power_watts", service_name="scanner")
    backend = store(server)
    for where in ({"": "x"}, {"__name__": "hw_power_watts"}, {"no.such": "x"}, {"le": "\ud800"}):
        assert await backend.gauge(signals.HW_POWER, where, ns(0), ns(10)) == []
    assert await backend.gauge("", SERVICE, ns(0), ns(10)) == []
    assert not [form for path, form in server.asked if path == "/api/v1/query"]


@given(
    st.text(max_size=12),
    st.text(max_size=12),
    st.text(max_size=12),
    st.sampled_from(["service_name", "service.name", "job"]),
)
async def test_no_name_or_value_breaks_out_of_its_place(
    metric: str, key: str, value: str, label: str
) -> None:
    server = Server()
    server.add(points(1, 2), __name__=metric or "x", **{label: "scanner"})
    server.add(points(1, 2), __name__="secret", **{label: "other"})
    backend = store(server)
    for name, where in ((metric, {signals.SERVICE_NAME: value}), (metric, {key: value}), ("secret", SERVICE)):
        found = await backend.gauge(name, where, ns(0), ns(10))
        if name == "secret" and metric != "secret":
            assert found == []
        assert all(value in one.attributes.values() or "scanner" in one.attributes.values() for one in found)
    assert not [request for request in server.sent if b"\n" in request.url.raw_path]


async def test_readings_keep_their_times_and_a_range_is_half_open() -> None:
    server = Server()
    server.add(points(*range(50), first=0, every=0.1), __name__="hw_power_watts", service_name="scanner")
    (found,) = await store(server).gauge(signals.HW_POWER, SERVICE, ns(0.1), ns(0.4))
    assert found.times_ns == [ns(0.1), ns(0.2), ns(0.3)]
    assert found.values == [1, 2, 3]
    (found,) = await store(server).gauge(signals.HW_POWER, SERVICE, ns(0.1) + 1, ns(0.3) + 1)
    assert found.times_ns == [ns(0.2), ns(0.3)]


async def test_a_server_that_closes_ranges_on_both_ends_changes_nothing() -> None:
    # Prometheus before 3.0: [1s] holds a sample exactly one second old.
    reading = {"metric": {"__name__": "hw_power_watts"}, "values": [[T, "1"], [T + 0.5, "2"]]}

    def older(path: str, form: dict[str, str]) -> httpx.Response | None:
        if path != "/api/v1/query":
            return None
        return httpx.Response(
            200, json={"status": "success", "data": {"resultType": "matrix", "result": [reading]}}
        )

    server = Server(before=older)
    server.add(points(1), __name__="hw_power_watts")
    (found,) = await store(server).gauge(signals.HW_POWER, {}, ns(0) + MS, ns(1))
    assert found.times_ns == [ns(0.5)]


async def test_of_too_many_readings_the_newest_of_every_series_come() -> None:
    server = Server()
    day = 24 * 3600
    server.add(points(*range(0, day, 10), first=0, every=10), __name__="hw_power_watts", hw_id="0")
    server.add(points(7, 8, 9), __name__="hw_power_watts", hw_id="gone")
    found = await store(server).gauge(signals.HW_POWER, {}, ns(0), ns(day), max_points=20)
    by_gpu = {one.attributes[signals.HW_ID]: one.values for one in found}
    assert by_gpu["0"] == list(range(day - 200, day, 10))
    assert by_gpu["gone"] == [7, 8, 9]


async def test_older_windows_are_not_asked_for_once_every_series_has_its_readings() -> None:
    server = Server()
    day = 24 * 3600
    server.add(points(*range(0, day, 10), first=0, every=10), __name__="hw_power_watts", hw_id="0")
    (found,) = await store(server).gauge(signals.HW_POWER, {}, ns(0), ns(day), max_points=20)
    assert len(found.values) == 20
    assert sum(path == "/api/v1/query" for path, _ in server.asked) == 1


cumulative = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 50), st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(cumulative, min_size=1, max_size=3),
    st.sampled_from([2, 12, 60, 61, 600, 3600]),
    st.integers(1, 999),
)
async def test_a_thinned_range_tells_what_reading_every_sample_tells(
    emitters: list[list[tuple[int, int, bool]]], step: int, odd_ms: int
) -> None:
    server = Server()
    for place, told in enumerate(emitters):
        second, value, series = -200.0, 0.0, []
        for after, growth, restarted in told:
            second += after
            value = growth if restarted else value + growth
            series.append((at(second), value))
        server.add(series, __name__="frame_count_total", service_name="scanner", instance=f"i-{place}")
    start, end = ns(0) - odd_ms * MS, ns(1900)
    backend = store(server)
    thinned = await backend.increase(signals.FRAME_COUNT, SERVICE, start, end, step * SECOND)
    exact = await backend.increase(signals.FRAME_COUNT, SERVICE, start, end, step * SECOND + 1)
    # The second one's steps end some ns later, where no sample is, and are read whole for being odd.
    assert [one.values for one in thinned] == [one.values for one in exact]


async def test_a_long_range_is_read_thin() -> None:
    server = Server()
    server.add(points(*range(0, 36_000, 10), first=0), __name__="frame_count_total", service_name="scanner")
    (found,) = await store(server).increase(signals.FRAME_COUNT, SERVICE, ns(0), ns(3600), 12 * SECOND)
    assert sum(found.values) == 35_990
    assert len(found.values) == 300
    lengths = [form["query"] for path, form in server.asked if path == "/api/v1/query"]
    assert not [query for query in lengths if "[3600" in query]


async def test_more_steps_than_one_query_answers_are_asked_for_in_parts() -> None:
    server = Server()
    server.add(points(0, 1, 2), __name__="frame_count_total", service_name="scanner")
    (found,) = await store(server).increase(signals.FRAME_COUNT, SERVICE, ns(0), ns(30_000), 2 * SECOND)
    assert found.values == [1, 1] or sum(found.values) == 2


async def test_too_many_steps_are_refused_with_what_to_do() -> None:
    with pytest.raises(BackendRefused, match="longer step"):
        await store(Server()).increase(signals.FRAME_COUNT, SERVICE, ns(0), ns(30_000), SECOND)


async def test_an_empty_or_turned_range_asks_nothing() -> None:
    server = Server()
    assert await store(server).increase(signals.FRAME_COUNT, SERVICE, ns(5), ns(5), SECOND) == []
    assert await store(server).histogram(signals.FRAME_LATENCY, SERVICE, ns(5), ns(4), SECOND) == []
    assert await store(server).gauge(signals.HW_POWER, SERVICE, ns(5), ns(4)) == []
    assert server.asked == []


def native(count: int) -> dict[str, Any]:
    buckets = [[0, "0.003174802", "0.004", str(count)]] if count else []
    return {"count": str(count), "sum": str(count * 0.004), "buckets": buckets}


@pytest.mark.parametrize("step", [1, 12])
async def test_classic_and_native_histograms_tell_the_same(step: int) -> None:
    length = 1200
    classic, other = Server(), Server()
    for bound in (*signals.HISTOGRAM_BOUNDS, float("inf")):
        le = "+Inf" if bound == float("inf") else str(bound)
        grown = [5.0 * second if bound >= 0.004 else 0.0 for second in range(length)]
        classic.add(
            points(*grown, first=0), __name__="frame_latency_seconds_bucket", le=le, service_name="scanner"
        )
    classic.add(
        points(*(0.02 * second for second in range(length)), first=0),
        __name__="frame_latency_seconds_sum",
        service_name="scanner",
    )
    other.add(
        [(at(second), native(5 * second)) for second in range(length)],
        __name__="frame_latency_seconds",
        service_name="scanner",
    )
    answers = []
    for server in (classic, other):
        (found,) = await store(server).histogram(
            signals.FRAME_LATENCY, SERVICE, ns(0), ns(length), step * SECOND
        )
        answers.append(found)
    for found in answers:
        assert tuple(found.bounds) == signals.HISTOGRAM_BOUNDS
        assert sum(map(sum, found.counts)) == 5 * (length - 1)
        assert sum(found.sums) == pytest.approx(0.02 * (length - 1))
    assert answers[0].times_ns == answers[1].times_ns
    assert answers[0].counts == answers[1].counts


async def test_victoria_metrics_is_known_by_what_only_it_understands() -> None:
    for metricsql, values in ((True, [60, 60]), (False, [60])):
        server = Server(metricsql=metricsql)
        server.add(points(60, 120), __name__="frame_count_total", service_name="scanner")
        (found,) = await store(server).increase(signals.FRAME_COUNT, SERVICE, ns(0), ns(10), SECOND)
        assert found.values == values


async def test_a_path_and_headers_go_with_every_question() -> None:
    server = Server(before=lambda path, form: httpx.Response(200, json={"status": "success", "data": []}))
    backend = PrometheusStore(
        Access("http://mimir/prometheus/", headers=lambda: {"X-Scope-OrgID": "ward-3"}),
        transport=server.transport,
    )
    await backend.gauge(signals.HW_POWER, SERVICE, ns(0), ns(1))
    (request,) = server.sent
    assert request.url.path == "/prometheus/api/v1/labels"
    assert request.headers["X-Scope-OrgID"] == "ward-3"


# --- errors -----------------------------------------------------------------------------------------


def answering(status: int, body: Any) -> Server:
    return Server(before=lambda path, form: httpx.Response(status, json=body))


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (400, "invalid parameter", BackendRefused),
        (422, "too many samples", BackendRefused),
        (422, "timeout exceeded during query execution", BackendAway),
        (503, "query timed out in expression evaluation", BackendAway),
        (503, "Service Unavailable", BackendAway),
        (429, "too many requests", BackendAway),
    ],
)
async def test_an_error_comes_with_the_servers_words(status: int, said: str, kind: type[Exception]) -> None:
    server = answering(status, {"status": "error", "errorType": "x", "error": said})
    with pytest.raises(kind, match=said):
        await store(server).gauge(signals.HW_POWER, SERVICE, ns(0), ns(1))


@pytest.mark.parametrize("body", [[], {}, {"status": "success"}, {"data": {"resultType": "scalar"}}, "x"])
async def test_json_that_is_no_answer_of_this_api_says_so(body: Any) -> None:
    with pytest.raises(BackendRefused, match="address"):
        await store(answering(200, body)).gauge(signals.HW_POWER, SERVICE, ns(0), ns(1))


async def test_a_wrong_path_says_that_one_may_be_missing() -> None:
    with pytest.raises(BackendRefused, match="/prometheus"):
        await store(answering(404, {})).gauge(signals.HW_POWER, SERVICE, ns(0), ns(1))


async def test_a_server_that_is_gone_is_away() -> None:
    def gone(path: str, form: dict[str, str]) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(BackendAway):
        await store(Server(before=gone)).increase(signals.FRAME_COUNT, SERVICE, ns(0), ns(1), SECOND)


async def test_an_answer_without_all_data_is_said_once_in_the_log_and_in_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(extra={"warnings": ["store-2 did not answer"]})
    server.add(points(1), __name__="hw_power_watts", service_name="scanner")
    backend = store(server)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert len(await backend.gauge(signals.HW_POWER, SERVICE, ns(0), ns(10))) == 1
    assert [record.message for record in caplog.records] == [
        "Prometheus answers without some of its data: store-2 did not answer"
    ]
    lacks = (await backend.about()).shortcomings
    assert [one.why for one in lacks if one.what == "whole answers"] == ["store-2 did not answer"]


# --- about ------------------------------------------------------------------------------------------

WELL_SET_UP = {
    "/api/v1/status/buildinfo": {"version": "3.16.0"},
    "/api/v1/status/flags": {"enable-feature": "exemplar-storage,created-timestamp-zero-ingestion"},
    "/api/v1/status/config": {
        "yaml": "storage: {tsdb: {out_of_order_time_window: 10m}}\n"
        "otlp: {promote_resource_attributes: [service.name, host.name]}\n"
    },
}


async def test_a_prometheus_that_is_well_set_up_lacks_nothing() -> None:
    server = Server(pages=dict(WELL_SET_UP))
    server.add(points(1), __name__="frame_count_total", service_name="scanner", host_name="ward-3")
    about = await store(server).about()
    assert (about.product, about.version, about.shortcomings) == ("Prometheus", "3.16.0", ())


async def test_a_plain_prometheus_says_what_to_change() -> None:
    pages = WELL_SET_UP | {"/api/v1/status/flags": {}, "/api/v1/status/config": {"yaml": "global: {}\n"}}
    about = await store(Server(pages=pages)).about()
    changes = " ".join(one.change for one in about.shortcomings)
    for option in (
        "--enable-feature=exemplar-storage",
        "--enable-feature=created-timestamp-zero-ingestion",
        "out_of_order_time_window",
        "promote_resource_attributes",
    ):
        assert option in changes


async def test_what_series_lack_is_read_from_them() -> None:
    server = Server(pages=dict(WELL_SET_UP))
    server.add(points(1), __name__="frame_count_total", job="scanner")
    lacks = (await store(server).about()).shortcomings
    assert [one.what for one in lacks] == ["service names as they were sent", "the host of a metric"]


async def test_a_server_that_keeps_its_settings_to_itself_is_not_guessed_at() -> None:
    about = await store(Server()).about()
    assert (about.product, about.version, about.shortcomings) == ("Prometheus", None, ())


async def test_mimir_and_thanos_are_called_by_their_names() -> None:
    mimir = Server(pages={"/api/v1/status/buildinfo": {"application": "Grafana Mimir", "version": "3.0.0"}})
    assert (await store(mimir).about()).product == "Grafana Mimir"
    thanos = Server(pages={"/api/v1/status/buildinfo": {"version": "0.40.0"}, "/api/v1/stores": {}})
    assert (await store(thanos).about()).product == "Thanos"


async def test_victoria_metrics_says_its_version_and_what_it_keeps_not() -> None:
    page = 'vm_app_version{version="victoria-metrics-v1.150.0", short_version="v1.150.0"} 1\n'
    about = await store(Server(metricsql=True, pages={"/metrics": page})).about()
    assert (about.product, about.version) == ("VictoriaMetrics", "1.150.0")
    assert [one.what for one in about.shortcomings] == ["exemplars", "the first value of a counter, exactly"]
