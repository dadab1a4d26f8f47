"""Real disturbances of fixed strength, when each was on, and what it took: the truth to judge verdicts by."""

from __future__ import annotations

import gc
import itertools
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

import cv2
import psutil

import framescope
from framescope.probes.software_accelerator import Status, StatusFile
from ultrasound import children, cine
from ultrasound.accelerator_client import AcceleratorAway, AcceleratorClient
from ultrasound.cine import Cine
from ultrasound.jpeg import Image
from ultrasound.neighbours import CLIENT_NAME, CLIENT_SCALE
from ultrasound.pipeline import Load

CALM_SECONDS = 10.0
ON_SECONDS = 4.0
GAP_SECONDS = 2.0

Measures = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a disturbance may lay hands on."""

    load: Load
    cine: Cine
    socket: Path
    status_page: Path
    directory: Path


class Disturbance(Protocol):
    """One disturbance: ``start`` and ``stop`` may be called again and again; ``stop`` tells what it took."""

    @property
    def name(self) -> str: ...
    @property
    def expected(self) -> str:
        """The cause a verdict should name."""
        ...

    @property
    def text(self) -> str: ...
    @property
    def strength(self) -> Measures: ...
    def start(self) -> None: ...
    def stop(self) -> Measures: ...
    def close(self) -> None: ...


class _Timed:
    """Counts the calls of some real work and the time they took, on the thread that does them.

    A call under way counts as far as it has got: one that hangs beyond the end of its turn took that, too.
    """

    def __init__(self, work: Callable[[Any], object]) -> None:
        self._work = work
        self._calls = 0
        self._so_far: tuple[float, float | None] = (0.0, None)  # s of calls that ended; when one began

    def __call__(self, on: object) -> None:
        began, ended = time.perf_counter(), self._so_far[0]
        self._calls += 1
        self._so_far = ended, began
        self._work(on)
        self._so_far = ended + time.perf_counter() - began, None

    def measures(self) -> dict[str, float | int | str]:
        ended, began = self._so_far
        under_way = 0.0 if began is None else time.perf_counter() - began
        return {"frames": self._calls, "seconds": round(ended + under_way, 6)}


class GpuClient:
    """Another process keeps the accelerator busy with kernels of its own."""

    name, expected = "gpu_client", "gpu_contention"
    text = f"another accelerator client ({CLIENT_NAME})"

    def __init__(self, around: Surroundings) -> None:
        self.strength = {"clients": 1, "pixels_ratio": round(CLIENT_SCALE**2, 2)}
        self._page = StatusFile(around.status_page)
        self._arguments = ("client", "--socket", str(around.socket))
        self._child = _spawn(*self._arguments)
        self._before = 0

    def start(self) -> None:
        if self._child.poll() is not None:
            self._child = _spawn(*self._arguments)
        self._before = self._busy_ns()
        _tell(self._child, "go")

    def stop(self) -> Measures:
        _tell(self._child, "halt")
        time.sleep(0.05)  # its last kernel, and the page's next beat
        busy = max(0, self._busy_ns() - self._before)
        return {"pid": self._child.pid, "accelerator_busy_seconds": round(busy / 1e9, 6)}

    def close(self) -> None:
        children.stop(self._child)
        self._page.close()

    def _busy_ns(self) -> int:
        status = self._page.read()
        return sum(c.busy_ns for c in status.clients if c.pid == self._child.pid) if status else 0


class GpuClock:
    """The accelerator's clock is held back."""

    name, expected, text = "gpu_clock", "gpu_throttle", "accelerator clocked down"
    RATIO = 0.28

    def __init__(self, around: Surroundings) -> None:
        self.strength = {"clock_ratio": self.RATIO}
        self._page = StatusFile(around.status_page)
        self._control = AcceleratorClient(around.socket, "clock-control", max_pixels=1)
        self._before: Status | None = None

    def start(self) -> None:
        self._before = self._page.read()
        self._control.set_clock(self.RATIO)

    def stop(self) -> Measures:
        self._control.set_clock(1.0)
        time.sleep(0.05)
        before, after = self._before, self._page.read()
        if before is None or after is None or before.pid != after.pid:
            return {}
        return {
            "gated_seconds": round((after.gated_ns - before.gated_ns) / 1e9, 6),
            "busy_seconds": round((after.busy_ns - before.busy_ns) / 1e9, 6),
        }

    def close(self) -> None:
        self._control.close()
        self._page.close()


