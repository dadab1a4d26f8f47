"""What the backends cannot answer as they are set up: asked for now and then, beside the questions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from framescope_ui.backends.protocols import About, BackendError, MetricStore, TraceStore
from framescope_ui.questions.stores import Stores
from framescope_ui.questions.views import Missing, Source

ASK_AGAIN_SECONDS: Final = 300.0
"""Backends are set up anew rarely."""
TRY_AGAIN_SECONDS: Final = 15.0
"""After one that did not answer."""
PATIENCE_SECONDS: Final = 10.0


@dataclass(slots=True)
class _Known:
    missing: tuple[Missing, ...]
    ask_at: float


class Abilities:
    """Remembers what each store said of itself. Asks in the background: nobody waits for it."""

    def __init__(self, stores: Stores) -> None:
        both: tuple[TraceStore | MetricStore, ...] = (stores.traces, stores.metrics)
        self._stores = {store.name: store for store in both}
        self._known: dict[str, _Known] = {}
        self._asking: asyncio.Task[None] | None = None

    def told(self, sources: Iterable[Source], now: float) -> list[Source]:
        """The same sources, each with what it is known not to answer. ``now`` in s, of any clock."""
        due = [name for name in self._stores if name not in self._known or self._known[name].ask_at <= now]
        if due and (self._asking is None or self._asking.done()):
            self._asking = asyncio.get_running_loop().create_task(self._ask(due, now))
        return [
            replace(source, missing=self._known[source.name].missing)
            if source.name in self._known
            else source
            for source in sources
        ]

    async def close(self) -> None:
        """End what is being asked."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self, names: list[str], now: float) -> None:
        for name in names:
            earlier = self._known.get(name)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    about = await self._stores[name].about()
            except (BackendError, TimeoutError):
                missing = earlier.missing if earlier is not None else ()
                self._known[name] = _Known(missing, now + TRY_AGAIN_SECONDS)
            else:
                self._known[name] = _Known(missing_of(about), now + ASK_AGAIN_SECONDS)


def missing_of(about: About) -> tuple[Missing, ...]:
    """A backend's shortcomings as pages show them."""
    return tuple(Missing(short.what, short.why, short.change) for short in about.shortcomings)
