"""A client of the software accelerator, and the timer of what it does there (a ``GpuTimer``)."""

from __future__ import annotations

import contextlib
import itertools
import json
import mmap
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from framescope.probes.device import GpuWork, next_token
from ultrasound import wire
from ultrasound.jpeg import Image

DEVICE_ID = "software-0"
_FIRST_BACKOFF = 0.05
_LAST_BACKOFF = 1.0
_HELLO_TIMEOUT = 0.25


class AcceleratorAway(Exception):
    """The accelerator is not there, went away, or did not answer in time. Worth trying again later."""


class KernelFailed(Exception):
    """The accelerator refused or failed this job."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job as its client saw it: copied to the accelerator's memory since ``began_ns``, handed over at
    ``queued_ns``, its answer there at ``back_ns`` and copied back by ``ended_ns``."""

    began_ns: int
    queued_ns: int
    done: wire.Done
    back_ns: int
    ended_ns: int

    @property
    def copied_ns(self) -> int:
        return self.queued_ns - self.began_ns + self.ended_ns - self.back_ns


class AcceleratorClient:
    """Runs kernels on the accelerator, one at a time, from any thread. Never waits longer than ``timeout`` s.

    After a failure it reconnects by itself, with growing pauses; until then every call fails at once.
    """

    def __init__(
        self, path: Path, name: str, *, timeout: float = 0.5, max_pixels: int = 2 * 1024 * 1024
    ) -> None:
        self.name = name
        self._path = path
        self._timeout = timeout
        self._max_pixels = max_pixels
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._socket: socket.socket | None = None
        self._memory: mmap.mmap | None = None
        self._backoff = _FIRST_BACKOFF
        self._not_before = 0.0
        self._thread = threading.local()
        self._timed: dict[int, list[Job]] = {}
        self._finished: deque[GpuWork] = deque(maxlen=4096)

    def run(self, kernel: str, image: Image) -> Image:
        """Run one kernel on a grey image and wait for the result.

        Raises ``AcceleratorAway`` or ``KernelFailed``, and ``ValueError`` for an image that is not grey or
        too large.
        """
        if image.ndim != 2 or image.dtype != np.uint8:
            raise ValueError(f"the accelerator takes grey images, not {image.dtype} of shape {image.shape}")
        if image.size > self._max_pixels:
            raise ValueError(f"an image of {image.size} pixels; the accelerator takes {self._max_pixels}")
        height, width = image.shape
        with self._lock:
            connection, memory = self._connected()
            source = np.frombuffer(memory, np.uint8, image.size).reshape(image.shape)
            began_ns = time.monotonic_ns()
            source[:] = image
            job = wire.Job(next(self._ids), time.monotonic_ns(), width, height, 0, self._max_pixels, kernel)
            done = self._submit(connection, job)
            back_ns = time.monotonic_ns()
            result = np.frombuffer(memory, np.uint8, image.size, self._max_pixels).reshape(image.shape).copy()
            ended_ns = time.monotonic_ns()
        timed = self._timed.get(getattr(self._thread, "token", 0))
        if timed is not None:
            timed.append(Job(began_ns, job.queued_ns, done, back_ns, ended_ns))
        return result

    def set_clock(self, ratio: float) -> float:
        """Hold the accelerator's clock back to ``ratio`` of the time; answers what is in force.

        It is in force until another is set or this client's connection ends, as it does when an answer
        comes too late: ``AcceleratorAway`` means the clock runs free again.
        """
        with self._lock:
            connection, _ = self._connected()
            answer = self._ask(connection, wire.CLOCK + wire.RATIO.pack(ratio), wire.CLOCK)
            return float(wire.RATIO.unpack(answer)[0])

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    # -- GpuTimer ---------------------------------------------------------------------------------------

    def begin(self) -> int:
        """The jobs this thread runs from now on belong to one stage of one frame."""
        token = next_token()
        self._timed[token] = []
        self._thread.token = token
        return token

    def end(self, token: int) -> None:
        if getattr(self._thread, "token", 0) == token:
            self._thread.token = 0
        timed = self._timed.pop(token, None)
        if timed:
            self._finished.append(gpu_work(token, timed))

    def collect(self) -> list[GpuWork]:
        finished = []
        with contextlib.suppress(IndexError):
            while True:
                finished.append(self._finished.popleft())
        return finished

    # -- the connection ---------------------------------------------------------------------------------

    def _connected(self) -> tuple[socket.socket, mmap.mmap]:
        if self._socket is not None and self._memory is not None:
            return self._socket, self._memory
        if time.monotonic() < self._not_before:
            raise AcceleratorAway("the software accelerator is away; trying again shortly")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor = os.memfd_create(f"pixels of {self.name}")
        try:
            os.ftruncate(descriptor, 2 * self._max_pixels)
            self._socket, self._memory = connection, mmap.mmap(descriptor, 2 * self._max_pixels)
            connection.settimeout(_HELLO_TIMEOUT)
            connection.connect(str(self._path))
            hello = wire.HELLO + json.dumps({"name": self.name}).encode()
            socket.send_fds(connection, [hello], [descriptor])
            if connection.recv(wire.PACKET_BYTES)[:1] != wire.HELLO:
                raise OSError("no greeting")
        except OSError as error:
            raise self._away(error) from error
        finally:
            os.close(descriptor)
        connection.settimeout(self._timeout)
        self._backoff = _FIRST_BACKOFF
        return self._socket, self._memory

    def _submit(self, connection: socket.socket, job: wire.Job) -> wire.Done:
        return wire.Done.unpack(self._ask(connection, job.pack(), wire.DONE))

    def _ask(self, connection: socket.socket, message: bytes, expected: bytes) -> bytes:
        try:
            connection.send(message)
            answer = connection.recv(wire.PACKET_BYTES)
        except OSError as error:  # includes the timeout; a late answer must not meet the next question
            raise self._away(error) from error
        if answer[:1] == wire.FAILED:
            raise KernelFailed(answer[1 + wire.JOB_ID.size :].decode(errors="replace"))
        if answer[:1] != expected:
            raise self._away(OSError("connection closed"))
        return answer[1:]

    def _away(self, error: OSError) -> AcceleratorAway:
        self._disconnect()
        self._not_before = time.monotonic() + self._backoff
        self._backoff = min(2 * self._backoff, _LAST_BACKOFF)
        reason = "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or str(error))
        return AcceleratorAway(f"the software accelerator is away: {reason}")

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = self._memory = None  # the mapping ends with its last array


