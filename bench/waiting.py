"""What it costs a host to have its waiting looked at: its frames' times, and CPU, with and without.

Usage: python bench/waiting.py [--rounds 12]

One host process, no agent; the probes take turns of a second, in every round each once and in another
order, so that a machine that drifts drifts for all. Two kinds of frame: 3 ms of Python's own work and 7 of
sleep, and 20 ms of work without a pause, where each knock makes the frame's thread hand over the lock.
CPU is the kernel's count of each probe's own thread. Then the agent's side: a host of which every thread
is looked at, and what that costs the process that looks. JSON goes to bench-results/waiting.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, cast

from framescope.agent.call_sampler import CallSampler
from framescope.pipeline import Pipeline
from framescope.probes import scheduler
from framescope.probes.interpreter_lock import EVERY_NS, LockProbe, Rhythm
from framescope.probes.system_call import interpreter_lock_range
from framescope.recorder.faults import Faults
from framescope.recorder.open_frames import OpenFrames
from framescope.recorder.pipeline import Recorder
from framescope.recorder.stack_sampler import StackSampler
from framescope.recorder.witnesses import Witnesses

TURN_S: Final = 1.0
FRAMES: Final[dict[str, tuple[float, float]]] = {
    "3 ms of work, 7 of sleep": (0.003, 0.007),
    "20 ms of work, no pause": (0.020, 0.0),
}
"""Seconds of work and of sleep."""


class Looker(Protocol):
    def install(self) -> None: ...
    def remove(self) -> None: ...


class _Always(Rhythm):
    """Trouble all the time: the worst that knocking can be."""

    def answered(self, waited_ns: int, answered_ns: int) -> bool:
        return True


class _Nobody:
    def install(self) -> None: ...
    def remove(self) -> None: ...


class _Host:
    """What a pipeline shares with its process, without the thread that ships."""

    def __init__(self) -> None:
        self.scheduler = scheduler.reader()
        self.faults = Faults()
        self.witnesses = Witnesses()
        self.shipper = self
        self.open = OpenFrames()
        self.witnesses._open = self.open

    def add(self, recorder: Recorder) -> None: ...


def knocking() -> Looker:
    probe = LockProbe(scheduler.reader())
    probe._rhythm = _Always()
    probe._wanted.set()
    return probe


def work(turns: int) -> int:
    found = 0
    for number in range(turns):
        found += number * number
    return found


def cpu_ns_by_thread() -> dict[str, int]:
    """CPU time of this process's threads, by the kernel's count."""
    return {
        task.name: int((task / "schedstat").read_text().split()[0])
        for task in Path("/proc/self/task").iterdir()
    }


def turn(frame: Callable[[], None], looker: Looker) -> tuple[list[float], float]:
    """(ms of each frame, share of a core that the looker's thread took)."""
    took: list[float] = []
    looker.install()
    before = cpu_ns_by_thread()
    began = now = time.perf_counter()
    while now < began + TURN_S:
        frame()
        after = time.perf_counter()
        took.append(1e3 * (after - now))
        now = after
    cpu = cpu_ns_by_thread()
    own = str(os.getpid())
    share = sum(ns - before.get(name, 0) for name, ns in cpu.items() if name != own) / 1e9 / (now - began)
    looker.remove()
    time.sleep(2 * EVERY_NS / 1e9)
    return took, share


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def in_the_host(rounds: int, per_turn: int) -> dict[str, Any]:
    """Frames beside each looker."""
    host = _Host()
    pipeline = Pipeline("bench", enabled=True, process=cast(Any, host))
    stage = pipeline.stage("work")
    found: dict[str, Any] = {}
    for name, (work_s, sleep_s) in FRAMES.items():
        turns = int(per_turn * work_s)

        def frame(turns: int = turns, sleep_s: float = sleep_s) -> None:
            with pipeline.frame(), stage:
                work(turns)
                if sleep_s:
                    time.sleep(sleep_s)
            pipeline._recorder.drain(9)

        stacks = StackSampler(host.open)
        stacks._usual.learn(pipeline._recorder.number, [0, 0, ~0, 1])  # every stage overruns: the worst
        lookers: dict[str, Callable[[], Looker]] = {
            "nobody": _Nobody,
            "nobody, again": _Nobody,
            "knocks without end": knocking,
            "stacks of every frame": lambda: StackSampler(host.open),
        }
        frames: dict[str, list[list[float]]] = {one: [] for one in lookers}
        shares: dict[str, list[float]] = {one: [] for one in lookers}
        for _ in range(rounds):
            for one in random.sample(sorted(lookers), len(lookers)):
                looker = lookers[one]()
                if isinstance(looker, StackSampler):
                    looker._usual = stacks._usual
                took, share = turn(frame, looker)
                frames[one].append(took)
                shares[one].append(share)
        found[name] = {one: _told(frames[one], frames["nobody"], shares[one]) for one in lookers}
    return found


def _told(turns: list[list[float]], beside: list[list[float]], shares: list[float]) -> dict[str, float]:
    ratios = {
        f"p{round(100 * q)}": statistics.median(
            quantile(a, q) / quantile(b, q) for a, b in zip(turns, beside, strict=True)
        )
        for q in (0.5, 0.9, 0.99)
    }
    every = [took for one in turns for took in one]
    return {
        "p50 ms": quantile(every, 0.5),
        "p99 ms": quantile(every, 0.99),
        **{f"{name} beside nobody": ratio for name, ratio in ratios.items()},
        "share of a core": statistics.median(shares),
    }


_LOOKED_AT = """
import sys, threading, time
from framescope.recorder.open_frames import Page
page = Page()
go = threading.Event()
def frame():
    slot = page.slot()
    page.words[slot + 2] = 1
    go.wait()
threads = [threading.Thread(target=frame, daemon=True) for _ in range(int(sys.argv[1]))]
for thread in threads: thread.start()
time.sleep(0.2)
print(page.path, flush=True)
sys.stdin.read()
"""


def in_the_agent(threads: int, seconds: float) -> dict[str, float]:
    """What looking at this many threads in frames costs the one that looks, and how often it gets to."""
    with subprocess.Popen(
        [sys.executable, "-c", _LOOKED_AT, str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        assert host.stdout is not None and host.stdin is not None
        page = host.stdout.readline().strip()
        seen: list[object] = []
        sampler = CallSampler(host.pid, page, interpreter_lock_range(), seen.append)
        cpu, began = time.process_time(), time.perf_counter()
        sampler.start()
        time.sleep(seconds)
        took = time.perf_counter() - began
        share = (time.process_time() - cpu) / took
        sampler.close()
        host.stdin.close()
    return {"share of a core": share, "looks a second": len(seen) / took / max(1, threads)}


def main() -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rounds", type=int, default=12)
    rounds = arguments.parse_args().rounds
    began = time.perf_counter()
    work(200_000)
    per_turn = int(200_000 / (time.perf_counter() - began))
    result: dict[str, Any] = {
        "python": sys.version.split()[0],
        "load": Path("/proc/loadavg").read_text().split()[:3],
        "host": in_the_host(rounds, per_turn),
        "agent": {f"{n} threads": in_the_agent(n, 4.0) for n in (1, 4)},
    }
    for kind, lookers in result["host"].items():
        print(kind)
        for name, told in lookers.items():
            print(f"  {name:24}", "  ".join(f"{what} {value:.3f}" for what, value in told.items()))
    for name, told in result["agent"].items():
        print(f"agent, {name:17}", "  ".join(f"{what} {value:.3f}" for what, value in told.items()))
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    (folder / "waiting.json").write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