class HeavyImage:
    """The scanner delivers a finer grid: most of the extra work is the pipeline's own kernels."""

    name, expected, text = "heavy_image", "gpu_work", "larger images"
    FACTOR = 2.1

    def __init__(self, around: Surroundings) -> None:
        self.strength = {"pixels_ratio": round(self.FACTOR**2, 2)}
        self._load = around.load
        self._large = cine.enlarged(around.cine, self.FACTOR)

    def start(self) -> None:
        self._load.cine = self._large

    def stop(self) -> Measures:
        self._load.cine = None
        return {"width": self._large.width, "height": self._large.height}

    def close(self) -> None: ...


class CpuHogs:
    """Other processes want every core."""

    name, expected, text = "cpu_hogs", "cpu_contention", "CPU-hungry neighbour processes"

    def __init__(self, around: Surroundings) -> None:
        count = 3 * len(os.sched_getaffinity(0))
        self.strength = {"processes": count}
        self._children = [_spawn("hog") for _ in range(count)]
        self._before = 0.0

    def start(self) -> None:
        self._children = [c if c.poll() is None else _spawn("hog") for c in self._children]
        self._before = self._cpu_seconds()
        for child in self._children:
            _tell(child, "go")

    def stop(self) -> Measures:
        for child in self._children:
            _tell(child, "halt")
        return {"cpu_seconds": round(self._cpu_seconds() - self._before, 3)}

    def close(self) -> None:
        for child in self._children:
            children.stop(child)

    def _cpu_seconds(self) -> float:
        total = 0.0
        for child in self._children:
            try:
                times = psutil.Process(child.pid).cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
        return total


class GcStorm:
    """A large heap, some cyclic garbage and a full collection in every frame."""

    name, expected, text = "gc_storm", "gc_pause", "garbage-collection storm"
    LIVE, GARBAGE = 220_000, 2_000

    def __init__(self, around: Surroundings) -> None:
        self.strength = {"live_objects": self.LIVE, "garbage_objects_per_frame": self.GARBAGE}
        self._load = around.load
        self._heap: list[list[object]] = []
        self._timed = _Timed(self._collect)

    def start(self) -> None:
        self._heap = [[None] for _ in range(self.LIVE)]
        self._timed = _Timed(self._collect)
        self._load.in_overlay = self._timed

    def stop(self) -> Measures:
        self._load.in_overlay = None
        self._heap = []
        return self._timed.measures()

    def close(self) -> None: ...

    def _collect(self, _: Image) -> None:
        garbage: list[list[object]] = [[] for _ in range(self.GARBAGE)]
        for one in garbage:
            one.append(one)
        del garbage, one
        gc.collect()


class SlowWrite:
    """Every picture is appended to a journal and synchronized, again and again until 12 ms have passed."""

    name, expected, text = "slow_write", "io_wait", "slow synchronous writes"
    SECONDS = 0.012

    def __init__(self, around: Surroundings) -> None:
        self.strength = {"seconds_per_frame": self.SECONDS}
        self._load = around.load
        self._directory = around.directory
        self._file: int | None = None
        self._writes = 0
        self._timed = _Timed(self._write)

    def start(self) -> None:
        self.close()
        self._file, path = tempfile.mkstemp(prefix="slow-write-", dir=self._directory)
        Path(path).unlink()  # it goes with its descriptor, however this process ends
        self._writes = 0
        self._timed = _Timed(self._write)
        self._load.in_encode = self._timed

    def stop(self) -> Measures:
        self._load.in_encode = None
        return {**self._timed.measures(), "writes": self._writes}

    def close(self) -> None:
        # Not in stop: the frame under way may still be writing.
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, picture: bytes) -> None:
        if self._file is None:
            return
        began = time.perf_counter()
        while True:
            os.write(self._file, picture)
            os.fsync(self._file)
            self._writes += 1
            if time.perf_counter() - began >= self.SECONDS:
                break


