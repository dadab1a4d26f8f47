"""Where an agent's output goes."""

from __future__ import annotations

from typing import Protocol

from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan


class Sink(Protocol):
    """What an agent sends by; ``export.Exports`` in earnest."""

    def put_spans(self, groups: list[list[ReadableSpan]]) -> None: ...
    def put_metrics(self, data: MetricsData, settled: int) -> None: ...
    def losses(self) -> dict[str, int]: ...
    def confirmed(self) -> int: ...
    def close(self, timeout: float) -> None: ...


class Nowhere:
    """A sink for what nobody wants. Whoever wants a part of it overrides that."""

    def put_spans(self, groups: list[list[ReadableSpan]]) -> None: ...
    def put_metrics(self, data: MetricsData, settled: int) -> None: ...

    def losses(self) -> dict[str, int]:
        return {}

    def confirmed(self) -> int:
        return 0

    def close(self, timeout: float) -> None: ...
