"""An OTLP metric request as rows: series by digest, and their points."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final, Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

from framescope import signals

from .attributes import label, mapping
from .trace_rows import UNKNOWN_SERVICE

Kind = Literal["gauge", "counter", "histogram"]

_GREATEST: Final = 2**63 - 1
_IDENTITY: Final = (signals.SERVICE_NAME, signals.SERVICE_INSTANCE_ID, signals.HOST_NAME)


@dataclass(frozen=True, slots=True)
class Series:
    """What makes a series itself. An up-down counter is read as a gauge.

    ``attributes`` are the point's, with the resource's ``service.name``, ``service.instance.id`` and
    ``host.name``: two emitters never share a series.
    """

    id: int
    metric: str
    kind: Kind
    cumulative: bool
    unit: str
    attributes: tuple[tuple[str, str], ...]
    bounds: tuple[float, ...]

    def columns(self) -> tuple[Any, ...]:
        """The row in the order of ``schema.SERIES``."""
        return (
            self.id,
            self.metric,
            self.kind,
            self.cumulative,
            self.unit,
            list(self.attributes),
            list(self.bounds),
        )


@dataclass(slots=True)
class MetricRows:
    """What one request puts into a segment, and what it cannot: counted by reason."""

    series: dict[int, Series] = field(default_factory=dict)
    points: list[tuple[Any, ...]] = field(default_factory=list)
    histograms: list[tuple[Any, ...]] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    """Left out without being an error: points that say there is no value, exemplars."""


def metric_rows(request: ExportMetricsServiceRequest) -> MetricRows:
    """All rows of one request."""
    rows = MetricRows()
    for group in request.resource_metrics:
        told = mapping(group.resource.attributes)
        identity: dict[str, str] = {name: label(told[name]) for name in _IDENTITY if name in told}
        identity.setdefault(signals.SERVICE_NAME, UNKNOWN_SERVICE)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                _add_metric(rows, identity, metric)
    return rows


def _add_metric(rows: MetricRows, identity: dict[str, str], metric: Metric) -> None:
    data = metric.WhichOneof("data")
    if data == "gauge":
        _add_numbers(rows, identity, metric, "gauge", True, metric.gauge.data_points)
    elif data == "sum":
        temporality = metric.sum.aggregation_temporality
        cumulative = temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        if not cumulative and temporality != AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA:
            rows.rejected["sum without temporality"] += len(metric.sum.data_points)
        elif metric.sum.is_monotonic:
            _add_numbers(rows, identity, metric, "counter", cumulative, metric.sum.data_points)
        elif cumulative:
            _add_numbers(rows, identity, metric, "gauge", True, metric.sum.data_points)
        else:
            rows.rejected["delta up-down counter unsupported"] += len(metric.sum.data_points)
    elif data == "histogram":
        _add_histograms(rows, identity, metric)
    elif data == "exponential_histogram":
        points = len(metric.exponential_histogram.data_points)
        rows.rejected["exponential histogram unsupported"] += points
    elif data == "summary":
        rows.rejected["summary unsupported"] += len(metric.summary.data_points)


def _add_numbers(
    rows: MetricRows,
    identity: dict[str, str],
    metric: Metric,
    kind: Kind,
    cumulative: bool,
    points: Any,
) -> None:
    for point in _storable(rows, points):
        value = float(point.as_int if point.WhichOneof("value") == "as_int" else point.as_double)
        if not math.isfinite(value):
            rows.rejected["value is not a finite number"] += 1
            continue
        series = _series(rows, identity, metric, kind, cumulative, point, ())
        rows.points.append((series, point.time_unix_nano, point.start_time_unix_nano, value))


def _add_histograms(rows: MetricRows, identity: dict[str, str], metric: Metric) -> None:
    temporality = metric.histogram.aggregation_temporality
    cumulative = temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    if not cumulative and temporality != AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA:
        rows.rejected["histogram without temporality"] += len(metric.histogram.data_points)
        return
    for point in _storable(rows, metric.histogram.data_points):
        bounds = tuple(point.explicit_bounds)
        counts = list(point.bucket_counts) or [point.count]
        rising = all(low < high for low, high in pairwise(bounds)) and all(map(math.isfinite, bounds))
        if len(counts) != len(bounds) + 1 or not rising or sum(counts) > _GREATEST:
            rows.rejected["histogram buckets do not fit their bounds"] += 1
            continue
        total = point.sum if point.HasField("sum") and math.isfinite(point.sum) else None
        series = _series(rows, identity, metric, "histogram", cumulative, point, bounds)
        rows.histograms.append(
            (series, point.time_unix_nano, point.start_time_unix_nano, total, counts),
        )


def _storable(rows: MetricRows, points: Any) -> Iterator[Any]:
    for point in points:
        rows.ignored["exemplars"] += len(point.exemplars)
        if point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
            rows.ignored["points without a value"] += 1
        elif not 0 < point.time_unix_nano <= _GREATEST or point.start_time_unix_nano > _GREATEST:
            rows.rejected["time out of range"] += 1
        else:
            yield point


def _series(
    rows: MetricRows,
    identity: dict[str, str],
    metric: Metric,
    kind: Kind,
    cumulative: bool,
    point: NumberDataPoint | HistogramDataPoint,
    bounds: tuple[float, ...],
) -> int:
    labels = {key: label(value) for key, value in mapping(point.attributes).items()} | identity
    attributes = tuple(sorted(labels.items()))
    said = json.dumps([metric.name, kind, cumulative, metric.unit, attributes, bounds])
    digest = int.from_bytes(blake2b(said.encode(), digest_size=8).digest(), "little")
    if digest not in rows.series:
        rows.series[digest] = Series(digest, metric.name, kind, cumulative, metric.unit, attributes, bounds)
    return digest
