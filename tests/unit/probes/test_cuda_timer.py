"""GPU times by event pairs, through the driver's own interface, over a scripted driver."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_cuda import HOST_ZERO, ScriptedCuda, built

from framescope.probes import cuda
from framescope.probes.cuda import PAIRS, CudaTimer, EventPairs, bounds
from framescope.probes.cuda_driver import Driver, NoCudaError
from framescope.probes.device import NOT_TIMED, GpuWork

MS = 1_000_000
US = 1_000
INSTRUMENTATION = Path(__file__).parents[3] / "instrumentation"


class Scene:
    """A scripted driver, a timer of one stream of it, and what the timer counted as lost."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.cuda = ScriptedCuda(folder, *options)
        self.pairs = EventPairs(self.cuda.driver, self.cuda.host_ns)
        self.lost: Counter[str] = Counter()
        self.stream = self.cuda.stream()
        self.timer = self.timer_of(self.stream)

    def timer_of(self, stream: object) -> CudaTimer:
        return CudaTimer(self.pairs, stream, lambda reason: self.lost.update([reason]))

    def stage(self, ns: int, timer: CudaTimer | None = None, stream: int | None = None) -> int:
        """A stage that launches work of ``ns`` and does not wait for it."""
        timer = timer or self.timer
        token = timer.begin()
        self.cuda.work(self.stream if stream is None else stream, ns)
        timer.end(token)
        return token

    def collect(self) -> list[GpuWork]:
        return self.timer.collect()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def took(work: GpuWork) -> int:
    return work.end_ns - work.start_ns


# -- what it tells ------------------------------------------------------------------------------------------


def test_a_stage_s_time_is_from_its_first_event_to_its_second_on_the_device(scene: Scene) -> None:
    token = scene.stage(3 * MS)
    assert scene.collect() == []  # not complete, and nobody waits for it
    scene.cuda.advance(3 * MS)
    (work,) = scene.collect()
    assert (work.token, took(work)) == (token, 3 * MS)
    assert work.device == "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert not scene.lost
    assert scene.cuda.violations == 0


def test_an_event_pair_does_not_pretend_to_know_work_from_waiting(scene: Scene) -> None:
    scene.stage(3 * MS)
    scene.cuda.advance(3 * MS)
    (work,) = scene.collect()
    parts = (work.busy_ns, work.wait_ns, work.transfer_ns, work.throttle_ns, work.runqueue_ns, work.queued_ns)
    assert parts == (None,) * 6


def test_work_behind_other_work_of_its_stream_waits_within_the_time(scene: Scene) -> None:
    """The pair's first event waits too: what was before it on the stream is not in its time."""
    scene.cuda.work(scene.stream, 5 * MS)
    scene.stage(2 * MS)
    scene.cuda.advance(7 * MS)
    (work,) = scene.collect()
    assert took(work) == 2 * MS
    assert work.clock_error_ns is not None
    assert abs(work.start_ns - (HOST_ZERO + 5 * MS)) <= work.clock_error_ns


def test_pairs_come_in_order_as_they_complete(scene: Scene) -> None:
    tokens = [scene.stage(2 * MS) for _ in range(3)]
    found = []
    for _ in range(4):
        found.append([work.token for work in scene.collect()])
        scene.cuda.advance(2 * MS)
    assert found == [[], [tokens[0]], [tokens[1]], [tokens[2]]]


def test_streams_do_not_wait_for_each_other(scene: Scene) -> None:
    other = scene.cuda.stream()
    scene.stage(50 * MS)
    quick = scene.stage(1 * MS, scene.timer_of(other), other)
    scene.cuda.advance(2 * MS)
    assert [work.token for work in scene.collect()] == [quick]


def test_nothing_ever_waits_for_the_device(scene: Scene) -> None:
    for _ in range(20):
        scene.stage(2 * MS)
        scene.cuda.advance(1 * MS)
        scene.collect()
    waits = ("cuEventSynchronize", "cuStreamSynchronize", "cuCtxSynchronize")
    assert [scene.cuda.calls(name) for name in waits] == [0, 0, 0]


# -- where it places it -------------------------------------------------------------------------------------


def test_it_is_placed_on_the_host_s_clock_with_its_error(scene: Scene) -> None:
    for index in range(200):
        scene.cuda.advance(3 * MS)
        before = scene.cuda.host_ns()
        scene.stage(1 * MS)
        scene.cuda.advance(1 * MS)
        if index % 10 == 9:
            works = scene.collect()
            assert len(works) == 10
            error = works[-1].clock_error_ns
            assert error is not None and error <= 10 * US
            assert abs(works[-1].start_ns - before) <= error


