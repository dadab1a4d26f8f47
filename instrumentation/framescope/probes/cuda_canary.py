"""A canary: a tiny kernel, launched now and then, that shows how long the GPU keeps work waiting.

It runs in the pipeline's own context, on a stream of the highest priority: the pipeline's own kernels delay
it by a block of theirs at most, another process's by its whole turn on the device. What it takes from launch
to end beyond the least it ever took is its delay. Off unless asked for: it is work on the device, some 10 µs
of it ten times a second, and only while GPU stages run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_float, c_int, c_void_p
from typing import Final, NamedTuple

from framescope.probes.cuda_driver import NOT_READY, STREAM_NON_BLOCKING, SUCCESS, CudaError, Driver

EVERY_NS: Final = 100_000_000
"""Between two launches; not sooner than the last one has ended."""

_ENTRY: Final = "framescope_canary"
_PTX: Final = f"""\
.version 6.0
.target sm_50
.address_size 64
.visible .entry {_ENTRY}()
{{
    ret;
}}
""".encode()
"""Intermediate code: the driver compiles it for whatever device there is, once a context."""


class CanaryReading(NamedTuple):
    """One launch, all ns: ``at_ns`` when it was launched (monotonic), ``delay_ns`` how much longer than the
    least ever it took to its end, ``error_ns`` a bound on that delay's error."""

    device: str
    at_ns: int
    delay_ns: int
    error_ns: int


class Canary:
    """The canary of one context, which is current while it is made and looked at. Raises ``CudaError``."""

    def __init__(self, driver: Driver, clock: Callable[[], int]) -> None:
        self._driver = driver
        self._clock = clock
        self._module, self._kernel, self._stream, self._ended = (c_void_p() for _ in range(4))
        least, greatest = c_int(), c_int()
        driver.call("cuModuleLoadData", byref(self._module), _PTX)
        driver.call("cuModuleGetFunction", byref(self._kernel), self._module, _ENTRY.encode())
        driver.call("cuCtxGetStreamPriorityRange", byref(least), byref(greatest))
        driver.call("cuStreamCreateWithPriority", byref(self._stream), STREAM_NON_BLOCKING, greatest)
        driver.call("cuEventCreate", byref(self._ended), 0)
        self._launched_ns: int | None = None
        self._next_ns = 0
        self._floor_ns: int | None = None

    def look(
        self, device: str, anchor: c_void_p, low_ns: int, high_ns: int, drift: float
    ) -> CanaryReading | None:
        """What the last launch took, once it has ended, and the next launch. Never waits for the device.

        ``anchor`` is an event that completed between ``low_ns`` and ``high_ns`` of the host's clock.
        """
        reading = None
        if self._launched_ns is not None:
            since_ms = c_float()
            code = self._driver.hot.cuEventElapsedTime(byref(since_ms), anchor, self._ended)
            if code == NOT_READY:
                return None
            if code != SUCCESS:
                raise CudaError("cuEventElapsedTime", code)
            since_ns = round(since_ms.value * 1e6)
            took = max(0, (low_ns + high_ns) // 2 + since_ns - self._launched_ns)
            error = (high_ns - low_ns + 1) // 2 + round(abs(since_ns) * drift)
            if self._floor_ns is not None:
                reading = CanaryReading(device, self._launched_ns, max(0, took - self._floor_ns), error)
            self._floor_ns = took if self._floor_ns is None else min(took, self._floor_ns)
            self._launched_ns = None
        now = self._clock()
        if now >= self._next_ns:
            self._next_ns = now + EVERY_NS
            one, none = ctypes.c_uint(1), ctypes.c_uint(0)
            self._driver.call(
                "cuLaunchKernel", self._kernel, one, one, one, one, one, one, none, self._stream, None, None
            )
            self._driver.call("cuEventRecord", self._ended, self._stream)
            self._launched_ns = now
        return reading
