"""What framescope's own spans say: kept frames, ``frames`` records and change markers.

For backends that answer spans; the embedded store reads the same from its rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from framescope import signals
from framescope_ui.store.attributes import codes, contents, integer, letters, number, text

from .protocols import AttributeValue, FrameBatch, FrameRow, Mark, Span, Trace

UNKNOWN_SERVICE: Final = "unknown_service"
"""What OpenTelemetry calls a resource without ``service.name``."""
_SLOW: Final = frozenset({"slow", "failed", "dropped"})
_GREATEST_US: Final = 2**53
_GREATEST_NS: Final = 2**63


def service_of(resource: Mapping[str, AttributeValue]) -> str:
    """The service a resource belongs to."""
    return text(resource.get(signals.SERVICE_NAME)) or UNKNOWN_SERVICE


def is_frame(span: Span) -> bool:
    """Whether a span is the root of a kept frame."""
    told = span.attributes
    return (
        span.name == signals.SPAN_FRAME
        and signals.FRAME_PIPELINE in told
        and signals.FRAME_STAGE_NAME not in told
        and span.end_ns >= span.start_ns
    )


def frame_rows(trace: Trace) -> list[FrameRow]:
    """The kept frames of a trace: nearly always one, several where it crossed processes."""
    roots = [span for span in trace.spans if is_frame(span)]
    service = service_of(trace.resource)
    if len(roots) == 1:
        own = trace.services.get(roots[0].span_id, service)
        return [frame_row(own, roots[0], [span for span in trace.spans if span is not roots[0]])]
    return [
        frame_row(trace.services.get(root.span_id, service), root, _descendants(root, trace.spans))
        for root in roots
    ]


def frame_row(service: str, root: Span, others: Iterable[Span]) -> FrameRow:
    """A kept frame as lists show it; ``others`` are the spans under its root."""
    outcome = text(root.attributes.get(signals.FRAME_OUTCOME))
    slow = root.attributes.get(signals.FRAME_SLOW) is True or outcome in _SLOW
    return FrameRow(
        trace_id=root.trace_id,
        service=service,
        start_ns=root.start_ns,
        latency_ns=root.end_ns - root.start_ns,
        attributes=root.attributes,
        stage=_guiltiest(others, slow),
    )


def batch_of(service: str, span: Span, version: str | None = None) -> FrameBatch | None:
    """The ``frames`` record a span is, of a service of this version.

    None for another span and for one whose lists do not fit together (a backend that cuts long attributes
    leaves such records: half a record would be a guess).
    """
    if span.name != signals.SPAN_FRAMES:
        return None
    told = span.attributes
    pipeline = text(told.get(signals.FRAME_PIPELINE))
    first_id = integer(told.get(signals.BATCH_FIRST_ID))
    offsets = _integers(told.get(signals.BATCH_OFFSETS_US))
    latencies = _integers(told.get(signals.BATCH_LATENCIES_US))
    outcomes = letters(told.get(signals.BATCH_OUTCOMES))
    causes = codes(told.get(signals.BATCH_CAUSES))
    if pipeline is None or first_id is None or offsets is None or latencies is None or outcomes is None:
        return None
    if causes is None or not len(offsets) == len(latencies) == len(outcomes):
        return None
    prefix = signals.BATCH_DEPTHS_PREFIX
    depths = {
        name.removeprefix(prefix): values
        for name, value in told.items()
        if name.startswith(prefix) and (values := _integers(value)) is not None
    }
    budget = number(told.get(signals.FRAME_BUDGET_LIMIT))
    known = budget is not None and 0 < budget * 1e9 < _GREATEST_NS
    return FrameBatch(
        service,
        pipeline,
        span.start_ns,
        first_id,
        offsets,
        latencies,
        outcomes,
        causes,
        depths,
        round(budget * 1e9) if budget is not None and known else None,
        contents(told, len(offsets), version),
    )


def batch_end_ns(batch: FrameBatch) -> int:
    """When the last frame of a record ended: unix ns."""
    ends = (o + max(la, 0) for o, la in zip(batch.offsets_us, batch.latencies_us, strict=True))
    return batch.start_ns + 1000 * max(ends, default=0)


def mark_of(service: str, span: Span) -> Mark | None:
    """The change marker a span is; None for another span."""
    said = text(span.attributes.get(signals.MARK_TEXT)) if span.name == signals.SPAN_MARK else None
    return None if said is None else Mark(service, span.start_ns, said)


def _guiltiest(spans: Iterable[Span], slow: bool) -> str | None:
    """The stage with the greatest sum of ``frame.lost.*``. Where no stage tells a loss, a slow frame's is
    the one that most exceeded what was expected of it."""
    lost: list[tuple[float, str]] = []
    exceeded: list[tuple[float, str]] = []
    for span in spans:
        stage = text(span.attributes.get(signals.FRAME_STAGE_NAME))
        if stage is None:
            continue
        total = sum(
            number(value) or 0.0
            for name, value in span.attributes.items()
            if name.startswith(signals.FRAME_LOST_PREFIX) and name != signals.FRAME_LOST_TOTAL
        )
        if total > 0:
            lost.append((total, stage))
        expected = number(span.attributes.get(signals.FRAME_STAGE_EXPECTED))
        excess = (span.end_ns - span.start_ns) / 1e9 - expected if expected is not None else 0.0
        if slow and excess > 0:
            exceeded.append((excess, stage))
    worst = max(lost or exceeded, key=lambda pair: pair[0], default=None)
    return worst[1] if worst else None


def _descendants(root: Span, spans: Sequence[Span]) -> list[Span]:
    children: defaultdict[str | None, list[Span]] = defaultdict(list)
    for span in spans:
        if not is_frame(span):
            children[span.parent_span_id].append(span)
    found: list[Span] = []
    waiting, seen = [root.span_id], set[str]()
    while waiting:
        parent = waiting.pop()
        if parent in seen:  # ids that point in a circle
            continue
        seen.add(parent)
        found += children[parent]
        waiting += (span.span_id for span in children[parent])
    return found


def _integers(value: Any) -> list[int] | None:
    if type(value) is int:  # Tempo's search answers a list of one as its item
        value = [value]
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        return None
    return value if not value or (min(value) >= -_GREATEST_US and max(value) <= _GREATEST_US) else None
