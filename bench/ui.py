"""The pages' bars, measured on one machine in one run: one JSON object, also in bench-results/ui.json.

Usage: python bench/ui.py [--ingest 600] [--live 40] [--data DIR]

A million kept frames are written first, through the store's own writer; with --data they stay there for the
next run. Then a store and an app, as `framescope store` and `framescope ui` start them: a real emitter at
60 FPS with 10 and with 50 viewers, which are websocket clients that do what the page does; no browser draws.
Then pages of single frames of both, one after another. Then senders of bodies encoded beforehand, 50 000
spans a second of kept nine-span frames, while pages and the Slow frames question are asked for in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import duckdb
import httpx
import numpy as np
import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench._pages import Page, Pushed
from bench.store import (
    FRAMES_A_BODY,
    HEADERS,
    MS,
    ROOT,
    SECOND,
    STAGES,
    attributes,
    start,
    trace_body,
)

from framescope import signals
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.protocols import FrameQuery
from framescope_ui.store.scan import scan
from framescope_ui.store.sealing import due, seal
from framescope_ui.store.segments import Segments
from framescope_ui.store.tally import Tally
from framescope_ui.store.writer import Outcome, Writer

RATE: Final = 50_000
SPANS_A_FRAME: Final = 1 + len(STAGES)
SENDERS: Final = 3
IN_FLIGHT: Final = 6
"""Requests a sender has on the way: a Collector has ten consumers a queue."""
PAGES: Final = 60
DISTINCT_BODIES: Final = 60
EPOCH_NS: Final = 2**62
"""The time that bodies are encoded for: as long on the wire as a real one."""
MILLION: Final = 1_000_000
EXPORT_SECONDS: Final = 1.0
EMITTER: Final = """
import time, framescope
pipeline = framescope.Pipeline("ultrasound", target_fps=60, budget_ms=16)
stages = pipeline.stages(*"abcdefgh")
begun = time.monotonic()
for number in range(int({seconds} * 60)):
    time.sleep(max(0.0, begun + number / 60 - time.monotonic()))
    with pipeline.frame():
        for stage in stages:
            with stage:
                time.sleep(0.002 if number % 20 == 0 else 0.0002)
