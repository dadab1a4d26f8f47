"""Two frames beside each other, or one beside what is expected of it: stage by stage, reading by reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from framescope import signals
from framescope_ui.questions.frame_item import number, text
from framescope_ui.questions.views import FrameView, SpanView

READINGS: Final[dict[str, tuple[str, str]]] = {
    signals.CPU_TIME: ("CPU time", "s"),
    signals.RUNQUEUE_TIME: ("run-queue time", "s"),
    signals.QUOTA_TIME: ("held by the cgroup limit", "s"),
    signals.GIL_WAIT_TIME: ("waited for the interpreter lock", "s"),
    signals.GIL_STARVED_TIME: ("waited for the interpreter lock, whose holder got no core", "s"),
    signals.GC_TIME: ("garbage collection", "s"),
    signals.BLOCKED_TIME: ("off the CPU, not runnable", "s"),
    signals.IO_WAIT_TIME: ("waited for I/O", "s"),
    signals.LOCK_WAIT_TIME: ("waited for a lock", "s"),
    signals.LOOP_WAIT_TIME: ("ready, event loop busy", "s"),
    signals.MEMORY_STALL_TIME: ("memory stall", "s"),
    signals.GPU_TIME: ("GPU time", "s"),
    signals.GPU_BUSY_TIME: ("GPU busy", "s"),
    signals.GPU_WAIT_TIME: ("GPU wait", "s"),
    signals.GPU_TRANSFER_TIME: ("GPU copies", "s"),
    signals.GPU_THROTTLE_TIME: ("GPU held back while executing", "s"),
    signals.GPU_RUNQUEUE_TIME: ("run-queue time of the software accelerator", "s"),
    signals.FRAME_QUEUE_DEPTH_AT_ENTRY: ("found in the queue", "{item}"),
}
"""Readings a stage or the whole frame may carry: what they are called, and their unit."""
DEVICE: Final[dict[str, tuple[str, str, str | None]]] = {
    signals.GPU_UTILIZATION_MEAN: ("GPU load", "1", None),
    signals.GPU_OTHER_UTILIZATION: ("GPU load of others", "1", signals.GPU_OTHER_EXPECTED),
    signals.GPU_CLOCK_MIN: ("GPU clock", "Hz", signals.GPU_CLOCK_EXPECTED),
    signals.GPU_HELD_SHARE: ("GPU clocks held back", "1", signals.GPU_HELD_EXPECTED),
    signals.GPU_IO_RATE: ("GPU transfers", "By/s", signals.GPU_IO_EXPECTED),
    signals.GPU_MEMORY_USED: ("GPU memory", "By", None),
    signals.GPU_TEMPERATURE: ("GPU temperature", "Cel", None),
    signals.GPU_POWER: ("GPU power", "W", None),
}
"""Readings of the device over the frame's window: name, unit, and the attribute of what is usual."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One thing in both frames; ``stage`` None for the whole frame. What one does not tell is None."""

    name: str
    unit: str
    this: float | None
    other: float | None
    stage: str | None = None

    @property
    def difference(self) -> float | None:
        """This one's beyond the other's; None where either is unknown."""
        return None if self.this is None or self.other is None else self.this - self.other


@dataclass(frozen=True, slots=True)
class Comparison:
    """``stages`` are in s, the largest difference first; then those that only one of the two tells.

    ``other`` is the frame compared with, None for the expected one. ``sentence`` is the finding.
    """

    other: FrameView | None
    whole: Pair
    stages: Sequence[Pair]
    readings: Sequence[Pair]
    sentence: str


def compared(this: FrameView, other: FrameView | None) -> Comparison:
    """``this`` beside ``other``, or beside its own expected frame."""
    if other is None:
        verdict = this.verdict
        expected = None if verdict is None or verdict.axis != "latency" else verdict.expected_seconds
        whole = Pair("latency", "s", this.item.latency_seconds, expected)
        stages = _paired(_stages(this), _expected_stages(this))
        readings = _readings_beside(_readings(this), _expected_readings(this))
    else:
        whole = Pair("latency", "s", this.item.latency_seconds, other.item.latency_seconds)
        stages = _paired(_stages(this), _stages(other))
        readings = _readings_beside(_readings(this), _readings(other))
    return Comparison(other, whole, stages, readings, _sentence(whole, stages, other))


