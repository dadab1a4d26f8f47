"""Which names a metric and its attributes may have in a server, and back."""

from __future__ import annotations

import pytest

from framescope import signals
from framescope_ui.backends.prometheus.names import (
    attributes_of,
    escaped_label,
    histogram_names,
    label_of,
    metric_names,
)

# As Prometheus 3.16 stores them with UnderscoreEscapingWithSuffixes, and VictoriaMetrics 1.150 with
# -opentelemetry.usePrometheusNaming or -opentelemetry.convertMetricNamesToPrometheus: read from both.
STORED = {
    "frame.latency": "frame_latency_seconds",
    "frame.interval": "frame_interval_seconds",
    "frame.stage.duration": "frame_stage_duration_seconds",
    "frame.queue.wait": "frame_queue_wait_seconds",
    "frame.budget.usage": "frame_budget_usage",
    "frame.count": "frame_count_total",
    "frame.missed": "frame_missed_total",
    "frame.lost.time": "frame_lost_time_seconds_total",
    "frame.budget.limit": "frame_budget_limit_seconds",
    "frame.period": "frame_period_seconds",
    "frame.queue.depth": "frame_queue_depth",
    "frame.queue.capacity": "frame_queue_capacity",
    "frame.queue.blocked.time": "frame_queue_blocked_time_seconds_total",
    "frame.queue.dropped": "frame_queue_dropped_total",
    "frame.custom": "frame_custom",
    "frame.counted": "frame_counted_total",
    "hw.gpu.utilization": "hw_gpu_utilization_ratio",
    "hw.gpu.memory.usage": "hw_gpu_memory_usage_bytes",
    "hw.gpu.memory.limit": "hw_gpu_memory_limit_bytes",
    "hw.gpu.memory.utilization": "hw_gpu_memory_utilization_ratio",
    "hw.gpu.io": "hw_gpu_io_bytes_total",
    "hw.temperature": "hw_temperature_celsius",
    "hw.fan.speed": "hw_fan_speed_rpm",  # by their rules: a unit without a word stands as it is
    "hw.fan.speed_ratio": "hw_fan_speed_ratio",
    "hw.errors": "hw_errors_total",
    "hw.status": "hw_status",
    "hw.power": "hw_power_watts",
    "hw.energy": "hw_energy_joules_total",
    "framescope.gpu.clock": "framescope_gpu_clock_hertz",
    "framescope.gpu.memory.clock": "framescope_gpu_memory_clock_hertz",
    "framescope.gpu.activity": "framescope_gpu_activity_ratio",
    "framescope.gpu.process.memory": "framescope_gpu_process_memory_bytes",
    "framescope.gpu.throttle.time": "framescope_gpu_throttle_time_seconds_total",
    "framescope.gpu.process.utilization": "framescope_gpu_process_utilization_ratio",
    "framescope.gpu.runqueue.time": "framescope_gpu_runqueue_time_seconds_total",
    "process.cpu.utilization": "process_cpu_utilization_ratio",
    "process.memory.usage": "process_memory_usage_bytes",
    "system.cpu.utilization": "system_cpu_utilization_ratio",
    "system.memory.utilization": "system_memory_utilization_ratio",
    "framescope.pressure.share": "framescope_pressure_share_ratio",
    "framescope.frames.recorded": "framescope_frames_recorded_total",
    "framescope.frames.kept": "framescope_frames_kept_total",
    "framescope.frames.lost": "framescope_frames_lost_total",
    "framescope.probe.duration": "framescope_probe_duration_seconds",
    "framescope.probe.window": "framescope_probe_window_seconds",
    "framescope.clock.error": "framescope_clock_error_seconds",
    "framescope.internal.errors": "framescope_internal_errors_total",
    "framescope.gpu.canary.delay": "framescope_gpu_canary_delay_seconds",
    "system.cpu.frequency": "system_cpu_frequency_hertz",
    "system.paging.operations": "system_paging_operations_total",
    "system.paging.faults": "system_paging_faults_total",
    "process.paging.faults": "process_paging_faults_total",
    "process.cpu.time": "process_cpu_time_seconds_total",
    "process.context_switches": "process_context_switches_total",
    "process.disk.io": "process_disk_io_bytes_total",
    "process.memory.virtual": "process_memory_virtual_bytes",
    "process.open_file_descriptor.count": "process_open_file_descriptor_count",
    "process.thread.count": "process_thread_count",
    "framescope.cpu.steal.share": "framescope_cpu_steal_share_ratio",
    "framescope.cpu.quota.time": "framescope_cpu_quota_time_seconds_total",
    "framescope.cpu.quota.limit": "framescope_cpu_quota_limit",
    "framescope.gc.pause": "framescope_gc_pause_seconds",
}


