"""One frame, whole: its stages, its verdict, and what the GPU and the queues did around it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from framescope import signals
from framescope.judge import Verdict, read_verdict
from framescope.judge.baseline import ENOUGH
from framescope.judge.gpu import HELD_BY
from framescope.judge.reading import root_of as frame_root_of
from framescope.judge.reading import tells_what_is_usual
from framescope_ui.backends.protocols import (
    FrameRow,
    Mark,
    MetricStore,
    Series,
    Span,
    Trace,
)
from framescope_ui.questions import gpus
from framescope_ui.questions.every_frame import latencies, strip_of
from framescope_ui.questions.frame_item import item_of, number, text
from framescope_ui.questions.gaps import line_of, with_gaps
from framescope_ui.questions.kept_beside import Side, after, before
from framescope_ui.questions.latencies import Latencies, unpacked
from framescope_ui.questions.readings import grouped, joined, newest
from framescope_ui.questions.stores import NS, Stores, Troubles, seconds
from framescope_ui.questions.usual import Usual, usual
from framescope_ui.questions.verdict import overrun_by_cause, view_of
from framescope_ui.questions.views import (
    FrameItem,
    FrameView,
    GpuThen,
    Line,
    SpanEventView,
    SpanView,
    StageRow,
)
from framescope_ui.questions.waterfall import is_foreign, root_of, stages_of, with_losses, with_path
from framescope_ui.questions.withheld import without_secrets


async def frame(
    stores: Stores, trace_id: str, around_seconds: float = 2.0, neighbours: int = 50
) -> FrameView | None:
    """The frame of a trace; None where the trace store does not know the id.

    Everything beside the trace itself may be missing: then ``FrameView.missing`` says what and why.
    Raises ``BackendError`` where the trace store does not answer.
    """
    trace = await stores.traces.trace(trace_id)
    if trace is None:
        return None
    root = root_of(trace.spans)
    if root is None:
        return None
    foreign = is_foreign(trace.spans)
    service = text(trace.resource, signals.SERVICE_NAME)
    pipeline = text(root.attributes, signals.FRAME_PIPELINE)
    troubles = Troubles()
    around_ns = int(around_seconds * NS)
    start_ns, end_ns = root.start_ns - around_ns, max(root.end_ns, root.start_ns) + around_ns
    gauges: Mapping[str, Sequence[Series]] = {}
    near = unpacked([])
    earlier = later = Side()
    marks: Sequence[Mark] = ()
    beside: Usual | None = None
    if service is not None and pipeline is not None:
        near_ns = max(around_ns, _neighbour_span(root, neighbours))
        gauges, (near, _), earlier, later, marks = await asyncio.gather(
            _gauges(stores.metrics, troubles, service, pipeline, start_ns, end_ns),
            troubles.answer_or(
                latencies(
                    stores,
                    service,
                    pipeline,
                    root.start_ns - near_ns,
                    max(root.end_ns, root.start_ns) + near_ns,
                ),
                (near, None),
            ),
            before(stores, troubles, service, pipeline, root.start_ns, near_ns),
            after(stores, troubles, service, pipeline, root.start_ns, near_ns),
            troubles.answer_or(
                stores.traces.marks(service, root.start_ns - near_ns, root.end_ns + near_ns), []
            ),
        )
        if not tells_what_is_usual(trace.spans):
            beside = await usual(stores, troubles, service, pipeline, trace_id, root.start_ns)
    verdict = None if foreign else read_verdict(trace.spans, beside.baseline if beside else None)
    stages = stages_of(root, trace.spans)
    if verdict is not None and signals.FRAME_CAUSE_NAME not in root.attributes:
        stages = with_losses(stages, verdict)
    stages = with_path(stages, root, trace.spans)
    gpu_id = text(root.attributes, signals.GPU_ID)
    devices = [label for label in gpus.labels(gauges) if gpu_id in (None, label.id)]
    label = next(iter(devices), None)
    return FrameView(
        item=_item(trace, root, service, verdict, stage=_guilty_stage(stages)),
        due=seconds(root.start_ns),
        end=seconds(root.end_ns) if root.end_ns > root.start_ns else None,
        budget_seconds=number(root.attributes, signals.FRAME_BUDGET_LIMIT),
        period_seconds=number(root.attributes, signals.FRAME_PERIOD),
        interval_seconds=number(root.attributes, signals.FRAME_INTERVAL),
        host=text(trace.resource, signals.HOST_NAME),
        clock_error_seconds=newest(
            [s for s in gauges.get(signals.FS_CLOCK_ERROR, ()) if signals.FS_PROBE_NAME not in s.attributes],
            end_ns,
        ),
        gpu_id=gpu_id or (label.id if label else None),
        gpu_name=text(root.attributes, signals.GPU_NAME) or (label.name if label else None),
        gpu_simulated=root.attributes.get(signals.GPU_SIMULATED) is True
        or (label.simulated if label else False),
        gpu_window_seconds=number(root.attributes, signals.GPU_WINDOW),
        gpu_then=_gpu_then(root),
        stages=stages,
        verdict=None if verdict is None else view_of(verdict),
        series=_series(gauges, devices, near.between(start_ns, end_ns)),
        neighbours=strip_of(_nearest(near, root, neighbours)) if len(near) else None,
        kept_near=[*earlier.near[::-1], *later.near],
        marks=[(seconds(mark.time_ns), mark.text) for mark in marks],
        earlier_slow=earlier.slow,
        later_slow=later.slow,
        attributes=[*_shown(trace.resource), *_shown(root.attributes)],
        missing=_missing(stores, troubles, trace, root, gauges, near, foreign, verdict is None, beside),
        spans=[_span(span) for span in trace.spans],
        foreign=foreign,
    )


def _gpu_then(root: Span) -> GpuThen:
    errors = root.attributes.get(signals.GPU_ERRORS)
    reason = text(root.attributes, signals.GPU_HELD_REASON)
    return GpuThen(
        clock_hz=number(root.attributes, signals.GPU_CLOCK_MIN),
        usual_clock_hz=number(root.attributes, signals.GPU_CLOCK_EXPECTED),
        held=number(root.attributes, signals.GPU_HELD_SHARE),
        held_by=None if reason is None else HELD_BY.get(reason, reason),
        memory_bytes=number(root.attributes, signals.GPU_MEMORY_USED),
        temperature_celsius=number(root.attributes, signals.GPU_TEMPERATURE),
        power_watts=number(root.attributes, signals.GPU_POWER),
        errors=[str(one) for one in errors] if isinstance(errors, (list, tuple)) else [],
    )


def _span(span: Span) -> SpanView:
    return SpanView(
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.name,
        start=seconds(span.start_ns),
        end=seconds(span.end_ns) if span.end_ns >= span.start_ns else None,
        attributes=_without_secrets(span.attributes),
        status=span.status,
        status_message=span.status_message,
        events=[
            SpanEventView(event.name, seconds(event.time_ns), _without_secrets(event.attributes))
            for event in span.events
        ],
    )


async def _gauges(
    metrics: MetricStore, troubles: Troubles, service: str, pipeline: str, start_ns: int, end_ns: int
) -> dict[str, list[Series]]:
    """Raw readings around the frame."""
    of_service = {signals.SERVICE_NAME: service}
    of_pipeline = {**of_service, signals.FRAME_PIPELINE: pipeline}
    questions = {
        signals.HW_GPU_UTILIZATION: of_service,
        signals.FS_GPU_PROCESS_UTILIZATION: of_service,
        signals.FS_GPU_CLOCK: of_service,
        signals.FS_CLOCK_ERROR: of_service,
        signals.FRAME_QUEUE_DEPTH: of_pipeline,
    }
    found = await asyncio.gather(
        *(
            troubles.answer_or(metrics.gauge(metric, where, start_ns, end_ns), [])
            for metric, where in questions.items()
        )
    )
    return dict(zip(questions, found, strict=True))


def _neighbour_span(root: Span, neighbours: int) -> int:
    """ns that surely hold the neighbours on one side, as far as the frame knows its pace."""
    pace = number(root.attributes, signals.FRAME_PERIOD) or number(root.attributes, signals.FRAME_INTERVAL)
    return int(min(60.0, (pace or 0.05) * neighbours * 2) * NS)


def _nearest(near: Latencies, root: Span, neighbours: int) -> Latencies:
    """The frames closest to this one, at most so many on each side."""
    at = int(np.searchsorted(near.due_ns, root.start_ns))
    index = np.arange(len(near))
    return near.only((index >= at - neighbours) & (index <= at + neighbours))


def _item(
    trace: Trace, root: Span, service: str | None, verdict: Verdict | None, stage: str | None
) -> FrameItem:
    item = item_of(
        FrameRow(
            trace_id=trace.trace_id,
            service=service or "",
            start_ns=root.start_ns,
            latency_ns=root.end_ns - root.start_ns,
            attributes=root.attributes,
            stage=stage,
        )
    )
    if verdict is None or item.cause is not None:
        return item
    return replace(
        item,
        cause=verdict.cause,
        confidence=verdict.confidence,
        lost_seconds=verdict.lost_ns / NS,
        overrun_by_cause=overrun_by_cause(verdict),
    )


def _guilty_stage(stages: Sequence[StageRow]) -> str | None:
    """The stage that lost most; None where none lost anything."""
    lost = [(row.lost, row.parent or row.name) for row in stages if row.lost is not None and row.lost > 0]
    return max(lost)[1] if lost else None


def _series(
    gauges: Mapping[str, Sequence[Series]], devices: Sequence[gpus.GpuLabel], near: Latencies
) -> dict[str, Sequence[Line]]:
    def by_gpu(metric: str, unit: str) -> list[Line]:
        readings = gauges.get(metric, ())
        lines = [line_of(gpus.line_source(readings, gpu.id), gpu.name, unit) for gpu in devices]
        return [line for line in lines if line.x]

    processes = gauges.get(signals.FS_GPU_PROCESS_UTILIZATION, ())
    others = [line_of(gpus.others_of(processes, gpu.id), gpu.name, "1") for gpu in devices]
    return {
        "gpu_utilization": by_gpu(signals.HW_GPU_UTILIZATION, "1"),
        "gpu_others": [line for line in others if line.x],
        "gpu_clock": by_gpu(signals.FS_GPU_CLOCK, "Hz"),
        "queue_depth": _queue_lines(near, gauges.get(signals.FRAME_QUEUE_DEPTH, ())),
    }


def _queue_lines(near: Latencies, gauge: Sequence[Series]) -> list[Line]:
    """Each queue's depth: as every frame found it where the records tell, else as the gauge has it."""
    lines: dict[str, Line] = {
        name: line_of(joined(series), name, "{item}")
        for name, series in grouped(gauge, signals.FRAME_QUEUE_NAME).items()
    }
    for name, depth in near.depths.items():
        known = depth >= 0
        if known.any():
            x, y = with_gaps((near.due_ns[known] / NS).tolist(), depth[known].astype(float).tolist())
            lines[name] = Line(name, "{item}", x, y)
    return [lines[name] for name in sorted(lines)]


