"""Whether Correlate's numbers can be believed, and how long they take: one JSON object, also in
bench-results/.

Usage: python bench/correlate.py [--runs 500] [--only coverage|chance|speed]
 Coverage: in how many runs the 95 % interval of the risk ratio holds the ratio of the law that made the data.
Chance: in how many runs without any connection anything at all is claimed. The laws hang together in time as
real ones do: signals switch and drift over 1 s to 5 min, slow frames come in storms of their own. Speed: the
whole question over an hour at 100 frames a second, first from the arrays alone, then from an embedded store
beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import store  # type: ignore[import-not-found]  # beside this file

from framescope import signals
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.protocols import FrameRow, Mark, Series
from framescope_ui.questions.correlate import correlate
from framescope_ui.questions.correlate_answer import Answers, correlated
from framescope_ui.questions.latencies import Latencies, Texts
from framescope_ui.questions.stores import Stores

Floats = npt.NDArray[np.float64]
ROOT: Final = Path(__file__).resolve().parents[1]
NS: Final = 1_000_000_000
START: Final = 1_800_000_000 * NS
FPS: Final = 100
TICKS: Final = 10
"""Readings a second."""
BUDGET_NS: Final = 10_000_000


def drifting(random: np.random.Generator, size: int, seconds: float) -> Floats:
    """Mean-reverting noise of variance 1 that forgets over ``seconds``."""
    from scipy.signal import lfilter

    keep = float(np.exp(-1 / (seconds * TICKS)))
    before = int(8 * seconds * TICKS)
    noise = random.standard_normal(size + before) * np.sqrt(1 - keep * keep)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise)[before:], np.float64)


def switching(random: np.random.Generator, size: int, on_seconds: float, off_seconds: float) -> Floats:
    """1 and 0 by turns, each for an exponential time: another job on the GPU, a mode."""
    found = np.zeros(size)
    on, at = random.random() < on_seconds / (on_seconds + off_seconds), 0
    while at < size:
        lasts = 1 + int(random.exponential((on_seconds if on else off_seconds) * TICKS))
        found[at : at + lasts] = on
        at, on = at + lasts, not on
    return found


def storms(random: np.random.Generator, size: int) -> Floats:
    """How much likelier slow frames are at each time for reasons nobody measures; 1 on average."""
    drift = np.exp(0.7 * drifting(random, size, 15) - 0.245)
    return np.asarray(drift * np.where(switching(random, size, 30, 150) > 0, 3.0, 0.6), np.float64)


def frames_of(random: np.random.Generator, chance: Floats) -> Latencies:
    """Every frame of a pipeline whose frames are slow with these chances, one a tick."""
    size = len(chance) * FPS // TICKS
    slow = random.random(size) < np.repeat(np.clip(chance, 0, 1), FPS // TICKS)
    over = random.integers(BUDGET_NS + 100_000, 3 * BUDGET_NS, size)
    latency = np.where(slow, over, random.integers(BUDGET_NS // 2, BUDGET_NS, size))
    cause = np.full(size, None, np.object_)
    cause[slow] = np.where(random.random(int(slow.sum())) < 0.6, "gpu_contention", "unknown")
    return Latencies(
        due_ns=START + np.arange(size) * (NS // FPS),
        latency_ns=latency,
        frame_id=np.arange(size),
        outcome=np.where(slow, "s", "o"),
        cause=cause,
        depths={"rt": random.integers(0, 3, size)},
        budget_ns=BUDGET_NS,
        attributes=contents(random, size),
    )


def contents(random: np.random.Generator, size: int) -> dict[str, Texts]:
    """Content attributes of every frame that have nothing to do with being slow: a probe that is changed now
    and then, a mode and a number frame by frame."""
    probe = np.repeat(switching(random, size * TICKS // FPS, 45, 45), FPS // TICKS)
    return {
        "probe": Texts(["linear", "convex"], probe.astype(np.int32)),
        "view": Texts(["long", "short", "four"], random.integers(0, 3, size).astype(np.int32)),
        "lines": Texts([str(64 * k) for k in range(1, 9)], random.integers(0, 8, size).astype(np.int32)),
    }


def series_of(values: Floats, every: int = 1, **attributes: str) -> Series:
    """Readings at the ends of the ticks they tell of."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    times = START + (np.arange(len(values)) + 1) * (NS // TICKS)
    return Series(named, times[every - 1 :: every].tolist(), values[every - 1 :: every].tolist())


