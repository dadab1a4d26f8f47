"""Memory that frames leave behind: ten million of them in accelerated time, and an hour's in a real host.

Usage: python bench/memory.py [--frames 10000000] [--hour 360000]

*Accelerated*: recorder, hand-over and agent in one process on a clock that is set on by hand, 1 000 frames of
eight stages a second, one in a hundred slow; what the agent sends is dropped. Resident memory is read at
every hundredth of the way; growth is the last reading less that at a tenth.
*An hour*: a real host makes as many frames as 100 FPS make in an hour, as fast as its agent takes them, for a
receiver in a process of its own. Growth is counted from the fifteen-thousandth frame.
JSON goes to bench-results/memory.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psutil
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench._receivers import apart  # noqa: E402

from framescope.agent.agent import Agent  # noqa: E402
from framescope.agent.at_hand import LinkAtHand  # noqa: E402
from framescope.agent.settings import AgentSettings  # noqa: E402
from framescope.agent.sink import Nowhere  # noqa: E402
from framescope.probes.gc import CollectionProbe  # noqa: E402
from framescope.recorder.faults import Faults  # noqa: E402
from framescope.recorder.pipeline import Recorder  # noqa: E402
from framescope.recorder.shipper import Shipper  # noqa: E402

MS: Final = 1_000_000
A_SECOND: Final = 1_000
"""Frames of a second of the accelerated clock."""
STAGES: Final = 8
WARM: Final = 15_000
"""Frames until a host holds all it ever will: its outbox was full of them once."""


# --- accelerated ------------------------------------------------------------------------------------------


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 10**12

    def __call__(self) -> int:
        return self.now


class Dropping(Nowhere):
    """An agent's sink that keeps nothing."""

    def __init__(self) -> None:
        self.settled = 0

    def put_metrics(self, data: MetricsData, settled: int) -> None:
        self.settled = settled

    def confirmed(self) -> int:
        return self.settled


class Accelerated:
    """Recorder, hand-over and agent on one clock."""

    def __init__(self) -> None:
        self._clock = Clock()
        self.sink = Dropping()
        nothing = AgentSettings(probe_gpu=False, probe_host=False, probe_pressure=False, probe_cgroup=False)
        self.agent = Agent(self.sink, lambda batch: Resource({}), nothing, clock=self._clock)
        self.faults = Faults(raising=True)
        self.recorder = Recorder(
            0, "memory", 10 * MS, MS, self._clock, lambda: (self._clock.now, 0, 0), faults=self.faults
        )
        self._shipper = Shipper(
            LinkAtHand(self.agent.feed), "memory", CollectionProbe(), self.faults, clock=self._clock
        )
        self._shipper._recorders.append(self.recorder)  # without its thread: it ships when it is told to
        self._stages = [self.recorder.stage(f"s{number}") for number in range(STAGES)]

    def seconds(self, number: int) -> None:
        """So many seconds of frames."""
        clock, begin, stages = self._clock, self.recorder.begin, self._stages
        for _ in range(number):
            for frame in range(A_SECOND):
                late = 12 * MS if frame % 100 == 50 else 0
                with begin():
                    for stage in stages:
                        with stage:
                            clock.now += MS // 10
                    clock.now += late
                clock.now += MS - STAGES * (MS // 10)
                if frame % 100 == 99:
                    self._shipper.ship()
            self.agent.poll(clock.now)
            self.agent.tick(clock.now)


def sampled(frames: int, read: Callable[[], int], samples: int = 100) -> Iterator[int]:
    """What ``read`` says at every hundredth of so many frames."""
    running = Accelerated()
    for _ in range(samples):
        running.seconds(max(1, frames // samples // A_SECOND))
        yield read()
    told = sum(running.recorder.losses.values()), running.sink.settled
    assert told[0] == 0 and told[1] > 0, told


# --- an hour: the host runs as `python bench/memory.py --host N` --------------------------------------------


def host(frames: int) -> None:
    """Make frames as fast as the agent takes them; the report goes to standard output."""
    import framescope

    process = psutil.Process()
    pipeline = framescope.Pipeline("host", target_fps=100, budget_ms=0.4)
    stages = pipeline.stages(*(f"s{number}" for number in range(STAGES)))
    outbox = pipeline._recorder._outbox
    early = 0
    began = time.monotonic()
    for number in range(frames):
        with pipeline.frame():
            for stage in stages:
                with stage:
                    pass
            if number % 100 == 50:
                time.sleep(0.0006)
        if len(outbox) > 300:
            time.sleep(0.05)
        if number == WARM:
            early = process.memory_info().rss
    took = time.monotonic() - began
    late = process.memory_info().rss
    agents = [one.memory_info().rss / 1e6 for one in process.children(recursive=True)]
    lost = dict(pipeline._recorder.losses)
    pipeline.close()
    told = {
        "frames": frames,
        "seconds": took,
        "host_growth_mb": (late - early) / 1e6,
        "agent_rss_mb": sum(agents),
        "lost": lost,
    }
    print(json.dumps(told))


def an_hour(frames: int) -> dict[str, Any]:
    """The report of a host that makes so many frames."""
    with apart("healthy", "host") as receiver:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "PYTHONPATH": str(ROOT / "instrumentation"),
        }
        done = subprocess.run(
            [sys.executable, __file__, "--host", str(frames)],
            env=os.environ | told,
            capture_output=True,
            text=True,
            check=True,
        )
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return report | {"arrived": receiver.count()}


def main() -> int:
    """Measure, print, write; 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--hour", type=int, default=360_000)
    asked = parser.parse_args()
    results: dict[str, Any] = {"python": sys.version.split()[0]}
    if asked.hour:
        told = results["an hour"] = an_hour(asked.hour)
        print(
            f"{told['frames']} frames in {told['seconds']:.0f} s: host {told['host_growth_mb']:+.2f} MB, "
            f"agent {told['agent_rss_mb']:.1f} MB, arrived {told['arrived']}, lost {told['lost']}",
            flush=True,
        )
    if asked.frames:
        process = psutil.Process()
        began = time.monotonic()
        mb = [rss / 1e6 for rss in sampled(asked.frames, lambda: process.memory_info().rss)]
        told = results["accelerated"] = {
            "frames": asked.frames,
            "seconds": time.monotonic() - began,
            "rss_mb": mb,
            "growth_mb": mb[-1] - mb[len(mb) // 10],
        }
        grown = f"{told['growth_mb']:+.2f} MB from {mb[len(mb) // 10]:.1f}"
        print(f"{asked.frames} frames in {told['seconds']:.0f} s: {grown}")
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    (folder / "memory.json").write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--host"]:
        host(int(sys.argv[2]))
    else:
        sys.exit(main())