def _shown(attributes: Mapping[str, object]) -> list[tuple[str, str]]:
    return sorted((name, _text(value)) for name, value in _without_secrets(attributes).items())


def _without_secrets(attributes: Mapping[str, object]) -> dict[str, object]:
    return {name: without_secrets(name, value) for name, value in attributes.items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(v) for v in value)
    return str(value)


def _missing(
    stores: Stores,
    troubles: Troubles,
    trace: Trace,
    root: Span,
    gauges: Mapping[str, Sequence[Series]],
    near: Latencies,
    foreign: bool,
    unjudged: bool,
    beside: Usual | None,
) -> list[str]:
    """Sentences: what is not shown, and why."""
    if foreign:
        return ["This trace carries nothing of framescope: its spans are shown as they are."]
    said: list[str] = []
    if trace.partial:
        said.append("The trace store has only a part of this trace.")
    metric_trouble = troubles.of(stores.metrics.name)
    if metric_trouble is not None:
        said.append(f"No GPU and queue readings: {metric_trouble}.")
    elif not gauges.get(signals.HW_GPU_UTILIZATION):
        said.append(
            "No GPU readings around this frame: no GPU probe was running, or they are no longer stored."
        )
    trace_trouble = troubles.of(stores.traces.name)
    if trace_trouble is not None and trace_trouble is not metric_trouble:
        said.append(f"No neighbouring frames: {trace_trouble}.")
    elif not len(near) and trace_trouble is None:
        said.append("No neighbouring frames: no record of every frame is stored around this one.")
    if root.end_ns <= root.start_ns:
        said.append("The frame has not ended: its latency is not known.")
    if unjudged:
        said.append("No verdict: the trace lacks the root span or the baseline that a judgement needs.")
    if beside is not None and not beside.enough:
        said.append(
            "What is usual is not known: the trace does not tell it, and of this pipeline "
            f"{beside.frames or 'no'} on-time frames are kept around it where {ENOUGH} are needed."
        )
    if frame_root_of(trace.spans) is None:
        said.append("The frame's root span has not arrived (yet): the bars are what is there.")
    return said
