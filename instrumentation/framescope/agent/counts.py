"""One pipeline's frames, counted: outcomes, latencies, stages, lost time.

Most frames are on time and nobody looks inside them: they are counted from their marks alone, with each
histogram at hand.
"""

from __future__ import annotations

from typing import Final

from framescope import signals as sig
from framescope.agent.intake import PlainStages
from framescope.agent.totals import Distribution, Labels, Totals
from framescope.handover import PipelineDefinition
from framescope.judge.model import Frame, Verdict

RENUMBERED: Final = 10_000
"""A source that goes on this much higher counts anew; nobody lost that many frames between two."""
OVERTAKEN: Final = 64
"""And so does one that goes on lower by more than frames begun out of order can explain."""
Key = tuple[str, str, str]
"""(metric, stage, kind); the last two empty for what is of the whole frame."""


class FrameCounts:
    """Adds one pipeline's frames to the agent's totals."""

    def __init__(self, totals: Totals, definition: PipelineDefinition) -> None:
        self.definition = definition
        self._totals = totals
        self._pipeline = (sig.FRAME_PIPELINE, definition.name)
        self._known: dict[Key, Distribution] = {}
        self._by_index: dict[int, Distribution] = {}
        self._ahead: int | None = None

    def plain(self, frame: Frame, stages: PlainStages) -> None:
        """Count a frame that was on time by its plain stages."""
        self._whole(frame)
        if frame.due_ns < frame.start_ns:
            self._stage("gap", "gap", frame.start_ns - frame.due_ns)
        by_index = self._by_index
        for index, took_ns, _ in stages:
            known = by_index.get(index)
            if known is not None:
                known.add(took_ns / 1e9)
            else:
                name, kind = self.definition.stages[index]
                self._stage(name, kind, took_ns)
                if found := self._known.get((sig.FRAME_STAGE_DURATION, name, kind)):
                    by_index[index] = found

    def whole(self, frame: Frame, verdict: Verdict | None) -> None:
        """Count a frame that has been read, and what it lost."""
        self._whole(frame)
        for stage in frame.stages:
            if not stage.unclosed:
                self._stage(stage.name, stage.kind, stage.end_ns - stage.start_ns)
        if verdict is not None and frame.outcome == "slow":
            for share in verdict.shares:
                cause = (sig.FRAME_CAUSE_NAME, share.cause)
                self._totals.add(sig.FRAME_LOST_TIME, (self._pipeline, cause), share.lost_ns / 1e9)

    def _whole(self, frame: Frame) -> None:
        outcome: Labels = (self._pipeline, (sig.FRAME_OUTCOME, frame.outcome))
        if frame.outcome == "dropped":
            outcome = (*outcome, (sig.FRAME_DROP_REASON, frame.reason))
        self._totals.add(sig.FRAME_COUNT, outcome, 1)
        if frame.sequence - frame.id != self._ahead:
            self._missed(frame.sequence - frame.id)
        if frame.interval_ns is not None:
            self._observe((sig.FRAME_INTERVAL, "", ""), frame.interval_ns / 1e9)
        if frame.outcome in ("on_time", "slow"):
            self._observe((sig.FRAME_LATENCY, "", ""), frame.latency_ns / 1e9)
            if frame.budget_ns:
                self._observe((sig.FRAME_BUDGET_USAGE, "", ""), frame.latency_ns / frame.budget_ns)

    def _missed(self, ahead: int) -> None:
        """Count frames that the source numbered and the pipeline never began.

        Each of them puts the source's number one further ahead of the pipeline's own, for good: whatever the
        order in which frames end, and however many of them did not reach the agent. Where the two are equal
        the source may have given no numbers, and nothing is counted.
        """
        before, self._ahead = self._ahead, ahead
        if before is None or ahead > before + RENUMBERED or ahead < before - OVERTAKEN:
            if ahead:
                self._totals.add(sig.FRAME_MISSED, (self._pipeline,), 0)
        elif ahead > before:
            self._totals.add(sig.FRAME_MISSED, (self._pipeline,), ahead - before)
        else:
            self._ahead = before

    def _stage(self, name: str, kind: str, took_ns: int) -> None:
        metric = sig.FRAME_QUEUE_WAIT if kind == "queue" else sig.FRAME_STAGE_DURATION
        self._observe((metric, name, kind), took_ns / 1e9)

    def _observe(self, key: Key, value: float) -> None:
        known = self._known.get(key)
        if known is None:
            known = self._totals.distribution(key[0], self._labels(*key))
            if known is None:
                return  # counted as refused
            self._known[key] = known
        known.add(value)

    def _labels(self, metric: str, stage: str, kind: str) -> Labels:
        if metric == sig.FRAME_QUEUE_WAIT:
            return (self._pipeline, (sig.FRAME_QUEUE_NAME, stage))
        if metric == sig.FRAME_STAGE_DURATION:
            return (self._pipeline, (sig.FRAME_STAGE_NAME, stage), (sig.FRAME_STAGE_KIND, kind))
        return (self._pipeline,)
