"""NVIDIA GPUs through NVML: utilization, memory, temperature, power, energy, clocks, throttling, processes.

One poller, tiered rates: NVML calls take a lock of the driver, so that what is dear is asked seldom. A
metric that a device does not support is asked for once and then left out; a device that is lost is left
out until it answers to its UUID again; without library or driver the probe says so once and tries again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import pynvml

from framescope.probes.device import DeviceIdentity, DeviceReading, ProcessUse

NS: Final = 1_000_000_000
US: Final = 1_000
RETRY_FIRST_NS: Final = 5 * NS
RETRY_LAST_NS: Final = 300 * NS

UTILIZATION_RATES_WINDOW_NS: Final = NS
"""`nvmlDeviceGetUtilizationRates` averages 1/6 s to 1 s, by product, and does not say which: the longest."""
SAMPLE_PERIOD_NS: Final = NS // 6
"""Usual distance of two entries of the driver's sample buffer, for an entry without one before it."""
SAMPLES_STALE_NS: Final = 3 * NS
"""The sample buffer of an idle GPU stops: beyond this age of its newest entry the rates are asked instead."""
KNOWN_CLOCK_NS: Final = 10 * NS
"""A newest stamp no older than this on a clock of ours is taken to be of that clock."""
EARLY_NS: Final = 50_000_000
"""How far ahead of a clock of ours a stamp may be and still be taken to be of it."""

GPU_UTILIZATION_SAMPLES: Final = 1
CLOCK_SM: Final = 1
FIELD_POWER_INSTANT: Final = 186
FIELD_POWER_AVERAGE: Final = 185
FIELD_ENERGY: Final = 83
THROTTLE_FIELDS: Final = {
    74: "power_cap",
    76: "sync_boost",
    269: "sw_thermal",
    270: "hw_thermal",
    271: "power_brake",
}
"""NVML field → reason; each counts, cumulative, the ns the clocks were held back for it."""
VALUE_MEMBERS: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Member of NVML's value union by NVML's value type."""

INITIAL_PID_NAMESPACE: Final = "pid:[4026531836]"
"""The kernel's own inode number of the first pid namespace, whose pids are the ones NVML reports."""

_UNSUPPORTED: Final = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
    }
)
_LOST: Final = frozenset(
    {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_GPU_NOT_FOUND}
)
_NO_DRIVER: Final = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)
_EMPTY: Final = frozenset({pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_NO_DATA})

_T = TypeVar("_T")
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tiers:
    """How often each group of calls is made, in ns. Measured by NVML's users: 2–12 µs a call of the
    first three groups, a few hundred for the processes."""

    utilization_ns: int = NS // 10
    fields_ns: int = NS // 5
    memory_ns: int = NS
    processes_ns: int = NS


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks a sample's stamp may be of, all in ns; ``monotonic`` is the one readings are given in."""

    monotonic: Callable[[], int] = time.monotonic_ns
    unix: Callable[[], int] = time.time_ns
    boot: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class _LostDeviceError(Exception):
    """The device does not answer any more."""


class _LostDriverError(Exception):
    """No device answers any more: the driver or our session with it is gone."""