def gauges_of(random: np.random.Generator, size: int, load: Floats) -> dict[str, list[Series]]:
    """The readings of two GPUs and a host; only the first GPU's load is given."""
    found: dict[str, list[Series]] = {}

    def put(name: str, values: Floats, every: int = 1, **attributes: str) -> None:
        found.setdefault(name, []).append(series_of(values, every, **attributes))

    for gpu in ("0", "1"):
        put(signals.HW_GPU_UTILIZATION, load if gpu == "0" else gpu_load(random, size), hw__id=gpu)
        put(signals.FS_GPU_CLOCK, 1.5e9 + 1e8 * drifting(random, size, 20), hw__id=gpu)
        put(signals.HW_TEMPERATURE, 70 + 5 * drifting(random, size, 120), 10, hw__id=gpu)
        put(signals.HW_POWER, 180 + 20 * drifting(random, size, 5), hw__id=gpu)
        put(signals.HW_GPU_MEMORY_USAGE, 8e9 + 2e9 * switching(random, size, 60, 60), 10, hw__id=gpu)
    for resource in ("cpu", "io", "memory"):
        share = np.clip(0.08 * drifting(random, size, 3), 0, 1)
        put(signals.FS_PRESSURE, share, framescope__pressure__resource=resource)
    for name, seconds in (
        (signals.SYSTEM_CPU_UTILIZATION, 4.0),
        (signals.SYSTEM_MEMORY_UTILIZATION, 300.0),
        (signals.PROCESS_CPU_UTILIZATION, 2.0),
        (signals.PROCESS_MEMORY_USAGE, 120.0),
    ):
        put(name, 0.5 + 0.1 * drifting(random, size, seconds), 10)
    for name in ("score", "size", "angle"):
        put(signals.FRAME_CUSTOM, drifting(random, size, 10), 10, frame__metric__name=name)
    return found


def gpu_load(random: np.random.Generator, size: int) -> Floats:
    """Load with another job coming and going."""
    base = 0.55 + 0.05 * drifting(random, size, 5)
    return np.clip(base + 0.4 * switching(random, size, 20, 80), 0, 1)


