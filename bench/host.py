"""What recording costs a whole host process and its agent, what it loses, and what a bad receiver does.

Usage: python bench/host.py [--seconds 30] [--only NAME…]

Each case is a pair: the same program with recording on and off in turns (blocks of a second), so that a
machine that drifts drifts for both. The program only enters eight stages in its frames; slow ones
sleep over their budget. The host's share is what its thread took more with recording on, and all that
framescope's own threads took meanwhile. The agent's share is of a stretch afterwards in which every frame
is recorded. JSON goes to bench-results/host.json.

How many frames are kept: the slow ones, the two beside each, and one in a hundred.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench._receivers import Manner, apart  # noqa: E402


@dataclass(frozen=True, slots=True)
class Case:
    """A rate, the share of frames over budget, and how the receiver behaves."""

    name: str
    fps: int
    slow: float
    receiver: Manner = "healthy"
    longer: float = 1.0


CASES: Final = (
    Case("100 FPS, 5 % kept", 100, 1 / 75),
    Case("100 FPS, 5 % slow", 100, 0.05),
    Case("100 FPS, all slow", 100, 1.0),
    Case("1000 FPS, 1 % kept", 1000, 0.0),
    Case("1000 FPS, 1 % slow", 1000, 0.01),
    Case("5000 FPS", 5000, 0.0, longer=2.0),
    Case("1000 FPS, receiver dead", 1000, 0.01, "dead"),
    Case("1000 FPS, receiver slow", 1000, 0.01, "slow"),
    Case("1000 FPS, receiver resetting", 1000, 0.01, "resetting"),
    Case("1000 FPS, receiver refusing", 1000, 0.01, "refusing"),
)


# --- the host: runs as `python bench/host.py --host …` ----------------------------------------------------


def host(fps: int, slow: float, seconds: float) -> None:
    """Blocks of a second with recording on and off in turns; the report goes to standard output."""
    import framescope

    process = psutil.Process()
    before_import = process.memory_info().rss
    budget_ms = 0.5 if slow else 1000.0
    on = framescope.Pipeline("host", target_fps=fps, budget_ms=budget_ms, enabled=True)
    off = framescope.Pipeline("host", target_fps=fps, budget_ms=budget_ms, enabled=False)
    own: dict[bool, list[float]] = {True: [], False: []}
    others: list[float] = []
    costs: dict[bool, list[int]] = {True: [], False: []}
    programs = {
        recorded: (pipeline, pipeline.stages(*(f"s{n}" for n in range(8))))
        for recorded, pipeline in ((True, on), (False, off))
    }
    every = round(1 / slow) if slow else 0
    number = 0

    def block(recorded: bool) -> None:
        nonlocal number
        pipeline, stages = programs[recorded]
        began = time.monotonic()
        for place in range(fps):
            number += 1
            entered = time.perf_counter_ns()
            slept = 0
            with pipeline.frame():
                for stage in stages:
                    with stage:
                        pass
                if every and number % every == 0:
                    at = time.perf_counter_ns()
                    time.sleep(0.0006)
                    slept = time.perf_counter_ns() - at
            costs[recorded].append(time.perf_counter_ns() - entered - slept)
            wait = began + (place + 1) / fps - time.monotonic()
            if wait > 0.0001:
                time.sleep(wait)

    time.sleep(1.0)  # the agent has started
    agents = process.children(recursive=True)
    began, rounds, frames = time.monotonic(), 0, 0
    rss_early = 0
    while time.monotonic() - began < seconds:
        for recorded in (True, False) if rounds % 2 else (False, True):
            thread_cpu, process_cpu = time.thread_time(), time.process_time()
            block(recorded)
            # What ships runs on for a moment after its block: give it time to be counted there.
            time.sleep(0.1 if recorded else 0)
            own[recorded].append(time.thread_time() - thread_cpu)
            if recorded:
                others.append(time.process_time() - process_cpu - own[True][-1])
            frames += fps if recorded else 0
        rounds += 1
        if rounds == 2:
            rss_early = process.memory_info().rss

    def agents_cpu() -> float:
        return sum(sum(one.cpu_times()[:2]) for one in agents if one.is_running())

    before, began = agents_cpu(), time.monotonic()
    for _ in range(max(3, round(seconds / 2))):
        block(True)
        frames += fps
    agent_share = (agents_cpu() - before) / (time.monotonic() - began)
    report = {
        "recorded": frames,
        "blocks": len(others),
        "host_share": statistics.mean(own[True]) - statistics.mean(own[False]) + statistics.mean(others),
        "off_share": statistics.mean(own[False]),
        "shipper_share": statistics.mean(others),
        "agent_share": agent_share,
        "host_rss_mb": (process.memory_info().rss - before_import) / 1e6,
        "host_growth_mb": (process.memory_info().rss - rss_early) / 1e6,
        "agent_rss_mb": sum(one.memory_info().rss for one in agents if one.is_running()) / 1e6,
        "cost_us": {str(recorded): costs[recorded] for recorded in costs},
        "lock": lock_held(framescope.Pipeline("lock", enabled=True), fps) if slow < 1 else None,
    }
    on.close()
    print(json.dumps(report))


def lock_held(pipeline: Any, fps: int) -> float:
    """Longest time (s) this thread wanted the interpreter lock and a thread of framescope's had it.

    It spins, and makes frames as they are due; a gap in which it neither ran nor waited for a core was a
    wait for the lock. What the holder waited for a core itself is in it.
    """
    from framescope.probes.scheduler import reader

    read, clock, longest = reader(), time.perf_counter_ns, 0
    stages = pipeline.stages(*(f"s{n}" for n in range(8)))
    give_up = clock() + 5_000_000_000
    before, cpu_before, ready_before = clock(), *read()[:2]
    due = before
    while before < give_up:
        if before >= due:
            due += 1_000_000_000 // fps
            with pipeline.frame():
                for stage in stages:
                    with stage:
                        pass
        now = clock()
        if now - before > 50_000:
            cpu, ready, _ = read()
            longest = max(longest, now - before - (cpu - cpu_before) - (ready - ready_before))
            cpu_before, ready_before = cpu, ready
            now = clock()
        elif now % 8 == 0:
            cpu_before, ready_before = read()[:2]
            now = clock()
        before = now
    return longest / 1e9


# --- the cases --------------------------------------------------------------------------------------------


def run(case: Case, seconds: float) -> dict[str, Any]:
    """One case; shares of a core, MB, frames."""
    command = [sys.executable, __file__, "--host", str(case.fps), str(case.slow), str(seconds * case.longer)]
    with apart(case.receiver, "host") as receiver:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "PYTHONPATH": str(ROOT / "instrumentation"),
        }
        done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, check=True)
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        time.sleep(2.0)
        arrived = receiver.count()
    costs = {recorded: sorted(values) for recorded, values in report.pop("cost_us").items()}
    report["frame_p99_9_us"] = {
        "on": costs["True"][int(len(costs["True"]) * 0.999)] / 1000,
        "off": costs["False"][int(len(costs["False"]) * 0.999)] / 1000,
    }
    report["arrived"] = arrived if case.receiver == "healthy" else None
    return report


def main() -> int:
    """Run every case, print, write; 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    results: dict[str, Any] = {"python": sys.version.split()[0], "cores": os.cpu_count()}
    print(f"{'':30} {'host':>7} {'agent':>7} {'p99.9 on':>9} {'off':>7} {'lock':>6} {'agent MB':>9}")
    for case in CASES:
        if asked.only and not any(word in case.name for word in asked.only):
            continue
        told = results[case.name] = run(case, asked.seconds)
        lock = f"{told['lock'] * 1000:.2f}" if told["lock"] is not None else ""
        tail = told["frame_p99_9_us"]
        print(
            f"{case.name:30} {told['host_share'] * 100:6.2f}% {told['agent_share'] * 100:6.2f}% "
            f"{tail['on']:7.0f}µs {tail['off']:5.0f}µs {lock:>6} {told['agent_rss_mb']:9.0f}",
            flush=True,
        )
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    (folder / "host.json").write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--host"]:
        host(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
    else:
        sys.exit(main())
