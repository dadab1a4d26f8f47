"""The newest device readings, and what they say of one frame's window. All times monotonic ns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar

from framescope.judge.model import Device
from framescope.probes.device import DeviceEvent, DeviceIdentity, DeviceReading, ProcessUse

REMEMBERED: Final = 300
"""Readings of one kind and device: 30 s at 10 Hz, far beyond the settling time of a frame."""
NEAR_NS: Final = 3_000_000_000
"""How far from a frame's end a level (memory, temperature, power) may have been read to be told of it."""
DEVICES: Final = 64
FRESH: Final = 10_000
"""Readings held for one message: a minute of them at 10 Hz, of sixteen devices."""
_OF_THE_WHOLE: Final = (
    "clock_min_hz", "held_share", "held_reason", "io_rate", "temperature_celsius", "power_watts", "errors",
)  # fmt: skip
"""What a slice of a GPU shares with the whole of it."""

T = TypeVar("T")


class Stretches(Generic[T]):
    """What was found in stretches of time, oldest first; their places may be off by an error."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, int, int, T]] = deque(maxlen=REMEMBERED)

    def add(self, end_ns: int, window_ns: int, error_ns: int, found: T) -> None:
        """One more stretch, which ends no earlier than the one before."""
        self._held.append((end_ns, window_ns, error_ns, found))

    def over(self, start_ns: int, end_ns: int) -> list[tuple[int, int, T]]:
        """(overlap, window, what was found) of each that touches [start, end) wherever in its error it lies.

        The overlap is the least it can be. What is not sure to touch the frame is no evidence of it.
        """
        touching: list[tuple[int, int, T]] = []
        for last_ns, window_ns, error_ns, found in reversed(self._held):
            if last_ns <= start_ns:
                break
            first_ns = last_ns - window_ns
            overlap = min(end_ns, last_ns - error_ns) - max(start_ns, first_ns - error_ns)
            if error_ns:
                overlap = min(overlap, min(end_ns, last_ns + error_ns) - max(start_ns, first_ns + error_ns))
            if overlap > 0:
                touching.append((overlap, window_ns, found))
        return touching


class Levels:
    """A quantity as it stood now and then."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)

    def add(self, time_ns: int, level: float | None) -> None:
        if level is not None:
            self._held.append((time_ns, level))

    def at(self, time_ns: int) -> float | None:
        """The level read nearest to a moment; None where that is too far from it."""
        found, nearest = None, NEAR_NS
        for at_ns, level in reversed(self._held):
            apart = abs(at_ns - time_ns)
            if apart > nearest and at_ns < time_ns:
                break  # from here on they only lie further back
            if apart <= nearest:
                found, nearest = level, apart
        return found


class Growth:
    """How fast numbers that only grow did, between one reading and the next."""

    def __init__(self) -> None:
        self._last: tuple[int, dict[str, int]] | None = None
        self.rates: Stretches[dict[str, float]] = Stretches()

    def add(self, time_ns: int, totals: dict[str, int]) -> None:
        """One more reading. What is new, or smaller than before, is not compared with anything."""
        last, self._last = self._last, (time_ns, totals)
        if last is None or time_ns <= last[0]:
            return
        passed = time_ns - last[0]
        rates = {
            name: (total - last[1][name]) / passed
            for name, total in totals.items()
            if name in last[1] and total >= last[1][name]
        }
        if rates:
            self.rates.add(time_ns, passed, 0, rates)


