"""Spans of one trace as bars of a waterfall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from framescope import signals
from framescope.judge import Verdict
from framescope.judge.path import critical_path
from framescope.judge.reading import read_frame, stacks_in
from framescope_ui.backends.protocols import Span
from framescope_ui.questions.frame_item import integer, number, seconds_by_cause, text
from framescope_ui.questions.stores import NS
from framescope_ui.questions.views import StageRow

_OURS = ("frame.", "framescope.")


def root_of(spans: Sequence[Span]) -> Span | None:
    """The span everything hangs under: a frame's root, else the earliest without a parent here."""
    if not spans:
        return None
    for span in spans:
        if span.name == signals.SPAN_FRAME and signals.FRAME_PIPELINE in span.attributes:
            return span
    present = {span.span_id for span in spans}
    orphans = [s for s in spans if s.parent_span_id is None or s.parent_span_id not in present]
    return min(orphans or spans, key=lambda s: (s.start_ns, -s.end_ns))


def is_foreign(spans: Sequence[Span]) -> bool:
    """Whether no span carries any framescope attribute."""
    return not any(name.startswith(_OURS) for span in spans for name in span.attributes)


def stages_of(root: Span, spans: Sequence[Span]) -> list[StageRow]:
    """Every span but the root as a bar: parents before their children, siblings by start.

    ``parent`` is the enclosing stage's name, None directly under the root. A span that hangs under
    nothing present is shown at the top level, and so is one in a ring of parents: nothing is dropped.
    """
    children: dict[str, list[Span]] = {}
    present = {span.span_id for span in spans}
    for span in spans:
        if span.span_id == root.span_id:
            continue
        parent = span.parent_span_id if span.parent_span_id in present else root.span_id
        children.setdefault(parent or root.span_id, []).append(span)
    for siblings in children.values():
        siblings.sort(key=lambda s: (s.start_ns, s.end_ns))
    threads = _threads(root, spans)
    rows: list[StageRow] = []
    seen: set[str] = {root.span_id}
    # A stack, not recursion: a foreign trace can be thousands of spans deep.
    stack: list[tuple[Span, str | None]] = [(s, None) for s in reversed(children.get(root.span_id, []))]
    while stack:
        span, parent_name = stack.pop()
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        rows.append(_row(root, span, parent_name, threads.get(span.span_id)))
        stack.extend((s, _name(span)) for s in reversed(children.get(span.span_id, [])))
    ringed = [span for span in spans if span.span_id not in seen]
    return rows + [_row(root, span, None, None) for span in sorted(ringed, key=lambda s: s.start_ns)]


def _threads(root: Span, spans: Sequence[Span]) -> dict[str, str]:
    """The thread of each span that tells one: its name, or where none has one a number in order of time.

    Nothing where they all ran on one thread.
    """
    told = [
        (span, integer(span.attributes, signals.THREAD_ID), text(span.attributes, signals.THREAD_NAME))
        for span in sorted(spans, key=lambda s: s.start_ns)
        if span.span_id != root.span_id
    ]
    numbers: dict[int | None, int] = {}
    found: dict[str, str] = {}
    for span, number_of, name in told:
        if number_of is not None:
            numbers.setdefault(number_of, len(numbers) + 1)
        if number_of is not None or name is not None:
            found[span.span_id] = name or f"thread {numbers[number_of]}"
    return found if len(set(found.values())) > 1 else {}


def with_path(rows: Sequence[StageRow], root: Span, spans: Sequence[Span]) -> list[StageRow]:
    """The bars with the stretches of the critical path that each holds."""
    frame = read_frame(spans)
    if frame is None:
        return list(rows)
    held: dict[tuple[str, float, float], list[tuple[float, float]]] = {}
    for begin, end, stage in critical_path(frame.stages, frame.due_ns, frame.end_ns):
        of = (stage.name, (stage.start_ns - root.start_ns) / NS, (stage.end_ns - root.start_ns) / NS)
        held.setdefault(of, []).append(((begin - root.start_ns) / NS, (end - root.start_ns) / NS))
    return [
        replace(row, on_path=held.get((row.name, row.start, row.end), ())) if row.parent is None else row
        for row in rows
    ]


def with_losses(rows: Sequence[StageRow], verdict: Verdict) -> list[StageRow]:
    """The bars with what a verdict says was lost in each stage, for a trace that does not tell it itself."""
    told: set[str] = set()
    judged: list[StageRow] = []
    for row in rows:
        shares = [share for share in verdict.shares if share.stage == row.name and share.lost_ns]
        if row.parent is None and row.lost is None and row.name not in told and shares:
            told.add(row.name)  # a repeated stage's loss is told once
            usual = [e.baseline for s in shares for e in s.evidence if e.name == signals.FRAME_STAGE_DURATION]
            row = replace(
                row,
                expected=row.expected if row.expected is not None else next(iter(usual), None),
                lost=sum(share.lost_ns for share in shares) / NS,
                lost_by_cause=[(share.cause, share.lost_ns / NS) for share in shares],
            )
        judged.append(row)
    return judged


def _name(span: Span) -> str:
    return text(span.attributes, signals.FRAME_STAGE_NAME) or span.name


def _row(root: Span, span: Span, parent: str | None, thread: str | None) -> StageRow:
    attributes = span.attributes
    lost = seconds_by_cause(attributes, signals.FRAME_LOST_PREFIX)
    total = number(attributes, signals.FRAME_LOST_TOTAL)
    if total is None and lost:
        total = sum(s for _, s in lost)
    return StageRow(
        name=_name(span),
        kind=text(attributes, signals.FRAME_STAGE_KIND) or "",
        start=(span.start_ns - root.start_ns) / NS,
        # One that has not ended has no length yet, and never a negative one.
        end=(max(span.end_ns, span.start_ns) - root.start_ns) / NS,
        expected=number(attributes, signals.FRAME_STAGE_EXPECTED),
        lost=total,
        lost_by_cause=lost,
        parent=parent,
        gpu_busy=number(attributes, signals.GPU_BUSY_TIME),
        gpu_wait=number(attributes, signals.GPU_WAIT_TIME),
        depth_at_entry=integer(attributes, signals.FRAME_QUEUE_DEPTH_AT_ENTRY),
        status=span.status,
        message=span.status_message,
        stacks=stacks_in(attributes),
        thread=thread,
    )
