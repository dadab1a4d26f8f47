"""Faults of known kind and strength, for a pipeline that offers its ``Points``.

Each names the cause that a verdict should give. ``strength_ms`` is what a frame is meant to lose; what it
really lost is known from the paired replay.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import itertools
import mmap
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).parent
Act = Callable[[], object]


@dataclass(slots=True)
class Points:
    """Where a fault takes hold of a pipeline; None, 0 and 1: undisturbed."""

    delay_s: float = 0.0
    """The source delivers so much later."""
    in_work: Act | None = None
    in_output: Act | None = None
    after: Act | None = None
    """What the last thread does with a frame that was delivered, before it takes the next."""
    enlarged: float = 1.0
    """Pixels of the accelerator's images, against the usual."""
    copied: int = 0
    """Images copied to the accelerator and back beside the frame's own."""


class Fault(Protocol):
    """``start`` and ``stop`` may be called again and again, from the source's thread."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...


# -- work of a known length ---------------------------------------------------------------------------------


def work(turns: int) -> int:
    """Python's own work: it holds the interpreter lock and gives it away when asked."""
    found = 0
    for number in range(turns):
        found += number * number
    return found


PACE = "TRUTH_TURNS_A_SECOND"
"""The environment's word for how fast this machine is: measured once for a run and its replay, which else
would differ by what was measured (up to 1.5 ms of a frame's 3)."""


def pace() -> float:
    """Turns of ``work`` a second on this machine, undisturbed."""
    return 20_000 / min(_timed(lambda: work(20_000)) for _ in range(20))


def turns_of(seconds: float) -> int:
    """How many turns of ``work`` take so long, by the pace that was told or by one measured now."""
    return max(1, round(seconds * (float(os.environ.get(PACE, 0)) or pace())))


def _timed(act: Act) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def background(body: Act) -> threading.Event:
    """A daemon thread that does ``body`` again and again while the event is set."""
    running = threading.Event()

    def forever() -> None:
        while True:
            running.wait()
            body()

    threading.Thread(target=forever, daemon=True).start()
    return running


def benign(share: float = 0.3) -> None:
    """A library's thread that computes in C without the interpreter lock: what fools simple rules."""
    data = bytes(2 << 20)

    def body() -> None:
        took = _timed(lambda: hashlib.sha256(data).digest())
        time.sleep(took * (1 / share - 1))

    background(body).set()


# -- the faults ---------------------------------------------------------------------------------------------


class At:
    """Something done at one point of every frame while it lasts."""

    def __init__(self, points: Points, point: str, act: Act) -> None:
        self._points, self._point, self._act = points, point, act

    def start(self) -> None:
        setattr(self._points, self._point, self._act)

    def stop(self) -> None:
        setattr(self._points, self._point, None)

    def close(self) -> None: ...


class Set:
    """A number of the pipeline's that is another while it lasts."""

    def __init__(self, points: Points, name: str, value: float) -> None:
        self._points, self._name, self._value = points, name, value
        self._usual = getattr(points, name)

    def start(self) -> None:
        setattr(self._points, self._name, self._value)

    def stop(self) -> None:
        setattr(self._points, self._name, self._usual)

    def close(self) -> None: ...


class Beside:
    """Something that goes on beside the frames, on a thread of its own, with pauses."""

    def __init__(self, body: Act, pause_s: float, seed: int) -> None:
        chance = random.Random(seed)

        def turn() -> None:
            body()
            time.sleep(pause_s * chance.uniform(0.6, 1.4))

        self._running = background(turn)

    def start(self) -> None:
        self._running.set()

    def stop(self) -> None:
        self._running.clear()

    def close(self) -> None: ...


