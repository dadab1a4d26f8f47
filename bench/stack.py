"""How long the app's questions take, and how soon a frame can be read, on each kind of backend.

Usage: python bench/stack.py [embedded] [tempo] [jaeger]

One hour at 100 frames a second, a twentieth of them slow, that ends now. It is filled through the Collector
by OTLP, a message a minute, oldest first: the servers' windows for late data (2 h) take it. Then a traced
program runs beside it, and each of its kept frames is timed from its end until a question answers with it;
so is the newest data of the app's live snapshot, that is what the Live page shows. JSON goes to
bench-results/stack.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "stack")]

from app import App  # noqa: E402
from bench.store import SECOND, load_hour, start  # noqa: E402
from stacks import PrometheusTempo, Stack, VictoriaJaeger  # noqa: E402

from framescope_ui.backends.access import Access  # noqa: E402
from framescope_ui.backends.embedded import EmbeddedStore  # noqa: E402
from framescope_ui.backends.jaeger import JaegerStore  # noqa: E402
from framescope_ui.backends.prometheus import PrometheusStore  # noqa: E402
from framescope_ui.backends.protocols import BackendError, FrameQuery  # noqa: E402
from framescope_ui.backends.tempo import TempoStore  # noqa: E402
from framescope_ui.questions.every_frame import every_frame  # noqa: E402
from framescope_ui.questions.frame import frame  # noqa: E402
from framescope_ui.questions.live import live  # noqa: E402
from framescope_ui.questions.slow_frames import slow_frames  # noqa: E402
from framescope_ui.questions.stores import Stores  # noqa: E402
from framescope_ui.questions.thresholds import Thresholds  # noqa: E402

SERVICE: Final = "bench"
PIPELINE: Final = "ultrasound"
ROUNDS: Final = 15
LONGEST_S: Final = 20.0
"""A question that is asked for so long is not asked again."""
FRESH_S: Final = 30.0


@dataclass(frozen=True)
class Backend:
    """One that runs: how to open it, where it takes OTLP, and the app's settings for it."""

    opened: Callable[[], Stores]
    otlp: str
    read_from: Mapping[str, str]


@contextmanager
def embedded(folder: Path) -> Iterator[Backend]:
    """The embedded store."""
    process, said, _ = start(folder)

    def opened() -> Stores:
        store = EmbeddedStore(folder, timeout=60)
        return Stores(store, store)

    try:
        otlp = f"http://127.0.0.1:{said['http_port']}"
        yield Backend(opened, otlp, {"FRAMESCOPE_DATA_DIR": str(folder)})
    finally:
        process.terminate()
        process.wait()


@contextmanager
def stack(kind: type[Stack], folder: Path) -> Iterator[Backend]:
    """A stack behind its Collector."""
    running = kind(folder)

    def opened() -> Stores:
        reach = Access(running.traces_url, timeout_seconds=60)
        traces = TempoStore(reach) if kind is PrometheusTempo else JaegerStore(reach)
        return Stores(traces, PrometheusStore(Access(running.metrics_url, timeout_seconds=60)))

    try:
        running.start_all()
        yield Backend(opened, running.collector.otlp_http, running.read_from)
    finally:
        running.kill_all()


KINDS: Final[dict[str, Callable[[Path], AbstractContextManager[Backend]]]] = {
    "embedded": embedded,
    "tempo": lambda folder: stack(PrometheusTempo, folder),
    "jaeger": lambda folder: stack(VictoriaJaeger, folder),
}


async def _until_whole(stores: Stores, end_ns: int) -> float:
    """Seconds until every record of the hour is found."""
    begun = time.monotonic()
    while True:
        found = await every_frame(stores, SERVICE, PIPELINE, end_ns / SECOND - 3600, end_ns / SECOND)
        if len(found.x) >= 360_000 or time.monotonic() - begun > 240:
            print(f"  {len(found.x)} frames of 360000 can be read", flush=True)
            return time.monotonic() - begun
        await asyncio.sleep(1)


