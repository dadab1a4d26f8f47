"""Every question has the same answer before and after its files are sealed, to the last byte."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Asking
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from framescope import signals
from framescope_ui.store import answers as asked
from framescope_ui.store import kept_spans
from framescope_ui.store.schema import FRAME, LAYOUT, PACKED_LAYOUT
from framescope_ui.store.sealing import FAN, due, seal
from framescope_ui.store.segments import Segments
from framescope_ui.store.tally import Tally
from framescope_ui.store.writer import Writer

MS = 1_000_000
SECOND = 1_000 * MS
START_S = 1_795_000_000
PLENTY = 2**40
UNKNOWN_FIELD = b"\xc2\x3e\x03abc"


class Clock:
    now = float(START_S)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows fill several packs."""
    monkeypatch.setattr(kept_spans, "_ROWS_TOGETHER", 8)


@pytest.fixture
def segments(tmp_path: Path, clock: Clock) -> Iterator[Segments]:
    made = opened(tmp_path, clock)
    yield made
    made.close()


def opened(directory: Path, clock: Clock) -> Segments:
    return Segments(directory, segment_seconds=600, retention_seconds=1e9, retention_bytes=2**30, now_s=clock)


def value(of: Any) -> AnyValue:
    match of:
        case bool():
            return AnyValue(bool_value=of)
        case int():
            return AnyValue(int_value=of)
        case float():
            return AnyValue(double_value=of)
        case bytes():
            return AnyValue(bytes_value=of)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(value, of)))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=pairs(of)))
    return AnyValue(string_value=of)


def pairs(told: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(of)) for key, of in told.items()]


WEIRD = {
    "": "an empty key",
    "nothing": AnyValue,
    "minus": -1,
    "zero below": -0.0,
    "no number": float("nan"),
    "third": 1 / 3,
    "bytes": b"\x00\xff",
    "list": [1, [2.5, "x"], []],
    "map": {"a": {"b": [True]}},
    "long": "ä" * 10_000,
}


