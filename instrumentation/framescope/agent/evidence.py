"""The table of the agent's probes, and what their readings say of one frame's window.

To add a probe: write it in ``framescope/probes`` (``read(now_ns)``, ``close()``; it knows nothing of
agents), and add a ``Scheduled`` line to the table in ``EvidenceProbes.__init__``: its name, how often it is
read, and a ``take`` method beside the others here. ``take`` gets each reading on the agent's thread. It
answers with the points to send, and puts what frames are judged by into ``windows.Amounts`` (found in a
stretch) or ``windows.Running`` (a number that grows), which an ``…_over(start_ns, end_ns)`` method asks.

Nothing else is needed: a probe that raises, hangs or gives nonsense is counted (as ``probe.<name>`` in
``framescope.internal.errors``), logged at most once a minute, left out, and tried again; others go on
(``poller``). What each reading cost is exported as ``framescope.probe.duration``.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from framescope import signals as sig
from framescope.agent.call_sampler import CallSampler
from framescope.agent.poller import Point, Poller, Scheduled
from framescope.agent.readings import DeviceReadings
from framescope.agent.settings import AgentSettings
from framescope.agent.stops import Stops
from framescope.agent.totals import Labels, Totals
from framescope.agent.waits import Waits
from framescope.agent.windows import Amounts, Running
from framescope.handover import Batch
from framescope.judge.model import Device
from framescope.probes import scheduler
from framescope.probes.cgroup import CgroupProbe, CgroupReading
from framescope.probes.device import DeviceProbe, DeviceReading
from framescope.probes.host import HostProbe, HostReading
from framescope.probes.machine import MachineProbe, MachineReading
from framescope.probes.nvml import NvmlProbe
from framescope.probes.page_faults import PageFaultProbe, PageFaults
from framescope.probes.pressure import GroupPressureProbe, PressureProbe, PressureReading
from framescope.probes.process_metrics import ProcessMetric, ProcessMetricsProbe, is_there
from framescope.probes.software_accelerator import SoftwareAcceleratorProbe
from framescope.recorder.faults import Faults

TENTH_NS: Final = 100_000_000
"""Reading pressure less than a jiffy apart discards it, for every other reader too: never below 100 ms."""
SECOND_NS: Final = 1_000_000_000
NEWEST: Final = frozenset({sig.FS_PROBE_WINDOW, sig.FS_PROBE_DURATION, sig.FS_CLOCK_ERROR})
"""Of these the newest value says it all, and is sent with every message."""
POINTS: Final = 1000
"""Points of one metric held for each second between two messages: 10 Hz of many devices."""
TOLD: Final = 4
"""Refused points that one line of the log tells of."""

_log: Final = logging.getLogger("framescope")


class EvidenceProbes:
    """The agent's probes for one host process."""

    def __init__(
        self, pid: int, settings: AgentSettings, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.devices = DeviceReadings()
        self._cpu_stalls = Amounts()
        self._throttled = Running()
        self._stops = Stops(scheduler.reader() if pid != os.getpid() else None)
        self.waits = Waits(self._cpu_stalls.over, self._stops.within, self._throttled.rate_over)
        self._calls: CallSampler | None = None
        self._pid = pid
        self._clock = clock
        self._faults = Faults(raising=False, clock=clock)
        self._missed = 0
        self._poller = Poller(clock)
        self._watched: set[str] = set()
        self._io_stalls = Amounts()
        self._memory_stalls = Amounts()
        self._group_io_stalls = Amounts()
        self._group_memory_stalls = Amounts()
        self._major_faults = Running()
        self._points: dict[str, list[tuple[Labels, int, float]]] = {}
        self._room = POINTS * max(1, settings.metric_interval_ns // SECOND_NS)
        self._events: list[tuple[int, str]] = []
        # The table: name, how often, where it is read, what becomes of a reading.
        if settings.probe_gpu:
            nvml = NvmlProbe(pid, settings.gpu_tiers)
            self.add(Scheduled("nvml", TENTH_NS, nvml.read, lambda r: self._take_nvml(nvml, r), nvml.close))
        if settings.probe_cgroup:
            cgroup = CgroupProbe(pid)
            self.add(Scheduled("cgroup", TENTH_NS, cgroup.read, self._take_cgroup, cgroup.close))
        if settings.probe_pressure:
            pressure = PressureProbe()
            self.add(Scheduled("pressure", TENTH_NS, pressure.read, self._take_pressure, pressure.close))
            group = GroupPressureProbe(pid)
            self.add(
                Scheduled("group_pressure", TENTH_NS, group.read, self._take_group_pressure, group.close)
            )
            faults = PageFaultProbe(pid)
            self.add(Scheduled("page_faults", TENTH_NS, faults.read, self._take_page_faults, faults.close))
        if settings.probe_host:
            host = HostProbe(pid)
            self.add(Scheduled("host", SECOND_NS, host.read, self._take_host, host.close))
            machine = MachineProbe()
            self.add(Scheduled("machine", SECOND_NS, machine.read, self._take_machine, machine.close))
        if settings.probe_process and is_there():
            process = ProcessMetricsProbe(pid)
            self.add(Scheduled("process", SECOND_NS, process.read, self._take_process, process.close))
        elif settings.probe_process:
            _log.warning("the probe `process` is on and cannot run: pip install framescope[system]")

    def add(self, probe: Scheduled[Any]) -> None:
        """One more line of the table."""
        self._poller.add(probe)

    @property
    def table(self) -> tuple[Scheduled[Any], ...]:
        """Its lines."""
        return self._poller.probes

    def add_device_probe(self, probe: DeviceProbe) -> None:
        """A probe of devices."""
        self.add(
            Scheduled(probe.name, TENTH_NS, probe.read, lambda r: self._take_devices(probe, r), probe.close)
        )

    def watch(self, paths: Sequence[str]) -> None:
        """Read these software accelerators too."""
        for path in paths:
            if path not in self._watched and len(self._watched) < 8:
                self._watched.add(path)
                number = len(self._watched) - 1
                self.add_device_probe(
                    SoftwareAcceleratorProbe(path, ours=(self._pid,), device_id=f"software-{number}")
                )

    def hear(self, batch: Batch) -> None:
        """Take in what the host's own probes saw of its threads, and look at these where it lets us."""
        knocks = (knock for knock in batch.knocks or () if not self._stops.within(knock[0], knock[1]))
        self.waits.add(knocks, batch.looks)
        for device, at_ns, delay_ns, _ in batch.canaries:
            held = self._points.setdefault(sig.FS_GPU_CANARY_DELAY, [])
            if len(held) < self._room:
                held.append((((sig.HW_ID, device),), at_ns, delay_ns / 1e9))
            else:
                self._missed += 1
        if batch.threads is not None and self._calls is None:
            page, lock = batch.threads
            self._calls = CallSampler(batch.pid, page, lock, self.waits.saw)
            self._calls.start()

    @property
    def faults(self) -> dict[str, int]:
        """Readings that were left out, by probe."""
        if self._calls is None:
            return self._faults.counts
        return {**self._faults.counts, **self._calls.faults}

    @property
    def missed(self) -> int:
        """Readings that were sound and had no room in a message."""
        return self._missed + self.devices.missed

    def read(self, now_ns: int, totals: Totals) -> None:
        """Have read every probe that is due, and take in what there is. Raises nothing, waits for nobody."""
        self._stops.turn(now_ns)
        for outcome in self._poller.turn(now_ns):
            probe = outcome.probe
            cost = outcome.took_ns / 1e9
            totals.set(sig.FS_PROBE_DURATION, ((sig.FS_PROBE_NAME, probe.name),), outcome.began_ns, cost)
            try:
                if outcome.error is not None:
                    raise outcome.error
                if outcome.reading is not None:
                    self._hold(probe.take(outcome.reading), totals)
            except Exception:
                self._faults.note(f"probe.{probe.name}")
        for probe, since_ns in self._poller.hanging.items():
            totals.set(
                sig.FS_PROBE_DURATION, ((sig.FS_PROBE_NAME, probe.name),), now_ns, (now_ns - since_ns) / 1e9
            )
        if self._calls is not None:
            labels = ((sig.FS_PROBE_NAME, "system_calls"),)
            totals.set(sig.FS_PROBE_DURATION, labels, now_ns, self._calls.took_ns / 1e9)
        self._faults.tell()

    def take_points(self) -> dict[str, list[tuple[Labels, int, float]]]:
        """Readings since the last call, by metric, each with its own time."""
        points, self._points = self._points, {}
        return points

    def take_events(self) -> list[tuple[int, str]]:
        """Errors of devices since the last call, to be marked: when (monotonic ns), in words."""
        events, self._events = self._events, []
        return events

    def device_over(self, start_ns: int, end_ns: int, device: str | None) -> Device | None:
        """What the GPU did over a frame's window."""
        return self.devices.over(start_ns, end_ns, device)

    def quota_over(self, start_ns: int, end_ns: int) -> int | None:
        """ns a cgroup's limit held the process back around a frame, 0 without one; None without a reading."""
        held = self._throttled.over(start_ns, end_ns)
        return None if held is None else min(held, end_ns - start_ns)

    def io_stall_over(self, start_ns: int, end_ns: int) -> int | None:
        """ns some task waited for I/O around a frame, in the host's control group where that is told, else in
        the machine; None where pressure is not told."""
        ours = self._group_io_stalls.over(start_ns, end_ns)
        return self._io_stalls.over(start_ns, end_ns) if ours is None else ours

    def memory_stall_over(self, start_ns: int, end_ns: int) -> int | None:
        """ns some task waited for memory around a frame, in the host's control group where that is told, else
        in the machine. None where neither is. None too where no page of the host process had to be read in
        meanwhile: then it was another that waited, or this one in a way that leaves no trace."""
        stalled = self._group_memory_stalls.over(start_ns, end_ns)
        if stalled is None:
            stalled = self._memory_stalls.over(start_ns, end_ns)
        return stalled if not stalled or self._major_faults.over(start_ns, end_ns) else None

    def close(self) -> None:
        """Let go of every probe."""
        self._poller.close()
        if self._calls is not None:
            self._calls.close()

    # -- what becomes of a reading ------------------------------------------------------------------------

    def _take_devices(self, probe: DeviceProbe, readings: Sequence[DeviceReading]) -> Iterable[Point]:
        sound = [reading for reading in readings if _is_sound(reading)]
        self.devices.add(sound)
        if sound:
            labels = ((sig.FS_PROBE_NAME, probe.name),)
            yield sig.FS_PROBE_WINDOW, labels, sound[-1].time_ns, sound[-1].window_ns / 1e9
        if len(sound) < len(readings):
            raise ValueError(f"nonsense among {readings}")

    def _take_nvml(self, probe: NvmlProbe, readings: Sequence[DeviceReading]) -> Iterable[Point]:
        now_ns = self._clock()
        for event in probe.events():
            self.devices.happened(event)
            if len(self._events) < POINTS:
                self._events.append((event.time_ns, f"{event.device.name}: {event.text}"))
        for group, cost_ns in probe.costs.items():
            yield sig.FS_PROBE_DURATION, ((sig.FS_PROBE_NAME, f"nvml.{group}"),), now_ns, cost_ns / 1e9
        if probe.clock_error_ns is not None:
            error = probe.clock_error_ns / 1e9
            yield sig.FS_CLOCK_ERROR, ((sig.FS_PROBE_NAME, probe.name),), now_ns, error
        sound = [reading for reading in readings if _is_sound(reading)]
        self.devices.add(sound)
        windows = [reading.window_ns for reading in sound if reading.utilization is not None]
        if windows:
            yield sig.FS_PROBE_WINDOW, ((sig.FS_PROBE_NAME, probe.name),), now_ns, windows[-1] / 1e9
        if len(sound) < len(readings):
            raise ValueError(f"nonsense among {readings}")

    def _take_cgroup(self, reading: CgroupReading) -> Iterable[Point]:
        self._throttled.add(reading.time_ns, reading.throttled_ns)
        if reading.limit_cpus is not None:
            yield sig.FS_CPU_QUOTA_TIME, (), reading.time_ns, reading.throttled_ns / 1e9
            yield sig.FS_CPU_QUOTA_LIMIT, (), reading.time_ns, reading.limit_cpus

    def _take_pressure(self, reading: PressureReading) -> Iterable[Point]:
        _remember(reading, io=self._io_stalls, memory=self._memory_stalls, cpu=self._cpu_stalls)
        for resource, share in reading.shares.items():
            yield sig.FS_PRESSURE, ((sig.FS_PRESSURE_RESOURCE, resource),), reading.time_ns, share

    def _take_group_pressure(self, reading: PressureReading) -> Iterable[Point]:
        _remember(reading, io=self._group_io_stalls, memory=self._group_memory_stalls)
        return ()

    def _take_page_faults(self, reading: PageFaults) -> Iterable[Point]:
        self._stops.saw(reading.time_ns, reading.stopped)
        self._major_faults.add(reading.time_ns, reading.major)
        labels = ((sig.PROCESS_PAGING_FAULT_TYPE, "major"),)
        yield sig.PROCESS_PAGING_FAULTS, labels, reading.time_ns, reading.major

    def _take_machine(self, reading: MachineReading) -> Iterable[Point]:
        told: tuple[tuple[str, Labels, float | None], ...] = (
            (sig.FS_CPU_STEAL, (), reading.steal),
            (sig.SYSTEM_CPU_FREQUENCY, (), reading.frequency_hz),
            (sig.SYSTEM_PAGING_OPERATIONS, ((sig.SYSTEM_PAGING_DIRECTION, "in"),), reading.pages_in),
            (sig.SYSTEM_PAGING_OPERATIONS, ((sig.SYSTEM_PAGING_DIRECTION, "out"),), reading.pages_out),
            (sig.SYSTEM_PAGING_FAULTS, ((sig.SYSTEM_PAGING_FAULT_TYPE, "major"),), reading.major_faults),
        )
        for name, labels, value in told:
            if value is not None:
                yield name, labels, reading.time_ns, value

    def _take_process(self, reading: Sequence[ProcessMetric]) -> Iterable[Point]:
        now_ns = self._clock()
        for metric in reading:
            yield metric.name, metric.attributes, now_ns, metric.value

    def _take_host(self, reading: HostReading) -> Iterable[Point]:
        for name, value in (
            (sig.SYSTEM_CPU_UTILIZATION, reading.cpu),
            (sig.SYSTEM_MEMORY_UTILIZATION, reading.memory),
            (sig.PROCESS_CPU_UTILIZATION, reading.process_cpu),
            (sig.PROCESS_MEMORY_USAGE, reading.process_memory_bytes),
        ):
            if value is not None:
                yield name, (), reading.time_ns, float(value)

    def _hold(self, points: Iterable[Point], totals: Totals) -> None:
        """Hold points for the next message; those beyond its room are counted.

        Raises ``ValueError`` for a value that cannot be, and for a metric that is not in the table of names:
        whoever makes the message would stumble over it. The points beside it are held all the same.
        """
        nonsense: list[str] = []
        for metric, labels, at_ns, value in points:
            if metric not in sig.METRICS or not math.isfinite(value) or value < 0:
                nonsense.append(f"{metric} {dict(labels)}: {value}")
            elif metric in NEWEST:
                totals.set(metric, labels, at_ns, value)
            elif len(held := self._points.setdefault(metric, [])) < self._room:
                held.append((labels, at_ns, value))
            else:
                self._missed += 1
        if nonsense:
            raise ValueError("; ".join(nonsense[:TOLD]))


def _remember(reading: PressureReading, **of_resource: Amounts) -> None:
    for resource, stalls in of_resource.items():
        stalled = reading.stalled_ns.get(resource)
        if stalled is not None:
            stalls.add(reading.time_ns - reading.window_ns, reading.time_ns, stalled)


def _is_sound(reading: DeviceReading) -> bool:
    """Whether every number of a reading is one that can be: finite, and only temperatures below 0."""
    numbers = {item.name: getattr(reading, item.name) for item in fields(reading)}
    for name, value in numbers.items():
        for one in value.values() if isinstance(value, Mapping) else (value,):
            if isinstance(one, int | float) and not (
                math.isfinite(one) and (one >= 0 or "temperature" in name or name == "time_ns")
            ):
                return False
    return all(math.isfinite(use.utilization) and use.utilization >= 0 for use in reading.processes)
