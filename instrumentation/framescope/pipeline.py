"""The front door: a pipeline, its frames and stages, as a user writes them."""

from __future__ import annotations

import atexit
import itertools
import logging
import math
import os
import sys
import threading
import uuid
import weakref
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from framescope.agent.lifecycle import AgentLink, cannot_start
from framescope.config import ConfigError, EmitterSettings, emitter_settings, read_text
from framescope.probes import cuda, scheduler
from framescope.probes.device import GpuTimer
from framescope.probes.gc import CollectionProbe
from framescope.recorder.decoration import Function, as_frames
from framescope.recorder.faults import Faults, hosts_own
from framescope.recorder.frame import NO_FRAME, Frame, words
from framescope.recorder.pipeline import Recorder, TooManyStages
from framescope.recorder.queue import Policy
from framescope.recorder.queue import Queue as RecordedQueue
from framescope.recorder.shipper import Link, Shipper
from framescope.recorder.stage import NoStage, Stage
from framescope.recorder.trace_context import FrameLogFilter
from framescope.recorder.witnesses import GPU_CANARY, SYSTEM_CALLS, Witnesses

Item = TypeVar("Item")
_DEFAULTS = EmitterSettings(
    True, "process", 50.0, 100, frozenset({"gpu", "host", "pressure", "scheduler", "gc", "gil"})
)


def settings_in(environment: Mapping[str, str]) -> EmitterSettings:
    """The emitter's settings. A configuration that cannot be used is logged; the host goes on without it."""
    try:
        return emitter_settings(environment, read_text)
    except ConfigError as error:
        logging.getLogger("framescope").warning("framescope: configuration not used: %s", error)
        return _DEFAULTS


_OFF = frozenset({"0", "false", "no", "off"})


def enabled_by(environment: Mapping[str, str]) -> bool:
    """Whether recording is on: ``FRAMESCOPE_ENABLED``, its alias ``KPI_LOGGING``, ``OTEL_SDK_DISABLED``.

    Off is off, whatever else in the configuration cannot be used.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    for name in ("FRAMESCOPE_ENABLED", "KPI_LOGGING"):
        value = environment.get(name, "").strip().lower()
        if value:
            return value not in _OFF
    return settings_in(environment).enabled


def _thread_link() -> Link:
    # The agent's thread brings OpenTelemetry into the host; a helper process keeps it out.
    from framescope.agent.on_thread import ThreadLink

    link = ThreadLink()
    link.revive()  # now: a host of few frames is ending when they are shipped, and no thread starts then
    return link


AT_EXIT_S = 1.0
"""How long an ending host waits for its agent. The agent goes on without it, sending what is left for up
to 5 s; only a container that ends with its first process needs an explicit ``pipeline.close()``."""


class _Process:
    """What all pipelines of this process share: one link, one shipper, one collector probe."""

    def __init__(self, link: Link | None = None) -> None:
        settings = settings_in(os.environ)
        self.instance = str(uuid.uuid4())  # two processes with one identity corrupt counters
        self.baseline_every = settings.baseline
        self.times_gpu = "gpu" in settings.probes
        self.gpu_canary = GPU_CANARY in settings.probes
        self.gpu_bursts = "cupti" in settings.probes
        self.faults = Faults()
        self.collections = CollectionProbe()
        if "gc" in settings.probes:
            self.collections.install()
        self.scheduler = scheduler.reader() if "scheduler" in settings.probes else scheduler.nothing
        obstacle = cannot_start() if settings.agent == "process" else ""
        apart = settings.agent == "process" and not obstacle
        if obstacle:
            logging.getLogger("framescope").info("framescope: the agent is a thread: %s", obstacle)
        # An agent that is a thread of this process needs the interpreter lock to look at who waits for it.
        probes = settings.probes if apart else settings.probes - {SYSTEM_CALLS}
        if probes != settings.probes:
            logging.getLogger("framescope").warning(
                "framescope: emitter.probes.system_calls needs an agent that is a process of its own "
                "(emitter.agent: process); it is off"
            )
        self.witnesses = Witnesses(probes, self.faults, self.scheduler)
        if link is None:
            link = AgentLink(started=self.witnesses.consent) if apart else _thread_link()
        self.shipper = Shipper(link, self.instance, self.collections, self.faults, witnesses=self.witnesses)
        try:
            self.witnesses.install()
        except RuntimeError:  # no more threads
            self.faults.note("witnesses.install")

    def close(self, timeout: float) -> None:
        self.witnesses.remove()
        self.shipper.close(timeout)
        self.collections.remove()  # last: what is shipped until then says that somebody listens


_process: _Process | None = None
_stand_in: _Process | None = None
_lock = threading.RLock()
"""A frame may end in a finaliser, or in a signal handler, while its own thread is at it."""
_numbers = itertools.count()
_alive: weakref.WeakSet[Pipeline] = weakref.WeakSet()


def _shared() -> _Process:
    global _process
    with _lock:
        if _stand_in is not None:
            return _stand_in
        if _process is None:
            _process = _Process()
            atexit.register(_close_shared, AT_EXIT_S)
            _close_at_a_workers_end()
        return _process


def _close_at_a_workers_end() -> None:
    """A worker that ``multiprocessing`` forked leaves without Python's own exit: it has functions of its own
    to call at the end (``multiprocessing.process.BaseProcess._bootstrap``)."""
    workers: Any = sys.modules.get("multiprocessing.util")
    processes: Any = sys.modules.get("multiprocessing.process")
    if workers is not None and processes is not None and processes.parent_process() is not None:
        workers.Finalize(None, _close_shared, (AT_EXIT_S,), exitpriority=-1)


def _close_shared(timeout: float = 5.0) -> None:
    global _process
    with _lock:
        closing, _process = _process, None
    if closing is not None:
        atexit.unregister(_close_shared)
        closing.close(timeout)


def record_by(process: _Process | None) -> None:
    """Have the pipelines of this process recorded by ``process``, those there are and those to come.

    None: by one of their own again, made when the next frame ends. The agent there was is ended.
    """
    global _stand_in
    with _lock:
        _stand_in = process
    _close_shared(AT_EXIT_S)
    for pipeline in list(_alive):
        if pipeline._given_process is None:
            pipeline._attach_later() if process is None else pipeline._attach()


def _after_fork() -> None:
    """A child is a process of its own: a fresh identity, a fresh agent, and nothing of its parent's."""
    global _process, _lock
    _lock = threading.RLock()
    if _process is None:
        return
    _process.collections.remove()
    _process = None
    for pipeline in list(_alive):
        pipeline._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _check(name: str, target_fps: float | None, budget_ms: float | None) -> None:
    if not name or not isinstance(name, str):
        raise ValueError("a pipeline needs a name, such as Pipeline('ultrasound')")
    if words(name, 200) != name:
        raise ValueError("a pipeline's name is text that UTF-8 can hold, of at most 200 characters")
    for what, value in (("target_fps", target_fps), ("budget_ms", budget_ms)):
        if value is not None and not value > 0:
            raise ValueError(f"{what} must be more than 0, not {value!r}")


