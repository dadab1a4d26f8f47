"""Totals and readings as OpenTelemetry metric data, ready for the SDK's exporters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args

from opentelemetry.sdk.metrics import Exemplar
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
from framescope.agent.totals import Distribution, Example, Labels, Totals
from framescope.probes.device import DeviceIdentity, DeviceReading, State

_SCOPE = InstrumentationScope(sig.SCOPE, "0.1.0")
Point = tuple[Labels, int, float]
"""Labels, monotonic ns, value."""


class Beginnings:
    """When each cumulative series began, told in the data themselves.

    Backends that keep no start times (VictoriaMetrics, Prometheus without a feature flag) take a series'
    first value for what was there before anybody looked. A series of the agent is therefore preceded by
    the 0 it stood at when the message before was made. A start time must be the same each time: one
    that moves tells a backend of a restart.
    """

    def __init__(self, start_ns: int, start_unix_ns: int) -> None:
        self.start_unix_ns = start_unix_ns
        self.host_unix_ns = start_unix_ns
        """Since when the host's own counters count."""
        self._before_ns = start_ns
        self._first = True
        self._known: set[tuple[str, Labels]] = set()

    def zero_at(self, name: str, labels: Labels, in_host: bool = False) -> int | None:
        """When a series that is new stood at 0 (monotonic ns); None if it is known, or nobody can tell.

        What the host already counted when this agent came may have been sent by the agent before it.
        """
        key = (name, labels)
        if key in self._known:
            return None
        self._known.add(key)
        return None if in_host and self._first else self._before_ns

    def sent(self, now_ns: int) -> None:
        """A message was made as of ``now_ns``."""
        self._before_ns = now_ns
        self._first = False


def metrics_data(
    totals: Totals,
    readings: Iterable[DeviceReading],
    points: Mapping[str, list[Point]],
    resource: Resource,
    beginnings: Beginnings,
    now_ns: int,
    unix_ns: Callable[[int], int],
) -> MetricsData:
    """Everything as of ``now_ns`` (monotonic). ``points`` are further readings, each at its own time."""
    gathered: dict[str, list[Point]] = {name: list(values) for name, values in points.items()}
    for reading in readings:
        _device_points(reading, gathered)
    for name, series in totals.gauges.items():
        gathered.setdefault(name, []).extend((labels, at, value) for labels, (at, value) in series.items())
    # What a device counts began before the agent did, nobody knows when.
    numbers: dict[str, list[NumberDataPoint]] = {
        name: [NumberDataPoint(dict(labels), 0, unix_ns(at), value) for labels, at, value in values]
        for name, values in gathered.items()
        if values
    }
    for in_host, counters, start in (
        (False, totals.counters, beginnings.start_unix_ns),
        (True, totals.host_counters, beginnings.host_unix_ns),
    ):
        for name, amounts in counters.items():
            told = numbers.setdefault(name, [])
            for labels, value in amounts.items():
                zero = beginnings.zero_at(name, labels, in_host)
                if zero is not None:
                    told.append(NumberDataPoint(dict(labels), start, unix_ns(zero), 0.0))
                told.append(NumberDataPoint(dict(labels), start, unix_ns(now_ns), value))
    metrics = [_metric(name, told) for name, told in numbers.items() if told]
    examples = totals.take_examples()
    for name, distributions in totals.distributions.items():
        histogram_points: list[HistogramDataPoint] = []
        for labels, distribution in distributions.items():
            zero = beginnings.zero_at(name, labels)
            if zero is not None:
                empty = Distribution(distribution.bounds)
                histogram_points.append(
                    _histogram_point(labels, empty, beginnings.start_unix_ns, unix_ns(zero))
                )
            histogram_points.append(
                _histogram_point(
                    labels,
                    distribution,
                    beginnings.start_unix_ns,
                    unix_ns(now_ns),
                    _exemplars(examples.get((name, labels), ()), unix_ns),
                )
            )
        known = sig.METRICS[name]
        data = Histogram(histogram_points, AggregationTemporality.CUMULATIVE)
        metrics.append(Metric(name, known.meaning, known.unit, data))
    beginnings.sent(now_ns)
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(_SCOPE, metrics, "")], "")])


def _metric(name: str, points: list[NumberDataPoint]) -> Metric:
    known = sig.METRICS[name]
    data: Sum | Gauge = (
        Sum(points, AggregationTemporality.CUMULATIVE, known.instrument == "counter")
        if known.instrument in ("counter", "updowncounter")
        else Gauge(points)
    )
    return Metric(name, known.meaning, known.unit, data)


def _exemplars(examples: Iterable[Example], unix_ns: Callable[[int], int]) -> list[Exemplar]:
    """Oldest first: Prometheus takes no exemplar that is older than the one before."""
    return [
        Exemplar({}, one.value, unix_ns(one.at_ns), one.span_id, one.trace_id)
        for one in sorted(examples, key=lambda one: one.at_ns)
    ]


