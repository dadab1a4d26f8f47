"""A small traced program for tests: frames on a fixed schedule, and what they cost it, as it sees it.

It measures itself with its own clock: of each frame the time that was not slept, that is what framescope
(and the machine) took of it. JSON goes to ``--report`` when it ends.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import framescope

FPS = 100
BUDGET_S = 0.008
QUICK_S, SLOW_S = 0.001, 0.0095


def main() -> None:
    """Run for a while, then write the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--slow-every", type=int, required=True)
    parser.add_argument("--stages", type=int, default=3)
    parser.add_argument("--report", type=Path, required=True)
    told = parser.parse_args()

    pipeline = framescope.Pipeline("rig", target_fps=FPS, budget_ms=BUDGET_S * 1000)
    stages = pipeline.stages(*(f"stage-{number}" for number in range(told.stages)))
    costs: list[tuple[float, float]] = []
    planned: list[int] = []
    began, number = time.monotonic(), 0
    while time.monotonic() - began < told.seconds:
        slow = number % told.slow_every == told.slow_every - 1
        if slow:
            planned.append(number)
        share = (SLOW_S if slow else QUICK_S) / told.stages
        slept, at, entered = 0.0, time.time(), time.perf_counter()
        with pipeline.frame():
            for stage in stages:
                with stage:
                    before = time.perf_counter()
                    time.sleep(share)
                    slept += time.perf_counter() - before
        costs.append((at, time.perf_counter() - entered - slept))
        number += 1
        time.sleep(max(0.0, began + number / FPS - time.monotonic()))
    closing = time.monotonic()
    pipeline.close()
    report = {
        "frames": number,
        "planned": planned,
        "costs": costs,
        "seconds": time.monotonic() - began,
        "close_seconds": time.monotonic() - closing,
    }
    told.report.write_text(json.dumps(report))


if __name__ == "__main__":
    main()