class Neighbours:
    """Other processes that want every core."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-S", __file__]
        self._all = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(count)]

    def start(self) -> None:
        self._tell(b"go\n")

    def stop(self) -> None:
        self._tell(b"halt\n")

    def _tell(self, order: bytes) -> None:
        for one in self._all:
            assert one.stdin is not None
            one.stdin.write(order)
            one.stdin.flush()

    def close(self) -> None:
        for one in self._all:
            one.kill()
            one.wait()


AMPLE = 16.0
"""Cores that a group may use while it is not held back."""


class Quota:
    """This process may use only a part of a core: by a control group of its own, the same for all its quotas.
    Raises ``OSError`` where that is not permitted."""

    def __init__(self, share: float) -> None:
        usual = Path("/sys/fs/cgroup")
        self._v1 = (usual / "cpu" / "cpu.cfs_period_us").exists()
        self._group = (usual / "cpu" if self._v1 else usual) / f"framescope-truth-{os.getpid()}"
        self._group.mkdir(exist_ok=True)
        self._share = share
        try:
            self._limit(AMPLE)  # a group without any limit is looked at again only after a while
            (self._group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            self._group.rmdir()
            raise

    def start(self) -> None:
        self._limit(self._share)

    def stop(self) -> None:
        self._limit(AMPLE)

    def _limit(self, share: float) -> None:
        if self._v1:
            (self._group / "cpu.cfs_quota_us").write_text(str(round(100_000 * share)))
        else:
            (self._group / "cpu.max").write_text(f"{round(100_000 * share)} 100000")

    def close(self) -> None:
        (self._group.parent / "cgroup.procs").write_text(str(os.getpid()))
        with contextlib.suppress(FileNotFoundError):
            self._group.rmdir()


class Heap:
    """A live heap that makes a full collection take about so long; it is there only while it is wanted, so
    that it makes no other fault's collections longer."""

    def __init__(self, strength_ms: float) -> None:
        live = [[None] for _ in range(20_000)]
        took = min(_timed(gc.collect) for _ in range(3))
        del live
        self._size = 20_000 + round(20_000 * max(0.0, strength_ms / 1e3 / took - 1))
        self._live: list[list[None]] = []

    def grow(self) -> None:
        self._live = [[None] for _ in range(self._size)]

    def shrink(self) -> None:
        self._live = []

    def collect(self) -> None:
        """A full collection, of some cyclic garbage."""
        garbage: list[list[object]] = [[] for _ in range(500)]
        for one in garbage:
            one.append(one)
        del garbage, one
        gc.collect()


class WithHeap:
    """A fault whose collections need a heap."""

    def __init__(self, fault: Fault, heap: Heap) -> None:
        self._fault, self._heap = fault, heap
        self.close = fault.close

    def start(self) -> None:
        self._heap.grow()
        self._fault.start()

    def stop(self) -> None:
        self._fault.stop()
        self._heap.shrink()


def _collection(points: Points, strength_ms: float, seed: int) -> Fault:
    heap = Heap(strength_ms)
    return WithHeap(At(points, "in_work", heap.collect), heap)


def _collection_elsewhere(points: Points, strength_ms: float, seed: int) -> Fault:
    heap = Heap(strength_ms)
    return WithHeap(Beside(heap.collect, 3.0 * strength_ms / 1e3, seed), heap)


def slow_consumer(strength_ms: float) -> Act:
    """Every third time it is busy with something of its own, for so long beyond two frames of 60 FPS: who
    comes next waits, and it catches up."""
    turn = itertools.cycle((True, False, False))

    def wait() -> None:
        if next(turn):
            time.sleep(0.033 + strength_ms / 1e3)

    return wait


MIB = 1 << 20


def _on_disk(strength_ms: float, flags: int, act: Callable[[int, memoryview, int], object], size: int) -> Act:
    """Something done to a file of 64 MiB, here and there, again and again until the time is over. Past the
    page cache: with it a fifth to a third of the time is the thread's own CPU time, for copying and
    journalling, and the fault is none of one cause (direct: 5 to 15 %)."""
    file, name = tempfile.mkstemp(dir=HERE)  # beside this file: a temporary folder may be memory
    for _ in range(64):
        os.write(file, os.urandom(MIB))
    os.fsync(file)
    os.close(file)
    direct = os.open(name, os.O_RDWR | os.O_DIRECT | flags)
    Path(name).unlink()
    block = memoryview(mmap.mmap(-1, size))  # aligned to a page, as direct I/O wants it
    places = itertools.cycle(37 * MIB * number % (64 * MIB) for number in range(64))

    def busy() -> None:
        until = time.perf_counter() + strength_ms / 1e3
        while time.perf_counter() < until:
            act(direct, block, next(places))

    return busy


def synchronous_write(strength_ms: float) -> Act:
    """Writes that wait until the disk has them."""
    return _on_disk(strength_ms, os.O_DSYNC, lambda file, block, at: os.pwritev(file, [block], at), 1 << 16)


def direct_read(strength_ms: float) -> Act:
    """Reads that no cache answers."""
    return _on_disk(strength_ms, 0, lambda file, block, at: os.preadv(file, [block], at), MIB)


