"""A pipeline that really runs on this machine, with its agent and every probe, read from the spans it sends.

The machine may be busy: a test runs calm and disturbed stretches in turns within one run, and compares the
two sides. Each frame carries its side as a content attribute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan

from framescope import pipeline as front
from framescope import signals as sig
from framescope.agent.agent import Agent
from framescope.agent.evidence import EvidenceProbes
from framescope.agent.identity import resource_for
from framescope.agent.on_thread import ThreadLink
from framescope.agent.settings import AgentSettings
from framescope.agent.sink import Nowhere
from framescope.probes.process_metrics import is_there

CALM, DISTURBED = "calm", "disturbed"
SIDE = "side"
ALL = 1_000_000
"""Frames kept a second: every one, so that every one tells its evidence."""


@dataclass
class Received(Nowhere):
    """What the agent sent."""

    groups: list[list[ReadableSpan]] = field(default_factory=list)
    metrics: list[MetricsData] = field(default_factory=list)

    def put_spans(self, groups: list[list[ReadableSpan]]) -> None:
        self.groups += groups

    def put_metrics(self, data: MetricsData, settled: int) -> None:
        self.metrics.append(data)


class Lived:
    """Frames that were lived through; ``mean`` and ``share`` ask about one side of them."""

    def __init__(self, received: Received, pipeline: front.Pipeline) -> None:
        self.received = received
        self.pipeline = pipeline

    def roots(self, side: str) -> list[dict[str, Any]]:
        """Attributes of the root of each frame of this side. The first of a stretch is left out: what was
        switched on or off then is in part in it."""
        found = [
            dict(group[0].attributes or {})
            for group in self.received.groups
            if group[0].name == sig.SPAN_FRAME and (group[0].attributes or {}).get(SIDE) == side
        ]
        assert len(found) >= 10, f"{len(found)} frames of the {side} side"
        return found

    def mean(self, side: str, name: str) -> float:
        """Mean seconds of a reading a frame; a frame that was not told it does not count."""
        told = [root[name] for root in self.roots(side) if name in root]
        assert told, f"{name} was never told of the {side} side"
        return fmean(told)

    def extra(self, name: str) -> float:
        """How much more of it a disturbed frame has, s."""
        return self.mean(DISTURBED, name) - self.mean(CALM, name)

    def known(self, name: str) -> bool:
        """Whether frames of both sides were told this reading."""
        return all(any(name in root for root in self.roots(side)) for side in (CALM, DISTURBED))

    def points(self, metric: str) -> list[float]:
        """Every value sent of a metric, oldest first."""
        return [
            point.value
            for data in self.received.metrics
            for told in data.resource_metrics[0].scope_metrics[0].metrics
            if told.name == metric
            for point in told.data.data_points
        ]


@contextmanager
def lived(
    budget_ms: float = 50.0, probes: Callable[[EvidenceProbes], None] = lambda made: None
) -> Iterator[Lived]:
    """A pipeline with everything real but the network; afterwards all it sent is there. ``probes`` may add
    to those the machine has."""
    received = Received()
    settings = AgentSettings(
        keep_budget=ALL, baseline_every=1, metric_interval_ns=500_000_000, probe_process=is_there()
    )

    def with_more(pid: int) -> EvidenceProbes:
        made = EvidenceProbes(pid, settings)
        probes(made)
        return made

    link = ThreadLink(lambda: Agent(received, resource_for, settings, with_more))
    process = front._Process(link)
    pipeline = front.Pipeline("p", target_fps=50, budget_ms=budget_ms, enabled=True, process=process)
    try:
        yield Lived(received, pipeline)
        time.sleep(0.3)  # readings that end after the last frame
    finally:
        process.close(10)


def spin(ms: float) -> None:
    """Use the CPU for so long: the same work whether or not somebody is in the way."""
    until = time.thread_time_ns() + round(ms * 1e6)
    while time.thread_time_ns() < until:
        for _ in range(200):
            pass


def stretches(
    run: Lived,
    frame: Callable[[str], None],
    switch: Callable[[str], None] = lambda side: None,
    turns: int = 3,
    frames: int = 20,
    every_s: float = 0.02,
) -> None:
    """Calm and disturbed stretches in turns: ``switch(side)`` sets the scene, ``frame(side)`` is the work."""
    with run.pipeline.frame(side="warm-up"):
        frame(CALM)
    for _ in range(turns):
        for side in (CALM, DISTURBED):
            switch(side)
            for number in range(frames + 1):
                # A frame that begins as the scene changes belongs to neither side.
                with run.pipeline.frame(side=side if number else "between"):
                    frame(side)
                time.sleep(every_s)
    switch(CALM)
