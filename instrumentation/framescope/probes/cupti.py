"""Busy, waiting and transfer time of GPU stages, in bursts, by CUPTI: the profiler's interface of the driver.

An event pair tells when a stage's work began and ended. In a burst every kernel and copy is recorded as well,
with when it was put in line, and labelled with the token of the stage that launched it: what of the time they
ran, what copies took, and how long work stood in line is then known. It costs every launch some 25 µs and
every kernel a Python object, so it is for one second a minute, and off unless asked for.

Needs the package ``cupti-python``, which has a licence of its own; it is imported only when it is asked for.
The interface used here is that of its version 13.4.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from framescope.probes.device import NOT_TIMED, GpuWork

BURST_NS: Final = 1_000_000_000
EVERY_NS: Final = 60_000_000_000
"""One second a minute: frames wait up to 2 s for their GPU times, and these come when the burst is over."""
BUFFER_BYTES: Final = 8 * 1024 * 1024
"""Room for some 40 000 records; CUPTI asks for more of them as it needs."""
RECORDS: Final = 200_000
"""In one burst; a stage launches tens of kernels a frame. With more the burst is not used."""
FORCED: Final = 1
LATE_NS: Final = 50_000_000
"""Between the end of a burst and the request for all there is: work under way then ends by itself."""

_log: Final = logging.getLogger("framescope")


class Activity(NamedTuple):
    """One kernel, copy or fill on the device, ns on CUPTI's clock; ``queued_ns`` 0 where it does not tell."""

    is_kernel: bool
    queued_ns: int
    start_ns: int
    end_ns: int


class Parts(NamedTuple):
    """What a stage's work was made of, ns. ``wait_ns`` None: no launch told when it was put in line."""

    busy_ns: int
    transfer_ns: int
    wait_ns: int | None


def parts_of(activities: Iterable[Activity]) -> Parts:
    """The parts of one stage's work, each nanosecond in one of them.

    Busy: some kernel ran. Transfer: a copy or fill ran, and no kernel beside it. Waiting: something had been
    put in line by then, and nothing ran.
    """
    known = [one for one in activities if 0 < one.start_ns <= one.end_ns]
    kernels = _length((one.start_ns, one.end_ns) for one in known if one.is_kernel)
    ran = _length((one.start_ns, one.end_ns) for one in known)
    if not any(one.queued_ns for one in known):
        return Parts(kernels, ran - kernels, None)
    in_line = _length(
        (min(one.queued_ns, one.start_ns) if one.queued_ns else one.start_ns, one.end_ns) for one in known
    )
    return Parts(kernels, ran - kernels, in_line - ran)


def _length(intervals: Iterable[tuple[int, int]]) -> int:
    """ns that are in at least one of the intervals."""
    total, reached = 0, -(2**63)
    for start, end in sorted(intervals):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


