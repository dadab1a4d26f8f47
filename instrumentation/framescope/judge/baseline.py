"""What an undisturbed frame takes: running medians over the newest on-time frames.

A value object fed with frames; no clock, no I/O. Medians are taken again when asked by ``settle`` (once
a second), not per frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from typing import Final

from framescope.judge.model import EVIDENCE_FIELDS, Evidence, Frame, total
from framescope.judge.path import own

WINDOW: Final = 160
"""On-time frames remembered: 5 s of them, enough to follow drift and to outlast one disturbance."""
FIRST_SPACING_NS: Final = 5_000_000
SPACING_NS: Final = 32_000_000
"""Frames that start closer than this to the last one learned from are passed over once the window is full:
30 a second shape a median as well as 1 000 do. Reading a frame whole takes the agent some 80 µs, counting
it 15."""
UNREST_NS: Final = 500_000_000
"""An on-time frame that begins so soon after a disturbed one is hardly undisturbed itself: what slowed that
one goes on, and this one only had the room for it. Learned from like the others, such frames raised the truth
suite's accelerator from 6.6 to 10.5 ms, of a budget of 13, within one fault of 2.4 s; without them the error
of the right share fell from 17 to 14 % in the median and from 50 to 45 % at p90 (seed 4, all shapes). With 1
and 2 s the pipeline with queues lost more to its own drift than it gained."""
IN_UNREST_NS: Final = 1_000_000_000
"""Such frames are learned from all the same, one in this time: a pipeline that never comes to rest again has
another usual, after a minute or two."""
GOLDEN: Final = 0.6180339887498949
ENOUGH: Final = 12
"""Fewer on-time frames than this make no median: the lower quartile of all frames stands in."""
PLACES: Final = 4096
"""Quantities learned at most: stages' names are the user's."""
_PARTS_OF_BLOCKED: Final = ("gil_ns", "memory_ns", "io_ns", "lock_ns", "starved_ns")
GPU_FIELDS: Final = ("busy", "wait", "transfer", "throttle", "runqueue")


class Samples:
    """The newest values of one quantity, and their median as of the last ``settle``."""

    __slots__ = ("median", "values")

    def __init__(self, size: int = WINDOW) -> None:
        self.values: deque[int] = deque(maxlen=size)
        self.median: int | None = None

    def settle(self) -> None:
        self.median = quantile(self.values, 0.5) if self.values else None


def quantile(values: Iterable[int], q: float) -> int:
    """The value below which a share ``q`` of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


