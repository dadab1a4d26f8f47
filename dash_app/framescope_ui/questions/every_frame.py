"""Every frame's latency in a range, kept or not: the strip, and slow frames counted by cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from framescope_ui.questions.latencies import OUTCOME_BY_LETTER, Latencies, unpacked
from framescope_ui.questions.stores import NS, Stores
from framescope_ui.questions.views import EveryFrame

LONGEST_RECORD_SECONDS = 5
"""A ``frames`` record covers about a second; its frames can be due this long before it ends."""


async def every_frame(stores: Stores, service: str, pipeline: str, start: float, end: float) -> EveryFrame:
    """Every frame due in ``[start, end)`` unix seconds. Raises ``BackendError``."""
    return strip_of(await latencies(stores, service, pipeline, int(start * NS), int(end * NS)))


async def cause_counts(
    stores: Stores, service: str, pipeline: str, start: float, end: float
) -> list[tuple[str, int]]:
    """Slow frames due in ``[start, end)`` by cause, most first, counted over all frames.

    Slow frames whose record names no cause count as ``unknown``. Raises ``BackendError``.
    """
    return counted_causes(await latencies(stores, service, pipeline, int(start * NS), int(end * NS)))


async def latencies(stores: Stores, service: str, pipeline: str, start_ns: int, end_ns: int) -> Latencies:
    """The frames due in ``[start_ns, end_ns)``, from every record that may hold some of them."""
    limit = int((end_ns - start_ns) / NS) * 2 + 4 * LONGEST_RECORD_SECONDS
    batches = await stores.traces.every_frame(
        service, pipeline, start_ns, end_ns + LONGEST_RECORD_SECONDS * NS, limit=limit
    )
    return unpacked(batches).between(start_ns, end_ns)


def strip_of(frames: Latencies) -> EveryFrame:
    """Arrays as the view wants them."""
    return EveryFrame(
        x=(frames.due_ns / NS).tolist(),
        latency_seconds=(frames.latency_ns / NS).tolist(),
        outcome=[OUTCOME_BY_LETTER.get(letter, "") for letter in frames.outcome.tolist()],
        cause=list(frames.cause),
        frame_id=frames.frame_id.tolist(),
        budget_seconds=None if frames.budget_ns is None else frames.budget_ns / NS,
        total=len(frames),
    )


def counted_causes(frames: Latencies) -> list[tuple[str, int]]:
    """How many slow frames each cause has, most first."""
    slow: Sequence[str | None] = frames.only(frames.slow).cause
    return Counter(cause or "unknown" for cause in slow).most_common()
