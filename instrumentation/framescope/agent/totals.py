"""All frames, counted: histograms on the one fixed grid, counters and gauges, since this agent began."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from framescope import signals as sig

Labels = tuple[tuple[str, str], ...]
MAX_SERIES: Final = 2000
"""Series of one metric: names come from the host's code, so a runaway must not grow without bound."""


EXAMPLES: Final = 10
"""Kept frames that one message of a histogram points at. Backends hold a fixed number for all series
together (Prometheus 100 000 as configured here): ten a second last for hours."""


@dataclass(frozen=True, slots=True)
class Example:
    """A kept frame that a histogram counts: its value (s), its end (monotonic ns) and its root span."""

    value: float
    at_ns: int
    trace_id: int
    span_id: int


@dataclass(slots=True)
class Distribution:
    """One histogram: counts per bucket (``len(bounds) + 1``), in the unit of its bounds."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        # OTLP buckets are (lower, upper]: a value on a bound belongs below it.
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
        if value < self.least:  # written out: ten of these for every frame
            self.least = value
        if value > self.most:
            self.most = value


class Totals:
    """Cumulative since the agent began; every method is plain arithmetic.

    ``host_counters`` alone count since the host process began: an agent that takes another's place
    is told them whole.
    """

    def __init__(self) -> None:
        self.distributions: dict[str, dict[Labels, Distribution]] = {}
        self.counters: dict[str, dict[Labels, float]] = {}
        self.host_counters: dict[str, dict[Labels, float]] = {}
        self.gauges: dict[str, dict[Labels, tuple[int, float]]] = {}
        self.refused = 0
        self._examples: dict[tuple[str, Labels], list[Example]] = {}

    def observe(self, metric: str, labels: Labels, seconds: float) -> None:
        """One value into a histogram."""
        known = self.distribution(metric, labels)
        if known is not None:
            known.add(seconds)

    def distribution(self, metric: str, labels: Labels) -> Distribution | None:
        """The histogram itself, for whoever adds to it often; None where there is no room for one more."""
        series = self.distributions.setdefault(metric, {})
        known = series.get(labels)
        if known is None and self._has_room(series, labels):
            bounds = sig.BUDGET_USAGE_BOUNDS if metric == sig.FRAME_BUDGET_USAGE else sig.HISTOGRAM_BOUNDS
            known = series[labels] = Distribution(bounds)
        return known

    def exemplify(self, metric: str, labels: Labels, example: Example) -> None:
        """Let a histogram point at a kept frame; of more than ``EXAMPLES`` a message, the largest stay."""
        held = self._examples.setdefault((metric, labels), [])
        held.append(example)
        if len(held) > EXAMPLES:
            held.remove(min(held, key=lambda one: one.value))

    def take_examples(self) -> dict[tuple[str, Labels], list[Example]]:
        """The examples since the last call."""
        taken, self._examples = self._examples, {}
        return taken

    def add(self, metric: str, labels: Labels, amount: float) -> None:
        """Increase a counter."""
        if self._has_room(self.counters.setdefault(metric, {}), labels):
            series = self.counters[metric]
            series[labels] = series.get(labels, 0.0) + amount

    def reach(self, metric: str, labels: Labels, amount: float) -> None:
        """Set a counter that another part of the agent accumulates."""
        if self._has_room(self.counters.setdefault(metric, {}), labels):
            self.counters[metric][labels] = amount

    def reach_in_host(self, metric: str, labels: Labels, amount: float) -> None:
        """Set a counter that the host process accumulates."""
        if self._has_room(self.host_counters.setdefault(metric, {}), labels):
            self.host_counters[metric][labels] = amount

    def set(self, metric: str, labels: Labels, at_ns: int, value: float) -> None:
        """The newest value of a gauge and when it was read (monotonic ns)."""
        series = self.gauges.setdefault(metric, {})
        if self._has_room(series, labels):
            series[labels] = (at_ns, value)

    def _has_room(self, series: Mapping[Labels, object], labels: Labels) -> bool:
        if labels in series or len(series) < MAX_SERIES:
            return True
        self.refused += 1
        return False
