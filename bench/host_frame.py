"""How much later a host's slowest frames end because they are recorded, whatever the receiver does.

Usage: python bench/host_frame.py [--frames 100000] [--only MANNER…]

Two hosts do the same small work, one recording and one switched off, in turns of half a second; while one
works, the other *and its agent* are stopped (SIGSTOP). So noise of the machine falls on both alike, and all
that framescope does anywhere, in the host, in its shipper or in the agent on a core of its own, is done
while the recording host works and falls on none of the other's frames. Which host goes first in a pair of
turns is drawn by a seeded coin. The first frames after a stop run with cold caches in both and are left out.

The shift is p99.9 of the recorded frames less p99.9 of the others, all turns pooled; its upper 95 % bound is
the 95th percentile of the shifts of 2 000 bootstrap samples that draw pairs of turns with replacement.
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


def host(recorded: bool) -> None:
    """A turn of frames for every byte on standard input; their durations, ns, go to standard output."""
    import framescope

    pipeline = framescope.Pipeline("host", target_fps=3000, budget_ms=BUDGET_MS, enabled=recorded)
    stages = pipeline.stages(*(f"s{number}" for number in range(STAGES)))
    image = np.random.default_rng(1).random((64, 64), dtype=np.float32)
    clock = time.perf_counter_ns
    while sys.stdin.buffer.read(1):
        took = array("q")
        for _ in range(TURN + COLD):
            began = clock()
            with pipeline.frame():
                for stage in stages:
                    with stage:
                        # Numpy, which lets go of the interpreter lock, and Python: 0.25 ms a frame in all.
                        image = np.sqrt(image * image + 1e-6)
                        sum(range(2000))
            took.append(clock() - began)
        sys.stdout.buffer.write(took[COLD:].tobytes())
        sys.stdout.buffer.flush()


# --- the two of them in turns -------------------------------------------------------------------------------


class Host:
    """One host and whatever processes it started, stopped except in its turns."""

    def __init__(self, recorded: bool, url: str) -> None:
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "PYTHONPATH": str(ROOT / "instrumentation")}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--host", "on" if recorded else "off"],
            env=os.environ | told | {"OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._orders: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout

    def turn(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Frames' durations, ns."""
        self._signal(signal.SIGCONT)
        self._orders.write(b"t")
        self._orders.flush()
        told = self._answers.read(TURN * 8)
        self._signal(signal.SIGSTOP)
        return np.frombuffer(told, dtype=np.int64)

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
def both(url: str) -> Iterator[dict[bool, Host]]:
    """A host that records and one that does not, warmed up and stopped."""
    hosts = {recorded: Host(recorded, url) for recorded in (True, False)}
    try:
        for one in hosts.values():
            one.turn()
        yield hosts
    finally:
        for one in hosts.values():
            one.end()


def measure(manner: Manner, frames: int) -> dict[str, Any]:
    """One manner of receiver: quantiles in ms, the shift of p99.9 and its bound."""
    coin = random.Random(20261122)
    took: dict[bool, list[np.ndarray[Any, np.dtype[np.int64]]]] = {True: [], False: []}
    with apart(manner, "host") as receiver, both(receiver.url) as hosts:
        for _ in range(-(-frames // TURN)):
            first = coin.random() < 0.5
            for recorded in (first, not first):
                took[recorded].append(hosts[recorded].turn())
        agent_mb = hosts[True].agent_mb()
    on, off = np.stack(took[True]) / 1e6, np.stack(took[False]) / 1e6
    return {
        "frames": on.size,
        "pairs": len(on),
        "on_ms": quantiles(on),
        "off_ms": quantiles(off),
        "p99_9_shift_ms": shift(on, off),
        "p99_9_shift_upper_95_ms": upper_bound(on, off),
        "agent_rss_mb": agent_mb,
    }


Turns = np.ndarray[Any, np.dtype[np.float64]]


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
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    results: dict[str, Any] = {
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "bar_ms": BAR_MS,
    }
    print(f"{'receiver':12} {'median on':>10} {'off':>7} {'p99 on':>8} {'off':>7} {'p99.9 on':>9} {'off':>7} "
          f"{'shift':>7} {'bound':>7}  ms")  # fmt: skip
    for manner in MANNERS:
        if asked.only and manner not in asked.only:
            continue
        told = results[manner] = measure(manner, asked.frames)
        on, off = told["on_ms"], told["off_ms"]
        print(
            f"{manner:12} {on['p50']:10.3f} {off['p50']:7.3f} {on['p99']:8.3f} {off['p99']:7.3f} "
            f"{on['p99.9']:9.3f} {off['p99.9']:7.3f} {told['p99_9_shift_ms']:+7.3f} "
            f"{told['p99_9_shift_upper_95_ms']:+7.3f}",
            flush=True,
        )
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    (folder / "host_frame.json").write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--host"]:
        host(sys.argv[2] == "on")
    else:
        sys.exit(main())
