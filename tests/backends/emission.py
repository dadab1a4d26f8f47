"""OTLP data for tests, made of the OpenTelemetry SDK's own types and named by ``framescope.signals``."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, TraceFlags

from framescope import signals

MS = 1_000_000
SECOND = 1_000_000_000
_SCOPE = InstrumentationScope(signals.SCOPE)
_random = random.Random()


def resource(service: str, instance: str = "i-1", host: str = "bench-host") -> Resource:
    return Resource(
        {
            signals.SERVICE_NAME: service,
            signals.SERVICE_INSTANCE_ID: instance,
            signals.HOST_NAME: host,
        }
    )


def span(
    name: str,
    start_ns: int,
    end_ns: int,
    attributes: Mapping[str, Any],
    origin: Resource,
    *,
    trace_id: int | None = None,
    parent: ReadableSpan | None = None,
    status: Status | None = None,
    events: Sequence[Event] = (),
) -> ReadableSpan:
    """One finished span; its parent's trace goes on, else a new one begins."""
    parent_context = parent.get_span_context() if parent else None
    trace = trace_id or (parent_context.trace_id if parent_context else _random.getrandbits(128))
    return ReadableSpan(
        name=name,
        context=SpanContext(trace, _random.getrandbits(64), False, TraceFlags(1)),
        parent=parent_context,
        resource=origin,
        attributes=dict(attributes),
        events=list(events),
        kind=SpanKind.INTERNAL,
        status=status or Status(),
        start_time=start_ns,
        end_time=end_ns,
        instrumentation_scope=_SCOPE,
    )


def trace_id_of(one: ReadableSpan) -> str:
    context = one.get_span_context()
    assert context
    return f"{context.trace_id:032x}"


def frame(
    origin: Resource,
    start_ns: int,
    latency_ns: int,
    *,
    pipeline: str = "ultrasound",
    frame_id: int = 0,
    cause: str | None = None,
    stages: Sequence[tuple[str, float]] = (("capture", 0.2), ("denoise", 0.6), ("render", 0.2)),
    guilty: str | None = None,
    budget_ns: int = 10 * MS,
    extra: Mapping[str, Any] | None = None,
) -> list[ReadableSpan]:
    """One kept frame: root first, then a child per stage with its share of the latency.

    A frame over budget is slow, lost what it is over, by ``cause``, in the stage ``guilty``.
    """
    slow = latency_ns > budget_ns
    over = max(latency_ns - budget_ns, 0) / 1e9
    told: dict[str, Any] = {
        signals.FRAME_ID: frame_id,
        signals.FRAME_PIPELINE: pipeline,
        signals.FRAME_BUDGET_LIMIT: budget_ns / 1e9,
        signals.FRAME_SLOW: slow,
        signals.FRAME_OUTCOME: "slow" if slow else "on_time",
        signals.FRAME_KEPT: "slow" if slow else "baseline",
        signals.FRAME_SAMPLING_WEIGHT: 1,
        signals.FRAME_LOST_TOTAL: over,
        signals.FRAME_OVERRUN_TOTAL: over,
        **(extra or {}),
    }
    if cause:
        told |= {
            signals.FRAME_CAUSE_NAME: cause,
            signals.FRAME_CAUSE_CONFIDENCE: 0.9,
            signals.FRAME_LOST_PREFIX + cause: over,
            signals.FRAME_OVERRUN_PREFIX + cause: over,
        }
    root = span(signals.SPAN_FRAME, start_ns, start_ns + latency_ns, told, origin)
    spans, at = [root], start_ns
    for name, share in stages:
        end = at + round(latency_ns * share)
        child: dict[str, Any] = {signals.FRAME_STAGE_NAME: name, signals.FRAME_STAGE_KIND: "cpu"}
        if name == guilty and cause:
            child[signals.FRAME_LOST_PREFIX + cause] = over
        spans.append(span(name, at, end, child, origin, parent=root))
        at = end
    return spans


def frames_record(
    origin: Resource,
    start_ns: int,
    first_id: int,
    latencies_us: Sequence[int],
    *,
    pipeline: str = "ultrasound",
    budget_us: int = 10_000,
    period_us: int = 10_000,
    attributes: Mapping[str, Sequence[str]] | None = None,
) -> ReadableSpan:
    """The record of every frame that started from ``start_ns`` on, one a period."""
    slow = [latency > budget_us for latency in latencies_us]
    told = {
        signals.FRAME_PIPELINE: pipeline,
        signals.FRAME_BUDGET_LIMIT: budget_us / 1e6,
        signals.BATCH_FIRST_ID: first_id,
        signals.BATCH_OFFSETS_US: [place * period_us for place in range(len(latencies_us))],
        signals.BATCH_LATENCIES_US: list(latencies_us),
        signals.BATCH_OUTCOMES: "".join("s" if one else "o" for one in slow),
        signals.BATCH_CAUSES: ["GS"] * sum(slow),
        signals.BATCH_DEPTHS_PREFIX + "gpu": [place % 3 for place in range(len(latencies_us))],
        **{signals.BATCH_ATTRIBUTES_PREFIX + name: told for name, told in (attributes or {}).items()},
    }
    return span(signals.SPAN_FRAMES, start_ns, start_ns + SECOND, told, origin)


def mark(origin: Resource, at_ns: int, text: str) -> ReadableSpan:
    return span(signals.SPAN_MARK, at_ns, at_ns, {signals.MARK_TEXT: text}, origin)


def gauge(name: str, points: Iterable[tuple[int, float]], attributes: Mapping[str, Any]) -> Metric:
    unit = signals.METRICS[name].unit if name in signals.METRICS else ""
    return Metric(name, "", unit, Gauge([NumberDataPoint(dict(attributes), 0, at, v) for at, v in points]))


def counter(
    name: str,
    began_ns: int,
    points: Iterable[tuple[int, float]],
    attributes: Mapping[str, Any],
    *,
    delta: bool = False,
) -> Metric:
    unit = signals.METRICS[name].unit
    temporality = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
    data = [NumberDataPoint(dict(attributes), began_ns, at, value) for at, value in points]
    return Metric(name, "", unit, Sum(data, temporality, is_monotonic=True))


def histogram(
    name: str,
    began_ns: int,
    points: Iterable[tuple[int, Mapping[float, int]]],
    attributes: Mapping[str, Any],
    bounds: Sequence[float] = signals.HISTOGRAM_BOUNDS,
) -> Metric:
    """``points``: time, and how many values there were of each value up to then."""
    data = []
    for at, values in points:
        counts = [0] * (len(bounds) + 1)
        for value, count in values.items():
            counts[sum(bound < value for bound in bounds)] += count
        total = sum(value * count for value, count in values.items())
        data.append(
            HistogramDataPoint(
                dict(attributes),
                began_ns,
                at,
                sum(counts),
                total,
                counts,
                list(bounds),
                min(values),
                max(values),
            )
        )
    return Metric(name, "", signals.METRICS[name].unit, Histogram(data, AggregationTemporality.CUMULATIVE))


def metrics_of(origin: Resource, metrics: Sequence[Metric]) -> MetricsData:
    return MetricsData([ResourceMetrics(origin, [ScopeMetrics(_SCOPE, list(metrics), "")], "")])