@pytest.mark.parametrize("speed", [1.0, 1.00008, 0.99992])
def test_a_clock_of_its_own_that_drifts_stays_within_the_error_told(tmp_path: Path, speed: float) -> None:
    """On the machine's clock: real brackets, and a device that runs 80 parts in a million off."""
    scene = Scene(tmp_path)
    scene.cuda.follow_the_host(speed)
    pairs = EventPairs(scene.cuda.driver)
    timer = CudaTimer(pairs, scene.stream, lambda reason: scene.lost.update([reason]))
    for _ in range(12):
        truth = []
        for _ in range(5):
            token = timer.begin()
            at = time.monotonic_ns()  # the stream is idle: the first event completed just before this
            scene.cuda.work(scene.stream, 200 * US)
            timer.end(token)
            truth.append(at)
            time.sleep(0.001)
        works = timer.collect()
        assert len(works) == 5
        for work, at in zip(works, truth, strict=True):
            assert work.clock_error_ns is not None
            assert work.start_ns - work.clock_error_ns <= at
    assert not scene.lost


def test_where_no_anchor_can_be_had_the_stage_itself_bounds_the_place(scene: Scene) -> None:
    """A device that is always busy for others never completes the anchor while it is looked at."""
    scene.cuda.library.stub_record_delay(ctypes.c_int64(0))
    began = scene.cuda.host_ns()
    scene.stage(4 * MS)
    scene.cuda.advance(10 * MS)
    scene.cuda.library.stub_record_delay(ctypes.c_int64(20 * MS))  # from now on events complete late
    ticking = iter(range(1, 10_000))
    pairs_clock = scene.cuda.host_ns
    scene.pairs._clock = lambda: pairs_clock() + 30 * US * next(ticking)
    (work,) = scene.collect()
    assert took(work) == 4 * MS
    assert work.clock_error_ns is not None
    assert work.start_ns - work.clock_error_ns <= began <= work.start_ns + work.clock_error_ns
    assert work.clock_error_ns > 2 * MS  # it may have begun at any time of the 6 ms that it did not take


@given(
    began=st.integers(0, 10**12),
    waited=st.integers(0, 10**9),
    took_ns=st.integers(0, 10**9),
    seen_after=st.integers(0, 10**9),
    anchored_before=st.integers(-(10**9), 10**9),
    low=st.integers(0, 10**6),
    high=st.integers(0, 10**6),
    drift=st.floats(-9e-5, 9e-5),
)
def test_the_true_start_lies_within_the_bounds(
    began: int, waited: int, took_ns: int, seen_after: int, anchored_before: int, low: int, high: int,
    drift: float,
) -> None:  # fmt: skip
    start = began + waited
    latest = start + seen_after  # seen to have ended, less what it took
    anchor = start - anchored_before
    told = round(anchored_before * (1 + drift))
    found_low, found_high = bounds(began, latest, anchor - low, anchor + high, told)
    assert began <= found_low <= start + 1 and start - 1 <= found_high <= latest + 1
    assert found_high - found_low <= low + high + 2 * abs(told) * 1e-4 + 2


def test_a_device_clock_that_contradicts_the_host_is_not_believed() -> None:
    assert bounds(1000, 2000, 10**9, 10**9 + 5, 0) == (1000, 2000)
    assert bounds(1000, 900, 0, 0, None) == (1000, 1000)


# -- what it must not do ------------------------------------------------------------------------------------


def test_a_stream_under_capture_is_left_alone_and_counted(scene: Scene) -> None:
    scene.stage(MS)  # there are pairs, and one of them is under way
    scene.cuda.capture(scene.stream, True)
    assert scene.timer.begin() == NOT_TIMED
    scene.cuda.advance(2 * MS)
    assert len(scene.collect()) == 1  # asking for it does not break the capture
    scene.cuda.capture(scene.stream, False)
    assert scene.lost == {"gpu_capturing": 1}
    assert scene.cuda.violations == 0
    scene.stage(MS)
    scene.cuda.advance(MS)
    assert len(scene.collect()) == 1


def test_a_capture_that_begins_inside_a_stage_makes_it_a_stage_without_time(scene: Scene) -> None:
    token = scene.timer.begin()
    scene.cuda.capture(scene.stream, True)
    scene.timer.end(token)
    scene.cuda.capture(scene.stream, False)
    assert scene.collect() == [GpuWork.lost(token)]  # nobody waits for it
    assert scene.lost == {"gpu_capturing": 1}
    assert scene.cuda.violations == 0


