"""Makes this Linux look like another system to framescope, in the host and in its agent alike.

``ELSEWHERE_SYSTEM`` says which: ``darwin``, ``win32``, or ``bare`` for a Linux that hides ``/proc`` and
``/sys`` as a locked-down sandbox does. What the standard library and psutil need of the real system was
imported before, and psutil is let through: it has its own code for each system, which is not ours to try.
"""

import asyncio
import builtins
import concurrent.futures.thread
import ctypes
import ctypes.util
import errno
import io
import multiprocessing.queues
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

_system = os.environ.get("ELSEWHERE_SYSTEM", "")
_NOT_HERE = {
    "darwin": {
        os: "memfd_create MFD_CLOEXEC sched_getaffinity sched_setaffinity pidfd_open",
        time: "CLOCK_BOOTTIME",
    },
    "win32": {
        os: "memfd_create MFD_CLOEXEC O_CLOEXEC sched_getaffinity sched_setaffinity pidfd_open fork nice "
        "register_at_fork getuid geteuid getpgid setsid killpg pread",
        time: "CLOCK_BOOTTIME CLOCK_MONOTONIC CLOCK_REALTIME clock_gettime clock_gettime_ns",
    },
    "bare": {os: "memfd_create"},
}
_MODULES = {"win32": ("resource", "fcntl", "pwd", "grp", "termios")}


class _NoLibrary:
    """A C library that has no function of Linux's."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        raise AttributeError(name)


def _hidden(path: object) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    text = os.fsdecode(path)
    caller = sys._getframe(2).f_globals.get("__name__", "")
    return text.startswith(("/proc", "/sys")) and not caller.startswith("psutil")


def _guarded(really):
    def guarded(path, *args, **kwargs):
        if _hidden(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return really(path, *args, **kwargs)

    return guarded


def _look_like(system: str) -> None:
    for module, names in _NOT_HERE[system].items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    for name in _MODULES.get(system, ()):
        sys.modules[name] = None
    builtins.open = io.open = _guarded(builtins.open)
    os.open, os.stat = _guarded(os.open), _guarded(os.stat)
    if system == "bare":
        return
    sys.platform = system
    if system == "darwin":
        import resource

        del resource.RUSAGE_THREAD
        ctypes.CDLL = ctypes.PyDLL = _NoLibrary
        multiprocessing.queues.Queue.qsize = _not_implemented
        socket.socket.setsockopt = _no_buffers
        return

    def load(name, *_, **__):
        # On Windows None is no name of a library.
        raise TypeError("bad argument type") if name is None else FileNotFoundError(name)

    ctypes.CDLL = ctypes.PyDLL = load
    start = subprocess.Popen.__init__

    def started(self, *args, **kwargs):
        assert not kwargs.get("pass_fds"), "pass_fds not supported on Windows."
        start(self, *args, **kwargs)

    subprocess.Popen.__init__ = started


def _not_implemented(self):
    raise NotImplementedError


def _no_buffers(self, level, option, value, *rest):
    if option == socket.SO_SNDBUF:
        raise OSError(errno.ENOBUFS, "No buffer space available")
    return _set_option(self, level, option, value, *rest)


_set_option = socket.socket.setsockopt
_ = (concurrent.futures.thread, ctypes.util, tempfile, urllib.request, Path, psutil)
# Of the system that this really is:
sysconfig.get_config_vars()
asyncio.new_event_loop().close()
if _system:
    _look_like(_system)
