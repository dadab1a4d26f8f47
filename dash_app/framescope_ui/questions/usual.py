"""What an undisturbed frame takes, learnt from on-time frames kept around one whose trace does not say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from framescope.judge import Baseline, read_frame
from framescope.judge.baseline import ENOUGH
from framescope_ui.backends.protocols import FramePage, FrameQuery
from framescope_ui.questions.stores import NS, Stores, Troubles

BEFORE_SECONDS = 600
AFTER_SECONDS = 60
"""How far around a frame on-time ones are looked for: a scene or a clock may be another an hour away."""
MOST_FRAMES = 24
"""Traces read for one judgement: twice what makes a median."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The medians of ``frames`` on-time frames; fewer than ``ENOUGH`` make none."""

    baseline: Baseline
    frames: int

    @property
    def enough(self) -> bool:
        """Whether there were enough of them."""
        return self.frames >= ENOUGH


async def usual(
    stores: Stores, troubles: Troubles, service: str, pipeline: str, trace_id: str, at_ns: int
) -> Usual:
    """The newest on-time frames of a pipeline around ``at_ns``, without the one of ``trace_id``."""
    page = await troubles.answer_or(
        stores.traces.frames(
            FrameQuery(
                service,
                pipeline,
                start_ns=at_ns - BEFORE_SECONDS * NS,
                end_ns=at_ns + AFTER_SECONDS * NS,
                outcomes=("on_time",),
                order="time",
                limit=MOST_FRAMES,
            )
        ),
        FramePage(frames=()),
    )
    found = await asyncio.gather(
        *(
            troubles.answer_or(stores.traces.trace(row.trace_id), None)
            for row in page.frames
            if row.trace_id != trace_id
        )
    )
    frames = [frame for trace in found if trace is not None and (frame := read_frame(trace.spans))]
    baseline = Baseline()
    for frame in frames:
        baseline.learn(frame, undisturbed=True)
    baseline.settle()
    return Usual(baseline, len(frames))
