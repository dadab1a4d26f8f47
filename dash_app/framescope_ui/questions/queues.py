"""A pipeline's queues, now and over the last minute."""

from __future__ import annotations

from collections.abc import Sequence

from framescope import signals
from framescope_ui.backends.protocols import Series
from framescope_ui.questions.readings import grouped, newest_by, since, total_by
from framescope_ui.questions.stores import NS
from framescope_ui.questions.views import QueueNow

MINUTE_NS = 60 * NS


def queues_now(
    depth: Sequence[Series],
    capacity: Sequence[Series],
    dropped: Sequence[Series],
    blocked: Sequence[Series],
    now_ns: int,
) -> list[QueueNow]:
    """Every queue any of the four speaks of, by name."""
    depths = newest_by(depth, signals.FRAME_QUEUE_NAME, now_ns)
    capacities = newest_by(capacity, signals.FRAME_QUEUE_NAME, now_ns, fresh_seconds=120.0)
    recent = since(dropped, now_ns - MINUTE_NS)
    drops = total_by(recent, signals.FRAME_QUEUE_NAME)
    reasons = {
        name: sorted(
            ((why, n) for why, n in total_by(group, signals.FRAME_DROP_REASON).items() if n > 0),
            key=lambda reason: -reason[1],
        )
        for name, group in grouped(recent, signals.FRAME_QUEUE_NAME).items()
    }
    held = total_by(since(blocked, now_ns - MINUTE_NS), signals.FRAME_QUEUE_NAME)
    return [
        QueueNow(
            name=name,
            depth=depths.get(name),
            capacity=capacities.get(name),
            dropped_per_minute=drops.get(name),
            blocked_seconds_per_second=None if name not in held else held[name] / 60.0,
            drop_reasons=reasons.get(name, ()),
        )
        for name in sorted({*depths, *capacities, *drops, *held})
    ]
