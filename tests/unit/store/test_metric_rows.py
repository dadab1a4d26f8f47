"""Metric points as rows: series, kinds, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)

from framescope_ui.store.metric_rows import MetricRows, metric_rows

DELTA, CUMULATIVE = 1, 2


def _pair(key: str, value: Any) -> KeyValue:
    kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
    return KeyValue(key=key, value=AnyValue(**{kind: value}))


def _rows(*metrics: Metric, **resource: str) -> MetricRows:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(_pair(key.replace("_", "."), value) for key, value in resource.items())
    group.scope_metrics.add().metrics.extend(metrics)
    return metric_rows(request)


def _point(value: float = 1.0, **fields: Any) -> NumberDataPoint:
    return NumberDataPoint(**{"time_unix_nano": 5, "as_double": value} | fields)


def _gauge(*points: NumberDataPoint) -> Metric:
    return Metric(name="m", unit="1", gauge=Gauge(data_points=points))


def _histogram(**fields: Any) -> Metric:
    told = {
        "time_unix_nano": 5,
        "explicit_bounds": [1.0, 2.0],
        "bucket_counts": [1, 2, 3],
        "sum": 9.0,
    } | fields
    data = Histogram(data_points=[HistogramDataPoint(**told)], aggregation_temporality=CUMULATIVE)
    return Metric(name="h", unit="s", histogram=data)


def test_a_series_is_its_metric_its_attributes_and_its_emitter() -> None:
    rows = _rows(
        _gauge(
            _point(attributes=[_pair("b", 1), _pair("a", True)]),
            _point(attributes=[_pair("a", True), _pair("b", 1)], time_unix_nano=6),
        ),
        service_name="s",
        host_name="h",
    )
    (series,) = rows.series.values()
    assert series.attributes == (("a", "true"), ("b", "1"), ("host.name", "h"), ("service.name", "s"))
    assert [point[1] for point in rows.points] == [5, 6]


def test_two_emitters_never_share_a_series() -> None:
    ids = {
        next(iter(_rows(_gauge(_point()), service_name="s", service_instance_id=one).series))
        for one in ("i-1", "i-2")
    }
    assert len(ids) == 2


def test_a_point_cannot_pose_as_another_emitter() -> None:
    rows = _rows(_gauge(_point(attributes=[_pair("service.name", "other")])), service_name="s")
    (series,) = rows.series.values()
    assert ("service.name", "s") in series.attributes


def test_an_up_down_counter_reads_as_a_gauge_and_a_sum_as_a_counter() -> None:
    def kind(**fields: Any) -> str:
        metric = Metric(name="m", sum=Sum(data_points=[_point()], **fields))
        (series,) = _rows(metric).series.values()
        return series.kind

    assert kind(is_monotonic=False, aggregation_temporality=CUMULATIVE) == "gauge"
    assert kind(is_monotonic=True, aggregation_temporality=CUMULATIVE) == "counter"
    assert kind(is_monotonic=True, aggregation_temporality=DELTA) == "counter"


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (_gauge(_point(float("nan"))), "value is not a finite number"),
        (_gauge(_point(float("inf"))), "value is not a finite number"),
        (_gauge(_point(time_unix_nano=0)), "time out of range"),
        (_gauge(_point(time_unix_nano=2**63)), "time out of range"),
        (Metric(name="m", sum=Sum(data_points=[_point()])), "sum without temporality"),
        (
            Metric(name="m", sum=Sum(data_points=[_point()], aggregation_temporality=DELTA)),
            "delta up-down counter unsupported",
        ),
        (
            Metric(
                name="m",
                exponential_histogram=ExponentialHistogram(data_points=[ExponentialHistogramDataPoint()]),
            ),
            "exponential histogram unsupported",
        ),
        (Metric(name="m", summary=Summary(data_points=[SummaryDataPoint()])), "summary unsupported"),
        (_histogram(bucket_counts=[1, 2]), "histogram buckets do not fit their bounds"),
        (_histogram(explicit_bounds=[2.0, 1.0]), "histogram buckets do not fit their bounds"),
        (_histogram(explicit_bounds=[1.0, float("inf")]), "histogram buckets do not fit their bounds"),
        (_histogram(bucket_counts=[2**63, 1, 1]), "histogram buckets do not fit their bounds"),
    ],
)
def test_what_cannot_be_stored_is_counted_by_reason(metric: Metric, reason: str) -> None:
    rows = _rows(metric)
    assert rows.rejected == {reason: 1}
    assert not rows.points and not rows.histograms


def test_a_point_that_says_there_is_no_value_is_no_point() -> None:
    rows = _rows(_gauge(_point(0.0, flags=1)))
    assert not rows.points and not rows.rejected
    assert rows.ignored["points without a value"] == 1


def test_a_histogram_without_a_sum_has_none() -> None:
    whole, bare = _histogram(), _histogram()
    bare.histogram.data_points[0].ClearField("sum")
    assert [row[3] for row in _rows(whole, bare).histograms] == [9.0, None]


def test_a_histogram_without_buckets_is_one_bucket() -> None:
    rows = _rows(_histogram(bucket_counts=[], explicit_bounds=[], count=6))
    assert rows.histograms[0][4] == [6]
