"""What a thread of another process waits in: its system call, read from ``/proc`` while it is off the CPU.

Reading needs the right to trace that process: the same user, and where Yama restricts it
(``kernel.yama.ptrace_scope`` 1, usual on desktops) the process's own consent, which ``allow`` gives.
It stops nobody: the kernel reads the saved registers of a thread that sleeps.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["running", "gil", "lock", "io", "sleep", "other"]

_IO, _LOCK, _SLEEP, _OTHER = "io", "lock", "sleep", "other"
_CALLS: Final[dict[str, tuple[Kind, bool]]] = {
    "read": ("io", True), "write": ("io", True), "readv": ("io", True), "writev": ("io", True),
    "pread64": ("io", True), "pwrite64": ("io", True), "preadv": ("io", True), "pwritev": ("io", True),
    "preadv2": ("io", True), "pwritev2": ("io", True), "sendfile": ("io", False), "splice": ("io", True),
    "copy_file_range": ("io", True), "fsync": ("io", True), "fdatasync": ("io", True), "msync": ("io", False),
    "sync_file_range": ("io", True), "syncfs": ("io", True), "sync": ("io", False), "ftruncate": ("io", True),
    "fallocate": ("io", True), "getdents64": ("io", True), "newfstatat": ("io", False),
    "openat": ("io", False), "unlinkat": ("io", False), "renameat2": ("io", False),
    "io_getevents": ("io", False), "open": ("io", False), "connect": ("io", True), "accept": ("io", True),
    "accept4": ("io", True), "sendto": ("io", True), "recvfrom": ("io", True), "sendmsg": ("io", True),
    "recvmsg": ("io", True), "recvmmsg": ("io", True), "sendmmsg": ("io", True), "poll": ("io", False),
    "ppoll": ("io", False), "select": ("io", False), "pselect6": ("io", False), "epoll_wait": ("io", False),
    "epoll_pwait": ("io", False), "io_uring_enter": ("io", False), "futex": ("lock", False),
    "flock": ("lock", False), "nanosleep": ("sleep", False), "clock_nanosleep": ("sleep", False),
    "ioctl": ("other", True), "wait4": ("other", False), "waitid": ("other", False), "mmap": ("other", False),
    "munmap": ("other", False), "madvise": ("other", False), "brk": ("other", False),
}  # fmt: skip
"""By name: what kind of wait it is, and whether its first argument is a file descriptor."""

_NUMBERS: Final[dict[str, dict[int, str]]] = {
    # Linux: arch/x86/entry/syscalls/syscall_64.tbl
    "x86_64": {
        0: "read", 1: "write", 2: "open", 7: "poll", 9: "mmap", 11: "munmap", 12: "brk", 16: "ioctl",
        17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev", 23: "select", 26: "msync", 28: "madvise",
        35: "nanosleep", 40: "sendfile", 42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom",
        46: "sendmsg", 47: "recvmsg", 61: "wait4", 73: "flock", 74: "fsync", 75: "fdatasync",
        77: "ftruncate", 162: "sync", 202: "futex", 208: "io_getevents", 217: "getdents64",
        230: "clock_nanosleep", 232: "epoll_wait", 247: "waitid", 257: "openat", 262: "newfstatat",
        263: "unlinkat", 270: "pselect6", 271: "ppoll", 275: "splice", 277: "sync_file_range",
        281: "epoll_pwait", 285: "fallocate", 288: "accept4", 295: "preadv", 296: "pwritev", 299: "recvmmsg",
        306: "syncfs", 307: "sendmmsg", 316: "renameat2", 326: "copy_file_range", 327: "preadv2",
        328: "pwritev2", 426: "io_uring_enter",
    },
    # Linux: include/uapi/asm-generic/unistd.h
    "aarch64": {
        4: "io_getevents", 22: "epoll_pwait", 29: "ioctl", 32: "flock", 35: "unlinkat", 46: "ftruncate",
        47: "fallocate", 56: "openat", 61: "getdents64", 63: "read", 64: "write", 65: "readv", 66: "writev",
        67: "pread64", 68: "pwrite64", 69: "preadv", 70: "pwritev", 71: "sendfile", 72: "pselect6",
        73: "ppoll", 76: "splice", 79: "newfstatat", 81: "sync", 82: "fsync", 83: "fdatasync",
        84: "sync_file_range", 95: "waitid", 98: "futex",
        101: "nanosleep", 115: "clock_nanosleep", 202: "accept", 203: "connect", 206: "sendto",
        207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 214: "brk", 215: "munmap", 222: "mmap",
        227: "msync", 233: "madvise", 242: "accept4", 243: "recvmmsg", 260: "wait4", 267: "syncfs",
        269: "sendmmsg", 276: "renameat2", 285: "copy_file_range", 286: "preadv2", 287: "pwritev2",
        426: "io_uring_enter",
    },
}  # fmt: skip
ASK_AGAIN: Final = 100
"""Reads after which descriptors are asked for anew: a number may have become another file's."""
NUMBERS: Final = _NUMBERS.get(platform.machine(), {})


@dataclass(frozen=True, slots=True)
class Call:
    """What a thread was in: its kind, the call as a person reads it ("" for one that ran)."""

    kind: Kind
    text: str = ""
    descriptor: int | None = None


