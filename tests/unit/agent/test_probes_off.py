"""A probe that is off: what rests on it is *not measured*, never ruled out, and no other cause is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from agency import MS, S, Sent
from opentelemetry.sdk.resources import Resource

from framescope import signals as sig
from framescope.agent.agent import Agent
from framescope.agent.evidence import EvidenceProbes
from framescope.agent.settings import AgentSettings
from framescope.agent.waits import Sample
from framescope.handover import STEPS, UNKNOWN, WORK, Batch, FrameRecord, PipelineDefinition
from framescope.judge import read_verdict
from framescope.judge.model import Verdict
from framescope.probes.cgroup import CgroupReading
from framescope.probes.device import DeviceIdentity, DeviceReading, GpuWork
from framescope.probes.page_faults import PageFaults
from framescope.probes.pressure import PressureReading

THREAD, OTHER = 1, 2
EVERY = 16 * MS
USUAL = 6 * MS
LOST = 12 * MS
CALM = 60
SLOW = CALM * EVERY
"""When the disturbed frame begins; it ends 18 ms later."""
DEVICE = DeviceIdentity("gpu-0", "A GPU")
READ = (UNKNOWN, UNKNOWN, UNKNOWN)


class Given(EvidenceProbes):
    """The agent's probes, which are given what they read."""

    def read(self, now_ns: int, totals: Any) -> None: ...

    def give(self, probe: str, reading: object) -> None:
        (line,) = [one for one in self.table if one.name == probe]
        list(line.take(reading))


