"""What a receiver answers, read with care: no redirects, no endless answers, and what it turned away.

The SDK's exporters take every status below 400 for success, read an answer whole however long it is, and
leave a partial success unread (opentelemetry-exporter-otlp-proto-http 1.45).
"""

from __future__ import annotations

from typing import Any, Final

import requests
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

LONGEST: Final = 64 * 1024
"""Bytes of an answer that are read; a partial success is a number and a sentence."""


class Answers(requests.Session):
    """A session for one of the SDK's exporters. ``rejected`` counts the spans, or the data points, that were
    turned away by requests that succeeded otherwise (OTLP 1.10, "Partial Success")."""

    def __init__(self, answer: type[ExportTraceServiceResponse] | type[ExportMetricsServiceResponse]) -> None:
        super().__init__()
        self.rejected = 0
        self._answer = answer

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send, and read no more of the answer than is needed. Raises ``TooManyRedirects`` for a redirect."""
        answer = super().request(*args, **{**kwargs, "stream": True})
        try:
            if 300 <= answer.status_code < 400:
                raise requests.TooManyRedirects(
                    f"the receiver answers {answer.status_code}, a redirect: give the address it leads to"
                )
            if answer.status_code == 200:
                self.rejected += self._rejected(answer)
        finally:
            answer.close()
        return answer

    def _rejected(self, answer: requests.Response) -> int:
        length = answer.headers.get("content-length", "")
        if not (length.isdecimal() and int(length) <= LONGEST):
            return 0
        # To its end, also where there is nothing: else each message opens a connection of its own.
        body = answer.raw.read(int(length) or None, decode_content=True)
        if answer.headers.get("content-type", "").split(";")[0].strip() != "application/x-protobuf":
            return 0
        try:
            told = self._answer.FromString(body).partial_success
        except DecodeError:
            return 0
        return int(told.rejected_spans if hasattr(told, "rejected_spans") else told.rejected_data_points)


def answers_to_traces() -> Answers:
    """For the exporter of spans."""
    return Answers(ExportTraceServiceResponse)


def answers_to_metrics() -> Answers:
    """For the exporter of metrics."""
    return Answers(ExportMetricsServiceResponse)
