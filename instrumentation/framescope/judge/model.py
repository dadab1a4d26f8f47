"""The judge's own types: a frame with its evidence in, a verdict out. Integers are nanoseconds.

``None`` is "not measured". The agent fills these from what the recorder and the probes saw; the app
fills them from the spans of a trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

EVIDENCE_FIELDS: Final = (
    "cpu_ns", "runqueue_ns", "quota_ns", "gil_ns", "gc_ns", "blocked_ns", "io_ns", "lock_ns", "loop_ns",
    "memory_ns", "starved_ns",
)  # fmt: skip


@dataclass(init=False)
class Evidence:
    """What the host did to some stretch of a frame, each in ns; what is not given is None.

    The class holds the Nones: twenty of these are made for a frame of nine stages, most of them empty, and
    filling in ten fields each was a tenth of what the agent spends on a frame.
    """

    cpu_ns: int | None = None
    runqueue_ns: int | None = None
    quota_ns: int | None = None
    gil_ns: int | None = None
    gc_ns: int | None = None
    blocked_ns: int | None = None
    io_ns: int | None = None
    lock_ns: int | None = None
    loop_ns: int | None = None
    memory_ns: int | None = None
    starved_ns: int | None = None
    """Waited for the interpreter lock while whoever held it got no core: no part of ``gil_ns``."""
    gc_own_ns: int | None = None
    """What of ``gc_ns`` the thread itself did, within its CPU time; None where that is not told apart."""

    def __init__(self, **given: int | None) -> None:
        if given:
            self.__dict__.update(given)


def total(parts: Iterable[Evidence]) -> Evidence:
    """The sum of evidence; a reading that one part lacks is unknown for the whole."""
    gathered = list(parts)
    result = Evidence()
    if not gathered:
        return result
    for name in EVIDENCE_FIELDS:
        amount = 0
        for part in gathered:
            value = getattr(part, name)
            if value is None:
                break
            amount += value
        else:
            setattr(result, name, amount)
    return result


@dataclass(slots=True)
class Gpu:
    """The GPU work of one stage: when it ran, and what of it was measured."""

    device: str
    start_ns: int
    end_ns: int
    busy_ns: int | None = None
    wait_ns: int | None = None
    transfer_ns: int | None = None
    throttle_ns: int | None = None
    runqueue_ns: int | None = None
    clock_error_ns: int | None = None
    """How far start and end together may be off on the host's clock; None where they are of that clock."""

    @property
    def placed(self) -> bool:
        """Whether it is known when it ran, and not only for how long."""
        return (self.clock_error_ns or 0) <= self.time_ns

    @property
    def time_ns(self) -> int:
        """First GPU start to last GPU end: what an event pair gives."""
        return self.end_ns - self.start_ns


@dataclass(slots=True)
class Stage:
    """One stage as it ran in one frame.

    ``owned_ns`` is its part of the critical path, ``expected_ns`` the same in an undisturbed frame;
    ``ahead_ns`` (queues) what the frames ahead of it lost, by cause, while this one waited.
    """

    name: str
    kind: str
    start_ns: int
    end_ns: int
    thread: int | None = None
    owned_ns: int = 0
    expected_ns: int | None = None
    evidence: Evidence = field(default_factory=Evidence)
    expected: Evidence = field(default_factory=Evidence)
    gpu: Gpu | None = None
    expected_gpu: Mapping[str, int] = field(default_factory=dict)
    ahead_ns: Mapping[str, int] = field(default_factory=dict)
    depth_at_entry: int | None = None
    held_up_ns: int = 0
    """Of a queue: for how long of the wait it was full, and the thread that brought the frame stood still."""
    awaited: bool = False
    """Of a queue: who took the frame stood waiting for it, so that all of the wait was to wake up."""
    error: str | None = None
    unclosed: bool = False
    waited_in: str = ""
    """The call its thread was seen in most often while off the CPU, in words; "" where nobody looked."""
    stacks: tuple[tuple[str, int], ...] = ()
    """Python stacks seen since it took longer than usual, each with how often; the most frequent first."""