class LateSource:
    """The scanner delivers every image late."""

    name, expected, text = "late_source", "late_input", "late source"
    SECONDS = 0.014

    def __init__(self, around: Surroundings) -> None:
        self.strength = {"seconds_per_frame": self.SECONDS}
        self._load = around.load

    def start(self) -> None:
        self._load.source_delay = self.SECONDS

    def stop(self) -> Measures:
        self._load.source_delay = 0.0
        return {}

    def close(self) -> None: ...


class SlowConsumer:
    """The consumer archives every picture without loss before it takes the next: its queue fills up."""

    name, expected, text = "slow_consumer", "queue_wait", "slow consumer"
    PICTURES = 3

    def __init__(self, around: Surroundings) -> None:
        self.strength = {"archived_per_frame": self.PICTURES}
        self._load = around.load
        self._timed = _Timed(self._archive)

    def start(self) -> None:
        self._timed = _Timed(self._archive)
        self._load.after_frame = self._timed

    def stop(self) -> Measures:
        self._load.after_frame = None
        return self._timed.measures()

    def close(self) -> None: ...

    def _archive(self, image: Image) -> None:
        for _ in range(self.PICTURES):
            cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 6])


class HeavyHost:
    """The host's own overlay does more: it sharpens the picture by a costly filter."""

    name, expected, text = "heavy_host", "cpu_work", "heavier work of the host's own"
    SHARE = 0.6

    def __init__(self, around: Surroundings) -> None:
        self.strength = {"denoised_share": self.SHARE}
        self._load = around.load
        self._timed = _Timed(self._filter)

    def start(self) -> None:
        self._timed = _Timed(self._filter)
        self._load.in_overlay = self._timed

    def stop(self) -> Measures:
        self._load.in_overlay = None
        return self._timed.measures()

    def close(self) -> None: ...

    def _filter(self, image: Image) -> None:
        part = image[: round(image.shape[0] * self.SHARE), :, 0]
        part[:] = cv2.fastNlMeansDenoising(part.copy(), None, 8, 3, 9)


KINDS: dict[str, Callable[[Surroundings], Disturbance]] = {
    "gpu_client": GpuClient,
    "gpu_clock": GpuClock,
    "heavy_image": HeavyImage,
    "cpu_hogs": CpuHogs,
    "gc_storm": GcStorm,
    "slow_write": SlowWrite,
    "late_source": LateSource,
    "slow_consumer": SlowConsumer,
    "heavy_host": HeavyHost,
}
DEFAULT = tuple(name for name in KINDS if name != "heavy_host")


# -- when ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """One disturbance from ``start`` for ``length``, s since the programme began."""

    name: str
    start: float
    length: float


@dataclass(frozen=True, slots=True)
class Programme:
    """Turns in order; with ``cycle`` they come again, each time so many s later."""

    turns: Sequence[Turn]
    cycle: float | None = None

    def names(self) -> list[str]:
        return list(dict.fromkeys(turn.name for turn in self.turns))


class BadProgramme(ValueError):
    """What was asked for is no programme; the message says what would be."""


