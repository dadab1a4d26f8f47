"""Who answers and who is silent, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from framescope_ui.backends.protocols import BackendError, BackendRefused, Unsupported
from framescope_ui.questions.stores import Stores, Troubles
from framescope_ui.questions.views import Source

SILENT_SECONDS = 15.0
"""An emitter without a sign of life for this long is silent: metrics are exported every few seconds."""


def sources_of(
    stores: Stores,
    troubles: Troubles,
    service: str | None,
    ages: Mapping[str, float | None],
    now: float,
) -> list[Source]:
    """The backends, and the emitter behind them, as they showed themselves in one question.

    ``ages`` says, by a store's name, how old in s the newest is that came from it.
    """
    found: list[Source] = []
    for name in dict.fromkeys((stores.traces.name, stores.metrics.name)):
        error = troubles.of(name)
        found.append(
            Source(name, "ok", ages.get(name), None, "")
            if error is None or isinstance(error, Unsupported)
            else source_of(error)
        )
    if service is not None and not any(missing(source) for source in found):
        heard = [age for age in ages.values() if age is not None]
        found.append(_emitter(service, min(heard, default=None), now))
    return found


def source_of(error: BackendError) -> Source:
    """The backend as it showed itself by an error: away, or there and answering with one."""
    status: Literal["away", "error"] = "error" if isinstance(error, BackendRefused) else "away"
    return Source(error.backend, status, None, None, error.reason)


def missing(source: Source) -> bool:
    """Whether it is a backend whose answer is missing."""
    return source.status in ("away", "error")


def trouble(source: Source) -> str:
    """What is wrong with a backend whose answer is missing, without its reason."""
    return f"{source.name} {'away' if source.status == 'away' else 'answered with an error'}"


def _emitter(service: str, age: float | None, now: float) -> Source:
    if age is None:
        return Source(service, "silent", None, None, "nothing has arrived from it in the time looked at")
    if age > SILENT_SECONDS:
        return Source(service, "silent", age, now - age, "it has stopped sending, or its way here is cut")
    return Source(service, "ok", age, None, "")


class Absences:
    """Remembers since when a source has not been ok, which no single question can tell."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def dated(self, sources: Iterable[Source], now: float) -> list[Source]:
        """The same sources, each one that is not ok with the time it was first seen so."""
        dated: list[Source] = []
        for source in sources:
            if source.status == "ok":
                self._since.pop(source.name, None)
                dated.append(source)
            elif source.since is not None:
                dated.append(source)
            else:
                dated.append(replace(source, since=self._since.setdefault(source.name, now)))
        return dated
