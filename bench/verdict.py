"""What a verdict costs: one in the agent, and a thousand in the app.

The frame has eight stages on two threads, a queue between them, GPU work that tells all, and readings of
the device at 10 Hz. "One verdict in the agent" is everything a slow frame
takes there from its record to its verdict: reading it whole, what is usual, the ledger of its queue, the
judge and its words. In the app it is from spans to words, with the emitter's verdict on them and, for other
people's traces, without. Medians over rounds; JSON goes to bench-results/verdict.json.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from framescope import signals as sig
from framescope.agent.agent import Agent
from framescope.agent.anchor import WallAnchor
from framescope.agent.evidence import EvidenceProbes
from framescope.agent.intake import PlainStages
from framescope.agent.keeper import Judged
from framescope.agent.settings import AgentSettings
from framescope.agent.sink import Nowhere
from framescope.agent.totals import Totals
from framescope.handover import DEPTH, UNKNOWN, WORK, Batch, PipelineDefinition
from framescope.judge import read_verdict
from framescope.probes.device import DeviceIdentity, DeviceReading, GpuWork, ProcessUse

MS = 1_000_000
FRAMES = 1_000
CALM = 200
ROUNDS = 7
PERIOD_NS = 20 * MS
STAGES = [(name, "cpu") for name in ("capture", "unpack", "scale")] + [
    ("wait", "queue"), ("denoise", "gpu"), ("compose", "cpu"), ("encode", "cpu"), ("write", "cpu"),
]  # fmt: skip
DEFINITION = PipelineDefinition("bench", 14 * MS, PERIOD_NS, STAGES)
DEVICE = DeviceIdentity("GPU-0", "a GPU")


def frame(number: int, slow: bool) -> tuple[tuple[Any, ...], GpuWork]:
    """One frame's record and its GPU work; a slow one waited for the GPU, for a core and for the lock."""
    at = begin = (number + 1) * PERIOD_NS
    marks: list[Any] = []
    for index in range(3):
        marks += [index, at, ~index, at + MS]
        at += MS
    handed = at
    marks += [3, at, (DEPTH, 3), 1]
    at += MS // 2
    taken = at
    marks += [~3, at, 4, at, (WORK, 4), number + 1]
    kernel = 11 * MS if slow else 3 * MS
    wait = 7 * MS if slow else 0
    work = GpuWork(number + 1, DEVICE.id, at, at + kernel, at, kernel - wait, wait, 0, 0, 0)
    at += kernel
    marks += [~4, at]
    for index in range(5, 8):
        took = 3 * MS if slow and index == 6 else MS
        marks += [index, at, ~index, at + took]
        at += took
    cpu, queued = (6 * MS, 2 * MS) if slow else (3 * MS, 0)
    segments = [
        (1, begin, (0, 0, 0), handed, (3 * MS, 0, 0), UNKNOWN),
        (2, taken, (0, 0, 0), at, (cpu, queued, 0), 0),
    ]
    record = (0, number, number, begin, begin, at, "done", "", begin - PERIOD_NS, None, marks, segments, None)
    return record, work


class Collector(Nowhere):
    """A sink that keeps the spans of frames."""

    def __init__(self) -> None:
        self.frames: list[list[ReadableSpan]] = []

    def put_spans(self, groups: list[list[ReadableSpan]]) -> None:
        self.frames += [group for group in groups if group[0].name == sig.SPAN_FRAME]


class ScriptedProbes(EvidenceProbes):
    """Reads no machine."""

    def read(self, now_ns: int, totals: Totals) -> None: ...


class TimedAgent(Agent):
    """Notes how long each verdict on a slow frame took."""

    took: list[int]

    def _verdict(self, number: int, judged: Judged, stages: PlainStages | None) -> bool:
        slow = judged.frame.outcome == "slow"
        if slow and judged.unread is not None:
            raise AssertionError("a slow frame is read before it is judged")
        began = time.perf_counter_ns()
        sound = super()._verdict(number, judged, stages)
        if slow:
            self.took.append(time.perf_counter_ns() - began)
        return sound

    def _read(self, number: int, judged: Judged) -> Any:
        if judged.unread is None or judged.frame.outcome != "slow":
            return super()._read(number, judged)
        began = time.perf_counter_ns()
        frame = super()._read(number, judged)
        self.read_took.append(time.perf_counter_ns() - began)
        return frame

    read_took: list[int]


