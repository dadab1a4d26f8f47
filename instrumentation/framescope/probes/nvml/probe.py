"""A session with the driver: every GPU of the machine, found, read in turns, lost and found again."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import pynvml

from framescope.probes.device import DeviceEvent, DeviceIdentity, DeviceReading
from framescope.probes.nvml.calls import LOST, NO_DRIVER, LostDeviceError, LostDriverError
from framescope.probes.nvml.events import EventWatch
from framescope.probes.nvml.gpu import Gpu, Readable, Slice, identified
from framescope.probes.nvml.people import People
from framescope.probes.nvml.stamps import Clocks
from framescope.probes.nvml.tiers import Tiers

NS: Final = 1_000_000_000
RETRY_FIRST_NS: Final = 5 * NS
RETRY_LAST_NS: Final = 300 * NS
TELL_LOST_NS: Final = NS
"""How often a device that is lost is said to have failed."""
RECUT_NS: Final = 10 * NS
"""How often a GPU is asked whether it was cut into slices, or its slices were."""
LOOK_AGAIN_NS: Final = 60 * NS
"""How often GPUs that did not answer at the start are asked again."""
EVENTS: Final = 1000
"""Events held until they are taken."""
_log: Final = logging.getLogger(__name__)


class NvmlProbe:
    """Reads every NVIDIA GPU of the machine. ``pid`` is the traced process, for telling its use from others'.

    NVML calls take a lock of the driver and may take seconds, or never return where a GPU is dying:
    whoever calls ``read`` does so where that holds up nobody. ``events``, ``costs`` and ``clock_error_ns``
    are as of the newest ``read`` and never wait. ``unavailable`` says why there is nothing to read, else it
    is ``None``.
    """

    name = "nvml"

    def __init__(
        self,
        pid: int,
        tiers: Tiers | None = None,
        clocks: Clocks | None = None,
        people: People | None = None,
    ) -> None:
        self._people = people or People(pid)
        self._tiers = tiers or Tiers()
        self._clocks = clocks or Clocks()
        self._open = False
        self._places: list[_Place] = []
        self._watch: EventWatch | None = None
        self._hanging: list[EventWatch] = []
        self._events: deque[DeviceEvent] = deque(maxlen=EVENTS)
        self._left_out: list[int] = []
        self._next_look_ns = 0
        self._retry_ns = RETRY_FIRST_NS
        self._due_ns: int | None = None
        self.unavailable: str | None = None
        self.costs: Mapping[str, int] = {}
        """What the newest turn of each group of calls took, over all devices, in ns. ``fields.query`` is the
        part of ``fields`` that the driver itself says it spent."""
        self.clock_error_ns: int | None = None
        """Bound on how far the times of load samples may be off; ``None`` while there are none."""

    def read(self, now_ns: int) -> list[DeviceReading]:
        """New readings of every device that answers; a lost one is said to have failed."""
        if not self._open and not self._start(now_ns):
            return []
        readings: list[DeviceReading] = []
        try:
            for event in self._watch.take() if self._watch is not None else ():
                self._events.append(event)
                for place in self._places:
                    if place.gpu.identity.id == event.device.id:
                        readings.extend(place.gpu.happened(event))
            for place in self._places:
                readings.extend(place.read(self._clocks))
            self._look_again(now_ns)
        except LostDriverError as error:
            self._give_up(self._clocks.monotonic(), str(error))
        self.costs = self._costs()
        errors = [place.gpu.clock_error_ns for place in self._places if place.lost_until_ns is None]
        self.clock_error_ns = max((error for error in errors if error is not None), default=None)
        return readings

    def events(self) -> list[DeviceEvent]:
        """What happened to devices since the last call."""
        found: list[DeviceEvent] = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def close(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None and not watch.close():
            self._hanging.append(watch)
        for place in self._places:
            place.close()
        self._places = []
        if not self._open:
            return
        self._open = False
        if any(not watch.close() for watch in self._hanging):
            return  # a call hangs in the driver: ending the session under it could crash the process
        self._hanging = []
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError as error:
            _log.debug("NVML shutdown: %s", error)

    def _costs(self) -> dict[str, int]:
        costs: dict[str, int] = {}
        for place in self._places:
            for readable in place.readables():
                for name, (turns, _) in readable.readers.items():
                    if turns.cost_ns is not None:
                        costs[name] = costs.get(name, 0) + turns.cost_ns
            if place.gpu.query_ns is not None:
                costs["fields.query"] = costs.get("fields.query", 0) + place.gpu.query_ns
        return costs

    def _start(self, now_ns: int) -> bool:
        if self._due_ns is not None and now_ns < self._due_ns:
            return False
        try:
            pynvml.nvmlInit()
            self._open = True
            self._places = self._find()
        except pynvml.NVMLError as error:
            self._give_up(now_ns, str(error))
            return False
        if not self._places:
            self._give_up(now_ns, "the driver has no GPU that answers")
            return False
        self._next_look_ns = now_ns + LOOK_AGAIN_NS
        self._listen()
        self._retry_ns, self._due_ns = RETRY_FIRST_NS, None
        if self.unavailable is not None:
            _log.info("GPU readings are back")
        self.unavailable = None
        return True

    def _find(self) -> list[_Place]:
        self._left_out = []
        places = [(index, self._place(index)) for index in range(pynvml.nvmlDeviceGetCount())]
        for index, place in places:
            if place is None:
                _log.warning("GPU %d does not answer and is left out", index)
                self._left_out.append(index)
        return [place for _, place in places if place is not None]

    def _place(self, index: int) -> _Place | None:
        """The GPU of this number; None where it does not answer. Raises ``NVMLError``."""
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            identity = identified(handle, _driver_version())
        except LostDeviceError:
            return None
        except pynvml.NVMLError as error:
            if error.value in LOST:
                return None
            raise
        return _Place(handle, identity, self._people, self._tiers, self._clocks)

    def _look_again(self, now_ns: int) -> None:
        """Take in GPUs that answer only now, and listen to those that came back."""
        came_back = any(place.came_back for place in self._places)
        if self._left_out and now_ns >= self._next_look_ns:
            self._next_look_ns = now_ns + LOOK_AGAIN_NS
            for index in list(self._left_out):
                try:
                    place = self._place(index)
                except pynvml.NVMLError:
                    continue
                if place is not None:
                    _log.info("GPU %d answers now", index)
                    self._left_out.remove(index)
                    self._places.append(place)
                    came_back = True
        if came_back:
            for place in self._places:
                place.came_back = False
            self._listen()

    def _listen(self) -> None:
        """Wait for events of every device, in place of those whose handles are stale."""
        before, self._watch = self._watch, None
        if before is not None and not before.close():
            self._hanging.append(before)
        if self._tiers.events:
            known = {place.gpu.identity.id: (place.gpu.handle, place.gpu.identity) for place in self._places}
            self._watch = EventWatch(known, self._clocks)

    def _give_up(self, now_ns: int, reason: str) -> None:
        self.close()
        if self.unavailable != reason:
            _log.info("no GPU readings: %s", reason)
        self.unavailable = reason
        self._due_ns = now_ns + self._retry_ns
        self._retry_ns = min(2 * self._retry_ns, RETRY_LAST_NS)


class _Place:
    """Where one GPU is, with its slices, through losses: found again by its UUID."""

    def __init__(
        self, handle: Any, identity: DeviceIdentity, people: People, tiers: Tiers, clocks: Clocks
    ) -> None:
        self._people = people
        self._tiers = tiers
        self._retry_ns = RETRY_FIRST_NS
        self._told_ns: int | None = None
        self._recut_ns = 0
        self._cut: list[int] = []
        self.gpu = Gpu(handle, identity, people, tiers, clocks)
        self.slices: list[Slice] = []
        self.lost_until_ns: int | None = None
        self.came_back = False

    def read(self, clocks: Clocks) -> list[DeviceReading]:
        """Readings since the last call. Raises `LostDriverError`."""
        now_ns = clocks.monotonic()
        if self.lost_until_ns is not None and not self._acquired_again(now_ns, clocks):
            return self._lost_reading(now_ns)
        readings: list[DeviceReading] = []
        try:
            if now_ns >= self._recut_ns:
                self._recut_ns = now_ns + RECUT_NS
                self._recut(clocks)
            for readable in self.readables():
                readings.extend(_in_turns(readable, clocks))
        except LostDeviceError as error:
            identity = self.gpu.identity
            _log.warning("GPU %s (%s) is lost: %s", identity.name, identity.id, error)
            self.lost_until_ns, self._told_ns = now_ns + self._retry_ns, None
            readings.extend(self._lost_reading(now_ns))
        return readings

    def readables(self) -> list[Readable]:
        return [self.gpu, *self.slices]

    def close(self) -> None:
        for readable in self.readables():
            readable.close()

    def _lost_reading(self, now_ns: int) -> list[DeviceReading]:
        if self._told_ns is not None and now_ns - self._told_ns < TELL_LOST_NS:
            return []
        self._told_ns = now_ns
        return [DeviceReading(self.gpu.identity, now_ns, 0, state="failed")]

    def _acquired_again(self, now_ns: int, clocks: Clocks) -> bool:
        if self.lost_until_ns is not None and now_ns < self.lost_until_ns:
            return False
        identity = self.gpu.identity
        try:
            handle = pynvml.nvmlDeviceGetHandleByUUID(identity.id)
            pynvml.nvmlDeviceGetName(handle)  # a handle alone proves nothing
        except pynvml.NVMLError as error:
            if error.value in NO_DRIVER:
                raise LostDriverError(str(error)) from error
            self._retry_ns = min(2 * self._retry_ns, RETRY_LAST_NS)
            self.lost_until_ns = now_ns + self._retry_ns
            return False
        _log.info("GPU %s (%s) answers again", identity.name, identity.id)
        self.lost_until_ns, self._retry_ns, self.came_back = None, RETRY_FIRST_NS, True
        self.close()
        self.slices, self._cut, self._recut_ns = [], [], 0
        self.gpu = Gpu(handle, identity, self._people, self._tiers, clocks)
        return True

    def _recut(self, clocks: Clocks) -> None:
        found = self.gpu.slices()
        instances = [instance for _, instance in found]
        if instances == self._cut:
            return
        for old in self.slices:
            old.close()
        self._cut, self.slices = instances, []
        for handle, instance in found:
            try:
                self.slices.append(Slice(self.gpu, handle, instance, self._people, self._tiers, clocks))
            except pynvml.NVMLError as error:
                _log.info("slice %d of GPU %s is left out: %s", instance, self.gpu.identity.id, error)


def _in_turns(readable: Readable, clocks: Clocks) -> list[DeviceReading]:
    readings: list[DeviceReading] = []
    for turns, read in readable.readers.values():
        began_ns = clocks.monotonic()
        if turns.due(began_ns):
            try:
                readings.extend(read(began_ns))
            finally:  # one that fails is not tried at once again, before all the others
                turns.took(began_ns, clocks.monotonic())
    return readings


def _driver_version() -> str:
    try:
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return ""
