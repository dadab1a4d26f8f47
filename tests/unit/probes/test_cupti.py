"""Bursts of CUPTI over a stand-in for ``cupti.cupti``, by the signatures and records of cupti-python 13.4.

The stand-in keeps the interface's rules as its reference tells them: labels are a stack of each thread and
kind, records come only for kinds that are on, through the registered callback, when they are flushed.
"""

from __future__ import annotations

import ctypes
import enum
import sys
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_cuda import ScriptedCuda

from framescope.probes import cuda
from framescope.probes.cuda import CudaTimer, EventPairs
from framescope.probes.cupti import BURST_NS, EVERY_NS, LATE_NS, Activity, Bursts, Parts, parts_of
from framescope.probes.device import GpuWork

MS = 1_000_000


class Cupti:
    """The module, as far as it is used."""

    class ActivityKind(enum.IntEnum):
        MEMCPY = 1
        MEMSET = 2
        KERNEL = 3
        CONCURRENT_KERNEL = 10
        MEMCPY2 = 22
        EXTERNAL_CORRELATION = 39

    class ExternalCorrelationKind(enum.IntEnum):
        CUSTOM0 = 3

    class cuptiError(Exception): ...

    def __init__(self) -> None:
        self.enabled: set[int] = set()
        self.labels: dict[tuple[int, int], list[int]] = {}
        self.records: list[Any] = []
        self.latency = False
        self.dropped = 0
        self.callbacks: Any = None
        self.correlation = 100
        self.fail: str | None = None

    def _call(self, name: str) -> None:
        if self.fail == name:
            raise Cupti.cuptiError(f"{name}: MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED")

    def activity_register_callbacks(self, func_buffer_requested, func_buffer_completed) -> None:
        self._call("activity_register_callbacks")
        size, most = func_buffer_requested()
        assert size > 0 and most == 0
        self.callbacks = func_buffer_completed

    def activity_enable(self, kind: int) -> None:
        self._call("activity_enable")
        self.enabled.add(int(kind))

    def activity_disable(self, kind: int) -> None:
        self.enabled.discard(int(kind))

    def activity_enable_latency_timestamps(self, enable: int) -> None:
        self.latency = bool(enable)

    def activity_push_external_correlation_id(self, kind: int, id: int) -> None:
        self._call("activity_push_external_correlation_id")
        self.labels.setdefault((threading.get_ident(), int(kind)), []).append(id)

    def activity_pop_external_correlation_id(self, kind: int) -> int:
        return self.labels[threading.get_ident(), int(kind)].pop()

    def activity_flush_all(self, flag: int) -> None:
        assert flag == 1
        records, self.records = self.records, []
        worker = threading.Thread(target=self.callbacks, args=(records,))  # CUPTI calls from its own
        worker.start()
        worker.join()

    def activity_get_num_dropped_records(self, context: int, stream_id: int, dropped: int) -> None:
        ctypes.c_size_t.from_address(dropped).value = self.dropped

    # -- the script

    def launch(self, kind: Cupti.ActivityKind, queued: int, start: int, end: int) -> None:
        """A kernel or copy that the calling thread launches."""
        self.correlation += 1
        for (thread, label), ids in self.labels.items():
            if thread == threading.get_ident() and ids and 39 in self.enabled:
                self.records.append(
                    SimpleNamespace(
                        kind=39, external_kind=label, external_id=ids[-1], correlation_id=self.correlation
                    )
                )
        if int(kind) in self.enabled:
            told = SimpleNamespace(kind=int(kind), start=start, end=end, correlation_id=self.correlation)
            if kind == self.ActivityKind.CONCURRENT_KERNEL:
                told.queued, told.submitted = (queued, queued) if self.latency else (0, 0)
            self.records.append(told)


KERNEL, COPY = Cupti.ActivityKind.CONCURRENT_KERNEL, Cupti.ActivityKind.MEMCPY


class Scene:
    def __init__(self) -> None:
        self.now = 10**12
        self.cupti = Cupti()
        self.lost: Counter[str] = Counter()
        self.bursts = Bursts(self.cupti, lambda: self.now, lambda reason: self.lost.update([reason]))
        self.tokens = iter(range(1, 10_000))

    def stage(self, *launches: tuple[Cupti.ActivityKind, int, int, int]) -> GpuWork:
        """A stage whose launches are (kind, put in line, began, ended), in ms; its event pair is complete."""
        token = next(self.tokens)
        self.bursts.enter(token)
        for kind, queued, start, end in launches:
            self.cupti.launch(kind, queued * MS, start * MS, end * MS)
        self.bursts.leave(token)
        return GpuWork(token, "GPU-1", self.now, self.now + 5 * MS, clock_error_ns=10)

    def over(self) -> list[GpuWork]:
        """Let the burst end; what is told then."""
        self.now += BURST_NS
        self.bursts.complete([])
        self.now += LATE_NS
        return self.bursts.complete([])


