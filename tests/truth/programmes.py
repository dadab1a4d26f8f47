"""What is done to a pipeline, and when: a programme of faults, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import shapes
from faults import KINDS, OF_THE_ACCELERATOR

CALM_S = 6.0
REST_S = 2.0
STRENGTHS_MS = (5.0, 10.0)
ENDING_S = 4.0
"""A host's start and its farewell, beside its frames."""

What = Literal["single", "double", "nvml", "stub"]
"""Faults one by one; two at a time; the accelerator's own, of which only what NVML tells is told; the same by
way of NVML's own library."""
LONGER = {"held lock": 2.0, "slow consumer": 1.5}
"""Episodes that last longer, because they hit fewer of the frames."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault from one frame to before another."""

    kind: str
    strength_ms: float
    first: int
    after: int


@dataclass(frozen=True, slots=True)
class Programme:
    """One run: its episodes, one after the other, of a fault or of two at once."""

    shape: str
    seed: int
    what: What
    frames: int
    episodes: tuple[Episode, ...]

    @property
    def name(self) -> str:
        return f"{self.shape}-{self.seed}-{self.what}"

    @property
    def seconds(self) -> float:
        """How long the run and its replay take, about."""
        return 2 * (self.frames / shapes.FPS[self.shape] + ENDING_S)

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "shape": self.shape,
            "seed": self.seed,
            "what": self.what,
            "frames": self.frames,
            "episodes": [[one.kind, one.strength_ms, one.first, one.after] for one in self.episodes],
        }


def programme_of(told: Mapping[str, Any]) -> Programme:
    """The programme that ``told`` was. Raises ``KeyError`` where it was none."""
    return Programme(
        told["shape"],
        told["seed"],
        told["what"],
        told["frames"],
        tuple(Episode(*one) for one in told["episodes"]),
    )


def causes_of(shape: str) -> dict[str, str]:
    """The faults that make sense in a shape, and the cause of each."""
    found = {kind: one.cause for kind, one in KINDS.items() if shape in one.shapes}
    return found | OF_THE_ACCELERATOR if shape == "accelerator" else found


OF_THE_GPU = frozenset({"larger kernel", "larger copy", *OF_THE_ACCELERATOR})
SURE = {
    "heavier work": "in_work",
    "collection": "in_work",
    "contended lock": "in_work",
    "slow pipe": "in_output",
    "late source": "delay_s",
}
"""Faults that take from every frame what they are meant to, whatever else is done to it, and the point of the
pipeline they hold: beside such a fault it is known how much another took. Two cannot hold the same point."""
THROUGH_THE_HOLDER = frozenset({"held lock", "collection elsewhere", "neighbours", "quota"})
"""What makes the holder of a contended lock hold it for longer: the frame waits for the lock all the while,
and to which of the two it lost that is a matter of taste."""


ITS_OWN_SOURCE = frozenset({"one_thread"})
"""Shapes whose one thread is its own source and has no time to spare for two faults: a frame that is behind
does not wait for a late source any more."""


def doubles_of(shape: str) -> list[tuple[str, str]]:
    """Pairs of faults with different causes that may be at once: one that is sure, and another."""
    causes = causes_of(shape)
    return [
        (one, other)
        for place, one in enumerate(causes)
        for other in list(causes)[place + 1 :]
        if causes[one] != causes[other]
        and (one in SURE or other in SURE)
        and (one not in SURE or SURE[one] != SURE.get(other))
        and not ("contended lock" in (one, other) and {one, other} & THROUGH_THE_HOLDER)
        and not ("late source" in (one, other) and shape in ITS_OWN_SOURCE)
    ]


PAIRS = 6
"""Of a shape's pairs of faults, so many in a run."""


def programme(shape: str, seed: int, what: What, frames: int, kinds: Sequence[str] = ()) -> Programme:
    """Each fault (of ``kinds``, where given) once for so many frames, in an order and of a strength that the
    seed gives; or some pairs of them, of about the same strength. With less than everything told of the
    accelerator, its own faults alone."""
    chance = random.Random(f"{shape} {seed} {what}")
    alone: list[tuple[str, ...]] = [(kind,) for kind in causes_of(shape)]
    together = [
        some
        for some in (doubles_of(shape) if what == "double" else alone)
        if (not kinds or set(kinds) & set(some)) and (what in ("single", "double") or set(some) & OF_THE_GPU)
    ]
    chance.shuffle(together)
    at = round(CALM_S * shapes.FPS[shape])
    found: list[Episode] = []
    for some in together[:PAIRS] if what == "double" else together:
        strength = round(chance.uniform(*STRENGTHS_MS), 1)
        after = at + round(frames * max(LONGER.get(kind, 1.0) for kind in some))
        found += [Episode(kind, strength, at, after) for kind in some]
        at = after + round(REST_S * shapes.FPS[shape])
    return Programme(shape, seed, what, at, tuple(found))


def parts(programmes: Sequence[Programme], seconds: float) -> list[list[Programme]]:
    """The programmes in parts that take no longer than this each, where one alone does not."""
    found: list[list[Programme]] = []
    room = 0.0
    for one in sorted(programmes, key=lambda one: -one.seconds):
        if one.seconds > room:
            found.append([])
            room = seconds
        found[-1].append(one)
        room -= one.seconds
    return found