class Bag:
    """Requests of everything that is kept, another each time."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        self.trace_ids: list[str] = []

    def traces(self, at_ns: int) -> ExportTraceServiceRequest:
        request = ExportTraceServiceRequest()
        for number, service in enumerate(("scanner", "viewer")):
            group = request.resource_spans.add()
            group.resource.attributes.extend(pairs({"service.name": service, "host.name": f"h{number}"}))
            spans = group.scope_spans.add().spans
            for place in range(6):
                spans.extend(self._frame(at_ns + place * 10 * MS, place))
            spans.extend(self._frame(at_ns, 1, children=0))
            # Two frames of one trace, as when it crossed processes; and spans of others in it.
            shared = self._trace_id()
            spans.extend(self._frame(at_ns, 2, trace_id=shared))
            spans.extend(self._frame(at_ns + MS, 3, trace_id=shared))
            spans.append(self._span(shared, at_ns, name="somebody's", told=WEIRD))
            spans.extend(self._others(at_ns))
            spans.append(self._record(at_ns))
            spans.append(
                self._span(self._trace_id(), at_ns, name=signals.SPAN_MARK, told={signals.MARK_TEXT: "v2"})
            )
        body = request.SerializeToString()
        return ExportTraceServiceRequest.FromString(body)

    def _trace_id(self) -> bytes:
        made = self._random.randbytes(16)
        self.trace_ids.append(made.hex())
        return made

    def _span(
        self,
        trace_id: bytes,
        at_ns: int,
        took_ns: int = MS,
        *,
        name: str,
        told: dict[str, Any],
        parent: bytes = b"",
    ) -> Span:
        known = {key: of for key, of in told.items() if of is not AnyValue}
        span = Span(
            trace_id=trace_id,
            span_id=self._random.randbytes(8),
            parent_span_id=parent,
            name=name,
            start_time_unix_nano=at_ns,
            end_time_unix_nano=at_ns + took_ns,
            attributes=[*pairs(known), *(KeyValue(key=key) for key in told.keys() - known.keys())],
        )
        if self._random.random() < 0.1:
            return Span.FromString(span.SerializeToString() + UNKNOWN_FIELD)
        return span

    def _frame(
        self, at_ns: int, place: int, children: int = 5, trace_id: bytes | None = None
    ) -> Iterator[Span]:
        trace_id = trace_id or self._trace_id()
        took_ns = self._random.randrange(5, 40) * MS + self._random.randrange(MS)
        slow = took_ns > 10 * MS
        cause = self._random.choice(("gpu_contention", "gc_pause"))
        told: dict[str, Any] = {
            signals.FRAME_PIPELINE: self._random.choice(("ultrasound", "video")),
            signals.FRAME_ID: place,
            signals.FRAME_SLOW: slow,
            signals.FRAME_OUTCOME: "slow" if slow else "on_time",
            signals.FRAME_KEPT: "slow" if slow else "baseline",
            signals.FRAME_CAUSE_NAME: cause,
            signals.FRAME_LOST_TOTAL: took_ns / 1e9,
            signals.CPU_TIME: self._random.random(),
            "probe": self._random.choice(("C5-1", "L12-3")),
        }
        if place % 5 == 0:
            told |= WEIRD
        root = self._span(trace_id, at_ns, took_ns, name=signals.SPAN_FRAME, told=told)
        root.flags = 256
        yield root
        parent = root.span_id
        for number in range(children):
            own = {
                signals.FRAME_STAGE_NAME: f"stage {number}",
                signals.FRAME_LOST_PREFIX + cause: self._random.randrange(MS) / 1e9,
            }
            child = self._span(trace_id, at_ns + number * MS, name=f"stage {number}", told=own, parent=parent)
            if number == 3:
                child.events.add(name="seen", time_unix_nano=at_ns)
                child.links.add(trace_id=trace_id, span_id=parent)
                child.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message="why"))
            parent = child.span_id if number >= 3 else parent
            yield child

    def _others(self, at_ns: int) -> Iterator[Span]:
        for number in range(4):
            trace_id = self._trace_id()
            parent = b""
            for depth in range(number % 3 + 1):
                told = {"http.route": f"/{number}", "http.status": 200 + number, "depth": depth} | WEIRD
                span = self._span(trace_id, at_ns + depth, name=f"GET {number}", told=told, parent=parent)
                span.kind = Span.SPAN_KIND_SERVER
                parent = span.span_id
                yield span

    def _record(self, at_ns: int) -> Span:
        told = {
            signals.FRAME_PIPELINE: "ultrasound",
            signals.FRAME_BUDGET_LIMIT: 0.01,
            signals.BATCH_FIRST_ID: 5,
            signals.BATCH_OFFSETS_US: [0, 10_000],
            signals.BATCH_LATENCIES_US: [8_000, 12_000],
            signals.BATCH_OUTCOMES: "os",
            signals.BATCH_CAUSES: ["GS"],
            signals.BATCH_DEPTHS_PREFIX + "rt": [0, 1],
            signals.BATCH_ATTRIBUTES_PREFIX + "mode": ["b", "doppler"],
        }
        return self._span(self._trace_id(), at_ns, SECOND, name=signals.SPAN_FRAMES, told=told)

    def metrics(self, at_ns: int) -> ExportMetricsServiceRequest:
        request = ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        group.resource.attributes.extend(pairs({"service.name": "scanner"}))
        metrics = group.scope_metrics.add().metrics
        gauge = metrics.add(name=signals.HW_GPU_UTILIZATION, unit="1").gauge
        gauge.data_points.add(time_unix_nano=at_ns, as_double=self._random.random())
        cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        counter = metrics.add(name=signals.FRAME_COUNT, unit="{frame}").sum
        counter.aggregation_temporality, counter.is_monotonic = cumulative, True
        counter.data_points.add(time_unix_nano=at_ns, start_time_unix_nano=1, as_int=at_ns // SECOND)
        histogram = metrics.add(name=signals.FRAME_LATENCY, unit="s").histogram
        histogram.aggregation_temporality = cumulative
        histogram.data_points.add(
            time_unix_nano=at_ns,
            start_time_unix_nano=1,
            count=at_ns // SECOND,
            sum=0.5,
            bucket_counts=[at_ns // SECOND, 0],
            explicit_bounds=[0.01],
            attributes=pairs({signals.FRAME_PIPELINE: "ultrasound"}),
        )
        return request


def fill(segments: Segments, clock: Clock, bag: Bag, count: int) -> None:
    """That many closed segments with one request of each kind in them."""
    writer = Writer(segments, Tally(), unix_ns=lambda: int(clock.now) * SECOND)
    for _ in range(count):
        for request in (bag.traces(int(clock.now) * SECOND), bag.metrics(int(clock.now) * SECOND)):
            writer.submit(request, 1).result(60)
        clock.now += 600
        before = len(segments.all())
        for _ in range(600):  # the writer's thread begins the next one
            if len(segments.all()) > before:
                break
            time.sleep(0.01)
    writer.close()


def all_answers(segments: Segments, bag: Bag, end_s: float) -> dict[str, Any]:
    """What every question says, in every way that questions are put."""
    first, last = START_S * SECOND, int(end_s) * SECOND
    middle = (first + last) // 2
    questions: dict[str, tuple[str, asked.Question]] = {}

    def put(name: str, question: asked.Question) -> None:
        questions[f"{name} {question!r}"] = (name, question)

    for low, high in ((first, last), (middle, last), (first - 9, middle)):
        put("pipelines", asked.Pipelines(start_ns=low, end_ns=high))
        for order in ("duration", "time", "oldest"):
            put("frames", asked.Frames(start_ns=low, end_ns=high, order=order, limit=1_000))
        put("marks", asked.Marks(service="scanner", start_ns=low, end_ns=high))
        told: dict[str, Any] = {
            "service": "viewer",
            "pipeline": "ultrasound",
            "start_ns": low,
            "end_ns": high,
        }
        put("every_frame", asked.EveryFrame(**told, limit=100, attributes=True))
        ranged: dict[str, Any] = {"where": {"service.name": "scanner"}, "start_ns": low, "end_ns": high}
        gauge = asked.Readings(metric=signals.HW_GPU_UTILIZATION, max_points=9, **ranged)
        counter = asked.Growth(metric=signals.FRAME_COUNT, step_ns=600 * SECOND, **ranged)
        put("points", asked.Points(gauges=[gauge], increases=[counter]))
        put("histogram", asked.Growth(metric=signals.FRAME_LATENCY, step_ns=600 * SECOND, **ranged))
    put("frames", asked.Frames(outcomes=["slow"], causes=["gc_pause"], kept=["slow"], stage="stage 1"))
    put("frames", asked.Frames(service="viewer", pipeline="video", min_latency_ns=20 * MS, limit=3))
    put("frames", asked.Frames(start_ns=middle, end_ns=last, limit=2))
    put("frames", asked.Frames(limit=5, after_key=middle, after_trace_id="80" + "00" * 15))
    for trace_id in bag.trace_ids[::5]:
        put("trace", asked.TraceOf(trace_id=trace_id))
    return {
        key: rows(asked.answer(name, question, segments, 300)) for key, (name, question) in questions.items()
    }


def rows(table: Any) -> tuple[Any, ...]:
    """An answer; those of one moment may come in any order."""
    told = [repr(row) for row in table.to_pylist()]
    return table.schema.metadata, told if "latency_ns" in table.column_names else sorted(told)


def test_sealing_changes_no_answer(segments: Segments, clock: Clock) -> None:
    bag = Bag()
    fill(segments, clock, bag, FAN)
    before = all_answers(segments, bag, clock.now)
    assert {question.split()[0] for question, (_, told) in before.items() if told} == set(asked.QUESTIONS)
    assert seal(segments, due(segments.all(), PLENTY))
    assert segments.all()[0].packed and len(segments.all()) == 2
    assert all_answers(segments, bag, clock.now) == before


def test_nor_does_sealing_what_was_sealed_in_two_ways(tmp_path: Path, clock: Clock) -> None:
    """Files sealed before spans were packed are read, and sealed together with those where they are."""
    segments = opened(tmp_path, clock)
    bag = Bag()
    fill(segments, clock, bag, 4)
    before = all_answers(segments, bag, clock.now)
    assert seal(segments, segments.all()[:2])
    segments.close()
    (plain,) = tmp_path.glob("00000003-*.duckdb")
    plain.rename(plain.with_name(f"{plain.stem}-00000003.duckdb"))
    again = opened(tmp_path, clock)
    found = [(one.last, one.packed) for one in again.all()]
    assert found == [(2, True), (3, False), (None, False), (None, False)]
    assert all_answers(again, bag, clock.now) == before
    assert seal(again, again.all()[:-1])
    assert [(one.last, one.packed) for one in again.all()] == [(4, True), (None, False)]
    assert all_answers(again, bag, clock.now) == before
    again.close()


def test_layouts_are_told_apart_by_what_a_file_says_of_itself(segments: Segments, clock: Clock) -> None:
    fill(segments, clock, Bag(), FAN)
    seal(segments, due(segments.all(), PLENTY))
    cursor = segments.cursor()
    told = [cursor.execute(f"SELECT version FROM {one.schema}.layout").fetchone() for one in segments.all()]
    cursor.close()
    assert told == [(PACKED_LAYOUT,), (LAYOUT,)]


def test_a_list_does_not_touch_the_other_spans(segments: Segments, clock: Clock) -> None:
    fill(segments, clock, Bag(), FAN)
    seal(segments, due(segments.all(), PLENTY))
    ask = Asking(segments)
    page = asked.frames(asked.Frames(start_ns=0, limit=50), segments, ask)
    assert len(page) == 51 and not any("children" in statement for statement in ask.statements)


def test_children_that_are_no_spans_are_kept_as_they_stood(segments: Segments, clock: Clock) -> None:
    bodies = [b"\x12\x03abc", b"\x12\x83\x00abc", b"\x0a\x01x", b"\x12", b"\x12\x05abc", b"", b"\x12\x00"]
    cursor = segments.cursor()
    for number, body in enumerate(bodies):
        cursor.execute(
            f"INSERT INTO {segments.current.schema}.frame BY NAME "
            "SELECT ?::BLOB AS trace_id, 's' AS service, 1 AS start_ns, 5 AS latency_ns, ''::BLOB AS root, "
            "?::BLOB AS children",
            [number.to_bytes(16, "big"), body],
        )
    cursor.close()
    segments.current.cover(FRAME, 1, 1)
    clock.now += 600
    segments.roll_if_due()

    def children() -> list[bytes]:
        found = []
        for number in range(len(bodies)):
            table = asked.answer("trace", asked.TraceOf(trace_id=f"{number:032x}"), segments)
            found += table["children"].to_pylist()
        return found

    assert children() == bodies
    assert seal(segments, segments.all()[:1])
    assert children() == bodies


def test_a_store_that_closes_gives_up_what_it_was_sealing(segments: Segments, clock: Clock) -> None:
    bag = Bag()
    fill(segments, clock, bag, FAN)
    before = all_answers(segments, bag, clock.now)
    goes_on = iter([True, True, False])
    assert not seal(segments, due(segments.all(), PLENTY), lambda: next(goes_on))
    assert len(segments.all()) == FAN + 1
    assert all_answers(segments, bag, clock.now) == before
    assert seal(segments, due(segments.all(), PLENTY))
    assert all_answers(segments, bag, clock.now) == before