def _sentence(whole: Pair, stages: Sequence[Pair], other: FrameView | None) -> str:
    named = "the expected frame"
    if other is not None:
        named = "the other frame" if other.item.frame_id is None else f"frame {other.item.frame_id}"
    apart = whole.difference
    if apart is None:
        return f"How much longer it took than {named} is not known."
    if abs(apart) < 5e-5:
        return f"It took as long as {named}."
    said = f"{abs(apart) * 1e3:.1f} ms {'longer' if apart > 0 else 'shorter'} than {named}"
    most = [one for one in stages if (one.difference or 0.0) * apart > 0]
    if not most:
        return f"{said}; no stage tells where."
    first = most[0]
    return f"{said}: {first.name} {(first.difference or 0.0) * 1e3:+.1f} ms.".replace("-", "−")


def _stages(view: FrameView) -> dict[str, float | None]:
    """s in each stage; one that ran several times, in all of them. GPU work stands beside its stage."""
    found: dict[str, float | None] = {}
    for row in view.stages:
        name = row.name if row.parent is None else f"{row.name} (in {row.parent})"
        found[name] = (found.get(name) or 0.0) + row.end - row.start
    return found


def _expected_stages(view: FrameView) -> dict[str, float | None]:
    """What is expected of each stage, once however often it ran; None where nobody knows."""
    found: dict[str, float | None] = {}
    for row in view.stages:
        name = row.name if row.parent is None else f"{row.name} (in {row.parent})"
        found.setdefault(name, row.expected)
    return found


def _paired(these: Mapping[str, float | None], others: Mapping[str, float | None]) -> list[Pair]:
    names = [*these, *(name for name in others if name not in these)]
    return _largest_first([Pair(name, "s", these.get(name), others.get(name)) for name in names])


Readings = dict[tuple[str | None, str], float]


def _readings(view: FrameView) -> Readings:
    """Every reading a frame tells, by stage and attribute."""
    found: Readings = {}
    for span, stage in _told(view):
        for name in (*READINGS, *(DEVICE if stage is None else ())):
            value = number(span.attributes, name)
            if value is not None:
                found[stage, name] = found.get((stage, name), 0.0) + value
    return found


def _expected_readings(view: FrameView) -> Readings:
    found: Readings = {}
    for span, stage in _told(view):
        usual = {name: signals.expected_name(name) for name in READINGS if name.endswith("time")}
        if stage is None:
            usual |= {name: of for name, (_, _, of) in DEVICE.items() if of is not None}
        for name, of in usual.items():
            value = number(span.attributes, of)
            if value is not None:
                found[stage, name] = value
    return found


def _told(view: FrameView) -> list[tuple[SpanView, str | None]]:
    """The spans that carry readings: the root (None), and the stages with their GPU work, by name."""
    told: list[tuple[SpanView, str | None]] = []
    for span in view.spans:
        stage = text(span.attributes, signals.FRAME_STAGE_NAME)
        if stage is not None or span.name == signals.SPAN_FRAME:
            told.append((span, stage))
    return told


def _readings_beside(these: Readings, others: Readings) -> list[Pair]:
    """The readings of this frame beside the other's; nothing that neither differs in nor was 0 in both."""
    pairs: list[Pair] = []
    for stage, name in dict.fromkeys((*these, *others)):
        title, unit = READINGS[name] if name in READINGS else DEVICE[name][:2]
        pair = Pair(title, unit, these.get((stage, name)), others.get((stage, name)), stage)
        if pair.this or pair.other:
            pairs.append(pair)
    by_unit = {"s": 0, "1": 1}
    pairs.sort(key=lambda pair: by_unit.get(pair.unit, 2))
    return _largest_first(pairs, within_unit=True)


def _largest_first(pairs: Sequence[Pair], *, within_unit: bool = False) -> list[Pair]:
    """By how far apart they are; what one of the two does not tell comes last. Units do not mix."""
    order = {unit: place for place, unit in enumerate(dict.fromkeys(pair.unit for pair in pairs))}
    return sorted(
        pairs,
        key=lambda pair: (
            pair.difference is None,
            order[pair.unit] if within_unit else 0,
            -abs(pair.difference or 0.0),
        ),
    )