@pytest.fixture
def scene() -> Scene:
    return Scene()


# -- what the records say -----------------------------------------------------------------------------------


def test_kernels_copies_and_waiting_are_told_apart() -> None:
    work = [
        Activity(False, 0, 10, 14),  # a copy
        Activity(True, 12, 20, 30),  # a kernel, in line since 12
        Activity(True, 13, 25, 40),  # another beside it
        Activity(False, 0, 38, 45),  # a copy, partly beside a kernel
    ]
    assert parts_of(work) == Parts(busy_ns=20, transfer_ns=4 + 5, wait_ns=20 - 14)


def test_without_times_of_queueing_waiting_is_unknown_and_not_0() -> None:
    assert parts_of([Activity(True, 0, 10, 20)]) == Parts(10, 0, None)


def launched(kernel: bool, queued: int, wait: int, took: int) -> Activity:
    return Activity(kernel, queued if kernel else 0, queued + wait, queued + wait + took)


lengths = st.integers(0, 300)
intervals = st.lists(
    st.builds(launched, st.booleans(), st.integers(1, 1000), lengths, lengths), min_size=1, max_size=12
)


@given(intervals)
def test_each_nanosecond_is_in_one_part(work: list[Activity]) -> None:
    """Against counting them one by one."""
    kernels, ran, in_line = set(), set(), set()
    for one in work:
        run = range(one.start_ns, one.end_ns)
        ran.update(run)
        if one.is_kernel:
            kernels.update(run)
        in_line.update(range(one.queued_ns or one.start_ns, one.end_ns))
    parts = parts_of(work)
    assert parts.busy_ns == len(kernels)
    assert parts.transfer_ns == len(ran - kernels)
    if any(one.queued_ns for one in work):
        assert parts.wait_ns == len(in_line - ran)
    else:
        assert parts.wait_ns is None


@given(intervals, st.randoms())
def test_the_order_of_records_does_not_matter(work: list[Activity], random: Any) -> None:
    shuffled = list(work)
    random.shuffle(shuffled)
    assert parts_of(shuffled) == parts_of(work)


# -- a burst ------------------------------------------------------------------------------------------------


def test_in_a_burst_a_stage_s_work_has_its_parts(scene: Scene) -> None:
    scene.bursts.complete([])  # it begins
    work = scene.stage((COPY, 0, 1, 2), (KERNEL, 1, 4, 7))
    assert scene.bursts.complete([work]) == []  # held until the burst is over
    (told,) = scene.over()
    assert told == work._replace(busy_ns=3 * MS, transfer_ns=1 * MS, wait_ns=2 * MS)
    assert told.throttle_ns is None
    assert scene.cupti.enabled == set() and not scene.cupti.latency


def test_what_other_stages_and_threads_launch_is_not_mixed_in(scene: Scene) -> None:
    scene.bursts.complete([])
    first = scene.stage((KERNEL, 1, 2, 4))
    scene.cupti.launch(KERNEL, 3 * MS, 5 * MS, 90 * MS)  # outside of any stage
    elsewhere = threading.Thread(target=scene.cupti.launch, args=(KERNEL, 1 * MS, 1 * MS, 80 * MS))
    token = next(scene.tokens)
    scene.bursts.enter(token)
    elsewhere.start()
    elsewhere.join()
    scene.cupti.launch(KERNEL, 6 * MS, 6 * MS, 7 * MS)
    scene.bursts.leave(token)
    second = first._replace(token=token)
    scene.bursts.complete([first, second])
    assert [(work.busy_ns, work.wait_ns) for work in scene.over()] == [(2 * MS, MS), (MS, 0)]


def test_one_second_a_minute(scene: Scene) -> None:
    on = 0
    for _ in range(10 * 60 * 5):
        scene.bursts.complete([])
        on += scene.bursts.on
        scene.now += 100 * MS
    assert on == pytest.approx(5 * BURST_NS / (100 * MS), abs=5)
    assert EVERY_NS == 60 * 10**9


def test_outside_a_burst_nothing_is_labelled_and_nothing_held(scene: Scene) -> None:
    scene.bursts.complete([])
    scene.stage((KERNEL, 1, 2, 3))
    scene.over()
    work = scene.stage((KERNEL, 1, 2, 3))
    assert scene.bursts.complete([work]) == [work]
    assert not scene.cupti.records
    assert not any(scene.cupti.labels.values())


