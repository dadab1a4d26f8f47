"""A framescope emitter on the plain OpenTelemetry SDK, without a line of framescope; see docs/wire.md.

It hashes an image 50 times a second against a budget of 8 ms; every 40th frame has far more to do.
``OTEL_SERVICE_NAME=camera OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 python plain_sdk.py [seconds]``
"""

from __future__ import annotations

import hashlib
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

PIPELINE = "hash"
FPS, BUDGET_S = 50, 0.008
BASELINE_EVERY = 10  # one on-time frame in so many is kept whole
GRID = [round(0.00025 * 2 ** (step / 3), 9) for step in range(40)]  # s; the one grid for everyone


@dataclass
class Frame:
    """One frame's clock readings: unix ns, and s of CPU time for each stage."""

    id: int
    start_ns: int
    end_ns: int = 0
    stages: list[tuple[str, int, int, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def slow(self) -> bool:
        return self.seconds > BUDGET_S

    def stage(self, name: str, work: Callable[[], object]) -> None:
        start, cpu = time.time_ns(), time.thread_time()
        work()
        self.stages.append((name, start, time.time_ns(), time.thread_time() - cpu))


def send_frame(tracer: Tracer, frame: Frame) -> None:
    """A kept frame, whole: made after the frame, from its clock readings."""
    root = tracer.start_span(
        "frame",
        start_time=frame.start_ns,
        attributes={
            "frame.pipeline": PIPELINE,
            "frame.id": frame.id,
            "frame.budget.limit": BUDGET_S,
            "frame.period": 1 / FPS,
            "frame.outcome": "slow" if frame.slow else "on_time",
            "frame.slow": frame.slow,
            "frame.kept": "slow" if frame.slow else "baseline",
            "frame.sampling.weight": 1 if frame.slow else BASELINE_EVERY,
        },
    )
    for name, start_ns, end_ns, cpu_s in frame.stages:
        told: dict[str, AttributeValue] = {
            "frame.stage.name": name,
            "frame.stage.kind": "cpu",
            "frame.cpu.time": cpu_s,
        }
        child = tracer.start_span(name, set_span_in_context(root), start_time=start_ns, attributes=told)
        child.end(end_ns)
    root.end(frame.end_ns)


def send_record(tracer: Tracer, frames: list[Frame]) -> None:
    """Every frame of about a second, kept or not, in one small span."""
    start_ns = frames[0].start_ns
    span = tracer.start_span(
        "frames",
        start_time=start_ns,
        attributes={
            "frame.pipeline": PIPELINE,
            "frame.budget.limit": BUDGET_S,
            "frame.batch.first_id": frames[0].id,
            "frame.batch.offsets_us": [(frame.start_ns - start_ns) // 1000 for frame in frames],
            "frame.batch.latencies_us": [(frame.end_ns - frame.start_ns) // 1000 for frame in frames],
            "frame.batch.outcomes": "".join("s" if frame.slow else "o" for frame in frames),
        },
    )
    span.end(frames[-1].end_ns)


def main(seconds: float) -> None:
    resource = Resource.create({"service.instance.id": str(uuid.uuid4())})
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=1000))
    tracer = traces.get_tracer("plain")
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=1000)
    metrics = MeterProvider([reader], resource)
    meter = metrics.get_meter("plain")
    of_pipeline = {"frame.pipeline": PIPELINE}

    def always(value: float) -> Callable[[CallbackOptions], list[Observation]]:
        return lambda _: [Observation(value, of_pipeline)]

    latency = meter.create_histogram("frame.latency", "s", explicit_bucket_boundaries_advisory=GRID)
    count = meter.create_counter("frame.count", "{frame}")
    meter.create_observable_gauge("frame.budget.limit", [always(BUDGET_S)], "s")
    meter.create_observable_gauge("frame.period", [always(1 / FPS)], "s")

    image = bytes(512 * 512)
    second: list[Frame] = []
    began = time.monotonic()
    for number in range(round(seconds * FPS)):
        frame = Frame(number, time.time_ns())
        turns = 80 if number % 40 == 39 else 1
        frame.stage("read", lambda: hashlib.blake2b(image[: 1 << 16]))
        frame.stage("hash", lambda: [hashlib.blake2b(image) for _ in range(turns)])  # noqa: B023
        frame.end_ns = time.time_ns()
        latency.record(frame.seconds, of_pipeline)
        count.add(1, {**of_pipeline, "frame.outcome": "slow" if frame.slow else "on_time"})
        if frame.slow or number % BASELINE_EVERY == 0:
            send_frame(tracer, frame)
        second.append(frame)
        if len(second) == FPS:
            send_record(tracer, second)
            second = []
        time.sleep(max(0.0, began + (number + 1) / FPS - time.monotonic()))
    if second:
        send_record(tracer, second)
    traces.shutdown()
    metrics.shutdown()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
