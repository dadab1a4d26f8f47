"""The two stores a question is put to, and how it lives with one of them being away."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from framescope_ui.backends.protocols import BackendError, MetricStore, TraceStore

Answer = TypeVar("Answer")

NS = 1_000_000_000
"""ns in a second."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where traces and metrics are asked for. Both may be one and the same store."""

    traces: TraceStore
    metrics: MetricStore

    async def aclose(self) -> None:
        """Close the connections of both."""
        both: tuple[TraceStore | MetricStore, ...] = (self.traces, self.metrics)
        for store in {id(store): store for store in both}.values():
            await store.aclose()


class Troubles:
    """The backends that did not answer during one question, with their reasons."""

    def __init__(self) -> None:
        self._errors: dict[str, BackendError] = {}
        self.answered = 0

    async def answer_or(self, question: Awaitable[Answer], otherwise: Answer) -> Answer:
        """The answer, or ``otherwise`` where the backend did not give one, which is remembered."""
        try:
            answer = await question
        except BackendError as error:
            self.met(error)
            return otherwise
        self.answered += 1
        return answer

    def met(self, error: BackendError) -> None:
        """Remember that a backend did not answer."""
        self._errors.setdefault(error.backend, error)

    @property
    def all(self) -> list[BackendError]:
        """The first error of each backend that did not answer."""
        return list(self._errors.values())

    def of(self, backend: str) -> BackendError | None:
        """Why this backend did not answer; None if it did."""
        return self._errors.get(backend)

    @property
    def first(self) -> BackendError | None:
        """The first error met, to be raised where nothing at all could be answered."""
        return next(iter(self._errors.values()), None)


def seconds(time_ns: int) -> float:
    """Unix seconds of unix ns."""
    return time_ns / NS