class DeviceReadings:
    """Readings by device."""

    def __init__(self) -> None:
        self._by_device: dict[str, _History] = {}
        self._fresh: list[DeviceReading] = []
        self.missed = 0
        """Readings that no message tells of: there was no room, or no room for their device."""

    def add(self, readings: Sequence[DeviceReading]) -> None:
        """Take in new readings; they are also held for the next export."""
        for reading in readings:
            history = self._history(reading.device)
            if history is not None:
                history.add(reading)
            if history is not None and len(self._fresh) < FRESH:
                self._fresh.append(reading)
            else:
                self.missed += 1

    def happened(self, event: DeviceEvent) -> None:
        """Take in something that happened to a device."""
        history = self._history(event.device)
        if history is not None:
            history.events.append((event.time_ns, event.text))

    def take_fresh(self) -> list[DeviceReading]:
        """Readings since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def over(self, start_ns: int, end_ns: int, device: str | None) -> Device | None:
        """What the device did over [start, end): None without a reading that covers any of it.

        ``device`` None: the one there is, or of several the one that the traced process was last seen on.
        """
        history = self._by_device.get(device) if device is not None else self._likely()
        found = None if history is None else history.over(start_ns, end_ns)
        if found is not None and history is not None and history.identity.parent in self._by_device:
            whole = self._by_device[history.identity.parent].over(start_ns, end_ns)
            if whole is not None:
                for name in _OF_THE_WHOLE:
                    setattr(found, name, getattr(whole, name))
        return found

    def _history(self, identity: DeviceIdentity) -> _History | None:
        history = self._by_device.get(identity.id)
        if history is None and len(self._by_device) < DEVICES:
            history = self._by_device[identity.id] = _History(identity)
        return history

    def _likely(self) -> _History | None:
        parents = {history.identity.parent for history in self._by_device.values()}
        whole = [history for name, history in self._by_device.items() if name not in parents]
        if len(whole) == 1:
            return whole[0]
        used = [history for history in whole if history.ours_ns is not None]
        return max(used, key=lambda history: history.ours_ns or 0, default=None)


class _History:
    """The newest readings of one device, by kind: each group of a probe's calls tells its own."""

    def __init__(self, identity: DeviceIdentity) -> None:
        self.identity = identity
        self.ours_ns: int | None = None
        """When the traced process was last seen on it."""
        self.events: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
        self._loads: Stretches[float] = Stretches()
        self._others: Stretches[tuple[float | None, ProcessUse | None]] = Stretches()
        self._clocks: Stretches[float] = Stretches()
        self._held = Growth()
        self._io = Growth()
        self._memory = Levels()
        self._temperature = Levels()
        self._power = Levels()

    def add(self, reading: DeviceReading) -> None:
        at, window, error = reading.time_ns, reading.window_ns, reading.error_ns
        if reading.utilization is not None:
            self._loads.add(at, window, error, reading.utilization)
        if reading.other_utilization is not None or reading.processes:
            foreign = [p for p in reading.processes if p.ours is False and p.utilization > 0]
            busiest = max(foreign, key=lambda process: process.utilization, default=None)
            self._others.add(at, window, error, (reading.other_utilization, busiest))
        if any(p.ours for p in reading.processes) or any(p.ours for p in reading.residents):
            self.ours_ns = at
        if reading.clock_hz is not None:
            self._clocks.add(at, window, error, reading.clock_hz)
        if reading.throttle_ns:
            self._held.add(at, dict(reading.throttle_ns))
        if reading.io_bytes:
            self._io.add(at, dict(reading.io_bytes))
        self._memory.add(at, reading.memory_used_bytes)
        self._temperature.add(at, reading.temperature_celsius)
        self._power.add(at, reading.power_watts)

    def over(self, start_ns: int, end_ns: int) -> Device | None:
        loads = self._loads.over(start_ns, end_ns)
        others = self._others.over(start_ns, end_ns)
        clocks = self._clocks.over(start_ns, end_ns)
        held = _rates(self._held, start_ns, end_ns)
        io = _rates(self._io, start_ns, end_ns)
        events = tuple(text for at, text in self.events if start_ns <= at < end_ns)
        if not (loads or others or clocks or held or io or events):
            return None
        memory = self._memory.at(end_ns)
        result = Device(
            id=self.identity.id,
            name=self.identity.name,
            simulated=self.identity.simulated,
            window_ns=max((window for _, window, _ in loads or others), default=0),
            utilization_mean=_weighted((weight, load) for weight, _, load in loads),
            utilization_max=max((load for _, _, load in loads), default=None),
            other_utilization=_weighted((w, told[0]) for w, _, told in others if told[0] is not None),
            clock_min_hz=min((clock for _, _, clock in clocks), default=None),
            memory_used_bytes=None if memory is None else int(memory),
            temperature_celsius=self._temperature.at(end_ns),
            power_watts=self._power.at(end_ns),
            errors=events,
        )
        if held:
            # Reasons hold at the same time: the longest bounds them all from below.
            result.held_reason = max(held, key=lambda reason: held[reason])
            result.held_share = min(1.0, held[result.held_reason])
            if not result.held_share:
                result.held_reason = None
        if io:
            result.io_rate = sum(io.values()) * 1e9
        foreign = [told[1] for _, _, told in others if told[1] is not None]
        if foreign:
            busiest = max(foreign, key=lambda process: process.utilization)
            result.other_process = (busiest.name, busiest.pid)
        return result


def _rates(growth: Growth, start_ns: int, end_ns: int) -> dict[str, float]:
    """Mean rate by name over a frame, each weighted by how much of the frame it covers."""
    found = growth.rates.over(start_ns, end_ns)
    if len(found) == 1:  # the usual: a frame is shorter than the time between two readings
        return found[0][2]
    names = {name for _, _, rates in found for name in rates}
    means = {name: _weighted((w, r[name]) for w, _, r in found if name in r) for name in names}
    return {name: mean for name, mean in sorted(means.items()) if mean is not None}


def _weighted(values: Iterable[tuple[int, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in values if value is not None]
    weight = sum(w for w, _ in known)
    return sum(w * v for w, v in known) / weight if weight else None
