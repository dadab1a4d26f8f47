"""NVML's field values, read in batches, and what the clocks were held back for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import pynvml

from framescope.probes.nvml.calls import UNSUPPORTED, Calls, raise_if_lost
from framescope.probes.nvml.values import bits, union

POWER_AVERAGE: Final = 185
POWER_INSTANT: Final = 186
ENERGY: Final = 83
PCIE_TRANSMIT: Final = 197
PCIE_RECEIVE: Final = 198
MEMORY_TEMPERATURE: Final = 82
ECC_CORRECTED: Final = 3
ECC_UNCORRECTED: Final = 4
PCIE_REPLAYS: Final = 94
REMAP_FAILED: Final = 145

THROTTLE_FIELDS: Final = {
    74: "power_cap",
    76: "sync_boost",
    269: "sw_thermal",
    270: "hw_thermal",
    271: "power_brake",
}
"""NVML field → reason; each counts, cumulative, the ns the clocks were held back for it."""
THROTTLE_BITS: Final = {
    0x4: "power_cap",
    0x10: "sync_boost",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "power_brake",
}
"""Bits of `nvmlDeviceGetCurrentClocksEventReasons` by the same reasons. Left out: idle (0x1), clocks set by
the user (0x2) and by the display (0x100) hold nothing back."""
HW_SLOWDOWN: Final = 0x8
"""Set beside the hardware's thermal or power-brake bit; alone the hardware does not say which."""


@dataclass(frozen=True, slots=True)
class FieldValue:
    """One field: its value, and the width it wraps at in bits (0: it does not)."""

    value: float
    width: int


class FieldBatch:
    """Some fields of one device in one call. Fields that it does not support are asked for once.

    A driver that refuses the whole batch, for a field that it has never heard of, is asked field by field
    which ones it knows.
    """

    def __init__(self, calls: Calls, fields: Iterable[int]) -> None:
        self._calls = calls
        self._fields = list(fields)
        self.query_ns: int | None = None
        """What the driver itself says that the newest batch took."""

    def read(self) -> dict[int, FieldValue]:
        """The fields that were told; raises `LostDeviceError` where one of them says so."""
        if not self._fields:
            return {}
        whole = f"fields {self._fields}"
        answer = self._calls.ask("nvmlDeviceGetFieldValues", self._fields, as_=whole)
        if answer is None and len(self._fields) > 1 and self._calls.lacks(whole):
            self._fields = [one for one in self._fields if self._knows(one)]
            return self.read()
        found: dict[int, FieldValue] = {}
        query_us = 0
        for one in answer or ():
            code = int(one.nvmlReturn)
            raise_if_lost(code)
            query_us += max(0, int(one.latencyUsec))
            if code in UNSUPPORTED:
                self._fields.remove(one.fieldId)
            elif code == pynvml.NVML_SUCCESS:
                found[one.fieldId] = FieldValue(union(one.valueType, one.value), bits(one.valueType))
        self.query_ns = query_us * 1000 if found else None
        return found

    def _knows(self, field: int) -> bool:
        return self._calls.ask("nvmlDeviceGetFieldValues", [field], as_=f"fields [{field}]") is not None


class Throttle:
    """ns the device was held back, cumulative by reason: as it counts, else by samples of its bit mask.

    Polling the mask misses what is short, so it only stands in for reasons without a counter: a bit that is
    set is taken to have been set since the look before, never for longer than ``longest_ns``.
    """

    def __init__(self, calls: Calls, longest_ns: int) -> None:
        self._calls = calls
        self._longest_ns = longest_ns
        self._sampled: dict[str, int] = {}
        self._looked_ns: int | None = None

    def read(self, values: dict[int, FieldValue], now_ns: int) -> dict[str, int]:
        """The counters, given the fields of this turn."""
        counted = {
            reason: int(values[field].value) for field, reason in THROTTLE_FIELDS.items() if field in values
        }
        if len(counted) < len(THROTTLE_FIELDS):
            self._sample(counted, now_ns)
        return {**{reason: ns for reason, ns in self._sampled.items() if reason not in counted}, **counted}

    def _sample(self, counted: dict[str, int], now_ns: int) -> None:
        mask = self._calls.ask("nvmlDeviceGetCurrentClocksEventReasons")
        if mask is None:  # drivers before 535 know it by the older name only
            mask = self._calls.ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        looked_ns, self._looked_ns = self._looked_ns, now_ns
        if mask is None:
            self._looked_ns = None
            return
        reasons = {reason: bool(mask & bit) for bit, reason in THROTTLE_BITS.items()}
        reasons["hw_slowdown"] = bool(mask & HW_SLOWDOWN) and not (
            reasons["hw_thermal"] or reasons["power_brake"]
        )
        passed = 0 if looked_ns is None else min(self._longest_ns, now_ns - looked_ns)
        for reason, held in reasons.items():
            if reason not in counted:
                self._sampled[reason] = self._sampled.get(reason, 0) + (passed if held else 0)
