"""All frames, counted: histograms on the one fixed grid, counters and gauges, since this agent began."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from framescope import signals as sig
from framescope.judge.model import Frame, Verdict

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
        self.least = min(self.least, value)
        self.most = max(self.most, value)


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
        series = self.distributions.setdefault(metric, {})
        known = series.get(labels)
        if known is None:
            if not self._has_room(series, labels):
                return
            bounds = sig.BUDGET_USAGE_BOUNDS if metric == sig.FRAME_BUDGET_USAGE else sig.HISTOGRAM_BOUNDS
            known = series[labels] = Distribution(bounds)
        known.add(seconds)

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

    def count(self, frame: Frame, verdict: Verdict | None) -> None:
        """Take in one finished frame."""
        pipeline = (sig.FRAME_PIPELINE, frame.pipeline)
        outcome: Labels = (pipeline, (sig.FRAME_OUTCOME, frame.outcome))
        if frame.outcome == "dropped":
            outcome = (*outcome, (sig.FRAME_DROP_REASON, frame.reason))
        self.add(sig.FRAME_COUNT, outcome, 1)
        if frame.interval_ns is not None:
            self.observe(sig.FRAME_INTERVAL, (pipeline,), frame.interval_ns / 1e9)
        if frame.outcome in ("on_time", "slow"):
            latency = frame.latency_ns / 1e9
            self.observe(sig.FRAME_LATENCY, (pipeline,), latency)
            if frame.budget_ns:
                self.observe(sig.FRAME_BUDGET_USAGE, (pipeline,), frame.latency_ns / frame.budget_ns)
        for stage in frame.stages:
            seconds = (stage.end_ns - stage.start_ns) / 1e9
            if stage.unclosed:
                continue
            if stage.kind == "queue":
                self.observe(sig.FRAME_QUEUE_WAIT, (pipeline, (sig.FRAME_QUEUE_NAME, stage.name)), seconds)
            else:
                labels = (pipeline, (sig.FRAME_STAGE_NAME, stage.name), (sig.FRAME_STAGE_KIND, stage.kind))
                self.observe(sig.FRAME_STAGE_DURATION, labels, seconds)
        if verdict is not None and frame.outcome == "slow":
            for share in verdict.shares:
                self.add(
                    sig.FRAME_LOST_TIME, (pipeline, (sig.FRAME_CAUSE_NAME, share.cause)), share.lost_ns / 1e9
                )
