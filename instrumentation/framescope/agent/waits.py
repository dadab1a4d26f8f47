"""What a frame's threads waited for while they were off the CPU: from knocks at the interpreter lock and
from system calls seen from outside.

The scheduler tells exactly how long a thread was blocked; these two tell what for. Neither adds time of
its own: what they find is a part of the blocked time, never more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from framescope.judge.model import Evidence, Frame, Segment, Stage
from framescope.probes.gc import Collection
from framescope.probes.interpreter_lock import EVERY_NS, LATE_NS, Knock

KNOCKS: Final = 4096
SAMPLES: Final = 16_384
LOOKS: Final = 4096
UNWATCHED_NS: Final = 2 * EVERY_NS
"""Longer than this between an answer and the next knock, nobody watched the lock."""
WATCHED_SHARE: Final = 0.75
NOTICED_NS: Final = 1_000_000
"""A knock that waited longer than this found the lock held; an ordinary turn of a thread is shorter."""
STACKS: Final = 8
"""Different stacks told of one stage, the most frequent ones."""


class Sample(NamedTuple):
    """A thread in a frame or between two, seen from outside: ``kind`` as ``system_call.Kind``, ``text`` for
    people."""

    time_ns: int
    thread: int
    kind: str
    text: str


class Waits:
    """The newest knocks, samples and stacks, and what they say of one frame."""

    def __init__(
        self,
        stalled: Callable[[int, int], int | None] = lambda start_ns, end_ns: None,
        stopped: Callable[[int, int], bool] = lambda start_ns, end_ns: False,
        held_back: Callable[[int, int], float | None] = lambda start_ns, end_ns: None,
    ) -> None:
        """``stalled``: ns that some task of the machine waited for a core around a stretch, None unknown.
        ``stopped``: whether the host stood still in it, which is no lock's doing. ``held_back``: in which
        share of the time around it a quota let none of the host's threads run, None unknown."""
        self._stalled = stalled
        self._stopped = stopped
        self._held_back = held_back
        self._knocks: deque[Knock] = deque(maxlen=KNOCKS)
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._incoming: deque[Sample] = deque(maxlen=SAMPLES)
        self._looks: deque[tuple[int, int, str]] = deque(maxlen=LOOKS)

    def add(self, knocks: Iterable[Knock], looks: Iterable[tuple[int, int, str]] = ()) -> None:
        """What the host handed over, oldest first."""
        self._knocks.extend(knocks)
        self._looks.extend(looks)

    def saw(self, sample: Sample) -> None:
        """What the sampler saw; safe from its thread."""
        self._incoming.append(sample)

    def _take_in(self) -> None:
        while self._incoming:
            self._samples.append(self._incoming.popleft())

    def felt(self, thread: int, collections: Sequence[Collection]) -> Sequence[Collection]:
        """Collections as far as they can have held a thread up: one that another thread made from when this
        one was last seen to wait for anything but the lock.

        That it was seen running says nothing: the collector's last callback tells the time once it has the
        lock again, which whoever waited for it got first.
        """
        self._take_in()
        if not self._samples:
            return collections
        found = []
        for generation, made_by, start_ns, end_ns in collections:
            since = start_ns
            if made_by != thread:
                for sample in _within(self._samples, Segment(thread, start_ns, end_ns, Evidence())):
                    if sample.kind not in ("gil", "running"):
                        since = sample.time_ns
            found.append((generation, made_by, since, end_ns))
        return found

    def explain(self, frame: Frame) -> None:
        """Say of each thread's stretch what its blocked time was spent on, where anything was seen."""
        self._take_in()
        for segment in frame.segments:
            evidence = segment.evidence
            if evidence.blocked_ns is None:
                continue
            if segment.of_task:
                self._explain_task(segment)
                continue
            seen = _within(self._samples, segment)
            if any(sample.kind != "running" for sample in seen):
                _split(evidence, seen)
                _name(frame.stages, seen)
            else:
                evidence.gil_ns = lock_wait(
                    _touching(self._knocks, segment), segment, evidence.blocked_ns, evidence.cpu_ns or 0
                )
            self._starve(evidence, segment)
        self._explain_start(frame)
        self._explain_waking(frame)

    def _explain_task(self, segment: Segment) -> None:
        """A task that awaits something waits for no lock; but its thread does, in the task's steps and while
        the task waits for its loop."""
        if segment.off_ns is None:
            return
        evidence = segment.evidence
        cpu_ns = (evidence.cpu_ns or 0) + segment.others_cpu_ns
        evidence.gil_ns = lock_wait(_touching(self._knocks, segment), segment, segment.off_ns, cpu_ns)
        if segment.lock_ns and not self._stopped(segment.start_ns, segment.end_ns):
            evidence.gil_ns = max(evidence.gil_ns or 0, segment.lock_ns)
        if evidence.gil_ns and evidence.loop_ns:
            evidence.loop_ns -= min(evidence.gil_ns, segment.loop_off_ns, evidence.loop_ns)
        self._starve(evidence, segment)

    def _explain_start(self, frame: Frame) -> None:
        """A frame that began late because its thread, awake, had to wait for the lock: as it was seen then;
        by knocks alone, as far as the lock was held without a break until the frame began."""
        gap = next((stage for stage in frame.stages if stage.kind == "gap"), None)
        if gap is None or not frame.segments or frame.segments[0].of_task:
            return
        until = Segment(frame.segments[0].thread, gap.start_ns, gap.end_ns, gap.evidence)
        gap.evidence.gil_ns = self._seen_waiting(until, gap)
        if gap.evidence.gil_ns is None:
            since = held_until_end(_touching(self._knocks, until), until)
            gap.evidence.gil_ns = None if since is None else gap.end_ns - since
        self._starve(gap.evidence, until)

    def _seen_waiting(self, segment: Segment, stage: Stage) -> int | None:
        """How long a thread waited for the lock in a stretch outside the frame, by the looks at it; None
        where nobody saw it off the CPU. ``stage``, which is that wait, is told in which call it was."""
        off = [sample for sample in _within(self._samples, segment) if sample.kind != "running"]
        if not off:
            return None
        stage.waited_in = Counter(sample.text for sample in off).most_common(1)[0][0]
        off_ns = segment.end_ns - segment.start_ns - (segment.evidence.runqueue_ns or 0)
        return max(0, off_ns) * sum(sample.kind == "gil" for sample in off) // len(off)

    def _explain_waking(self, frame: Frame) -> None:
        """A frame that was awaited at the end of its queue, and taken late all the same: the thread that
        takes it needs a core and the lock to wake up."""
        for stage in frame.stages:
            if stage.kind == "queue" and stage.awaited:
                taken_by = next((one.thread for one in frame.segments if one.start_ns > stage.start_ns), 0)
                waking = Segment(taken_by, stage.start_ns, stage.end_ns, stage.evidence)
                stage.evidence.gil_ns = self._seen_waiting(waking, stage)
                if stage.evidence.gil_ns is None:
                    off_ns = max(0, stage.end_ns - stage.start_ns - (stage.evidence.runqueue_ns or 0))
                    stage.evidence.gil_ns = lock_wait(_touching(self._knocks, waking), waking, off_ns, 0)
                self._starve(stage.evidence, waking)

    def _starve(self, evidence: Evidence, segment: Segment) -> None:
        """Take out of a wait for the lock the time in which its holder got no core: no thread of this process
        ran, and some in the machine waited for a core, or a quota held them all back."""
        if not evidence.gil_ns:
            return
        stalled = self._stalled(segment.start_ns, segment.end_ns)
        held_back = self._held_back(segment.start_ns, segment.end_ns)
        if stalled is None and not held_back:
            return
        share = not_run(_touching(self._knocks, segment), segment)
        evidence.starved_ns = max(
            min(round(evidence.gil_ns * share), stalled or 0),
            round(evidence.gil_ns * min(1.0, held_back or 0.0)),
        )
        evidence.gil_ns -= evidence.starved_ns

    def illustrate(self, frame: Frame) -> None:
        """Give each stage that overran the stacks seen since it did."""
        if not self._looks:
            return
        found: dict[int, Counter[str]] = {}
        for thread, at, text in _between(self._looks, frame.start_ns, frame.end_ns):
            stage = _innermost(frame.stages, thread, at)
            if stage is not None and at >= frame.stages[stage].start_ns + (
                frame.stages[stage].expected_ns or 0
            ):
                found.setdefault(stage, Counter())[text] += 1
        for position, stacks in found.items():
            frame.stages[position].stacks = tuple(stacks.most_common(STACKS))


