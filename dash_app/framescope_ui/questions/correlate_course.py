"""Correlate over time: latency, slow frames by cause, and the worst of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framescope import signals
from framescope_ui.backends.protocols import FrameRow
from framescope_ui.questions.correlate_signals import Ticks
from framescope_ui.questions.correlate_views import CauseCourse
from framescope_ui.questions.frame_item import integer
from framescope_ui.questions.gaps import with_gaps
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS, seconds
from framescope_ui.questions.views import Line, SlowMark

COURSE_STEPS = 60

LATENCY_STEPS = 240

MOST_MARKS = 240

SAME_FRAME_NS = 50_000_000


def cause_course(frames: Latencies, start_ns: int, end_ns: int) -> CauseCourse:
    step_ns = max(1, -(-(end_ns - start_ns) // COURSE_STEPS))
    at = np.clip((frames.due_ns - start_ns) // step_ns, 0, COURSE_STEPS - 1)
    slow = frames.slow
    cause = np.array([c or "unknown" for c in frames.cause[slow].tolist()], dtype=str)
    names, counts = np.unique(cause, return_counts=True)
    order = [str(names[i]) for i in np.argsort(-counts, kind="stable")]
    return CauseCourse(
        seconds(start_ns),
        step_ns / NS,
        np.bincount(at[frames.finished], minlength=COURSE_STEPS).tolist(),
        {name: np.bincount(at[slow][cause == name], minlength=COURSE_STEPS).tolist() for name in order},
    )


def latency_course(ticks: Ticks, end_ns: int) -> list[Line]:
    """Median and 99th percentile of each step, s; a step without frames is a gap."""
    step_ns = max(NS, (end_ns - ticks.start_ns) // LATENCY_STEPS)
    edges = np.arange(ticks.start_ns, end_ns + step_ns, step_ns)
    places = np.searchsorted(ticks.due_ns, edges).tolist()
    found = [
        (float(edge) / NS, np.quantile(ticks.latency_ns[low:high], (0.5, 0.99)) / NS)
        for edge, low, high in zip(edges[1:].tolist(), places[:-1], places[1:], strict=True)
        if high > low
    ]
    lines = []
    for place, name in enumerate(("median", "p99")):
        x, y = with_gaps([t for t, _ in found], [float(v[place]) for _, v in found], step_ns / NS)
        lines.append(Line(name, "s", x, y))
    return lines


def slow_marks(frames: Latencies, rows: Sequence[FrameRow], start_ns: int, end_ns: int) -> list[SlowMark]:
    """The worst slow frame of each stretch; one that was kept and is in the sample can be opened."""
    at = np.flatnonzero(frames.slow)
    if not len(at):
        return []
    column = np.clip((frames.due_ns[at] - start_ns) * MOST_MARKS // (end_ns - start_ns), 0, MOST_MARKS - 1)
    order = np.lexsort((-frames.latency_ns[at], column))
    _, first = np.unique(column[order], return_index=True)
    kept = {integer(row.attributes, signals.FRAME_ID): row for row in rows}
    found = []
    for place in at[order[first]].tolist():
        frame_id, due_ns = int(frames.frame_id[place]), int(frames.due_ns[place])
        row = kept.get(frame_id)
        same = row is not None and abs(row.start_ns - due_ns) < SAME_FRAME_NS
        found.append(
            SlowMark(
                seconds(due_ns),
                int(frames.latency_ns[place]) / NS,
                frames.cause[place] or "unknown",
                row.trace_id if row is not None and same else None,
                frame_id,
            )
        )
    return found