class NvmlProbe:
    """Reads every NVIDIA GPU. ``pid`` is the traced process, for telling its own use from others'.

    ``unavailable`` says why there is nothing to read, else it is ``None``.
    """

    name = "nvml"

    def __init__(
        self, pid: int, tiers: Tiers | None = None, clocks: Clocks | None = None, proc: Path = Path("/proc")
    ) -> None:
        self._people = _Processes(pid, proc)
        self._tiers = tiers or Tiers()
        self._clocks = clocks or Clocks()
        self._open = False
        self._devices: list[_Device] = []
        self._retry_ns = RETRY_FIRST_NS
        self._due_ns: int | None = None
        self.unavailable: str | None = None

    @property
    def clock_error_ns(self) -> int | None:
        """Bound on how far the times of utilization samples may be off; ``None`` while there are none."""
        errors = [device.anchor.error_ns for device in self._devices if device.anchor.error_ns is not None]
        return max(errors, default=None)

    def read(self, now_ns: int) -> list[DeviceReading]:
        """New readings of every device that answers. Raises nothing."""
        if not self._open and not self._start(now_ns):
            return []
        readings: list[DeviceReading] = []
        for device in self._devices:
            try:
                readings.extend(device.read(now_ns))
            except _LostDriverError as error:
                self._give_up(now_ns, str(error))
                return readings
        return readings

    def close(self) -> None:
        self._devices = []
        if self._open:
            self._open = False
            try:
                pynvml.nvmlShutdown()
            except pynvml.NVMLError as error:
                _log.debug("NVML shutdown: %s", error)

    def _start(self, now_ns: int) -> bool:
        if self._due_ns is not None and now_ns < self._due_ns:
            return False
        try:
            pynvml.nvmlInit()
            self._open = True
            self._devices = self._find()
        except pynvml.NVMLError as error:
            self._give_up(now_ns, str(error))
            return False
        if not self._devices:
            self._give_up(now_ns, "the driver has no GPU that answers")
            return False
        self._retry_ns, self._due_ns = RETRY_FIRST_NS, None
        if self.unavailable is not None:
            _log.info("GPU readings are back")
        self.unavailable = None
        return True

    def _find(self) -> list[_Device]:
        found: list[_Device] = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                found.append(_Device.found(handle, self._people, self._tiers, self._clocks))
            except pynvml.NVMLError as error:
                if error.value not in _LOST:
                    raise
                _log.warning("GPU %d does not answer and is left out: %s", index, error)
        return found

    def _give_up(self, now_ns: int, reason: str) -> None:
        self.close()
        if self.unavailable != reason:
            _log.info("no GPU readings: %s", reason)
        self.unavailable = reason
        self._due_ns = now_ns + self._retry_ns
        self._retry_ns = min(2 * self._retry_ns, RETRY_LAST_NS)


