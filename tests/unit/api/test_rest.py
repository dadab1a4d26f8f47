"""The REST interface: what each path answers, and how it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from memory_stores import MemoryMetrics, away
from scene import NOW_NS, NS, PIPELINE, SERVICE, Scene, scene, trace_id_of

from framescope import signals as sig
from framescope_ui.api.exposition import exposition
from framescope_ui.api.routes import install_routes
from framescope_ui.api.table import csv_text
from framescope_ui.backends.protocols import BackendRefused, Unsupported
from framescope_ui.options import AppOptions
from framescope_ui.questions.feed import LiveFeed

ITEM = {
    "trace_id", "frame_id", "service", "pipeline", "start", "latency_seconds", "overrun_seconds",
    "lost_seconds", "outcome", "cause", "confidence", "stage",
}  # fmt: skip
VERDICT = {
    "sentence", "culprit", "expected_seconds", "considered", "cause", "confidence", "axis", "lost_seconds",
    "overrun_seconds", "unexplained_seconds", "shares",
}  # fmt: skip


@pytest.fixture
def made() -> Iterator[Scene]:
    yield scene()


@pytest.fixture
async def client(made: Scene) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app_of(made), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        yield client


def app_of(made: Scene) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    feed = LiveFeed(made.stores, clock_ns=lambda: NOW_NS)
    install_routes(app, made.stores, feed, AppOptions(), clock_ns=lambda: NOW_NS)
    return app


def strict(response: httpx.Response) -> Any:
    """The body, refusing the NaN and Infinity that are not JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(response.content, parse_constant=refuse)


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = strict(response)
    assert {"type", "title", "status", "detail", "instance"} <= set(body)
    assert body["status"] == status
    return body


async def test_latest_is_one_flat_object(client: httpx.AsyncClient) -> None:
    row = strict(await client.get("/api/metrics/latest"))
    assert all(not isinstance(value, (dict, list)) for value in row.values())
    assert (row["service"], row["pipeline"], row["health"]) == (SERVICE, PIPELINE, "OK")
    assert row["latency_ms"] == pytest.approx(12)
    assert row["gpu_utilization"] == pytest.approx(0.6)
    assert row["gpu_temperature"] is None
    assert row["queue_rt_drops"] == pytest.approx(59)
    assert row["custom_score"] == pytest.approx(0.93)
    assert row["custom_defects_per_minute"] == pytest.approx(118)


async def test_history_is_rows_for_a_data_frame(client: httpx.AsyncClient) -> None:
    body = strict(await client.get("/api/metrics/history?last=10"))
    rows = body["data"]
    assert len(rows) == body["count"] == 10
    wanted = {"timestamp", "fps_in", "fps_out", "latency_ms", "queue_rt_drops", "queue_rt_depth",
              "gpu_utilization", "gpu_memory_used", "gpu_temperature", "cpu", "memory", "health"}  # fmt: skip
    assert all(wanted <= set(row) for row in rows)
    assert len({frozenset(row) for row in rows}) == 1
    times = [row["timestamp"] for row in rows]
    assert times == sorted(times)
    assert {row["health"] for row in rows} == {"OK"}


async def test_history_has_three_hundred_rows_where_it_is_not_said(made: Scene) -> None:
    made = scene(seconds=400)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app_of(made)), base_url="http://app") as c:
        assert 295 <= strict(await c.get("/api/metrics/history"))["count"] <= 300


@pytest.mark.parametrize("last", ["0", "-1", "many", "1.5", "99999", "²", "0000000019999999", "1" * 5000])
async def test_a_bad_number_of_rows_is_refused(client: httpx.AsyncClient, last: str) -> None:
    body = problem_of(await client.get("/api/metrics/history", params={"last": last}), 400)
    assert body["parameter"] == "last"


async def test_health_says_state_since_reasons_and_sources(client: httpx.AsyncClient) -> None:
    body = strict(await client.get("/api/health"))
    assert {"state", "since", "reasons", "sources"} <= set(body)
    assert body["state"] == "OK"
    named = {"name", "status", "newest_age_seconds", "since", "reason", "missing"}
    assert named == set(body["sources"][0])


