"""Totals and readings as OpenTelemetry metric data, ready for the SDK's exporters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from framescope import signals as sig
from framescope.agent.totals import Labels, Totals
from framescope.probes.device import DeviceReading

_SCOPE = InstrumentationScope(sig.SCOPE, "0.1.0")
Point = tuple[Labels, int, float]
"""Labels, monotonic ns, value."""


def metrics_data(
    totals: Totals,
    readings: Iterable[DeviceReading],
    points: dict[str, list[Point]],
    resource: Resource,
    start_unix_ns: int,
    now_ns: int,
    unix_ns: Callable[[int], int],
) -> MetricsData:
    """Everything as of ``now_ns`` (monotonic). ``points`` are further readings, each at its own time.

    ``start_unix_ns`` must be the same each time: a start that moves tells a backend of a restart.
    """
    start, now = start_unix_ns, unix_ns(now_ns)
    gathered: dict[str, list[Point]] = {name: list(values) for name, values in points.items()}
    for reading in readings:
        _device_points(reading, gathered)
    for name, series in totals.gauges.items():
        gathered.setdefault(name, []).extend((labels, at, value) for labels, (at, value) in series.items())
    for name, counters in totals.counters.items():
        gathered.setdefault(name, []).extend((labels, now_ns, value) for labels, value in counters.items())
    metrics = [_numbers(name, values, start, unix_ns) for name, values in gathered.items() if values]
    for name, distributions in totals.distributions.items():
        histogram_points = [
            HistogramDataPoint(
                attributes=dict(labels),
                start_time_unix_nano=start,
                time_unix_nano=now,
                count=sum(d.counts),
                sum=d.total,
                bucket_counts=tuple(d.counts),
                explicit_bounds=tuple(d.bounds),
                min=d.least,
                max=d.most,
            )
            for labels, d in distributions.items()
        ]
        known = sig.METRICS[name]
        data = Histogram(histogram_points, AggregationTemporality.CUMULATIVE)
        metrics.append(Metric(name, known.meaning, known.unit, data))
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(_SCOPE, metrics, "")], "")])


def _numbers(name: str, values: Sequence[Point], start: int, unix_ns: Callable[[int], int]) -> Metric:
    known = sig.METRICS[name]
    cumulative = known.instrument in ("counter", "updowncounter")
    points = [
        NumberDataPoint(dict(labels), start if cumulative else 0, unix_ns(at), value)
        for labels, at, value in values
    ]
    data: Sum | Gauge = (
        Sum(points, AggregationTemporality.CUMULATIVE, known.instrument == "counter")
        if cumulative
        else Gauge(points)
    )
    return Metric(name, known.meaning, known.unit, data)


def _device_points(reading: DeviceReading, into: dict[str, list[Point]]) -> None:
    device = reading.device
    base: Labels = ((sig.HW_ID, device.id), (sig.HW_NAME, device.name))
    if device.simulated:
        base = (*base, (sig.FS_GPU_SIMULATED, "true"))

    def add(name: str, value: float | None, *labels: tuple[str, str]) -> None:
        if value is not None:
            into.setdefault(name, []).append(((*base, *labels), reading.time_ns, value))

    add(sig.HW_GPU_UTILIZATION, reading.utilization)
    add(sig.HW_GPU_MEMORY_USAGE, reading.memory_used_bytes)
    add(sig.HW_GPU_MEMORY_LIMIT, reading.memory_total_bytes)
    add(sig.HW_TEMPERATURE, reading.temperature_celsius)
    add(sig.HW_POWER, reading.power_watts)
    add(sig.HW_ENERGY, reading.energy_joules)
    add(sig.FS_GPU_CLOCK, reading.clock_hz)
    for reason, held in reading.throttle_ns.items():
        add(sig.FS_GPU_THROTTLE_TIME, held / 1e9, (sig.FS_GPU_THROTTLE_REASON, reason))
    if reading.runqueue_ns is not None:
        add(sig.FS_GPU_RUNQUEUE_TIME, reading.runqueue_ns / 1e9)
    for process in reading.processes:
        labels = [(sig.PROCESS_EXECUTABLE_NAME, process.name)]
        if process.pid is not None:
            labels.append((sig.PROCESS_PID, str(process.pid)))
        if process.ours is not None:
            labels.append((sig.FS_PROCESS_SELF, "true" if process.ours else "false"))
        add(sig.FS_GPU_PROCESS_UTILIZATION, process.utilization, *labels)
