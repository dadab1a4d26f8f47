"""What the stand-ins for CUDA packages share: a stream of the scripted driver, and work on it.

They stand in for what framescope asks of the packages, and for what the examples in docs/gpu_time.md do with
them: streams, which one is current, and calls that put work on it. They compute nothing.
"""

from __future__ import annotations

import ctypes

library = ctypes.PyDLL("libcuda.so.1")


def start() -> None:
    """Initialize the driver as a package does: a context, and a device whose clock goes with the host's."""
    library.stub_initialize()
    library.stub_follow(ctypes.c_int64(10**12), ctypes.c_double(1.0))
    context = ctypes.c_void_p()
    library.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
    library.cuCtxSetCurrent(context)


def new_stream() -> int:
    made = ctypes.c_void_p()
    assert library.cuStreamCreateWithPriority(ctypes.byref(made), 1, 0) == 0
    assert made.value is not None
    return made.value


def work(stream: int, ns: int = 100_000) -> None:
    assert library.stub_work(ctypes.c_void_p(stream), ctypes.c_int64(ns)) == 0
