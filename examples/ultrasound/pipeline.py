"""The host: source → RT → GPU → OUT, a thread each with a bounded queue before it.

RT decodes, GPU has the accelerator reduce the speckle and find the dark region, OUT draws it into the
picture and encodes it. A frame's latency counts from when the scanner was due to deliver it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np

import framescope
from framescope.probes.device import GpuTimer
from ultrasound import jpeg
from ultrasound.cine import Cine
from ultrasound.jpeg import Image
from ultrasound.latencies import Latencies

QUEUE_CAPACITY = 4
_POLL = 0.2
_OUTLINE = (80, 220, 255)


class Accelerator(Protocol):
    """What the GPU thread needs: something that runs kernels on grey images."""

    def run(self, kernel: str, image: Image) -> Image: ...


class TimedAccelerator(Accelerator, GpuTimer, Protocol):
    """An accelerator that also times the work it is given."""


@dataclass(slots=True)
class Load:
    """What a disturbance changes in the host while it lasts. ``None`` and 0 mean undisturbed."""

    source_delay: float = 0.0
    """s by which the source delivers late."""
    cine: Cine | None = None
    """A loop of larger images in place of the usual one."""
    in_overlay: Callable[[Image], None] | None = None
    in_encode: Callable[[bytes], None] | None = None
    after_frame: Callable[[Image], None] | None = None
    """The consumer's own work on a picture after the frame was delivered, before it takes the next."""


@dataclass(slots=True)
class Counts:
    """The example's own book of its frames, kept apart from what framescope counts."""

    offered: int = 0
    finished: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Work:
    """One frame's pixels on their way."""

    due_ns: int
    fragment: bytes
    image: Image | None = None
    mask: Image | None = None


class Host:
    """The running pipeline. ``start``, then ``stop``; ``join`` waits for the frames under way."""

    def __init__(
        self,
        loop: Cine,
        accelerator: TimedAccelerator,
        pipeline: framescope.Pipeline,
        *,
        fps: float,
        sink: Callable[[bytes], object],
        limit: int | None = None,
        budget_ns: int | None = None,
    ) -> None:
        """``limit``: end after so many frames. ``sink`` gets every encoded picture. A frame that took
        longer than ``budget_ns`` (the period, where not given) counts as slow."""
        self.load = Load()
        self.counts = Counts()
        self._cine = loop
        self._accelerator = accelerator
        self._pipeline = pipeline
        self._period_ns = round(1e9 / fps)
        self.latencies = Latencies(self._period_ns if budget_ns is None else budget_ns)
        self._sink = sink
        self._limit = limit
        self._decode, self._overlay, self._encode = pipeline.stages("decode", "overlay", "encode")
        self._despeckle = pipeline.gpu_stage("despeckle", timer=accelerator)
        self._segment = pipeline.gpu_stage("segment", timer=accelerator)
        self._rt = framescope.Queue(pipeline, "rt", capacity=QUEUE_CAPACITY, policy="reject")
        self._gpu = framescope.Queue(pipeline, "gpu", capacity=QUEUE_CAPACITY, policy="pop")
        self._out = framescope.Queue(pipeline, "out", capacity=QUEUE_CAPACITY, policy="pop")
        self._stopping = threading.Event()
        steps = (
            (self._source, "source"),
            (self._run_rt, "RT"),
            (self._run_gpu, "GPU"),
            (self._run_out, "OUT"),
        )
        self._threads = [threading.Thread(target=run, name=name, daemon=True) for run, name in steps]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No new frames; those under way are finished."""
        self._stopping.set()

    def join(self, timeout: float = 5.0) -> bool:
        """Wait for the threads to end; False where one did not in time."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for stage_queue in (self._rt, self._gpu, self._out):
            self.counts.dropped.update(stage_queue.dropped)
        return not any(thread.is_alive() for thread in self._threads)

    # -- the threads --------------------------------------------------------------------------------------

    def _source(self) -> None:
        due_ns = time.monotonic_ns()
        while not self._stopping.is_set() and self.counts.offered != self._limit:
            due_ns += self._period_ns
            arrives_ns = due_ns + round(self.load.source_delay * 1e9)
            wait = (arrives_ns - time.monotonic_ns()) / 1e9
            if wait > 0:
                time.sleep(wait)
            number = self.counts.offered
            loop = self.load.cine or self._cine
            frame = self._pipeline.begin(
                captured_at_ns=due_ns, sequence=number, width=loop.width, height=loop.height
            )
            self.counts.offered += 1
            self._rt.put(frame, Work(due_ns, loop.fragment(number)))
        self._stopping.set()

    def _run_rt(self) -> None:
        self._each(self._rt, self._threads[0], self._on_rt)

    def _run_gpu(self) -> None:
        self._each(self._gpu, self._threads[1], self._on_gpu)

    def _run_out(self) -> None:
        self._each(self._out, self._threads[2], self._on_out)

    def _each(
        self,
        source: Any,
        producer: threading.Thread,
        handle: Callable[[Any, Work], Callable[[], None] | None],
    ) -> None:
        """Handle what comes through a queue until its producer has ended and it is empty."""
        while True:
            try:
                frame, work = source.get(timeout=_POLL)
            except queue.Empty:
                if not producer.is_alive() and len(source) == 0:
                    return
                continue
            try:
                afterwards = handle(frame, work)
            except Exception as error:  # whatever befalls one frame, the next one is handled
                frame.fail(error)
                self.counts.failed[type(error).__name__] += 1
                continue
            del frame, work
            if afterwards is not None:
                afterwards()

    def _on_rt(self, frame: Any, work: Work) -> None:
        with frame.stage(self._decode):
            work.image = jpeg.decode(work.fragment)
        self._gpu.put(frame, work)

    def _on_gpu(self, frame: Any, work: Work) -> None:
        assert work.image is not None
        grey = np.asarray(cv2.cvtColor(work.image, cv2.COLOR_BGR2GRAY), np.uint8)
        with frame.stage(self._despeckle):
            clean = self._accelerator.run("despeckle", grey)
        with frame.stage(self._segment):
            work.mask = self._accelerator.run("segment", clean)
        self._out.put(frame, work)

    def _on_out(self, frame: Any, work: Work) -> Callable[[], None] | None:
        assert work.image is not None
        assert work.mask is not None
        with frame.stage(self._overlay):
            share = draw(work.image, work.mask)
            if (extra := self.load.in_overlay) is not None:
                extra(work.image)
        with frame.stage(self._encode):
            encoded = jpeg.encode(work.image)
            self._sink(encoded)
            if (write := self.load.in_encode) is not None:
                write(encoded)
        frame.end()
        self.counts.finished += 1
        self.latencies.add(time.monotonic_ns() - work.due_ns)
        if self.counts.finished % 30 == 0:
            self._pipeline.gauge("dark_area", share)
        image, after = work.image, self.load.after_frame
        return None if after is None else lambda: after(image)


def draw(image: Image, mask: Image) -> float:
    """Draw the dark region's outline and its share of the picture into ``image``; answers the share."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    tinted = image.copy()
    cv2.drawContours(tinted, outlines, -1, _OUTLINE, cv2.FILLED)
    cv2.addWeighted(tinted, 0.25, image, 0.75, 0, dst=image)
    cv2.drawContours(image, outlines, -1, _OUTLINE, 1, cv2.LINE_AA)
    share = cv2.countNonZero(mask) / mask.size
    place = (8, image.shape[0] - 24)
    cv2.putText(image, f"{share:.1%}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, _OUTLINE, 1, cv2.LINE_AA)
    return share
