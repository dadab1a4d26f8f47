"""What an emitter in another language really sent, sent again as if it were now."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

RECORDED = Path(__file__).parent / "recorded"
_KINDS: dict[str, type[Message]] = {
    "v1/traces": ExportTraceServiceRequest,
    "v1/metrics": ExportMetricsServiceRequest,
}
_ANSWERS: dict[str, type[Message]] = {
    "v1/traces": ExportTraceServiceResponse,
    "v1/metrics": ExportMetricsServiceResponse,
}


@dataclass(frozen=True, slots=True)
class Recording:
    """The requests of one run, in their order: path and body."""

    requests: Sequence[tuple[str, Message]]

    def spans(self, name: str) -> list[Span]:
        """Every span of that name."""
        return [
            span
            for _, body in self.requests
            if isinstance(body, ExportTraceServiceRequest)
            for group in body.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
            if span.name == name
        ]

    def metrics(self) -> dict[str, Message]:
        """The newest export of each metric, by name."""
        return {
            metric.name: metric
            for _, body in self.requests
            if isinstance(body, ExportMetricsServiceRequest)
            for group in body.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        }

    def send(self, url: str) -> None:
        """To an OTLP/HTTP receiver, which must take all of it."""
        with httpx.Client(trust_env=False, timeout=30) as http:
            for path, body in self.requests:
                answer = http.post(
                    f"{url}/{path}",
                    content=body.SerializeToString(),
                    headers={"Content-Type": "application/x-protobuf"},
                )
                assert answer.is_success, answer.text
                said = _ANSWERS[path].FromString(answer.content)
                assert not said.partial_success.error_message, said  # type: ignore[attr-defined]


def recording(folder: str, newest_ns: int) -> Recording:
    """A recorded run, all of its times moved so that the newest is ``newest_ns``."""
    requests = []
    for file in sorted((RECORDED / folder).glob("*.pb.gz")):
        path = file.name.split("-", 1)[1].removesuffix(".pb.gz").replace("-", "/")
        requests.append((path, _KINDS[path].FromString(gzip.decompress(file.read_bytes()))))
    messages = [message for _, body in requests for message in _within(body)]
    shift = newest_ns - max(getattr(one, name) for one in messages for name in _times(one))
    for one in messages:
        for name in _times(one):
            setattr(one, name, getattr(one, name) + shift)
    return Recording(requests)


def _within(message: Message) -> Iterable[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in (value,) if isinstance(value, Message) else value:
                yield from _within(inner)


def _times(message: Message) -> list[str]:
    return [field.name for field, _ in message.ListFields() if field.name.endswith("time_unix_nano")]