def test_a_stage_that_was_open_as_the_burst_ended_has_its_pair_alone(scene: Scene) -> None:
    scene.bursts.complete([])
    token = next(scene.tokens)
    scene.bursts.enter(token)
    scene.cupti.launch(KERNEL, 1, 2, 3)
    scene.now += BURST_NS
    scene.bursts.complete([])
    scene.cupti.launch(KERNEL, 4, 5, 60 * MS)  # of this stage, and not recorded
    scene.bursts.leave(token)
    work = GpuWork(token, "GPU-1", scene.now, scene.now + 1)
    scene.bursts.complete([work])
    scene.now += LATE_NS
    assert scene.bursts.complete([]) == [work]
    assert not any(scene.cupti.labels.values())


def test_work_that_went_on_after_the_burst_has_its_pair_alone(scene: Scene) -> None:
    scene.bursts.complete([])
    work = scene.stage((KERNEL, 1, 2, 3))
    work = work._replace(end_ns=work.end_ns + 2 * BURST_NS)  # not all of its kernels were recorded
    scene.bursts.complete([work])
    assert scene.over() == [work]


def test_records_that_were_dropped_make_no_burst_of_it(scene: Scene) -> None:
    scene.bursts.complete([])
    work = scene.stage((KERNEL, 1, 2, 3))
    scene.bursts.complete([work])
    scene.cupti.dropped = 1
    assert scene.over() == [work]
    assert scene.lost == {"gpu_burst_dropped": 1}


@pytest.mark.parametrize("call", ["activity_register_callbacks", "activity_enable"])
def test_where_another_profiler_has_it_frames_are_timed_all_the_same(
    scene: Scene, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene.cupti.fail = call
    work = scene.stage((KERNEL, 1, 2, 3))
    for _ in range(3):
        assert scene.bursts.complete([work]) == [work]
    assert caplog.text.count("bursts of CUPTI are given up") == 1


def test_a_profiler_that_fails_inside_a_stage_is_given_up_there(scene: Scene) -> None:
    scene.bursts.complete([])
    scene.cupti.fail = "activity_push_external_correlation_id"
    work = scene.stage((KERNEL, 1, 2, 3))
    assert scene.bursts.given_up
    assert scene.bursts.complete([work]) == [work]
    assert scene.cupti.enabled == set(), "launches cost what they did before"


def test_a_work_that_was_lost_stays_lost(scene: Scene) -> None:
    scene.bursts.complete([])
    work = scene.stage((KERNEL, 1, 2, 3))
    scene.bursts.complete([GpuWork.lost(work.token)])
    assert scene.over() == [GpuWork.lost(work.token)]


def test_a_record_that_makes_no_sense_is_counted_and_not_raised_into_cupti(scene: Scene) -> None:
    scene.bursts.complete([])
    work = scene.stage((KERNEL, 1, 2, 3))
    scene.cupti.records.append(SimpleNamespace())
    scene.bursts.complete([work])
    (told,) = scene.over()
    assert told.busy_ns == MS
    assert scene.lost == {"gpu_burst_record": 1}


def test_with_event_pairs_the_parts_stand_beside_the_pair_s_own_times(tmp_path: Path) -> None:
    device, cupti = ScriptedCuda(tmp_path), Cupti()
    pairs = EventPairs(device.driver, device.host_ns)
    pairs.bursts = Bursts(cupti, device.host_ns, lambda reason: None)
    stream = device.stream()
    timer = CudaTimer(pairs, stream, lambda reason: None)
    timer.end(timer.begin())  # the first context is met, the burst begins
    pairs.collect()
    token = timer.begin()
    cupti.launch(KERNEL, 1, 2, 2 + 3 * MS)
    device.work(stream, 4 * MS)
    timer.end(token)
    device.advance(5 * MS)
    assert pairs.collect() == []
    device.advance(BURST_NS)
    pairs.collect()
    device.advance(LATE_NS)
    (work,) = pairs.collect()
    assert (work.token, work.end_ns - work.start_ns, work.busy_ns) == (token, 4 * MS, 3 * MS)
    assert work.clock_error_ns is not None


def test_where_the_package_is_not_installed_it_is_said_once_and_pairs_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cupti", None)
    monkeypatch.setattr(cuda, "_pairs", EventPairs(ScriptedCuda(tmp_path).driver))
    monkeypatch.setattr(cuda, "_said", False)
    for _ in range(3):
        assert cuda.timer(0, lambda reason: None, cupti=True) is not None
    assert caplog.text.count("pip install 'framescope[cupti]'") == 1
