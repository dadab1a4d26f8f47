"""Kept frames as TraceQL asks for them, and what a search's answer says of their guilty stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from framescope import signals
from framescope_ui.backends.protocols import Attributes, FrameQuery, FrameRow, Span
from framescope_ui.backends.records import UNKNOWN_SERVICE, frame_row, is_frame
from framescope_ui.store.attributes import number

from . import traceql
from .search_answer import TraceFound
from .traceql import Condition, Field, Spans

_EVIDENCE: Final = (
    signals.CPU_TIME,
    signals.RUNQUEUE_TIME,
    signals.QUOTA_TIME,
    signals.GIL_WAIT_TIME,
    signals.GIL_STARVED_TIME,
    signals.GC_TIME,
    signals.BLOCKED_TIME,
    signals.IO_WAIT_TIME,
    signals.LOCK_WAIT_TIME,
    signals.LOOP_WAIT_TIME,
    signals.MEMORY_STALL_TIME,
    signals.GPU_TIME,
    signals.GPU_BUSY_TIME,
    signals.GPU_WAIT_TIME,
    signals.GPU_TRANSFER_TIME,
    signals.GPU_THROTTLE_TIME,
    signals.GPU_RUNQUEUE_TIME,
)
_LOST: Final = tuple(signals.FRAME_LOST_PREFIX + cause for cause in signals.CAUSES)
ROOT_ATTRIBUTES: Final = (
    signals.FRAME_ID,
    signals.FRAME_SEQUENCE,
    signals.FRAME_PIPELINE,
    signals.FRAME_BUDGET_LIMIT,
    signals.FRAME_BUDGET_LEARNED,
    signals.FRAME_PERIOD,
    signals.FRAME_SLOW,
    signals.FRAME_LATE,
    signals.FRAME_INTERVAL,
    signals.FRAME_OUTCOME,
    signals.FRAME_DROP_REASON,
    signals.FRAME_KEPT,
    signals.FRAME_SAMPLING_WEIGHT,
    signals.FRAME_EXPECTED_DURATION,
    signals.FRAME_EXPECTED_INTERVAL,
    signals.FRAME_CAUSE_NAME,
    signals.FRAME_CAUSE_CONFIDENCE,
    signals.FRAME_CULPRIT_NAME,
    signals.FRAME_CULPRIT_PID,
    signals.FRAME_LOST_TOTAL,
    signals.FRAME_OVERRUN_TOTAL,
    signals.FRAME_VERDICT_AXIS,
    signals.GPU_ID,
    signals.GPU_NAME,
    signals.GPU_UTILIZATION_MEAN,
    signals.GPU_UTILIZATION_MAX,
    signals.GPU_OTHER_UTILIZATION,
    signals.GPU_OTHER_EXPECTED,
    signals.GPU_CLOCK_MIN,
    signals.GPU_CLOCK_EXPECTED,
    signals.GPU_MEMORY_USED,
    signals.GPU_HELD_SHARE,
    signals.GPU_HELD_EXPECTED,
    signals.GPU_HELD_REASON,
    signals.GPU_IO_RATE,
    signals.GPU_IO_EXPECTED,
    signals.GPU_TEMPERATURE,
    signals.GPU_POWER,
    signals.GPU_WINDOW,
    signals.GPU_SIMULATED,
    *_EVIDENCE,
    *(signals.expected_name(name) for name in _EVIDENCE),
    *_LOST,
    *(signals.FRAME_OVERRUN_PREFIX + cause for cause in signals.CAUSES),
)
"""What a listed frame carries: all that framescope writes on a root. Its own span, whole, has the rest."""
GUILT_ATTRIBUTES: Final = (
    signals.FRAME_PIPELINE,
    signals.FRAME_SLOW,
    signals.FRAME_OUTCOME,
    signals.FRAME_LOST_TOTAL,
    signals.FRAME_STAGE_EXPECTED,
    *_LOST,
)
_OF_NO_STAGE: Final = frozenset({signals.FRAME_LOST_PREFIX + cause for cause in ("late_input", "structural")})
"""Lost before the first stage, or by the frame as a whole (``framescope.judge.account``)."""
_SLACK: Final = 1e-9
"""s. Sums of seconds differ by less."""


def answerable(query: FrameQuery) -> bool:
    """Whether any frame can have the texts asked for."""
    asked = (query.service, query.pipeline, query.stage, *query.outcomes, *query.causes, *query.kept)
    return all(traceql.can_be(text) for text in asked if text is not None)


def roots(query: FrameQuery, least_ns: int = 0, below_ns: int | None = None) -> Spans:
    """The root spans that a query means, of a latency in ``[least_ns, below_ns)``."""
    conditions = [
        *_service(query.service),
        traceql.equals(traceql.SPAN_NAME, signals.SPAN_FRAME),
        traceql.equals(traceql.PIPELINE, query.pipeline)
        if query.pipeline is not None
        else traceql.exists(traceql.PIPELINE),
    ]
    for name, values in (
        (signals.FRAME_OUTCOME, query.outcomes),
        (signals.FRAME_CAUSE_NAME, query.causes),
        (signals.FRAME_KEPT, query.kept),
    ):
        if values:
            conditions.append(traceql.equals_any(traceql.span_attribute(name), values))
    least_ns = max(least_ns, query.min_latency_ns or 0)
    if least_ns > 0:
        conditions.append(traceql.lasts_at_least(least_ns))
    if below_ns is not None:
        conditions.append(traceql.lasts_less_than(below_ns))
    return traceql.spans(conditions)


def stages(service: str | None, stage: str | None = None) -> Spans:
    """The spans of stages, of one or of any."""
    is_stage = traceql.exists(traceql.STAGE) if stage is None else traceql.equals(traceql.STAGE, stage)
    return traceql.spans([*_service(service), is_stage])


def _service(service: str | None) -> Sequence[Condition]:
    return [traceql.equals(traceql.SERVICE, service)] if service is not None else []


def fields(*names: Sequence[str]) -> list[Field]:
    """What to select: these attributes, and what tells a root from a stage and whose it is."""
    wanted = dict.fromkeys(name for some in names for name in some)
    return [
        traceql.SPAN_NAME,
        traceql.STAGE,
        traceql.SERVICE,
        *(traceql.span_attribute(name) for name in wanted),
    ]


def rows_of(found: TraceFound) -> list[FrameRow]:
    """The frames among the spans found, without their stages."""
    return [frame_row(_service_of(found, span), span, ()) for span in found.spans if is_frame(span)]


def may_have_stage(row: FrameRow) -> bool:
    """Whether a stage can have lost something: not in a frame that was on time and lost nothing."""
    lost = number(row.attributes.get(signals.FRAME_LOST_TOTAL))
    return lost is None or lost > 0 or row.attributes.get(signals.FRAME_SLOW) is not False


def row_with_stage(found: TraceFound) -> FrameRow | None:
    """The one frame of a trace with its guilty stage; None where the spans found do not settle it.

    Tempo may hold a trace in pieces, and then a search tells the spans of one piece only, without saying so.
    They settle it if a stage that is not among them can have lost no more than the worst that is: the root
    tells how much was lost by each cause in all.
    """
    frames = [span for span in found.spans if is_frame(span)]
    if len(frames) != 1:
        return None
    (root,) = frames
    others = [span for span in found.spans if span is not root]
    row = frame_row(_service_of(found, root), root, others)
    losses = [_losses(span.attributes) for span in others]
    worst = max((sum(lost.values()) for lost in losses), default=0.0)
    told = _losses(root.attributes)
    if told:
        elsewhere = sum(
            max(0.0, lost - sum(one.get(name, 0.0) for one in losses))
            for name, lost in told.items()
            if name not in _OF_NO_STAGE
        )
    else:
        total = number(root.attributes.get(signals.FRAME_LOST_TOTAL))
        if total is None:
            return None
        elsewhere = total - sum(sum(one.values()) for one in losses)
    if worst > 0:
        return row if worst + _SLACK >= elsewhere else None
    # No stage lost anything: then the guilty one is told by how long each took, for which all are needed.
    return row if found.whole and elsewhere < _SLACK else None


def _service_of(found: TraceFound, root: Span) -> str:
    return found.services.get(root.span_id) or UNKNOWN_SERVICE


def _losses(told: Attributes) -> dict[str, float]:
    found = ((name, number(told.get(name))) for name in _LOST)
    return {name: lost for name, lost in found if lost is not None and lost > 0}
