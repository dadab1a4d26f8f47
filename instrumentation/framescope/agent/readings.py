"""The newest device readings, and what they say of one frame's window."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from framescope.judge.model import Device
from framescope.probes.device import DeviceReading

REMEMBERED: Final = 300
"""Readings a device: 30 s at 10 Hz, far beyond the settling time of a frame."""


class DeviceReadings:
    """Readings by device, oldest first."""

    def __init__(self) -> None:
        self._by_device: dict[str, deque[DeviceReading]] = {}
        self._fresh: list[DeviceReading] = []

    def add(self, readings: Sequence[DeviceReading]) -> None:
        """Take in new readings; they are also held for the next export."""
        for reading in readings:
            kept = self._by_device.get(reading.device.id)
            if kept is None:
                if len(self._by_device) >= 64:
                    continue
                kept = self._by_device[reading.device.id] = deque(maxlen=REMEMBERED)
            kept.append(reading)
            if len(self._fresh) < 10_000:
                self._fresh.append(reading)

    def take_fresh(self) -> list[DeviceReading]:
        """Readings since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def over(self, start_ns: int, end_ns: int, device: str | None) -> Device | None:
        """What the device did over [start, end): None without a reading that covers any of it."""
        identity = device or next(iter(self._by_device), None)
        if identity is None or identity not in self._by_device:
            return None  # another device's readings say nothing about this one
        kept = self._by_device[identity]
        covering: list[tuple[int, DeviceReading, DeviceReading | None]] = []
        before: DeviceReading | None = None
        for reading in kept:
            overlap = min(end_ns, reading.time_ns) - max(start_ns, reading.time_ns - reading.window_ns)
            if overlap > 0:
                covering.append((overlap, reading, before))
            before = reading
        if not covering:
            return None
        newest = covering[-1][1]
        result = Device(
            id=newest.device.id,
            name=newest.device.name,
            simulated=newest.device.simulated,
            window_ns=max(reading.window_ns for _, reading, _ in covering),
            memory_used_bytes=newest.memory_used_bytes,
            temperature_celsius=newest.temperature_celsius,
        )
        result.utilization_mean = _weighted([(o, r.utilization) for o, r, _ in covering])
        loads = [r.utilization for _, r, _ in covering if r.utilization is not None]
        result.utilization_max = max(loads, default=None)
        result.other_utilization = _weighted([(o, r.other_utilization) for o, r, _ in covering])
        clocks = [r.clock_hz for _, r, _ in covering if r.clock_hz is not None]
        result.clock_min_hz = min(clocks, default=None)
        result.throttled_share = _weighted([(o, _throttled(r, b)) for o, r, b in covering])
        foreign = [p for _, r, _ in covering for p in r.processes if p.ours is False and p.utilization > 0]
        if foreign:
            busiest = max(foreign, key=lambda process: process.utilization)
            result.other_process = (busiest.name, busiest.pid)
        return result


def _weighted(values: Sequence[tuple[int, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in values if value is not None]
    weight = sum(w for w, _ in known)
    return sum(w * v for w, v in known) / weight if weight else None


def _throttled(reading: DeviceReading, before: DeviceReading | None) -> float | None:
    """Share of the time between two readings that the device was held back, for any reason."""
    if before is None or not reading.throttle_ns or reading.time_ns <= before.time_ns:
        return None
    held = max(
        reading.throttle_ns.get(reason, 0) - before.throttle_ns.get(reason, 0)
        for reason in reading.throttle_ns
    )
    return min(1.0, max(0, held) / (reading.time_ns - before.time_ns))
