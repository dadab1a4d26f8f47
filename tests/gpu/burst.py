"""Keeps a GPU busy for a known time, through the driver's own library: no CUDA package is needed."""

from __future__ import annotations

import ctypes
import time
from ctypes import byref, c_uint, c_ulonglong, c_void_p
from types import TracebackType
from typing import Any, Final, Self

_PTX: Final = b"""\
.version 6.0
.target sm_50
.address_size 64
.visible .entry spin(.param .u64 ns)
{
    .reg .u64 %begin, %now, %limit;
    .reg .pred %more;
    ld.param.u64 %limit, [ns];
    mov.u64 %begin, %globaltimer;
again:
    mov.u64 %now, %globaltimer;
    sub.u64 %now, %now, %begin;
    setp.lt.u64 %more, %now, %limit;
    @%more bra again;
    ret;
}
"""
"""One thread that waits for the device's own clock: the device is in use, and draws next to no power."""
PIECE_NS: Final = 10_000_000
"""Length of one kernel: far below the seconds after which a display's driver kills one."""
AHEAD: Final = 3
"""Kernels launched ahead, so that the device never waits for the host between two."""


class NoBurst(Exception):
    """There is no CUDA driver that runs a kernel here; the text says why."""


class Burst:
    """A context on the first device. ``spin`` keeps it busy."""

    def __init__(self) -> None:
        try:
            self._cuda: Any = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise NoBurst(str(error)) from error
        self._context, self._module, self._kernel = c_void_p(), c_void_p(), c_void_p()
        device = ctypes.c_int()
        self._call("cuInit", c_uint(0))
        self._call("cuDeviceGet", byref(device), ctypes.c_int(0))
        self._device = device
        self._call("cuDevicePrimaryCtxRetain", byref(self._context), device)
        self._call("cuCtxSetCurrent", self._context)
        self._call("cuModuleLoadData", byref(self._module), _PTX)
        self._call("cuModuleGetFunction", byref(self._kernel), self._module, b"spin")
        self.spin(0.001)  # the first launch loads the code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cuda.cuModuleUnload(self._module)
        self._cuda.cuDevicePrimaryCtxRelease_v2(self._device)

    def spin(self, seconds: float) -> tuple[int, int]:
        """Busy for this long; between which moments (monotonic ns)."""
        self._call("cuCtxSynchronize")
        began = time.monotonic_ns()
        left, events = round(seconds * 1e9), []
        while left > 0:
            piece = min(left, PIECE_NS)
            self._launch(piece)
            events.append(self._event())
            if len(events) > AHEAD:
                done = events.pop(0)
                self._call("cuEventSynchronize", done)
                self._call("cuEventDestroy_v2", done)
            left -= piece
        self._call("cuCtxSynchronize")
        ended = time.monotonic_ns()
        for event in events:
            self._call("cuEventDestroy_v2", event)
        return began, ended

    def turn(self, seconds: float) -> int:
        """One kernel from launch to end, as the host sees it, in ns."""
        began = time.perf_counter_ns()
        self._launch(round(seconds * 1e9))
        self._call("cuCtxSynchronize")
        return time.perf_counter_ns() - began

    def _launch(self, ns: int) -> None:
        length = c_ulonglong(ns)
        arguments = (c_void_p * 1)(ctypes.cast(byref(length), c_void_p))
        one = c_uint(1)
        self._call(
            "cuLaunchKernel", self._kernel, one, one, one, one, one, one, c_uint(0), None, arguments, None
        )

    def _event(self) -> c_void_p:
        event = c_void_p()
        self._call("cuEventCreate", byref(event), c_uint(2))  # 2: without timing
        self._call("cuEventRecord", event, None)
        return event

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._cuda, name)(*arguments)
        if code:
            raise NoBurst(f"{name} answered {code}")