RUNNING: Final = Call("running")


def parse(line: str, lock: tuple[int, int] | None, numbers: dict[int, str] = NUMBERS) -> Call:
    """One reading of ``/proc/PID/task/TID/syscall``. ``lock``: where the interpreter lock lies, (start, end).

    ``running``; or the number of the call, its six arguments, stack pointer and program counter; or -1
    where it waits outside of one (proc_pid_syscall(5)). Raises ``ValueError`` for anything else.
    """
    words = line.split()
    if words == ["running"]:
        return RUNNING
    number = int(words[0])
    if number == -1:
        return Call("other", "a page of memory")
    name = numbers.get(number)
    if name is None:
        return Call("other", f"system call {number}")
    kind, takes_descriptor = _CALLS[name]
    if name == "futex":
        at = int(words[1], 16)
        if lock is not None and lock[0] <= at < lock[1]:
            return Call("gil", "the interpreter lock")
        return Call("lock", "a lock")
    return Call(kind, f"{name}()", int(words[1], 16) if takes_descriptor else None)


def kind_of_file(link: str) -> str:
    """What a descriptor is, from its link in ``/proc/PID/fd``; never its name, which may tell too much."""
    for start, what in (
        ("pipe:", "a pipe"), ("socket:", "a socket"), ("/dev/pts/", "a terminal"), ("/dev/tty", "a terminal"),
        ("/dev/", "a device"), ("/", "a file"), ("anon_inode:", "an event"),
    ):  # fmt: skip
        if link.startswith(start):
            return what
    return "a file"


class SystemCallProbe:
    """Reads what threads of one process wait in. ``lock``: where its interpreter lock lies."""

    def __init__(self, pid: int, lock: tuple[int, int] | None) -> None:
        self._pid = pid
        self._lock = lock
        self._descriptors: dict[int, int] = {}
        self._files: dict[tuple[int, int], str] = {}
        self._reads = 0

    def read(self, thread: int) -> Call:
        """The call of one thread (the kernel's number). Raises ``OSError`` where it cannot be read:
        ``PermissionError`` where that is not allowed, ``ProcessLookupError`` when the thread has ended."""
        descriptor = self._descriptors.get(thread)
        if descriptor is None:
            if len(self._descriptors) >= 128:
                self.close()
            path = f"/proc/{self._pid}/task/{thread}/syscall"
            descriptor = self._descriptors[thread] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            line = os.pread(descriptor, 256, 0)
        except ProcessLookupError:
            os.close(self._descriptors.pop(thread))
            raise
        call = parse(line.decode(), self._lock)
        if call.descriptor is None:
            return call
        what = self._file(thread, call.descriptor)
        return Call(call.kind, f"{call.text} of {what}" if what else call.text)

    def _file(self, thread: int, descriptor: int) -> str:
        """What this thread's descriptor is; asked of the kernel once in a while."""
        self._reads += 1
        if self._reads % ASK_AGAIN == 0:
            self._files.clear()
        known = self._files.get((thread, descriptor))
        if known is None:
            try:
                known = kind_of_file(os.readlink(f"/proc/{self._pid}/fd/{descriptor}"))  # noqa: PTH115
            except OSError:
                known = ""
            self._files[thread, descriptor] = known
        return known

    def close(self) -> None:
        """Let go of the threads."""
        for descriptor in self._descriptors.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()


# --- on the host's side ------------------------------------------------------------------------------------


class _Symbol(ctypes.Structure):
    """``Elf64_Sym`` (elf.h)."""

    _fields_ = (
        ("name", ctypes.c_uint32),
        ("info", ctypes.c_ubyte),
        ("other", ctypes.c_ubyte),
        ("section", ctypes.c_uint16),
        ("value", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
    )


class _Where(ctypes.Structure):
    """``Dl_info`` (dlfcn.h)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


_RTLD_DL_SYMENT: Final = 1


def interpreter_lock_range() -> tuple[int, int] | None:
    """Addresses between which this process's interpreter lock lies; None where that cannot be known.

    It is part of ``_PyRuntime``: in 3.11 of its ``ceval``, since 3.12 of the main interpreter in it. A
    sub-interpreter with a lock of its own has it elsewhere: waits for that one show as waits for a lock.
    """
    if not sys.platform.startswith("linux") or getattr(sys, "_is_gil_enabled", lambda: True)() is False:
        return None
    try:
        start = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
        symbol, where = ctypes.POINTER(_Symbol)(), _Where()
        dladdr1 = ctypes.PyDLL(None).dladdr1
        dladdr1.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        if not dladdr1(start, ctypes.byref(where), ctypes.byref(symbol), _RTLD_DL_SYMENT) or not symbol:
            return None
        size = int(symbol.contents.size)
    except (ValueError, AttributeError, OSError):
        return None
    return (start, start + size) if 4096 <= size <= 1 << 24 else None


def allow(tracer: int) -> None:
    """Let this process, and no other, read what our threads wait in, where Yama asks for consent.

    ``prctl(PR_SET_PTRACER)``: the consent is for this process's descendants too, and for tracing as such.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.PyDLL(None).prctl(0x59616D61, ctypes.c_ulong(tracer), 0, 0, 0)
