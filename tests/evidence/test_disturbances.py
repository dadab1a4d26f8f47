"""Disturb the real machine, and see which evidence moves and which does not."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_group import Group
from lived import CALM, DISTURBED, Lived, lived, spin, stretches

from framescope import signals as sig
from framescope.agent.windows import Running
from framescope.probes.pressure import GroupPressureProbe, PressureProbe, parse_pressure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the evidence is Linux's")
MS = 0.001


@pytest.fixture(autouse=True)
def no_collections_but_ours() -> Iterator[None]:
    """A collection by chance, of all that the tests before left behind, would be another disturbance."""
    gc.collect()
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.enable()


def stays(run: Lived, *names: str, within_ms: float = 1.5) -> None:
    """These readings, where they are told, do not move by more than this a frame."""
    for name in names:
        if run.known(name):
            assert run.extra(name) < within_ms * MS, name


@pytest.fixture
def hogs() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Twice as many busy processes as there are cores, stopped until a test lets them go on."""
    started = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))
    ]
    for hog in started:
        hog.send_signal(signal.SIGSTOP)
    yield started
    for hog in started:
        hog.kill()
        hog.wait()


def test_cpu_hogs_move_run_queue_time_and_nothing_that_is_waited_for(hogs) -> None:
    def switch(side: str) -> None:
        for hog in hogs:
            hog.send_signal(signal.SIGCONT if side == DISTURBED else signal.SIGSTOP)

    with lived(budget_ms=1000) as run:
        stretches(run, lambda side: spin(4), switch, turns=2, frames=12)
    assert run.extra(sig.RUNQUEUE_TIME) > 1 * MS
    assert run.extra(sig.RUNQUEUE_TIME) > 2 * run.extra(sig.BLOCKED_TIME)
    stays(run, sig.GC_TIME, sig.IO_WAIT_TIME, sig.QUOTA_TIME, sig.MEMORY_STALL_TIME, sig.LOCK_WAIT_TIME)


def test_a_slow_pipe_moves_blocked_time_and_no_finer_name_is_made_up() -> None:
    ours, theirs = os.pipe()

    def write_late() -> None:
        time.sleep(0.008)
        os.write(theirs, b"x")

    def frame(side: str) -> None:
        spin(1)
        if side == DISTURBED:
            threading.Thread(target=write_late).start()
            os.read(ours, 1)

    with lived() as run:
        stretches(run, frame)
    os.close(ours)
    os.close(theirs)
    assert run.extra(sig.BLOCKED_TIME) > 5 * MS
    stays(run, sig.GC_TIME, sig.IO_WAIT_TIME, sig.QUOTA_TIME, sig.MEMORY_STALL_TIME, sig.CPU_TIME)


def test_a_library_thread_that_computes_outside_the_lock_is_not_taken_for_a_lock_holder() -> None:
    numpy = pytest.importorskip("numpy")
    ours, theirs = os.pipe()
    busy, over = threading.Event(), threading.Event()
    matrix = numpy.random.default_rng(0).random((300, 300))

    def compute() -> None:
        while not over.is_set():
            if busy.wait(0.1):
                numpy.sort(matrix, axis=1)  # about 1 ms, and numpy lets go of the lock for it

    def write_late() -> None:
        time.sleep(0.008)
        os.write(theirs, b"x")

    def frame(side: str) -> None:
        spin(1)
        threading.Thread(target=write_late).start()  # on both sides: off the CPU while others use it
        os.read(ours, 1)

    worker = threading.Thread(target=compute)
    worker.start()
    try:
        with lived() as run:
            stretches(run, frame, lambda side: busy.set() if side == DISTURBED else busy.clear(), turns=2)
    finally:
        over.set()
        worker.join()
        os.close(ours)
        os.close(theirs)
    assert run.mean(DISTURBED, sig.BLOCKED_TIME) > 5 * MS
    frames = run.roots(DISTURBED)
    held = sum(root.get(sig.GIL_WAIT_TIME, 0.0) for root in frames)  # absent: nobody had to look
    assert held < sum(root.get(sig.BLOCKED_TIME, 0.0) for root in frames) / 2
    stays(run, sig.GC_TIME, sig.IO_WAIT_TIME, sig.QUOTA_TIME, sig.MEMORY_STALL_TIME)


@pytest.fixture
def heap() -> Iterator[list[object]]:
    """Objects enough that one full collection takes some milliseconds."""
    yield [[number] for number in range(150_000)]