class Baseline:
    """What one pipeline's frames usually take, in all and by stage, thread and reading."""

    def __init__(self) -> None:
        self._latency = Samples()
        self._interval = Samples()
        self._all = Samples()
        self._by: dict[Hashable, Samples] = {}
        self._usual: dict[Hashable, Evidence] = {}
        """What ``_evidence`` answered since ``settle``: nobody changes it."""
        self._noise: int | None = None
        self._last_ns = self._next_ns = 0
        self._disturbed_ns: int | None = None

    def learn(self, frame: Frame, undisturbed: bool) -> None:
        """Take in one finished frame; only undisturbed ones shape the medians."""
        self.saw(frame, undisturbed)
        if undisturbed and self.wants(frame.start_ns):
            self.take(frame)

    def saw(self, frame: Frame, undisturbed: bool) -> None:
        """There was this frame, whatever becomes of it."""
        self._all.values.append(frame.latency_ns)
        if not undisturbed:
            self._disturbed_ns = frame.start_ns

    def wants(self, start_ns: int) -> bool:
        """Whether there is something to learn from an undisturbed frame that began then."""
        if self._last_ns <= start_ns < self._next_ns:
            return False
        return not (self._in_unrest(start_ns) and self._last_ns <= start_ns < self._last_ns + IN_UNREST_NS)

    def _in_unrest(self, start_ns: int) -> bool:
        """Whether a frame follows a disturbed one closely; not while there is little to go by."""
        return (
            self._disturbed_ns is not None
            and 0 <= start_ns - self._disturbed_ns < UNREST_NS
            and len(self._latency.values) == WINDOW
        )

    def take(self, frame: Frame) -> None:
        """Learn from an undisturbed frame."""
        unowned = own(frame.stages, frame.due_ns, frame.end_ns)
        owned: dict[str, int] = {}
        for stage in frame.stages:
            owned[stage.name] = owned.get(stage.name, 0) + stage.owned_ns
            if frame.segments:  # their evidence is by thread; of a stage only a collection is known
                if stage.evidence.gc_ns is not None:
                    self._add(("evidence", stage.name, "gc_ns"), stage.evidence.gc_ns)
            else:
                self._add_evidence(stage.name, stage.evidence)
            if stage.gpu is not None:
                self._add(("gpu", stage.name, "time"), stage.gpu.time_ns)
                if stage.gpu.placed:
                    self._add(("gpu", stage.name, "latency"), max(0, stage.gpu.start_ns - stage.start_ns))
                    self._add(("gpu", stage.name, "tail"), max(0, stage.gpu.end_ns - stage.end_ns))
                for name in GPU_FIELDS:
                    value = getattr(stage.gpu, f"{name}_ns")
                    if value is not None:
                        self._add(("gpu", stage.name, name), value)
        if not frame.segments:
            self._add_evidence(None, frame.evidence)
        self._take_whole(frame, owned, unowned)

    def take_plain(self, frame: Frame, owned: Mapping[str, int]) -> None:
        """The same of a frame on one thread in which no collection was seen and whose stages are not built:
        ``owned`` is each stage's time, in ns, without the stages inside it."""
        for name in owned if "gc_ns" not in frame.off else ():
            if name != "gap" or frame.gap_ns is not None:
                self._add(("evidence", name, "gc_ns"), 0)
        self._take_whole(frame, owned, frame.latency_ns - sum(owned.values()))

    def _take_whole(self, frame: Frame, owned: Mapping[str, int], unowned_ns: int) -> None:
        full = len(self._latency.values) == WINDOW
        # Half the spacing to one and a half of it, so that frames which alternate are met alike: the golden
        # ratio's multiples fill the interval evenly.
        spacing = round(SPACING_NS * (0.5 + frame.id * GOLDEN % 1.0)) if full else FIRST_SPACING_NS
        self._last_ns, self._next_ns = frame.start_ns, frame.start_ns + spacing
        self._latency.values.append(frame.latency_ns)
        if frame.interval_ns is not None:
            self._interval.values.append(frame.interval_ns)
        if frame.gap_ns is not None:
            self._add("gap", frame.gap_ns)
        self._add("unowned", unowned_ns)
        for name, amount in owned.items():
            self._add(("stage", name), amount)
        for index, segment in enumerate(frame.segments):
            self._add_evidence(index, segment.evidence)
        if frame.device is not None:
            if frame.device.other_utilization is not None:
                self._add(("other", frame.device.id), round(frame.device.other_utilization * 1e6))
            if frame.device.clock_min_hz is not None:
                self._add(("clock", frame.device.id), round(frame.device.clock_min_hz))
            if frame.device.held_share is not None:
                self._add(("held", frame.device.id), round(frame.device.held_share * 1e6))
            if frame.device.io_rate is not None:
                self._add(("io", frame.device.id), round(frame.device.io_rate))

    def settle(self) -> None:
        """Take the medians again."""
        self._usual.clear()
        for samples in (self._latency, self._interval, *self._by.values()):
            samples.settle()
        middle = self._latency.median
        if middle is not None:
            self._noise = quantile((abs(value - middle) for value in self._latency.values), 0.5)

    @property
    def expected_ns(self) -> int | None:
        """Median latency of on-time frames; with too few, the lower quartile of the newest frames."""
        if len(self._latency.values) >= ENOUGH:
            return self._latency.median
        if len(self._all.values) >= ENOUGH:
            return quantile(self._all.values, 0.25)
        return None

    def apply(self, frame: Frame) -> None:
        """Write what is expected into a frame and its stages, segments and device."""
        frame.expected_ns = self.expected_ns
        frame.noise_ns = self._noise
        frame.expected_interval_ns = self._interval.median
        frame.expected_gap_ns = self._median("gap")
        frame.expected_unowned_ns = self._median("unowned") or 0
        repeated: set[str] = set()
        for stage in frame.stages:
            # The baseline of a repeated stage is for all of its turns together.
            stage.expected_ns = 0 if stage.name in repeated else self._median(("stage", stage.name))
            repeated.add(stage.name)
            if frame.segments:
                stage.expected.gc_ns = self._median(("evidence", stage.name, "gc_ns"))
            else:
                stage.expected = self._evidence(stage.name)
            if stage.gpu is not None:
                stage.expected_gpu = {
                    name: value
                    for name in ("time", "latency", "tail", *GPU_FIELDS)
                    if (value := self._median(("gpu", stage.name, name))) is not None
                }
        for index, segment in enumerate(frame.segments):
            segment.expected = self._evidence(index)
        frame.expected = (
            total(segment.expected for segment in frame.segments) if frame.segments else self._evidence(None)
        )
        if frame.device is not None:
            other = self._median(("other", frame.device.id))
            frame.device.expected_other_utilization = None if other is None else other / 1e6
            frame.device.expected_clock_hz = self._median(("clock", frame.device.id))
            held = self._median(("held", frame.device.id))
            frame.device.expected_held_share = None if held is None else held / 1e6
            frame.device.expected_io_rate = self._median(("io", frame.device.id))

    def _add_evidence(self, place: Hashable, evidence: Evidence) -> None:
        """``place`` is a stage's name, a segment's index, or None for the whole frame."""
        for name in EVIDENCE_FIELDS:
            value = getattr(evidence, name)
            if value is not None:
                self._add(("evidence", place, name), value)

    def _evidence(self, place: Hashable) -> Evidence:
        if place in self._usual:
            return self._usual[place]
        usual = Evidence(**{name: self._median(("evidence", place, name)) for name in EVIDENCE_FIELDS})
        # What a thread was blocked for is told of frames in which it was seen blocked, and of no others: with
        # a lock contended now and then, 5.5 ms of it were usual beside 0.0 ms blocked.
        for name in _PARTS_OF_BLOCKED if usual.blocked_ns is not None else ():
            part = getattr(usual, name)
            if part is not None:
                setattr(usual, name, min(part, usual.blocked_ns))
        if len(self._usual) < PLACES:
            self._usual[place] = usual
        return usual

    def _add(self, key: Hashable, value: int) -> None:
        samples = self._by.get(key)
        if samples is None:
            if len(self._by) >= PLACES:
                return
            samples = self._by[key] = Samples()
        samples.values.append(value)

    def _median(self, key: Hashable) -> int | None:
        samples = self._by.get(key)
        return None if samples is None else samples.median
