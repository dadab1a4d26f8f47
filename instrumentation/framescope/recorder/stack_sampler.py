"""Where a thread is in its Python code while a stage takes longer than usual: opt-in.

A thread of the host looks, with ``sys._current_frames``, and not the agent from outside: reading another
process's interpreter needs the right to trace it, and to know each Python version's insides (a look by
py-spy 0.4 took 17 ms, one of these 0.1 ms). The price: while another thread holds the interpreter lock
nobody can look. Such a look comes late, and says so: it shows where the thread was once the lock was free.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Final

from framescope.probes.scheduler import Reading, nothing
from framescope.recorder.open_frames import OpenFrames

EVERY_S: Final = 0.01
"""A look at a frame costs 0.1 ms of CPU with all that has gone cold meanwhile: 1 % of a core at worst."""
LOOKS_A_FRAME: Final = 32
LINES: Final = 16
LINE_LENGTH: Final = 120
HELD: Final = 1024
"""Looks held for the shipper, at most 2 kB each."""
LATE_NS: Final = 1_000_000
STAGES: Final = 4096
TURNS: Final = 64
"""Turns of a stage that say what is usual."""
FRAMES_LEARNED: Final = 8
"""Frames of one batch that the sampler learns from."""
LONGER: Final = 1.25
"""A stage overruns from here on, times its usual; a quarter is beyond what it varies by itself."""
LEAST_NS: Final = 1_000_000
LATE_NOTE: Final = "(seen late: until then another thread held the interpreter lock)"

Look = tuple[int, int, str]
"""(thread, when, stack: a line a call, the innermost last)."""


def stack_of(frame: FrameType | None) -> str:
    """The calls under way, outermost first: ``file:line function`` each. At most 16, the innermost."""
    lines: list[str] = []
    while frame is not None and len(lines) < LINES:
        code = frame.f_code
        name = "/".join(code.co_filename.replace("\\", "/").split("/")[-2:])
        lines.append(f"{name}:{frame.f_lineno} {code.co_qualname}"[-LINE_LENGTH:])
        frame = frame.f_back
    return "\n".join(reversed(lines))


def open_stage(marks: Sequence[Any]) -> tuple[int, int] | None:
    """(stage index, since when) of the innermost stage that these marks say is under way."""
    left: list[int] = []
    newest = (len(marks) & ~1) - 2  # a pair is appended number by number
    for place in range(newest, max(-1, newest - 128), -2):
        what = marks[place]
        if type(what) is not int:
            continue
        if what < 0:
            left.append(~what)
        elif what in left:
            left.remove(what)
        else:
            return what, marks[place + 1]
    return None


class Usual:
    """What each stage usually takes: the median of its newest turns."""

    def __init__(self) -> None:
        self._turns: dict[tuple[int, int], deque[int]] = {}
        self._median: dict[tuple[int, int], int] = {}

    def learn(self, pipeline: int, marks: Sequence[Any]) -> None:
        """Take in one frame's stages."""
        entered: dict[int, int] = {}
        for what, at in zip(marks[::2], marks[1::2], strict=False):
            if type(what) is not int:
                continue
            if what >= 0:
                entered[what] = at
            elif ~what in entered:
                key = (pipeline, ~what)
                if len(self._turns) >= STAGES and key not in self._turns:
                    self._turns.clear()  # pipelines closed and made again, over and over
                    self._median.clear()
                turns = self._turns.setdefault(key, deque(maxlen=TURNS))
                turns.append(at - entered.pop(~what))
                if len(turns) == 1 or len(turns) % 8 == 0:
                    self._median[key] = sorted(turns)[len(turns) // 2]

    def overruns(self, pipeline: int, stage: int, so_far_ns: int) -> bool:
        """Whether a stage takes longer than usual already; False while that is not known."""
        usual = self._median.get((pipeline, stage))
        return usual is not None and so_far_ns > max(LONGER * usual, usual + LEAST_NS)


class StackSampler:
    """Looks at the threads in frames, 100 times a second; ``take`` gives the looks since the last call."""

    def __init__(
        self,
        open_frames: OpenFrames,
        scheduler: Callable[[], Reading] = nothing,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
        stacks: Callable[[], Mapping[int, FrameType]] = sys._current_frames,
        failed: Callable[[str], None] = lambda where: None,
    ) -> None:
        self.missed = 0
        self._open = open_frames
        self._scheduler = scheduler
        self._clock = clock
        self._sleep = sleep
        self._stacks = stacks
        self._failed = failed
        self._usual = Usual()
        self._looks: deque[Look] = deque()
        self._looked: dict[int, tuple[int, int]] = {}
        self._stopping = False

    def install(self) -> None:
        """Start looking."""
        threading.Thread(target=self._run, name="framescope-stacks", daemon=True).start()

    def remove(self) -> None:
        """Stop looking."""
        self._stopping = True

    def look_at(self, frames: Sequence[tuple[Any, ...]]) -> None:
        """Learn what is usual from frames that were recorded (``FrameRecord``'s fields)."""
        for frame in frames[:FRAMES_LEARNED]:
            self._usual.learn(frame[0], frame[10])

    def take(self) -> list[Look]:
        """The looks since the last call, oldest first."""
        looks = self._looks
        return [looks.popleft() for _ in range(len(looks))]

    def _run(self) -> None:
        while not self._stopping:
            due, before = self._clock() + round(EVERY_S * 1e9), self._scheduler()
            self._sleep(EVERY_S)
            try:
                after = self._scheduler()
                # Waiting for a core is no waiting for the lock.
                self.look(due + max(0, after[1] - before[1]))
            except Exception:
                self._failed("stack_sampler")

    def look(self, due_ns: int) -> None:
        """Look at every thread whose stage takes longer than usual."""
        now = self._clock()
        stacks: Mapping[int, FrameType] | None = None
        for thread, frame in list(self._open.here.items()):
            stage = open_stage(frame.marks)
            if stage is None or not self._usual.overruns(frame.pipeline, stage[0], now - stage[1]):
                continue
            if frame.over or not self._may_look(thread, frame.marks):
                continue
            stacks = stacks or self._stacks()
            text = stack_of(stacks.get(thread))
            if not text:
                continue
            if now - due_ns > LATE_NS:
                text = f"{text}\n{LATE_NOTE}"
            if len(self._looks) < HELD:
                self._looks.append((thread, now, text))
            else:
                self.missed += 1

    def _may_look(self, thread: int, marks: list[Any]) -> bool:
        frame, looks = self._looked.get(thread, (0, 0))
        if frame != id(marks):
            looks = 0
        if looks >= LOOKS_A_FRAME:
            return False
        if len(self._looked) > 256:  # threads that have ended
            self._looked.clear()
        self._looked[thread] = (id(marks), looks + 1)
        return True