async def test_health_of_a_store_that_is_away_says_since_when(made: Scene, client: httpx.AsyncClient) -> None:
    made.traces.error = made.metrics.error = away()
    response = await client.get("/api/health")
    assert response.status_code == 200
    body = strict(response)
    assert body["state"] == "NO DATA"
    assert body["sources"][0]["status"] == "away"
    assert body["sources"][0]["since"] == NOW_NS / NS


async def test_pipelines_are_listed(client: httpx.AsyncClient) -> None:
    (only,) = strict(await client.get("/api/pipelines"))["pipelines"]
    assert (only["service"], only["pipeline"]) == (SERVICE, PIPELINE)


async def test_frames_have_exactly_the_fields_of_the_contract(client: httpx.AsyncClient) -> None:
    body = strict(await client.get("/api/frames?limit=5"))
    assert set(body) == {"frames", "next_cursor"}
    assert len(body["frames"]) == 5
    assert all(set(item) == ITEM for item in body["frames"])
    assert body["frames"][0]["cause"] == "gpu_contention"
    assert body["frames"][0]["overrun_seconds"] == pytest.approx(0.011)


async def test_pages_of_frames_follow_each_other_without_overlap(client: httpx.AsyncClient) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = strict(await client.get("/api/frames", params={"limit": 7, "cursor": cursor}))
        seen += [item["trace_id"] for item in body["frames"]]
        cursor = body["next_cursor"]
    assert len(seen) == len(set(seen)) == 30


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("outcome=slow", 30),
        ("outcome=slow,failed", 30),
        ("outcome=failed", 0),
        ("cause=gpu_contention&cause=cpu_work", 30),
        ("cause=cpu_work", 0),
        ("service=nobody", 0),
        (f"start={NOW_NS // NS - 10}", 5),
        ("end=2000-01-01T00:00:00Z", 0),
        ("start=2027-01-15T07:59:50Z&end=2027-01-15T08:00:00Z", 5),
        ("outcome=slow&latency_ms=30-32", 30),
        ("outcome=slow&latency_ms=20-31", 0),
        (f"service={SERVICE}&pipeline={PIPELINE}&start=1&end={NOW_NS // NS}&cohort=a%3Db", 0),
    ],
)
async def test_frames_are_filtered(client: httpx.AsyncClient, query: str, count: int) -> None:
    assert len(strict(await client.get(f"/api/frames?{query}"))["frames"]) == count


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("outcome=late", "outcome"),
        ("cause=moon", "cause"),
        ("order=random", "order"),
        ("order=time,duration", "order"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=0000000019999999", "limit"),
        ("limit=x", "limit"),
        ("start=yesterday", "start"),
        ("end=2026-11-22T08:30:00", "end"),
        ("start=1800000000000", "start"),
        ("start=20&end=10", "end"),
        ("start=nan", "start"),
        ("cursor=mine", "cursor"),
        ("format=xml", "format"),
        ("latency_ms=30", "latency_ms"),
        ("latency_ms=30-12", "latency_ms"),
        ("cohort=doppler", "cohort"),
        ("cohort=mode%3Ddoppler", "service"),
    ],
)
async def test_a_bad_parameter_is_named_with_what_to_do(
    client: httpx.AsyncClient, query: str, parameter: str
) -> None:
    body = problem_of(await client.get(f"/api/frames?{query}"), 400)
    assert body["parameter"] == parameter
    assert len(body["detail"]) > 20


async def test_frames_and_history_as_csv(client: httpx.AsyncClient) -> None:
    frames = await client.get("/api/frames?format=csv&limit=3")
    assert frames.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(frames.text)))
    assert [line["frame_id"] for line in lines] == ["2999", "2899", "2799"]
    assert frames.headers["x-next-cursor"] == "3"
    history = list(
        csv.DictReader(io.StringIO((await client.get("/api/metrics/history?format=csv&last=5")).text))
    )
    assert len(history) == 5
    assert history[0]["gpu_temperature"] == ""
    assert float(history[0]["fps_out"]) == pytest.approx(50, abs=1)


def test_a_name_that_a_spreadsheet_would_run_is_defused() -> None:
    assert csv_text([{"stage": "=cmd()", "n": -1.5, "none": None}], ["stage", "n", "none"]) == (
        "stage,n,none\r\n'=cmd(),-1.5,\r\n"
    )