class Bursts:
    """Switches CUPTI on and off. ``enter`` and ``leave`` are called in frames, the rest off their threads."""

    def __init__(self, cupti: Any, clock: Callable[[], int], lose: Callable[[str], None]) -> None:
        """``cupti`` is the module ``cupti.cupti``."""
        self._cupti = cupti
        self._clock = clock
        self._lose = lose
        kinds = cupti.ActivityKind
        self._kernels = frozenset({int(kinds.CONCURRENT_KERNEL), int(kinds.KERNEL)})
        self._copies = frozenset({int(kinds.MEMCPY), int(kinds.MEMCPY2), int(kinds.MEMSET)})
        self._links = int(kinds.EXTERNAL_CORRELATION)
        self._kinds = (
            kinds.EXTERNAL_CORRELATION, kinds.CONCURRENT_KERNEL, kinds.MEMCPY, kinds.MEMCPY2, kinds.MEMSET
        )  # fmt: skip
        self._label = cupti.ExternalCorrelationKind.CUSTOM0
        self.on = False
        self.given_up = False
        self._why = ""
        self._told = False
        self._registered = False
        self._next_ns = clock()
        self._stop_ns = 0
        self._inside: set[int] = set()
        self._labelled: set[int] = set()
        self._whole: set[int] = set()
        self._held: list[GpuWork] = []
        self._activities: list[tuple[int, Activity]] = []
        self._tokens: dict[int, int] = {}

    # -- in a frame -------------------------------------------------------------------------------------

    def enter(self, token: int) -> None:
        """What this thread launches from now on belongs to this token."""
        if self.on:
            try:
                self._cupti.activity_push_external_correlation_id(self._label, token)
            except Exception as error:
                self._give_up(error)
            else:
                self._inside.add(token)
                self._labelled.add(token)

    def leave(self, token: int) -> None:
        """And from here on no more."""
        if token in self._inside:
            self._inside.discard(token)
            try:
                self._cupti.activity_pop_external_correlation_id(self._label)
            except Exception as error:
                self._give_up(error)
            if self.on:
                self._whole.add(token)

    # -- off the frames' threads ------------------------------------------------------------------------

    def complete(self, works: Sequence[GpuWork]) -> list[GpuWork]:
        """Works with what a burst told of them; those of a burst that is not over are held until it is."""
        if self.given_up:
            self._let_go()
            held, self._held = self._held, []
            return [*held, *works]
        now = self._clock()
        try:
            if self.on:
                if now >= self._stop_ns:
                    self._stop()
                    self._stop_ns = now
            elif self._labelled:
                if now >= self._stop_ns + LATE_NS:
                    return [*self._finish(), *works]
            elif now >= self._next_ns:
                self._start(now)
        except Exception as error:  # of CUPTI: another profiler has it, no right to it, no driver
            self._give_up(error)
            return self.complete(works)
        self._held += [work for work in works if work.token in self._labelled]
        return [work for work in works if work.token not in self._labelled]

    def _give_up(self, error: Exception) -> None:
        """For good; what is left to do is not done here, as this may be a frame of the host's."""
        self._why = self._why or str(error)
        self.given_up, self.on = True, False

    def _let_go(self) -> None:
        """Say so, once, and have nothing recorded any more: it would cost every launch, and be held."""
        if self._told:
            return
        self._told = True
        _log.warning("framescope: bursts of CUPTI are given up: %s", self._why)
        if self._registered:
            with contextlib.suppress(Exception):
                self._stop()
        self._activities, self._tokens = [], {}

    def _start(self, now: int) -> None:
        if not self._registered:
            self._cupti.activity_register_callbacks(_buffer, self._take)
            self._registered = True
        self._cupti.activity_enable_latency_timestamps(1)
        for kind in self._kinds:
            self._cupti.activity_enable(kind)
        self._next_ns, self._stop_ns = now + EVERY_NS, now + BURST_NS
        self.on = True

    def _stop(self) -> None:
        self.on = False
        for kind in self._kinds:
            self._cupti.activity_disable(kind)
        self._cupti.activity_enable_latency_timestamps(0)

    def _finish(self) -> list[GpuWork]:
        self._cupti.activity_flush_all(FORCED)
        dropped = ctypes.c_size_t()
        self._cupti.activity_get_num_dropped_records(0, 0, ctypes.addressof(dropped))
        held, self._held = self._held, []
        usable = not dropped.value and len(self._activities) < RECORDS
        if not usable:
            self._lose("gpu_burst_dropped")
        by_token: dict[int, list[Activity]] = {}
        for correlation, activity in self._activities if usable else ():
            token = self._tokens.get(correlation)
            if token is not None:
                by_token.setdefault(token, []).append(activity)
        whole = self._whole
        self._activities, self._tokens = [], {}
        self._labelled, self._whole = set(), set()
        return [
            _with(work, parts_of(by_token[work.token]))
            if work.token in by_token and work.token in whole and work.end_ns < self._stop_ns
            else work
            for work in held
        ]

    def _take(self, activities: list[Any]) -> None:
        """Records that CUPTI hands over, on a thread of its own; nothing may be raised into it."""
        try:
            for one in activities if not self.given_up else ():
                kind = one.kind
                if kind == self._links:
                    if one.external_kind == self._label:
                        self._tokens[one.correlation_id] = one.external_id
                elif len(self._activities) < RECORDS:
                    if kind in self._kernels:
                        queued = one.queued or one.submitted
                        activity = Activity(True, queued, one.start, one.end)
                        self._activities.append((one.correlation_id, activity))
                    elif kind in self._copies:
                        self._activities.append((one.correlation_id, Activity(False, 0, one.start, one.end)))
        except Exception:
            self._lose("gpu_burst_record")


def _buffer() -> tuple[int, int]:
    return BUFFER_BYTES, 0


def _with(work: GpuWork, parts: Parts) -> GpuWork:
    if work.start_ns == NOT_TIMED:
        return work
    return work._replace(busy_ns=parts.busy_ns, transfer_ns=parts.transfer_ns, wait_ns=parts.wait_ns)
