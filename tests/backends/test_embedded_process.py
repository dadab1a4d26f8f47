"""The store as a process: bad input, kills, full disks, two of them, segments and their end."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import emission
import grpc
import httpx
import pytest
from emission import MS, SECOND
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace.export import SpanExportResult
from store_process import StoreProcess, spawn

from framescope import signals
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.protocols import FrameQuery, FrameRow, Trace

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
JSON_UTF8 = {"content-type": "application/json; charset=utf-8"}
LIMIT = 1 << 20
_GRPC_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    process = StoreProcess(tmp_path_factory.mktemp("store"), "--max-body-bytes", str(LIMIT)).start()
    yield process
    process.stop()


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[StoreProcess]:
    process = StoreProcess(tmp_path / "data")
    yield process
    if process.running():
        process.kill()


def _body(spans: int = 1, service: str = "s") -> bytes:
    origin, now = emission.resource(service), time.time_ns()
    made = [emission.span("work", now, now + MS, {}, origin) for _ in range(spans)]
    encoded: bytes = encode_spans(made).SerializeToString()
    return encoded


def _oldest(store: StoreProcess, from_ns: int) -> int | None:
    async def ask() -> Sequence[FrameRow]:
        backend = EmbeddedStore(store.data_dir)
        try:
            return await backend.oldest_frames(FrameQuery(start_ns=from_ns, limit=1))
        finally:
            await backend.aclose()

    found = asyncio.run(ask())
    return found[0].start_ns if found else None


def _trace(store: StoreProcess, trace_id: str) -> Trace | None:
    async def ask() -> Trace | None:
        backend = EmbeddedStore(store.data_dir)
        try:
            return await backend.trace(trace_id)
        finally:
            await backend.aclose()

    return asyncio.run(ask())


def _frames(store: StoreProcess, service: str) -> int:
    async def ask() -> int:
        backend = EmbeddedStore(store.data_dir)
        try:
            return (await backend.frames(FrameQuery(service=service, start_ns=0, limit=1000))).total or 0
        finally:
            await backend.aclose()

    return asyncio.run(ask())


def _post(store: StoreProcess, body: bytes, headers: dict[str, str], path: str = "/v1/traces") -> Any:
    return httpx.post(store.url + path, content=body, headers=headers, timeout=30)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff\xff", PROTOBUF, 400),
        (_body()[:-7], PROTOBUF, 400),
        (b"{", JSON, 400),
        (b"[1, 2]", JSON, 400),
        (b'{"resourceSpans": 7}', JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}', JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 12}]}]}]}', JSON, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"\xfe\xfe", JSON, 400),
        (_body(), {"content-type": "text/plain"}, 415),
        (_body(), {}, 415),
        (_body(), PROTOBUF | {"content-encoding": "br"}, 415),
        (_body(), PROTOBUF | {"content-encoding": "gzip"}, 400),
        (gzip.compress(_body())[:-9], PROTOBUF | {"content-encoding": "gzip"}, 400),
        (b"\0" * (LIMIT + 1), PROTOBUF, 413),
        (gzip.compress(b"\0" * 300 * LIMIT), PROTOBUF | {"content-encoding": "gzip"}, 413),
    ],
)
def test_bad_bodies_are_refused_with_a_reason_and_the_receiver_lives_on(
    store: StoreProcess, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = _post(store, body, headers)
    assert answer.status_code == status
    if headers.get("content-type") == "application/json":
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["message"]
    else:
        assert answer.headers["content-type"] == "application/x-protobuf"
        assert Status.FromString(answer.content).message
    assert _post(store, _body(), PROTOBUF).status_code == 200
    assert store.status()["counts"][f"refused: {status}"] > 0


def test_it_ends_without_a_word_on_standard_error_beyond_its_log(tmp_path: Path) -> None:
    errors = tmp_path / "stderr"
    with errors.open("wb") as to:
        process = spawn(tmp_path / "data", stderr=to)
        give_up = time.monotonic() + 60
        while b"listening" not in errors.read_bytes():
            assert process.poll() is None and time.monotonic() < give_up, errors.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert "leaked" not in errors.read_text(), (
        "what the engine says where its objects outlive the interpreter"
    )


def test_a_zip_bomb_costs_no_more_memory_than_the_limit(store: StoreProcess) -> None:
    bomb = gzip.compress(b"\0" * 900 * LIMIT)
    before = _rss(store.pid)
    assert len(bomb) < LIMIT
    for _ in range(3):
        assert _post(store, bomb, PROTOBUF | {"content-encoding": "gzip"}).status_code == 413
    assert _rss(store.pid) - before < 100 * 2**20


def test_a_body_without_a_length_is_bounded_too(store: StoreProcess) -> None:
    answer = httpx.post(
        store.url + "/v1/traces", content=(b"\0" * 65536 for _ in range(40)), headers=PROTOBUF, timeout=30
    )
    assert answer.status_code == 413


def test_spans_with_invalid_ids_are_rejected_one_by_one(store: StoreProcess) -> None:
    request = ExportTraceServiceRequest.FromString(_body(3))
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[0].trace_id = bytes(16)
    spans[1].span_id = b"short"
    answer = _post(store, request.SerializeToString(), PROTOBUF)
    assert answer.status_code == 200
    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert said.rejected_spans == 2
    assert "invalid trace id" in said.error_message and "invalid span id" in said.error_message
    assert _trace(store, spans[2].trace_id.hex()) is not None


def test_json_as_the_specification_writes_it_is_stored(store: StoreProcess) -> None:
    trace_id, now = uuid.uuid4().hex, time.time_ns()
    span = {
        "traceId": trace_id.upper(),
        "spanId": "eee19b7ec3c1b174",
        "parentSpanId": "",
        "name": "I'm a server span",
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": now + MS,
        "kind": 2,
        "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
        "attributes": [
            {"key": "n", "value": {"intValue": "7"}},
            {"key": "ids", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}},
        ],
        "somethingNew": {"traceId": "00"},
    }
    service = {"key": "service.name", "value": {"stringValue": "json"}}
    document = {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": [span]}]}]}
    answer = _post(
        store, json.dumps(document).encode(), JSON | {"content-type": "application/json; charset=utf-8"}
    )
    assert (answer.status_code, answer.json()) == (200, {})
    found = _trace(store, trace_id)
    assert found is not None
    assert found.resource["service.name"] == "json"
    (one,) = found.spans
    assert (one.name, one.start_ns, one.end_ns, one.status) == ("I'm a server span", now, now + MS, "error")
    assert one.attributes == {"n": 7, "ids": ["a"]}


def test_logs_are_accepted_and_counted_not_kept(store: StoreProcess) -> None:
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}] * 3}]}]}
    assert _post(store, json.dumps(document).encode(), JSON, "/v1/logs").status_code == 200
    assert store.status()["counts"]["ignored: log records"] == 3


def test_grpc_refuses_what_is_malformed_or_too_large_and_lives_on(store: StoreProcess) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{store.grpc_port}") as channel:
        export = channel.unary_unary(_GRPC_EXPORT)
        for body, code in (
            (b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
            (b"\0" * (LIMIT + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                export(body)
            assert refused.value.code() is code
        assert ExportTraceServiceResponse.FromString(export(_body())) == ExportTraceServiceResponse()


def test_a_zip_bomb_over_grpc_is_bounded(store: StoreProcess) -> None:
    before = _rss(store.pid)
    with grpc.insecure_channel(
        f"127.0.0.1:{store.grpc_port}", options=[("grpc.max_send_message_length", -1)]
    ) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(_GRPC_EXPORT)(b"\0" * 500 * LIMIT, compression=grpc.Compression.Gzip)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert channel.unary_unary(_GRPC_EXPORT)(_body(), compression=grpc.Compression.Gzip) == b""
    assert _rss(store.pid) - before < 100 * 2**20


def test_the_socket_takes_no_questions_it_does_not_know(store: StoreProcess) -> None:
    from framescope_ui.store.address import socket_path

    path = socket_path(store.data_dir)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://store") as client:
        assert client.post("/ask/sql", json={"sql": "SELECT 1"}).status_code == 404
        assert client.post("/ask/frames", json={"sql": "SELECT 1"}).status_code == 422
        assert client.post("/ask/frames", json={"limit": "1; DROP TABLE frame"}).status_code == 422
        assert client.post("/ask/frames", content=b"{").status_code == 422
        assert client.post("/ask/trace", json={"trace_id": "x" * 32}).status_code == 422
        many = {"metric": "m", "where": {}, "start_ns": 0, "end_ns": 10**18, "step_ns": 1}
        refused = client.post("/ask/points", json={"increases": [many]})
        assert (refused.status_code, "steps" in refused.json()["detail"]) == (422, True)


def test_what_was_acknowledged_survives_kill_9(own_store: StoreProcess) -> None:
    acknowledged = 0
    for _ in range(3):
        own_store.start()
        exporter = OTLPSpanExporter(f"{own_store.url}/v1/traces")
        for _ in range(5):
            now = time.time_ns()
            spans = emission.frame(emission.resource("kept"), now, 20 * MS, frame_id=acknowledged)
            assert exporter.export(spans) is SpanExportResult.SUCCESS
            acknowledged += 1
        own_store.kill()
    own_store.start()
    assert _frames(own_store, "kept") == acknowledged == 15


def test_a_signal_ends_it_cleanly_with_its_data(own_store: StoreProcess) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        own_store.start()
        assert _post(own_store, _body(), PROTOBUF).status_code == 200
        assert own_store.stop(number) == 0
        assert not list(own_store.data_dir.glob("*.wal"))


def test_frames_of_several_segments_are_one_answer_and_old_segments_go(tmp_path: Path) -> None:
    store = StoreProcess(tmp_path / "data", "--segment-seconds", "1", "--retention-seconds", "12").start()
    try:
        exporter = OTLPSpanExporter(f"{store.url}/v1/traces")
        origin, base = emission.resource("many"), time.time_ns()
        for place in range(3):
            assert exporter.export(emission.frame(origin, base + place * MS, 20 * MS, frame_id=place)) is (
                SpanExportResult.SUCCESS
            )
            _until(lambda: store.status()["segments"] > place + 1)  # noqa: B023
        assert _frames(store, "many") == 3  # all of them, long before the first is past its age
        assert [_oldest(store, base + after) for after in (0, MS, 3 * MS)] == [base, base + MS, None]
        _until(lambda: _frames(store, "many") == 0)
        assert store.status()["segments"] <= 14
    finally:
        store.kill()


def test_what_it_writes_is_for_its_user_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    process = spawn(data_dir, umask=0o022)
    try:
        _until(lambda: list(data_dir.rglob("store.sock")) and list(data_dir.glob("*.duckdb.wal")))
        found = [tmp_path / "new", data_dir, *data_dir.rglob("*")]
        assert [path for path in found if path.stat().st_mode & 0o077] == []
    finally:
        process.kill()
        process.wait(30)


def test_a_segment_that_cannot_be_read_is_set_aside(own_store: StoreProcess) -> None:
    own_store.start()
    assert _post(own_store, _body(), PROTOBUF).status_code == 200
    own_store.stop()
    (file,) = own_store.data_dir.glob("*.duckdb")
    file.write_bytes(b"not a database" * 1000)
    own_store.start()
    said = own_store.status()
    assert said["set_aside"] == [file.name]
    assert (own_store.data_dir / "set-aside" / file.name).exists()
    assert _post(own_store, _body(), PROTOBUF).status_code == 200


def test_a_second_store_on_the_same_data_is_told_who_has_it(own_store: StoreProcess) -> None:
    own_store.start()
    second = spawn(own_store.data_dir, stderr=subprocess.PIPE)
    _, said = second.communicate(timeout=30)
    assert second.returncode == 2
    assert str(own_store.pid) in said.decode() and "--data-dir" in said.decode()
    assert own_store.status()["segments"] == 1


@pytest.mark.parametrize("flag", ["--http-port", "--grpc-port"])
def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = spawn(tmp_path / "data", flag, str(port), stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert f"port {port}" in said.decode() and flag in said.decode()


def test_a_full_disk_is_refused_and_the_store_goes_on(own_store: StoreProcess) -> None:
    own_store.start()
    assert _post(own_store, _body(service="before"), PROTOBUF).status_code == 200
    unlimited = resource.prlimit(own_store.pid, resource.RLIMIT_FSIZE)
    (file,) = own_store.data_dir.glob("*.duckdb.wal")
    resource.prlimit(own_store.pid, resource.RLIMIT_FSIZE, (file.stat().st_size, unlimited[1]))
    trace = ExportTraceServiceRequest.FromString(_body(service="during"))
    refused = _post(own_store, trace.SerializeToString(), PROTOBUF)
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    resource.prlimit(own_store.pid, resource.RLIMIT_FSIZE, unlimited)
    again = _post(own_store, trace.SerializeToString(), PROTOBUF)
    assert again.status_code == 200
    own_store.kill()
    own_store.start()
    trace_id = trace.resource_spans[0].scope_spans[0].spans[0].trace_id.hex()
    assert _trace(own_store, trace_id) is not None
    assert own_store.status()["set_aside"] == []


async def test_a_total_is_told_of_a_range_and_not_counted_where_only_the_newest_is_asked_for(
    own_store: StoreProcess,
) -> None:
    own_store.start()
    exporter, now = OTLPSpanExporter(f"{own_store.url}/v1/traces"), time.time_ns()
    for place in range(3):
        exporter.export(emission.frame(emission.resource("s"), now + place, 20 * MS, frame_id=place))
    backend = EmbeddedStore(own_store.data_dir)
    assert (await backend.frames(FrameQuery(start_ns=now, limit=2))).total == 3
    assert (await backend.frames(FrameQuery(start_ns=now + MS, limit=2))).total == 0
    assert (await backend.frames(FrameQuery(start_ns=now, limit=1))).total is None
    unbounded = await backend.frames(FrameQuery(limit=100))
    assert (len(unbounded.frames), unbounded.total) == (3, None)
    await backend.aclose()


def test_a_late_readers_status_names_the_newest_data(own_store: StoreProcess) -> None:
    own_store.start()
    assert own_store.status()["newest_ns"]["frame"] is None
    start = time.time_ns() // SECOND * SECOND
    exporter = OTLPSpanExporter(f"{own_store.url}/v1/traces")
    # Under load an export may give up waiting for an answer and come again: it is stored all the same.
    exporter.export(emission.frame(emission.resource("s"), start, 20 * MS))
    _until(lambda: own_store.status()["newest_ns"]["frame"] == start)
    _until(lambda: own_store.status()["counts"].get("stored: frames", 0) >= 1)
    own_store.kill()
    assert own_store.start().status()["newest_ns"]["frame"] == start


def test_readings_keep_their_exact_values_through_a_restart(own_store: StoreProcess) -> None:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    own_store.start()
    base = time.time_ns()
    metric = emission.gauge(signals.HW_POWER, [(base, 0.1 + 0.2)], {signals.HW_ID: "0"})
    data = emission.metrics_of(emission.resource("s"), [metric])
    OTLPMetricExporter(f"{own_store.url}/v1/metrics").export(data)
    own_store.kill()
    own_store.start()

    async def ask() -> list[Any]:
        backend = EmbeddedStore(own_store.data_dir)
        return await backend.gauge(signals.HW_POWER, {signals.HW_ID: "0"}, base, base + 1)

    ((series),) = asyncio.run(ask())
    assert (list(series.times_ns), list(series.values)) == ([base], [0.1 + 0.2])


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _until(holds: Any, seconds: float = 30) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


async def test_a_store_without_any_data_answers_every_question_with_nothing(own_store: StoreProcess) -> None:
    own_store.start()
    backend = EmbeddedStore(own_store.data_dir)
    assert (await backend.frames(FrameQuery())).frames == ()
    assert await backend.trace("ab" * 16) is None
    assert await backend.every_frame("s", "p", 0, SECOND) == []
    assert await backend.marks("s", 0, SECOND) == []
    assert await backend.pipelines(0, SECOND) == []
    assert await backend.gauge(signals.HW_POWER, {}, 0, SECOND) == []
    assert await backend.increase(signals.FRAME_COUNT, {}, 0, SECOND, SECOND) == []
    assert await backend.histogram(signals.FRAME_LATENCY, {}, 0, SECOND, SECOND) == []
    await backend.aclose()
