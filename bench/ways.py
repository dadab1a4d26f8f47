"""What the ways frames are processed cost beside the plain one: awaits, spans of the host's own, lent stages.

Each figure is the median over rounds of one side over the other, both of the same round. JSON goes to
bench-results/ways.json.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

from framescope.otel import FrameSpans
from framescope.pipeline import Pipeline
from framescope.probes import scheduler

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.recorder import apart

ROUNDS = 21
TIMES = 500


class _Nowhere(SpanExporter):
    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


async def awaits() -> None:
    """Tasks' steps that do nothing."""
    for _ in range(TIMES):
        await asyncio.sleep(0)


async def awaits_in_a_block(pipeline: Pipeline) -> None:
    """The same, in a frame that the task opens itself: seen from Python 3.12 on."""
    async with pipeline.frame():
        for _ in range(TIMES):
            await asyncio.sleep(0)


def tracer(*also: FrameSpans) -> Tracer:
    """An application's own, with a batch processor."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere(), max_queue_size=100_000))
    for one in also:
        provider.add_span_processor(one)
    return provider.get_tracer("bench")


def spans(pipeline: Pipeline, by: Tracer) -> None:
    """Frames of eight spans."""
    for _ in range(TIMES // 8):
        with pipeline.frame():
            for _ in range(8):
                with by.start_as_current_span("query") as span:
                    span.set_attribute("rows", 1)


def stages(pipeline: Pipeline, carried: bool) -> None:
    """Frames of one stage, in a ``with`` block or as one that goes from thread to thread."""
    stage = pipeline.stage("work")
    for _ in range(TIMES):
        if carried:
            frame = pipeline.begin()
            with frame.stage(stage):
                pass
            frame.end()
        else:
            with pipeline.frame(), stage:
                pass


def microseconds(call: Callable[[], None]) -> float:
    """One of ``TIMES``."""
    started = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started) / TIMES / 1000


def main() -> int:
    """Measure, print, write; 0."""
    pipeline = apart(scheduler.reader())
    plain, watched = tracer(), tracer(FrameSpans(pipeline))
    with asyncio.Runner() as runner:
        candidates: dict[str, Callable[[], None]] = {
            "an await": lambda: runner.run(awaits()),
            "an await, framed": lambda: runner.run(pipeline.frame().around(awaits())),
            "an await, async with": lambda: runner.run(awaits_in_a_block(pipeline)),
            "a span": lambda: spans(pipeline, plain),
            "a span told with its frame": lambda: spans(pipeline, watched),
            "a frame of one stage": lambda: stages(pipeline, False),
            "the same, carried": lambda: stages(pipeline, True),
        }
        rounds: dict[str, list[float]] = {name: [] for name in candidates}
        for _ in range(ROUNDS):
            for name, call in candidates.items():
                rounds[name].append(microseconds(call))
                pipeline._recorder.take(10 * TIMES)
    more = {
        "an await, framed": "an await",
        "an await, async with": "an await",
        "a span told with its frame": "a span",
        "the same, carried": "a frame of one stage",
    }
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    added = {
        name: statistics.median(a - b for a, b in zip(rounds[name], rounds[base], strict=True))
        for name, base in more.items()
    }
    ratios = {
        f"{name} / {base}": statistics.median(a / b for a, b in zip(rounds[name], rounds[base], strict=True))
        for name, base in more.items()
    }
    for name, value in medians.items():
        spread = max(rounds[name]) - min(rounds[name])
        extra = f"  + {added[name]:.2f}" if name in added else ""
        print(f"{name:28} {value:8.2f} µs  ± {spread:.2f}{extra}")
    for name, value in ratios.items():
        print(f"{name:48} {value:6.2f} ×")
    told = {"python": sys.version.split()[0], "microseconds": medians, "added": added, "ratios": ratios}
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    (folder / "ways.json").write_text(json.dumps(told, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
