"""A stream of any CUDA package as the driver's handle, and which one is current, without importing any."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

LEGACY_DEFAULT: Final = 0


def handle_of(stream: object) -> int:
    """The driver's handle of a stream: a plain number, or an object of torch, CuPy, cuda-core or Numba.

    By the ``__cuda_stream__`` protocol where there is one, else ``cuda_stream`` (torch), ``ptr`` (CuPy) or
    ``handle`` (Numba before 0.20). Raises ``TypeError`` for anything else.
    """
    if isinstance(stream, int) and not isinstance(stream, bool) and stream >= 0:
        return stream
    told: Any = getattr(stream, "__cuda_stream__", None)
    if told is not None:
        told = told() if callable(told) else told
        return int(told[1])  # (version of the protocol, handle)
    for name in ("cuda_stream", "ptr", "handle"):
        told = getattr(stream, name, None)
        if told is not None:
            # Numba's handle is a c_void_p, whose value is None for the default stream.
            told = getattr(told, "value", told)
            return LEGACY_DEFAULT if told is None else int(told)
    raise TypeError(
        f"{type(stream).__name__} is no CUDA stream: give one of torch, CuPy, cuda-core or Numba, its handle "
        "as a number, or a function that answers either, such as torch.cuda.current_stream"
    )


def follow(stream: object) -> Callable[[], int]:
    """How to find, at each entry of a stage, the handle of the stream its work goes to.

    ``None``: the stream that is current then. A function: what it answers then. Anything else: this stream,
    which is kept alive. Raises ``TypeError`` for what is no stream.
    """
    if stream is None:
        return current
    if callable(stream):
        ask: Callable[[], object] = stream
        return lambda: handle_of(ask())
    handle = handle_of(stream)
    # The stream stays referenced here: a handle whose stream was destroyed may come to mean another.
    return lambda kept=stream: handle  # type: ignore[misc]


def current() -> int:
    """The calling thread's current stream: torch's if it uses CUDA in this process, else CuPy's, else the
    legacy default stream. Right inside ``torch.cuda.stream(…)``: it is asked anew each time."""
    torch = sys.modules.get("torch")
    if torch is not None:
        cuda = torch.cuda
        if cuda.is_initialized():
            # What torch's own compiler emits: a fifth of the time of making a Stream object.
            quick = getattr(torch._C, "_cuda_getCurrentRawStream", None)
            if quick is not None:
                return int(quick(torch._C._cuda_getDevice()))
            return int(cuda.current_stream().cuda_stream)
    cupy = sys.modules.get("cupy")
    if cupy is not None:
        return int(cupy.cuda.get_current_stream().ptr)
    return LEGACY_DEFAULT
