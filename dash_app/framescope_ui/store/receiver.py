"""What both OTLP receivers do with a decoded request: store it, answer what was rejected."""

from __future__ import annotations

import asyncio
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from .otlp import Response, Taken
from .tally import Tally
from .writer import Writer

RETRY_AFTER_S: Final = 1
"""How long a sender is asked to wait when the store is overloaded or its disk refuses."""


async def receive(request: Taken, size: int, writer: Writer, tally: Tally) -> Response:
    """Store a request of ``size`` bytes and answer once it is committed.

    Logs are taken and not kept, counted. Raises ``Overloaded`` and ``NotStored`` as the writer does.
    """
    if isinstance(request, ExportLogsServiceRequest):
        records = sum(len(scope.log_records) for group in request.resource_logs for scope in group.scope_logs)
        tally.add("ignored: log records", records)
        return ExportLogsServiceResponse()
    outcome = await asyncio.wrap_future(writer.submit(request, size))
    if isinstance(request, ExportMetricsServiceRequest):
        metrics = ExportMetricsServiceResponse()
        if outcome.rejected:
            metrics.partial_success.rejected_data_points = outcome.rejected
            metrics.partial_success.error_message = outcome.reason
        return metrics
    traces = ExportTraceServiceResponse()
    if outcome.rejected:
        traces.partial_success.rejected_spans = outcome.rejected
        traces.partial_success.error_message = outcome.reason
    return traces
