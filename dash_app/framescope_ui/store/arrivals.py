"""Who waits for a pipeline's next frames is told as they are committed: pages need not ask in vain."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

Pipeline = tuple[str, str]
"""Service and pipeline."""

MOST_PIPELINES: Final = 10_000
"""Remembered; of those heard of longest ago a waiter is told by its patience only."""


class Arrivals:
    """The newest time each pipeline's ``frames`` records reach, and who waits for a newer one.

    ``note`` may be called from any thread; waiting is done on the loop this was made in.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._newest: OrderedDict[Pipeline, int] = OrderedDict()
        self._waiting: dict[Pipeline, set[asyncio.Event]] = {}

    def note(self, reached: dict[Pipeline, int]) -> None:
        """Committed: records up to these unix ns."""
        if reached:
            self._loop.call_soon_threadsafe(self._note, reached)

    async def after(self, pipeline: Pipeline, known_ns: int, patience_s: float) -> int:
        """The newest time of a pipeline's records, as soon as it is beyond ``known_ns`` or after a while."""
        if self._newest.get(pipeline, 0) <= known_ns:
            told = asyncio.Event()
            self._waiting.setdefault(pipeline, set()).add(told)
            try:
                async with asyncio.timeout(patience_s):
                    while self._newest.get(pipeline, 0) <= known_ns:
                        told.clear()
                        await told.wait()
            except TimeoutError:
                pass
            finally:
                others = self._waiting[pipeline]
                others.discard(told)
                if not others:
                    del self._waiting[pipeline]
        return self._newest.get(pipeline, known_ns)

    def _note(self, reached: dict[Pipeline, int]) -> None:
        for pipeline, newest_ns in reached.items():
            if newest_ns > self._newest.get(pipeline, 0):
                self._newest[pipeline] = newest_ns
                self._newest.move_to_end(pipeline)
                for told in self._waiting.get(pipeline, ()):
                    told.set()
        while len(self._newest) > MOST_PIPELINES:
            self._newest.popitem(last=False)