def gpu_work(token: int, jobs: Sequence[Job]) -> GpuWork:
    """One stage's work from its jobs, in the order they ran.

    ``wait_ns`` is the time from submission to end not spent executing or copying this work; the
    accelerator's own run-queue time is within it. What the client copies, to the memory that stands for the
    device's and back, is transfer too.
    """
    start_ns = jobs[0].done.start_ns
    details = [job.done.detail for job in jobs if job.done.detail is not None]
    if len(details) < len(jobs):
        return GpuWork(token, DEVICE_ID, start_ns, jobs[-1].done.end_ns)
    busy = sum(d.busy_ns for d in details)
    transfer = sum(d.transfer_ns for d in details)
    runqueue = [d.runqueue_ns for d in details]
    held = sum(job.done.end_ns - job.queued_ns for job in jobs)
    return GpuWork(
        token,
        DEVICE_ID,
        start_ns,
        jobs[-1].ended_ns,
        queued_ns=jobs[0].began_ns,
        busy_ns=busy,
        wait_ns=max(0, held - busy - transfer),
        transfer_ns=transfer + sum(job.copied_ns for job in jobs),
        throttle_ns=sum(d.gated_ns for d in details),
        runqueue_ns=None if None in runqueue else sum(filter(None, runqueue)),
    )
