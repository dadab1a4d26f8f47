"""The writer: one commit for many, refusals that leave it working, parts of a trace that meet again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from framescope import signals
from framescope_ui.store.otlp import Malformed
from framescope_ui.store.segments import Segments
from framescope_ui.store.tally import Tally
from framescope_ui.store.writer import NotStored, Overloaded, Writer


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    opened = Segments(
        tmp_path, segment_seconds=600, retention_seconds=1e6, retention_bytes=2**30, now_s=time.time
    )
    yield opened
    opened.close()


def _request(number: int = 1) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        name="work",
        start_time_unix_nano=1,
        end_time_unix_nano=2,
    )
    return request


def _stored(segments: Segments) -> int:
    cursor = segments.cursor()
    rows = cursor.execute(f"SELECT count(*) FROM {segments.current.schema}.span").fetchall()
    cursor.close()
    count: int = rows[0][0]
    return count


def test_a_request_is_on_disk_when_it_is_done(segments: Segments) -> None:
    writer = Writer(segments, Tally())
    assert writer.submit(_request(), 10).result(30).rejected == 0
    assert _stored(segments) == 1
    writer.close()


def test_what_waits_is_stored_before_the_end(segments: Segments) -> None:
    writer = Writer(segments, Tally())
    waiting = [writer.submit(_request(number + 1), 10) for number in range(50)]
    writer.close()
    assert all(one.result(0).rejected == 0 for one in waiting)
    assert _stored(segments) == 50
    with pytest.raises(Overloaded):
        writer.submit(_request(), 10)


def test_too_much_waiting_is_refused_at_once(segments: Segments) -> None:
    writer = Writer(segments, Tally(), greatest_waiting_bytes=100)
    with pytest.raises(Overloaded):
        writer.submit(_request(), 101)
    assert writer.submit(_request(), 100).result(30).rejected == 0
    writer.close()


@pytest.mark.parametrize(
    "error", [duckdb.IOException("no space"), duckdb.FatalException("invalidated"), OSError("gone")]
)
def test_a_disk_that_refuses_once_costs_that_commit_only(
    segments: Segments, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tally = Tally()
    writer = Writer(segments, tally)
    commit, failures = writer._commit, [error]

    def failing(batch: Any) -> None:
        if failures:
            raise failures.pop()
        commit(batch)

    monkeypatch.setattr(writer, "_commit", failing)
    with pytest.raises(NotStored):
        writer.submit(_request(1), 10).result(30)
    assert writer.submit(_request(2), 10).result(30).rejected == 0
    assert _stored(segments) == 1
    assert tally.snapshot()["refused: not stored"] == 1
    writer.close()


@pytest.fixture
def held(segments: Segments, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Writer, threading.Event]]:
    """A writer whose first turn lasts until the event is set: what comes meanwhile is one commit."""
    go_on = threading.Event()
    began = threading.Event()
    writer = Writer(segments, Tally())
    tend = writer._tend

    def waiting() -> None:
        began.set()
        go_on.wait(60)
        tend()

    monkeypatch.setattr(writer, "_tend", waiting)
    writer.submit(_request(999), 10)
    assert began.wait(30)
    yield writer, go_on
    go_on.set()
    writer.close()


def test_a_sender_that_leaves_changes_nobody_elses_answer(held: tuple[Writer, threading.Event]) -> None:
    writer, go_on = held
    one, left, other = (writer.submit(_request(number), 10) for number in (1, 2, 3))
    assert left.cancel()
    go_on.set()
    assert one.result(30).rejected == other.result(30).rejected == 0


def test_a_sender_that_left_gives_its_bytes_back(segments: Segments) -> None:
    writer = Writer(segments, Tally(), greatest_waiting_bytes=100)
    with writer._changed:  # nothing is taken meanwhile
        assert writer.submit(_request(1), 100).cancel()
    give_up = time.monotonic() + 30
    while True:
        try:
            assert writer.submit(_request(2), 100).result(30).rejected == 0
            break
        except Overloaded:
            assert time.monotonic() < give_up
            time.sleep(0.01)
    writer.close()


def test_a_request_that_cannot_be_stored_is_refused_alone_and_for_good(
    held: tuple[Writer, threading.Event], monkeypatch: pytest.MonkeyPatch, segments: Segments
) -> None:
    writer, go_on = held
    commit = writer._commit

    def failing(batch: Any) -> None:
        if any(waiting.size == 13 for waiting, _ in batch.outcomes):
            raise OverflowError("int too big to convert")
        commit(batch)

    monkeypatch.setattr(writer, "_commit", failing)
    one, bad, other = (writer.submit(_request(number), size) for number, size in ((1, 10), (2, 13), (3, 10)))
    go_on.set()
    assert one.result(30).rejected == other.result(30).rejected == 0
    with pytest.raises(Malformed, match="too big"):
        bad.result(30)
    assert _stored(segments) == 3


def test_a_request_that_cannot_be_translated_is_refused_alone_and_for_good(
    held: tuple[Writer, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, go_on = held
    translate = writer._translate

    def failing(waiting: Any, batch: Any) -> None:
        if waiting.size == 13:
            raise KeyError("odd")
        translate(waiting, batch)

    monkeypatch.setattr(writer, "_translate", failing)
    one, bad = writer.submit(_request(1), 10), writer.submit(_request(2), 13)
    go_on.set()
    assert one.result(30).rejected == 0
    with pytest.raises(Malformed, match="odd"):
        bad.result(30)


def _stage(name: str, lost: float, number: int) -> ExportTraceServiceRequest:
    told = {signals.FRAME_STAGE_NAME: AnyValue(string_value=name)}
    told[signals.FRAME_LOST_PREFIX + "gpu_work"] = AnyValue(double_value=lost)
    return _part(name, number, told, parent=1)


def _root() -> ExportTraceServiceRequest:
    return _part(signals.SPAN_FRAME, 1, {signals.FRAME_PIPELINE: AnyValue(string_value="p")})


def _part(name: str, number: int, told: dict[str, AnyValue], parent: int = 0) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=(7).to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        attributes=[KeyValue(key=key, value=value) for key, value in told.items()],
        start_time_unix_nano=1,
        end_time_unix_nano=2,
    )
    return request


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", ["gbr", "bgr", "grb", "brg", "rgb", "rbg"])
def test_the_guiltiest_stage_is_named_in_whatever_parts_a_trace_comes(
    held: tuple[Writer, threading.Event], segments: Segments, order: str, together: bool
) -> None:
    writer, go_on = held
    parts = {"r": _root(), "g": _stage("guilty", 0.5, 2), "b": _stage("bystander", 0.1, 3)}
    if together:
        answers = [writer.submit(parts[letter], 10) for letter in order]
        go_on.set()
        assert all(answer.result(30) for answer in answers)
    else:
        go_on.set()
        for letter in order:
            writer.submit(parts[letter], 10).result(30)
    cursor = segments.cursor()
    named = cursor.execute(f"SELECT stage, stage_lost FROM {segments.current.schema}.frame").fetchall()
    cursor.close()
    assert named == [("guilty", 0.5)]
