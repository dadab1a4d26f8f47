"""The status page of a software accelerator: how one process tells what a GPU driver would.

A software accelerator is a process that executes image kernels from a queue where no GPU is found. It
keeps a small file up to date, its *status page*; the agent reads it like any other device. The page holds
cumulative counters, so that a reader at any rate gets exact rates over its own window, and short events
are never missed.

The file is two slots of fixed size, written in turn, each with a sequence number and a checksum: whoever
reads while one is being written finds the other whole. It is read with ``pread``, never mapped: a file
that shrinks under a mapping would kill the reader.

Two modes. ``full`` tells everything. ``nvml`` tells only what NVML tells of a GPU: utilization in total
and by process over 1/6 s, memory, clock, cumulative throttle time.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from framescope import signals
from framescope.probes.device import DeviceIdentity, DeviceReading, ProcessUse

Mode = Literal["full", "nvml"]

SAMPLE_NS: Final[dict[Mode, int]] = {"full": 10_000_000, "nvml": 1_000_000_000 // 6}
"""How old the counters on the page may get: NVML averages over 1/6 s, so its mode tells no finer."""
STALE_NS: Final = 500_000_000
"""A page whose heartbeat is older than this belongs to a process that is gone or stuck."""
THROTTLE_REASON: Final = "clock_gating"

_MAGIC: Final = b"FSACCEL1"
_SLOT_HEAD: Final = struct.Struct("<8sQII")  # magic, sequence, payload length, checksum
_STATUS: Final = struct.Struct("<IIdQQQQQQQQII")
_CLIENT: Final = struct.Struct("<IQ32s")
_SLOT_BYTES: Final = 1024
_MAX_CLIENTS: Final = (_SLOT_BYTES - _SLOT_HEAD.size - _STATUS.size) // _CLIENT.size
PAGE_BYTES: Final = 2 * _SLOT_BYTES
_FULL: Final = 1
_RUNQUEUE_TOLD: Final = 2


@dataclass(frozen=True, slots=True)
class ClientUse:
    """One client since it was first seen: ``busy_ns`` the accelerator spent on its kernels."""

    pid: int
    name: str
    busy_ns: int


@dataclass(frozen=True, slots=True)
class Status:
    """What the page says. All times monotonic ns; counters are cumulative since ``started_ns``.

    ``busy_ns`` is time with a kernel in execution, ``gated_ns`` the part of it the clock was held back;
    ``runqueue_ns`` the executor was runnable but not running (None in ``nvml`` mode, and where the kernel
    does not tell); ``core_hz`` the frequency of its core (None where the machine does not tell);
    ``sampled_ns`` is when the counters were read, ``heartbeat_ns`` when the page was last written.
    """

    pid: int
    mode: Mode
    started_ns: int
    heartbeat_ns: int
    sampled_ns: int
    busy_ns: int
    gated_ns: int
    transfer_ns: int | None
    runqueue_ns: int | None
    memory_bytes: int
    queue_length: int | None
    core_hz: float | None
    clients: tuple[ClientUse, ...] = ()


def encode(status: Status, sequence: int) -> bytes:
    """One slot. Clients beyond the page's room are added up as pid 0, the busiest are kept apart."""
    clients = sorted(status.clients, key=lambda c: -c.busy_ns)
    if len(clients) > _MAX_CLIENTS:
        rest = clients[_MAX_CLIENTS - 1 :]
        clients = [*clients[: _MAX_CLIENTS - 1], ClientUse(0, "others", sum(c.busy_ns for c in rest))]
    full = status.mode == "full"
    payload = _STATUS.pack(
        status.pid,
        (_FULL | (_RUNQUEUE_TOLD if status.runqueue_ns is not None else 0)) if full else 0,
        status.core_hz or 0.0,
        status.started_ns,
        status.heartbeat_ns,
        status.sampled_ns,
        status.busy_ns,
        status.gated_ns,
        (status.transfer_ns or 0) if full else 0,
        (status.runqueue_ns or 0) if full else 0,
        status.memory_bytes,
        (status.queue_length or 0) if full else 0,
        len(clients),
    ) + b"".join(_CLIENT.pack(c.pid, c.busy_ns, c.name.encode()[:32]) for c in clients)
    head = _SLOT_HEAD.pack(_MAGIC, sequence, len(payload), zlib.crc32(payload, sequence & 0xFFFFFFFF))
    return (head + payload).ljust(_SLOT_BYTES, b"\0")


def decode(page: bytes) -> Status | None:
    """The newest whole slot of a page; None where neither is whole (torn, empty, not a status page)."""
    newest: tuple[int, bytes] | None = None
    for offset in (0, _SLOT_BYTES):
        slot = page[offset : offset + _SLOT_BYTES]
        if len(slot) < _SLOT_BYTES:
            continue
        magic, sequence, length, checksum = _SLOT_HEAD.unpack_from(slot)
        payload = slot[_SLOT_HEAD.size : _SLOT_HEAD.size + length]
        if magic != _MAGIC or not _STATUS.size <= length == len(payload):
            continue
        if zlib.crc32(payload, sequence & 0xFFFFFFFF) == checksum and (
            newest is None or sequence > newest[0]
        ):
            newest = (sequence, payload)
    return None if newest is None else _status(newest[1])


