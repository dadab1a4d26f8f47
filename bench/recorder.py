"""What recording costs the thread that does the frames, beside its references, in one run.

Each figure is the median of several rounds, every round measuring all candidates in turn, so that a
machine that drifts drifts for all of them. JSON goes to bench-results/recorder.json.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from framescope.probes import scheduler
from framescope.recorder.pipeline import Recorder
from framescope.recorder.stage import NoStage, Stage

STAGES = 8
FRAMES = 500
ROUNDS = 15


class _Nowhere(SpanExporter):
    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def recorded(recorder: Recorder) -> Callable[[], None]:
    """A frame of eight stages, recorded."""
    stages: list[Stage] = [recorder.stage(f"s{number}") for number in range(STAGES)]

    def frame() -> None:
        with recorder.begin():
            for stage in stages:
                with stage:
                    pass

    return frame


def off() -> Callable[[], None]:
    """The same with recording switched off."""
    from framescope.pipeline import OffPipeline

    pipeline = OffPipeline("off")
    stages = pipeline.stages(*(f"s{number}" for number in range(STAGES)))

    def frame() -> None:
        with pipeline.frame():
            for stage in stages:
                with stage:
                    pass

    return frame


def nothing_at_all() -> Callable[[], None]:
    """Nine ``with`` blocks that do nothing."""
    stages = [NoStage(str(number), "cpu") for number in range(STAGES + 1)]

    def frame() -> None:
        with stages[STAGES]:
            for stage in stages[:STAGES]:
                with stage:
                    pass

    return frame


def reads() -> None:
    """Sixteen bare clock reads, the reference."""
    read = time.perf_counter_ns
    for _ in range(2 * STAGES):
        read()


def sdk() -> Callable[[], None]:
    """Eight spans under one, by the OpenTelemetry SDK with its batch processor."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere(), max_queue_size=100_000))
    tracer = provider.get_tracer("bench")

    def frame() -> None:
        with tracer.start_as_current_span("frame"):
            for number in range(STAGES):
                with tracer.start_as_current_span(f"s{number}"):
                    pass

    return frame


def microseconds(call: Callable[[], None]) -> float:
    """One call, averaged over a round."""
    started = time.perf_counter_ns()
    for _ in range(FRAMES):
        call()
    return (time.perf_counter_ns() - started) / FRAMES / 1000


def main() -> int:
    """Measure, print, write; 0."""
    plain = Recorder(0, "plain")
    full = Recorder(1, "full", scheduler=scheduler.reader())
    candidates: dict[str, Callable[[], None]] = {
        "16 clock reads": reads,
        "frame of 8 stages": recorded(plain),
        "the same with scheduler evidence": recorded(full),
        "switched off": off(),
        "9 no-op with blocks": nothing_at_all(),
        "OpenTelemetry SDK, 9 spans": sdk(),
    }
    rounds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, call in candidates.items():
            rounds[name].append(microseconds(call))
        plain.drain(FRAMES)
        full.drain(FRAMES)
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    spread = {name: max(values) - min(values) for name, values in rounds.items()}
    reference = medians["16 clock reads"]
    result = {
        "python": sys.version.split()[0],
        "microseconds": medians,
        "spread": spread,
        "ratios": {
            "frame / 16 reads": medians["frame of 8 stages"] / reference,
            "with evidence / 16 reads": medians["the same with scheduler evidence"] / reference,
            "SDK / frame": medians["OpenTelemetry SDK, 9 spans"] / medians["frame of 8 stages"],
            "SDK / with evidence": medians["OpenTelemetry SDK, 9 spans"]
            / medians["the same with scheduler evidence"],
            "off / no-op blocks": medians["switched off"] / medians["9 no-op with blocks"],
        },
    }
    for name, value in medians.items():
        print(f"{name:36} {value:8.2f} µs  ± {spread[name]:.2f}")
    for name, value in result["ratios"].items():  # type: ignore[attr-defined]
        print(f"{name:36} {value:8.2f} ×")
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    (folder / "recorder.json").write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
