"""What recording costs the thread that does the frames, beside its references, in one run.

Each figure is the median of several rounds, every round measuring all candidates in turn, so that a
machine that drifts drifts for all of them. All of it twice, in processes of their own: with the Python alone,
and with the compiled core where it was built. JSON goes to bench-results/recorder.json.

"After a sleep" is one frame after its thread slept for 10 ms, when its code has gone cold: what a paced
pipeline pays, beside the same frame switched off.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from framescope.compiled import core
from framescope.pipeline import OffPipeline, Pipeline
from framescope.probes import scheduler
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder
from framescope.recorder.stage import NoStage

STAGES = 8
FRAMES = 500
AT_ONCE = 50
"""Frames between two turns of the thread that ships: at 1 000 FPS as many as come in its 50 ms."""
ROUNDS = 31


class _Nowhere(SpanExporter):
    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class _Apart:
    """What a pipeline shares with its process, without the thread that ships: only the frames' own thread
    is measured here."""

    def __init__(self, read: Callable[[], scheduler.Reading]) -> None:
        self.scheduler = read
        self.faults = Faults()
        self.shipper = self

    def add(self, recorder: Recorder) -> None: ...


def apart(read: Callable[[], scheduler.Reading]) -> Pipeline:
    """A pipeline whose frames stay in its recorder."""
    return Pipeline("bench", enabled=True, process=cast(Any, _Apart(read)))


def recorded(pipeline: Pipeline) -> Callable[[], None]:
    """A frame of eight stages, recorded, or switched off."""
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
    """Eight spans, one after the other, by the OpenTelemetry SDK with its batch processor."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere(), max_queue_size=100_000))
    tracer = provider.get_tracer("bench")

    def frame() -> None:
        for number in range(STAGES):
            with tracer.start_as_current_span(f"s{number}"):
                pass

    return frame


def observations() -> Callable[[], None]:
    """Eight observations of a ``prometheus_client`` histogram, without taking the time of anything."""
    from prometheus_client import CollectorRegistry, Histogram

    histogram = Histogram("stage_seconds", "one stage", ["stage"], registry=CollectorRegistry())
    stages = [histogram.labels(f"s{number}") for number in range(STAGES)]

    def frame() -> None:
        for stage in stages:
            stage.observe(0.001)

    return frame


def microseconds(call: Callable[[], None], afterwards: Callable[[], None]) -> float:
    """One call, averaged over a round. ``afterwards`` is not counted: it is what another thread does."""
    spent = 0
    for _ in range(FRAMES // AT_ONCE):
        started = time.perf_counter_ns()
        for _ in range(AT_ONCE):
            call()
        spent += time.perf_counter_ns() - started
        afterwards()
    return spent / FRAMES / 1000


def _ratio(rounds: dict[str, list[float]], above: str, below: str) -> float:
    """Median over the rounds of one figure over another, both of the same round."""
    return statistics.median(a / b for a, b in zip(rounds[above], rounds[below], strict=True))


def after_a_sleep(call: Callable[[], None]) -> float:
    """Median µs of one frame that follows a sleep of 10 ms."""
    took = []
    for _ in range(150):
        time.sleep(0.01)
        began = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - began)
    return statistics.median(took) / 1000


def measured() -> dict[str, Any]:
    """All figures of this process, as medians, spreads and ratios."""
    plain = apart(scheduler.nothing)
    full = apart(scheduler.reader())
    candidates: dict[str, Callable[[], None]] = {
        "16 clock reads": reads,
        "frame of 8 stages": recorded(plain),
        "the same with scheduler evidence": recorded(full),
        "switched off": recorded(OffPipeline("off")),
        "9 no-op with blocks": nothing_at_all(),
        "OpenTelemetry SDK, 8 spans": sdk(),
        "prometheus_client, 8 observations": observations(),
    }
    rounds: dict[str, list[float]] = {name: [] for name in candidates}

    def ship() -> None:
        for pipeline in (plain, full):
            pipeline._recorder.drain(FRAMES)

    for _ in range(ROUNDS):
        for name, call in candidates.items():
            rounds[name].append(microseconds(call, ship))
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    spread = {name: max(values) - min(values) for name, values in rounds.items()}
    frame, full_frame = "frame of 8 stages", "the same with scheduler evidence"
    reads_, spans = "16 clock reads", "OpenTelemetry SDK, 8 spans"
    ratios = {
        "frame / 16 reads": _ratio(rounds, frame, reads_),
        "with evidence / 16 reads": _ratio(rounds, full_frame, reads_),
        "SDK / frame": _ratio(rounds, spans, frame),
        "SDK / with evidence": _ratio(rounds, spans, full_frame),
        "prometheus_client / frame": _ratio(rounds, "prometheus_client, 8 observations", frame),
        "off / no-op blocks": _ratio(rounds, "switched off", "9 no-op with blocks"),
    }
    for name, call in (
        ("after a sleep, with evidence", recorded(full)),
        ("after a sleep, switched off", recorded(OffPipeline("off"))),
    ):
        medians[name], spread[name] = after_a_sleep(call), 0.0
    return {"microseconds": medians, "spread": spread, "ratios": ratios}


def main() -> int:
    """Measure with and without the compiled core, print, write; 0."""
    results: dict[str, Any] = {"python": sys.version.split()[0]}
    for name, compiled in (("python alone", "0"), ("compiled core", "1")):
        if compiled == "1" and core is None:
            print("the compiled core was not built here")
            continue
        done = subprocess.run(
            [sys.executable, __file__, "--measure"],
            env=os.environ | {"FRAMESCOPE_COMPILED": compiled},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        told = results[name] = json.loads(done.stdout)
        print(f"== {name}")
        for what, value in told["microseconds"].items():
            print(f"{what:36} {value:8.2f} µs  ± {told['spread'][what]:.2f}")
        for what, value in told["ratios"].items():
            print(f"{what:36} {value:8.2f} ×")
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    (folder / "recorder.json").write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measured()))
    else:
        sys.exit(main())
