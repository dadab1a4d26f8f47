"""One daemon thread a process that packs what the recorders hold and hands it to the agent."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from framescope.handover import Batch, pack
from framescope.probes.gc import CollectionProbe
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder
from framescope.recorder.witnesses import Witnesses

INTERVAL_S: Final = 0.1
"""Each time costs the host some 0.2 ms, most of it for code that has gone cold since: 0.4 % of a core at 20
times a second, half of it at 10. What a killed host had not handed over is lost: at most this much."""
FRAMES_A_BATCH: Final = 32
"""Packing holds the interpreter lock: 32 frames of 8 stages take some 0.05 ms while they are in the caches,
0.2 ms when they are not."""
PAUSE_S: Final = 0.0002
"""Between two batches the frames' threads get the lock for certain: giving it up alone (a sleep of 0) leaves
it with this thread more often than not."""


class Link(Protocol):
    """The way to an agent. ``send`` may take a while (it runs off the frames' threads) and raises
    ``OSError`` when the agent is gone; the batch is then offered again after ``revive``."""

    def send(self, message: bytes, frames: int) -> None: ...

    def revive(self) -> bool:
        """Try to reach an agent again; False: not yet."""
        ...

    def losses(self) -> dict[str, int]:
        """Frames handed over that an agent took down with it, by reason; cumulative."""
        ...

    def close(self, timeout: float) -> None: ...


class Shipper:
    """Drains all recorders of this process about ten times a second."""

    def __init__(
        self,
        link: Link,
        instance: str,
        collections: CollectionProbe,
        faults: Faults,
        clock: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
        witnesses: Witnesses | None = None,
    ) -> None:
        self._began_unix_ns = wall()
        self._link = link
        self._instance = instance
        self._collections = collections
        self._faults = faults
        self._witnesses = witnesses or Witnesses()
        self._clock = clock
        self._recorders: list[Recorder] = []
        self._devices: list[str] = []
        self._retired: set[int] = set()
        self._unsent: tuple[bytes, int] | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, recorder: Recorder) -> None:
        """Ship this recorder too; starts the thread on the first."""
        self._recorders.append(recorder)
        with (
            self._starting
        ):  # pipelines made on several threads at once: two shippers would mix their batches
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="framescope-shipper", daemon=True)
                try:
                    thread.start()
                except (
                    RuntimeError
                ):  # no more threads; the next pipeline tries again, frames are counted as lost
                    self._faults.note("shipper.start")
                else:
                    self._thread = thread

    def watch_device(self, path: str) -> None:
        """Tell the agent of a device it can read at ``path``."""
        if path not in self._devices:
            self._devices.append(path)

    def close(self, timeout: float = 5.0) -> None:
        """Ship what is left and end the agent's link; waits at most ``timeout`` seconds."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self._link.close(timeout)

    def _run(self) -> None:
        while not self._stopping:
            errand = self._witnesses.sets_out(INTERVAL_S)
            self._wake.wait(INTERVAL_S)
            try:
                self._witnesses.is_back(errand)
                self.ship()
                self._faults.tell()
            except Exception:
                self._faults.note("shipper")
        try:
            self.ship()
            self._faults.tell()
        except Exception:
            self._faults.note("shipper.close")

    def ship(self) -> None:
        """Hand over everything there is now."""
        more = True
        while more:
            if not self._offer():
                return
            batch, more = self._batch()
            self._unsent = (self._packed(batch), len(batch.frames))
            if more:
                time.sleep(PAUSE_S)
        self._offer()

    def _packed(self, batch: Batch) -> bytes:
        """The batch as bytes; a frame that cannot be packed is left out and counted, not its neighbours."""
        try:
            return pack(batch)
        except Exception:
            self._faults.note("handover.pack")
        bare = Batch(batch.pid, batch.instance, batch.sent_ns, batch.began_unix_ns, batch.pipelines)
        frames, batch.frames = batch.frames, []
        for frame in frames:
            try:
                pack(replace(bare, frames=[frame]))
            except Exception:
                self._lose_unpackable(frame[0], batch)
            else:
                batch.frames.append(frame)
        try:
            return pack(batch)
        except Exception:  # what came beside the frames
            self._faults.note("handover.pack")
            return pack(replace(bare, frames=batch.frames, losses=batch.losses, faults=batch.faults))

    def _lose_unpackable(self, number: int, batch: Batch) -> None:
        for recorder in self._recorders:
            if recorder.number == number:
                recorder.lose("unpackable")
                batch.losses[number, "unpackable"] = recorder.losses["unpackable"]

    def retire(self, recorder: Recorder) -> None:
        """Ship what this recorder still holds, then forget it."""
        self._retired.add(recorder.number)

    def _offer(self) -> bool:
        if self._unsent is None:
            return True
        message, frames = self._unsent
        try:
            self._link.send(message, frames)
        except OSError:
            if not self._link.revive():
                return False
            try:
                self._link.send(message, frames)
            except OSError:
                return False
        self._unsent = None
        return True

    def _batch(self) -> tuple[Batch, bool]:
        batch = Batch(os.getpid(), self._instance, self._clock(), self._began_unix_ns)
        batch.farewell = self._stopping
        batch.devices = list(self._devices)
        batch.collections = self._collections.collect()
        batch.faults = dict(self._faults.counts)
        if self._collections.missed:
            batch.losses[(-1, "collection_limit")] = self._collections.missed
        for reason, count in self._link.losses().items():
            batch.losses[(-1, reason)] = count
        room = FRAMES_A_BATCH
        more = False
        retired = set(self._retired)  # who retires from here on may still have frames when it was drained
        for recorder in self._recorders:
            number = recorder.number
            batch.pipelines[number] = recorder.definition
            try:
                self._add_rest(batch, recorder)
            except Exception:  # a queue of the host's, most likely: its frames are shipped all the same
                self._faults.note("shipper.batch")
            drained = recorder.take(room)
            self._witnesses.look_at(drained)
            batch.frames.extend(drained)
            room -= len(drained)
            more = more or room == 0
            for reason, count in list(recorder.losses.items()):
                batch.losses[(number, reason)] = count
        self._witnesses.tell(batch)
        if retired and not more:
            for gone in [one for one in self._recorders if one.number in retired]:
                self._recorders.remove(gone)  # in place: another may be added meanwhile
            self._retired -= retired
        return batch, more

    def _add_rest(self, batch: Batch, recorder: Recorder) -> None:
        """What a recorder has to tell beside its frames."""
        number = recorder.number
        for queue in recorder.queues:
            batch.queues.append(
                (number, queue.name, queue.capacity, len(queue), queue.blocked_ns, dict(queue.dropped))
            )
        for watched in recorder.watched:
            batch.queues.append(
                (number, watched.name, watched.capacity, watched.depth, watched.blocked_ns,
                 dict(watched.dropped))
            )  # fmt: skip
            if waits := watched.take_waits():
                batch.waits.append((number, watched.name, waits))
            if watched.missed_waits:
                batch.losses[number, "wait_limit"] = watched.missed_waits
        for timer in recorder.timers:
            try:
                batch.works.extend(tuple(work) for work in timer.collect())  # marshal takes no named ones
            except Exception:
                self._faults.note("gpu_timer.collect")
        for name, (at, value) in list(recorder.gauges.items()):
            batch.gauges.append((number, name, at, value))
        batch.counts += [(number, name, so_far) for name, so_far in list(recorder.counts.items())]
        while recorder.changes:
            at, text = recorder.changes.popleft()
            batch.marks.append((number, at, text))
        while recorder.recalls:
            at, back, why = recorder.recalls.popleft()
            batch.recalls.append((number, at, back, why))
