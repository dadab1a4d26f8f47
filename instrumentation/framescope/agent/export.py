"""Sending, off the agent's own thread: a bounded buffer in front of each of the SDK's exporters."""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

Item = TypeVar("Item")
SPANS_HELD: Final = 20_000
"""About 2 000 kept frames: 40 s at the default keep budget, some 30 MB."""
METRICS_HELD: Final = 120
"""Messages, one a second: two minutes. The totals are cumulative, so only the readings inside are lost."""
SPANS_A_MESSAGE: Final = 512
STREAM_LOG: Final = "framescope.stream"
PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 10.0)
LAST_PAUSE_S: Final = 0.2
"""Between two tries while closing down."""
FAST_S: Final = 0.5
"""The SDK's exporters retry what is worth it for at least 0.8 s; a failure faster than this is a refusal."""
REFUSALS: Final = 6


@dataclass(frozen=True, slots=True)
class Parcel(Generic[Item]):
    """What is sent at once, its size in the buffer, and the frames that are lost with it."""

    content: Item
    size: int
    frames: int


class Lane(Generic[Item]):
    """One exporter behind a bounded buffer. When it is full the oldest goes, and is counted."""

    def __init__(
        self,
        name: str,
        export: Callable[[Item], bool],
        room: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lost: dict[str, int] = {}
        self._export = export
        self._room = room
        self._clock = clock
        self._waiting: deque[Parcel[Item]] = deque()
        self._held = 0
        self._refused = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"framescope-{name}", daemon=True)
        self._thread.start()

    @property
    def waiting_frames(self) -> int:
        """Frames in the buffer."""
        with self._changed:
            return sum(parcel.frames for parcel in self._waiting)

    def put(self, content: Item, size: int, frames: int) -> None:
        """Send this when its turn comes. Never blocks."""
        with self._changed:
            self._waiting.append(Parcel(content, size, frames))
            self._held += size
            while self._held > self._room and len(self._waiting) > 1:
                self._forget(self._waiting.popleft(), "export_queue_full")
            self._changed.notify()

    def stop(self, timeout: float) -> None:
        """Send what is left, for at most ``timeout`` seconds; what remains then is counted as lost."""
        with self._changed:
            self._stopping = True
            self._deadline = self._clock() + timeout
            self._changed.notify()

    def join(self) -> None:
        """Wait for the lane to end; it does within a second of its deadline, or is left behind."""
        if self._deadline is not None:
            self._thread.join(max(0.0, self._deadline - self._clock()) + 1.0)

    def _forget(self, parcel: Parcel[Item], reason: str) -> None:
        self._held -= parcel.size
        self.lost[reason] = self.lost.get(reason, 0) + parcel.frames

    def _run(self) -> None:
        failures = 0
        while True:
            with self._changed:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                if not self._waiting:
                    return
                parcel = self._waiting[0]
            began = self._clock()
            try:
                sent = self._export(parcel.content)
            except Exception:
                logging.getLogger("framescope").debug("export raised", exc_info=True)
                sent = False
            refused = not sent and self._clock() - began < FAST_S
            with self._changed:
                mine = bool(self._waiting) and self._waiting[0] is parcel  # else it was dropped meanwhile
                self._refused = self._refused + 1 if refused else 0
                if sent:
                    failures = 0
                    if mine:
                        self._held -= parcel.size
                        self._waiting.popleft()
                    continue
                failures += 1
                if mine and self._refused >= REFUSALS:
                    self._refused = 0
                    self._forget(self._waiting.popleft(), "export_refused")
                if self._deadline is not None and self._clock() >= self._deadline:
                    while self._waiting:
                        self._forget(self._waiting.popleft(), "export_at_exit")
                    return
                pause = PAUSES_S[min(failures, len(PAUSES_S)) - 1]
                if self._stopping:
                    self._changed.wait(LAST_PAUSE_S)
                else:
                    self._changed.wait_for(lambda: self._stopping, pause)