@dataclass
class Scene:
    """Sixty usual frames of 6 ms, and one that loses 12 ms; all that any probe tells of it."""

    cpu: int = 0
    runqueue: int = 0
    idle: int = 0
    blocks: int = 0
    late: int = 0
    """What of the 12 ms the disturbed frame was on the CPU, waited for a core, lay in its queue while the
    next thread was ready; how many blocks it moved; how much later it began than due. Else it was blocked."""
    loop: int = 0
    loop_off: int = 0
    """What of that the loop's thread was off the CPU."""
    queue: bool = False
    task: bool = False
    gpu: dict[str, int] | None = None
    """What of the GPU's times became longer."""
    other_use: float = 0.0
    clock_hz: float = 2e9
    collections: list[tuple[int, int, int, int]] | None = field(default_factory=list)
    held: tuple[int, int] | None = None
    """When the interpreter lock was held; None: never."""
    knocking: bool = True
    throttled: int | None = 0
    io_stall: int | None = 0
    memory_stall: int = 0
    seen: str = ""
    """What system calls the thread was seen in."""
    scheduler: bool = True
    timed: bool = True
    split: bool = True
    device: bool = True
    watched_loop: bool = True

    def verdict(self) -> Verdict:
        """As the app reads it from the spans that the agent sends."""
        settings = AgentSettings(probe_host=False, baseline_every=0)
        sent, probes = Sent(), Given(0, settings, lambda: 0)
        agent = Agent(sent, lambda batch: Resource({}), settings, lambda pid: probes, clock=lambda: 0)
        self._read(probes)
        agent.feed(self._batch())
        agent.tick(60 * S, everything=True)
        (slow,) = [group for group in sent.frames() if group[0].attributes[sig.FRAME_SLOW]]
        assert slow[0].attributes[sig.FRAME_ID] == CALM
        found = read_verdict([as_read(span) for span in slow])
        assert found is not None and found.lost_ns == LOST
        return found

    def _read(self, probes: Given) -> None:
        for number in range(14):
            at = number * 100 * MS
            after = at > SLOW
            if self.throttled is not None:
                limit = 1.0 if self.throttled else None
                probes.give("cgroup", CgroupReading(at, self.throttled if after else 0, limit))
            here = at - 100 * MS < SLOW <= at
            if self.io_stall is not None and at:
                stalls = {"io": self.io_stall, "memory": self.memory_stall, "cpu": 0}
                stalls = stalls if here else dict.fromkeys(stalls, 0)
                probes.give("pressure", PressureReading(at, 100 * MS, {}, stalls))
                probes.give("page_faults", PageFaults(at, int(after and self.memory_stall > 0)))
            if self.device:
                used, clock = (self.other_use, self.clock_hz) if here else (0.0, 2e9)
                probes.devices.add(
                    [DeviceReading(DEVICE, at, 100 * MS, other_utilization=used, clock_hz=clock)]
                )
        if self.seen:
            for number in range(8):
                text = {"io": "read() of a pipe", "lock": "futex()"}[self.seen]
                probes.waits.saw(Sample(SLOW + (7 + number) * MS, THREAD, self.seen, text))

    def _batch(self) -> Batch:
        kinds = [("work", "gpu" if self.gpu is not None else "cpu")]
        kinds += [("waiting", "queue"), ("rest", "cpu")] if self.queue else []
        made = Batch(1, "i", 0, 0, {0: PipelineDefinition("p", 10 * MS, None, kinds)})
        for number in range(CALM + 1):
            made.frames.append(tuple(self._record(number))[:-1])
            if self.gpu is not None:
                made.works.append(tuple(self._work(number)))
        made.collections = self.collections
        made.knocks = list(self._knocks()) if self.knocking else None
        return made

    def _record(self, number: int) -> FrameRecord:
        start, slow = number * EVERY, number == CALM
        late = self.late if slow else 0
        end = start + USUAL + (LOST if slow else 0)
        cpu, ready, blocks = (4 * MS + self.cpu, self.runqueue, self.blocks) if slow else (4 * MS, 0, 0)
        before, after = ((0, 0, 0), (cpu, ready, blocks)) if self.scheduler else (READ, READ)
        marks: list[Any] = [0, start + late, *([(WORK, 0), number] if self.gpu is not None else []), ~0, end]
        segments = [(THREAD, start + late, before, end, after, UNKNOWN)]
        if self.queue:
            taken = end - 3 * MS
            marks = [0, start, ~0, start + 2 * MS, 1, start + 2 * MS, ~1, taken, 2, taken, ~2, end]
            idle = (self.idle if slow else 0) if self.scheduler else UNKNOWN
            now = (2 * MS, 0, 0) if self.scheduler else READ
            segments = [
                (THREAD, start, before, start + 2 * MS, now, UNKNOWN), (OTHER, taken, before, end, now, idle)
            ]  # fmt: skip
        if self.task:
            loop = (self.loop if slow else 0) if self.watched_loop else UNKNOWN
            off = self.loop_off if slow else 0
            marks += [(STEPS, 0), (2, USUAL, loop, 0, off, max(0, loop - off), 0)]
        return FrameRecord(
            0, number, number, start, start + late, end, "done", "", start - EVERY if number else -1,
            (start - EVERY, start - 10 * MS, before) if number else None, marks, segments, None,
        )  # fmt: skip

    def _work(self, number: int) -> GpuWork:
        start, slow = number * EVERY, number == CALM
        if not self.timed:
            return GpuWork.lost(number)
        longer = self.gpu if slow and self.gpu is not None else {}
        busy, wait = 3 * MS + longer.get("busy", 0), MS + longer.get("wait", 0)
        end = start + MS + busy + wait
        if not self.split:
            return GpuWork(number, DEVICE.id, start + MS, end)
        return GpuWork(number, DEVICE.id, start + MS, end, None, busy, wait)

    def _knocks(self) -> Any:
        for at in range(0, SLOW + 40 * MS, 8 * MS):
            if self.held is not None and self.held[0] <= at < self.held[1]:
                yield at, self.held[1], self.held[1] - at, self.held[1] - at
            else:
                yield at, at, 0, 0


def as_read(span: Any) -> SimpleNamespace:
    return SimpleNamespace(
        span_id=f"{span.context.span_id:016x}", parent_span_id=span.parent and f"{span.parent.span_id:016x}",
        name=span.name, start_ns=span.start_time, end_ns=span.end_time, attributes=dict(span.attributes),
    )  # fmt: skip