@dataclass(slots=True)
class Segment:
    """A stretch of a frame on one thread, with what the scheduler did there."""

    thread: int
    start_ns: int
    end_ns: int
    evidence: Evidence
    expected: Evidence = field(default_factory=Evidence)
    of_task: bool = False
    """An asyncio task's, all of its steps together: between them its thread ran others."""
    off_ns: int | None = None
    """Of a task: for how long its thread was off the CPU, neither ready nor waiting for something to do."""
    loop_off_ns: int = 0
    """What of that was not in the task's own steps: a part of its wait for the loop."""
    lock_ns: int = 0
    """What of that its loop was due to go on: its thread waited for the interpreter lock."""
    others_cpu_ns: int = 0
    """Of a task: its thread's CPU time for others, while it was suspended."""


@dataclass(slots=True)
class Device:
    """Readings of the GPU over the frame's window; ``expected_*`` from windows of on-time frames."""

    id: str
    name: str
    simulated: bool
    window_ns: int
    utilization_mean: float | None = None
    utilization_max: float | None = None
    other_utilization: float | None = None
    expected_other_utilization: float | None = None
    clock_min_hz: float | None = None
    expected_clock_hz: float | None = None
    held_share: float | None = None
    expected_held_share: float | None = None
    held_reason: str | None = None
    """How much of the time the clocks were held back, and why for the most part."""
    io_rate: float | None = None
    expected_io_rate: float | None = None
    """Bytes a second over PCIe, both ways together."""
    memory_used_bytes: int | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    errors: tuple[str, ...] = ()
    """Errors that the driver told of during the frame, in words."""
    other_process: tuple[str, int | None] | None = None


@dataclass(slots=True)
class Frame:
    """One frame, all the judge is told about it. Times are on one clock (any), in ns."""

    pipeline: str
    id: int
    sequence: int
    due_ns: int
    start_ns: int
    end_ns: int
    outcome: str = "on_time"
    reason: str = ""
    budget_ns: int | None = None
    budget_learned: bool = False
    period_ns: int | None = None
    interval_ns: int | None = None
    expected_interval_ns: int | None = None
    late: bool = False
    gap_ns: int | None = None
    expected_gap_ns: int | None = None
    expected_ns: int | None = None
    noise_ns: int | None = None
    """Median absolute deviation of on-time latencies: a loss below it says little."""
    unowned_ns: int = 0
    expected_unowned_ns: int = 0
    """Time of the critical path between stages, and what an undisturbed frame has of it."""
    stages: list[Stage] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    expected: Evidence = field(default_factory=Evidence)
    """The whole frame's readings, and what they usually are."""
    device: Device | None = None
    before_ns: Mapping[str, int] = field(default_factory=dict)
    """What the frame before lost, by cause: it takes the blame for a late start."""
    off: frozenset[str] = frozenset()
    """Readings that nobody takes, because their probe is off or cannot run (``Evidence`` fields). What they
    would tell apart is then named by what it has in common, at most."""
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    trace: str = ""
    """Its own trace and span id in hex, where the host asked for them."""
    spans: Sequence[tuple[Any, ...]] = ()
    """What the host's own tracer did meanwhile: ``handover.SpanTold`` each."""

    @property
    def latency_ns(self) -> int:
        return self.end_ns - self.due_ns


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One reading that supports a share: measured beside what an undisturbed frame shows."""

    name: str
    value: float
    unit: str
    baseline: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the loss with one owner. ``stage`` None: between stages, or nowhere in particular."""

    cause: str
    lost_ns: int
    overrun_ns: int
    stage: str | None
    evidence: tuple[EvidenceRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Considered:
    """A cause that was looked at."""

    cause: str
    status: Literal["named", "ruled_out", "not_measured"]
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the lost time of one frame went. The shares' ``lost_ns`` add up to ``lost_ns`` exactly."""

    cause: str
    confidence: float
    axis: Literal["latency", "interval"]
    expected_ns: int | None
    lost_ns: int
    overrun_ns: int
    unexplained_ns: int
    shares: tuple[Share, ...]
    considered: tuple[Considered, ...] = ()
    culprit: tuple[str, int | None] | None = None
    sentence: str = ""
