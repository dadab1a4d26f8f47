"""Who is to blame for a wait: what the frames ahead lost, carried from frame to frame.

A frame waits in a queue because the one ahead was still being served. By Lindley's recursion
(W' = max(0, W + S − T)) its wait is the wait and the service of the one ahead, less the time between their
arrivals. So a queue keeps a ledger of what its consumer lost, oldest first: each served frame adds what it
lost in the consumer's hands, and where the next queue was full what held the consumer up there; idle time,
or frames dropped from the queue, drain the oldest entries; what the ledger cannot explain is the consumer's
own business between frames, and plain queue wait.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from framescope.judge.account import apportion
from framescope.judge.host import as_far_as_told, is_untimed
from framescope.judge.model import Evidence, Frame, Segment, Stage, Verdict

PLAIN: Final = "queue_wait"
SAYS_NOTHING: Final = frozenset({"unknown", "late_input", "structural"})
"""Losses of the frame ahead that say nothing about the consumer: a wait behind them is a queue wait."""
SERVERS: Final = 1024


class Ledger:
    """What stands behind the present wait at one server, by cause, oldest first, in ns."""

    def __init__(self) -> None:
        self._entries: deque[tuple[str, int]] = deque()
        self._total = 0

    def settle(self, wait_ns: int) -> dict[str, int]:
        """Bring the ledger to the wait that was seen; answers it by cause."""
        surplus = self._total - wait_ns
        while surplus > 0:
            cause, amount = self._entries.popleft()
            drained = min(amount, surplus)
            surplus -= drained
            self._total -= drained
            if amount > drained:
                self._entries.appendleft((cause, amount - drained))
        if surplus < 0:
            self.add(PLAIN, -surplus)
        by_cause: dict[str, int] = {}
        for cause, amount in self._entries:
            by_cause[cause] = by_cause.get(cause, 0) + amount
        return by_cause

    def add(self, cause: str, amount_ns: int, untimed: bool = False) -> None:
        """The server lost this much to this cause; ``untimed``: where it launched GPU work that nobody timed,
        so that ``unknown`` is very likely the GPU's, and stays what it is."""
        if amount_ns <= 0:
            return
        cause = PLAIN if cause in SAYS_NOTHING and not untimed else cause
        self._total += amount_ns
        if self._entries and self._entries[-1][0] == cause:
            amount_ns += self._entries.pop()[1]
        self._entries.append((cause, amount_ns))


class Server:
    """Whoever serves frames one by one: its ledger, and until when it was busy with the newest."""

    def __init__(self) -> None:
        self.busy_until_ns = 0
        self.ledger = Ledger()

    def ahead(self, arrived_ns: int, wait_ns: int) -> dict[str, int]:
        """What stands behind a wait, by cause: never more than the server was busy after the arrival."""
        return self.ledger.settle(max(0, min(wait_ns, self.busy_until_ns - arrived_ns)))


