"""Spans as rows: which are frames, whose guilt, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from framescope import signals
from framescope_ui.store.schema import BATCH, FRAME
from framescope_ui.store.trace_rows import TraceRows, trace_rows

MS = 1_000_000
TRACE = bytes(range(16))
ARRIVED = 2000 * MS
HOUR_US = 3_600_000_000


def _any(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_any(item) for item in value]))
    return AnyValue(string_value=value)


def _span(name: str, number: int, told: dict[str, Any], *, parent: int = 0, **fields: Any) -> Span:
    return Span(
        trace_id=TRACE,
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        attributes=[KeyValue(key=key, value=_any(value)) for key, value in told.items()],
        **{"start_time_unix_nano": 1000 * MS, "end_time_unix_nano": 1020 * MS} | fields,
    )


def _root(number: int = 1, **told: Any) -> Span:
    return _span(signals.SPAN_FRAME, number, {signals.FRAME_PIPELINE: "p"} | told)


def _stage(name: str, number: int, *, parent: int = 1, **told: Any) -> Span:
    return _span(name, number, {signals.FRAME_STAGE_NAME: name} | told, parent=parent)


def _rows(*spans: Span) -> TraceRows:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    return trace_rows(request, ARRIVED)


def _guilty(*spans: Span) -> str | None:
    (frame,) = _rows(*spans).frames
    return frame.guilt.stage if frame.guilt else None


def test_the_guilty_stage_has_the_greatest_sum_of_losses() -> None:
    a = _stage("a", 2, **{"frame.lost.gpu_work": 0.004, "frame.lost.io_wait": 0.003})
    b = _stage("b", 3, **{"frame.lost.gpu_work": 0.006})
    assert _guilty(_root(), a, b) == "a"


def test_a_slow_frame_without_told_losses_blames_the_stage_furthest_over_its_usual_time() -> None:
    stages = (
        _stage("a", 2, **{"frame.stage.expected": 0.019}),
        _stage("b", 3, **{"frame.stage.expected": 0.004}),
    )
    assert _guilty(_root(**{"frame.slow": True}), *stages) == "b"
    assert _guilty(_root(**{"frame.slow": False}), *stages) is None


def test_a_stage_named_frame_is_no_root() -> None:
    odd = _span("frame", 2, {signals.FRAME_STAGE_NAME: "frame", signals.FRAME_PIPELINE: "p"}, parent=1)
    rows = _rows(_root(), odd)
    assert len(rows.frames) == 1 and not rows.spans


def test_a_span_called_frame_of_somebody_else_is_an_ordinary_span() -> None:
    rows = _rows(_span("frame", 1, {"http.route": "/frame"}))
    assert not rows.frames and len(rows.spans) == 1


def test_two_frames_in_one_trace_keep_their_own_stages() -> None:
    one = (_root(1), _stage("a", 2, parent=1, **{"frame.lost.gpu": 0.1}))
    two = (_root(5), _stage("b", 6, parent=5, **{"frame.lost.gpu": 0.2}))
    rows = _rows(*one, *two)
    assert [frame.guilt.stage for frame in rows.frames if frame.guilt] == ["a", "b"]


def test_ids_that_point_in_a_circle_end() -> None:
    rows = _rows(_root(1), _root(5), _stage("a", 2, parent=3), _stage("b", 3, parent=2))
    assert len(rows.frames) == 2 and len(rows.spans) == 2


def test_stages_that_come_without_their_root_are_remembered_with_their_loss() -> None:
    rows = _rows(_stage("a", 2, **{"frame.lost.gpu": 0.1}))
    assert len(rows.spans) == 1
    assert rows.apart[TRACE].stage == "a"


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"trace_id": b""}, "invalid trace id"),
        ({"trace_id": bytes(16)}, "invalid trace id"),
        ({"trace_id": b"short"}, "invalid trace id"),
        ({"span_id": bytes(8)}, "invalid span id"),
        ({"span_id": b""}, "invalid span id"),
        ({"start_time_unix_nano": 0}, "time out of range"),
        ({"start_time_unix_nano": 2**63}, "time out of range"),
        ({"end_time_unix_nano": 2**64 - 1}, "time out of range"),
    ],
)
def test_what_cannot_be_stored_is_counted_by_reason(spoilt: dict[str, Any], reason: str) -> None:
    bad = _root()
    for name, value in spoilt.items():
        setattr(bad, name, value)
    rows = _rows(bad, _root(2))
    assert rows.rejected == {reason: 1}
    assert rows.accepted == 1


@pytest.mark.parametrize("end_ns", [0, 990 * MS])
def test_a_frame_without_an_end_is_kept_as_spans_and_no_duration_is_made_up(end_ns: int) -> None:
    root = _span("frame", 1, {"frame.pipeline": "p"}, end_time_unix_nano=end_ns)
    rows = _rows(root, _stage("a", 2))
    assert not rows.frames and len(rows.spans) == rows.accepted == 2
    assert rows.endless == 1 and not rows.rejected


def test_a_frame_that_took_no_time_is_a_frame() -> None:
    rows = _rows(_span("frame", 1, {"frame.pipeline": "p"}, end_time_unix_nano=1000 * MS))
    assert len(rows.frames) == 1 and rows.endless == 0


def _record(**told: Any) -> TraceRows:
    complete = {
        signals.FRAME_PIPELINE: "p",
        signals.BATCH_FIRST_ID: 7,
        signals.BATCH_OFFSETS_US: [0, 10],
        signals.BATCH_LATENCIES_US: [5, 6],
        signals.BATCH_OUTCOMES: "os",
        signals.BATCH_CAUSES: ["GS"],
    }
    return _rows(_span(signals.SPAN_FRAMES, 1, complete | told))


def test_a_frames_record_is_a_row() -> None:
    rows = _record()
    assert len(rows.batches) == 1 and not rows.spans


@pytest.mark.parametrize(
    "spoilt",
    [
        {"frame.batch.outcomes": "o"},
        {"frame.batch.offsets_us": [0]},
        {"frame.batch.offsets_us": ["0", "1"]},
        {"frame.batch.first_id": "seven"},
        {"frame.batch.latencies_us": [0, 2**62]},
    ],
)
def test_a_frames_record_that_does_not_add_up_is_kept_as_an_ordinary_span(spoilt: dict[str, Any]) -> None:
    rows = _record(**spoilt)
    assert not rows.batches and len(rows.spans) == 1


@pytest.mark.parametrize("limit", [1e12, 1e300, 0.0, -1.0])
def test_a_budget_that_no_column_holds_is_unknown(limit: float) -> None:
    (row,) = _record(**{signals.FRAME_BUDGET_LIMIT: limit}).batches
    assert dict(zip((name for name, _, _ in BATCH.columns), row, strict=True))["budget_ns"] is None
    assert BATCH.arrow([row]).num_rows == 1


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 1.7e308, -1.7e308])
def test_every_number_a_span_can_tell_fits_its_column(number: float) -> None:
    told = {
        signals.FRAME_ID: number,
        signals.FRAME_CAUSE_CONFIDENCE: number,
        signals.FRAME_LOST_TOTAL: number,
        signals.FRAME_OVERRUN_TOTAL: number,
        signals.FRAME_BUDGET_LIMIT: number,
    }
    lost = {signals.FRAME_LOST_PREFIX + cause: number for cause in ("gpu_work", "io_wait")}
    frames = _rows(_root(**told), _stage("a", 2, **lost)).frames
    assert FRAME.arrow([frame.columns() for frame in frames]).num_rows == 1
    record = _record(**{signals.FRAME_BUDGET_LIMIT: number})
    assert BATCH.arrow(record.batches).num_rows == 1


@pytest.mark.parametrize(
    "spoilt",
    [
        {"frame.batch.latencies_us": [5, HOUR_US + 2_000_000]},
        {"frame.batch.offsets_us": [0, HOUR_US + 2_000_000]},
        {"frame.batch.latencies_us": [5, 2**53]},
    ],
)
def test_a_frames_record_that_ends_in_the_future_is_rejected_alone(spoilt: dict[str, Any]) -> None:
    rows = _record(**spoilt)
    assert rows.rejected == {"frames that end in the future": 1}
    assert not rows.batches and not rows.spans and rows.accepted == 0


def test_a_frames_record_of_a_clock_that_is_ahead_is_kept() -> None:
    rows = _record(**{"frame.batch.latencies_us": [5, HOUR_US - 2_000_000]})
    assert len(rows.batches) == 1


@pytest.mark.parametrize(
    ("told", "status", "outcome"),
    [
        ({signals.FRAME_BUDGET_LIMIT: 0.010}, Status(), "slow"),
        ({signals.FRAME_BUDGET_LIMIT: 0.030}, Status(), "on_time"),
        ({signals.FRAME_BUDGET_LIMIT: 0.030}, Status(code=Status.STATUS_CODE_ERROR), "failed"),
        ({signals.FRAME_BUDGET_LIMIT: 0.010, signals.FRAME_OUTCOME: "dropped"}, Status(), "dropped"),
        ({}, Status(), None),
    ],
)
def test_a_frame_that_does_not_tell_its_outcome_is_found_by_the_one_its_latency_and_budget_give(
    told: dict[str, Any], status: Status, outcome: str | None
) -> None:
    root = _root(**told)
    root.status.CopyFrom(status)
    (frame,) = _rows(root).frames
    columns = [name for name, _, _ in FRAME.columns]
    assert frame.columns()[columns.index("outcome")] == outcome
