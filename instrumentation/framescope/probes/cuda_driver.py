"""The CUDA driver's own interface, called without any CUDA package: ``libcuda.so.1`` through ctypes.

Only what a timer needs, and nothing that waits for the device. The library comes with the driver, so that
it is there wherever torch, CuPy, Numba or cuda-core can work, and their streams are its streams.

Two ways to call it. ``hot`` keeps the interpreter lock: such calls stand in a frame, where giving it away
beside one busy Python thread costs 5 ms. ``free`` gives it away: calls that may take long, off the frames'
threads. The signatures are those of the CUDA driver API reference.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from typing import Any, Final

SUCCESS: Final = 0
NOT_READY: Final = 600
CAPTURE_IMPLICIT: Final = 906
GONE: Final = (201, 709)
"""What a destroyed context answers: CUDA_ERROR_INVALID_CONTEXT, CUDA_ERROR_CONTEXT_IS_DESTROYED."""

CAPTURE_RELAXED: Final = 2
STREAM_NON_BLOCKING: Final = 1
LAST_DEFAULT_STREAM: Final = 2
"""Handles 0 (legacy), 1 (legacy, by name) and 2 (per thread) are streams of whatever context is current."""

_NEEDED: Final = (
    "cuCtxGetCurrent", "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuCtxGetDevice", "cuDeviceGetUuid",
    "cuEventCreate", "cuEventDestroy_v2", "cuEventElapsedTime", "cuEventQuery", "cuEventRecord",
    "cuStreamCreateWithPriority", "cuStreamDestroy_v2", "cuStreamGetCtx", "cuStreamIsCapturing",
    "cuThreadExchangeStreamCaptureMode",
)  # fmt: skip
"""CUDA 10.1 (2019) has all of them."""


class CudaError(Exception):
    """A call of the driver failed; ``code`` is its CUresult."""

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"{call} answered {code}")
        self.code = code


class NoCudaError(Exception):
    """There is no CUDA driver here, or it is too old; the text says which."""


class Driver:
    """The driver's library, loaded. Raises ``NoCudaError``."""

    def __init__(self, path: str | None = None) -> None:
        path = path or ("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        try:
            self.hot: Any = ctypes.PyDLL(path)
            self.free: Any = ctypes.CDLL(path)
        except OSError as error:
            raise NoCudaError(f"no CUDA driver here ({path} does not load: {error})") from error
        missing = [name for name in _NEEDED if not hasattr(self.hot, name)]
        if missing:
            raise NoCudaError(f"the CUDA driver is too old: it has no {missing[0]}")

    def has(self, name: str) -> bool:
        """Whether this driver is new enough for a call that is not always there."""
        return hasattr(self.free, name)

    def call(self, name: str, *arguments: Any) -> None:
        """One call off the frames' threads. Raises ``CudaError``."""
        code = getattr(self.free, name)(*arguments)
        if code != SUCCESS:
            raise CudaError(name, code)

    @contextlib.contextmanager
    def current(self, context: ctypes.c_void_p) -> Iterator[None]:
        """Make a context the calling thread's for a while. Raises ``CudaError``."""
        self.call("cuCtxPushCurrent_v2", context)
        try:
            yield
        finally:
            self.free.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

    @contextlib.contextmanager
    def relaxed(self) -> Iterator[None]:
        """Let the calling thread query events while another thread captures a graph.

        In a global capture a query by any thread that is not in this mode breaks the capture; PyTorch's NCCL
        watchdog met this (pytorch/pytorch pull requests 104555 and 148594).
        """
        mode = ctypes.c_int(CAPTURE_RELAXED)
        self.free.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))
        try:
            yield
        finally:
            self.free.cuThreadExchangeStreamCaptureMode(ctypes.byref(mode))

    def identity(self, context: ctypes.c_void_p) -> int:
        """A number that no other context of this process ever has. Raises ``CudaError`` if it is gone.

        Before CUDA 12 there is none: the handle, which another context may get after this one is destroyed.
        """
        if self.has("cuCtxGetId"):
            number = ctypes.c_ulonglong()
            self.call("cuCtxGetId", context, ctypes.byref(number))
            return number.value
        self.call("cuCtxGetApiVersion", context, ctypes.byref(ctypes.c_uint()))
        return context.value or 0

    def device_id(self) -> str:
        """The current context's device as NVML names it: ``GPU-`` or ``MIG-`` and a UUID.

        Raises ``CudaError``. ``cuDeviceGetUuid_v2`` (CUDA 11.4) tells the MIG instance, its predecessor the
        GPU: where they differ it is an instance.
        """
        device = ctypes.c_int()
        self.call("cuCtxGetDevice", ctypes.byref(device))
        whole, part = (ctypes.c_ubyte * 16)(), (ctypes.c_ubyte * 16)()
        self.call("cuDeviceGetUuid", ctypes.byref(whole), device)
        if self.has("cuDeviceGetUuid_v2"):
            self.call("cuDeviceGetUuid_v2", ctypes.byref(part), device)
        else:
            part = whole
        digits = bytes(part).hex()
        name = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        return f"{'GPU' if bytes(part) == bytes(whole) else 'MIG'}-{name}"