def slow_pipe(strength_ms: float) -> Act:
    """A pipe that another process fills a while after it was asked to: one that, like a device, gets a core
    when it wants one."""
    feeder = subprocess.Popen(
        [sys.executable, "-S", __file__, str(strength_ms)], 0, None, subprocess.PIPE, subprocess.PIPE
    )
    asked, filled = feeder.stdin, feeder.stdout
    assert asked is not None and filled is not None

    def wait() -> None:
        asked.write(b"x")
        filled.read(1)

    wait()  # until it has started
    return wait


def _feed(strength_ms: float) -> None:
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    while os.read(0, 1):
        time.sleep(strength_ms / 1e3)
        os.write(1, b"x")


def contended_lock(strength_ms: float) -> Act:
    """A lock that another thread holds for a while, waiting for something itself."""
    guard, asked, taken = threading.Lock(), threading.Semaphore(0), threading.Event()

    def hold() -> None:
        asked.acquire()
        with guard:
            taken.set()
            time.sleep(strength_ms / 1e3)

    background(hold).set()

    def wait() -> None:
        taken.clear()
        asked.release()
        taken.wait()
        with guard:
            pass

    return wait


def long_call(strength_ms: float) -> Act:
    """A call into C that keeps the interpreter lock for so long."""
    numbers = range(200_000)
    took = min(_timed(lambda: sum(numbers)) for _ in range(5))
    size = round(len(numbers) * strength_ms / 1e3 / took)
    return lambda: sum(range(size))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: the cause that should be named, how to make one, and the shapes it makes sense in."""

    cause: str
    make: Callable[[Points, float, int], Fault]
    shapes: frozenset[str]


EVERY = frozenset({"one_thread", "chain", "service", "accelerator"})
THREADS = frozenset({"one_thread", "chain"})


def _at(point: str, act: Callable[[float], Act]) -> Callable[[Points, float, int], Fault]:
    return lambda points, strength_ms, seed: At(points, point, act(strength_ms))


def _beside(act: Callable[[float], Act], pause: float) -> Callable[[Points, float, int], Fault]:
    return lambda points, strength_ms, seed: Beside(act(strength_ms), pause * strength_ms / 1e3, seed)


def _heavier(strength_ms: float) -> Act:
    turns = turns_of(strength_ms / 1e3)
    return lambda: work(turns)


def _neighbours(points: Points, strength_ms: float, seed: int) -> Fault:
    return Neighbours(6 * (os.cpu_count() or 1))


KINDS: dict[str, Kind] = {
    "heavier work": Kind("cpu_work", _at("in_work", _heavier), EVERY),
    "neighbours": Kind("cpu_contention", _neighbours, EVERY),
    "quota": Kind("cpu_quota", lambda points, ms, seed: Quota(0.2), frozenset({"one_thread", "chain"})),
    "collection": Kind("gc_pause", _collection, EVERY),
    "collection elsewhere": Kind("gc_pause", _collection_elsewhere, THREADS | {"service"}),
    "held lock": Kind("python_gil", _beside(long_call, 3.0), THREADS | {"service"}),
    "synchronous write": Kind("io_wait", _at("in_output", synchronous_write), EVERY),
    "direct read": Kind("io_wait", _at("in_output", direct_read), EVERY),
    "slow pipe": Kind("io_wait", _at("in_output", slow_pipe), THREADS),
    "contended lock": Kind("lock_wait", _at("in_work", contended_lock), THREADS),
    "late source": Kind("late_input", lambda points, ms, seed: Set(points, "delay_s", ms / 1e3),
                        THREADS | {"accelerator"}),
    "slow consumer": Kind("queue_wait", _at("after", slow_consumer), frozenset({"chain"})),
    "busy loop": Kind("loop_wait", lambda points, ms, seed: Set(points, "delay_s", ms / 1e3),
                      frozenset({"service"})),
    "larger kernel": Kind("gpu_work", lambda points, ms, seed: Set(points, "enlarged", 3.5),
                          frozenset({"accelerator"})),
    "larger copy": Kind("gpu_transfer", lambda points, ms, seed: Set(points, "copied", 3),
                        frozenset({"accelerator"})),
}  # fmt: skip
OF_THE_ACCELERATOR = {"other client": "gpu_contention", "clocked down": "gpu_throttle"}
"""Its own faults, which need its socket (``graphics.py``), and the causes they are."""


if __name__ == "__main__" and len(sys.argv) > 1:
    _feed(float(sys.argv[1]))
elif __name__ == "__main__":  # one of the neighbours
    import select

    going = False
    while True:
        if select.select([0], [], [], 0 if going else None)[0]:
            order = sys.stdin.readline()
            if not order:
                break
            going = order.strip() == "go"
        if going:
            work(20_000)
