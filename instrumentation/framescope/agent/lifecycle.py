"""How the host starts an agent, reaches it, notices that it died, and starts another.

The agent is started with exec, never by a bare fork, in a session of its own: Ctrl-C in the host's
terminal does not reach it, and it outlives a crashed host long enough to send the last seconds. It ends
by itself when the host's end of the socket closes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

SEND_TIMEOUT_S: Final = 15.0
"""An agent that takes nothing for this long hangs: it is replaced. Beside ten busy processes on two cores
one at a lower priority stood still for over 2 s and was killed for nothing."""
BUFFER_BYTES: Final = 1 << 20
"""Asked of the kernel for the socket: some seconds of frames, so that a starved agent holds nobody up."""
ARENAS: Final = "1"
"""Of glibc's allocator: an arena for each of the agent's threads kept some 8 MB of freed messages each."""
FIRST_RETRY_NS: Final = 500_000_000
LAST_RETRY_NS: Final = 30_000_000_000
LIVED_NS: Final = 60_000_000_000
"""An agent that served for a minute did not die of its start. One that follows a shorter life within a minute
says nothing on standard error: whatever keeps killing them would be told there each time."""
ACKNOWLEDGED: Final = struct.Struct("<Q")
"""Agent → host: frames it has finished with, in all."""


def command(descriptor: int) -> Sequence[str]:
    """The command line of an agent that serves the given socket.

    ``-P``: a file of the host's working directory must never be imported in place of a module.
    """
    return (sys.executable, "-P", "-m", "framescope.agent", str(descriptor))


def cannot_start() -> str:
    """Why an agent cannot be a process of its own here, and is a thread of the host; "" where it can."""
    if sys.platform == "win32":
        return "Windows hands no socket to a child by its number"
    named = Path(sys.executable or "").name.lower()
    if getattr(sys, "frozen", False) or not ("python" in named or "pypy" in named):
        return "this program is frozen: there is no interpreter to start"
    return ""


class AgentLink:
    """The host's end of the socket to a helper process. Used by the shipper's thread only."""

    def __init__(
        self,
        start: Callable[[int], Sequence[str]] = command,
        clock: Callable[[], int] = time.monotonic_ns,
        started: Callable[[int], None] = lambda pid: None,
    ) -> None:
        """``started`` is told the process number of each agent that was started."""
        self._start = start
        self._started = started
        self._clock = clock
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._handed = 0
        self._acknowledged = b""
        self._settled = 0
        self._lost: dict[str, int] = {}
        self._retry_ns = FIRST_RETRY_NS
        self._next_try_ns = 0
        self._started_ns: int | None = None
        self._heard_ns = -LIVED_NS

    def send(self, message: bytes, frames: int) -> None:
        """Hand one message over. Raises ``OSError`` when there is no agent to take it."""
        if self._socket is None:
            raise ConnectionError("no agent")
        try:
            self._socket.sendall(message)
        except OSError:
            self._bury()
            raise
        self._handed += frames
        # An agent that was killed with messages unread resets the stream: the next send will find out.
        with contextlib.suppress(OSError):
            self._read_acknowledgements()

    def revive(self) -> bool:
        now = self._clock()
        if now < self._next_try_ns:
            return False
        # The first start is no retry; afterwards each death doubles the pause, a lived minute resets it.
        lived = self._started_ns is None or now - self._started_ns >= LIVED_NS
        self._retry_ns = FIRST_RETRY_NS if lived else min(2 * self._retry_ns, LAST_RETRY_NS)
        self._next_try_ns = now + self._retry_ns
        self._started_ns = now
        heard = lived or now - self._heard_ns >= LIVED_NS
        if heard:
            self._heard_ns = now
        try:
            self._spawn(None if heard else subprocess.DEVNULL)
        except OSError:
            return False
        return True

    def losses(self) -> dict[str, int]:
        return dict(self._lost)

    def close(self, timeout: float) -> None:
        """Let the agent finish: it sees the end of the stream, sends what it has, and exits."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
            self._process = None

    def _spawn(self, errors: int | None) -> None:
        ours, theirs = socket.socketpair()
        try:
            root = str(Path(__file__).resolve().parents[2])
            path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
            self._process = subprocess.Popen(
                self._start(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                env={"MALLOC_ARENA_MAX": ARENAS, **os.environ, "PYTHONPATH": path},
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._started(self._process.pid)
        with contextlib.suppress(OSError):  # where it has less to give, macOS gives nothing
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        ours.settimeout(SEND_TIMEOUT_S)
        self._socket = ours
        self._handed = self._settled = 0
        self._acknowledged = b""

    def _bury(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._read_acknowledgements()
        self._socket.close()
        self._socket = None
        gone = max(0, self._handed - self._settled)
        if gone:
            self._lost["agent_died"] = self._lost.get("agent_died", 0) + gone
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _read_acknowledgements(self) -> None:
        if self._socket is None:
            return
        self._socket.setblocking(False)
        try:
            while chunk := self._socket.recv(4096):
                self._acknowledged = (self._acknowledged + chunk)[-2 * 4096 :]
        except BlockingIOError:
            pass
        finally:
            self._socket.settimeout(SEND_TIMEOUT_S)
        whole = len(self._acknowledged) // ACKNOWLEDGED.size * ACKNOWLEDGED.size
        if whole:
            last = self._acknowledged[whole - ACKNOWLEDGED.size : whole]
            self._settled = ACKNOWLEDGED.unpack(last)[0]
            self._acknowledged = self._acknowledged[whole:]
