"""The software accelerator: a process that stands in for a GPU where there is none.

It executes image kernels from one first-in-first-out queue that several client processes feed, on copies
of their pixels in its own memory. Its clock can be held back: after every strip that took *t* it idles
*t* · (1/ratio − 1), which is counted as gated time. Everything it tells is measured. It is a stand-in for
how a GPU is shared, not for how fast one is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import mmap
import os
import queue
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from framescope import signals
from framescope.probes.software_accelerator import SAMPLE_NS, ClientUse, Mode, Status, StatusPage
from ultrasound import children, wire
from ultrasound.jpeg import Image
from ultrasound.kernels import KERNELS

log = logging.getLogger("software accelerator")

HEARTBEAT_NS = 10_000_000
MIN_RATIO = 0.05
MAX_SHAPES = 8
"""Sizes of image a client has device memory for at a time; the one it used first gives way."""
_FREQUENCY_EVERY_NS = 1_000_000_000
_CREDENTIALS = struct.Struct("3i")


class Client:
    """One connected process, its shared memory, and the device memory held for it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.pid = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )[0]
        self.name = ""
        self.memory: mmap.mmap | None = None
        self.gone = False
        self.buffers: dict[tuple[int, int], tuple[Image, Image]] = {}

    def greet(self, name: str, descriptor: int) -> None:
        """Take the client's name and map its memory. Raises ``OSError`` or ``ValueError``."""
        self.name = name[:32] or f"pid {self.pid}"
        self.memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)

    def device_buffers(self, height: int, width: int) -> tuple[Image, Image]:
        if (height, width) not in self.buffers:
            if len(self.buffers) >= MAX_SHAPES:
                del self.buffers[next(iter(self.buffers))]
            shape = (height, width)
            self.buffers[shape] = (np.empty(shape, np.uint8), np.empty(shape, np.uint8))
        return self.buffers[height, width]

    @property
    def memory_bytes(self) -> int:
        return sum(source.nbytes + target.nbytes for source, target in list(self.buffers.values()))


@dataclass(slots=True)
class Counters:
    """Cumulative since the start; written by the executor alone."""

    busy_ns: int = 0
    gated_ns: int = 0
    transfer_ns: int = 0
    clients: dict[tuple[int, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job as it came in: how long the receiving thread was kept off its core meanwhile, and the
    executor's run-queue time by then (both None where the kernel does not tell)."""

    client: Client
    job: wire.Job
    delayed_ns: int | None
    runqueue_ns: int | None


class RunQueue:
    """The run-queue time of one thread: runnable but not running, ns since the thread started."""

    def __init__(self, thread: int) -> None:
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):  # a kernel without it: the time stays unknown
            self._descriptor = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)

    def read(self) -> int | None:
        if self._descriptor is None:
            return None
        return int(os.pread(self._descriptor, 64, 0).split()[1])


