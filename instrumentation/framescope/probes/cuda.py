"""The GPU time of a stage by CUDA event pairs: one event before its work on the stream, one after.

A pair gives the time from its first event to its second *on the device*: the stage's kernels and copies,
and whatever else the stream waited for in between. It cannot tell work from waiting, and never says it can.

Nothing here waits for the device. A frame's thread records two events of a pool and goes on; the shipper's
thread asks later which pairs are complete. To place them on the host's clock an event is recorded now and
then on a stream of our own, between two readings of that clock; and no work began before its stage did, or
ended after it was seen to have ended. What is left open is the place's error, told with each work.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from ctypes import byref, c_float, c_int, c_void_p
from typing import Any, Final

from framescope.probes.cuda_canary import Canary, CanaryReading
from framescope.probes.cuda_driver import (
    CAPTURE_IMPLICIT,
    GONE,
    LAST_DEFAULT_STREAM,
    NOT_READY,
    STREAM_NON_BLOCKING,
    CudaError,
    Driver,
    NoCudaError,
)
from framescope.probes.cuda_streams import follow
from framescope.probes.cupti import Bursts
from framescope.probes.device import NOT_TIMED, GpuWork, next_token

PAIRS: Final = 1024
"""Event pairs a context: what 1 000 frames a second with three GPU stages have under way and uncollected
several times over. They are made as needed; where all are taken the stage is counted and not timed."""
STREAMS: Final = 64
"""Streams remembered at a time; beyond that the one idle longest is forgotten."""
ANCHOR_SPIN_NS: Final = 50_000
"""How long one attempt to anchor may take: an event on an idle stream completes within 10 µs or so. This
thread holds the interpreter lock meanwhile."""
DRIFT: Final = 1e-4
"""Assumed bound on how far the device's clock runs off the host's: crystals are good to ±50 parts in a
million each, vendors state nothing. Anchors are made as often as there is something to place (ten times a
second), so that it seldom amounts to more than 10 µs. A host's clock that is being slewed hard, up to 500
parts in a million by NTP, goes beyond it while that lasts."""
RESOLUTION_NS: Final = 500
"""Of an event's time, as the driver's reference gives it."""
ABANDONED_NS: Final = 60_000_000_000
"""A stage entered so long ago and never left will not come back for its pair."""
CANARY_AFTER_NS: Final = 1_000_000_000
"""How long after the last GPU stage canaries go on: an idle device is not to be woken by them."""
RETRY_NS: Final = 1_000_000_000
"""Pause before a context that could not be used is looked at again."""
AT_ONCE: Final = 16
"""Pairs looked at before other threads get a turn: 50 µs with the interpreter lock held, at 3 µs a pair."""

Lose = Callable[[str], None]
_log: Final = logging.getLogger("framescope")


class _Pair:
    """Two events, and what they are being used for."""

    __slots__ = ("began_ns", "end", "lane", "lose", "start", "status", "status_at", "token")

    def __init__(self, start: c_void_p, end: c_void_p) -> None:
        self.start = start
        self.end = end
        self.status = c_int()
        self.status_at = byref(self.status)
        self.token = NOT_TIMED
        self.began_ns = 0
        self.lane: _Lane
        self.lose: Lose


class _Lane:
    """One stream of one context, and the pairs on it whose end was recorded, oldest first."""

    __slots__ = ("context", "pending", "stream")

    def __init__(self, context: _Context, stream: int) -> None:
        self.context = context
        self.stream = c_void_p(stream)
        self.pending: deque[_Pair] = deque()


class _Context:
    """A CUDA context's events. It keeps them when it rests after an error: made anew each time, those of
    before would stay on the device for as long as the context lives."""

    def __init__(self, handle: int, identity: int) -> None:
        self.handle = c_void_p(handle)
        self.identity = identity
        self.device = ""
        self.free: deque[_Pair] = deque()
        self.made = 0
        self.lanes: dict[int, _Lane] = {}
        self.anchor: _Anchor | None = None
        self.canary: Canary | None = None
        self.used_ns = 0
        self.resting = False
        self.rests_until_ns = 0


class _Anchor:
    """An event between two readings of the host's clock; the one before it is kept until it is better.

    ``low_ns`` and ``high_ns`` bound when ``event`` completed.
    """

    def __init__(self, driver: Driver, clock: Callable[[], int]) -> None:
        self._driver = driver
        self._clock = clock
        self._stream = c_void_p()
        self.event, self._next = c_void_p(), c_void_p()
        try:
            # A stream of its own: an event on the user's would wait for the work there.
            driver.call("cuStreamCreateWithPriority", byref(self._stream), STREAM_NON_BLOCKING, 0)
            driver.call("cuEventCreate", byref(self.event), 0)
            driver.call("cuEventCreate", byref(self._next), 0)
        except CudaError:  # it will be tried again, every second
            if self.event:
                driver.free.cuEventDestroy_v2(self.event)
            if self._stream:
                driver.free.cuStreamDestroy_v2(self._stream)
            raise
        self.low_ns = self.high_ns = NOT_TIMED

    @property
    def known(self) -> bool:
        return self.high_ns != NOT_TIMED

    def renew(self) -> None:
        """Try once; keep what is better by now, the old with its drift or the new. Raises ``CudaError``."""
        hot, clock = self._driver.hot, self._clock
        low = clock()
        code = hot.cuEventRecord(self._next, self._stream)
        while not code:
            code = hot.cuEventQuery(self._next)
            high = clock()
            if not code:
                drifted = (low - self.high_ns) * DRIFT
                if not self.known or high - low <= self.high_ns - self.low_ns + 2 * drifted:
                    self.event, self._next = self._next, self.event
                    self.low_ns, self.high_ns = low, high
                return
            if code == NOT_READY:
                if high - low > ANCHOR_SPIN_NS:
                    return  # the device is busy with others; the old one serves, with its drift
                code = 0
        raise CudaError("anchor", code)


class EventPairs:
    """The pairs of all stages of this process. ``begin`` and ``end`` are called in frames, on any thread."""

    def __init__(self, driver: Driver, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.with_canary = False
        self.bursts: Bursts | None = None
        self._driver = driver
        self._clock = clock
        self._record = driver.hot.cuEventRecord
        self._is_capturing = driver.hot.cuStreamIsCapturing
        self._get_current = driver.hot.cuCtxGetCurrent
        self.forget()

    def forget(self) -> None:
        """Start afresh, in a forked child: contexts and events are the parent's."""
        self.bursts = None
        self._lock = threading.RLock()  # a signal handler may make a frame while its own thread holds it
        self._collecting = threading.Lock()
        self._contexts: dict[int, _Context] = {}
        self._lanes: dict[int, _Lane] = {}
        self._open: dict[int, _Pair] = {}
        self._lost: deque[int] = deque(maxlen=10_000)
        self._canaries: deque[CanaryReading] = deque(maxlen=1_000)
        self._not_before_ns = -RETRY_NS

    # -- in a frame -----------------------------------------------------------------------------------------

    def begin(self, stream: int, lose: Lose) -> int:
        """Record the first event; a token, or ``NOT_TIMED`` where ``lose`` was told why not."""
        lane = self._lanes.get(stream)
        if lane is None and (lane := self._lane(stream, lose)) is None:
            return NOT_TIMED
        try:
            pair = lane.context.free.popleft()
        except IndexError:
            made = self._another(lane.context, lose)
            if made is None:
                return NOT_TIMED
            pair = made
        pair.lane = lane
        if not self._may_record(pair, lose):
            return NOT_TIMED
        pair.began_ns = self._clock()
        if self._record(pair.start, lane.stream):
            self._failed(pair, lose)
            return NOT_TIMED
        pair.lose = lose
        pair.token = token = next_token()
        self._open[token] = pair
        if self.bursts is not None:
            self.bursts.enter(token)
        return token

    def end(self, token: int) -> None:
        """Record the second event."""
        if self.bursts is not None:
            self.bursts.leave(token)
        pair = self._open.pop(token, None)
        if pair is None:
            return
        lane = pair.lane
        if self._may_record(pair, pair.lose):
            if not self._record(pair.end, lane.stream):
                lane.pending.append(pair)
                return
            self._failed(pair, pair.lose)
        self._lost.append(token)

    def _may_record(self, pair: _Pair, lose: Lose) -> bool:
        """Not while a graph is captured: the event would become a part of it, or break it."""
        code = self._is_capturing(pair.lane.stream, pair.status_at)
        if not code and not pair.status.value:
            return True
        if code and code != CAPTURE_IMPLICIT:
            self._failed(pair, lose)
        else:
            pair.lane.context.free.append(pair)
            lose("gpu_capturing")
        return False

    def _failed(self, pair: _Pair, lose: Lose) -> None:
        """Ask anew next time whose stream this is; its context is looked at when works are collected."""
        lose("gpu_error")
        self._lanes.pop(pair.lane.stream.value or 0, None)
        pair.lane.context.free.append(pair)

    def _lane(self, stream: int, lose: Lose) -> _Lane | None:
        """The stream's lane: the default streams' is the current context's, others' are remembered."""
        handle = c_void_p()
        if stream <= LAST_DEFAULT_STREAM:
            code = self._get_current(byref(handle))
        else:
            code = self._driver.hot.cuStreamGetCtx(c_void_p(stream), byref(handle))
        if code or not handle.value:
            # Nobody has used CUDA on this thread yet. To initialize it is not ours to do: it takes long,
            # and makes this process one that must not fork.
            lose("gpu_no_context")
            return None
        context = self._contexts.get(handle.value)
        if context is None and (context := self._open_context(handle.value, lose)) is None:
            return None
        if context.resting:
            lose("gpu_error")
            return None
        lane = context.lanes.get(stream)
        if lane is None or stream > LAST_DEFAULT_STREAM:
            with self._lock:
                if lane is None:
                    if len(context.lanes) >= STREAMS:
                        self._evict(context)
                    lane = context.lanes[stream] = _Lane(context, stream)
                if stream > LAST_DEFAULT_STREAM:
                    self._lanes[stream] = lane
        return lane

    def _evict(self, context: _Context) -> None:
        """Forget the stream known longest that has nothing under way."""
        busy = {id(pair.lane) for pair in list(self._open.values())}
        for stream, lane in context.lanes.items():
            if not lane.pending and id(lane) not in busy:
                del context.lanes[stream]
                self._lanes.pop(stream, None)
                return

    def _open_context(self, handle: int, lose: Lose) -> _Context | None:
        if self._clock() >= self._not_before_ns:
            try:
                identity = self._driver.identity(c_void_p(handle))
            except CudaError:
                self._not_before_ns = self._clock() + RETRY_NS
            else:
                with self._lock:
                    return self._contexts.setdefault(handle, _Context(handle, identity))
        lose("gpu_error")
        return None

    def _another(self, context: _Context, lose: Lose) -> _Pair | None:
        with self._lock:
            if context.made >= PAIRS:
                lose("gpu_pool_empty")
                return None
            context.made += 1
        hot, start, end = self._driver.hot, c_void_p(), c_void_p()
        # In the stream's context, which need not be this thread's.
        code = hot.cuCtxPushCurrent_v2(context.handle)
        if not code:
            code = hot.cuEventCreate(byref(start), 0) or hot.cuEventCreate(byref(end), 0)
            if code and start:
                hot.cuEventDestroy_v2(start)
            hot.cuCtxPopCurrent_v2(byref(c_void_p()))
        if code:
            with self._lock:
                context.made -= 1
            lose("gpu_error")
            return None
        return _Pair(start, end)

    # -- off the frames' threads ----------------------------------------------------------------------------

    def collect(self) -> list[GpuWork]:
        """What is complete, and what will never be. One thread at a time; others get nothing."""
        if not self._collecting.acquire(blocking=False):
            return []
        try:
            works: list[GpuWork] = []
            if self._contexts:
                with self._driver.relaxed():
                    for context in list(self._contexts.values()):
                        self._collect_from(context, works)
            self._give_up_abandoned()
            with contextlib.suppress(IndexError):
                while True:
                    works.append(GpuWork.lost(self._lost.popleft()))
            return works if self.bursts is None else self.bursts.complete(works)
        finally:
            self._collecting.release()

    def _collect_from(self, context: _Context, works: list[GpuWork]) -> None:
        now = self._clock()
        if context.resting and now < context.rests_until_ns:
            return
        try:
            if self._driver.identity(context.handle) != context.identity:
                self._forget_context(context)
                return
        except CudaError as error:
            if error.code in GONE:
                self._forget_context(context)
            else:
                self._rest(context)
            return
        lanes = [lane for lane in list(context.lanes.values()) if lane.pending]
        if lanes:
            context.used_ns = now
        with_canary = self.with_canary and now - context.used_ns < CANARY_AFTER_NS
        if not (lanes or context.resting or with_canary):
            return
        try:
            with self._driver.current(context.handle):
                if not context.device:
                    context.device = self._driver.device_id()
                if context.anchor is None:
                    context.anchor = _Anchor(self._driver, self._clock)
                context.anchor.renew()
                for lane in lanes:
                    self._collect_lane(lane, context.anchor, works)
                if self.with_canary and context.anchor.known:
                    self._look_at_canary(context, context.anchor)
            context.resting = False
        except CudaError:
            self._rest(context)

    def _look_at_canary(self, context: _Context, anchor: _Anchor) -> None:
        try:
            if context.canary is None:
                context.canary = Canary(self._driver, self._clock)
            reading = context.canary.look(context.device, anchor.event, anchor.low_ns, anchor.high_ns, DRIFT)
        except CudaError as error:
            self.with_canary = False  # frames are timed all the same
            _log.warning("framescope: the GPU canary is given up: %s", error)
        else:
            if reading is not None:
                self._canaries.append(reading)

    def take_canaries(self) -> list[CanaryReading]:
        """The canaries' readings since the last call."""
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._canaries.popleft())
        return taken

    def _collect_lane(self, lane: _Lane, anchor: _Anchor, works: list[GpuWork]) -> None:
        elapsed_ms = c_float()
        at = byref(elapsed_ms)
        elapsed: Any = self._driver.hot.cuEventElapsedTime
        pending = lane.pending
        turn = 0
        while pending:
            pair = pending[0]
            code = elapsed(at, pair.start, pair.end)
            if code == NOT_READY:
                break  # and with it everything behind it on this stream
            if code:
                raise CudaError("cuEventElapsedTime", code)
            pending.popleft()
            took = max(0, round(elapsed_ms.value * 1e6))
            seen = self._clock()
            since_anchor: int | None = None
            if anchor.known and elapsed(at, anchor.event, pair.start) == 0:
                since_anchor = round(elapsed_ms.value * 1e6)
            low, high = bounds(pair.began_ns, seen - took, anchor.low_ns, anchor.high_ns, since_anchor)
            start = (low + high) // 2
            works.append(
                GpuWork(
                    pair.token,
                    lane.context.device,
                    start,
                    start + took,
                    clock_error_ns=(high - low + 1) // 2 + RESOLUTION_NS,
                )
            )
            lane.context.free.append(pair)
            turn += 1
            if turn % AT_ONCE == 0:
                time.sleep(0)

    def _rest(self, context: _Context) -> None:
        """Nothing is timed in it for a while; what is under way is lost."""
        context.rests_until_ns = self._clock() + RETRY_NS
        context.resting = True
        context.free.extend(self._lose_all(context, "gpu_error"))

    def _forget_context(self, context: _Context) -> None:
        """It was destroyed, and its events with it: to touch them now would be an error."""
        with self._lock:
            self._contexts.pop(context.handle.value or 0, None)
        self._lose_all(context, "gpu_context_gone")

    def _lose_all(self, context: _Context, reason: str) -> list[_Pair]:
        """Take back every pair under way in it; frames ask anew whose stream theirs is."""
        with self._lock:
            for stream, lane in list(self._lanes.items()):
                if lane.context is context:
                    del self._lanes[stream]
        pairs: list[_Pair] = []
        for lane in list(context.lanes.values()):
            pairs += [lane.pending.popleft() for _ in range(len(lane.pending))]
        for token, pair in list(self._open.items()):
            if pair.lane.context is context and self._open.pop(token, None) is not None:
                pairs.append(pair)
        for pair in pairs:
            pair.lose(reason)
            self._lost.append(pair.token)
        return pairs

    def _give_up_abandoned(self) -> None:
        while self._open:
            try:
                token, pair = next(iter(self._open.items()))
            except (StopIteration, RuntimeError):  # a frame's thread was here meanwhile
                return
            if self._clock() - pair.began_ns < ABANDONED_NS:
                return
            if self._open.pop(token, None) is not None:
                pair.lane.context.free.append(pair)
                pair.lose("gpu_stage_never_closed")
                self._lost.append(token)