def test_a_collection_in_the_frame_moves_collection_time_inside_its_cpu_time(heap) -> None:
    def frame(side: str) -> None:
        spin(1)
        if side == DISTURBED:
            gc.collect()

    with lived() as run:
        stretches(run, frame, turns=2, frames=12)
    moved = run.extra(sig.GC_TIME)
    assert moved > 1 * MS
    # The collector's own CPU time, and what it waited for a core with a busy machine around.
    assert run.extra(sig.CPU_TIME) + run.extra(sig.RUNQUEUE_TIME) > moved / 2
    assert run.extra(sig.BLOCKED_TIME) < moved / 2
    stays(run, sig.IO_WAIT_TIME, sig.QUOTA_TIME, sig.MEMORY_STALL_TIME)


def test_a_collection_in_another_thread_moves_collection_time_and_blocks_the_frame(heap) -> None:
    go, done = threading.Event(), threading.Event()

    def collect() -> None:
        while go.wait() and not done.is_set():
            go.clear()
            gc.collect()

    def frame(side: str) -> None:
        if side == DISTURBED:
            go.set()
            time.sleep(0.0005)  # let it begin: it holds the interpreter lock from then on
        spin(1)

    other = threading.Thread(target=collect)
    other.start()
    try:
        with lived() as run:
            stretches(run, frame, turns=2, frames=12)
    finally:
        done.set()
        go.set()
        other.join()
    moved = run.extra(sig.GC_TIME)
    assert moved > 1 * MS
    # The lock is asked for every 5 ms; with a busy machine around each asking waits for a core. And the
    # collection can be at its end before the frame finds out.
    assert run.extra(sig.BLOCKED_TIME) > 0.5 * MS
    assert run.extra(sig.BLOCKED_TIME) + run.extra(sig.RUNQUEUE_TIME) > moved / 4
    assert run.extra(sig.CPU_TIME) < moved / 2  # it was another's CPU time
    stays(run, sig.IO_WAIT_TIME, sig.QUOTA_TIME, sig.MEMORY_STALL_TIME)


def io_stalls() -> int | None:
    try:
        return parse_pressure(Path("/proc/pressure/io").read_text()).get("some")
    except OSError:
        return None


def test_fsync_moves_blocked_time_and_is_input_output_where_the_kernel_tells_of_it(tmp_path: Path) -> None:
    before = io_stalls()
    with (tmp_path / "written").open("wb") as file:

        def frame(side: str) -> None:
            spin(1)
            if side == DISTURBED:
                os.pwrite(file.fileno(), os.urandom(1 << 18), 0)
                os.fsync(file.fileno())

        with lived(budget_ms=1000) as run:
            stretches(run, frame, frames=12)
    waited = run.extra(sig.BLOCKED_TIME)
    if waited < 0.3 * MS:
        pytest.skip("this disk answers an fsync at once")
    stays(run, sig.GC_TIME, sig.QUOTA_TIME, sig.MEMORY_STALL_TIME)
    after = io_stalls()
    if before is None or after is None or after == before:
        # This kernel counts no I/O stalls for this disk: then nothing is said to be one.
        assert not run.known(sig.IO_WAIT_TIME) or run.mean(DISTURBED, sig.IO_WAIT_TIME) < waited / 2
        pytest.skip("the kernel counts no I/O stalls on this disk: the rest cannot be seen here")
    assert run.extra(sig.IO_WAIT_TIME) > 0


def test_pages_read_in_without_pressure_are_faults_and_not_short_memory(tmp_path: Path) -> None:
    import mmap

    path = tmp_path / "cold"
    path.write_bytes(os.urandom(1 << 23))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        os.fsync(file.fileno())

        def frame(side: str) -> None:
            spin(1)
            if side == DISTURBED:
                pages.madvise(mmap.MADV_DONTNEED)
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                pages.madvise(mmap.MADV_RANDOM)
                sum(pages[at] for at in range(0, len(pages), 64 * mmap.PAGESIZE))

        memory = parse_pressure(Path("/proc/pressure/memory").read_text()).get("some", 0)
        with lived(budget_ms=1000) as run:
            stretches(run, frame, frames=12)
        stalled = parse_pressure(Path("/proc/pressure/memory").read_text()).get("some", 0) - memory
    faults = run.points(sig.PROCESS_PAGING_FAULTS)
    if faults[-1] == faults[0]:
        pytest.skip("this file system keeps its pages in memory")
    assert faults[-1] - faults[0] > 50
    if not stalled:  # others on this machine may be short of memory meanwhile
        assert not any(root.get(sig.MEMORY_STALL_TIME) for root in run.roots(DISTURBED))
    stays(run, sig.GC_TIME, sig.QUOTA_TIME)