def test_the_default_stream_is_left_alone_while_another_is_captured(scene: Scene) -> None:
    default = scene.timer_of(0)
    scene.cuda.capture(scene.stream, True)
    assert default.begin() == NOT_TIMED
    scene.cuda.capture(scene.stream, False)
    assert default.begin() != NOT_TIMED
    assert scene.lost == {"gpu_capturing": 1}
    assert scene.cuda.violations == 0


def test_a_thread_without_a_context_is_counted_and_cuda_is_not_initialized_for_it(scene: Scene) -> None:
    scene.cuda.use(None)
    assert scene.timer_of(0).begin() == NOT_TIMED
    assert scene.lost == {"gpu_no_context": 1}
    assert scene.cuda.calls("cuInit") == 0
    token = scene.stage(MS)  # a stream of its own brings its context along
    scene.cuda.advance(MS)
    assert [work.token for work in scene.collect()] == [token]


def test_an_empty_pool_drops_and_counts_and_fills_again(scene: Scene) -> None:
    tokens = [scene.stage(MS) for _ in range(PAIRS)]
    assert scene.timer.begin() == NOT_TIMED
    assert scene.lost == {"gpu_pool_empty": 1}
    scene.cuda.advance(PAIRS * MS)
    assert [work.token for work in scene.collect()] == tokens
    made = scene.cuda.library.stub_events_made()
    for _ in range(PAIRS):
        scene.stage(1)
    scene.cuda.advance(MS)
    assert len(scene.collect()) == PAIRS
    assert scene.cuda.library.stub_events_made() == made == 2 * PAIRS + 2  # and the anchor's two


def test_no_call_in_a_frame_gives_the_interpreter_lock_away(scene: Scene) -> None:
    """Beside one busy Python thread that costs a frame 5 ms. To meet a context for the first time may."""
    default = scene.timer_of(0)
    scene.stage(MS)
    scene.stage(MS, default, 0)
    scene.cuda.driver.free = None  # any use of it is an error from here on
    for _ in range(50):  # new pairs are made, and a stream is met for the first time
        scene.stage(MS)
        scene.stage(MS, default, 0)
    stream = scene.cuda.stream()
    scene.stage(MS, scene.timer_of(stream), stream)
    assert not scene.lost


def test_a_stage_that_is_never_left_gives_its_pair_back_after_a_minute(scene: Scene) -> None:
    token = scene.timer.begin()
    scene.cuda.advance(59_000 * MS)
    assert scene.collect() == []
    scene.cuda.advance(2_000 * MS)
    assert scene.collect() == [GpuWork.lost(token)]
    scene.timer.end(token)  # it comes after all: too late, and no harm
    scene.stage(MS)
    assert scene.cuda.library.stub_events_made() == 2  # the same pair
    assert scene.lost == {"gpu_stage_never_closed": 1}


def test_streams_that_come_and_go_do_not_pile_up(scene: Scene) -> None:
    for _ in range(500):
        stream = scene.cuda.stream()
        scene.stage(MS, scene.timer_of(stream), stream)
        scene.cuda.advance(MS)
        assert len(scene.collect()) == 1
    (context,) = scene.pairs._contexts.values()
    assert len(context.lanes) <= cuda.STREAMS
    assert len(scene.pairs._lanes) <= cuda.STREAMS
    assert context.made == 1


# -- what can go wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call", ["cuStreamIsCapturing", "cuEventRecord", "cuEventCreate", "cuCtxPushCurrent_v2"]
)
def test_a_call_that_fails_costs_one_time_and_the_next_is_told(scene: Scene, call: str) -> None:
    scene.cuda.fail(call, 999, times=1)
    assert scene.timer.begin() == NOT_TIMED
    assert scene.lost == {"gpu_error": 1}
    token = scene.stage(MS)
    scene.cuda.advance(MS)
    assert [work.token for work in scene.collect()] == [token]


@pytest.mark.parametrize("call", ["cuStreamIsCapturing", "cuEventRecord"])
def test_a_stage_whose_end_cannot_be_recorded_is_told_as_lost(scene: Scene, call: str) -> None:
    token = scene.timer.begin()
    scene.cuda.fail(call, 719, times=1)
    scene.timer.end(token)
    assert scene.collect() == [GpuWork.lost(token)]
    assert scene.lost == {"gpu_error": 1}