async def test_one_frame_whole(client: httpx.AsyncClient) -> None:
    body = strict(await client.get(f"/api/frames/{trace_id_of(2999)}"))
    assert set(body) >= ITEM
    verdict = body["verdict"]
    assert set(verdict) == VERDICT
    assert verdict["cause"] == "gpu_contention"
    assert verdict["culprit"] == {"process": "train", "pid": 11}
    assert {"cause", "lost_seconds", "overrun_seconds", "stage", "evidence"} == set(verdict["shares"][0])
    assert [stage["name"] for stage in body["stages"]] == ["capture", "denoise", "denoise", "render"]
    assert body["series"]["gpu_utilization"][0]["y"]
    assert body["earlier_slow"] == trace_id_of(2899)
    assert [span["name"] for span in body["spans"]] == ["frame", "capture", "denoise", "denoise", "render"]
    span = body["spans"][3]
    assert (span["span_id"], span["parent_span_id"]) == ("d" * 16, "c" * 16)
    assert span["end"] - span["start"] == pytest.approx(0.022, abs=1e-5)
    assert span["attributes"]["frame.gpu.time"] == 0.022
    assert (span["status"], span["events"]) == ("unset", [])


@pytest.mark.parametrize("end_ns", [0, -1])
async def test_a_frame_that_has_not_ended_has_no_latency(
    made: Scene, client: httpx.AsyncClient, end_ns: int
) -> None:
    whole = made.traces.kept[-1]
    root = replace(whole.spans[0], end_ns=end_ns)
    made.traces.kept[-1] = replace(whole, spans=(root, *whole.spans[1:]))
    body = strict(await client.get(f"/api/frames/{trace_id_of(2999)}"))
    assert (body["latency_seconds"], body["end"], body["spans"][0]["end"]) == (None, None, None)
    assert any("not ended" in sentence for sentence in body["missing"])
    item = strict(await client.get("/api/frames?limit=1"))["frames"][0]
    assert (item["trace_id"], item["latency_seconds"]) == (trace_id_of(2999), None)


async def test_an_unknown_trace_is_a_404_that_helps(client: httpx.AsyncClient) -> None:
    assert "/api/frames" in problem_of(await client.get(f"/api/frames/{'0' * 32}"), 404)["detail"]


async def test_a_malformed_trace_id_is_a_400(client: httpx.AsyncClient) -> None:
    problem_of(await client.get("/api/frames/not-hex"), 400)


@pytest.mark.parametrize("path", ["/api/nope", "/api/", "/api/frames/x/y", "/api/metrics"])
async def test_an_unknown_path_is_a_404_problem(client: httpx.AsyncClient, path: str) -> None:
    assert "/docs" in problem_of(await client.get(path), 404)["detail"]


@pytest.mark.parametrize(
    "path", ["/api/frames", f"/api/frames/{'1' * 32}", "/api/health", "/metrics", "/healthz", "/docs"]
)
async def test_a_wrong_method_is_refused_and_the_right_one_named(
    client: httpx.AsyncClient, path: str
) -> None:
    for method in ("POST", "DELETE"):
        response = await client.request(method, path)
        problem_of(response, 405)
        assert response.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/report", "/api/export"])
async def test_what_is_not_built_yet_says_so(client: httpx.AsyncClient, path: str) -> None:
    assert "not built" in problem_of(await client.get(path), 501)["detail"]


async def test_incidents_are_listed_and_what_cannot_be_asked_is_refused(
    client: httpx.AsyncClient, made: Scene
) -> None:
    body = strict(await client.get("/api/incidents"))
    assert body == {
        "service": SERVICE,
        "pipeline": PIPELINE,
        "incidents": [],
        "cut_before": None,
        "missing": [],
    }
    batch = made.traces.batches[30]
    slow = sig.OUTCOMES["slow"] * len(batch.offsets_us)
    codes = [sig.CAUSES["gc_pause"].code] * len(slow)
    made.traces.batches[30] = replace(batch, outcomes=slow, causes=codes)
    (one,) = strict(await client.get("/api/incidents", params={"start": NOW_NS / NS - 60}))["incidents"]
    # The fifty, and one right beside them that lost more than all of them: it gives the name.
    assert (one["cause"], one["slow"]) == ("gpu_contention", 51)
    assert set(one) == {
        "start", "end", "going_on", "cause", "frames", "slow", "dropped", "lost_seconds", "shares",
        "worst_frame", "worst_start", "worst_latency_seconds", "trigger", "sentence",
    }  # fmt: skip
    for wrong in ({"start": "yesterday"}, {"start": 5, "end": 4}, {"start": 5, "end": 5.5}):
        problem_of(await client.get("/api/incidents", params=wrong), 400)
    problem_of(await client.get("/api/incidents", params={"pipeline": "nobody's"}), 404)
    made.traces.error = away("traces")
    problem_of(await client.get("/api/incidents"), 504)