async def questions(stores: Stores, end_ns: int) -> dict[str, Any]:
    """Median and longest of each question, ms."""
    hour = end_ns - 3600 * SECOND
    whole = await _until_whole(stores, end_ns)

    def slow(**more: Any) -> FrameQuery:
        return FrameQuery(SERVICE, PIPELINE, hour, end_ns, outcomes=("slow",), **more)

    first = (await stores.traces.frames(slow(order="duration", limit=1))).frames[0].trace_id
    end = end_ns / SECOND
    cases: dict[str, Callable[[], Awaitable[Any]]] = {
        "live": lambda: live(stores, SERVICE, PIPELINE, end_ns, Thresholds()),
        "slow frames by duration, 1 h": lambda: slow_frames(stores, slow(order="duration")),
        "slow frames by time, 1 h": lambda: slow_frames(stores, slow(order="time")),
        "slow frames of one cause, 1 h": lambda: slow_frames(stores, slow(causes=("gc_pause",))),
        "one frame": lambda: frame(stores, first),
        "strip of every frame, 5 min": lambda: every_frame(stores, SERVICE, PIPELINE, end - 300, end),
        "strip of every frame, 1 h": lambda: every_frame(stores, SERVICE, PIPELINE, end - 3600, end),
    }
    told: dict[str, Any] = {"whole_after_seconds": round(whole, 1)}
    for name, ask in cases.items():
        took: list[float] = []
        try:
            while len(took) < ROUNDS and sum(took) < LONGEST_S * 1000:
                begun = time.monotonic()
                await ask()
                took.append((time.monotonic() - begun) * 1000)
        except BackendError as error:
            told[name] = {"error": str(error)}
            print(f"  {name}: {error}", flush=True)
            continue
        told[name] = {
            "median_ms": round(statistics.median(took), 1),
            "longest_ms": round(max(took), 1),
            "rounds": len(took),
        }
        print(f"  {name:32} {told[name]['median_ms']:9.1f} ms, at most {max(took):.1f}", flush=True)
    return told


async def freshness(stores: Stores, backend: Backend, folder: Path) -> dict[str, Any]:
    """Seconds from a frame's end until it is listed, and shown; from a record's end until it is answered."""
    service = "fresh"
    app = App(folder, backend.read_from)
    app.start()
    emitter = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment, before anything is timed
        [
            *(sys.executable, str(ROOT / "tests/stack/emitter.py"), "--seconds", str(FRESH_S)),
            *("--slow-every", "20", "--report", str(folder / "report.json")),
        ],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "instrumentation"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.otlp,
            "OTEL_SERVICE_NAME": service,
        },
    )
    began = time.time_ns()
    frames: dict[str, float] = {}
    records: dict[int, float] = {}
    shown: list[float] = []
    while emitter.poll() is None or time.time_ns() - began < (FRESH_S + 8) * SECOND:
        asked = time.time_ns()
        page = await stores.traces.frames(FrameQuery(service, start_ns=asked - 20 * SECOND, limit=200))
        now = time.time_ns()
        for row in page.frames:
            frames.setdefault(row.trace_id, (now - row.start_ns - row.latency_ns) / SECOND)
        batches = await stores.traces.every_frame(service, "rig", asked - 20 * SECOND, asked)
        now = time.time_ns()
        for batch in batches:
            last = max(
                offset + latency for offset, latency in zip(batch.offsets_us, batch.latencies_us, strict=True)
            )
            records.setdefault(batch.first_id, (now - batch.start_ns - last * 1000) / SECOND)
        latest = await asyncio.to_thread(app.get, f"/api/metrics/latest?service={service}&pipeline=rig")
        if latest and latest.get("newest_age_seconds") is not None and emitter.poll() is None:
            shown.append(time.time() - float(latest["timestamp"]) + float(latest["newest_age_seconds"]))
        await asyncio.sleep(0.1)
    app.stop()
    return {
        "live snapshot's newest frame": _spread(shown),
        "kept frame listed": _spread(frames.values()),
        "record answered": _spread(records.values()),
    }


def _spread(values: Any) -> dict[str, float]:
    found = sorted(values)
    return {
        "count": len(found),
        "median_s": round(statistics.median(found), 2),
        "p95_s": round(found[int(len(found) * 0.95)], 2),
    }


async def _measure(backend: Backend, end_ns: int, folder: Path) -> dict[str, Any]:
    stores = backend.opened()
    try:
        told: dict[str, Any] = {"questions": await questions(stores, end_ns)}
        told["freshness"] = await freshness(stores, backend, folder)
        print(f"  {json.dumps(told['freshness'])}", flush=True)
        return told
    finally:
        await stores.aclose()


def main() -> int:
    """Measure, print, write; 0."""
    results = ROOT / "bench-results"
    results.mkdir(exist_ok=True)
    told: dict[str, Any] = {"load_average": os.getloadavg()[0], "cores": os.cpu_count()}
    for name in sys.argv[1:] or list(KINDS):
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as directory, KINDS[name](Path(directory)) as backend:
            end_ns = time.time_ns() // SECOND * SECOND
            filled = load_hour(backend.otlp, end_ns)
            told[name] = {"hour": filled, **asyncio.run(_measure(backend, end_ns, Path(directory)))}
        (results / "stack.json").write_text(json.dumps(told, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