# -- a quota ---------------------------------------------------------------------------------------------


def test_a_quota_moves_quota_time_as_a_part_of_run_queue_time_and_nothing_that_is_waited_for() -> None:
    group = Group("cpu")
    group.limit(400)
    try:
        group.enter(os.getpid())
        with lived(budget_ms=1000) as run:
            stretches(
                run,
                lambda side: spin(4),
                lambda side: group.limit(400 if side == CALM else 15),
                turns=2,
                frames=12,
                every_s=0.01,
            )
    finally:
        group.limit(400)
        group.leave(os.getpid())
        group.remove()
    held = run.extra(sig.QUOTA_TIME)
    assert held > 2 * MS
    assert run.mean(DISTURBED, sig.QUOTA_TIME) <= run.mean(DISTURBED, sig.RUNQUEUE_TIME) + 1e-9
    assert held > run.extra(sig.RUNQUEUE_TIME) / 2
    quota = Running()
    for position, seconds in enumerate(run.points(sig.FS_CPU_QUOTA_TIME)):
        quota.add(position, round(seconds * 1e9))  # it never falls
    assert run.points(sig.FS_CPU_QUOTA_TIME)[-1] > 0
    stays(run, sig.GC_TIME, sig.IO_WAIT_TIME, sig.MEMORY_STALL_TIME)


# -- memory ----------------------------------------------------------------------------------------------


def test_short_memory_moves_the_memory_stall_of_frames_that_wait_for_their_pages(tmp_path: Path) -> None:
    path, here = tmp_path / "pages", Path(__file__).parent
    path.write_bytes(os.urandom(48_000_000))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(
            file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED
        )  # a page is charged to who reads it first
    group = Group("memory")
    before = memory_stalls()
    child = subprocess.Popen(
        [sys.executable, str(here / "short_of_memory.py"), str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        group.enter(child.pid)
        group.limit(20_000_000)
        told = json.loads(child.communicate("go on\n", timeout=90)[0])
    finally:
        child.kill()
        child.wait()
        group.remove()
    after = memory_stalls()
    if before is None or after is None or after == before:
        pytest.skip("the kernel counts no memory stalls here")
    extra = {name: sides[DISTURBED] - sides[CALM] for name, sides in told["readings"].items()}
    assert told["faults"] > 100
    assert extra[sig.MEMORY_STALL_TIME] > 0.1 * MS
    assert extra[sig.BLOCKED_TIME] >= extra[sig.MEMORY_STALL_TIME]
    assert all(extra.get(name, 0) < 1.5 * MS for name in (sig.GC_TIME, sig.QUOTA_TIME, sig.LOCK_WAIT_TIME))


def memory_stalls() -> int | None:
    try:
        return parse_pressure(Path("/proc/pressure/memory").read_text()).get("some")
    except OSError:
        return None


def test_a_neighbour_that_waits_for_its_disk_is_no_witness_in_our_own_group(tmp_path: Path) -> None:
    path = tmp_path / "cold"
    path.write_bytes(os.urandom(1 << 24))
    code = (
        "import os,sys\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    os.fsync(file.fileno())\n"
        "    while True:\n"
        "        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)\n"
        "        for at in range(0, 1 << 24, 1 << 20): os.pread(file.fileno(), 4096, at)\n"
    )
    quiet = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    group = Group("pressure")
    try:
        group.enter(quiet.pid)
        ours, machine = GroupPressureProbe(quiet.pid), PressureProbe()
        ours.read(time.monotonic_ns())
        machine.read(time.monotonic_ns())
        neighbour = subprocess.Popen([sys.executable, "-c", code, str(path)])
        time.sleep(1.5)
        everybody, group_alone = machine.read(time.monotonic_ns()), ours.read(time.monotonic_ns())
        neighbour.kill()
        neighbour.wait()
    finally:
        quiet.kill()
        quiet.wait()
        group.remove()
    assert everybody is not None and group_alone is not None
    if everybody.stalled_ns["io"] < 20_000_000:
        pytest.skip("this disk keeps nobody waiting")
    assert group_alone.stalled_ns["io"] < everybody.stalled_ns["io"] / 10
