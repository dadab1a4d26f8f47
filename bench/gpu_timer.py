"""What timing a GPU stage costs the frame's own thread, and the shipper's, over a scripted driver.

The driver is a stand-in whose calls do next to nothing, so that these figures are framescope's own part and
ctypes'; a real driver's ``cuEventRecord`` comes on top of it twice a stage. Each figure is the median of
several rounds, every round measuring all candidates in turn, and its ratio to two bare clock reads in the
same round. JSON goes to bench-results/gpu_timer.json.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from framescope.probes.cuda import CudaTimer, EventPairs
from framescope.probes.cuda_driver import Driver
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder

STUB = Path(__file__).parents[1] / "tests" / "unit" / "cuda_stub.c"
STAGES = 100
ROUNDS = 61
READS = "two bare clock reads"


def scripted(folder: str) -> Driver:
    """A driver that answers at once, with a context in use on this thread."""
    path = str(Path(folder) / "libcuda.so.1")
    subprocess.run(["cc", "-O2", "-DQUICK", "-shared", "-fPIC", "-o", path, str(STUB)], check=True)
    driver = Driver(path)
    driver.hot.stub_initialize()
    driver.hot.stub_follow(ctypes.c_int64(0), ctypes.c_double(1.0))
    driver.call("cuCtxCreate_v2", ctypes.byref(ctypes.c_void_p()), 0, 0)
    return driver


def timed(timer: CudaTimer) -> Callable[[], None]:
    def stages() -> None:
        for _ in range(STAGES):
            timer.end(timer.begin())

    return stages


def staged(timer: CudaTimer | None) -> Callable[[], None]:
    recorder = Recorder(0, "bench", faults=Faults())
    stage = recorder.stage("denoise", "gpu", timer)

    def stages() -> None:
        with recorder.begin():
            for _ in range(STAGES):
                with stage:
                    pass
        recorder.take(1)

    return stages


def reads() -> None:
    clock = time.monotonic_ns
    for _ in range(STAGES):
        clock()
        clock()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        driver = scripted(folder)
        stream = ctypes.c_void_p()
        driver.call("cuStreamCreateWithPriority", ctypes.byref(stream), 1, 0)
        pairs = EventPairs(driver)
        losses: dict[str, int] = {}

        def lose(reason: str) -> None:
            losses[reason] = losses.get(reason, 0) + 1

        def calls() -> None:
            ask, status = driver.hot.cuStreamIsCapturing, ctypes.byref(ctypes.c_int())
            for _ in range(STAGES):
                ask(stream, status)
                ask(stream, status)
                ask(stream, status)
                ask(stream, status)

        one = CudaTimer(pairs, stream.value, lose)
        candidates: dict[str, Callable[[], None]] = {
            READS: reads,
            "four bare calls by ctypes": calls,
            "begin and end, a given stream": timed(one),
            "begin and end, the default stream": timed(CudaTimer(pairs, 0, lose)),
            "a stage without a timer": staged(None),
            "a stage with a timer": staged(one),
        }
        costs: dict[str, list[float]] = {name: [] for name in (*candidates, "collecting one pair")}
        for _ in range(ROUNDS):
            for name, work in candidates.items():
                began = time.perf_counter_ns()
                work()
                costs[name].append((time.perf_counter_ns() - began) / STAGES)
                if (began := time.perf_counter_ns()) and (found := len(pairs.collect())):
                    costs["collecting one pair"].append((time.perf_counter_ns() - began) / found)
        assert not losses, losses
    ratios = {
        name: sorted(value / base for value, base in zip(values, costs[READS], strict=False))
        for name, values in costs.items()
    }
    told: dict[str, dict[str, float]] = {
        name: {
            "ns": round(statistics.median(values)),
            "ratio": round(statistics.median(ratios[name]), 1),
            "ratio_lower_quartile": round(ratios[name][len(ratios[name]) // 4], 1),
            "ratio_upper_quartile": round(ratios[name][len(ratios[name]) * 3 // 4], 1),
        }
        for name, values in costs.items()
    }
    for name, figures in told.items():
        low, high = figures["ratio_lower_quartile"], figures["ratio_upper_quartile"]
        print(f"{name:36} {figures['ns']:>6} ns   × {figures['ratio']:>5}   ({low} to {high})")
    target = Path("bench-results")
    target.mkdir(exist_ok=True)
    (target / "gpu_timer.json").write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
