"""The same agent on a thread of the host, where a second process is unwanted.

Encoding then shares the host's interpreter lock: a kept frame costs its frames some 0.2 ms each.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from framescope.agent.agent import Agent
from framescope.agent.export import STREAM_LOG, Exports, otlp_exporters, quiet_exporters
from framescope.agent.identity import resource_for
from framescope.agent.settings import from_environment
from framescope.handover import HEADER

MESSAGES: Final = 1024
"""Messages held for the thread: 50 s of them."""
TICK_NS: Final = 1_000_000_000
POLL_S: Final = 0.1


def default_agent() -> Agent:
    """An agent that exports as the environment says. Raises ``ValueError`` for a protocol it cannot speak."""
    quiet_exporters()
    return Agent(Exports(*otlp_exporters()), resource_for, from_environment(os.environ))


class ThreadLink:
    """A ``Link`` to an agent in this process."""

    def __init__(self, make: Callable[[], Agent] = default_agent) -> None:
        self._make = make
        self._messages: queue.Queue[bytes] = queue.Queue(MESSAGES)
        self._thread: threading.Thread | None = None
        self._lost: dict[str, int] = {}
        self._stopping = False

    def send(self, message: bytes, frames: int) -> None:
        if self._thread is None or not self._thread.is_alive():
            raise ConnectionError("no agent")
        try:
            self._messages.put_nowait(message)
        except queue.Full:
            self._lost["agent_overloaded"] = self._lost.get("agent_overloaded", 0) + frames

    def revive(self) -> bool:
        if self._thread is not None:
            return False  # it ended by a fault of its own; once is enough
        self._thread = threading.Thread(target=self._run, name="framescope-agent", daemon=True)
        self._thread.start()
        return True

    def losses(self) -> dict[str, int]:
        return dict(self._lost)

    def close(self, timeout: float) -> None:
        self._stopping = True
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._serve(self._make())
        except Exception:
            # Nobody starts it again; what the host still records is counted where it does not fit any more.
            logging.getLogger(STREAM_LOG).warning("the agent's thread ended by a fault", exc_info=True)

    def _serve(self, agent: Agent) -> None:
        next_tick = time.monotonic_ns() + TICK_NS
        while True:
            try:
                message = self._messages.get(timeout=POLL_S)
                agent.take(message[HEADER.size :], HEADER.unpack_from(message)[1])
            except queue.Empty:
                if self._stopping:
                    break
            now = time.monotonic_ns()
            agent.poll(now)
            if now >= next_tick:
                next_tick = now + TICK_NS
                agent.tick(now)
        agent.close()
