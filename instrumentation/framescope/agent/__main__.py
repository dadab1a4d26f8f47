"""The agent as a process: serves the socket it inherited until the host's end closes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

from framescope.agent.agent import Agent
from framescope.agent.export import Exports, otlp_exporters, quiet_exporters
from framescope.agent.identity import resource_for
from framescope.agent.lifecycle import ACKNOWLEDGED
from framescope.agent.settings import from_environment
from framescope.handover import HEADER, MAX_MESSAGE

TICK_NS = 1_000_000_000
POLL_S = 0.1
CLOSE_S = 5.0


class Message(NamedTuple):
    """The body of one message, and how many frames its head says are in it."""

    body: bytes
    frames: int


class Inbox:
    """Whole messages out of a stream of bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, chunk: bytes) -> list[Message]:
        """The messages that are complete now. Raises ``ValueError`` when the stream makes no sense."""
        self._bytes += chunk
        messages: list[Message] = []
        while len(self._bytes) >= HEADER.size:
            length, frames = HEADER.unpack_from(self._bytes)
            if length > MAX_MESSAGE:
                raise ValueError(f"a message of {length} bytes")
            if len(self._bytes) < HEADER.size + length:
                break
            messages.append(Message(bytes(self._bytes[HEADER.size : HEADER.size + length]), frames))
            del self._bytes[: HEADER.size + length]
        return messages


def serve(stream: socket.socket, agent: Agent) -> None:
    """Feed the agent until the stream ends, ticking once a second."""
    stream.settimeout(POLL_S)
    inbox = Inbox()
    next_tick = time.monotonic_ns() + TICK_NS
    told = 0
    while True:
        try:
            chunk = stream.recv(1 << 18)
            if not chunk:
                return
            for message in inbox.add(chunk):
                agent.take(*message)
        except TimeoutError:
            pass
        except ConnectionError:
            return
        now = time.monotonic_ns()
        agent.poll(now)
        if now >= next_tick:
            next_tick = now + TICK_NS
            agent.tick(now)
        confirmed = agent.confirmed()
        if confirmed > told:
            told = confirmed
            with contextlib.suppress(OSError):
                stream.send(ACKNOWLEDGED.pack(told))


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="framescope agent: %(message)s", stream=sys.stderr)
    quiet_exporters()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host's Ctrl-C is for the host: its end tells us
    _step_back()
    _import_requests_without_charsets()
    stream = socket.socket(fileno=int(sys.argv[1]))
    try:
        exports = Exports(*otlp_exporters())
        agent = Agent(exports, resource_for, from_environment(os.environ))
    except ValueError as error:
        logging.getLogger("framescope").error("%s", error)
        return 2
    try:
        serve(stream, agent)
    except ValueError as error:
        logging.getLogger("framescope").error("the host's stream broke: %s", error)
    agent.host_ended()
    _let_go_of_the_terminal()
    agent.close(CLOSE_S)
    return 0


def _import_requests_without_charsets() -> None:
    """3 MB of tables that guess an answer's encoding, which nobody here reads as text; requests has been able
    to do without since 2.32, and says so in a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.modules["charset_normalizer"] = None  # type: ignore[assignment]  # how an import is made to fail
        try:
            import requests  # noqa: F401
        except ImportError:
            pass  # an older one: it is imported with them when it is needed
        finally:
            del sys.modules["charset_normalizer"]


def _step_back() -> None:
    """Never ahead of the frames it watches: lower priority for this process and for its session.

    Where the kernel groups sessions (``sched_autogroup``) only the session's own value counts.
    """
    with contextlib.suppress(OSError):
        os.nice(5)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("5")


def _let_go_of_the_terminal() -> None:
    """The host is gone: whoever reads its standard error must not wait for this process."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