def kept_of(random: np.random.Generator, frames: Latencies, size: int) -> list[FrameRow]:
    """Kept frames with attributes that have nothing to do with being slow: a mode, a flag, a number."""
    mode = switching(random, size, 60, 60)
    slow = np.flatnonzero(frames.slow)
    chosen = np.sort(
        np.concatenate([random.permutation(slow)[:400], np.arange(50, len(frames), FPS)])
    ).astype(int)
    return [
        FrameRow(
            f"{at:032x}",
            "bench",
            int(frames.due_ns[at]),
            int(frames.latency_ns[at]),
            {
                signals.FRAME_OUTCOME: "slow" if frames.slow[at] else "on_time",
                signals.FRAME_SAMPLING_WEIGHT: 1 if frames.slow[at] else 100,
                "mode": "doppler" if mode[at * TICKS // FPS] else "b",
                "frozen": bool(random.random() < 0.3),
                "depth": float(random.normal()),
            },
        )
        for at in chosen.tolist()
    ]


def covers(random: np.random.Generator, seconds: int, truth: float, base: float) -> bool | None:
    """Whether the interval for the GPU's load holds the true ratio; None where none was given."""
    size = seconds * TICKS
    load = gpu_load(random, size)
    chance = base * np.where(load > 0.9, truth, 1.0) * storms(random, size)
    answers = Answers(frames_of(random, chance), {signals.HW_GPU_UTILIZATION: [series_of(load, hw__id="0")]})
    found = correlated(answers, "bench", "bench", START, START + seconds * NS)
    risk = next(one for one in found.signals if one.name.startswith(signals.HW_GPU_UTILIZATION))
    if risk.interval is None or risk.threshold != 0.9:
        return None
    low, high = risk.interval
    return (low or 0.0) <= truth and (high is None or truth <= high)


def claims(random: np.random.Generator, seconds: int, base: float) -> tuple[bool, int]:
    """Whether anything is claimed where nothing is connected, and how many questions were asked."""
    size = seconds * TICKS
    frames = frames_of(random, base * storms(random, size))
    end = START + seconds * NS
    marks = [Mark("bench", START + int(share * seconds * NS), "nothing") for share in (0.4, 0.7)]
    answers = Answers(
        frames,
        gauges_of(random, size, gpu_load(random, size)),
        kept=kept_of(random, frames, size),
        marks=marks,
    )
    found = correlated(answers, "bench", "bench", START, end)
    some = [one.claimed for one in found.signals] + [one.claimed for one in found.differences]
    some += [cause.claimed for change in found.changes for cause in change.causes]
    return any(some), found.tests


def coverage(runs: int) -> list[dict[str, Any]]:
    """Coverage of the interval over laws of different length, strength and rarity."""
    told = []
    for seconds, truth, base in ((3600, 4.0, 0.01), (3600, 1.0, 0.002), (600, 4.0, 0.01), (300, 2.0, 0.02)):
        random = np.random.default_rng([seconds, int(truth * 10)])
        held = [covers(random, seconds, truth, base) for _ in range(runs)]
        given = [one for one in held if one is not None]
        told.append(
            {
                "seconds": seconds,
                "truth": truth,
                "slow_share_without": base,
                "runs": len(given),
                "not_given": runs - len(given),
                "covered": round(float(np.mean(given)), 4),
            }
        )
        print(told[-1], flush=True)
    return told


def chance(runs: int) -> list[dict[str, Any]]:
    """Runs without any connection in which something is claimed."""
    told = []
    # An hour of everything takes a second and more to make up and to ask: a fifth of the runs.
    for seconds, base, times in (
        (60, 0.03, runs),
        (300, 0.003, runs),
        (600, 0.01, runs),
        (3600, 0.01, runs // 5),
    ):
        random = np.random.default_rng([seconds, 7])
        found = [claims(random, seconds, base) for _ in range(times)]
        told.append(
            {
                "seconds": seconds,
                "slow_share": base,
                "runs": times,
                "claimed_anything": round(float(np.mean([one for one, _ in found])), 4),
                "questions_a_run": round(float(np.mean([tests for _, tests in found])), 1),
            }
        )
        print(told[-1], flush=True)
    return told


def timed(rounds: int, ask: Callable[[], Any]) -> dict[str, Any]:
    """Wall and CPU ms of this process, over several rounds."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        ask()
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    return {
        "wall_ms": [round(one) for one in sorted(walls)],
        "cpu_ms": [round(one) for one in sorted(cpus)],
    }


def speed(rounds: int = 7) -> dict[str, Any]:
    """The hour at 100 frames a second."""
    random = np.random.default_rng(1)
    size, end = 3600 * TICKS, START + 3600 * NS
    load = gpu_load(random, size)
    frames = frames_of(random, 0.01 * np.where(load > 0.9, 4, 1) * storms(random, size))
    answers = Answers(
        frames,
        gauges_of(random, size, load),
        kept=kept_of(random, frames, size),
        marks=[Mark("bench", START + 1800 * NS, "x")],
    )
    told: dict[str, Any] = {
        "frames": len(frames),
        "statistics": timed(rounds, lambda: correlated(answers, "bench", "bench", START, end)),
    }
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        process, said, _ = store.start(data)
        try:
            now = time.time_ns() // NS * NS
            store.load_hour(f"http://127.0.0.1:{said['http_port']}", now)

            async def asked(stages: bool) -> None:
                embedded = EmbeddedStore(data, timeout=60)
                begin = now / NS - 3600
                stores = Stores(embedded, embedded)
                await correlate(stores, "bench", "ultrasound", begin, now / NS, stages=stages)
                await embedded.aclose()

            told["embedded"] = timed(rounds, lambda: asyncio.run(asked(False)))
            told["embedded_with_stages"] = timed(rounds, lambda: asyncio.run(asked(True)))
        finally:
            process.terminate()
            process.wait()
    return told


def main() -> None:
    """Run the measurements and print them."""
    parser = argparse.ArgumentParser(description="measure Correlate")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--only", choices=("coverage", "chance", "speed"))
    options = parser.parse_args()
    results = ROOT / "bench-results"
    results.mkdir(exist_ok=True)
    file = results / "correlate.json"
    told: dict[str, Any] = json.loads(file.read_text()) if options.only and file.exists() else {}
    told |= {"load_average": os.getloadavg()[0], "cores": os.cpu_count()}
    parts: dict[str, Callable[[], Any]] = {
        "speed": speed,
        "coverage": lambda: coverage(options.runs),
        "chance": lambda: chance(options.runs),
    }
    for name, measure in parts.items():
        if options.only in (None, name):
            told[name] = measure()
    file.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
