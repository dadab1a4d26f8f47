"""What the embedded store takes and how fast it answers: one JSON object, also in bench-results/.

Usage: python bench/store.py [--seconds 15] [--hour] [--keep DIR]

Senders are processes with bodies encoded beforehand, so that the store is what is measured. The hour is
100 frames a second with a twentieth of them slow, ten GPU readings and one metric export a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from framescope import signals
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.protocols import BackendAway, FrameQuery

ROOT: Final = Path(__file__).resolve().parents[1]
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
STAGES: Final = ("capture", "decode", "denoise", "segment", "overlay", "encode", "queue rt", "queue out")
FRAMES_A_BODY: Final = 57
HEADERS: Final = {"content-type": "application/x-protobuf"}


def attribute(key: str, value: Any) -> KeyValue:
    """A key and value as OTLP writes them."""
    if isinstance(value, bool):
        return KeyValue(key=key, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=key, value=AnyValue(int_value=value))
    if isinstance(value, float):
        return KeyValue(key=key, value=AnyValue(double_value=value))
    if isinstance(value, list):
        items = [attribute("", item).value for item in value]
        return KeyValue(key=key, value=AnyValue(array_value=ArrayValue(values=items)))
    return KeyValue(key=key, value=AnyValue(string_value=value))


def attributes(told: dict[str, Any]) -> list[KeyValue]:
    """Attributes as OTLP writes them."""
    return [attribute(key, value) for key, value in told.items()]


def frame_spans(start_ns: int, frame_id: int, latency_ns: int, random_: random.Random) -> list[Span]:
    """One kept frame of nine spans with the evidence a real one carries."""
    slow = latency_ns > 10 * MS
    over = max(latency_ns - 10 * MS, 0) / 1e9
    cause = random_.choice(("gpu_contention", "cpu_contention", "gc_pause", "io_wait"))
    told: dict[str, Any] = {
        signals.FRAME_ID: frame_id,
        signals.FRAME_PIPELINE: "ultrasound",
        signals.FRAME_BUDGET_LIMIT: 0.01,
        signals.FRAME_PERIOD: 0.01,
        signals.FRAME_SLOW: slow,
        signals.FRAME_LATE: False,
        signals.FRAME_INTERVAL: 0.01 + random_.random() / 1000,
        signals.FRAME_OUTCOME: "slow" if slow else "on_time",
        signals.FRAME_KEPT: "slow" if slow else "baseline",
        signals.FRAME_SAMPLING_WEIGHT: 1,
        signals.FRAME_EXPECTED_DURATION: 0.008,
        signals.FRAME_CAUSE_NAME: cause,
        signals.FRAME_CAUSE_CONFIDENCE: random_.random(),
        signals.FRAME_LOST_TOTAL: over,
        signals.FRAME_OVERRUN_TOTAL: over,
        signals.FRAME_LOST_PREFIX + cause: over,
        signals.FRAME_OVERRUN_PREFIX + cause: over,
    }
    for name in (
        signals.CPU_TIME,
        signals.RUNQUEUE_TIME,
        signals.BLOCKED_TIME,
        signals.GC_TIME,
        signals.GPU_TIME,
        signals.GPU_UTILIZATION_MEAN,
        signals.GPU_UTILIZATION_MAX,
        signals.GPU_OTHER_UTILIZATION,
        signals.GPU_CLOCK_MIN,
        signals.GPU_TEMPERATURE,
    ):
        told[name] = random_.random()
    trace_id = random_.randbytes(16)
    root = Span(
        trace_id=trace_id,
        span_id=random_.randbytes(8),
        name=signals.SPAN_FRAME,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + latency_ns,
        attributes=attributes(told),
    )
    spans, share = [root], latency_ns // len(STAGES)
    for place, stage in enumerate(STAGES):
        own: dict[str, Any] = {
            signals.FRAME_STAGE_NAME: stage,
            signals.FRAME_STAGE_KIND: "queue" if stage.startswith("queue") else "cpu",
            signals.FRAME_STAGE_EXPECTED: 0.001,
            signals.CPU_TIME: random_.random() / 1000,
            signals.RUNQUEUE_TIME: random_.random() / 1000,
        }
        if slow and place == frame_id % len(STAGES):
            own[signals.FRAME_LOST_PREFIX + cause] = over
        spans.append(
            Span(
                trace_id=trace_id,
                span_id=random_.randbytes(8),
                parent_span_id=root.span_id,
                name=stage,
                start_time_unix_nano=start_ns + place * share,
                end_time_unix_nano=start_ns + (place + 1) * share,
                attributes=attributes(own),
            )
        )
    return spans


def trace_body(spans: list[Span]) -> bytes:
    """One OTLP request."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(attributes({"service.name": "bench", "service.instance.id": "i"}))
    group.scope_spans.add().spans.extend(spans)
    return request.SerializeToString()


