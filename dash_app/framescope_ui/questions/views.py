"""What a page or the REST interface gets to see: plain values, times in unix seconds, durations in s.

Wire types live in the backends, domain types in the judge; these are the view types between a question
and its page. Every field that may be unknown is ``None`` then, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

State = Literal["OK", "WARNING", "CRITICAL", "NO DATA"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the state is what it is: the signal, its value and limit in the signal's unit, since when."""

    signal: str
    value: float | None
    limit: float | None
    since: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Something a backend cannot answer: what, why, and what would change that ("" if nothing would)."""

    what: str
    why: str
    change: str


@dataclass(frozen=True, slots=True)
class Source:
    """One backend or emitter the page depends on.

    ``away`` is a backend that does not answer, ``error`` one that answered with an error, ``silent`` an
    emitter nothing arrives from. ``missing`` is what a backend cannot answer as it is set up.
    """

    name: str
    status: Literal["ok", "away", "error", "silent"]
    newest_age_seconds: float | None
    since: float | None
    reason: str
    missing: Sequence[Missing] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """Overall state with its reasons, worst first. ``text`` is one line for the top bar."""

    state: State
    since: float | None
    text: str
    reasons: Sequence[Reason] = ()
    sources: Sequence[Source] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One series to draw: x unix seconds, y in ``unit``; a gap is a ``None`` between two points."""

    name: str
    unit: str
    x: Sequence[float]
    y: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class QueueNow:
    """One queue, now and over the last minute."""

    name: str
    depth: float | None
    capacity: float | None
    dropped_per_minute: float | None
    blocked_seconds_per_second: float | None
    drop_reasons: Sequence[tuple[str, float]] = ()
    """Of the dropped a minute: why, most first; none where the emitter gave no reason."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """One process on a GPU; ``ours`` True for the pipeline's own."""

    name: str
    pid: int | None
    utilization: float
    ours: bool | None


@dataclass(frozen=True, slots=True)
class GpuNow:
    """The newest readings of one GPU. ``simulated`` is shown wherever the GPU is."""

    id: str
    name: str
    simulated: bool
    utilization: float | None
    memory_used_bytes: float | None
    memory_total_bytes: float | None
    temperature_celsius: float | None
    power_watts: float | None
    clock_hz: float | None
    throttled_seconds_per_second: float | None
    throttle_reasons: Sequence[str] = ()
    processes: Sequence[GpuProcess] = ()
    state: str | None = None
    """``ok``, ``degraded``, ``failed`` or ``predicted_failure``; None where nobody tells."""