class _Device:
    """One GPU: what it supports, what was read last, and when each tier is due."""

    def __init__(
        self, handle: Any, identity: DeviceIdentity, people: _Processes, tiers: Tiers, clocks: Clocks
    ) -> None:
        self._handle = handle
        self._identity = identity
        self._people = people
        self._tiers = tiers
        self._clocks = clocks
        self._missing: set[str] = set()
        self._due_ns: dict[str, int] = {}
        self._fields = [FIELD_POWER_INSTANT, FIELD_POWER_AVERAGE, FIELD_ENERGY, *THROTTLE_FIELDS]
        self._last = DeviceReading(identity, 0, 0)
        self._newest_sample_us: int | None = None
        self._told_ns = 0
        self._newest_process_us: int | None = None
        self._lost_until_ns: int | None = None
        self._retry_ns = RETRY_FIRST_NS
        self.anchor = Anchor(clocks)

    @classmethod
    def found(cls, handle: Any, people: _Processes, tiers: Tiers, clocks: Clocks) -> _Device:
        identity = DeviceIdentity(
            str(pynvml.nvmlDeviceGetUUID(handle)), str(pynvml.nvmlDeviceGetName(handle)), "NVIDIA"
        )
        return cls(handle, identity, people, tiers, clocks)

    def read(self, now_ns: int) -> list[DeviceReading]:
        """The readings since the last call; none while the device is lost. Raises `_LostDriverError`."""
        if self._lost_until_ns is not None and not self._acquired_again(now_ns):
            return []
        try:
            return self._read(now_ns)
        except _LostDeviceError as error:
            _log.warning("GPU %s (%s) is lost: %s", self._identity.name, self._identity.id, error)
            self._lost_until_ns = now_ns + self._retry_ns
            self._last = DeviceReading(self._identity, 0, 0)
            return []

    def _acquired_again(self, now_ns: int) -> bool:
        if self._lost_until_ns is not None and now_ns < self._lost_until_ns:
            return False
        try:
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(self._identity.id)
            pynvml.nvmlDeviceGetName(self._handle)  # a handle alone proves nothing
        except pynvml.NVMLError as error:
            if error.value in _NO_DRIVER:
                raise _LostDriverError(str(error)) from error
            self._retry_ns = min(2 * self._retry_ns, RETRY_LAST_NS)
            self._lost_until_ns = now_ns + self._retry_ns
            return False
        _log.info("GPU %s (%s) answers again", self._identity.name, self._identity.id)
        self._lost_until_ns, self._retry_ns = None, RETRY_FIRST_NS
        self._due_ns = {}
        self._newest_sample_us = None
        self.anchor = Anchor(self._clocks)
        return True

    def _read(self, now_ns: int) -> list[DeviceReading]:
        fresh = False
        if self._is_due("fields", self._tiers.fields_ns, now_ns):
            self._read_fields()
            self._read_clocks()
            fresh = True
        if self._is_due("memory", self._tiers.memory_ns, now_ns):
            self._read_memory()
            fresh = True
        if self._is_due("processes", self._tiers.processes_ns, now_ns):
            self._read_processes()
            fresh = True
        rates = self._utilization(now_ns) if self._is_due("rates", self._tiers.utilization_ns, now_ns) else []
        if rates:
            readings = [
                replace(self._last, time_ns=time_ns, window_ns=window_ns, utilization=value)
                for time_ns, window_ns, value in rates
            ]
        elif fresh and not self._buffer_lives(now_ns):
            readings = [replace(self._last, time_ns=now_ns, window_ns=0)]
        else:
            return []  # what was read goes out with the buffer's next entry
        # Backends want a series in order, and an entry of the buffer may lie before a reading made since.
        readings = [reading for reading in readings if reading.time_ns > self._told_ns]
        self._told_ns = max([self._told_ns, *(reading.time_ns for reading in readings)])
        return readings

    def _is_due(self, tier: str, period_ns: int, now_ns: int) -> bool:
        if now_ns < self._due_ns.get(tier, now_ns):
            return False
        self._due_ns[tier] = now_ns + period_ns - period_ns // 10  # a caller's jitter must not skip a turn
        return True

    def _ask(self, metric: str, call: Callable[..., _T], *arguments: object) -> _T | None:
        """One NVML call; ``None`` where this device does not tell, now or ever."""
        if metric in self._missing:
            return None
        try:
            return call(*arguments)
        except pynvml.NVMLError as error:
            if error.value in _LOST:
                raise _LostDeviceError(str(error)) from error
            if error.value in _NO_DRIVER:
                raise _LostDriverError(str(error)) from error
            if error.value in _UNSUPPORTED:
                self._missing.add(metric)
            return None

    # -- utilization --------------------------------------------------------------------------------------

    def _utilization(self, now_ns: int) -> list[tuple[int, int, float]]:
        """(end of window, window, ratio) of each new reading, from the driver's buffer where it has one."""
        samples = self._new_samples()
        placed = self._placed(samples) if samples else []
        self.anchor.looked()
        if placed:
            return placed
        if self._buffer_lives(now_ns):
            return []  # it has nothing new yet
        rates = self._ask("utilization_rates", pynvml.nvmlDeviceGetUtilizationRates, self._handle)
        return [] if rates is None else [(now_ns, UTILIZATION_RATES_WINDOW_NS, _percent(rates.gpu))]

    def _buffer_lives(self, now_ns: int) -> bool:
        newest_ns = self.anchor.placed(self._newest_sample_us)
        return newest_ns is not None and now_ns - newest_ns < SAMPLES_STALE_NS

    def _new_samples(self) -> list[tuple[int, float]]:
        """(stamp in µs, ratio) of the samples newer than the last one seen, oldest first."""
        seen = self._newest_sample_us
        answer = self._ask(
            "samples", pynvml.nvmlDeviceGetSamples, self._handle, GPU_UTILIZATION_SAMPLES, seen or 0
        )
        if answer is None:
            return []
        kind, samples = answer
        found = sorted((int(s.timeStamp), _union(kind, s.sampleValue)) for s in samples if s.timeStamp)
        return [(stamp, _percent(value)) for stamp, value in found if seen is None or stamp > seen]

    def _placed(self, samples: Sequence[tuple[int, float]]) -> list[tuple[int, int, float]]:
        before_us = self._newest_sample_us
        self._newest_sample_us = samples[-1][0]
        self.anchor.learn(self._newest_sample_us)
        if before_us is None:
            # The buffer reaches back some 15 s, before anybody asked: only its newest entry is news.
            before_us = samples[-2][0] if len(samples) > 1 else None
            samples = samples[-1:]
        placed: list[tuple[int, int, float]] = []
        for stamp_us, value in samples:
            time_ns = self.anchor.placed(stamp_us)
            window_ns = SAMPLE_PERIOD_NS if before_us is None else (stamp_us - before_us) * US
            if time_ns is not None:
                # After a pause of the buffer the sample still averages one period, not the pause.
                placed.append((time_ns, min(window_ns, 2 * SAMPLE_PERIOD_NS), value))
            before_us = stamp_us
        return placed

    # -- the other tiers ----------------------------------------------------------------------------------

    def _read_fields(self) -> None:
        values = self._field_values()
        power_mw = values.get(FIELD_POWER_INSTANT, values.get(FIELD_POWER_AVERAGE))
        if power_mw is None:
            power_mw = self._ask("power", pynvml.nvmlDeviceGetPowerUsage, self._handle)
        energy_mj = values.get(FIELD_ENERGY)
        if energy_mj is None:
            energy_mj = self._ask("energy", pynvml.nvmlDeviceGetTotalEnergyConsumption, self._handle)
        self._last = replace(
            self._last,
            power_watts=None if power_mw is None else power_mw / 1000,
            energy_joules=None if energy_mj is None else energy_mj / 1000,
            throttle_ns={
                reason: int(values[field]) for field, reason in THROTTLE_FIELDS.items() if field in values
            },
        )

    def _field_values(self) -> dict[int, float]:
        if not self._fields:
            return {}
        answer = self._ask("fields", pynvml.nvmlDeviceGetFieldValues, self._handle, self._fields)
        found: dict[int, float] = {}
        for value in answer or ():
            if value.nvmlReturn in _LOST:
                raise _LostDeviceError(pynvml.nvmlErrorString(value.nvmlReturn))
            if value.nvmlReturn in _UNSUPPORTED:
                self._fields.remove(value.fieldId)
            elif value.nvmlReturn == pynvml.NVML_SUCCESS:
                found[value.fieldId] = _union(value.valueType, value.value)
        return found

    def _read_clocks(self) -> None:
        clock = self._ask("clock", pynvml.nvmlDeviceGetClockInfo, self._handle, CLOCK_SM)
        limit = self._last.clock_max_hz
        if limit is None:
            most = self._ask("clock_max", pynvml.nvmlDeviceGetMaxClockInfo, self._handle, CLOCK_SM)
            limit = None if most is None else most * 1e6
        self._last = replace(self._last, clock_hz=None if clock is None else clock * 1e6, clock_max_hz=limit)

    def _read_memory(self) -> None:
        memory = self._ask("memory", pynvml.nvmlDeviceGetMemoryInfo, self._handle)
        celsius = self._ask("temperature", pynvml.nvmlDeviceGetTemperature, self._handle, 0)
        if celsius is None:
            celsius = self._ask("temperature_v", pynvml.nvmlDeviceGetTemperatureV, self._handle, 0)
        self._last = replace(
            self._last,
            memory_used_bytes=None if memory is None else int(memory.used),
            memory_total_bytes=None if memory is None else int(memory.total),
            temperature_celsius=None if celsius is None else float(celsius),
        )

    def _read_processes(self) -> None:
        if "processes" in self._missing:
            return
        try:
            records = pynvml.nvmlDeviceGetProcessUtilization(self._handle, self._newest_process_us or 0)
        except pynvml.NVMLError as error:
            if error.value in _LOST:
                raise _LostDeviceError(str(error)) from error
            if error.value in _NO_DRIVER:
                raise _LostDriverError(str(error)) from error
            if error.value not in _EMPTY:
                if error.value in _UNSUPPORTED:
                    self._missing.add("processes")
                self._last = replace(self._last, processes=(), other_utilization=None)
                return
            records = []  # nobody used the device; pynvml may raise even "success" for that
        seen_us = self._newest_process_us
        newest = newest_uses(records, seen_us or 0)
        self._newest_process_us = max((stamp for stamp, _ in newest.values()), default=seen_us or 0)
        if seen_us is None and newest:
            return  # these reach back to before anybody asked
        uses = tuple(self._people.use(pid, share) for pid, (_, share) in sorted(newest.items()) if share > 0)
        self._last = replace(self._last, processes=uses, other_utilization=others(uses))