INSIDE = (SLOW + 4 * MS, SLOW + 4 * MS + LOST)
FAULTS = {
    "own work": Scene(cpu=LOST),
    "own collection": Scene(cpu=LOST, collections=[(2, THREAD, *INSIDE)]),
    "collection elsewhere": Scene(collections=[(2, 9, *INSIDE)], held=INSIDE),
    "collection before it began": Scene(
        late=LOST, collections=[(2, 9, SLOW, SLOW + LOST)], held=(SLOW, SLOW + LOST)
    ),
    "neighbours": Scene(runqueue=LOST),
    "consumer without a core": Scene(queue=True, idle=LOST),
    "quota": Scene(runqueue=LOST, throttled=LOST),
    "held lock": Scene(held=INSIDE),
    "lock held under a quota": Scene(held=INSIDE, throttled=100 * MS),
    "lock held before it began": Scene(late=LOST, held=(SLOW, SLOW + LOST)),
    "disk": Scene(blocks=8, io_stall=LOST),
    "memory": Scene(blocks=8, io_stall=LOST, memory_stall=LOST),
    "pipe": Scene(seen="io", io_stall=LOST),
    "lock": Scene(seen="lock"),
    "busy loop": Scene(task=True, loop=LOST),
    "loop in a call": Scene(task=True, loop=LOST, loop_off=LOST),
    "larger kernel": Scene(gpu={"busy": LOST}),
    "other client": Scene(gpu={"wait": LOST}, other_use=0.6),
    "clocked down": Scene(gpu={"busy": LOST}, clock_hz=0.4e9),
}
Off = Callable[[Scene], Scene]
PROBES: dict[str, Off] = {
    "collector": lambda scene: replace(scene, collections=None),
    "control group": lambda scene: replace(scene, throttled=None),
    "knocks": lambda scene: replace(scene, knocking=False),
    "pressure": lambda scene: replace(scene, io_stall=None),
    "system calls": lambda scene: replace(scene, seen=""),
    "scheduler": lambda scene: replace(scene, scheduler=False, knocking=False),
    "event loop": lambda scene: replace(scene, watched_loop=False),
    "device": lambda scene: replace(scene, device=False),
    "GPU split": lambda scene: replace(scene, split=False),
    "GPU times": lambda scene: replace(scene, timed=False),
}
TABLE = [
    # the fault, what it is with every probe on, the probe that is off, what it is then
    ("own work", "cpu_work", "scheduler", "unknown"),
    ("own work", "cpu_work", "collector", "unknown"),  # it may have been a collection
    ("own collection", "gc_pause", "collector", "unknown"),
    ("collection elsewhere", "gc_pause", "collector", "blocked"),
    ("collection before it began", "gc_pause", "collector", "blocked"),
    ("neighbours", "cpu_contention", "scheduler", "unknown"),
    ("neighbours", "cpu_contention", "control group", "cpu"),  # it may have been a quota
    ("consumer without a core", "cpu_contention", "scheduler", "unknown"),
    ("quota", "cpu_quota", "control group", "cpu"),
    ("quota", "cpu_quota", "scheduler", "unknown"),
    ("held lock", "python_gil", "knocks", "blocked"),
    ("held lock", "python_gil", "collector", "blocked"),
    ("held lock", "python_gil", "control group", "unknown"),  # a quota may have held its holder back
    ("lock held under a quota", "cpu_quota", "control group", "unknown"),
    ("lock held before it began", "python_gil", "knocks", "unknown"),
    ("disk", "io_wait", "pressure", "blocked"),
    ("memory", "memory_pressure", "pressure", "blocked"),
    ("pipe", "io_wait", "system calls", "blocked"),
    ("lock", "lock_wait", "system calls", "blocked"),
    ("busy loop", "loop_wait", "event loop", "blocked"),
    ("loop in a call", "loop_wait", "event loop", "blocked"),
    ("loop in a call", "loop_wait", "knocks", "blocked"),  # its thread may have waited for the lock
    ("busy loop", "loop_wait", "scheduler", "unknown"),
    ("larger kernel", "gpu_work", "device", "gpu"),  # it may have been clocked down
    ("larger kernel", "gpu_work", "GPU split", "gpu"),
    ("larger kernel", "gpu_work", "GPU times", "unknown"),
    ("other client", "gpu_contention", "device", "gpu"),
    ("other client", "gpu_contention", "GPU times", "unknown"),
    ("clocked down", "gpu_throttle", "device", "gpu"),
    ("clocked down", "gpu_throttle", "GPU times", "unknown"),
]


@pytest.mark.parametrize(("fault", "cause"), sorted({(fault, cause) for fault, cause, *_ in TABLE}))
def test_with_every_probe_on_the_cause_is_named(fault: str, cause: str) -> None:
    assert FAULTS[fault].verdict().cause == cause


@pytest.mark.parametrize(("fault", "cause", "probe", "left"), TABLE)
def test_with_a_probe_off_its_causes_are_not_measured_and_no_other_is_named(
    fault: str, cause: str, probe: str, left: str
) -> None:
    verdict = PROBES[probe](FAULTS[fault]).verdict()
    assert verdict.cause == left
    told = {one.cause: one.status for one in verdict.considered}
    family = sig.CAUSES[cause].parent or cause
    assert "not_measured" in (told.get(cause), told.get(family) if family == "gpu" else None)
    assert told.get(cause) != "ruled_out"