class Executor(threading.Thread):
    """The device's one compute engine: takes jobs in the order they came and runs them strip by strip."""

    def __init__(self, mode: Mode) -> None:
        super().__init__(name="executor", daemon=True)
        self.mode = mode
        self.ratio = 1.0
        self.counters = Counters()
        self.jobs: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._runqueue: RunQueue | None = None

    def run(self) -> None:
        children.precise_sleeps()
        self._runqueue = RunQueue(threading.get_native_id())
        while True:
            arrival = self.jobs.get()
            client, job = arrival.client, arrival.job
            if client.gone:
                continue
            try:
                answer = self._execute(arrival).pack()
            except (ValueError, cv2.error) as error:
                reason = f"{type(error).__name__}: {error}".encode()[:200]
                answer = wire.FAILED + wire.JOB_ID.pack(job.id) + reason
            with contextlib.suppress(OSError):  # the client went away while its job ran
                client.connection.send(answer)

    def runqueue_ns(self) -> int | None:
        """Time this thread has been runnable but not running since it started; None where not told."""
        return None if self._runqueue is None else self._runqueue.read()

    def _execute(self, arrival: Arrival) -> wire.Done:
        client, job = arrival.client, arrival.job
        if client.memory is None:
            raise ValueError("a job before the greeting")
        kernel = KERNELS.get(job.kernel)
        size = job.width * job.height
        if kernel is None:
            raise ValueError(f"no kernel {job.kernel!r}; there are {', '.join(KERNELS)}")
        if size == 0 or max(job.source, job.target) + size > len(client.memory):
            raise ValueError(f"an image of {job.width} × {job.height} does not fit the shared memory")
        counters = self.counters
        key = (client.pid, client.name)
        start_ns = time.monotonic_ns()
        host_in = np.frombuffer(client.memory, np.uint8, size, job.source).reshape(job.height, job.width)
        host_out = np.frombuffer(client.memory, np.uint8, size, job.target).reshape(job.height, job.width)
        source, target = client.device_buffers(job.height, job.width)
        source[:] = host_in
        transfer_ns = time.monotonic_ns() - start_ns
        busy_ns = gated_ns = 0
        runqueue = self.runqueue_ns()
        before = time.monotonic_ns()
        for _ in kernel(source, target):
            now, runqueue_now = time.monotonic_ns(), self.runqueue_ns()
            strip_ns = max(0, now - before - _held(runqueue, runqueue_now))
            idle_ns = 0
            if self.ratio < 1.0:
                time.sleep(strip_ns * (1 / self.ratio - 1) / 1e9)
                before, runqueue = now, runqueue_now
                now, runqueue_now = time.monotonic_ns(), self.runqueue_ns()
                idle_ns = max(0, now - before - _held(runqueue, runqueue_now))
            busy_ns += strip_ns + idle_ns
            gated_ns += idle_ns
            counters.busy_ns += strip_ns + idle_ns
            counters.gated_ns += idle_ns
            counters.clients[key] = counters.clients.get(key, 0) + strip_ns + idle_ns
            before, runqueue = now, runqueue_now
        copy_from = time.monotonic_ns()
        host_out[:] = target
        end_ns = time.monotonic_ns()
        transfer_ns += end_ns - copy_from
        counters.transfer_ns += transfer_ns
        if self.mode == "nvml":
            return wire.Done(job.id, start_ns, end_ns, None)
        held_ns = None
        if arrival.runqueue_ns is not None and arrival.delayed_ns is not None:
            held_ns = arrival.delayed_ns + _held(arrival.runqueue_ns, self.runqueue_ns())
        return wire.Done(job.id, start_ns, end_ns, wire.Detail(busy_ns, transfer_ns, gated_ns, held_ns))