def lock_wait(knocks: Sequence[Knock], segment: Segment, blocked_ns: int, cpu_ns: int) -> int | None:
    """ns of a thread's blocked time for which others held the interpreter lock; None where nobody watched.

    A knock waits while *anybody* holds the lock. Between two knocks that both waited it was held all the
    while; before one that waited long, for half the time since the one before, as far as anybody knows.
    What this thread held it for is inside its own CPU time, so that comes off first: the rest was others',
    and a thread that is blocked meanwhile waited for it or for something else; the blocked time is the
    most it can have been.
    """
    held = watched = 0
    last: Knock | None = None
    for knock in knocks:
        due, answered, waited, _ = knock
        took = max(1, answered - due)
        inside = _shared(segment, due, answered)
        held += inside * min(waited, took) // took
        watched += inside
        if last is not None and due - last[1] <= UNWATCHED_NS:
            between = _shared(segment, last[1], due)
            watched += between
            if min(waited, last[2]) > NOTICED_NS:
                held += between
            elif waited > LATE_NS:
                held += between // 2
        last = knock
    others = max(0, held - cpu_ns)
    if not others and watched < WATCHED_SHARE * (segment.end_ns - segment.start_ns):
        return None
    return min(others, blocked_ns)


def held_until_end(knocks: Sequence[Knock], segment: Segment) -> int | None:
    """Since when the lock was held without a break until a stretch's end; None where no knock says so."""
    since: int | None = None
    for due, answered, waited, _ in reversed(knocks):
        if due >= segment.end_ns:
            continue
        if waited <= NOTICED_NS:
            break
        if since is None and answered < segment.end_ns - NOTICED_NS:
            break  # it was let in well before the end
        if since is not None and since - answered > UNWATCHED_NS:
            break
        since = due
    return None if since is None else max(segment.start_ns, since)


