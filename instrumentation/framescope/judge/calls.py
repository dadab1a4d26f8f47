"""The call a thread was seen in, as a stage tells it in words, and which cause it speaks for."""

from __future__ import annotations

from typing import Final

_LOCKS: Final = {"python_gil": ("the interpreter lock",), "lock_wait": ("a lock", "flock()")}
_NEITHER: Final = (
    "clock_nanosleep", "nanosleep", "ioctl", "wait4", "waitid", "mmap", "munmap", "madvise", "brk",
    "a page of memory", "system call",
)  # fmt: skip
"""Calls that are no input or output and wait for no lock; see ``probes.system_call``."""


def speaks_for(call: str, cause: str) -> bool:
    """Whether being seen in this call supports this cause: a sleep says nothing for ``io_wait``."""
    if not call:
        return False
    if cause in _LOCKS:
        return call in _LOCKS[cause]
    neither = call.startswith(_NEITHER)
    if cause == "io_wait":
        return not neither and not any(call in calls for calls in _LOCKS.values())
    return cause == "blocked" and neither