def _status(payload: bytes) -> Status | None:
    pid, flags, core_hz, started, heartbeat, sampled, busy, gated, transfer, runqueue, memory, queued, n = (
        _STATUS.unpack_from(payload)
    )
    if len(payload) != _STATUS.size + n * _CLIENT.size:
        return None
    full = bool(flags & _FULL)
    clients = tuple(
        ClientUse(client_pid, name.rstrip(b"\0").decode(errors="replace"), client_busy)
        for client_pid, client_busy, name in _CLIENT.iter_unpack(payload[_STATUS.size :])
    )
    return Status(
        pid=pid,
        mode="full" if full else "nvml",
        started_ns=started,
        heartbeat_ns=heartbeat,
        sampled_ns=sampled,
        busy_ns=busy,
        gated_ns=gated,
        transfer_ns=transfer if full else None,
        runqueue_ns=runqueue if flags & _RUNQUEUE_TOLD else None,
        memory_bytes=memory,
        queue_length=queued if full else None,
        core_hz=core_hz or None,
        clients=clients,
    )


class StatusPage:
    """The accelerator's side: creates the page and writes it, one slot and then the other."""

    def __init__(self, path: Path) -> None:
        """Put a fresh page at ``path``; readers of an older one notice the new file. Raises ``OSError``."""
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(descriptor, PAGE_BYTES)
            self._map = mmap.mmap(descriptor, PAGE_BYTES)
        finally:
            os.close(descriptor)
        fresh.replace(path)
        self._sequence = 0

    def write(self, status: Status) -> None:
        self._sequence += 1
        offset = (self._sequence & 1) * _SLOT_BYTES
        self._map[offset : offset + _SLOT_BYTES] = encode(status, self._sequence)

    def close(self) -> None:
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class StatusFile:
    """The reader's side of a page: opens it when it appears, and again when another file took its place."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None

    def read(self) -> Status | None:
        """What the page says now; None where there is none or it makes no sense."""
        try:
            found = self._path.stat()
            identity = (found.st_dev, found.st_ino)
            if self._descriptor is None or identity != self._identity:
                self.close()
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
                self._identity = identity
            return decode(os.pread(self._descriptor, PAGE_BYTES, 0))
        except OSError:
            self.close()
            return None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._identity = None


class SoftwareAcceleratorProbe:
    """Reads one software accelerator's status page: a ``DeviceProbe``.

    ``ours`` are the process ids of the traced pipeline (and of its children); every other client of the
    accelerator counts as other use. Without any, whose a client is stays unknown. No reading comes from a
    page that is missing, torn, stale, or has not moved on; readings come back by themselves.
    """

    name = "software_accelerator"

    def __init__(
        self,
        path: str | Path,
        ours: Iterable[int] = (),
        *,
        device_id: str = "software-0",
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._file = StatusFile(path)
        self._ours = frozenset(ours)
        self._clock = clock
        self._last: Status | None = None
        self.device = DeviceIdentity(
            id=device_id, name=signals.SOFTWARE_ACCELERATOR, vendor="framescope", simulated=True
        )

    def read(self, now_ns: int | None = None) -> list[DeviceReading]:
        """One reading over the time since the last one, or none."""
        now_ns = self._clock() if now_ns is None else now_ns
        status = self._file.read()
        if status is None or now_ns - status.heartbeat_ns > STALE_NS:
            self._last = None
            return []
        last = self._last
        if last is None or not _goes_on(last, status):
            self._last = status
            return []
        if status.sampled_ns == last.sampled_ns:
            return []
        self._last = status
        return [self._reading(last, status)]

    def close(self) -> None:
        self._file.close()
        self._last = None

    def _reading(self, last: Status, status: Status) -> DeviceReading:
        window_ns = status.sampled_ns - last.sampled_ns
        busy_ns = status.busy_ns - last.busy_ns
        gated_ns = status.gated_ns - last.gated_ns
        processes = tuple(self._uses(last, status, window_ns))
        clock_hz = None
        if status.core_hz is not None and busy_ns > 0:
            clock_hz = status.core_hz * max(0, busy_ns - gated_ns) / busy_ns
        return DeviceReading(
            device=self.device,
            time_ns=status.sampled_ns,
            window_ns=window_ns,
            utilization=min(1.0, busy_ns / window_ns),
            other_utilization=sum(p.utilization for p in processes if not p.ours) if self._ours else None,
            processes=processes,
            memory_used_bytes=status.memory_bytes,
            clock_hz=clock_hz,
            throttle_ns={THROTTLE_REASON: status.gated_ns},
            runqueue_ns=status.runqueue_ns,
        )

    def _uses(self, last: Status, status: Status, window_ns: int) -> Iterable[ProcessUse]:
        before = {(c.pid, c.name): c.busy_ns for c in last.clients}
        for client in status.clients:
            used_ns = client.busy_ns - before.get((client.pid, client.name), 0)
            if used_ns > 0:
                yield ProcessUse(
                    pid=client.pid or None,
                    name=client.name,
                    utilization=min(1.0, used_ns / window_ns),
                    ours=client.pid in self._ours if self._ours and client.pid else None,
                )


def _goes_on(last: Status, status: Status) -> bool:
    """Whether ``status`` continues the counters of ``last``: the same process, nothing going backwards."""
    return (
        (status.pid, status.started_ns, status.mode) == (last.pid, last.started_ns, last.mode)
        and status.sampled_ns >= last.sampled_ns
        and status.busy_ns >= last.busy_ns
        and status.gated_ns >= last.gated_ns
    )
