"""What a reading of each probe costs, and how far it is off where there is something to hold it against.

Costs are CPU time of the reading thread, each reading after a pause as the agent makes them: code and files
have gone cold since. Errors are of one run beside a reference of its own. JSON goes to
bench-results/probes.json; the table in docs/evidence.md is of one such run.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from framescope.agent.evidence import EvidenceProbes
from framescope.agent.settings import AgentSettings
from framescope.probes import scheduler
from framescope.probes.gc import CollectionProbe
from framescope.probes.host import HostProbe
from framescope.probes.interpreter_lock import there_is_one

READINGS = 60
PAUSE_S = 0.02
HOT = 2_000
ROUNDS = 12


def microseconds(values: list[int]) -> dict[str, float]:
    """Median and p95 of ns values, in µs."""
    ordered = sorted(values)
    return {
        "median_us": round(statistics.median(ordered) / 1e3, 1),
        "p95_us": round(ordered[int(0.95 * (len(ordered) - 1))] / 1e3, 1),
    }


def scheduled() -> dict[str, dict[str, Any]]:
    """Every line of the agent's table."""
    found: dict[str, dict[str, Any]] = {}
    probes = EvidenceProbes(os.getpid(), AgentSettings())
    for line in probes.table:
        cost: list[int] = []
        read = 0
        for _ in range(READINGS):
            time.sleep(max(PAUSE_S, 0.1 if line.name == "pressure" else 0))  # more often it answers nothing
            before = time.thread_time_ns()
            reading = line.read(time.monotonic_ns())
            cost.append(time.thread_time_ns() - before)
            read += bool(reading)
        told = {"every_s": line.every_ns / 1e9, **microseconds(cost), "answers": read > READINGS // 2}
        told["share_of_a_core"] = round(told["median_us"] / 1e6 / told["every_s"], 5)
        found[line.name] = told
    probes.close()
    return found


def in_the_host() -> dict[str, dict[str, Any]]:
    """What is read on the frames' own threads, hot, and a collection's callback."""
    read = scheduler.reader()
    cost: list[int] = []
    for _ in range(ROUNDS):
        before = time.perf_counter_ns()
        for _ in range(HOT):
            read()
        cost.append((time.perf_counter_ns() - before) // HOT)
    probe = CollectionProbe()
    plain: list[int] = []
    told: list[int] = []
    for _ in range(ROUNDS):
        for into, listening in ((plain, False), (told, True)):
            if listening:
                probe.install()
            before = time.perf_counter_ns()
            for _ in range(HOT):
                gc.collect(0)
            into.append((time.perf_counter_ns() - before) // HOT)
            probe.remove()
    extra = [max(0, after - before) for before, after in zip(plain, told, strict=True)]
    return {"scheduler": microseconds(cost), "collections": microseconds(extra)}


@contextmanager
def busy(threads: int) -> Iterator[None]:
    """Busy processes beside this one."""
    import subprocess

    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(threads)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def run_queue_error() -> dict[str, float]:
    """A thread that only computes waits for a core whenever it does not run: wall − CPU is the truth."""
    read = scheduler.reader()
    truth, errors = 0, []
    with busy(2 * (os.cpu_count() or 1)):
        for _ in range(100):
            wall, (cpu, queued, _) = time.monotonic_ns(), read()
            until = cpu + 3_000_000
            while time.thread_time_ns() < until:
                pass
            after = read()
            waited = time.monotonic_ns() - wall - (after[0] - cpu)
            truth += waited
            errors.append(after[1] - queued - waited)
    return {
        "truth_ms_a_section": round(truth / 100 / 1e6, 3),
        "mean_error_ms": round(statistics.fmean(errors) / 1e6, 4),
        "worst_error_ms": round(max(map(abs, errors)) / 1e6, 3),
    }


def collection_error() -> dict[str, float]:
    """A collection's length by the probe against the clock around it."""
    probe = CollectionProbe()
    heap = [[number] for number in range(100_000)]
    probe.install()
    around = []
    for _ in range(ROUNDS):
        before = time.monotonic_ns()
        gc.collect()
        around.append(time.monotonic_ns() - before)
    probe.remove()
    told = [end - start for generation, _, start, end in probe.collect() or () if generation == 2]
    missing = [truth - seen for truth, seen in zip(around, told, strict=True)]
    return {
        "truth_ms": round(statistics.median(around) / 1e6, 3),
        "objects": len(heap),
        "missing_us": round(statistics.median(missing) / 1e3, 1),
    }


def process_cpu_error() -> dict[str, float]:
    """The host process's share of the machine against the process's own clock, a second each."""
    probe = HostProbe(os.getpid())
    off: list[float] = []
    probe.read(time.monotonic_ns())
    for load in (0.0, 0.25, 0.5):
        began, used = time.monotonic_ns(), time.process_time_ns()
        while time.monotonic_ns() - began < 1_000_000_000:
            until = time.process_time_ns() + round(load * 10_000_000)
            while time.process_time_ns() < until:
                pass
            time.sleep(0.01 * (1 - load))
        now = time.monotonic_ns()
        reading = probe.read(now)
        truth = (time.process_time_ns() - used) / (now - began) / (os.cpu_count() or 1)
        if reading.process_cpu is not None:
            off.append(abs(reading.process_cpu - truth))
    return {"worst_error": round(max(off), 4)}


def every_probe_on() -> dict[str, float]:
    """The agent's reading thread with all of its probes, and one handover a turn, as a share of a core."""
    from framescope.agent.totals import Totals

    probes, totals = EvidenceProbes(os.getpid(), AgentSettings()), Totals()
    probes.read(time.monotonic_ns(), totals)
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < 6:
        time.sleep(0.1)
        probes.read(time.monotonic_ns(), totals)
        probes.take_points()
    share = (time.process_time() - used) / (time.monotonic() - began)
    probes.close()
    return {"share_of_a_core": round(share, 5), "threads": float(threading.active_count())}


def main() -> None:
    load_before = os.getloadavg()[0]
    steps: dict[str, Callable[[], Any]] = {
        "agent": scheduled,
        "host": in_the_host,
        "all_together": every_probe_on,
        "run_queue": run_queue_error,
        "collections": collection_error,
        "process_cpu": process_cpu_error,
    }
    told: dict[str, Any] = {
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
        "load_average_before": round(load_before, 2),
        "interpreter_lock": there_is_one(),
    }
    for name, step in steps.items():
        told[name] = step()
        print(name, json.dumps(told[name], indent=2))
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    (folder / "probes.json").write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