def chosen(text: str) -> list[str]:
    """``all``, ``default``, ``none`` or names with commas between them. Raises ``BadProgramme``."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == ["none"]:
        return []
    if words == ["all"]:
        return list(KINDS)
    if words == ["default"]:
        return list(DEFAULT)
    unknown = [word for word in words if word not in KINDS]
    if unknown or not words:
        what = f"{unknown[0]!r} is no disturbance" if unknown else "no disturbance named"
        raise BadProgramme(f"{what}: choose from {', '.join(KINDS)}, or all, default, none")
    return words


def regular(names: Sequence[str]) -> Programme:
    """Calm first, then one after the other with calm gaps, round and round."""
    step = ON_SECONDS + GAP_SECONDS
    turns = [Turn(name, CALM_SECONDS + i * step, ON_SECONDS) for i, name in enumerate(names)]
    return Programme(turns, step * len(turns) if turns else None)


def parse(text: str) -> Programme:
    """``name@start+length,…`` in s, such as ``gpu_client@12+4,gc_storm@18+4.5``. Raises ``BadProgramme``."""
    turns = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"(\w+)@(\d+(?:\.\d+)?)\+(\d+(?:\.\d+)?)", word)
        if found is None:
            raise BadProgramme(f"{word!r} is not name@start+length in seconds, such as gpu_client@12+4")
        name, start, length = found[1], float(found[2]), float(found[3])
        if name not in KINDS:
            raise BadProgramme(f"{name!r} is no disturbance: choose from {', '.join(KINDS)}")
        if length <= 0:
            raise BadProgramme(f"{word!r} lasts no time")
        turns.append(Turn(name, start, length))
    turns.sort(key=lambda turn: turn.start)
    for one, other in itertools.pairwise(turns):
        if one.start + one.length > other.start:
            raise BadProgramme(f"{one.name} and {other.name} overlap: the truth would be ambiguous")
    return Programme(turns)


# -- doing it -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Director:
    """Runs a programme on a thread of its own and writes the truth log, a JSON line for each turn."""

    programme: Programme
    disturbances: Mapping[str, Disturbance]
    pipeline: framescope.Pipeline
    truth: TextIO | None
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        began = time.monotonic()
        shift = 0.0
        while self.programme.turns and not self.stopping.is_set():
            for turn in self.programme.turns:
                if self.stopping.wait(max(0.0, began + shift + turn.start - time.monotonic())):
                    return
                self._play(self.disturbances[turn.name], turn.length)
            if self.programme.cycle is None:
                return
            shift += self.programme.cycle

    def _play(self, disturbance: Disturbance, length: float) -> None:
        try:
            disturbance.start()
        except AcceleratorAway:
            return  # nothing was disturbed, so there is nothing to tell
        start_ns, start_unix_ns = time.monotonic_ns(), time.time_ns()
        self.pipeline.mark(f"disturbance: {disturbance.text}")
        self.stopping.wait(length)
        end_ns, end_unix_ns = time.monotonic_ns(), time.time_ns()
        try:
            took = disturbance.stop()
        except AcceleratorAway as error:
            took = {"note": str(error)}
        self.pipeline.mark(f"over: {disturbance.text}")
        self._write(
            {
                "name": disturbance.name,
                "expected": disturbance.expected,
                "start_monotonic_ns": start_ns,
                "end_monotonic_ns": end_ns,
                "start_unix_ns": start_unix_ns,
                "end_unix_ns": end_unix_ns,
                "strength": dict(disturbance.strength),
                "took": dict(took),
            }
        )

    def _write(self, line: dict[str, object]) -> None:
        if self.truth is not None:
            self.truth.write(json.dumps(line) + "\n")
            self.truth.flush()


def _spawn(*arguments: str) -> subprocess.Popen[bytes]:
    return children.start("ultrasound.neighbours", *arguments)


def _tell(child: subprocess.Popen[bytes], order: str) -> None:
    if child.stdin is not None and child.poll() is None:
        try:
            child.stdin.write(order.encode() + b"\n")
            child.stdin.flush()
        except OSError:
            return  # it just died; the next start replaces it