def send(url: str, seconds: float, seed: int, rate: float | None, result: Any) -> None:
    """Send bodies of kept frames for a while, at ``rate`` spans per second or flat out."""
    random_ = random.Random(seed)
    now = time.time_ns()
    bodies = [
        trace_body(
            [
                span
                for place in range(FRAMES_A_BODY)
                for span in frame_spans(now + place * MS, place, random_.randrange(5, 40) * MS, random_)
            ]
        )
        for _ in range(20)
    ]
    spans_a_body = FRAMES_A_BODY * (1 + len(STAGES))
    sent = refused = 0
    worst: list[float] = []
    with httpx.Client(timeout=30) as client:
        begun = time.monotonic()
        while (elapsed := time.monotonic() - begun) < seconds:
            if rate and sent / max(elapsed, 1e-9) > rate:
                time.sleep(0.002)
                continue
            asked = time.monotonic()
            answer = client.post(url, content=bodies[sent // spans_a_body % 20], headers=HEADERS)
            worst.append(time.monotonic() - asked)
            if answer.status_code == 200:
                sent += spans_a_body
            else:
                refused += 1
    result.put((sent, refused, sorted(worst)[int(len(worst) * 0.95)]))


def load(url: str, pid: int, seconds: float, senders: int, rate: float | None) -> dict[str, Any]:
    """Spans per second that were acknowledged, and the store's share of a core meanwhile."""
    results: Any = multiprocessing.Queue()
    share = rate / senders if rate else None
    processes = [
        multiprocessing.Process(target=send, args=(url, seconds, seed, share, results))
        for seed in range(senders)
    ]
    store = psutil.Process(pid)
    for process in processes:
        process.start()
    time.sleep(1.5)
    before, begun = store.cpu_times(), time.monotonic()
    outcomes = [results.get() for _ in processes]
    after, wall = store.cpu_times(), time.monotonic() - begun
    for process in processes:
        process.join()
    return {
        "asked_spans_per_second": rate,
        "acknowledged_spans_per_second": round(sum(one[0] for one in outcomes) / seconds),
        "refused_requests": sum(one[1] for one in outcomes),
        "acknowledged_after_p95_ms": round(max(one[2] for one in outcomes) * 1000, 1),
        "store_cores": round((after.user + after.system - before.user - before.system) / wall, 2),
        "store_rss_mb": round(store.memory_info().rss / 2**20),
    }


def load_hour(url: str, end_ns: int) -> dict[str, Any]:
    """One hour of a 100 FPS pipeline, ending at ``end_ns``."""
    random_ = random.Random(1)
    base = end_ns - 3600 * SECOND
    begun, kept = time.monotonic(), 0
    counts = [0] * (len(signals.HISTOGRAM_BOUNDS) + 1)
    with httpx.Client(timeout=60) as client:
        for minute in range(60):
            spans: list[Span] = []
            metrics = ExportMetricsServiceRequest()
            group = metrics.resource_metrics.add()
            group.resource.attributes.extend(
                attributes({"service.name": "bench", "service.instance.id": "i"})
            )
            scope = group.scope_metrics.add()
            for second in range(60):
                at = base + (minute * 60 + second) * SECOND
                latencies = [
                    random_.randrange(*((11_000, 40_000) if random_.random() < 0.05 else (6000, 9500)))
                    for _ in range(100)
                ]
                for place, latency in enumerate(latencies):
                    if latency > 10_000 or place == 50:
                        kept += 1
                        spans += frame_spans(at + place * 10 * MS, place, latency * 1000, random_)
                slow = sum(latency > 10_000 for latency in latencies)
                told = {
                    signals.FRAME_PIPELINE: "ultrasound",
                    signals.FRAME_BUDGET_LIMIT: 0.01,
                    signals.BATCH_FIRST_ID: (minute * 60 + second) * 100,
                    signals.BATCH_OFFSETS_US: [place * 10_000 for place in range(100)],
                    signals.BATCH_LATENCIES_US: latencies,
                    signals.BATCH_OUTCOMES: "".join("s" if one > 10_000 else "o" for one in latencies),
                    signals.BATCH_CAUSES: ["GS"] * slow,
                    signals.BATCH_DEPTHS_PREFIX + "rt": [0] * 100,
                    signals.BATCH_ATTRIBUTES_PREFIX + "mode": ["b", "doppler"] * 50,
                    signals.BATCH_ATTRIBUTES_PREFIX + "depth": [str(4 + minute % 5)],
                }
                spans.append(
                    Span(
                        trace_id=random_.randbytes(16),
                        span_id=random_.randbytes(8),
                        name=signals.SPAN_FRAMES,
                        start_time_unix_nano=at,
                        end_time_unix_nano=at + SECOND,
                        attributes=attributes(told),
                    )
                )
                counts[15] += 100 - slow
                counts[20] += slow
                add_metrics(scope.metrics, base, at, counts, random_)
            assert client.post(f"{url}/v1/traces", content=trace_body(spans), headers=HEADERS).is_success
            body = metrics.SerializeToString()
            assert client.post(f"{url}/v1/metrics", content=body, headers=HEADERS).is_success
    return {"frames": 360_000, "kept_frames": kept, "loaded_in_seconds": round(time.monotonic() - begun, 1)}


def add_metrics(metrics: Any, began: int, at: int, counts: list[int], random_: random.Random) -> None:
    """One second's export: ten GPU readings of four series, nine histograms, four counters."""
    for name in (
        signals.HW_GPU_UTILIZATION,
        signals.FS_GPU_CLOCK,
        signals.HW_TEMPERATURE,
        signals.HW_GPU_MEMORY_USAGE,
    ):
        metric = Metric(name=name, unit=signals.METRICS[name].unit)
        for place in range(10):
            metric.gauge.data_points.append(
                NumberDataPoint(
                    time_unix_nano=at + place * 100 * MS,
                    as_double=random_.random(),
                    attributes=attributes({signals.HW_ID: "0"}),
                )
            )
        metrics.append(metric)
    for stage in ("", *STAGES):
        name = signals.FRAME_STAGE_DURATION if stage else signals.FRAME_LATENCY
        told = {signals.FRAME_PIPELINE: "ultrasound"} | ({signals.FRAME_STAGE_NAME: stage} if stage else {})
        metric = Metric(name=name, unit="s")
        metric.histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.histogram.data_points.append(
            HistogramDataPoint(
                start_time_unix_nano=began,
                time_unix_nano=at,
                count=sum(counts),
                sum=0.01 * sum(counts),
                bucket_counts=counts,
                explicit_bounds=signals.HISTOGRAM_BOUNDS,
                attributes=attributes(told),
            )
        )
        metrics.append(metric)
    for outcome in ("on_time", "slow", "dropped", "failed"):
        told = {signals.FRAME_PIPELINE: "ultrasound", signals.FRAME_OUTCOME: outcome}
        metric = Metric(name=signals.FRAME_COUNT, unit="{frame}")
        metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.is_monotonic = True
        metric.sum.data_points.append(
            NumberDataPoint(
                start_time_unix_nano=began,
                time_unix_nano=at,
                as_int=sum(counts),
                attributes=attributes(told),
            )
        )
        metrics.append(metric)


async def questions(data_dir: Path, end_ns: int, rounds: int = 20) -> dict[str, Any]:
    """Median and 95th percentile of each question, ms."""
    store = EmbeddedStore(data_dir, timeout=60)
    where = {"service.name": "bench"}
    hour, live, recent = end_ns - 3600 * SECOND, end_ns - 300 * SECOND, end_ns - 10 * SECOND
    first = (await store.frames(FrameQuery(service="bench", order="duration", limit=1))).frames[0]
    worst = FrameQuery(service="bench", start_ns=hour, outcomes=("slow",), order="duration")
    cases: dict[str, Callable[[], Awaitable[Any]]] = {
        "100 slowest frames of the hour": lambda: store.frames(worst),
        "100 newest of one cause": lambda: store.frames(
            FrameQuery(service="bench", start_ns=hour, causes=("gc_pause",))
        ),
        "one trace": lambda: store.trace(first.trace_id),
        "every frame, 5 min": lambda: store.every_frame("bench", "ultrasound", live, end_ns),
        "every frame, 1 h": lambda: store.every_frame("bench", "ultrasound", hour, end_ns),
        "latency histogram, 5 min by 1 s": lambda: store.histogram(
            signals.FRAME_LATENCY, where, live, end_ns, SECOND
        ),
        "latency histogram, last 10 s": lambda: store.histogram(
            signals.FRAME_LATENCY, where, recent, end_ns, 10 * SECOND
        ),
        "stage histograms, 1 h by 10 s": lambda: store.histogram(
            signals.FRAME_STAGE_DURATION, where, hour, end_ns, 10 * SECOND
        ),
        "frame counters, 5 min by 1 s": lambda: store.increase(
            signals.FRAME_COUNT, where, live, end_ns, SECOND
        ),
        "gpu readings, 5 min": lambda: store.gauge(signals.HW_GPU_UTILIZATION, where, live, end_ns),
        "pipelines of the hour": lambda: store.pipelines(hour, end_ns),
    }
    told: dict[str, Any] = {}
    for name, ask in cases.items():
        took = []
        for _ in range(rounds):
            begun = time.monotonic()
            await ask()
            took.append((time.monotonic() - begun) * 1000)
        took.sort()
        told[name] = {"p50_ms": round(took[rounds // 2], 1), "p95_ms": round(took[int(rounds * 0.95)], 1)}
    await store.aclose()
    return told


def start(data_dir: Path) -> tuple[subprocess.Popen[bytes], dict[str, Any], float]:
    """A store of its own, what it says of itself, and how long it took to listen."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("instrumentation", "dash_app"))
    begun = time.monotonic()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "framescope_ui.store", "--data-dir", str(data_dir)),
            *("--grpc-port", "0", "--http-port", "0"),
        ],
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
    )

    async def said() -> dict[str, Any]:
        store = EmbeddedStore(data_dir)
        while process.poll() is None:
            try:
                return await store.status()
            except BackendAway:
                await asyncio.sleep(0.02)
        raise SystemExit("the store did not start")

    return process, asyncio.run(said()), time.monotonic() - begun


def main() -> None:
    """Run the measurements and print them."""
    parser = argparse.ArgumentParser(description="measure the embedded store")
    parser.add_argument("--seconds", type=float, default=15)
    seconds = parser.parse_args().seconds
    told: dict[str, Any] = {"load_average": os.getloadavg()[0], "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "hour"
        process, said, took = start(data)
        told["start_seconds"] = round(took, 2)
        end = time.time_ns() // SECOND * SECOND
        told["hour"] = load_hour(f"http://127.0.0.1:{said['http_port']}", end)
        told["questions"] = asyncio.run(questions(data, end))
        process.terminate()
        process.wait()
        files = sum(file.stat().st_size for file in data.glob("*.duckdb*"))
        told["hour"]["bytes"] = files
        process, said, took = start(Path(directory) / "load")
        url = f"http://127.0.0.1:{said['http_port']}/v1/traces"
        told["load"] = [
            load(url, process.pid, seconds, 2, 20_000),
            load(url, process.pid, seconds, 8, None),
        ]
        process.terminate()
        process.wait()
        spans = sum(one["acknowledged_spans_per_second"] for one in told["load"]) * seconds
        files = sum(file.stat().st_size for file in (Path(directory) / "load").glob("*.duckdb*"))
        told["bytes_per_kept_frame"] = round(files / (spans / 9))
    results = ROOT / "bench-results"
    results.mkdir(exist_ok=True)
    (results / "store.json").write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
