"""The ``frames`` record: one small span a second that tells every frame's latency and outcome."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from framescope import signals as sig
from framescope.agent.keeper import Judged
from framescope.judge.model import Frame

Attributes = dict[str, str | float | Sequence[int] | Sequence[str]]
LONGEST_TEXT: Final = 64
"""Characters of a content attribute that a record tells of each frame. A longer text is a message or a path:
kept frames have it, and a second of it would be as large as all the rest of the record."""


def frame_records(pipeline: str, window: Sequence[Judged]) -> Iterator[tuple[int, int, Attributes]]:
    """(start, end, attributes) of the records for frames in order of their ids.

    Ids count up by one inside a record, so it is cut where one is missing (a frame still under way).
    """
    run: list[Judged] = []
    for judged in window:
        if run and judged.frame.id != run[-1].frame.id + 1:
            yield _record(pipeline, run)
            run = []
        run.append(judged)
    if run:
        yield _record(pipeline, run)


def _record(pipeline: str, run: Sequence[Judged]) -> tuple[int, int, Attributes]:
    frames = [judged.frame for judged in run]
    start = min(frame.due_ns for frame in frames)
    attributes: Attributes = {
        sig.FRAME_PIPELINE: pipeline,
        sig.BATCH_FIRST_ID: frames[0].id,
        sig.BATCH_OFFSETS_US: [(frame.due_ns - start) // 1000 for frame in frames],
        sig.BATCH_LATENCIES_US: [frame.latency_ns // 1000 for frame in frames],
        sig.BATCH_OUTCOMES: "".join(sig.OUTCOMES.get(frame.outcome, "f") for frame in frames),
        sig.BATCH_CAUSES: [_code(judged) for judged in run if judged.frame.outcome == "slow"],
    }
    budget = next((frame.budget_ns for frame in reversed(frames) if frame.budget_ns is not None), None)
    if budget is not None:
        attributes[sig.FRAME_BUDGET_LIMIT] = budget / 1e9
    queues = {stage.name for frame in frames for stage in frame.stages if stage.kind == "queue"}
    for queue in sorted(queues):
        attributes[sig.BATCH_DEPTHS_PREFIX + queue] = [
            next(
                (s.depth_at_entry for s in frame.stages if s.name == queue and s.depth_at_entry is not None),
                -1,
            )
            for frame in frames
        ]
    attributes.update(_content(frames))
    return start, max(frame.end_ns for frame in frames), attributes


def _content(frames: Sequence[Frame]) -> Iterator[tuple[str, list[str]]]:
    """Content attributes of each frame as text; of those that all frames share it is told once."""
    for name in sorted({name for frame in frames for name in frame.attributes}):
        texts = [_text(frame.attributes.get(name)) for frame in frames]
        if max(map(len, texts)) <= LONGEST_TEXT:
            same = texts.count(texts[0]) == len(texts)
            yield sig.BATCH_ATTRIBUTES_PREFIX + name, texts[:1] if same else texts


def _text(value: str | float | bool | None) -> str:
    """As pages show it; numbers with a point to six digits. Empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _code(judged: Judged) -> str:
    cause = judged.verdict.cause if judged.verdict is not None else "unknown"
    known = sig.CAUSES.get(cause)
    return known.code if known is not None else "?"
