"""The agent's probes, read on a schedule, and what they say of one frame's window.

Every probe is read inside a guard: one that raises is counted and left out, its cost is exported.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from framescope import signals as sig
from framescope.agent.readings import DeviceReadings
from framescope.agent.settings import AgentSettings
from framescope.agent.totals import Totals
from framescope.judge.model import Device
from framescope.probes.cgroup import CgroupProbe
from framescope.probes.device import DeviceProbe
from framescope.probes.host import HostProbe
from framescope.probes.nvml import NvmlProbe
from framescope.probes.pressure import PressureProbe
from framescope.probes.software_accelerator import SoftwareAcceleratorProbe

DEVICE_EVERY_NS: Final = 100_000_000
HOST_EVERY_NS: Final = 1_000_000_000
PRESSURE_EVERY_NS: Final = 100_000_000
"""Reading pressure less than a jiffy apart discards it, for every other reader too: never below 100 ms."""
Point = tuple[tuple[tuple[str, str], ...], int, float]


class EvidenceProbes:
    """The agent's probes for one host process."""

    def __init__(
        self, pid: int, settings: AgentSettings, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.devices = DeviceReadings()
        self.faults: dict[str, int] = {}
        self._pid = pid
        self._settings = settings
        self._clock = clock
        self._gpu: list[DeviceProbe] = [NvmlProbe(pid)] if settings.probe_gpu else []
        self._watched: set[str] = set()
        self._host = HostProbe(pid) if settings.probe_host else None
        self._pressure = PressureProbe() if settings.probe_pressure else None
        self._cgroup = CgroupProbe(pid) if settings.probe_cgroup else None
        self._throttled: deque[tuple[int, int]] = deque(maxlen=300)
        self._io_stalls: deque[tuple[int, int, int]] = deque(maxlen=300)
        self._points: dict[str, list[Point]] = {}
        self._due = {"device": 0, "host": 0, "pressure": 0}

    def watch(self, paths: Sequence[str]) -> None:
        """Read these software accelerators too."""
        for path in paths:
            if path not in self._watched and len(self._watched) < 8:
                self._watched.add(path)
                number = len(self._watched) - 1
                self._gpu.append(
                    SoftwareAcceleratorProbe(path, ours=(self._pid,), device_id=f"software-{number}")
                )

    def read(self, now_ns: int, totals: Totals) -> None:
        """Read every probe that is due."""
        if self._is_due("device", now_ns, DEVICE_EVERY_NS):
            for probe in self._gpu:
                found = self._guarded(probe.name, totals, lambda p=probe: p.read(now_ns))  # type: ignore[misc]
                if found:
                    self.devices.add(found)
                    window = found[-1].window_ns
                    totals.set(sig.FS_PROBE_WINDOW, ((sig.FS_PROBE_NAME, probe.name),), now_ns, window / 1e9)
            if self._cgroup is not None:
                cgroup = self._guarded("cgroup", totals, lambda: self._cgroup.read(now_ns))  # type: ignore[union-attr]
                if cgroup is not None:
                    self._throttled.append((cgroup.time_ns, cgroup.throttled_ns))
        if self._pressure is not None and self._is_due("pressure", now_ns, PRESSURE_EVERY_NS):
            pressure = self._guarded("pressure", totals, lambda: self._pressure.read(now_ns))  # type: ignore[union-attr]
            if pressure is not None:
                stalled = pressure.stalled_ns.get("io")
                if stalled is not None:
                    self._io_stalls.append((pressure.time_ns - pressure.window_ns, pressure.time_ns, stalled))
                for resource, share in pressure.shares.items():
                    self._add(sig.FS_PRESSURE, pressure.time_ns, share, (sig.FS_PRESSURE_RESOURCE, resource))
        if self._host is not None and self._is_due("host", now_ns, HOST_EVERY_NS):
            host = self._guarded("host", totals, lambda: self._host.read(now_ns))  # type: ignore[union-attr]
            if host is not None:
                for name, value in (
                    (sig.SYSTEM_CPU_UTILIZATION, host.cpu),
                    (sig.SYSTEM_MEMORY_UTILIZATION, host.memory),
                    (sig.PROCESS_CPU_UTILIZATION, host.process_cpu),
                    (sig.PROCESS_MEMORY_USAGE, host.process_memory_bytes),
                ):
                    if value is not None:
                        self._add(name, host.time_ns, float(value))

    def take_points(self) -> dict[str, list[Point]]:
        """Readings of the host since the last call, each with its own time."""
        points, self._points = self._points, {}
        return points

    def device_over(self, start_ns: int, end_ns: int, device: str | None) -> Device | None:
        """What the GPU did over a frame's window."""
        return self.devices.over(start_ns, end_ns, device)

    def quota_over(self, start_ns: int, end_ns: int) -> int | None:
        """ns the cgroup's limit held the process back around a frame; None without a limit or reading."""
        before = [held for at, held in self._throttled if at <= start_ns]
        after = [held for at, held in self._throttled if at >= end_ns]
        if not before or not after:
            return None
        return min(after[0] - before[-1], end_ns - start_ns)

    def io_stall_over(self, start_ns: int, end_ns: int) -> int | None:
        """ns some task of the machine waited for I/O around a frame; None where pressure is not told."""
        stalls = [held for begin, end, held in self._io_stalls if begin < end_ns and end > start_ns]
        return sum(stalls) if stalls else None

    def close(self) -> None:
        """Let go of every probe."""
        for probe in (*self._gpu, self._host, self._pressure, self._cgroup):
            if probe is not None:
                probe.close()

    def _is_due(self, what: str, now_ns: int, every_ns: int) -> bool:
        if now_ns < self._due[what]:
            return False
        self._due[what] = now_ns + every_ns
        return True

    def _add(self, metric: str, at_ns: int, value: float, *labels: tuple[str, str]) -> None:
        points = self._points.setdefault(metric, [])
        if len(points) < 1000:
            points.append((labels, at_ns, value))

    def _guarded(self, name: str, totals: Totals, read: Callable[[], Any]) -> Any:
        began = self._clock()
        try:
            return read()
        except Exception:
            self.faults[f"probe.{name}"] = self.faults.get(f"probe.{name}", 0) + 1
            return None
        finally:
            took = self._clock() - began
            totals.set(sig.FS_PROBE_DURATION, ((sig.FS_PROBE_NAME, name),), began, took / 1e9)
