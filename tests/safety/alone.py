"""A pipeline without shipper or agent, whose faults are counted and swallowed, as in a user's process."""

from __future__ import annotations

from collections import Counter
from typing import Any

import framescope
from framescope.handover import HEADER, Batch, FrameRecord, pack, unpack
from framescope.recorder.faults import Faults


class Alone:
    """Takes the place of a process: frames stay in their recorder until somebody drains them."""

    def __init__(self, **given: Any) -> None:
        self.faults = Faults(raising=False)
        self.scheduler = given.get("scheduler", lambda: (-1, -1, -1))
        self.baseline_every = 0
        self.shipper = self

    def add(self, recorder: object) -> None: ...
    def close(self, timeout: float) -> None: ...


def pipeline(**given: Any) -> framescope.Pipeline:
    return framescope.Pipeline("p", enabled=True, process=Alone(**given))


def delivered(p: framescope.Pipeline) -> list[FrameRecord]:
    """What it recorded, by way of the hand-over: it must be fit to travel."""
    recorder = p._recorder
    frames = recorder.take(1 << 30)
    made: list[FrameRecord] = []
    for at in range(0, len(frames), 64):
        told = Batch(1, "i", 0, 0, {recorder.number: recorder.definition}, frames[at : at + 64])
        made += unpack(pack(told)[HEADER.size :]).records()
    return made


def lost(p: framescope.Pipeline) -> Counter[str]:
    return Counter(p._recorder.losses)


def faults(p: framescope.Pipeline) -> Counter[str]:
    return Counter(p._recorder.faults.counts)