def bounds(
    began_ns: int, latest_ns: int, anchor_low_ns: int, anchor_high_ns: int, since_anchor_ns: int | None
) -> tuple[int, int]:
    """Between which two moments of the host's clock some GPU work began.

    Not before ``began_ns``, when its stage did; not after ``latest_ns``, when its end was seen less what it
    took; and ``since_anchor_ns`` on the device's clock after an event that completed between the anchor's
    two. Where those contradict each other the device's clock is not to be trusted, and the first two hold.
    """
    latest_ns = max(began_ns, latest_ns)
    if since_anchor_ns is None:
        return began_ns, latest_ns
    drifted = round(abs(since_anchor_ns) * DRIFT)
    low = max(began_ns, anchor_low_ns + since_anchor_ns - drifted)
    high = min(latest_ns, anchor_high_ns + since_anchor_ns + drifted)
    return (low, high) if low <= high else (began_ns, latest_ns)


class CudaTimer:
    """Times a stage's work on one stream, or on whichever is current: a ``GpuTimer``."""

    def __init__(self, pairs: EventPairs, stream: object, lose: Lose) -> None:
        """``stream`` as in ``cuda_streams.follow``; ``lose`` counts, by reason, what is not timed."""
        self._pairs = pairs
        self._stream = follow(stream)
        self._lose = lose

    def begin(self) -> int:
        try:
            stream = self._stream()
        except Exception:  # of the package whose stream it is
            self._lose("gpu_stream_unknown")
            return NOT_TIMED
        return self._pairs.begin(stream, self._lose)

    def end(self, token: int) -> None:
        self._pairs.end(token)

    def collect(self) -> list[GpuWork]:
        """All stages' finished work: they share their pairs."""
        return self._pairs.collect()


