"""Those in the host who watch how its threads fare, beside what the frames themselves record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from framescope.handover import Batch
from framescope.probes.cuda import take_canaries
from framescope.probes.interpreter_lock import LockProbe
from framescope.probes.scheduler import Reading, nothing
from framescope.probes.system_call import allow, interpreter_lock_range
from framescope.recorder.faults import Faults
from framescope.recorder.open_frames import OpenFrames, Page, WatchedMarks
from framescope.recorder.pipeline import Recorder
from framescope.recorder.stack_sampler import StackSampler

LOCK: Final = "gil"
STACKS: Final = "stacks"
SYSTEM_CALLS: Final = "system_calls"
GPU_CANARY: Final = "gpu_canary"
"""What the settings call them: ``emitter.probes.<name>``."""


class Witnesses:
    """The interpreter-lock probe, the stack sampler, and the page that the agent's sampler reads, each where
    it is switched on. With none of them every call does nothing."""

    def __init__(
        self,
        probes: Collection[str] = (),
        faults: Faults | None = None,
        scheduler: Callable[[], Reading] = nothing,
    ) -> None:
        self._failed = failed = (faults or Faults()).note
        page = None
        if SYSTEM_CALLS in probes:
            with contextlib.suppress(AttributeError):  # only Linux has what it takes
                try:
                    page = Page()
                except OSError:  # no descriptor left
                    failed("witnesses.page")
        self._page = page
        self._lock_range = interpreter_lock_range() if page is not None else None
        self._lock = LockProbe(scheduler, failed=failed) if LOCK in probes else None
        self._open = OpenFrames(page, failed=failed) if page is not None or STACKS in probes else None
        self._stacks = (
            StackSampler(self._open, scheduler, failed=failed)
            if self._open is not None and STACKS in probes
            else None
        )
        self._allowed: int | None = None
        self._canary = GPU_CANARY in probes

    def install(self) -> None:
        """Start what needs a thread of its own."""
        for one in (self._lock, self._stacks):
            if one is not None:
                one.install()

    def remove(self) -> None:
        """Stop all of it."""
        for one in (self._lock, self._stacks):
            if one is not None:
                one.remove()
        if self._page is not None:
            self._page.close()

    def watch(self, recorder: Recorder) -> None:
        """Know from now on which thread is in a frame of this pipeline."""
        if self._open is not None and not isinstance(recorder.marks, WatchedMarks):
            recorder.hold_marks_in(
                WatchedMarks(recorder.marks, recorder.number, self._open), self._open.handed_on
            )

    def consent(self, agent: int | None) -> None:
        """The agent's process may read what our threads wait in, and only it."""
        if self._page is not None and agent is not None and agent != self._allowed:
            self._allowed = agent
            allow(agent)

    # -- called by the shipper -------------------------------------------------------------------------------

    def sets_out(self, seconds: float) -> int:
        """The shipper is about to wait."""
        return 0 if self._lock is None else self._lock.sets_out(seconds)

    def is_back(self, due_ns: int) -> None:
        """The shipper waited, for what ``sets_out`` gave."""
        if self._lock is not None:
            self._lock.is_back(due_ns)

    def look_at(self, frames: Sequence[tuple[Any, ...]]) -> None:
        """Frames that were recorded, as they are handed over."""
        for one in (self._lock, self._stacks):
            if one is not None:
                try:
                    one.look_at(frames)
                except Exception:  # the frames themselves go on their way
                    self._failed("witnesses")

    def tell(self, batch: Batch) -> None:
        """Put what was seen into a batch."""
        batch.knocks = None
        if self._lock is not None:
            batch.knocks = self._lock.take()
            if self._lock.missed:
                batch.losses[(-1, "knock_limit")] = self._lock.missed
        if self._stacks is not None:
            batch.looks = self._stacks.take()
            if self._stacks.missed:
                batch.losses[(-1, "stack_limit")] = self._stacks.missed
        if self._page is not None:
            batch.threads = (self._page.path, self._lock_range)
        if self._canary:
            batch.canaries = [(*reading,) for reading in take_canaries()]  # marshal takes no named ones