def _histogram_point(
    labels: Labels, told: Distribution, start: int, at: int, exemplars: Sequence[Exemplar] = ()
) -> HistogramDataPoint:
    count = sum(told.counts)
    return HistogramDataPoint(
        attributes=dict(labels),
        start_time_unix_nano=start,
        time_unix_nano=at,
        count=count,
        sum=told.total,
        bucket_counts=tuple(told.counts),
        explicit_bounds=tuple(told.bounds),
        min=told.least if count else None,  # type: ignore[arg-type]  # optional on the wire
        max=told.most if count else None,  # type: ignore[arg-type]
        exemplars=list(exemplars),
    )


def _device_points(reading: DeviceReading, into: dict[str, list[Point]]) -> None:
    device = reading.device
    base: Labels = ((sig.HW_ID, device.id), (sig.HW_NAME, device.name))
    if device.simulated:
        base = (*base, (sig.FS_GPU_SIMULATED, "true"))

    def add(name: str, value: float | None, *labels: tuple[str, str]) -> None:
        if value is not None:
            into.setdefault(name, []).append(((*base, *labels), reading.time_ns, value))

    used, total = reading.memory_used_bytes, reading.memory_total_bytes
    add(sig.HW_GPU_UTILIZATION, reading.utilization, (sig.HW_GPU_TASK, "general"))
    add(sig.HW_GPU_UTILIZATION, reading.encoder_utilization, (sig.HW_GPU_TASK, "encoder"))
    add(sig.HW_GPU_UTILIZATION, reading.decoder_utilization, (sig.HW_GPU_TASK, "decoder"))
    add(sig.HW_GPU_MEMORY_USAGE, used)
    add(sig.HW_GPU_MEMORY_LIMIT, total)
    add(sig.HW_GPU_MEMORY_UTILIZATION, used / total if used is not None and total else None)
    add(sig.HW_TEMPERATURE, reading.temperature_celsius, (sig.HW_SENSOR_LOCATION, "gpu"))
    add(sig.HW_TEMPERATURE, reading.memory_temperature_celsius, (sig.HW_SENSOR_LOCATION, "memory"))
    add(sig.HW_POWER, reading.power_watts, _GPU_TYPE)
    add(sig.HW_ENERGY, reading.energy_joules, _GPU_TYPE)
    add(sig.HW_FAN_SPEED, reading.fan_rpm)
    add(sig.HW_FAN_SPEED_RATIO, reading.fan_ratio)
    add(sig.FS_GPU_CLOCK, reading.clock_hz)
    add(sig.FS_GPU_MEMORY_CLOCK, reading.memory_clock_hz)
    for reason, held in reading.throttle_ns.items():
        add(sig.FS_GPU_THROTTLE_TIME, held / 1e9, (sig.FS_GPU_THROTTLE_REASON, reason))
    for direction, amount in reading.io_bytes.items():
        add(sig.HW_GPU_IO, amount, (sig.NETWORK_IO_DIRECTION, direction))
    for part, share in reading.activity.items():
        add(sig.FS_GPU_ACTIVITY, share, (sig.FS_GPU_PART, part))
    for kind, count in reading.errors.items():
        add(sig.HW_ERRORS, count, _GPU_TYPE, (sig.ERROR_TYPE, kind))
    if reading.runqueue_ns is not None:
        add(sig.FS_GPU_RUNQUEUE_TIME, reading.runqueue_ns / 1e9)
    uses: dict[Labels, float] = {}
    for use in reading.processes:  # those that nobody can name add up
        labels = _process(use.pid, use.name, use.ours)
        uses[labels] = uses.get(labels, 0.0) + use.utilization
    for labels, share in uses.items():
        add(sig.FS_GPU_PROCESS_UTILIZATION, share, *labels)
    holds: dict[Labels, int] = {}
    for one in reading.residents:
        if one.bytes is not None:
            labels = _process(one.pid, one.name, one.ours)
            holds[labels] = holds.get(labels, 0) + one.bytes
    for labels, amount in holds.items():
        add(sig.FS_GPU_PROCESS_MEMORY, amount, *labels)
    if reading.state is not None:
        who = _identity(device)
        for state in get_args(State):
            add(sig.HW_STATUS, int(state == reading.state), _GPU_TYPE, (sig.HW_STATE, state), *who)


_GPU_TYPE = (sig.HW_TYPE, "gpu")


def _process(pid: int | None, name: str, ours: bool | None) -> Labels:
    labels = [(sig.PROCESS_EXECUTABLE_NAME, name)]
    if pid is not None:
        labels.append((sig.PROCESS_PID, str(pid)))
    if ours is not None:
        labels.append((sig.FS_PROCESS_SELF, "true" if ours else "false"))
    return tuple(labels)


def _identity(device: DeviceIdentity) -> Labels:
    """Who a device is: told once a second with its status, not with each of its readings."""
    told = (
        (sig.HW_VENDOR, device.vendor),
        (sig.HW_MODEL, device.name),
        (sig.HW_DRIVER_VERSION, device.driver),
        (sig.HW_SERIAL_NUMBER, device.serial),
        (sig.HW_PARENT, device.parent),
    )
    return tuple((name, value) for name, value in told if value)