def in_the_agent() -> tuple[float, list[list[ReadableSpan]]]:
    """µs a slow frame took, the median of one agent's; and the frames' spans."""
    sink = Collector()
    settings = AgentSettings(keep_budget=FRAMES + CALM, baseline_every=0, probe_gpu=False, probe_host=False)
    made = ScriptedProbes(1, settings, lambda: 0)
    still = WallAnchor(lambda: 0, lambda: 0)
    agent = TimedAgent(sink, lambda batch: Resource({}), settings, lambda pid: made, still, lambda: 0)
    agent.took, agent.read_took = [], []
    for first in range(0, CALM + FRAMES, 50):
        both = [frame(number, number >= CALM) for number in range(first, first + 50)]
        end = both[-1][0][5]
        start = both[0][0][3]
        agent.feed(
            Batch(
                1,
                "bench",
                end,
                0,
                pipelines={0: DEFINITION},
                frames=[record for record, _ in both],
                works=[tuple(work) for _, work in both],
            )
        )
        for at in range(start, end + 100 * MS, 100 * MS):
            uses = (ProcessUse(1, "bench", 0.3, True), ProcessUse(2, "other", 0.5, False))
            made.devices.add(
                [DeviceReading(DEVICE, at, 100 * MS, utilization=0.8, other_utilization=0.5, processes=uses)]
            )
        agent.tick(end, everything=True)
    if len(agent.took) != FRAMES:
        raise AssertionError(f"{len(agent.took)} of {FRAMES} slow frames were judged")
    each = [whole + read for whole, read in zip(agent.took, agent.read_took, strict=True)]
    return statistics.median(each) / 1e3, sink.frames


@dataclass(frozen=True, slots=True)
class Told:
    """A span as the app reads it."""

    span_id: str
    parent_span_id: str | None
    name: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]


def told(spans: list[ReadableSpan], verdict: bool) -> list[Told]:
    """A frame's spans as a backend gives them back; without ``verdict`` as somebody else's emitter would."""
    found = []
    for span in spans:
        context, attributes = span.get_span_context(), dict(span.attributes or {})
        if not verdict:
            attributes = {
                name: value
                for name, value in attributes.items()
                if not name.startswith((sig.FRAME_LOST_PREFIX, "frame.overrun.", "frame.cause."))
            }
        found.append(
            Told(
                f"{context.span_id if context else 0:016x}",
                f"{span.parent.span_id:016x}" if span.parent else None,
                span.name,
                span.start_time or 0,
                span.end_time or 0,
                attributes,
            )
        )
    return found


def in_the_app(frames: list[list[ReadableSpan]], verdict: bool) -> float:
    """ms that so many frames take from spans to words."""
    given = [told(spans, verdict) for spans in frames]
    began = time.perf_counter_ns()
    for spans in given:
        if read_verdict(spans) is None:
            raise AssertionError("no verdict")
    return (time.perf_counter_ns() - began) / 1e6


def main() -> int:
    rounds: dict[str, list[float]] = {"agent_us": [], "app_told_ms": [], "app_judged_ms": []}
    for _ in range(ROUNDS):
        one, frames = in_the_agent()
        slow = [spans for spans in frames if (spans[0].attributes or {}).get(sig.FRAME_SLOW)][:FRAMES]
        steps: dict[str, Callable[[], float]] = {
            "app_told_ms": lambda slow=slow: in_the_app(slow, True),  # type: ignore[misc]
            "app_judged_ms": lambda slow=slow: in_the_app(slow, False),  # type: ignore[misc]
        }
        rounds["agent_us"].append(one)
        for name, step in steps.items():
            rounds[name].append(step())
    result = {
        "python": sys.version.split()[0],
        "load_average": round(os.getloadavg()[0], 2),
        "stages": len(STAGES),
        "frames": len(slow),
        "bars": {"agent_us": 200, "app_told_ms": 300, "app_judged_ms": 300},
        **{name: round(statistics.median(values), 1) for name, values in rounds.items()},
    }
    print(f"one verdict in the agent            {result['agent_us']:7.1f} µs")
    print(f"{len(slow)} frames in the app, told      {result['app_told_ms']:7.1f} ms")
    print(f"{len(slow)} frames in the app, judged    {result['app_judged_ms']:7.1f} ms")
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    (folder / "verdict.json").write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