async def test_the_newest_numbers_as_prometheus_reads_them(client: httpx.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    labels = f'service="{SERVICE}",pipeline="{PIPELINE}"'
    lines = response.text.splitlines()
    assert f"framescope_queue_rt_depth{{{labels}}} 2.0" in lines
    assert f'framescope_health{{{labels},state="OK"}} 1' in lines
    assert "# TYPE framescope_latency_p99_ms gauge" in lines
    assert "# HELP framescope_latency_p99_ms ms" in lines
    assert not any("gpu_temperature" in line for line in lines)
    sample = re.compile(r'[a-z_0-9]+\{([a-z]+="[^"\\]*",?)*\} -?[0-9.e+-]+')
    assert all(sample.fullmatch(line) for line in lines if not line.startswith("#"))


def test_a_name_with_quotes_and_lines_stays_inside_its_label() -> None:
    text = exposition({"service": 'a"b\\c\nd', "health": "OK", "fps_in": 1.5, "cpu": None})
    assert 'framescope_fps_in{service="a\\"b\\\\c\\nd"} 1.5' in text.splitlines()
    assert "cpu" not in text


@pytest.mark.parametrize("path", ["/api/frames", f"/api/frames/{'1' * 32}", "/api/pipelines"])
async def test_a_store_that_is_away_is_a_504_that_names_it(
    made: Scene, client: httpx.AsyncClient, path: str
) -> None:
    made.traces.error = away("tempo")
    response = await client.get(path)
    body = problem_of(response, 504)
    assert body["backend"] == "tempo"
    assert response.headers["retry-after"]


async def test_a_store_that_refuses_is_a_502_and_one_that_cannot_a_501(
    made: Scene, client: httpx.AsyncClient
) -> None:
    made.traces.error = BackendRefused("tempo", "query too long")
    assert problem_of(await client.get("/api/frames"), 502)["backend"] == "tempo"
    made.traces.error = Unsupported("jaeger", "no order by duration")
    assert problem_of(await client.get("/api/frames"), 501)["backend"] == "jaeger"


async def test_a_fault_of_ours_is_a_500_without_its_details(made: Scene, client: httpx.AsyncClient) -> None:
    made.traces.error = ZeroDivisionError("secret")  # type: ignore[assignment]
    response = await client.get("/api/frames")
    problem_of(response, 500)
    assert "secret" not in response.text


async def test_a_frame_shows_what_the_metric_store_being_away_takes_from_it(
    made: Scene, client: httpx.AsyncClient
) -> None:
    made.metrics = MemoryMetrics("prometheus")
    made.metrics.error = away("prometheus")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app_of(made)), base_url="http://app") as c:
        body = strict(await c.get(f"/api/frames/{trace_id_of(99)}"))
    assert body["verdict"]["cause"] == "gpu_contention"
    assert any("prometheus" in sentence for sentence in body["missing"])


async def test_alive_is_not_ready_while_the_store_is_away(made: Scene, client: httpx.AsyncClient) -> None:
    assert (await client.get("/readyz")).status_code == 200
    made.traces.error = away("store")
    assert (await client.get("/healthz")).status_code == 200
    assert problem_of(await client.get("/readyz"), 503)["backend"] == "store"


async def test_numbers_that_json_does_not_know_are_null(made: Scene, client: httpx.AsyncClient) -> None:
    for series in made.metrics.series.values():
        for one in series:
            one.values[-1] = float("nan")  # type: ignore[index]
    made.metrics.put("frame.custom", [NOW_NS - NS], [float("inf")], frame__metric__name="odd")
    for path in (
        "/api/metrics/latest",
        "/api/metrics/history",
        "/api/health",
        f"/api/frames/{trace_id_of(2999)}",
    ):
        strict(await client.get(path))


async def test_the_docs_need_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "/api/frames/{trace_id}" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert strict(await client.get("/openapi.json"))["paths"]["/api/health"]
