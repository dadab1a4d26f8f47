"""Event pairs and the canary on a real GPU: are times what was asked, are places right, what do they cost.

Figures go to bench-results/gpu.json. Kernels spin for a known time by the device's own clock.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from ctypes import byref, c_int, c_void_p
from typing import Any

import pynvml
import pytest
from burst import Burst

from framescope.probes.cuda import CudaTimer, EventPairs
from framescope.probes.cuda_driver import CudaError, Driver
from framescope.probes.device import NOT_TIMED, GpuWork

MS = 1_000_000
US = 1_000


class Scene:
    """The driver, a timer of the default stream, and what it counted as lost."""

    def __init__(self, burst: Burst) -> None:
        self.burst = burst
        self.driver = Driver()
        self.pairs = EventPairs(self.driver)
        self.lost: Counter[str] = Counter()
        self.timer = self.timer_of(0)

    def timer_of(self, stream: int | None) -> CudaTimer:
        return CudaTimer(self.pairs, stream or 0, lambda reason: self.lost.update([reason]))

    def spin(self, ns: int) -> int:
        token = self.timer.begin()
        self.burst._launch(ns)
        self.timer.end(token)
        return token

    def wait(self) -> None:
        self.driver.call("cuCtxSynchronize")


@pytest.fixture
def scene(burst: Burst) -> Iterator[Scene]:
    made = Scene(burst)
    yield made
    made.wait()


def test_the_time_of_a_kernel_is_what_it_spun(scene: Scene, figures: dict[str, Any]) -> None:
    over = []
    for ns in (MS, 2 * MS, 5 * MS) * 10:
        scene.spin(ns)
        scene.wait()
        (work,) = scene.timer.collect()
        took = work.end_ns - work.start_ns
        assert took >= 0.99 * ns - 2 * US
        over.append(took - ns)
    figures["cuda_pair_beyond_kernel_us"] = round(statistics.median(over) / US, 1)
    assert not scene.lost


def test_work_lies_where_the_host_saw_it(scene: Scene, figures: dict[str, Any]) -> None:
    errors = []
    for _ in range(50):
        before = time.monotonic_ns()
        scene.spin(2 * MS)
        scene.wait()
        after = time.monotonic_ns()
        time.sleep(0.02)
        (work,) = scene.timer.collect()
        assert work.clock_error_ns is not None
        assert before - work.clock_error_ns <= work.start_ns
        assert work.end_ns <= after + work.clock_error_ns
        errors.append(work.clock_error_ns)
    figures["cuda_clock_error_us"] = {
        "median": round(statistics.median(errors) / US, 1),
        "max": round(max(errors) / US, 1),
    }


def test_the_device_is_the_one_nvml_knows(scene: Scene) -> None:
    scene.spin(MS)
    scene.wait()
    (work,) = scene.timer.collect()
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    known = {str(pynvml.nvmlDeviceGetUUID(handle))}
    try:
        for slot in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            known.add(str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot))))
    except pynvml.NVMLError:
        pass  # no slices
    pynvml.nvmlShutdown()
    assert work.device in known


def test_what_it_costs(scene: Scene, figures: dict[str, Any]) -> None:
    costs, reads, collecting = [], [], []
    for _ in range(200):
        began = time.perf_counter_ns()
        for _ in range(10):
            scene.timer.end(scene.timer.begin())
        costs.append((time.perf_counter_ns() - began) / 10)
        began = time.perf_counter_ns()
        for _ in range(10):
            time.monotonic_ns()
            time.monotonic_ns()
        reads.append((time.perf_counter_ns() - began) / 10)
        scene.wait()
        began = time.perf_counter_ns()
        found = len(scene.timer.collect())
        collecting.append((time.perf_counter_ns() - began) / found)
    figures["cuda_begin_and_end_ns"] = round(statistics.median(costs))
    figures["cuda_begin_and_end_by_two_clock_reads"] = round(
        statistics.median(costs) / statistics.median(reads), 1
    )
    figures["cuda_collecting_a_pair_ns"] = round(statistics.median(collecting))
    assert not scene.lost


def test_how_far_the_clocks_drift_apart(scene: Scene, figures: dict[str, Any]) -> None:
    """``DRIFT`` assumes at most 100 parts in a million."""
    first = _placed(scene)
    time.sleep(5)
    last = _placed(scene)
    host = last[0] - first[0]
    elapsed = ctypes.c_float()
    scene.driver.call("cuEventElapsedTime", byref(elapsed), first[1], last[1])
    drift = abs(elapsed.value * 1e6 - host) / host
    doubt = (first[2] + last[2]) / host
    figures["cuda_drift_parts_in_a_million"] = {
        "seen": round(drift * 1e6, 1), "doubt": round(doubt * 1e6, 1)
    }  # fmt: skip
    assert drift <= 1e-4 + doubt


def _placed(scene: Scene) -> tuple[int, c_void_p, int]:
    """An event between two looks at the host's clock: their middle, the event, their distance."""
    best: tuple[int, c_void_p, int] | None = None
    for _ in range(20):
        event = c_void_p()
        scene.driver.call("cuEventCreate", byref(event), 0)
        scene.wait()
        low = time.monotonic_ns()
        scene.driver.call("cuEventRecord", event, None)
        while scene.driver.hot.cuEventQuery(event):
            pass
        high = time.monotonic_ns()
        if best is None or high - low < best[2]:
            best = ((low + high) // 2, event, high - low)
    assert best is not None
    return best


def test_a_graph_is_captured_untouched(scene: Scene) -> None:
    stream, graph = c_void_p(), c_void_p()
    scene.driver.call("cuStreamCreate", byref(stream), 1)
    timer = scene.timer_of(stream.value)
    scene.spin(5 * MS)
    scene.driver.call("cuStreamBeginCapture_v2", stream, c_int(0))
    assert timer.begin() == NOT_TIMED
    scene.pairs.collect()
    scene.driver.call("cuStreamEndCapture", stream, byref(graph))  # raises where it was broken
    nodes = ctypes.c_size_t(99)
    scene.driver.call("cuGraphGetNodes", graph, None, byref(nodes))
    assert nodes.value == 0
    assert scene.lost["gpu_capturing"] == 1


def test_a_stream_is_found_by_its_context(scene: Scene) -> None:
    stream = c_void_p()
    scene.driver.call("cuStreamCreate", byref(stream), 1)
    timer = scene.timer_of(stream.value)
    token = timer.begin()
    timer.end(token)
    scene.wait()
    assert [work.token for work in timer.collect()] == [token]


def test_a_context_that_is_destroyed_takes_its_work_along(scene: Scene) -> None:
    context, device = c_void_p(), c_int()
    scene.driver.call("cuDeviceGet", byref(device), 0)
    try:
        scene.driver.call("cuCtxCreate_v2", byref(context), 0, device)
    except (CudaError, AttributeError):
        pytest.skip("this driver makes no context this way")
    token = scene.timer.begin()
    scene.timer.end(token)
    scene.driver.call("cuCtxDestroy_v2", context)
    assert scene.timer.collect() == [GpuWork.lost(token)]
    assert scene.lost["gpu_context_gone"] == 1


def test_the_canary_runs_and_waits_for_nothing_on_a_free_device(
    scene: Scene, figures: dict[str, Any]
) -> None:
    scene.pairs.with_canary = True
    for _ in range(30):
        scene.spin(100 * US)
        time.sleep(0.1)
        scene.timer.collect()
    readings = scene.pairs.take_canaries()
    assert len(readings) > 20
    figures["cuda_canary_delay_us"] = {
        "median": round(statistics.median(r.delay_ns for r in readings) / US, 1),
        "max": round(max(r.delay_ns for r in readings) / US, 1),
    }


def test_a_forked_child_is_not_timed_and_does_not_crash(scene: Scene) -> None:
    token = scene.timer.begin()
    pid = os.fork()
    if pid == 0:
        scene.pairs.forget()  # what the pipeline does after a fork
        os._exit(0 if scene.timer.begin() == NOT_TIMED and scene.timer.collect() == [] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    scene.timer.end(token)