def not_run(knocks: Sequence[Knock], segment: Segment) -> float:
    """Of the time that the lock was held around a stretch: the share in which no thread of this process was
    on the CPU. Threads that compute without the lock meanwhile make it smaller than it is."""
    held = idle = 0.0
    for due, answered, waited, ran in knocks:
        inside = _shared(segment, due, answered)
        if inside and waited > NOTICED_NS:
            held += inside
            idle += inside * (waited - ran) / waited
    return idle / held if held else 0.0


def _shared(segment: Segment, start_ns: int, end_ns: int) -> int:
    return max(0, min(end_ns, segment.end_ns) - max(start_ns, segment.start_ns))


def _split(evidence: Evidence, seen: Sequence[Sample]) -> None:
    """Blocked time by what was seen of it: exact in length, as fine in kind as the samples are many."""
    assert evidence.blocked_ns is not None
    off = Counter(sample.kind for sample in seen if sample.kind != "running")
    whole = sum(off.values())
    evidence.gil_ns = evidence.blocked_ns * off["gil"] // whole
    evidence.io_ns = evidence.blocked_ns * off["io"] // whole
    evidence.lock_ns = evidence.blocked_ns * off["lock"] // whole


def _name(stages: Sequence[Stage], seen: Sequence[Sample]) -> None:
    """Tell each stage in which call it was seen most often."""
    calls: dict[int, Counter[str]] = {}
    for sample in seen:
        if sample.kind != "running":
            stage = _innermost(stages, sample.thread, sample.time_ns)
            if stage is not None:
                calls.setdefault(stage, Counter())[sample.text] += 1
    for position, texts in calls.items():
        stages[position].waited_in = texts.most_common(1)[0][0]


def _innermost(stages: Sequence[Stage], thread: int, at_ns: int) -> int | None:
    """Position of the stage this thread was in then; of nested ones the inner."""
    found: int | None = None
    for position, stage in enumerate(stages):
        if (
            stage.thread == thread
            and stage.start_ns <= at_ns <= stage.end_ns
            and stage.kind not in ("queue", "gap")
            and (found is None or stage.start_ns >= stages[found].start_ns)
        ):
            found = position
    return found


def _within(samples: deque[Sample], segment: Segment) -> list[Sample]:
    first = bisect_left(samples, segment.start_ns, key=lambda sample: sample.time_ns)
    last = bisect_left(samples, segment.end_ns, lo=first, key=lambda sample: sample.time_ns)
    return [sample for sample in islice(samples, first, last) if sample.thread == segment.thread]


def _touching(knocks: deque[Knock], segment: Segment) -> list[Knock]:
    """The knocks that overlap a stretch, and one on either side. Oldest first, as two threads answer them."""
    first = bisect_left(knocks, segment.start_ns, key=lambda knock: knock[1])
    last = bisect_left(knocks, segment.end_ns, lo=first, key=lambda knock: knock[1])
    return list(islice(knocks, max(0, first - 1), last + 1))


def _between(
    looks: deque[tuple[int, int, str]], start_ns: int, end_ns: int
) -> Iterable[tuple[int, int, str]]:
    first = bisect_left(looks, start_ns, key=lambda look: look[1])
    return islice(looks, first, bisect_left(looks, end_ns, lo=first, key=lambda look: look[1]))
