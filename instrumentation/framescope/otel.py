"""Beside an application's own OpenTelemetry: what its tracer does inside a frame is told with the frame.

    from opentelemetry.sdk.trace import TracerProvider
    from framescope.otel import FrameSpans

    provider = TracerProvider()
    provider.add_span_processor(FrameSpans(pipeline))

The application's own exporters go on as they did, with their own traces. Beside them, each span that began
inside a frame goes along with the frame to the agent: there it is decided which frames stay whole, and only
then is the span sent once more, as a child of the stage it began in, linked to where it came from. So a
backend gets no span whose frame was not kept, and the host's frame waits for nobody.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace.status import StatusCode

from framescope.handover import SpanTold
from framescope.recorder.frame import travelling
from framescope.recorder.spans_inside import SpansInside, spans_inside

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from framescope.pipeline import Pipeline

MOST_OPEN: Final = 1024
"""Spans that are open at one time; more are counted as ``span_limit`` and not told."""
MOST_ATTRIBUTES: Final = 8
LONGEST_NAME: Final = 100


class FrameSpans(SpanProcessor):
    """Tells the frames of ``pipeline`` which spans were made inside them; one for each pipeline.

    Inside is what began in the ``with`` block of a frame, or of a stage of a frame that crosses threads, or
    in a task or thread that took the context along. At most 64 spans a frame, 8 attributes each, text of 200
    characters; a span that ends after its frame was shipped (a tenth of a second after its end) is counted as
    ``span_after_frame``. What the application's sampler refuses to record cannot be told. Measured with a
    batch processor beside it: a span takes two fifths longer than without (``bench/ways.py``).
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._recorder = pipeline._recorder
        self._recorder.holds_spans = True
        self._open: dict[int, SpansInside] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember the frame this span begins in."""
        recorder = self._recorder
        try:
            held = spans_inside(recorder.marks.get())
            context = span.get_span_context()
            if held is None or context is None:
                return
            if len(self._open) < MOST_OPEN:
                self._open[context.span_id] = held
            else:
                recorder.lose("span_limit")
        except Exception:
            recorder.faults.note("otel.on_start")

    def on_end(self, span: ReadableSpan) -> None:
        """Write the span down, as text and numbers, with the frame it began in."""
        recorder = self._recorder
        try:
            context = span.get_span_context()
            held = self._open.pop(context.span_id, None) if context is not None else None
            if held is not None:
                lost = held.add(told(span))
                if lost:
                    recorder.lose(lost)
        except Exception:
            recorder.faults.note("otel.on_end")

    def shutdown(self) -> None:
        """What is still open then was not ended in time."""
        self._open.clear()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back here."""
        return True


def told(span: ReadableSpan) -> SpanTold:
    """A finished span as the hand-over takes it. Its times are laid on the monotonic clock as of now."""
    behind_ns = time.time_ns() - time.monotonic_ns()
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    ended, kind = span.end_time or time.time_ns(), span.kind.value
    attributes = dict(itertools.islice((span.attributes or {}).items(), MOST_ATTRIBUTES))
    return (
        span.name[:LONGEST_NAME],
        (span.start_time or ended) - behind_ns,
        ended - behind_ns,
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        f"{parent.span_id:016x}" if parent is not None else "",
        ~kind if span.status.status_code is StatusCode.ERROR else kind,
        travelling(attributes),
    )
