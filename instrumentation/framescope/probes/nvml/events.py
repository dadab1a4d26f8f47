"""Errors that the driver tells as they happen: Xid and ECC, waited for on a thread of its own."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import pynvml

from framescope.probes.device import DeviceEvent, DeviceIdentity
from framescope.probes.nvml.stamps import Clocks

WAIT_MS: Final = 500
"""How long one wait lasts, and so how long closing takes at most; a timeout is normal."""
FAILURES: Final = 10
"""Waits that fail in a row before the thread gives up; opening the driver again starts another."""
HELD: Final = 1000

XID: Final = 0x8
TYPES: Final = {
    0x1: ("corrected", "corrected memory error"),
    0x2: ("uncorrected", "uncorrectable memory error"),
    0x200: ("corrected_storm", "storm of corrected memory errors"),
    0x400: ("retirement", "memory retired"),
    0x800: ("retirement_failure", "memory could not be retired"),
    0x1000: ("poison", "poisoned memory, contained"),
    0x2000: ("poison_fatal", "poisoned memory, not contained"),
    0x4000: ("unavailable", "GPU not available"),
}
"""NVML's event bits → what is counted, what people read."""
XIDS: Final = {
    13: "graphics engine exception",
    31: "memory page fault",
    32: "invalid command from the host",
    38: "driver firmware error",
    43: "GPU stopped processing",
    45: "work removed after an earlier error",
    48: "uncorrectable memory error",
    61: "internal microcontroller halt",
    62: "internal microcontroller halt",
    63: "memory row remapped",
    64: "memory row could not be remapped",
    68: "video processor exception",
    69: "graphics engine class error",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    92: "many corrected memory errors",
    94: "contained memory error",
    95: "uncontained memory error",
    119: "GPU firmware does not answer",
    120: "GPU firmware error",
}
"""Commoner ones of NVIDIA's catalogue of Xid errors, in words."""
_log: Final = logging.getLogger(__name__)


def described(kind: int, data: int) -> tuple[str, str]:
    """What is counted and what people read of one event."""
    if kind == XID:
        words = XIDS.get(data)
        return f"xid_{data}", f"Xid {data}" + (f", {words}" if words else "")
    return TYPES.get(kind, (f"event_{kind}", f"event {kind:#x}"))


class EventWatch:
    """Waits for events of some devices until it is closed."""

    def __init__(self, handles: Mapping[str, tuple[Any, DeviceIdentity]], clocks: Clocks) -> None:
        self._clocks = clocks
        self._found: deque[DeviceEvent] = deque(maxlen=HELD)
        self._by_address = {_address(handle): identity for handle, identity in handles.values()}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._set: Any = None
        try:
            self._set = pynvml.nvmlEventSetCreate()
            listening = [self._listen(handle) for handle, _ in handles.values()]
        except pynvml.NVMLError as error:
            _log.debug("GPU events: %s", error)
            return
        if any(listening):
            self._thread = threading.Thread(target=self._wait, name="framescope-nvml-events", daemon=True)
            self._thread.start()

    def take(self) -> list[DeviceEvent]:
        """Events since the last call."""
        found: list[DeviceEvent] = []
        while self._found:
            found.append(self._found.popleft())
        return found

    def close(self) -> bool:
        """Stop waiting; False where the thread hangs in the driver, whose session must then be left alone."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(2 * WAIT_MS / 1000)
            if self._thread.is_alive():
                return False
        if self._set is not None:
            try:
                pynvml.nvmlEventSetFree(self._set)
            except pynvml.NVMLError as error:
                _log.debug("GPU events: %s", error)
        return True

    def _listen(self, handle: Any) -> bool:
        wanted = XID
        for bit in TYPES:
            wanted |= bit
        try:
            wanted &= pynvml.nvmlDeviceGetSupportedEventTypes(handle)
            if wanted:
                pynvml.nvmlDeviceRegisterEvents(handle, wanted, self._set)
        except pynvml.NVMLError as error:
            _log.debug("GPU events of one device: %s", error)
            return False
        return bool(wanted)

    def _wait(self) -> None:
        failures = 0
        while not self._closing.is_set() and failures < FAILURES:
            try:
                event = pynvml.nvmlEventSetWait_v2(self._set, WAIT_MS)
            except pynvml.NVMLError as error:
                if error.value != pynvml.NVML_ERROR_TIMEOUT:
                    failures += 1
                    self._closing.wait(WAIT_MS / 1000)
                continue
            failures = 0
            identity = self._by_address.get(_address(event.device))
            if identity is not None:
                kind, text = described(int(event.eventType), int(event.eventData))
                self._found.append(DeviceEvent(identity, self._clocks.monotonic(), kind, text))


def _address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