def newest_uses(records: Sequence[Any], seen_us: int) -> dict[int, tuple[int, float]]:
    """Stamp (µs) and share of each process's newest record that is newer than ``seen_us``."""
    newest: dict[int, tuple[int, float]] = {}
    for record in records:
        stamp, before = int(record.timeStamp), newest.get(record.pid)
        if record.pid and stamp > seen_us and (before is None or stamp > before[0]):
            newest[record.pid] = (stamp, _percent(record.smUtil))
    return newest


def others(uses: Sequence[ProcessUse]) -> float | None:
    """What other processes used together; ``None`` when it is not known whose one of the uses is."""
    if any(use.ours is None for use in uses):
        return None
    return min(1.0, sum((use.utilization for use in uses if not use.ours), 0.0))


class Anchor:
    """Places a sample's stamp on the monotonic clock.

    The stamps are documented as unix µs and are not reliably that: the newest one is compared with the
    clocks they might be of. One that fits none is anchored by itself: a sample that was not there at the
    last look is no older than that look, and never newer than the moment it is read at.
    ``error_ns`` bounds how far a placed time may be off.
    """

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._clock: Callable[[], int] | None = None
        self._offset_ns: int | None = None
        self._looked_ns: int | None = None
        self.error_ns: int | None = None

    def looked(self) -> None:
        """The buffer was just looked at, whether it had something new or not."""
        self._looked_ns = self._clocks.monotonic()

    def learn(self, newest_us: int) -> None:
        """A newest sample was just read that was not there at the last look."""
        stamp_ns = newest_us * US
        now_ns = self._clocks.monotonic()
        if self._clock is None:
            self._clock = self._fitting(stamp_ns)
        if self._clock is not None:
            self._offset_ns = now_ns - self._clock()
            age_ns = abs(now_ns - stamp_ns - self._offset_ns)
            self.error_ns = age_ns if self.error_ns is None else min(self.error_ns, age_ns)
        elif self._looked_ns is not None and (self._offset_ns is None or now_ns - stamp_ns < self._offset_ns):
            self._offset_ns = now_ns - stamp_ns
            self.error_ns = now_ns - self._looked_ns + SAMPLE_PERIOD_NS

    def placed(self, stamp_us: int | None) -> int | None:
        """Monotonic ns of a stamp; ``None`` before anything was learned."""
        if stamp_us is None or self._offset_ns is None:
            return None
        return stamp_us * US + self._offset_ns

    def _fitting(self, stamp_ns: int) -> Callable[[], int] | None:
        for clock in (self._clocks.unix, self._clocks.boot):
            if -EARLY_NS < clock() - stamp_ns < KNOWN_CLOCK_NS:
                return clock
        return None