class Backlog:
    """The servers of one pipeline: each queue's consumer, and each thread that frames begin on."""

    def __init__(self) -> None:
        self._servers: dict[str | int, Server] = {}

    def apply(self, frame: Frame) -> None:
        """Write into a frame's waits what was lost ahead of it. Frames come in the order of their ids."""
        if frame.outcome == "dropped":
            return  # nobody served it
        alone = bool(frame.segments) and _one_by_one(frame.segments[0])
        first = self._server(frame.segments[0].thread) if alone else Server()
        for stage in frame.stages:
            if stage.kind == "queue":
                # What the consumer was ready for and did not run is the wait's own evidence.
                ready = stage.evidence.runqueue_ns or 0
                wait = stage.end_ns - stage.start_ns - (stage.expected_ns or 0) - ready
                stage.ahead_ns = self._server(stage.name).ahead(stage.start_ns, wait)
            elif stage.kind == "gap":
                stage.ahead_ns = first.ahead(stage.start_ns, stage.end_ns - stage.start_ns)
        frame.before_ns = first.ahead(frame.due_ns, frame.start_ns - frame.due_ns)

    def served(self, thread: int, due_ns: int, start_ns: int, end_ns: int) -> None:
        """A frame of one thread, through no queue, lost nothing: ``apply`` and ``learn`` in one."""
        server = self._server(thread)
        server.ahead(due_ns, start_ns - due_ns)
        server.busy_until_ns = end_ns

    def learn(self, frame: Frame, verdict: Verdict | None) -> None:
        """Remember what this frame lost in each server's hands, for the ones behind it."""
        if frame.outcome == "dropped":
            return
        for position, segment in enumerate(frame.segments):
            queue = _queue_into(frame, segment.start_ns) if position else None
            if position and queue is None:
                continue  # taken over by hand, not from a queue of ours
            if queue is None and not _one_by_one(segment):
                continue
            server = self._server(segment.thread if queue is None else queue.name)
            server.busy_until_ns = segment.end_ns
            shares = verdict.shares if verdict is not None else ()
            if queue is not None:
                for cause, amount in _kept_from_running(queue.evidence):
                    server.ledger.add(as_far_as_told(cause, frame.off), amount)
            else:
                for gap in (stage for stage in frame.stages if stage.kind == "gap"):
                    for share in shares:  # what kept the thread from beginning, beyond the frames ahead
                        if share.stage == gap.name:
                            server.ledger.add(share.cause, share.lost_ns - gap.ahead_ns.get(share.cause, 0))
            inside = {
                stage.name
                for stage in frame.stages
                if stage.kind not in ("queue", "gap")
                and stage.thread == segment.thread
                and segment.start_ns <= stage.start_ns <= segment.end_ns
            }
            untimed = {stage.name for stage in frame.stages if is_untimed(stage)}
            for share in shares:
                if share.stage in inside:
                    server.ledger.add(share.cause, share.lost_ns, share.stage in untimed)
            following = frame.segments[position + 1].start_ns if position + 1 < len(frame.segments) else None
            full = _queue_out_of(frame, segment.end_ns, following)
            if full is not None and full.held_up_ns:
                server.busy_until_ns = full.start_ns + full.held_up_ns
                for cause, amount in _behind_what(full):
                    server.ledger.add(cause, amount)

    def _server(self, key: str | int) -> Server:
        known = self._servers.get(key)
        if known is None:
            if len(self._servers) >= SERVERS:  # threads come and go
                self._servers.pop(next(iter(self._servers)))
            known = self._servers[key] = Server()
        return known


def _one_by_one(segment: Segment) -> bool:
    """Whether a thread has one frame after the other in its hands; tasks that take turns have all at once."""
    return segment.thread >= 0 and not segment.of_task


def _queue_into(frame: Frame, at: int) -> Stage | None:
    """The queue a frame left when a segment began (within the few µs between the two readings)."""
    queues = [stage for stage in frame.stages if stage.kind == "queue" and stage.start_ns < at]
    return max(queues, key=lambda stage: stage.start_ns, default=None)


def _queue_out_of(frame: Frame, since_ns: int, until_ns: int | None) -> Stage | None:
    """The queue a frame entered when a segment ended."""
    queues = [
        stage
        for stage in frame.stages
        if stage.kind == "queue"
        and stage.start_ns >= since_ns
        and (until_ns is None or stage.start_ns < until_ns)
    ]
    return min(queues, key=lambda stage: stage.start_ns, default=None)


def _kept_from_running(evidence: Evidence) -> list[tuple[str, int]]:
    """What kept a thread that was ready to take a frame from running, in ns."""
    quota = evidence.quota_ns or 0
    return [("cpu_quota", quota), ("cpu_contention", max(0, (evidence.runqueue_ns or 0) - quota))]


def _behind_what(full: Stage) -> list[tuple[str, int]]:
    """The time a thread was held up by a full queue, by what stands behind the whole wait in it."""
    took = full.end_ns - full.start_ns
    causes = dict(full.ahead_ns)
    causes[PLAIN] = causes.get(PLAIN, 0) + max(0, took - sum(causes.values()))
    amounts = apportion(list(causes.values()), min(took, full.held_up_ns))
    return list(zip(causes, amounts, strict=True))
