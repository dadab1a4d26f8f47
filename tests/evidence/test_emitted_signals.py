"""What a real run puts on the wire is what the table of names says: every name, unit, type and attribute.

Everything is real but the network and the GPU: a device that says so stands in for one, telling all that
one can. What the run does not emit is told here, with the reason.
"""

from __future__ import annotations

import gc
import queue
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from lived import Lived, lived, spin
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Metric, Sum
from opentelemetry.sdk.trace import ReadableSpan

import framescope
from framescope import signals as sig
from framescope.agent.evidence import EvidenceProbes
from framescope.probes.device import (
    DeviceIdentity,
    DeviceReading,
    GpuWork,
    ProcessMemory,
    ProcessUse,
    next_token,
)
from framescope.probes.process_metrics import CONFIG

DEVICE = DeviceIdentity(
    "stand-in", sig.SOFTWARE_ACCELERATOR, vendor="v", simulated=True, driver="1", serial="2", parent="p"
)
ONLY_SOMETIMES = {
    "a cgroup's quota": {sig.FS_CPU_QUOTA_TIME, sig.FS_CPU_QUOTA_LIMIT, sig.QUOTA_TIME},
    "a machine that tells its clock": {sig.SYSTEM_CPU_FREQUENCY},
    "the extra `system`, or another system": set(CONFIG),
    "pressure information": {sig.FS_PRESSURE, sig.MEMORY_STALL_TIME, sig.IO_WAIT_TIME},
    "a hypervisor, or at least Linux": {sig.FS_CPU_STEAL},
    "Linux": {
        sig.SYSTEM_PAGING_FAULTS, sig.SYSTEM_PAGING_OPERATIONS, sig.PROCESS_PAGING_FAULTS, sig.RUNQUEUE_TIME,
        sig.BLOCKED_TIME,
    },
    "knocks that found something": {sig.GIL_WAIT_TIME},
    "a fault of framescope's own": {sig.FS_INTERNAL_ERRORS},
    "something that got lost": {sig.FS_FRAMES_LOST},
    "a verdict that names them": {sig.GPU_HELD_REASON, sig.FRAME_CULPRIT_NAME, sig.FRAME_CULPRIT_PID},
    "a collection of 20 µs": {sig.FS_GC_PAUSE},
    "a service that says its version": {sig.SERVICE_VERSION},
    "a lock whose holder got no core": {sig.GIL_STARVED_TIME},
    "a machine that does not tell all": {sig.EVIDENCE_OFF},
}  # fmt: skip
NEVER_HERE = {
    "system calls sampled from outside (opt-in)": {sig.LOCK_WAIT_TIME, sig.BLOCKED_CALL},
    "sampled stacks (opt-in)": {sig.FRAME_STAGE_STACKS, sig.FRAME_STAGE_STACK_COUNTS},
    "an event loop": {sig.LOOP_WAIT_TIME},
    "frames of two machines": {sig.FRAME_CLOCK_SHARED},
    "a frame on several threads": {sig.THREAD_ID},
    "other people's spans": {sig.THREAD_NAME},
    "content attributes": {sig.BATCH_ATTRIBUTES_PREFIX},
    "a source that numbers its images": {sig.FRAME_MISSED},
    "a budget that was learned": {sig.FRAME_BUDGET_LEARNED},
    "errors of a real driver": {sig.GPU_ERRORS},
    "the canary on a real GPU (opt-in)": {sig.FS_GPU_CANARY_DELAY},
}
EXPECTED_WITH = {sig.expected_name(name): name for name in sig.ATTRIBUTES if name.endswith(".time")}
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "int": (int,), "double": (float,), "boolean": (bool,)
}  # fmt: skip


