"""Who is to blame for a wait: what the frames ahead lost, carried from frame to frame.

A frame waits in a queue because the one ahead was still being served. By Lindley's recursion
(W' = max(0, W + S − T)) the wait is the wait and the service of the one ahead, less the time between
arrivals; so what that one lost, by cause, is what this one waits for, until idle time has eaten it up.
"""

from __future__ import annotations

from collections.abc import Mapping

from framescope.judge.model import Frame, Stage, Verdict

Ledger = dict[str, int]
NOT_CARRIED = {"unknown", "queue_wait", "late_input", "structural"}
"""Causes that say nothing about the consumer: a wait behind them is plainly a queue wait."""


class Backlog:
    """Per pipeline: what the newest frame to leave each queue lost there and behind it."""

    def __init__(self) -> None:
        self._behind: dict[str, tuple[int, Ledger]] = {}
        self._before: dict[int, tuple[int, Ledger]] = {}

    def apply(self, frame: Frame) -> None:
        """Write into the frame's waits what was lost ahead of it."""
        first = frame.segments[0].thread if frame.segments else None
        served, before = self._before.get(first, (0, {})) if first is not None else (0, {})
        frame.before_ns = dict(before)
        for stage in frame.stages:
            if stage.kind == "queue":
                until, ledger = self._behind.get(stage.name, (0, {}))
                if until > stage.start_ns:  # the one ahead was still in service when this one came
                    stage.ahead_ns = dict(ledger)
            elif stage.kind == "gap":
                busy = min(served, stage.end_ns) - stage.start_ns
                if busy > 0:
                    stage.ahead_ns = _busy_part(before, busy)

    def learn(self, frame: Frame, verdict: Verdict | None) -> None:
        """Remember what this frame lost, for the ones behind it."""
        lost: dict[str, Ledger] = {}
        for share in verdict.shares if verdict is not None else ():
            if share.stage is not None and share.cause not in NOT_CARRIED:
                by_cause = lost.setdefault(share.stage, {})
                by_cause[share.cause] = by_cause.get(share.cause, 0) + share.lost_ns
        for position, segment in enumerate(frame.segments):
            ledger: Ledger = {}
            queue = _queue_into(frame, segment.start_ns) if position else None
            for stage in frame.stages:
                inside = (
                    stage.thread == segment.thread and segment.start_ns <= stage.start_ns <= segment.end_ns
                )
                if inside or stage is queue or (not position and stage.kind == "gap"):
                    for cause, amount in lost.get(stage.name, {}).items():
                        ledger[cause] = ledger.get(cause, 0) + amount
            if queue is not None:
                self._behind[queue.name] = (segment.end_ns, ledger)
            elif not position:
                self._before[segment.thread] = (segment.end_ns, ledger)
                if len(self._before) > 1024:  # threads come and go
                    self._before.pop(next(iter(self._before)))


def _queue_into(frame: Frame, at: int) -> Stage | None:
    """The queue a frame left when a segment began (within the few µs between the two readings)."""
    queues = [stage for stage in frame.stages if stage.kind == "queue" and stage.start_ns < at]
    return max(queues, key=lambda stage: stage.start_ns, default=None)


def _busy_part(before: Mapping[str, int], busy: int) -> Ledger:
    """The time this thread was still busy with the frame before: what that one lost, the rest its cost."""
    total = sum(before.values())
    if total <= busy:
        return {**before, "queue_wait": busy - total} if busy > total else dict(before)
    return {cause: amount * busy // total for cause, amount in before.items()}