@pytest.mark.parametrize("options", [(), ("-DWITHOUT_CONTEXT_ID",)], ids=["CUDA 12", "CUDA 11"])
def test_a_destroyed_context_loses_what_was_under_way_and_another_goes_on(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    scene = Scene(tmp_path, *options)
    under_way, open_still = scene.stage(MS), scene.timer.begin()
    scene.cuda.destroy(scene.cuda.context)
    scene.cuda.advance(MS)
    assert scene.collect() == [GpuWork.lost(under_way), GpuWork.lost(open_still)]
    scene.timer.end(open_still)
    assert scene.lost == {"gpu_context_gone": 2}
    assert scene.cuda.violations == 0  # nothing of the dead context was touched
    scene.cuda.use(scene.cuda.new_context(0))
    stream = scene.cuda.stream()
    token = scene.stage(MS, scene.timer_of(stream), stream)
    scene.cuda.advance(MS)
    assert [work.token for work in scene.collect()] == [token]


def test_a_lost_device_is_counted_not_hammered_and_used_again_when_it_is_back(scene: Scene) -> None:
    token = scene.stage(MS)
    scene.cuda.advance(MS)
    scene.cuda.library.stub_lose(719)
    assert scene.collect() == [GpuWork.lost(token)]
    calls = scene.cuda.calls("cuEventRecord")
    for _ in range(100):
        assert scene.timer.begin() == NOT_TIMED
    assert scene.cuda.calls("cuEventRecord") == calls
    scene.cuda.library.stub_lose(0)
    scene.cuda.advance(2_000 * MS)
    assert scene.collect() == []  # which looks at it again
    token = scene.stage(MS)
    scene.cuda.advance(MS)
    assert [work.token for work in scene.collect()] == [token]
    assert scene.cuda.violations == 0


def test_a_driver_that_forgets_its_events_costs_what_was_under_way(scene: Scene) -> None:
    tokens = [scene.stage(MS), scene.stage(MS)]
    scene.cuda.advance(2 * MS)
    scene.cuda.fail("cuEventElapsedTime", 700, times=1)
    assert scene.collect() == [GpuWork.lost(token) for token in tokens]
    assert scene.lost == {"gpu_error": 2}


@pytest.mark.parametrize("call", ["cuEventElapsedTime", "cuCtxGetId", "cuEventCreate", "cuEventRecord"])
def test_a_context_that_keeps_failing_keeps_its_events_and_makes_no_others(scene: Scene, call: str) -> None:
    for _ in range(20):
        scene.stage(MS)
        scene.cuda.advance(MS)
        scene.collect()
        scene.cuda.fail(call, 999, times=2)
        scene.stage(MS)
        scene.cuda.advance(MS)
        scene.collect()
        scene.cuda.fail(call, 0, times=0)
        scene.cuda.advance(2_000 * MS)
        scene.collect()
    assert scene.cuda.library.stub_events_live() <= 6  # two pairs and the anchor's own
    (work,) = [scene.stage(MS)]
    scene.cuda.advance(MS)
    assert [one.token for one in scene.collect()] == [work]


@pytest.mark.parametrize("nth", [1, 2])
def test_a_device_without_room_for_events_leaves_none_behind(scene: Scene, nth: int) -> None:
    """Two are made for a pair: whichever fails, the other goes and the pool is as large as before."""
    for _ in range(2 * PAIRS):
        scene.cuda.fail("cuEventCreate", 2, times=1, after=nth - 1)
        assert scene.timer.begin() == NOT_TIMED
    assert scene.cuda.library.stub_events_live() == 0
    assert scene.lost == {"gpu_error": 2 * PAIRS}
    token = scene.stage(MS)
    scene.cuda.advance(MS)
    assert [work.token for work in scene.collect()] == [token]


def test_a_signal_handler_may_enter_a_stage_while_its_thread_is_at_the_pool(scene: Scene) -> None:
    with scene.pairs._lock:  # as the thread holds it that the handler interrupts
        token = scene.stage(MS)
    scene.cuda.advance(MS)
    assert [work.token for work in scene.collect()] == [token]


def test_a_stream_that_its_package_does_not_tell_is_counted(scene: Scene) -> None:
    def broken() -> int:
        raise RuntimeError("no current stream here")

    assert scene.timer_of(broken).begin() == NOT_TIMED
    assert scene.lost == {"gpu_stream_unknown": 1}


# -- several of them ----------------------------------------------------------------------------------------


def test_two_devices_are_told_apart_by_the_ids_nvml_gives(scene: Scene) -> None:
    scene.cuda.use(scene.cuda.new_context(1))
    other = scene.cuda.stream()
    scene.stage(MS, scene.timer_of(other), other)
    scene.stage(MS)  # a stream of the first device, whatever is current on this thread
    scene.cuda.advance(MS)
    assert {work.device for work in scene.collect()} == {
        "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f",
        "GPU-10111213-1415-1617-1819-1a1b1c1d1e1f",
    }
    assert scene.cuda.violations == 0


def test_a_slice_of_a_gpu_has_its_own_id(scene: Scene) -> None:
    scene.cuda.library.stub_mig(1)
    scene.stage(MS)
    scene.cuda.advance(MS)
    (work,) = scene.collect()
    assert work.device == "MIG-80818283-8485-8687-8889-8a8b8c8d8e8f"


def test_the_default_stream_is_that_of_the_context_in_use(scene: Scene) -> None:
    timer = scene.timer_of(0)
    scene.stage(MS, timer, 0)
    scene.cuda.use(scene.cuda.new_context(1))
    scene.stage(2 * MS, timer, 0)
    scene.cuda.advance(2 * MS)
    assert sorted((work.device[:6], took(work)) for work in scene.collect()) == [
        ("GPU-00", MS),
        ("GPU-10", 2 * MS),
    ]


def test_threads_share_the_pairs_and_every_stage_gets_its_time(scene: Scene) -> None:
    streams = [scene.cuda.stream() for _ in range(4)]
    tokens: list[int] = []
    found: list[GpuWork] = []
    done = threading.Event()

    def frames(stream: int) -> None:
        scene.cuda.use(scene.cuda.context)
        timer = scene.timer_of(stream)
        tokens.extend(scene.stage(1, timer, stream) for _ in range(300))

    def collecting() -> None:
        while not done.is_set():
            found.extend(scene.collect())

    collector = threading.Thread(target=collecting)
    threads = [threading.Thread(target=frames, args=(stream,)) for stream in streams]
    for thread in (collector, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    collector.join()
    scene.cuda.advance(MS)
    found += scene.collect()
    timed = [token for token in tokens if token != NOT_TIMED]
    assert sorted(work.token for work in found) == sorted(timed)
    assert len(tokens) - len(timed) == scene.lost["gpu_pool_empty"]
    assert scene.cuda.violations == 0


# -- where there is none ------------------------------------------------------------------------------------


def test_a_library_that_is_no_driver_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(NoCudaError, match="no CUDA driver here"):
        Driver(str(tmp_path / "libcuda.so.1"))
    empty = tmp_path / "empty.so"
    source = tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    built()  # there is a compiler
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(empty), str(source)], check=True)
    with pytest.raises(NoCudaError, match="too old: it has no cuCtxGetCurrent"):
        Driver(str(empty))