pipeline.close()
"""


def main() -> None:
    """Run the measurements and print them."""
    parser = argparse.ArgumentParser(description="measure the pages")
    parser.add_argument("--ingest", type=float, default=600, help="s of ingest with pages in use")
    parser.add_argument("--live", type=float, default=40, help="s with 10 viewers, and again with 50")
    parser.add_argument("--data", type=Path, help="directory of the million frames, made where there is none")
    arguments = parser.parse_args()
    told: dict[str, Any] = {
        "viewers": "websocket and HTTP clients that do what the page does; nothing is drawn",
        "cores": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        filled = arguments.data or Path(directory) / "filled"
        if not filled.exists():
            fill(filled)
        shutil.copytree(filled, data)
        store, said, took = start(data)
        told["store_start_seconds"] = round(took, 2)
        app: subprocess.Popen[bytes] | None = None
        try:
            app, url, told["cold_start"] = asyncio.run(cold_start(data))
            endpoint = f"http://127.0.0.1:{said['http_port']}"
            for viewers in (10, 50):
                found = asyncio.run(live(data, url, endpoint, viewers, arguments.live, app.pid))
                told[f"live, {viewers} viewers"] = found
                print(json.dumps(found), file=sys.stderr)
            told["frame page"] = asyncio.run(frame_pages(data, url))
            told["ingest"] = asyncio.run(ingest(data, url, endpoint, arguments.ingest, store.pid, app.pid))
            live_files = {file.name: file.stat().st_size for file in data.glob("*.duckdb*")}
        finally:
            if app is not None:
                app.terminate()
                app.wait()
            store.terminate()
            store.wait()
        told["ingest"] |= sizes(data, live_files)
    told["bars"] = bars(told)
    results = ROOT / "bench-results"
    results.mkdir(exist_ok=True)
    (results / "ui.json").write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))


def bars(told: dict[str, Any]) -> dict[str, Any]:
    """Each bar: what was measured, what it must be, whether it is."""
    ten, fifty, taken = told["live, 10 viewers"], told["live, 50 viewers"], told["ingest"]
    rows: tuple[tuple[str, float | None, str, float], ...] = (
        ("frame end to seen, 10 viewers, p95 ms beyond export", ten["beyond_export_p95_ms"], "<=", 400),
        ("frame end to seen, 50 viewers, p95 ms beyond export", fifty["beyond_export_p95_ms"], "<=", 1000),
        ("app with 50 viewers, cores", fifty["app_cores"], "<=", 0.6),
        ("slow frames of a million, store p95 ms", taken["slow_frames_store_p95_ms"], "<=", 100),
        ("slow frames of a million, API p95 ms", taken["slow_frames_api_p95_ms"], "<=", 300),
        ("frame page, server p95 ms", told["frame page"]["p95_ms"], "<=", 150),
        ("spans stored a second", taken["spans_a_second"], ">=", RATE * 0.995),
        ("store, cores", taken["store_cores"], "<=", 0.8),
        ("spans lost", taken["spans_lost"], "<=", 0),
        ("pages during ingest, p95 ms", taken["pages_p95_ms"], "<=", 500),
        ("bytes a kept frame, live", taken["bytes_a_frame_live"], "<=", 700),
        ("bytes a kept frame, sealed", taken["bytes_a_frame_sealed"], "<=", 400),
        ("cold start to first page, s", told["cold_start"]["seconds"], "<=", 3),
        ("first page on the wire, MB", told["cold_start"]["wire_bytes"] / 1e6, "<=", 2),
    )
    return {
        name: {
            "measured": value,
            "must_be": f"{sign} {bar:g}",
            "held": None if value is None else (value <= bar if sign == "<=" else value >= bar),
        }
        for name, value, sign, bar in rows
    }


async def cold_start(data: Path) -> tuple[subprocess.Popen[bytes], str, dict[str, Any]]:
    """The app from exec to a drawn first page, and what that page weighs."""
    port = _free_port()
    paths = os.pathsep.join(str(ROOT / name) for name in ("instrumentation", "dash_app"))
    begun = time.monotonic()
    process = subprocess.Popen(  # noqa: ASYNC220 (nothing else runs yet)
        [sys.executable, "-m", "framescope.cli", "ui", "--port", str(port), "--data-dir", str(data)],
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(timeout=60) as client:
        while True:
            assert process.poll() is None, "the app ended while starting"
            try:
                await client.get(f"{url}/healthz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.02)
        listens = time.monotonic() - begun
        weighed = await Page(url, client).first()
        drawn = time.monotonic() - begun
        begun = time.monotonic()
        again = await Page(url, client).first()
        warm = time.monotonic() - begun
    assert again["requests"] == weighed["requests"]
    return (
        process,
        url,
        {"seconds": round(drawn, 2), "listens_after": round(listens, 2), "again": round(warm, 2), **weighed},
    )


async def live(data: Path, url: str, endpoint: str, viewers: int, seconds: float, pid: int) -> dict[str, Any]:
    """A real pipeline at 60 FPS: when each frame ended, was in the store, and had arrived at each viewer."""
    emitter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", EMITTER.format(seconds=seconds + 12)),
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT / "instrumentation"),
            "OTEL_SERVICE_NAME": f"live-{viewers}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        },
    )
    stored: list[tuple[float, int]] = []
    search = f"?service=live-{viewers}&pipeline=ultrasound"
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=viewers + 4)) as client:
        store = EmbeddedStore(data, timeout=60)
        await asyncio.sleep(6)
        seen: list[list[Pushed]] = [[] for _ in range(viewers)]
        watching = [asyncio.create_task(Page(url, client).watch(one, search)) for one in seen]
        noting = asyncio.create_task(_note(store, stored))
        await asyncio.sleep(4)
        app, begun, at = psutil.Process(pid), time.monotonic(), time.time()
        before = app.cpu_times()
        await asyncio.sleep(seconds - 4)
        after, wall = app.cpu_times(), time.monotonic() - begun
        until = time.time()
        for task in (*watching, noting):
            task.cancel()
        ended = await asyncio.gather(*watching, noting, return_exceptions=True)
        trouble = [str(one) for one in ended if isinstance(one, Exception)]
        batches = await store.every_frame(
            f"live-{viewers}", "ultrasound", int((at - 5) * SECOND), int(until * SECOND)
        )
        await store.aclose()
    await emitter.wait()
    assert not trouble, trouble[0]
    ends = np.array(
        [
            one.start_ns / 1e9 + (offset + latency) / 1e6
            for one in batches
            for offset, latency in zip(one.offsets_us, one.latencies_us, strict=True)
        ]
    )
    ends = ends[(ends >= at) & (ends < until - 5)]
    arrivals = [_when(ends, [(one.arrived, one.newest) for one in of if one.newest]) for of in seen]
    taken = np.concatenate(arrivals) - np.tile(ends, viewers)
    asked = [_when(ends, [(one.at, one.newest) for one in of if one.newest]) for of in seen]
    kept = _when(ends, [(when, newest / 1e9) for when, newest in stored])
    return {
        "frames": len(ends),
        "seen_never": int(np.isnan(taken).sum()),
        "beyond_export_p95_ms": _ms(np.nanquantile(taken, 0.95) - EXPORT_SECONDS),
        "frame_end_to_seen_ms": _spread(taken),
        "parts": {
            "frame end to stored (settling 0.3 s, export each second)": _spread(kept - ends),
            "stored to asked for by the app": _spread(np.concatenate(asked) - np.tile(kept, viewers)),
            "asked for to arrived (questions, drawing, wire)": _spread(
                np.concatenate(arrivals) - np.concatenate(asked)
            ),
        },
        "snapshots_a_viewer": round(sum(map(len, seen)) / viewers, 1),
        "snapshot_kb": round(float(np.mean([one.size for of in seen for one in of])) / 1e3, 1),
        "app_cores": round((after.user + after.system - before.user - before.system) / wall, 3),
    }


async def _note(store: EmbeddedStore, stored: list[tuple[float, int]]) -> None:
    """When the newest `frames` record in the store changed."""
    newest = None
    while True:
        found = (await store.status())["newest_ns"]["batch"]
        if found is not None and found != newest:
            newest = found
            stored.append((time.time(), found))
        await asyncio.sleep(0.02)


def _when(ends: Any, shown: Sequence[tuple[float, float]]) -> Any:
    """For each frame's end, the time of the first of ``(time, newest data then)`` to hold it; NaN: none."""
    times, newest = np.array([one[0] for one in shown]), np.array([one[1] for one in shown])
    newest = np.maximum.accumulate(newest) if len(newest) else newest
    place = np.searchsorted(newest, ends - 1e-4)
    return np.where(place < len(times), times[np.minimum(place, len(times) - 1)], np.nan)


