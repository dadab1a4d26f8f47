"""Every frame's latency in a range, kept or not: the strip, and slow frames counted by cause."""

from __future__ import annotations

import asyncio
from collections import Counter

from framescope_ui.questions.latencies import OUTCOME_BY_LETTER, Latencies, unpacked
from framescope_ui.questions.stores import NS, Stores, seconds
from framescope_ui.questions.views import EveryFrame

LONGEST_RECORD_SECONDS = 5
"""A ``frames`` record covers about a second; its frames can be due this long before it ends."""


MOST_RECORDS = 3600
"""An hour of records: 216 000 frames at 60 a second, which took 0.2 s to read and unpack on a 2-core
machine. Of a longer range the newest hour is answered."""


async def every_frame(stores: Stores, service: str, pipeline: str, start: float, end: float) -> EveryFrame:
    """Every frame due in ``[start, end)`` unix seconds. Raises ``BackendError``."""
    frames, cut_ns = await latencies(stores, service, pipeline, int(start * NS), int(end * NS))
    return strip_of(frames, cut_ns)


async def latencies(
    stores: Stores, service: str, pipeline: str, start_ns: int, end_ns: int, attributes: bool = False
) -> tuple[Latencies, int | None]:
    """The frames due in ``[start_ns, end_ns)``, from every record that may hold some of them; with their
    content attributes where ``attributes`` is set.

    Beside them the time before which frames were left out, None where none were.
    """
    batches = await stores.traces.every_frame(
        service,
        pipeline,
        start_ns,
        end_ns + LONGEST_RECORD_SECONDS * NS,
        limit=MOST_RECORDS,
        attributes=attributes,
    )
    cut_ns = batches[0].start_ns if len(batches) >= MOST_RECORDS and batches[0].start_ns > start_ns else None
    # Off the event loop: an hour of frames would hold up every other viewer.
    frames = await asyncio.to_thread(unpacked, batches)
    return frames.between(start_ns if cut_ns is None else cut_ns, end_ns), cut_ns


def strip_of(frames: Latencies, cut_ns: int | None = None) -> EveryFrame:
    """Arrays as the view wants them; ``cut_ns``: frames before then were left out."""
    return EveryFrame(
        x=(frames.due_ns / NS).tolist(),
        latency_seconds=(frames.latency_ns / NS).tolist(),
        outcome=[OUTCOME_BY_LETTER.get(letter, "") for letter in frames.outcome.tolist()],
        cause=frames.cause.tolist(),
        frame_id=frames.frame_id.tolist(),
        budget_seconds=None if frames.budget_ns is None else frames.budget_ns / NS,
        total=len(frames),
        cut_before=None if cut_ns is None else seconds(cut_ns),
    )


def counted_causes(frames: Latencies) -> list[tuple[str, int]]:
    """How many slow frames each cause has, most first; those whose record names none count as ``unknown``."""
    return Counter(cause or "unknown" for cause in frames.only(frames.slow).cause.tolist()).most_common()