class _Processes:
    """Who a pid is, and whether it is the traced process or a descendant of it."""

    def __init__(self, pid: int, proc: Path) -> None:
        self._pid = pid
        self._proc = proc
        try:
            # NVML counts pids of the first namespace. Inside another one they mean somebody else here.
            self._same_pids = str((proc / "self" / "ns" / "pid").readlink()) == INITIAL_PID_NAMESPACE
        except OSError:
            self._same_pids = False

    def use(self, pid: int, share: float) -> ProcessUse:
        if not self._same_pids:
            return ProcessUse(None, "unknown", share, None)
        return ProcessUse(pid, self._name(pid), share, self._is_ours(pid))

    def _name(self, pid: int) -> str:
        try:
            return (self._proc / str(pid) / "comm").read_text(errors="replace").strip() or "unknown"
        except OSError:
            return "unknown"

    def _is_ours(self, pid: int) -> bool | None:
        current = pid
        for _ in range(64):
            if current == self._pid:
                return True
            if current <= 1:
                return False
            try:
                stat = (self._proc / str(current) / "stat").read_text(errors="replace")
                current = int(stat.rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                return None  # it ended before it could be asked
        return False


def _union(kind: int, value: Any) -> float:
    """A number out of NVML's value union."""
    number: float = getattr(value, VALUE_MEMBERS[kind] if 0 <= kind < len(VALUE_MEMBERS) else "ullVal")
    return number


def _percent(value: float) -> float:
    return min(1.0, max(0.0, value / 100))