class StandIn:
    """A device that tells all that any can."""

    name = "stand-in"

    def read(self, now_ns: int) -> list[DeviceReading]:
        return [
            DeviceReading(
                DEVICE, now_ns, 100_000_000, 1_000, utilization=0.5, other_utilization=0.1,
                processes=[ProcessUse(1, "init", 0.1, False)], residents=[ProcessMemory(1, "init", 5, False)],
                memory_used_bytes=5, memory_total_bytes=10, temperature_celsius=40.0,
                memory_temperature_celsius=41.0, power_watts=10.0, energy_joules=now_ns / 1e9, clock_hz=1e9,
                memory_clock_hz=1e9, throttle_ns={"power_cap": now_ns // 10},
                io_bytes={"transmit": now_ns, "receive": now_ns}, activity={"sm": 0.5},
                errors={"corrected": 0}, encoder_utilization=0.0, decoder_utilization=0.0, fan_ratio=0.5,
                fan_rpm=1000.0, state="ok", runqueue_ns=now_ns // 100,
            )
        ]  # fmt: skip

    def close(self) -> None: ...


class Timer:
    """Times a stage's work as an accelerator would that tells everything."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}
        self._done: list[GpuWork] = []

    def begin(self) -> int:
        token = next_token()
        self._begun[token] = time.monotonic_ns()
        return token

    def end(self, token: int) -> None:
        start, end = self._begun.pop(token), time.monotonic_ns()
        ran = end - start
        self._done.append(GpuWork(token, DEVICE.id, start, end, start, ran // 2, ran // 4, ran // 8, 0, 0))

    def collect(self) -> list[GpuWork]:
        done, self._done = self._done, []
        return done


@pytest.fixture(scope="module")
def run() -> Iterator[Lived]:
    """Two seconds of a pipeline that does everything once."""

    def more(probes: EvidenceProbes) -> None:
        probes.add_device_probe(StandIn())

    with lived(budget_ms=8, probes=more) as one:
        pipeline = one.pipeline
        load = pipeline.stage("load")
        denoise = pipeline.gpu_stage("denoise", Timer())
        jobs = framescope.Queue(pipeline, "jobs", 4, "reject")
        full: queue.Queue[int] = queue.Queue(2)
        pipeline.watch_queue(full, "theirs")
        for number in range(80):
            frame = pipeline.frame()
            with frame.stage(load):
                spin(1)
            jobs.put(frame, number)
            jobs.get()
            with frame.stage(denoise):
                spin(12 if number % 20 == 19 else 1)
            if number % 20 == 5:
                frame.drop("superseded")
            elif number % 20 == 6:
                frame.fail("it broke")
            else:
                frame.end()
            time.sleep(0.01)
        gc.collect()
        pipeline.gauge("score", 0.5)
        pipeline.count("lesions", 2)
        pipeline.mark("half way")
        for number in range(6):
            jobs.put(pipeline.frame(), number)  # the last two find no room
        with pipeline.frame(), load:
            gc.collect()
    yield one


def spans(run: Lived) -> list[tuple[str, ReadableSpan]]:
    """Each span, with what it is: root, stage, GPU work, frames or mark."""
    found: list[tuple[str, ReadableSpan]] = []
    for group in run.received.groups:
        for span in group:
            kind = {sig.SPAN_FRAMES: "frames", sig.SPAN_MARK: "mark", sig.SPAN_FRAME: "root"}.get(span.name)
            found.append((kind or ("GPU work" if span.name.endswith(" on GPU") else "stage"), span))
    return found


def metrics(run: Lived) -> list[Metric]:
    return [one for data in run.received.metrics for one in data.resource_metrics[0].scope_metrics[0].metrics]


def attribute(name: str) -> sig.Attribute:
    for prefix in (
        sig.FRAME_LOST_PREFIX,
        sig.FRAME_OVERRUN_PREFIX,
        sig.BATCH_DEPTHS_PREFIX,
        sig.BATCH_ATTRIBUTES_PREFIX,
    ):
        if name not in sig.ATTRIBUTES and name.startswith(prefix):
            return sig.ATTRIBUTES[prefix]
    return sig.ATTRIBUTES[name]


def fits(value: Any, type_name: str) -> bool:
    if type_name.endswith("[]"):
        return all(fits(one, type_name[:-2]) for one in value)
    if isinstance(value, bool) and type_name != "boolean":
        return False
    return isinstance(value, TYPES[type_name])


def test_every_attribute_of_a_span_is_known_and_stands_where_it_may(run: Lived) -> None:
    for kind, span in spans(run):
        for name in span.attributes or {}:
            assert kind in attribute(name).on, (kind, name)


def test_every_attribute_of_a_span_has_its_type(run: Lived) -> None:
    wrong = {
        (name, attribute(name).type, type(value).__name__)
        for _, span in spans(run)
        for name, value in (span.attributes or {}).items()
        if not fits(value, attribute(name).type)
    }
    assert wrong == set()


def test_every_metric_is_known_and_has_its_unit_instrument_and_meaning(run: Lived) -> None:
    data = {"histogram": Histogram, "gauge": Gauge, "counter": Sum, "updowncounter": Sum}
    for metric in metrics(run):
        known = sig.METRICS[metric.name]
        assert (metric.unit, metric.description) == (known.unit, known.meaning)
        assert isinstance(metric.data, data[known.instrument])
        if isinstance(metric.data, Sum):
            assert metric.data.is_monotonic == (known.instrument == "counter")


def test_every_attribute_of_a_point_is_the_metric_s(run: Lived) -> None:
    for metric in metrics(run):
        for point in metric.data.data_points:
            assert set(point.attributes or {}) <= set(sig.METRICS[metric.name].attributes), metric.name
            assert all(isinstance(value, str) for value in (point.attributes or {}).values()), metric.name


def test_the_resource_says_who_it_is(run: Lived) -> None:
    resource = run.received.metrics[-1].resource_metrics[0].resource.attributes
    of_resource = {name for name, a in sig.ATTRIBUTES.items() if a.on == "resource"}
    assert of_resource - {sig.SERVICE_VERSION} <= set(resource)


def emitted(run: Lived) -> set[str]:
    found = {metric.name for metric in metrics(run)}
    for metric in metrics(run):
        for point in metric.data.data_points:
            found |= set(point.attributes or {})
    for _, span in spans(run):
        found |= {attribute(name).name for name in span.attributes or {}}
    return found | set(run.received.metrics[-1].resource_metrics[0].resource.attributes)


def test_what_is_told_of_and_not_emitted_is_missing_for_a_reason(run: Lived) -> None:
    excused = set().union(*ONLY_SOMETIMES.values(), *NEVER_HERE.values())
    missing = (set(sig.METRICS) | set(sig.ATTRIBUTES)) - emitted(run) - excused
    # What a reading usually is can only be told of readings there are; and labels with their metric.
    missing -= {name for name, of in EXPECTED_WITH.items() if of in excused}
    missing -= {label for name in excused & set(sig.METRICS) for label in sig.METRICS[name].attributes}
    assert missing == set()


def test_what_is_said_never_to_be_emitted_here_is_not(run: Lived) -> None:
    assert emitted(run) & set().union(*NEVER_HERE.values()) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells more")
def test_on_linux_the_kernel_s_own_are_there(run: Lived) -> None:
    assert ONLY_SOMETIMES["Linux"] <= emitted(run)
