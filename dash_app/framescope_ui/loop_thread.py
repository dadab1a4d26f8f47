"""An event loop on a thread of its own, for callers that have none: Flask's views, notebooks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class LoopThread:
    """Runs coroutines to their end while the caller waits. Started by the first one, anew after a fork."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: int | None = None

    def run(self, coroutine: Coroutine[Any, Any, Answer], patience_seconds: float | None = None) -> Answer:
        """What the coroutine answers. Raises what it raises, and ``TimeoutError``, having cancelled it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running())
        try:
            return future.result(patience_seconds)
        except TimeoutError:
            future.cancel()
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None or self._process != os.getpid():
                self._loop, self._process = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True).start()
            return self._loop