class Pipeline:
    """A pipeline whose every frame is recorded.

    ``target_fps`` gives the period frames are expected at; ``budget_ms`` how long one may take from
    its capture to its end. Without a budget the period is the budget as long as frames stay on one
    thread; where they cross threads it is learned from the first frames, and the page says so.

    ``OTEL_EXPORTER_OTLP_ENDPOINT`` and the other ``OTEL_*`` variables say where to. ``enabled=False``
    or ``FRAMESCOPE_ENABLED=0`` makes every call a no-op. Nothing here raises into a frame; wrong
    arguments to this constructor raise ``ValueError``.
    """

    def __new__(cls, *args: Any, enabled: bool | None = None, **kwargs: Any) -> Pipeline:
        on = enabled_by(os.environ) if enabled is None else enabled
        if on or issubclass(cls, OffPipeline):
            return object.__new__(cls)
        # A subclass of the user's is switched off too, keeping what it adds.
        off = OffPipeline if cls is Pipeline else type(cls.__name__, (cls, OffPipeline), {})
        return object.__new__(off)

    def __init__(
        self,
        name: str,
        target_fps: float | None = None,
        budget_ms: float | None = None,
        *,
        enabled: bool | None = None,
        process: _Process | None = None,
    ) -> None:
        _check(name, target_fps, budget_ms)
        self.name = name
        self._given_process = process or _stand_in  # it stays with a stand-in, also afterwards
        self._recorder = Recorder(
            next(_numbers),
            name,
            None if budget_ms is None else round(budget_ms * 1e6),
            None if target_fps is None else round(1e9 / target_fps),
        )
        self._shipper: Shipper | None = None
        self._attach()
        _alive.add(self)

    def _after_fork(self) -> None:
        """In a child: nothing of the parent's, and no agent before this child records a frame."""
        self._recorder.forget()
        self._attach_later()

    def _attach_later(self) -> None:
        """Attach, and start what that takes, when the next frame ends."""
        recorder = self._recorder
        self._shipper = None

        def first(record: tuple[Any, ...]) -> None:
            self._attach()
            recorder.deliver(record)

        recorder.deliver = first  # type: ignore[method-assign]

    def _attach(self) -> None:
        shared = self._given_process or _shared()
        self._recorder.__dict__.pop("deliver", None)  # it need not wait for the next frame any more
        self._recorder.scheduler = shared.scheduler
        self._recorder.faults = shared.faults
        self._recorder.baseline_every = getattr(shared, "baseline_every", 0)
        self._times_gpu = getattr(shared, "times_gpu", True)
        self._gpu_canary = getattr(shared, "gpu_canary", False)
        self._gpu_bursts = getattr(shared, "gpu_bursts", False)
        self._shipper = shared.shipper
        shared.shipper.add(self._recorder)
        witnesses: Witnesses | None = getattr(shared, "witnesses", None)
        if witnesses is not None:
            witnesses.watch(self._recorder)

    # -- frames -----------------------------------------------------------------------------------------

    def frame(
        self,
        captured_at: float | None = None,
        sequence: int | None = None,
        *,
        captured_at_ns: int | None = None,
        **attributes: object,
    ) -> Frame:
        """A frame for ``with``, on this thread. ``captured_at``: unix s; ``captured_at_ns``: monotonic ns."""
        recorder = self._recorder
        try:
            if captured_at is None and captured_at_ns is None and sequence is None:
                # The usual case, without the call that checks what was given: a twentieth of a frame's cost.
                return Frame(recorder, recorder.next_number(), None, None, attributes)
            if captured_at is not None:
                try:
                    captured_at_ns = recorder.clock() + round(captured_at * 1e9) - recorder.wall()
                except Exception:  # text, NaN, infinity, another library's time
                    recorder.lose("captured_at_not_a_time")
            return recorder.begin(sequence, captured_at_ns, attributes or None)
        except Exception as error:  # no memory, no stack left
            if hosts_own(error):
                raise
            recorder.lose("fault")
            recorder.faults.note("frame.begin")
            return cast("Frame", NO_FRAME)

    begin = frame
    """The same, for a frame that is carried across threads and ended by ``end``, ``drop`` or ``fail``."""

    def framed(self, function: Function) -> Function:
        """As a decorator: every call of ``function``, or every task of a coroutine function, is a frame."""
        return as_frames(function, self.frame)

    def resume(self, header: bytes) -> Frame:
        """Take up a frame that another process handed on by ``frame.carry()``: this one ends it, drops it, or
        carries it further. The way between the two is the stage ``carried``."""
        return self._recorder.resume(header)

    def log_filter(self) -> logging.Filter:
        """A filter for your log handlers: each record gets the ``trace_id`` and ``span_id`` of the frame in
        whose ``with`` block it was written, empty outside one."""
        return FrameLogFilter(self._recorder)

    # -- what frames go through ---------------------------------------------------------------------------

    def stage(self, name: str, kind: str = "cpu") -> Stage:
        """A stage; ``kind`` is ``cpu``, ``gpu`` or ``io``.

        A pipeline has at most 256; beyond them a stage records nothing and is counted as ``stage_names``.
        """
        if kind not in ("cpu", "gpu", "io"):
            raise ValueError(f"stage kind {kind!r} is none of cpu, gpu, io")
        try:
            return self._recorder.stage(name, kind)
        except TooManyStages:  # names made up as frames go by: no reason to raise into one of them
            self._recorder.lose("stage_names")
            return cast("Stage", NoStage(name, kind))

    def stages(self, *names: str) -> tuple[Stage, ...]:
        """Several host stages at once, in order."""
        return tuple(self.stage(name) for name in names)

    def gpu_stage(self, name: str, timer: GpuTimer | None = None, *, stream: object = None) -> Stage:
        """A stage that launches GPU work, and whose work is timed on the GPU without waiting for it.

        ``stream`` is the CUDA stream the work goes to: one of torch, CuPy, cuda-core or Numba, its handle as
        a number, or a function that answers either, asked each time the stage is entered. Without one it is
        the stream that is current then: torch's where torch uses CUDA, else CuPy's, else the default stream.
        ``timer`` stands in for CUDA: a ``framescope.probes.device.GpuTimer`` for an accelerator of your own.
        Both count when the stage is made, by the first call with its name.

        Where there is no CUDA driver the stage is recorded by host time alone, which is logged once. Raises
        ``TypeError`` for what is no stream.
        """
        if timer is None and self._times_gpu:
            timer = cuda.timer(stream, self._recorder.lose, self._gpu_canary, self._gpu_bursts)
        try:
            return self._recorder.stage(name, "gpu", timer)
        except TooManyStages:
            self._recorder.lose("stage_names")
            return cast("Stage", NoStage(name, "gpu"))

    def queue(self, name: str, capacity: int, policy: Policy = "block") -> RecordedQueue[Any]:
        """A bounded queue between two threads of this pipeline."""
        return self._recorder.queue(name, capacity, policy)

    def watch_queue(self, queue: object, name: str) -> None:
        """Tell the depth of a queue of your own under ``name``, and what else can be seen from outside.

        Of a ``queue.Queue`` or ``asyncio.Queue``: each item's wait, the time producers were held, what was
        refused because it was full. Of a ``multiprocessing.Queue``: depth, held time, refusals on this
        side. Of a ``deque``: depth alone. Where frames themselves go through a queue, ``framescope.Queue``
        tells more: it knows which frame waited.
        """
        try:
            self._recorder.watch(queue, words(name, 64))
        except Exception:
            self._recorder.faults.note("watch_queue")

    # -- beside the frames ----------------------------------------------------------------------------------

    def gauge(self, name: str, value: float) -> None:
        """Report one number of your own; it shows on the Live page and in the API under its name."""
        try:
            number = float(value)
        except Exception:  # it is none, or its own conversion raised
            number = math.nan
        if math.isfinite(number):
            self._recorder.gauge(words(name, 64), number)
        else:
            self._recorder.lose("gauge_not_a_number")

    def count(self, name: str, amount: float = 1) -> None:
        """Count something of your own, ``amount`` more of it; it shows on the Live page and in the API as so
        many a minute. It only grows: less than 0 is counted as ``count_not_a_number``."""
        try:
            number = float(amount)
        except Exception:  # it is none, or its own conversion raised
            number = math.nan
        if math.isfinite(number) and number >= 0:
            self._recorder.count(words(name, 64), number)
        else:
            self._recorder.lose("count_not_a_number")

    def mark(self, text: str) -> None:
        """Mark a change on every chart: ``pipeline.mark("deployed 1.4")``."""
        self._recorder.mark(words(text, 200))

    def keep_last(self, seconds: float = 5.0, why: str = "") -> None:
        """Keep every frame of the last ``seconds`` whole, slow or not, and mark the moment with ``why``.

        The agent remembers the newest 600 frames of a pipeline that were not kept anyway.
        """
        try:
            back_ns = round(float(seconds) * 1e9)
        except Exception:  # text, NaN, infinity
            self._recorder.lose("keep_last_not_a_time")
            return
        self._recorder.recall(back_ns, words(why, 200))

    def watch_device(self, path: str | os.PathLike[str]) -> None:
        """Have the agent read a software accelerator's status page at ``path``."""
        if self._shipper is not None:
            self._shipper.watch_device(os.fspath(path))

    def close(self, timeout: float = 5.0) -> None:
        """Send what is left. The last pipeline to close ends the agent; exit does it too."""
        _alive.discard(self)
        self._recorder.deliver = self._after_close  # type: ignore[method-assign]
        if self._given_process is not None:
            self._given_process.close(timeout)
        elif not any(pipeline._given_process is None for pipeline in _alive):
            _close_shared(timeout)
        elif self._shipper is not None:
            self._shipper.retire(self._recorder)

    def _after_close(self, record: tuple[Any, ...]) -> None:
        self._recorder.lose("after_close")