@dataclass(frozen=True, slots=True)
class Heat:
    """Frames counted by latency and time.

    Row ``r`` counts those above ``bounds[r]`` and up to ``bounds[r + 1]``, s (the last may be infinite);
    column ``c`` those that ended in the ``column_seconds`` from ``start + c · column_seconds``.
    None is unknown.
    """

    start: float
    column_seconds: float
    bounds: Sequence[float]
    counts: Sequence[Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class SlowMark:
    """One slow frame on a chart."""

    time: float
    latency_seconds: float
    cause: str
    trace_id: str | None
    frame_id: int | None


@dataclass(frozen=True, slots=True)
class Live:
    """Everything the Live page shows, in one snapshot.

    Rates are frames per second over the last few whole seconds; quantiles in s over the last 10 s.
    ``history`` holds lines by key: ``latency_p50 latency_p95 latency_p99`` (s), ``fps_in fps_out`` (1/s),
    ``sync_gap`` (1/s, in minus out), ``cpu memory`` (1), and lists in ``gpu_utilization gpu_others gpu_clock
    gpu_memory gpu_temperature gpu_power`` (by GPU), ``queue_depth queue_drops`` (by queue), ``drops`` (by
    queue and reason) and ``custom`` (by name).
    """

    time: float
    service: str | None
    pipeline: str | None
    health: Health
    newest_age_seconds: float | None
    fps_in: float | None
    fps_out: float | None
    target_fps: float | None
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None
    budget_seconds: float | None
    slow_share: float | None
    dropped_per_minute: float | None
    cpu_utilization: float | None
    memory_utilization: float | None
    process_cpu_utilization: float | None
    process_memory_bytes: float | None
    sync_gap: float | None = None
    """Frames in minus frames out, 1/s."""
    sync_trend: Literal["growing", "shrinking", "steady"] | None = None
    """Where that went in the last minute."""
    missed_per_minute: float | None = None
    """Frames that the source numbered and the pipeline never began; None where it gives no numbers."""
    heat: Heat | None = None
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By signal, in its unit: from where on it is a warning, and from where on critical."""
    frames_late_seconds: float | None = None
    """How far the `frames` records are behind the metrics, where that is much: metrics then tell of now."""
    queues: Sequence[QueueNow] = ()
    gpus: Sequence[GpuNow] = ()
    lost_by_cause: Sequence[tuple[str, float]] = ()
    """s lost per second over the last minute, most first."""
    losses: Sequence[tuple[str, float]] = ()
    """frames, or parts of them, that framescope itself lost in the window, by reason."""
    faults: Sequence[tuple[str, float]] = ()
    """faults inside framescope in the window, by where."""
    custom: Sequence[tuple[str, float]] = ()
    counted: Sequence[tuple[str, float]] = ()
    """What the user counts, a minute."""
    latest_slow: Sequence[FrameItem] = ()
    slow_marks: Sequence[SlowMark] = ()
    history: dict[str, Sequence[Line]] = field(default_factory=dict)
    marks: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True, slots=True)
class FrameItem:
    """One frame in a list. The JSON of ``/api/frames`` is exactly this, field by field.

    ``latency_seconds`` is None for a frame that has not ended.
    """

    trace_id: str
    frame_id: int | None
    service: str
    pipeline: str | None
    start: float
    latency_seconds: float | None
    overrun_seconds: float | None
    lost_seconds: float | None
    outcome: str | None
    cause: str | None
    confidence: float | None
    stage: str | None
    kept: str | None = None
    overrun_by_cause: Sequence[tuple[str, float]] = ()
    gpu_utilization: float | None = None


@dataclass(frozen=True, slots=True)
class FramesPage:
    """A page of the Slow frames table."""

    frames: Sequence[FrameItem]
    next_cursor: str | None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class EveryFrame:
    """Every frame's latency in a range, for the strip. Parallel sequences; thinned only by the figure."""

    x: Sequence[float]
    latency_seconds: Sequence[float]
    outcome: Sequence[str]
    cause: Sequence[str | None]
    frame_id: Sequence[int]
    budget_seconds: float | None
    total: int
    cut_before: float | None = None
    """Frames before this time (unix s) were left out, the range holds too many; None: it is whole."""


@dataclass(frozen=True, slots=True)
class StageRow:
    """One bar of the waterfall. Offsets in s from the frame's due time. GPU rows have a parent stage."""

    name: str
    kind: str
    start: float
    end: float
    expected: float | None
    lost: float | None
    lost_by_cause: Sequence[tuple[str, float]] = ()
    parent: str | None = None
    gpu_busy: float | None = None
    gpu_wait: float | None = None
    depth_at_entry: int | None = None
    status: str = "unset"
    message: str = ""
    stacks: Sequence[tuple[str, int]] = ()
    """Where its thread was in its Python code once it took longer than usual: a line a call, the innermost
    last; each with how often it was seen."""
    thread: str | None = None
    """The thread it began on: its name, or a number within this frame; None where the trace does not tell."""
    on_path: Sequence[tuple[float, float]] = ()
    """Stretches of the critical path that it holds, offsets in s; none where its work was hidden."""


@dataclass(frozen=True, slots=True)
class SpanEventView:
    """Something that happened inside a span."""

    name: str
    time: float
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SpanView:
    """One span as the store has it; ``end`` None for one that has not ended."""

    span_id: str
    parent_span_id: str | None
    name: str
    start: float
    end: float | None
    attributes: Mapping[str, object]
    status: str
    status_message: str
    events: Sequence[SpanEventView]


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One line of the evidence table: measured beside expected, in ``unit``."""

    name: str
    value: float
    unit: str
    baseline: float | None
    text: str


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One share of the loss."""

    cause: str
    lost_seconds: float
    overrun_seconds: float
    stage: str | None
    evidence: Sequence[EvidenceRow] = ()


@dataclass(frozen=True, slots=True)
class Considered:
    """A cause that was looked at: named, ruled out (and by what), or not measured (and why)."""

    cause: str
    status: Literal["named", "ruled_out", "not_measured"]
    reason: str


@dataclass(frozen=True, slots=True)
class VerdictView:
    """The verdict of one frame; field names are those of the JSON in design §7."""

    sentence: str
    cause: str
    confidence: float
    axis: str
    expected_seconds: float | None
    lost_seconds: float
    overrun_seconds: float
    unexplained_seconds: float
    shares: Sequence[ShareRow]
    considered: Sequence[Considered] = ()
    culprit_process: str | None = None
    culprit_pid: int | None = None


@dataclass(frozen=True, slots=True)
class GpuThen:
    """What the GPU's readings say of one frame; None where they do not tell.

    ``held`` is the share of the time that its clocks were held back, ``held_by`` the reason in words;
    ``errors`` are what its driver told of, in words.
    """

    clock_hz: float | None = None
    usual_clock_hz: float | None = None
    held: float | None = None
    held_by: str | None = None
    memory_bytes: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    errors: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class FrameView:
    """One frame, whole: what the Frame page and ``/api/frames/{trace_id}`` show."""

    item: FrameItem
    due: float
    end: float | None
    """None for a frame that has not ended."""
    budget_seconds: float | None
    period_seconds: float | None
    interval_seconds: float | None
    host: str | None
    clock_error_seconds: float | None
    gpu_id: str | None
    gpu_name: str | None
    gpu_simulated: bool
    gpu_window_seconds: float | None
    gpu_then: GpuThen
    stages: Sequence[StageRow]
    verdict: VerdictView | None
    series: dict[str, Sequence[Line]] = field(default_factory=dict)
    """Around the frame, by key: gpu_utilization, gpu_others, gpu_clock, queue_depth."""
    neighbours: EveryFrame | None = None
    kept_near: Sequence[FrameItem] = ()
    """Frames among the neighbours that were kept whole, so that they can be opened or compared with."""
    marks: Sequence[tuple[float, str]] = ()
    """Change markers among the neighbours, time and text."""
    earlier_slow: str | None = None
    later_slow: str | None = None
    attributes: Sequence[tuple[str, str]] = ()
    missing: Sequence[str] = ()
    """Sentences: what is not shown here and why (a backend away, a probe off)."""
    spans: Sequence[SpanView] = ()
    """Every span of the trace, as the store has it."""
    foreign: bool = False
    """True for a trace without any framescope attribute: shown as an ordinary trace."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A pipeline that can be picked."""

    service: str
    pipeline: str
    newest_age_seconds: float | None
