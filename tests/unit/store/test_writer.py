"""The writer: one commit for many, refusals that leave it working, parts of a trace that meet again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

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
