"""Device readings as metrics: the names, units and attributes of the OpenTelemetry conventions."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

from framescope import signals as sig
from framescope.agent.metrics import Beginnings, metrics_data
from framescope.agent.totals import Totals
from framescope.probes.device import DeviceIdentity, DeviceReading, ProcessMemory, ProcessUse, State

GPU = DeviceIdentity("GPU-0", "H100", "NVIDIA", driver="550.54", serial="1320")
FULL = DeviceReading(
    GPU, 1_000, 100, utilization=0.7, encoder_utilization=0.1, decoder_utilization=0.2,
    memory_used_bytes=2 << 30, memory_total_bytes=8 << 30, temperature_celsius=61.0,
    memory_temperature_celsius=80.0, power_watts=300.0, energy_joules=9.0, clock_hz=1.5e9,
    memory_clock_hz=2.6e9, throttle_ns={"power_cap": 2_000_000_000}, io_bytes={"transmit": 5, "receive": 6},
    activity={"sm": 0.5}, errors={"corrected": 2}, fan_ratio=0.4, fan_rpm=1800.0, state="degraded",
    processes=(ProcessUse(7, "recon", 0.5, False),), residents=(ProcessMemory(7, "recon", 4096, False),),
)  # fmt: skip


def told(*readings: DeviceReading) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    data: MetricsData = metrics_data(
        Totals(), readings, {}, Resource({}), Beginnings(0, 0), 2_000, lambda monotonic: monotonic
    )
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            labels = {k: v for k, v in point.attributes.items() if k not in (sig.HW_ID, sig.HW_NAME)}
            assert (point.attributes[sig.HW_ID], point.attributes[sig.HW_NAME]) == ("GPU-0", "H100")
            assert set(point.attributes) <= set(sig.METRICS[metric.name].attributes)
            found.setdefault(metric.name, {})[tuple(sorted(labels.items()))] = point.value
    return found


def test_everything_that_is_read_is_sent_by_the_conventions_names_and_units() -> None:
    gpu = (sig.HW_TYPE, "gpu")
    recon = (
        (sig.FS_PROCESS_SELF, "false"),
        (sig.PROCESS_EXECUTABLE_NAME, "recon"),
        (sig.PROCESS_PID, "7"),
    )
    found = told(FULL)
    status = found.pop("hw.status")
    assert found == {
        "hw.gpu.utilization": {
            (("hw.gpu.task", "general"),): 0.7,
            (("hw.gpu.task", "encoder"),): 0.1,
            (("hw.gpu.task", "decoder"),): 0.2,
        },
        "hw.gpu.memory.usage": {(): 2 << 30},
        "hw.gpu.memory.limit": {(): 8 << 30},
        "hw.gpu.memory.utilization": {(): 0.25},
        "hw.gpu.io": {
            (("network.io.direction", "transmit"),): 5,
            (("network.io.direction", "receive"),): 6,
        },
        "hw.temperature": {
            (("hw.sensor_location", "gpu"),): 61.0,
            (("hw.sensor_location", "memory"),): 80.0,
        },
        "hw.power": {(gpu,): 300.0},
        "hw.energy": {(gpu,): 9.0},
        "hw.fan.speed": {(): 1800.0},
        "hw.fan.speed_ratio": {(): 0.4},
        "hw.errors": {(("error.type", "corrected"), gpu): 2},
        "framescope.gpu.clock": {(): 1.5e9},
        "framescope.gpu.memory.clock": {(): 2.6e9},
        "framescope.gpu.throttle.time": {(("framescope.gpu.throttle.reason", "power_cap"),): 2.0},
        "framescope.gpu.activity": {(("framescope.gpu.part", "sm"),): 0.5},
        "framescope.gpu.process.utilization": {recon: 0.5},
        "framescope.gpu.process.memory": {recon: 4096},
    }
    states = {dict(labels)["hw.state"]: value for labels, value in status.items()}
    assert states == {state: int(state == "degraded") for state in get_args(State)}
    who = dict(next(iter(status)))
    assert (who["hw.vendor"], who["hw.model"], who["hw.driver_version"]) == ("NVIDIA", "H100", "550.54")


def test_what_was_not_read_is_not_sent() -> None:
    assert told(DeviceReading(GPU, 1_000, 0)) == {}


def test_each_value_alone_is_sent_without_the_others() -> None:
    for item in fields(DeviceReading):
        if item.name in ("device", "time_ns", "window_ns", "error_ns", "memory_total_bytes"):
            continue
        if item.name in ("other_utilization", "runqueue_ns"):
            continue  # not sent, or none of a GPU
        assert len(told(DeviceReading(GPU, 1_000, 0, **{item.name: getattr(FULL, item.name)}))) == 1


def test_processes_that_nobody_can_name_are_one_series() -> None:
    strangers = (ProcessUse(None, "unknown", 0.2, None), ProcessUse(None, "unknown", 0.3, None))
    found = told(DeviceReading(GPU, 1_000, 0, processes=strangers))
    assert found["framescope.gpu.process.utilization"] == {((sig.PROCESS_EXECUTABLE_NAME, "unknown"),): 0.5}
