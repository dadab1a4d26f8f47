"""How much later a host's slowest frames end because they are recorded, whatever the receiver does.

Usage: python bench/host_frame.py [--frames 100000] [--fps 0] [--only MANNER…]

Without --fps the frames follow each other without a pause, some 3 000 a second: the hardest case. With it
they begin at that pace.

Two hosts do the same small work, one recording and one switched off, in turns of half a second; while one
works, the other *and its agent* are stopped (SIGSTOP). So noise of the machine falls on both alike, and all
that framescope does anywhere, in the host, in its shipper or in the agent on a core of its own, is done
while the recording host works and falls on none of the other's frames. Which host goes first in a pair of
turns is drawn by a seeded coin. The first frames after a stop run with cold caches in both and are left out.

The shift is p99.9 of the recorded frames less p99.9 of the others, all turns pooled; its upper 95 % bound is
the 95th percentile of the shifts of 2 000 bootstrap samples that draw pairs of turns with replacement.
Where other work shares the machine, its preemptions make p99.9 by themselves. So the same is told of the
frames' time less the time their thread was ready and did not run, by the kernel's run-queue reading: it
holds everything that framescope does to the frame's thread and to the interpreter lock, and leaves out who
else got a core meanwhile, the agent included.
JSON goes to bench-results/host_frame.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import psutil

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench._receivers import Manner, apart  # noqa: E402

MANNERS: Final[tuple[Manner, ...]] = ("healthy", "dead", "slow", "resetting", "refusing")
TURN: Final = 1600
"""Frames of a turn: half a second."""
COLD: Final = 25
SAMPLES: Final = 2000
BAR_MS: Final = 0.5
STAGES: Final = 8
BUDGET_MS: Final = 1.0
"""Some frames are over it, so that there is something to judge, keep and send."""


# --- a host: runs as `python bench/host_frame.py --host on|off` ---------------------------------------------


def host(recorded: bool, fps: float) -> None:
    """A turn of frames for every byte on standard input. Their durations, ns, go to standard output, and then
    the same less the time the thread was ready and did not run."""
    import framescope
    from framescope.probes.scheduler import reader

    pipeline = framescope.Pipeline("host", target_fps=3000, budget_ms=BUDGET_MS, enabled=recorded)
    stages = pipeline.stages(*(f"s{number}" for number in range(STAGES)))
    image = np.random.default_rng(1).random((64, 64), dtype=np.float32)
    clock, read = time.perf_counter_ns, reader()
    while sys.stdin.buffer.read(1):
        took, ran = array("q"), array("q")
        ready = read()[1]
        due = clock()
        for _ in range(TURN + COLD):
            if fps:
                due += round(1e9 / fps)
                time.sleep(max(0.0, (due - clock()) / 1e9))
                ready = read()[1]
            began = clock()
            with pipeline.frame():
                for stage in stages:
                    with stage:
                        # Numpy, which lets go of the interpreter lock, and Python: 0.25 ms a frame in all.
                        image = np.sqrt(image * image + 1e-6)
                        sum(range(2000))
            took.append(clock() - began)
            before, ready = ready, read()[1]
            ran.append(took[-1] - (ready - before))
        sys.stdout.buffer.write(took[COLD:].tobytes() + ran[COLD:].tobytes())
        sys.stdout.buffer.flush()


# --- the two of them in turns -------------------------------------------------------------------------------


class Host:
    """One host and whatever processes it started, stopped except in its turns."""

    def __init__(self, recorded: bool, url: str, fps: float) -> None:
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "PYTHONPATH": str(ROOT / "instrumentation")}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--host", "on" if recorded else "off", str(fps)],
            env=os.environ | told | {"OPENBLAS_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._orders: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout

    def turn(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Frames' durations, ns, in the first row; in the second less the time their thread had no core."""
        self._signal(signal.SIGCONT)
        self._orders.write(b"t")
        self._orders.flush()
        told = self._answers.read(2 * TURN * 8)
        self._signal(signal.SIGSTOP)
        return np.frombuffer(told, dtype=np.int64).reshape(2, TURN)

    def _signal(self, number: int) -> None:
        tree = psutil.Process(self._process.pid)
        for one in (tree, *tree.children(recursive=True)):
            one.send_signal(number)

    def agent_mb(self) -> float:
        """Memory of the processes it started, MB."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        return float(sum(one.memory_info().rss for one in children) / 1e6)

    def end(self) -> None:
        """Let it go on to its end."""
        self._signal(signal.SIGCONT)
        self._orders.close()
        self._process.wait(30)


@contextlib.contextmanager
def both(url: str, fps: float) -> Iterator[dict[bool, Host]]:
    """A host that records and one that does not, warmed up and stopped."""
    hosts = {recorded: Host(recorded, url, fps) for recorded in (True, False)}
    try:
        for one in hosts.values():
            one.turn()
        yield hosts
    finally:
        for one in hosts.values():
            one.end()


def measure(manner: Manner, frames: int, fps: float) -> dict[str, Any]:
    """One manner of receiver: quantiles in ms, the shift of p99.9 and its bound."""
    coin = random.Random(20261122)
    took: dict[bool, list[np.ndarray[Any, np.dtype[np.int64]]]] = {True: [], False: []}
    with apart(manner, "host") as receiver, both(receiver.url, fps) as hosts:
        for _ in range(-(-frames // TURN)):
            first = coin.random() < 0.5
            for recorded in (first, not first):
                took[recorded].append(hosts[recorded].turn())
        agent_mb = hosts[True].agent_mb()
    on, off = np.stack(took[True], 1) / 1e6, np.stack(took[False], 1) / 1e6
    return {
        "frames": on[0].size,
        "pairs": len(on[0]),
        "agent_rss_mb": agent_mb,
        **compared(on[0], off[0]),
        "without_waiting_for_a_core": compared(on[1], off[1]),
    }


Turns = np.ndarray[Any, np.dtype[np.float64]]


def compared(on: Turns, off: Turns) -> dict[str, Any]:
    """One kind of duration with recording and without."""
    return {
        "on_ms": quantiles(on),
        "off_ms": quantiles(off),
        "p99_9_shift_ms": shift(on, off),
        "p99_9_shift_upper_95_ms": upper_bound(on, off),
    }


def quantiles(turns: Turns) -> dict[str, float]:
    """Median, p99 and p99.9."""
    return {f"p{100 * q:g}": float(np.quantile(turns, q)) for q in (0.5, 0.99, 0.999)}


def shift(on: Turns, off: Turns) -> float:
    """p99.9 of one less that of the other."""
    return float(np.quantile(on, 0.999) - np.quantile(off, 0.999))


def upper_bound(on: Turns, off: Turns) -> float:
    """Upper 95 % bound of the shift, by bootstrap over pairs of turns."""
    draw = np.random.default_rng(20261122)
    drawn = (draw.integers(0, len(on), len(on)) for _ in range(SAMPLES))
    return float(np.quantile([shift(on[pairs], off[pairs]) for pairs in drawn], 0.95))


def main() -> int:
    """Run every case, print, write; 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--fps", type=float, default=0.0)
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    results: dict[str, Any] = {
        "fps": asked.fps,
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "bar_ms": BAR_MS,
    }
    heads = ("median on", "off", "p99 on", "off", "p99.9 on", "off", "shift", "bound")
    print(f"{'ms':24}" + "".join(f"{head:>10}" for head in heads))
    for manner in MANNERS:
        if asked.only and manner not in asked.only:
            continue
        told = results[manner] = measure(manner, asked.frames, asked.fps)
        for name, one in ((manner, told), ("  while it had a core", told["without_waiting_for_a_core"])):
            tails = [side[q] for q in ("p50", "p99", "p99.9") for side in (one["on_ms"], one["off_ms"])]
            figures = (*tails, one["p99_9_shift_ms"], one["p99_9_shift_upper_95_ms"])
            print(f"{name:24}" + "".join(f"{figure:10.3f}" for figure in figures), flush=True)
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    (folder / "host_frame.json").write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--host"]:
        host(sys.argv[2] == "on", float(sys.argv[3]))
    else:
        sys.exit(main())