class _OncePerMinute(logging.Filter):
    """The SDK reports every failed export; a dead receiver must not fill the host's log."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._last.get(record.name, -60.0) < 60.0:
            return False
        self._last[record.name] = now
        return True


def quiet_exporters() -> None:
    """Let each of the SDK's export loggers speak once a minute, and what reads the host's stream."""
    for name in (
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.exporter.otlp.proto.http.metric_exporter",
        "opentelemetry.exporter.otlp.proto.grpc.exporter",
        "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
        "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
        "opentelemetry.exporter.otlp.proto.common._internal",
        "opentelemetry.exporter.otlp.proto.common._internal.trace_encoder",
        "opentelemetry.exporter.otlp.proto.common._internal.metrics_encoder",
        "opentelemetry.exporter.otlp.common.http",
        STREAM_LOG,
    ):
        logging.getLogger(name).addFilter(_OncePerMinute())


Rejected = Callable[[], int]
"""How many spans, or data points, a receiver turned away so far in requests that succeeded otherwise."""


def _none_rejected() -> int:
    return 0


def otlp_exporters(
    environment: Mapping[str, str] = os.environ,
) -> tuple[SpanExporter, MetricExporter, Rejected, Rejected]:
    """The SDK's OTLP exporters for traces and metrics, as the ``OTEL_EXPORTER_OTLP_*`` variables say.

    With them comes what their receiver rejected: over HTTP alone, and not where a credential provider makes
    the sessions.

    Raises ``ValueError`` for a protocol that is neither ``grpc`` nor ``http/protobuf``.
    """
    general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    traces = _protocol(environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", general))
    metrics = _protocol(environment.get("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", general))
    spans_by: SpanExporter
    metrics_by: MetricExporter
    spans_rejected = points_rejected = _none_rejected
    sessions = not any("CREDENTIAL_PROVIDER" in name for name in environment)
    # Imported here: the gRPC exporter alone costs 33 MB of memory.
    if traces == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans

        spans_by = GrpcSpans()
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans

        from framescope.agent.answers import answers_to_traces

        to_traces = answers_to_traces() if sessions else None
        spans_by = HttpSpans(session=to_traces)
        spans_rejected = _none_rejected if to_traces is None else lambda: to_traces.rejected
    if metrics == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics

        metrics_by = GrpcMetrics()
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics

        from framescope.agent.answers import answers_to_metrics

        to_metrics = answers_to_metrics() if sessions else None
        metrics_by = HttpMetrics(session=to_metrics)
        points_rejected = _none_rejected if to_metrics is None else lambda: to_metrics.rejected
    return spans_by, metrics_by, spans_rejected, points_rejected


def _protocol(value: str) -> str:
    chosen = value.strip().lower()
    if chosen not in ("grpc", "http/protobuf"):
        raise ValueError(f"OTLP protocol {value!r} is not supported: use 'grpc' or 'http/protobuf'")
    if chosen == "grpc" and importlib.util.find_spec("grpc") is None:
        change = "install grpcio, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        raise ValueError(f"OTLP over gRPC needs grpcio, which is not installed: {change}")
    return chosen


class Exports:
    """The two lanes of one agent."""

    def __init__(
        self,
        spans: SpanExporter,
        metrics: MetricExporter,
        spans_rejected: Rejected = _none_rejected,
        points_rejected: Rejected = _none_rejected,
    ) -> None:
        self._span_exporter = spans
        self._metric_exporter = metrics
        self._spans_rejected = spans_rejected
        self._points_rejected = points_rejected
        self._rejected_frames = 0
        self.spans: Lane[list[ReadableSpan]] = Lane("spans", self._send_spans, SPANS_HELD)
        self._counted = 0
        self.metrics: Lane[tuple[MetricsData, int]] = Lane("metrics", self._send_metrics, METRICS_HELD)

    def put_spans(self, groups: list[list[ReadableSpan]]) -> None:
        """Send kept frames (a group of spans each), several to a message."""
        batch: list[ReadableSpan] = []
        frames = 0
        for group in groups:
            batch.extend(group)
            frames += 1
            if len(batch) >= SPANS_A_MESSAGE:
                self.spans.put(batch, len(batch), frames)
                batch, frames = [], 0
        if batch:
            self.spans.put(batch, len(batch), frames)

    def put_metrics(self, data: MetricsData, settled: int) -> None:
        """Send one message of metrics; it tells of the first ``settled`` frames."""
        self.metrics.put((data, settled), 1, 0)

    def confirmed(self) -> int:
        """Frames that are counted at the receiver and, where they were kept, are there whole."""
        return max(0, self._counted - self.spans.waiting_frames)

    def _send_spans(self, batch: list[ReadableSpan]) -> bool:
        before = self._spans_rejected()
        if self._span_exporter.export(batch) is not SpanExportResult.SUCCESS:
            return False
        # Which of them is not told: at most so many frames are not there, or not whole.
        roots = sum(span.parent is None for span in batch)
        self._rejected_frames += min(roots, self._spans_rejected() - before)
        return True

    def _send_metrics(self, message: tuple[MetricsData, int]) -> bool:
        data, settled = message
        if self._metric_exporter.export(data) is not MetricExportResult.SUCCESS:
            return False
        self._counted = settled
        return True

    def losses(self) -> dict[str, int]:
        """Kept frames that could not be sent, by reason; cumulative. And data points that were rejected."""
        rejected = {"export_rejected": self._rejected_frames, "points_rejected": self._points_rejected()}
        return self.spans.lost | {reason: count for reason, count in rejected.items() if count}

    def close(self, timeout: float) -> None:
        """Flush both lanes, then shut the exporters down."""
        self.spans.stop(timeout)
        self.metrics.stop(timeout)
        self.spans.join()
        self.metrics.join()
        self._span_exporter.shutdown()
        self._metric_exporter.shutdown()