class OffPipeline(Pipeline):
    """A pipeline that records nothing; chosen when it is made, so that a frame has no test for it."""

    def __init__(
        self,
        name: str,
        target_fps: float | None = None,
        budget_ms: float | None = None,
        *,
        enabled: bool | None = None,
        process: _Process | None = None,
    ) -> None:
        _check(name, target_fps, budget_ms)  # a mistake shows also where recording is off
        self.name = name
        self._given_process = None
        self._shipper = None
        self._recorder = Recorder(-1, name)

    def _attach(self) -> None: ...

    def frame(self, *args: object, **kwargs: object) -> Frame:
        return cast("Frame", NO_FRAME)

    begin = frame

    def resume(self, header: bytes) -> Frame:
        return cast("Frame", NO_FRAME)

    def framed(self, function: Function) -> Function:
        return function

    def stage(self, name: str, kind: str = "cpu") -> Stage:
        return cast("Stage", NoStage(name, kind))

    def gpu_stage(self, name: str, timer: GpuTimer | None = None, *, stream: object = None) -> Stage:
        return cast("Stage", NoStage(name, "gpu"))

    def watch_queue(self, queue: object, name: str) -> None: ...
    def gauge(self, name: str, value: float) -> None: ...
    def count(self, name: str, amount: float = 1) -> None: ...
    def mark(self, text: str) -> None: ...
    def keep_last(self, seconds: float = 5.0, why: str = "") -> None: ...
    def close(self, timeout: float = 5.0) -> None: ...


def Queue(pipeline: Pipeline, name: str, capacity: int, policy: Policy = "block") -> RecordedQueue[Any]:
    """A bounded queue between two threads of a pipeline; see ``recorder.queue.Queue``."""
    return pipeline.queue(name, capacity, policy)