@pytest.mark.parametrize("metric", signals.METRICS)
def test_every_metric_is_asked_for_by_the_four_names_that_servers_give_it(metric: str) -> None:
    stored = STORED[metric]
    escaped = metric.replace(".", "_")
    ending = stored.removeprefix(escaped)
    # In order: as above, UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes, NoTranslation, which
    # is also what VictoriaMetrics does without an option.
    assert metric_names(metric) == tuple(dict.fromkeys((stored, escaped, metric + ending, metric)))


def test_a_histogram_is_asked_for_native_and_classic() -> None:
    names = histogram_names(signals.FRAME_LATENCY)
    assert names[:3] == (
        "frame_latency_seconds",
        "frame_latency_seconds_bucket",
        "frame_latency_seconds_sum",
    )
    assert len(names) == 12


def test_a_metric_that_is_not_framescopes_is_asked_for_without_a_unit() -> None:
    assert metric_names("kafka_consumer_lag") == ("kafka_consumer_lag",)
    assert metric_names("orders.sent", "counter") == (
        "orders_sent_total",
        "orders_sent",
        "orders.sent_total",
        "orders.sent",
    )
    assert metric_names("2d.scans") == ("_2d_scans", "2d.scans")
    assert metric_names("") == ()


def test_what_a_name_ends_with_already_is_not_added_again() -> None:
    assert "orders_total" in metric_names("orders.total", "counter")
    assert not [name for name in metric_names("orders.total", "counter") if "total_total" in name]


@pytest.mark.parametrize("escaped", [True, False])
def test_labels_become_the_attributes_they_were_in_both_spellings(escaped: bool) -> None:
    for metric in signals.METRICS.values():
        attributes = dict.fromkeys((*metric.attributes, signals.SERVICE_NAME, signals.HOST_NAME), "x")
        labels = {escaped_label(name) if escaped else name: value for name, value in attributes.items()}
        assert attributes_of(metric.name, labels) == attributes


def test_what_the_server_adds_is_no_attribute() -> None:
    labels = {
        "__name__": "frame_latency_seconds_bucket",
        "__type__": "histogram",
        "le": "0.5",
        "otel_scope_name": "framescope",
        "scope.version": "1",
        "telemetry_sdk_name": "opentelemetry",
        "process.pid": "7",
        "frame_pipeline": "ultrasound",
        "ward": "3",
    }
    assert attributes_of(signals.FRAME_LATENCY, labels) == {signals.FRAME_PIPELINE: "ultrasound", "ward": "3"}


def test_a_process_is_an_attribute_where_the_metric_is_about_it() -> None:
    told = attributes_of(signals.FS_GPU_PROCESS_UTILIZATION, {"process_pid": "7"})
    assert told == {signals.PROCESS_PID: "7"}


def test_job_and_instance_stand_in_for_the_service_and_its_instance() -> None:
    labels = {"job": "hospital/scanner", "instance": "i-1"}
    assert attributes_of(signals.FRAME_COUNT, labels) == {
        signals.SERVICE_NAME: "scanner",
        signals.SERVICE_INSTANCE_ID: "i-1",
    }
    assert label_of(signals.SERVICE_NAME, frozenset(labels), escaped=True) == "job"
    promoted = {**labels, "service_name": "scanner", "service_instance_id": "i-1"}
    assert attributes_of(signals.FRAME_COUNT, promoted) == {
        signals.SERVICE_NAME: "scanner",
        signals.SERVICE_INSTANCE_ID: "i-1",
    }
    assert label_of(signals.SERVICE_NAME, frozenset(promoted), escaped=True) == "service_name"


def test_the_servers_own_labels_cannot_be_asked_for_as_attributes() -> None:
    assert label_of("__name__", frozenset({"__name__"}), escaped=False) is None
    assert label_of("no.such", frozenset({"frame_pipeline"}), escaped=True) is None
