"""How time lost in host code splits by what the scheduler and the probes saw of the thread.

Evidence is read per thread segment, and a segment may hold several stages: each kind of evidence is a
pool that the segment's stages draw from, in order of precedence and in proportion to what they lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from framescope import signals as sig
from framescope.judge.model import Evidence, Stage

PRECEDENCE: Final = (
    ("gc_pause", "gc_ns"),
    ("cpu_quota", "quota_ns"),
    ("cpu_contention", "runqueue_ns"),
    ("python_gil", "gil_ns"),
    ("memory_pressure", "memory_ns"),
    ("io_wait", "io_ns"),
    ("lock_wait", "lock_ns"),
    ("loop_wait", "loop_ns"),
    ("cpu_work", "cpu_ns"),
    ("blocked", "blocked_ns"),
)
"""Cause and the evidence for it. Own CPU time comes late: a collection and a throttled quota show in it
or beside it, and the finer name is the truer one. Plain ``blocked`` is what no finer reading explains."""


OF_THE_HOST_ALONE: Final = PRECEDENCE[:4]
"""What no waiting for a GPU looks like: a collection, a quota, a queue for a core, the interpreter lock."""
LIKE_THE_GPU: Final = frozenset(cause for cause, _ in PRECEDENCE[4:])
"""Who waits for a GPU sleeps, polls a driver's file, or spins."""


TOLD_APART_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "cpu_work": ("gc_ns",),
    "cpu_contention": ("quota_ns",),
    "python_gil": ("gc_ns", "quota_ns"),
    "loop_wait": ("gc_ns", "runqueue_ns"),
    "queue_wait": ("gc_ns", "gil_ns", "quota_ns", "runqueue_ns"),
    "late_input": ("gc_ns", "gil_ns", "runqueue_ns"),
}
"""What a cause is mistaken for another without: a collection is CPU time of the thread it runs in, holds the
interpreter lock against the others, and keeps a loop or a consumer from taking the next. So does whoever has
the lock while a quota holds it back."""
READING_OF: Final = dict(PRECEDENCE)
CAUSE_OF: Final = {reading: cause for cause, reading in PRECEDENCE}


def as_far_as_told(cause: str, off: Set[str]) -> str:
    """The cause, or what it has in common with those that readings which are ``off`` would have told from it:
    the family, or ``unknown``."""
    for reading in TOLD_APART_BY.get(cause, ()) if off else ():
        if reading in off:
            family = _family(cause)
            cause = family if family == _family(CAUSE_OF[reading]) else "unknown"
    return cause


def as_far_as_timed(cause: str, stage: Stage | None) -> str:
    """The cause, or ``unknown`` where it looks like a wait for GPU work that nobody timed."""
    return "unknown" if is_untimed(stage) and cause in LIKE_THE_GPU else cause


def is_untimed(stage: Stage | None) -> bool:
    """Whether a stage launches GPU work and nothing is known of it."""
    return stage is not None and stage.kind == "gpu" and stage.gpu is None


def _family(cause: str) -> str:
    known = sig.CAUSES.get(cause)
    return cause if known is None or known.parent is None else known.parent


@dataclass(slots=True)
class Piece:
    """A part of the loss still to be explained, in one stage (or between stages)."""

    stage: Stage | None
    start_ns: int
    end_ns: int
    thread: int | None
    left_ns: int
    parts: dict[str, int] = field(default_factory=dict)
    met_ns: int = 0
    """What of the parts the host spent waiting for the GPU: no evidence of the host explains it again."""

    def give(self, cause: str, wanted: int) -> int:
        """Let ``cause`` own up to ``wanted`` ns of what is left; answers how much it got."""
        given = max(0, min(wanted, self.left_ns))
        if given:
            self.parts[cause] = self.parts.get(cause, 0) + given
            self.left_ns -= given
        return given


def pools(evidence: Evidence, expected: Evidence) -> dict[str, int]:
    """Excess of each reading over what is usual, ns, each nanosecond in one pool only.

    A collection in this thread is inside its CPU time, one in another inside its wait for the interpreter
    lock, a quota pause inside its run-queue time, and every named wait inside its blocked time. That the
    holder of the interpreter lock got no core, while this thread waited for the lock, is a wait for a core.
    """
    excess: dict[str, int] = {}
    for _, name in PRECEDENCE:
        value = getattr(evidence, name)
        if value is not None:
            excess[name] = max(0, value - (getattr(expected, name) or 0))
    collected = excess.get("gc_ns", 0)
    if "cpu_ns" in excess:
        own = collected if evidence.gc_own_ns is None else min(collected, evidence.gc_own_ns)
        inside = min(own, excess["cpu_ns"])
        excess["cpu_ns"] -= inside
        collected -= inside
    if "gil_ns" in excess:  # a collection in another thread holds the lock all the while
        excess["gil_ns"] -= min(collected, excess["gil_ns"])
    if "loop_ns" in excess:  # a collection in the step of another task
        inside = min(collected, excess["loop_ns"])
        excess["loop_ns"] -= inside
        collected -= inside
    starved = max(0, (evidence.starved_ns or 0) - (expected.starved_ns or 0))
    if "runqueue_ns" in excess or starved:
        ready = excess.get("runqueue_ns", 0) + starved
        excess["runqueue_ns"] = max(0, ready - excess.get("quota_ns", 0))
    if "blocked_ns" in excess:
        named = starved + sum(
            excess.get(name, 0) for name in ("gil_ns", "memory_ns", "io_ns", "lock_ns", "loop_ns")
        )
        excess["blocked_ns"] = max(0, excess["blocked_ns"] - named - collected)
    return excess


def draw(pieces: list[Piece], pool: dict[str, int]) -> None:
    """Let the pieces of one segment draw on its evidence, in order of precedence."""
    for cause, name in PRECEDENCE:
        available = pool.get(name, 0)
        if not available:
            continue
        wanting = sum(piece.left_ns for piece in pieces)
        if not wanting:
            return
        ratio = min(1.0, available / wanting)
        for piece in pieces:
            piece.give(cause, round(piece.left_ns * ratio))
