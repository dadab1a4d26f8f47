"""A minute of a 50 FPS pipeline with some slow frames, as spans, records and metrics on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field

from memory_stores import MemoryMetrics, MemoryTraces

from framescope import signals as sig
from framescope_ui.backends.protocols import FrameBatch, Mark, Span, Trace
from framescope_ui.questions.stores import Stores

NS = 1_000_000_000
MS = 1_000_000
NOW_NS = 1_800_000_000 * NS
SERVICE, PIPELINE = "ultrasound", "cine"
FPS = 50
BUDGET_NS = 20 * MS
SLOW_EVERY = 100
SLOW_NS = 31 * MS
USUAL_NS = 12 * MS


@dataclass
class Scene:
    """The stores, and how many frames of which kind lie in them."""

    traces: MemoryTraces = field(default_factory=MemoryTraces)
    metrics: MemoryMetrics = field(default_factory=MemoryMetrics)
    frames: int = 0
    slow: int = 0

    @property
    def stores(self) -> Stores:
        return Stores(self.traces, self.metrics)


def scene(seconds: int = 60, end_ns: int = NOW_NS, with_gpu: bool = True) -> Scene:
    """Every hundredth frame took 31 ms of 20 because another process held the GPU."""
    made = Scene()
    start_ns = end_ns - seconds * NS
    for second in range(seconds):
        _second(made, start_ns + second * NS)
    made.traces.marked.append(Mark(SERVICE, start_ns + 5 * NS, "deployed 1.4"))
    times = list(range(start_ns, end_ns, NS))
    put, own = made.metrics.put, {"service__name": SERVICE}
    of_pipeline = {**own, "frame__pipeline": PIPELINE}
    put(sig.FRAME_PERIOD, times, [1 / FPS] * len(times), **of_pipeline)
    put(sig.FRAME_QUEUE_DEPTH, times, [2.0] * len(times), **of_pipeline, frame__queue__name="RT")
    put(sig.FRAME_QUEUE_CAPACITY, times, [8.0] * len(times), **of_pipeline, frame__queue__name="RT")
    put(sig.FRAME_QUEUE_DROPPED, times[1:], [1.0] * (len(times) - 1), **of_pipeline, frame__queue__name="RT")
    put(
        sig.FRAME_LOST_TIME,
        times[1:],
        [0.01] * (len(times) - 1),
        **of_pipeline,
        frame__cause__name="gpu_contention",
    )
    put(sig.FRAME_CUSTOM, times, [0.93] * len(times), **of_pipeline, frame__metric__name="score")
    put(sig.FRAME_COUNTED, times[1:], [2.0] * (len(times) - 1), **of_pipeline, frame__metric__name="defects")
    put(sig.SYSTEM_CPU_UTILIZATION, times, [0.4] * len(times), **own)
    put(sig.SYSTEM_MEMORY_UTILIZATION, times, [0.5] * len(times), **own)
    put(sig.PROCESS_CPU_UTILIZATION, times, [0.2] * len(times), **own)
    put(sig.PROCESS_MEMORY_USAGE, times, [3e8] * len(times), **own)
    if with_gpu:
        fast = list(range(start_ns, end_ns, NS // 10))
        gpu = {
            **own,
            "hw__id": "0",
            "hw__name": sig.SOFTWARE_ACCELERATOR,
            "framescope__gpu__simulated": "true",
        }
        put(sig.HW_GPU_UTILIZATION, fast, [0.6] * len(fast), **gpu)
        put(sig.HW_GPU_MEMORY_USAGE, fast, [1e9] * len(fast), **gpu)
        put(sig.FS_GPU_CLOCK, fast, [1.5e9] * len(fast), **gpu)
        for name, pid, ours, share in (("python", "10", "true", 0.4), ("train", "11", "false", 0.2)):
            put(
                sig.FS_GPU_PROCESS_UTILIZATION,
                fast,
                [share] * len(fast),
                **gpu,
                process__pid=pid,
                process__executable__name=name,
                framescope__process__self=ours,
            )
    return made


def _second(made: Scene, start_ns: int) -> None:
    first = made.frames
    latencies, outcomes, causes = [], "", []
    for number in range(first, first + FPS):
        slow = number % SLOW_EVERY == SLOW_EVERY - 1
        latencies.append((SLOW_NS if slow else USUAL_NS) // 1000)
        outcomes += sig.OUTCOMES["slow" if slow else "on_time"]
        if slow:
            causes.append(sig.CAUSES["gpu_contention"].code)
            made.slow += 1
            made.traces.kept.append(slow_trace(number, start_ns + (number - first) * NS // FPS))
    made.traces.batches.append(
        FrameBatch(
            service=SERVICE,
            pipeline=PIPELINE,
            start_ns=start_ns,
            first_id=first,
            offsets_us=[i * 1_000_000 // FPS for i in range(FPS)],
            latencies_us=latencies,
            outcomes=outcomes,
            causes=causes,
            depths={"RT": [2] * FPS},
            budget_ns=BUDGET_NS,
        )
    )
    made.frames += FPS


def trace_id_of(number: int) -> str:
    return f"{number + 1:032x}"


def slow_trace(number: int, due_ns: int) -> Trace:
    """A frame that waited 19 ms longer for the GPU than usual."""
    trace_id = trace_id_of(number)

    def span(span_id: str, parent: str | None, name: str, start: int, end: int, **told: object) -> Span:
        named = {key.replace("__", "."): value for key, value in told.items()}
        return Span(trace_id, span_id, parent, name, due_ns + start, due_ns + end, named)  # type: ignore[arg-type]

    stage = {"frame__stage__kind": "cpu"}
    return Trace(
        trace_id,
        {sig.SERVICE_NAME: SERVICE, sig.HOST_NAME: "bench"},
        (
            span(
                "a" * 16,
                None,
                sig.SPAN_FRAME,
                0,
                SLOW_NS,
                frame__id=number,
                frame__pipeline=PIPELINE,
                frame__budget__limit=BUDGET_NS / NS,
                frame__period=1 / FPS,
                frame__slow=True,
                frame__outcome="slow",
                frame__kept="slow",
                frame__expected__duration=USUAL_NS / NS,
                frame__cause__name="gpu_contention",
                frame__cause__confidence=0.9,
                frame__culprit__name="train",
                frame__culprit__pid=11,
                frame__lost__total=0.019,
                frame__lost__gpu_contention=0.019,
                frame__overrun__total=0.011,
                frame__overrun__gpu_contention=0.011,
                frame__gpu__id="0",
                frame__gpu__name=sig.SOFTWARE_ACCELERATOR,
                frame__gpu__simulated=True,
                frame__gpu__utilization__mean=0.97,
                frame__gpu__window=0.1,
            ),
            span("b" * 16, "a" * 16, "capture", 0, 4 * MS, frame__stage__name="capture", **stage),
            span(
                "c" * 16,
                "a" * 16,
                "denoise",
                4 * MS,
                28 * MS,
                frame__stage__name="denoise",
                frame__stage__kind="gpu",
                frame__stage__expected=0.005,
                frame__lost__gpu_contention=0.019,
            ),
            span(
                "d" * 16,
                "c" * 16,
                "denoise",
                5 * MS,
                27 * MS,
                frame__stage__name="denoise",
                frame__stage__kind="gpu",
                frame__gpu__time=0.022,
                frame__gpu__busy__time=0.004,
                frame__gpu__wait__time=0.018,
            ),
            span("e" * 16, "a" * 16, "render", 28 * MS, SLOW_NS, frame__stage__name="render", **stage),
        ),
    )