_pairs: EventPairs | None = None
_told = _said = False
_lock = threading.RLock()


def timer(stream: object, lose: Lose, canary: bool = False, cupti: bool = False) -> CudaTimer | None:
    """A timer for a stage; None where there is no CUDA driver, which is logged once.

    ``canary``: from now on, launch one in every context with GPU stages. ``cupti``: and have bursts. Raises
    ``TypeError`` for what is no stream.
    """
    global _pairs, _told
    with _lock:
        if _pairs is None:
            try:
                _pairs = EventPairs(Driver())
            except NoCudaError as error:
                follow(stream)  # a mistake shows also where there is no GPU
                if not _told:
                    _told = True
                    _log.warning("framescope: GPU stages are recorded by host time alone: %s", error)
                return None
        _pairs.with_canary = _pairs.with_canary or canary
        if cupti and _pairs.bursts is None:
            _pairs.bursts = _bursts(lose)
    return CudaTimer(_pairs, stream, lose)


def _bursts(lose: Lose) -> Bursts | None:
    global _said
    try:
        return Bursts(importlib.import_module("cupti.cupti"), time.monotonic_ns, lose)
    except Exception as error:  # not installed, or without its library
        if not _said:
            _said = True
            _log.warning(
                "framescope: no bursts of CUPTI, GPU time is by event pairs alone; "
                "pip install 'framescope[cupti]' (%s)", error
            )  # fmt: skip
        return None


def take_canaries() -> list[CanaryReading]:
    """What the canaries of this process told since the last call."""
    return [] if _pairs is None else _pairs.take_canaries()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    if _pairs is not None:
        _pairs.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