async def frame_pages(data: Path, url: str) -> dict[str, Any]:
    """Frame pages one after another, of the million and of the real pipeline that was just looked at; nothing
    is taken in meanwhile."""
    store = EmbeddedStore(data, timeout=60)
    taken: dict[str, list[float]] = {}
    async with httpx.AsyncClient(timeout=60) as client:
        page = Page(url, client)
        for service in ("bench", "live-50"):
            query = FrameQuery(service, outcomes=("slow",), order="duration", limit=PAGES)
            for frame in (await store.frames(query)).frames:
                at = time.monotonic()
                await page.open(f"/frames/{frame.trace_id}", f"?service={service}&pipeline=ultrasound")
                taken.setdefault(service, []).append((time.monotonic() - at) * 1000)
    await store.aclose()
    return {
        "pages": sum(map(len, taken.values())),
        "p95_ms": max(_p95(of) or 0.0 for of in taken.values()),
        **{f"{service}_p95_ms": _p95(of) for service, of in taken.items()},
    }


async def ingest(
    data: Path, url: str, endpoint: str, seconds: float, store_pid: int, app_pid: int
) -> dict[str, Any]:
    """Kept frames at the bar's rate while pages are asked for; timed questions once a million are kept."""
    results: Any = multiprocessing.Queue()
    store, app = psutil.Process(store_pid), psutil.Process(app_pid)
    reader = EmbeddedStore(data, timeout=60)
    counts = (await reader.status())["counts"]
    counted, frames_before = counts.get("stored: spans", 0), counts.get("stored: frames", 0)
    senders = [
        multiprocessing.Process(target=send, args=(endpoint, seconds, seed, RATE / SENDERS, results))
        for seed in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    while (await reader.status())["counts"].get("stored: frames", 0) == frames_before:  # noqa: ASYNC110
        await asyncio.sleep(0.2)  # bodies are being encoded, in other processes
    begun, before, app_before = time.monotonic(), store.cpu_times(), app.cpu_times()
    times: dict[str, list[float]] = {name: [] for name in ("/", "/frames", "/frames/id", "store", "api")}
    search = "?service=bench&pipeline=ultrasound&range=15m"
    asked = {"service": "bench", "outcome": "slow", "order": "duration"}
    since_ns = time.time_ns() - 24 * 3600 * SECOND
    query = FrameQuery("bench", outcomes=("slow",), order="duration", start_ns=since_ns)
    async with httpx.AsyncClient(timeout=60) as client:
        page = Page(url, client)

        async def timed(name: str, question: Callable[[], Awaitable[Any]]) -> Any:
            at = time.monotonic()
            answer = await question()
            times[name].append((time.monotonic() - at) * 1000)
            return answer

        while time.monotonic() - begun < seconds - 6:
            worst = (await reader.frames(FrameQuery("bench", outcomes=("slow",), limit=1))).frames[0]
            await timed("/", lambda: page.open("/", search))
            await timed("/frames", lambda: page.open("/frames", search))
            address = f"/frames/{worst.trace_id}"
            await timed("/frames/id", lambda at=address: page.open(at, search))  # type: ignore[misc]
            await timed("store", lambda: reader.frames(query))
            await timed(
                "api", lambda: client.get(f"{url}/api/frames", params={**asked, "start": str(since_ns / 1e9)})
            )
            await asyncio.sleep(0.5)
        after, app_after, wall = store.cpu_times(), app.cpu_times(), time.monotonic() - begun
    outcomes = [results.get() for _ in senders]
    for sender in senders:
        sender.join()
    said = await reader.status()
    await reader.aclose()
    sent = sum(one["acknowledged"] for one in outcomes)
    frames = said["counts"]["stored: frames"]
    pages = [*times["/"], *times["/frames"], *times["/frames/id"]]
    return {
        "seconds": seconds,
        "spans_a_second": round(sent / seconds),
        "requests_refused": sum(one["refused"] for one in outcomes),
        "acknowledged_after_p95_ms": max(one["p95_ms"] for one in outcomes),
        "spans_lost": sent - (said["counts"]["stored: spans"] - counted),
        "store_cores": round((after.user + after.system - before.user - before.system) / wall, 3),
        "app_cores": round(
            (app_after.user + app_after.system - app_before.user - app_before.system) / wall, 3
        ),
        "store_rss_mb": round(store.memory_info().rss / 2**20),
        "frames_kept": frames,
        "segments": said["segments"],
        "pages_asked_for": len(pages),
        "pages_p95_ms": _p95(pages),
        "live_page_p95_ms": _p95(times["/"]),
        "slow_frames_page_p95_ms": _p95(times["/frames"]),
        "frame_page_p95_ms": _p95(times["/frames/id"]),
        "slow_frames_store_p95_ms": _p95(times["store"]),
        "slow_frames_api_p95_ms": _p95(times["api"]),
        "asked_over_a_million": len(times["store"]),
        "slow_frames_asked_over": await _slow_frames(data, since_ns),
    }


async def _slow_frames(data: Path, since_ns: int) -> int | None:
    """How many frames the timed question was about."""
    store = EmbeddedStore(data, timeout=60)
    page = await store.frames(FrameQuery("bench", outcomes=("slow",), start_ns=since_ns, limit=2))
    await store.aclose()
    return page.total


def fill(data: Path) -> None:
    """A million kept frames of the last hour, as requests through the store's own writer."""
    segments = _opened(data, time.time)
    writer, bodies = Writer(segments, Tally()), Bodies(SENDERS)
    requests, end_ns = -(-MILLION // FRAMES_A_BODY), time.time_ns()
    waiting: deque[Future[Outcome]] = deque()
    for number in range(requests):
        body = bodies.body(end_ns - 3600 * SECOND * (requests - number) // requests)
        request = scan(body) or ExportTraceServiceRequest.FromString(body)
        waiting.append(writer.submit(request, len(body)))
        if len(waiting) > SENDERS * IN_FLIGHT:
            waiting.popleft().result(60)
    writer.close()
    segments.close()


def sizes(data: Path, live: dict[str, int]) -> dict[str, int]:
    """Bytes a frame: of the files that were being written to as they were then, and of all when sealed."""
    unsealed = [file for file in data.glob("*.duckdb") if file.name.count("-") == 1 and file.name in live]
    taken = sum(live[file.name] + live.get(f"{file.name}.wal", 0) for file in unsealed)
    frames = sum(_frames_in(file) for file in unsealed)
    segments = _opened(data, lambda: time.time() + 86_400)
    segments.roll_if_due()
    while group := due(segments.all(), 2**28):
        seal(segments, group)
    segments.close()
    sealed = [file for file in data.glob("*.duckdb") if file.name.count("-") == 2]
    return {
        "bytes_a_frame_live": round(taken / frames),
        "bytes_a_frame_sealed": round(
            sum(file.stat().st_size for file in sealed) / sum(_frames_in(file) for file in sealed)
        ),
    }


def _opened(data: Path, now_s: Callable[[], float]) -> Segments:
    return Segments(data, segment_seconds=600, retention_seconds=1e9, retention_bytes=2**31, now_s=now_s)


def _frames_in(file: Path) -> int:
    with duckdb.connect(str(file), read_only=True) as opened:
        found = opened.execute("SELECT count(*) FROM frame").fetchone()
    return int(found[0]) if found else 0


class Bodies:
    """Requests of kept frames: encoded bodies in turn, their trace ids and times changed in place.

    Evidence is as an emitter tells it: durations in whole ns, utilization in whole percent. Bodies differ,
    and more frames pass before one comes again than are compressed together (2 048).
    """

    def __init__(self, seed: int) -> None:
        random_ = random.Random(seed)
        self._fresh = np.random.default_rng(seed)
        self._templates = [_Template(random_) for _ in range(DISTINCT_BODIES)]
        self._next = 0

    def body(self, now_ns: int) -> bytes:
        """A request of frames that ended just before ``now_ns``."""
        self._next = (self._next + 1) % DISTINCT_BODIES
        ids = self._fresh.integers(0, 256, (FRAMES_A_BODY, 8), dtype=np.uint8)
        return self._templates[self._next].body(now_ns - EPOCH_NS, ids)


class _Template:
    """One encoded body, and where in it trace ids and times stand."""

    def __init__(self, random_: random.Random) -> None:
        spans = [span for place in range(FRAMES_A_BODY) for span in _frame(place, random_)]
        body = trace_body(spans)
        self._bytes = np.frombuffer(body, np.uint8).copy()
        at = 0
        starts, ids = [], []
        for span in spans:
            ids.append(body.index(span.trace_id + b"\x12\x08", at))
            at = body.index(b"\x39" + span.start_time_unix_nano.to_bytes(8, "little") + b"\x41", ids[-1]) + 1
            starts.append(at)
        self._ids = np.array(ids)[:, None] + np.arange(8)
        # The end's tag is one byte after the start's eight.
        self._times = np.concatenate([np.array(starts), np.array(starts) + 9])[:, None] + np.arange(8)
        told = [one.start_time_unix_nano for one in spans] + [one.end_time_unix_nano for one in spans]
        self._base = np.array(told, np.int64)

    def body(self, shift_ns: int, ids: Any) -> bytes:
        self._bytes[self._times] = (self._base + shift_ns).view(np.uint8).reshape(-1, 8)
        self._bytes[self._ids] = np.repeat(ids, SPANS_A_FRAME, axis=0)
        return self._bytes.tobytes()


def _frame(place: int, random_: random.Random) -> list[Span]:
    latency_ns = random_.randrange(5 * MS, 40 * MS)
    over = round(max(latency_ns - 10 * MS, 0) / 1e9, 9)
    slow = over > 0
    cause = random_.choice(("gpu_contention", "cpu_contention", "gc_pause", "io_wait"))

    def seconds(most: float) -> float:
        return round(random_.random() * most, 9)

    told: dict[str, Any] = {
        signals.FRAME_ID: place,
        signals.FRAME_PIPELINE: "ultrasound",
        signals.FRAME_BUDGET_LIMIT: 0.01,
        signals.FRAME_PERIOD: 0.01,
        signals.FRAME_SLOW: slow,
        signals.FRAME_LATE: False,
        signals.FRAME_INTERVAL: 0.01 + seconds(0.001),
        signals.FRAME_OUTCOME: "slow" if slow else "on_time",
        signals.FRAME_KEPT: "slow" if slow else "baseline",
        signals.FRAME_SAMPLING_WEIGHT: 1,
        signals.FRAME_EXPECTED_DURATION: 0.008,
        signals.FRAME_CAUSE_NAME: cause,
        signals.FRAME_CAUSE_CONFIDENCE: round(random_.random(), 3),
        signals.FRAME_LOST_TOTAL: over,
        signals.FRAME_OVERRUN_TOTAL: over,
        signals.FRAME_LOST_PREFIX + cause: over,
        signals.FRAME_OVERRUN_PREFIX + cause: over,
        signals.CPU_TIME: seconds(0.01),
        signals.RUNQUEUE_TIME: seconds(0.005),
        signals.BLOCKED_TIME: seconds(0.005),
        signals.GC_TIME: seconds(0.001),
        signals.GPU_TIME: seconds(0.005),
        signals.GPU_UTILIZATION_MEAN: random_.randrange(101) / 100,
        signals.GPU_UTILIZATION_MAX: random_.randrange(101) / 100,
        signals.GPU_OTHER_UTILIZATION: random_.randrange(101) / 100,
        signals.GPU_CLOCK_MIN: random_.randrange(1200, 1981, 15) * 1e6,
        signals.GPU_TEMPERATURE: float(random_.randrange(40, 85)),
        "scanner.probe": "C5-1",
    }
    trace_id = random_.randbytes(16)
    first = place * MS - 100 * MS - latency_ns
    root = Span(
        trace_id=trace_id,
        span_id=random_.randbytes(8),
        name=signals.SPAN_FRAME,
        start_time_unix_nano=EPOCH_NS + first,
        end_time_unix_nano=EPOCH_NS + first + latency_ns,
        attributes=attributes(told),
    )
    spans, share = [root], latency_ns // len(STAGES)
    for number, stage in enumerate(STAGES):
        own: dict[str, Any] = {
            signals.FRAME_STAGE_NAME: stage,
            signals.FRAME_STAGE_KIND: "queue" if stage.startswith("queue") else "cpu",
            signals.FRAME_STAGE_EXPECTED: 0.001,
            signals.CPU_TIME: seconds(0.001),
            signals.RUNQUEUE_TIME: seconds(0.001),
        }
        if slow and number == place % len(STAGES):
            own[signals.FRAME_LOST_PREFIX + cause] = over
        spans.append(
            Span(
                trace_id=trace_id,
                span_id=random_.randbytes(8),
                parent_span_id=root.span_id,
                name=stage,
                start_time_unix_nano=EPOCH_NS + first + number * share,
                end_time_unix_nano=EPOCH_NS + first + (number + 1) * share,
                attributes=attributes(own),
            )
        )
    return spans


def send(endpoint: str, seconds: float, seed: int, rate: float, results: Any) -> None:
    """Send at ``rate`` spans a second, several requests on the way; what is refused is sent again."""
    results.put(asyncio.run(_send(f"{endpoint}/v1/traces", seconds, seed, rate)))


async def _send(url: str, seconds: float, seed: int, rate: float) -> dict[str, Any]:
    bodies = Bodies(seed)
    spans = FRAMES_A_BODY * SPANS_A_FRAME
    due = acknowledged = refused = 0
    took: list[float] = []
    begun = time.monotonic()

    async with httpx.AsyncClient(timeout=60) as client:

        async def worker() -> None:
            nonlocal due, acknowledged, refused
            while (elapsed := time.monotonic() - begun) < seconds:
                if due >= rate * elapsed:
                    await asyncio.sleep(0.005)
                    continue
                due += spans
                body = bodies.body(time.time_ns())
                while True:
                    at = time.monotonic()
                    answer = await client.post(url, content=body, headers=HEADERS)
                    if answer.status_code == 200:
                        break
                    refused += 1
                    await asyncio.sleep(1)
                took.append(time.monotonic() - at)
                acknowledged += spans

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return {
        "acknowledged": acknowledged,
        "refused": refused,
        "p95_ms": round(float(np.quantile(took, 0.95)) * 1000, 1),
    }


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ms(seconds: Any) -> float | None:
    return round(float(seconds) * 1000, 1) if np.isfinite(seconds) else None


def _spread(seconds: Any) -> dict[str, float | None]:
    return {"p50": _ms(np.nanquantile(seconds, 0.5)), "p95": _ms(np.nanquantile(seconds, 0.95))}


def _p95(values: Sequence[float]) -> float | None:
    return round(float(np.quantile(values, 0.95)), 1) if values else None


if __name__ == "__main__":
    main()
