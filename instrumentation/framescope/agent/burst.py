"""The flight recorder's trigger: many frames go wrong after a calm, the moment to keep what was before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from framescope.judge.model import Frame

BAD: Final = 3
"""Frames of one second that are slow, failed or dropped, and the share of all they must be: fewer are kept as
themselves, with their neighbours."""
SHARE: Final = 0.1
CALM_NS: Final = 10_000_000_000
"""So long no burst before it: in a storm that lasts, all frames look like those that are kept anyway."""
REST_NS: Final = 60_000_000_000
"""Between two dumps: one is at most 600 frames, 0.15 s of encoding and some 200 kB in a store."""


class BurstTrigger:
    """Of one pipeline. It watches from the first frame on: a pipeline that starts badly has no before."""

    def __init__(self) -> None:
        self._calm_since_ns: int | None = None
        self._fired_ns = -REST_NS

    def pulled(self, frames: Sequence[Frame]) -> str:
        """How many were what, in words, if these frames (of a second, in order) begin a burst; else ""."""
        if not frames:
            return ""
        start_ns, end_ns = frames[0].start_ns, frames[-1].end_ns
        if self._calm_since_ns is None:
            self._calm_since_ns = start_ns
        counts: dict[str, int] = {}
        for frame in frames:
            if frame.outcome != "on_time":
                counts[frame.outcome] = counts.get(frame.outcome, 0) + 1
        bad = sum(counts.values())
        if bad < BAD or bad < SHARE * len(frames):
            return ""
        calm = start_ns - self._calm_since_ns >= CALM_NS
        self._calm_since_ns = end_ns
        if not calm or start_ns - self._fired_ns < REST_NS:
            return ""
        self._fired_ns = start_ns
        told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        return f"{told} of {len(frames)} frames"
