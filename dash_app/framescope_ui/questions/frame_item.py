"""One kept frame as a line of a list."""

from __future__ import annotations

import math
from collections.abc import Mapping

from framescope import signals
from framescope.judge import outcome_of
from framescope_ui.backends.protocols import FrameRow
from framescope_ui.questions.stores import NS, seconds
from framescope_ui.questions.views import FrameItem


def item_of(row: FrameRow) -> FrameItem:
    """The list line of a kept frame, from its root span's attributes."""
    attributes = row.attributes
    latency = row.latency_ns / NS if row.latency_ns > 0 else None
    overrun = number(attributes, signals.FRAME_OVERRUN_TOTAL)
    budget = number(attributes, signals.FRAME_BUDGET_LIMIT)
    if overrun is None and budget is not None and latency is not None:
        overrun = latency - budget
    return FrameItem(
        trace_id=row.trace_id,
        frame_id=integer(attributes, signals.FRAME_ID),
        service=row.service,
        pipeline=text(attributes, signals.FRAME_PIPELINE),
        start=seconds(row.start_ns),
        latency_seconds=latency,
        overrun_seconds=overrun,
        lost_seconds=number(attributes, signals.FRAME_LOST_TOTAL),
        outcome=outcome_of(attributes, row.latency_ns) if latency is not None else None,
        cause=text(attributes, signals.FRAME_CAUSE_NAME),
        confidence=number(attributes, signals.FRAME_CAUSE_CONFIDENCE),
        stage=row.stage,
        kept=text(attributes, signals.FRAME_KEPT),
        overrun_by_cause=seconds_by_cause(attributes, signals.FRAME_OVERRUN_PREFIX),
        gpu_utilization=number(attributes, signals.GPU_UTILIZATION_MEAN),
    )


def seconds_by_cause(attributes: Mapping[str, object], prefix: str) -> list[tuple[str, float]]:
    """``<prefix><cause>`` attributes as (cause, s), most first; zeros are left out."""
    found = [(cause, number(attributes, prefix + cause)) for cause in signals.CAUSES]
    return sorted(((c, s) for c, s in found if s), key=lambda share: -share[1])


def number(attributes: Mapping[str, object], name: str) -> float | None:
    """A finite number, or None where the attribute is absent or something else."""
    value = attributes.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def integer(attributes: Mapping[str, object], name: str) -> int | None:
    """An integer, or None."""
    value = attributes.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(attributes: Mapping[str, object], name: str) -> str | None:
    """A string, or None."""
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None