def in_a_process(program: str, library: Path | None) -> list[str]:
    environ = {**os.environ, "PYTHONPATH": str(INSTRUMENTATION), "FRAMESCOPE_AGENT": "thread"}
    environ["LD_LIBRARY_PATH"] = str(library.parent if library is not None else INSTRUMENTATION)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).splitlines()


def test_without_a_driver_a_stage_is_host_time_and_it_is_said_once() -> None:
    told = in_a_process(
        """
from framescope.probes import cuda
print([cuda.timer(None, print) for _ in range(3)])
""",
        None,
    )
    assert told[0] == "[None, None, None]"
    assert sum("GPU stages are recorded by host time alone" in line for line in told) == 1


def test_a_forked_child_starts_afresh() -> None:
    told = in_a_process(
        """
import ctypes, os
from collections import Counter
from framescope.probes import cuda

lost = Counter()
timer = cuda.timer(0, lambda reason: lost.update([reason]))
library = timer._pairs._driver.hot
library.stub_initialize()
library.cuCtxCreate_v2(ctypes.byref(ctypes.c_void_p()), 0, 0)
inherited = timer.begin()
pid = os.fork()
if pid == 0:
    timer.end(inherited)  # its events are the parent's
    assert timer.begin() == -1 and timer.collect() == []
    assert lost == {"gpu_no_context": 1}, lost
    library.stub_initialize()  # a child whose parent had not used CUDA may do so itself
    library.cuCtxCreate_v2(ctypes.byref(ctypes.c_void_p()), 0, 0)
    token = timer.begin()
    timer.end(token)
    assert [work.token for work in timer.collect()] == [token]
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
timer.end(inherited)
print([work.token == inherited for work in timer.collect()], library.stub_violations())
""",
        built(),
    )
    assert told == ["[True] 0"]
