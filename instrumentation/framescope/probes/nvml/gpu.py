"""One GPU, or one MIG slice of it: its groups of calls, each with its own turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import pynvml

from framescope.probes.device import DeviceEvent, DeviceIdentity, DeviceReading, State
from framescope.probes.nvml import fields
from framescope.probes.nvml.calls import Calls
from framescope.probes.nvml.gpm import Gpm
from framescope.probes.nvml.people import People
from framescope.probes.nvml.sharing import Users, residents
from framescope.probes.nvml.stamps import Clocks
from framescope.probes.nvml.tiers import Tiers, Turns
from framescope.probes.nvml.utilization import Utilization
from framescope.probes.nvml.values import Unwrapped, percent

NS: Final = 1_000_000_000
CLOCK_SM: Final = 1
CLOCK_MEMORY: Final = 2
LONGEST_NS: Final = NS
"""Level readings and the mask of throttle reasons stand for no longer than this before they were read."""
DEGRADED_NS: Final = 60 * NS
"""A device is said to be degraded for this long after an error that was not corrected."""
HARMLESS: Final = frozenset({"corrected", "xid_13", "xid_31", "xid_43", "xid_45"})
"""Errors that leave the device sound: corrected, or a program's own fault (NVIDIA's Xid catalogue)."""
COUNTED_BY_THE_DRIVER: Final = frozenset({"corrected", "uncorrected"})
"""Events of errors whose totals are read: counting the events too would count them twice."""
FIRST_NS: Final = 1_000_000
"""How long before its first error a count is said to have stood at 0."""

Readers = dict[str, tuple[Turns, Callable[[int], list[DeviceReading]]]]


class Readable(Protocol):
    """A GPU or a slice of one."""

    @property
    def identity(self) -> DeviceIdentity: ...
    @property
    def readers(self) -> Readers: ...
    @property
    def clock_error_ns(self) -> int | None: ...
    def close(self) -> None: ...


def identified(handle: Any, driver: str) -> DeviceIdentity:
    """Who a device is; raises ``NVMLError`` where it does not even tell that."""
    calls = Calls(handle)
    return DeviceIdentity(
        str(pynvml.nvmlDeviceGetUUID(handle)),
        str(pynvml.nvmlDeviceGetName(handle)),
        "NVIDIA",
        driver=driver,
        serial=str(calls.ask("nvmlDeviceGetSerial") or ""),
    )


class Gpu:
    """One GPU."""

    def __init__(
        self, handle: Any, identity: DeviceIdentity, people: People, tiers: Tiers, clocks: Clocks
    ) -> None:
        calls = Calls(handle)
        self.identity = identity
        self.handle = handle
        self._calls = calls
        self._people = people
        self._clocks = clocks
        self._utilization = Utilization(calls, clocks)
        self._users = Users(calls, people, clocks)
        self._gpm = Gpm(calls, clocks)
        self._batch = fields.FieldBatch(
            calls,
            (
                fields.POWER_INSTANT,
                fields.POWER_AVERAGE,
                fields.ENERGY,
                fields.PCIE_TRANSMIT,
                fields.PCIE_RECEIVE,
                *fields.THROTTLE_FIELDS,
            ),
        )
        self._warm = fields.FieldBatch(calls, (fields.MEMORY_TEMPERATURE,))
        self._health = fields.FieldBatch(
            calls,
            (fields.ECC_CORRECTED, fields.ECC_UNCORRECTED, fields.PCIE_REPLAYS, fields.REMAP_FAILED),
        )
        self._throttle = fields.Throttle(calls, LONGEST_NS)
        self._io = {"transmit": Unwrapped(), "receive": Unwrapped()}
        self._io_by_gpm: dict[str, int] = {}
        self._io_counted: bool | None = None
        self._fields_ns: int | None = None
        self._remap_failed = False
        self._harmed_ns: int | None = None
        self._happened: dict[str, int] = {}
        self.readers: Readers = {
            "utilization": (Turns(tiers.utilization_ns), self._read_utilization),
            "sharing": (Turns(tiers.sharing_ns), self._read_sharing),
            "fields": (Turns(tiers.fields_ns), self._read_fields),
            "activity": (Turns(tiers.activity_ns), self._read_activity),
            "memory": (Turns(tiers.memory_ns), self._read_memory),
            "residents": (Turns(tiers.residents_ns), self._read_residents),
        }

    @property
    def clock_error_ns(self) -> int | None:
        """Bound on how far the times of its load samples may be off; ``None`` while there are none."""
        return self._utilization.anchor.error_ns

    @property
    def query_ns(self) -> int | None:
        """What the driver says that the newest batch of fields took it."""
        return self._batch.query_ns

    def happened(self, event: DeviceEvent) -> list[DeviceReading]:
        """The driver told of an error of this device: it counts, from the 0 that stood there before."""
        if event.type not in HARMLESS:
            self._harmed_ns = event.time_ns
        if event.type in COUNTED_BY_THE_DRIVER:
            return []
        before = self._happened.get(event.type, 0)
        self._happened[event.type] = before + 1
        counts = [(event.time_ns, before + 1)]
        if not before:
            counts.insert(0, (event.time_ns - FIRST_NS, 0))
        return [DeviceReading(self.identity, at, 0, errors={event.type: count}) for at, count in counts]

    def slices(self) -> list[tuple[Any, int]]:
        """Handle and instance id of each MIG slice; none where the GPU is not cut."""
        mode = self._calls.ask("nvmlDeviceGetMigMode")
        if not mode or not mode[0]:
            return []
        found: list[tuple[Any, int]] = []
        for index in range(self._calls.ask("nvmlDeviceGetMaxMigDeviceCount") or 0):
            try:
                handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(self.handle, index)
                found.append((handle, int(pynvml.nvmlDeviceGetGpuInstanceId(handle))))
            except pynvml.NVMLError:
                continue  # a place for a slice that is not there
        return found

    def close(self) -> None:
        self._gpm.close()

    # -- the groups ---------------------------------------------------------------------------------------

    def _read_utilization(self, now_ns: int) -> list[DeviceReading]:
        return [
            DeviceReading(self.identity, load.time_ns, load.window_ns, load.error_ns, load.ratio)
            for load in self._utilization.read()
        ]

    def _read_sharing(self, now_ns: int) -> list[DeviceReading]:
        sharing = self._users.read()
        if sharing is None:
            return []
        return [
            DeviceReading(
                self.identity,
                sharing.time_ns,
                sharing.window_ns,
                other_utilization=sharing.others,
                processes=sharing.uses,
            )
        ]

    def _read_fields(self, now_ns: int) -> list[DeviceReading]:
        values = self._batch.read()
        time_ns = self._clocks.monotonic()
        before_ns, self._fields_ns = self._fields_ns, time_ns
        power = values.get(fields.POWER_INSTANT, values.get(fields.POWER_AVERAGE))
        power_mw = self._calls.ask("nvmlDeviceGetPowerUsage") if power is None else power.value
        energy = values.get(fields.ENERGY)
        energy_mj = self._calls.ask("nvmlDeviceGetTotalEnergyConsumption") if energy is None else energy.value
        return [
            DeviceReading(
                self.identity,
                time_ns,
                0 if before_ns is None else min(LONGEST_NS, time_ns - before_ns),
                power_watts=None if power_mw is None else power_mw / 1000,
                energy_joules=None if energy_mj is None else energy_mj / 1000,
                throttle_ns=self._throttle.read(values, time_ns),
                io_bytes=self._counted_io(values),
                clock_hz=_hertz(self._calls.ask("nvmlDeviceGetClockInfo", CLOCK_SM, as_="SM clock")),
                memory_clock_hz=_hertz(
                    self._calls.ask("nvmlDeviceGetClockInfo", CLOCK_MEMORY, as_="memory clock")
                ),
            )
        ]

    def _counted_io(self, values: dict[int, fields.FieldValue]) -> dict[str, int]:
        told = {"transmit": values.get(fields.PCIE_TRANSMIT), "receive": values.get(fields.PCIE_RECEIVE)}
        if self._io_counted is None and values:
            self._io_counted = any(one is not None for one in told.values())
        return {
            way: self._io[way].read(int(one.value), one.width) for way, one in told.items() if one is not None
        }

    def _read_activity(self, now_ns: int) -> list[DeviceReading]:
        activity = self._gpm.read()
        if activity is None:
            return []
        if self._io_counted is False:  # the counters are not told: add up what GPM says of each window
            for way, amount in activity.io_bytes.items():
                self._io_by_gpm[way] = self._io_by_gpm.get(way, 0) + amount
        return [
            DeviceReading(
                self.identity,
                activity.time_ns,
                activity.window_ns,
                activity=activity.parts,
                io_bytes=dict(self._io_by_gpm),
            )
        ]

    def _read_memory(self, now_ns: int) -> list[DeviceReading]:
        used, total = _memory(self._calls)
        celsius = self._calls.ask("nvmlDeviceGetTemperature", 0)
        if celsius is None:
            celsius = self._calls.ask("nvmlDeviceGetTemperatureV", 0)
        warm = self._warm.read().get(fields.MEMORY_TEMPERATURE)
        encoder = self._calls.ask("nvmlDeviceGetEncoderUtilization")
        decoder = self._calls.ask("nvmlDeviceGetDecoderUtilization")
        return [
            DeviceReading(
                self.identity,
                self._clocks.monotonic(),
                0,
                memory_used_bytes=used,
                memory_total_bytes=total,
                temperature_celsius=None if celsius is None else float(celsius),
                memory_temperature_celsius=None if warm is None or warm.value <= 0 else warm.value,
                encoder_utilization=None if encoder is None else percent(encoder[0]),
                decoder_utilization=None if decoder is None else percent(decoder[0]),
                state=self._state(now_ns),
            )
        ]

    def _state(self, now_ns: int) -> State:
        if self._remap_failed:
            return "predicted_failure"
        harmed = self._harmed_ns is not None and now_ns - self._harmed_ns < DEGRADED_NS
        return "degraded" if harmed else "ok"

    def _read_residents(self, now_ns: int) -> list[DeviceReading]:
        values = self._health.read()
        errors = {
            name: int(values[field].value)
            for field, name in (
                (fields.ECC_CORRECTED, "corrected"),
                (fields.ECC_UNCORRECTED, "uncorrected"),
                (fields.PCIE_REPLAYS, "pcie_replay"),
            )
            if field in values
        }
        failed = values.get(fields.REMAP_FAILED)
        self._remap_failed = failed is not None and failed.value > 0
        speed = self._calls.ask("nvmlDeviceGetFanSpeed")
        turns = self._calls.ask("nvmlDeviceGetFanSpeedRPM")
        return [
            DeviceReading(
                self.identity,
                self._clocks.monotonic(),
                0,
                residents=residents(self._calls, self._people),
                errors={**self._happened, **errors},
                fan_ratio=None if speed is None else percent(speed),
                fan_rpm=None if turns is None else float(turns),
            )
        ]


class Slice:
    """One MIG slice. NVML tells of it its memory, and on Hopper and later what its parts do."""

    def __init__(
        self, parent: Gpu, handle: Any, instance: int, people: People, tiers: Tiers, clocks: Clocks
    ) -> None:
        own = identified(handle, parent.identity.driver)
        self.identity = DeviceIdentity(
            own.id, own.name, own.vendor, driver=own.driver, parent=parent.identity.id
        )
        self._calls = Calls(handle)
        self._people = people
        self._clocks = clocks
        self._gpm = Gpm(Calls(parent.handle), clocks, instance)
        self.clock_error_ns: int | None = None
        self.readers: Readers = {
            "activity": (Turns(tiers.activity_ns), self._read_activity),
            "memory": (Turns(tiers.memory_ns), self._read_memory),
            "residents": (Turns(tiers.residents_ns), self._read_residents),
        }

    def close(self) -> None:
        self._gpm.close()

    def _read_activity(self, now_ns: int) -> list[DeviceReading]:
        activity = self._gpm.read()
        if activity is None:
            return []
        return [
            DeviceReading(
                self.identity,
                activity.time_ns,
                activity.window_ns,
                utilization=activity.parts.get("graphics"),
                activity=activity.parts,
            )
        ]

    def _read_memory(self, now_ns: int) -> list[DeviceReading]:
        used, total = _memory(self._calls)
        return [
            DeviceReading(
                self.identity,
                self._clocks.monotonic(),
                0,
                memory_used_bytes=used,
                memory_total_bytes=total,
                state="ok",
            )
        ]

    def _read_residents(self, now_ns: int) -> list[DeviceReading]:
        return [
            DeviceReading(
                self.identity,
                self._clocks.monotonic(),
                0,
                residents=residents(self._calls, self._people),
            )
        ]


def _memory(calls: Calls) -> tuple[int | None, int | None]:
    """Used and total bytes."""
    memory = calls.ask("nvmlDeviceGetMemoryInfo")
    return (None, None) if memory is None else (int(memory.used), int(memory.total))


def _hertz(megahertz: Any) -> float | None:
    return None if megahertz is None else float(megahertz) * 1e6
