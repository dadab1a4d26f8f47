"""An agent without processes, clocks or network: batches in, what it would send out."""

from __future__ import annotations

from dataclasses import dataclass, field

from opentelemetry.sdk.resources import Resource

from framescope import signals as sig
from framescope.agent.agent import Agent
from framescope.agent.readings import DeviceReadings
from framescope.agent.sink import Nowhere
from framescope.agent.waits import Waits
from framescope.handover import DEPTH, Batch, FrameRecord, PipelineDefinition

MS = 1_000_000
S = 1_000_000_000


@dataclass
class Sent(Nowhere):
    """A ``Sink`` that keeps everything."""

    groups: list = field(default_factory=list)
    metrics: list = field(default_factory=list)

    def put_spans(self, groups):
        self.groups.extend(groups)

    def put_metrics(self, data, settled):
        self.metrics.append(data)

    def frames(self):
        return [g for g in self.groups if g[0].name == sig.SPAN_FRAME]

    def records(self):
        return [g[0] for g in self.groups if g[0].name == sig.SPAN_FRAMES]

    def counter(self, name: str) -> dict[tuple, float]:
        newest = self.metrics[-1].resource_metrics[0].scope_metrics[0].metrics
        for metric in newest:
            if metric.name == name:
                return {tuple(sorted(p.attributes.items())): p.value for p in metric.data.data_points}
        return {}


class NoProbes:
    """Probes of a machine that tells nothing, but that no control group limits the host."""

    def __init__(self) -> None:
        self.devices = DeviceReadings()
        self.waits = Waits()
        self.faults: dict[str, int] = {}
        self.missed = 0

    def watch(self, paths):
        pass

    def hear(self, batch):
        self.waits.add(batch.knocks or (), batch.looks)

    def read(self, now_ns, totals):
        pass

    def take_points(self):
        return {}

    def take_events(self):
        return []

    def device_over(self, start_ns, end_ns, device):
        return self.devices.over(start_ns, end_ns, device)

    def io_stall_over(self, start_ns, end_ns):
        return None

    def memory_stall_over(self, start_ns, end_ns):
        return None

    def quota_over(self, start_ns, end_ns):
        return 0

    def close(self):
        pass


def agent(**settings) -> tuple[Agent, Sent, NoProbes]:
    from framescope.agent.settings import AgentSettings

    sent, probes = Sent(), NoProbes()
    made = Agent(
        sent,
        lambda batch: Resource({"service.name": "svc"}),
        AgentSettings(**settings),
        probes=lambda pid: probes,
        clock=lambda: 0,
    )
    return made, sent, probes


DEFINITION = PipelineDefinition("p", 10 * MS, 16 * MS, [("a", "cpu"), ("q", "queue"), ("b", "cpu")])


def record(number: int, latency_ms: float = 6, *, start: int | None = None, **changes: object) -> FrameRecord:
    """Frame ``number`` at 16 ms spacing: a on thread 1, the queue, b on thread 2."""
    begin = number * 16 * MS if start is None else start
    a_end = begin + 2 * MS
    b_end = begin + round(latency_ms * MS)
    given = {
        "pipeline": 0, "id": number, "sequence": number, "due_ns": begin, "start_ns": begin, "end_ns": b_end,
        "outcome": "done", "reason": "", "before_ns": -1, "gap": None,
        "marks": [0, begin, ~0, a_end, 1, a_end, (DEPTH, 1), 0, ~1, a_end + MS, 2, a_end + MS, ~2, b_end],
        "segments": [
            (1, begin, (0, 0, 0), a_end, (2 * MS, 0, 0), -1),
            (2, a_end + MS, (0, 0, 0), b_end, (b_end - a_end - MS, 0, 0), -1),
        ],
        "attributes": None,
    }  # fmt: skip
    given.update(changes)
    return FrameRecord(**given)


def batch(*records: FrameRecord, definition: PipelineDefinition = DEFINITION, **more: object) -> Batch:
    return Batch(1, "instance", 0, 0, {0: definition}, list(records), **more)
