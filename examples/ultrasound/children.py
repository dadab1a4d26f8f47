"""Child processes of the example: started with exec, named, and never outliving it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import framescope

_PR_SET_NAME = 15
_PR_SET_TIMERSLACK = 29


def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``python -m module``. It holds a pipe to us and ends when that closes, however we end."""
    places = [str(Path(file).resolve().parents[1]) for file in (__file__, framescope.__file__)]
    path = os.pathsep.join(filter(None, (*places, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is for the parent, which then ends its children in order
    )


def stop(child: subprocess.Popen[bytes], grace: float = 2.0) -> None:
    """End a child: close its pipe, then SIGTERM at once, SIGKILL after ``grace`` s."""
    if child.stdin is not None and not child.stdin.closed:
        child.stdin.close()
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(grace)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def name_this_process(name: str) -> None:
    """The name others see in ``ps`` and in the accelerator's list of clients (15 bytes of it)."""
    _prctl(_PR_SET_NAME, name.encode())


def precise_sleeps() -> None:
    """Let this thread's sleeps end on time (1 ns of timer slack, not the usual 50 µs)."""
    _prctl(_PR_SET_TIMERSLACK, 1)


def _prctl(option: int, value: bytes | int) -> None:
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        return  # not Linux: nothing depends on it