class Accelerator:
    """Listens for clients, hands their jobs to the executor, keeps the status page up to date."""

    def __init__(self, listener: socket.socket, page: StatusPage, mode: Mode, core: int | None) -> None:
        self.mode: Mode = mode
        self.executor = Executor(mode)
        self._listener = listener
        self._page = page
        self._core = core
        self._selector = selectors.DefaultSelector()
        self._clients: dict[socket.socket, Client] = {}
        self._held_back_by: Client | None = None
        self._started_ns = time.monotonic_ns()
        self._sampled: Status | None = None
        self._core_hz: float | None = None
        self._frequency_read_ns = -_FREQUENCY_EVERY_NS
        self._runqueue = RunQueue(threading.get_native_id())
        self._held_before: int | None = None
        self.stopping = False

    def serve(self) -> None:
        """Until told to stop, or until the parent process is gone."""
        self.executor.start()
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        with contextlib.suppress(PermissionError):  # standard input is a plain file: no parent to follow
            self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        next_beat = time.monotonic_ns()
        while not self.stopping:
            self._held_before = self._runqueue.read()
            timeout = max(0, next_beat - time.monotonic_ns()) / 1e9
            for key, _ in self._selector.select(timeout):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._receive(self._clients[key.fileobj])
                elif not os.read(0, 64):
                    return
            now = time.monotonic_ns()
            if now >= next_beat:
                self._page.write(self.status(now))
                next_beat = max(next_beat + HEARTBEAT_NS, now)

    def status(self, now_ns: int) -> Status:
        """The page's content: fresh counters where the mode's sampling period is over, else the last ones."""
        if now_ns - self._frequency_read_ns >= _FREQUENCY_EVERY_NS:
            self._core_hz, self._frequency_read_ns = core_frequency(self._core), now_ns
        last = self._sampled
        due = last is None or now_ns - last.sampled_ns >= SAMPLE_NS[self.mode]
        counters = self.executor.counters
        full = self.mode == "full"
        fresh = Status(
            pid=os.getpid(),
            mode=self.mode,
            started_ns=self._started_ns,
            heartbeat_ns=now_ns,
            sampled_ns=now_ns,
            busy_ns=counters.busy_ns,
            gated_ns=counters.gated_ns,
            transfer_ns=counters.transfer_ns if full else None,
            runqueue_ns=self.executor.runqueue_ns() if full else None,
            memory_bytes=sum(client.memory_bytes for client in self._clients.values()),
            queue_length=self.executor.jobs.qsize() if full else None,
            core_hz=self._core_hz,
            clients=tuple(ClientUse(pid, name, ns) for (pid, name), ns in list(counters.clients.items())),
        )
        if last is None or due:
            self._sampled = fresh
            return fresh
        return replace(last, heartbeat_ns=now_ns)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(True)
        self._clients[connection] = Client(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, client: Client) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(client.connection, wire.PACKET_BYTES, 1)
        except OSError:
            message, descriptors = b"", []
        try:
            if message:
                self._answer(client, message[:1], message[1:], descriptors)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
            log.warning("client %s (%s) sent what makes no sense: %s", client.pid, client.name, error)
            message = b""
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if not message:
            self._forget(client)

    def _answer(self, client: Client, kind: bytes, body: bytes, descriptors: list[int]) -> None:
        if kind == wire.JOB:
            self._enqueue(client, wire.Job.unpack(body))
        elif kind == wire.HELLO:
            if len(descriptors) != 1:
                raise ValueError("a greeting without shared memory")
            client.greet(str(json.loads(body)["name"]), descriptors[0])
            welcome = {"device": signals.SOFTWARE_ACCELERATOR, "mode": self.mode}
            client.connection.send(wire.HELLO + json.dumps(welcome).encode())
        elif kind == wire.CLOCK:
            (ratio,) = wire.RATIO.unpack(body)
            self.executor.ratio = min(1.0, max(MIN_RATIO, ratio))
            self._held_back_by = client
            client.connection.send(wire.CLOCK + wire.RATIO.pack(self.executor.ratio))
        else:
            raise ValueError(f"a message of kind {kind!r}")

    def _enqueue(self, client: Client, job: wire.Job) -> None:
        delayed_ns = None
        if (held := self._runqueue.read()) is not None:
            # Nothing that happened before the job was sent can have held it up.
            delayed_ns = min(_held(self._held_before, held), max(0, time.monotonic_ns() - job.queued_ns))
        self.executor.jobs.put(Arrival(client, job, delayed_ns, self.executor.runqueue_ns()))

    def _forget(self, client: Client) -> None:
        client.gone = True
        if client is self._held_back_by:  # nobody else would set it free
            self.executor.ratio, self._held_back_by = 1.0, None
        self._selector.unregister(client.connection)
        self._clients.pop(client.connection, None)
        client.connection.close()


def _held(before: int | None, after: int | None) -> int:
    """Run-queue time between two readings; what was not read takes nothing off."""
    return 0 if before is None or after is None else max(0, after - before)


def core_frequency(core: int | None) -> float | None:
    """The frequency of a core in Hz, as the machine tells it; None where it does not."""
    directory = Path(f"/sys/devices/system/cpu/cpu{core or 0}/cpufreq")
    with contextlib.suppress(OSError, ValueError):
        return int((directory / "scaling_cur_freq").read_text()) * 1e3
    with contextlib.suppress(OSError, ValueError):
        told = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("cpu MHz")]
        if told:
            return float(told[min(core or 0, len(told) - 1)].partition(":")[2]) * 1e6
    return None


def pin_to_last_core() -> int | None:
    """Keep this process to one core, away from the others'; None where there is only one to be had."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None
    os.sched_setaffinity(0, {cores[-1]})
    return cores[-1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="ultrasound.accelerator", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    parser.add_argument("--status-page", type=Path, required=True, help="file to publish the status in")
    parser.add_argument("--mode", choices=("full", "nvml"), default="full")
    options = parser.parse_args()
    logging.basicConfig(format="%(name)s: %(message)s")
    children.name_this_process("sw-accelerator")
    cv2.setNumThreads(1)
    core = pin_to_last_core()
    options.socket.unlink(missing_ok=True)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
        StatusPage(options.status_page) as page,
    ):
        listener.bind(str(options.socket))
        listener.listen(16)
        accelerator = Accelerator(listener, page, options.mode, core)

        def stop(*_: object) -> None:
            accelerator.stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        accelerator.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
