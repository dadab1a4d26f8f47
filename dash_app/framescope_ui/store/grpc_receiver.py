"""OTLP over gRPC: the trace, metric and log services of the collector protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from .otlp import Malformed, Signal, take
from .receiver import RETRY_AFTER_S, receive
from .tally import Tally
from .writer import NotStored, Overloaded, Writer

_SERVICES: Final[dict[Signal, str]] = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}


class PortTaken(OSError):
    """Somebody else listens on the port."""


def grpc_receiver(
    writer: Writer, tally: Tally, greatest_body_bytes: int, host: str, port: int
) -> tuple[Any, int]:
    """A gRPC server bound to ``host:port`` (0 for any free one), not yet started, and its port.

    Raises ``PortTaken`` when the port is in use.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", greatest_body_bytes),
            ("grpc.so_reuseport", 0),  # two stores on one port would each get half of the data
        ]
    )
    for signal, service in _SERVICES.items():
        handler = grpc.unary_unary_rpc_method_handler(_export(signal, writer, tally))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise PortTaken(str(error)) from None
    if bound == 0:
        raise PortTaken(f"cannot listen on {host}:{port}")
    return server, bound


def _export(signal: Signal, writer: Writer, tally: Tally) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def export(body: bytes, context: Any) -> bytes:
        try:
            request = take(signal, body, "protobuf")
            response = await receive(request, len(body), writer, tally)
        except Malformed as error:
            tally.add("refused: INVALID_ARGUMENT")
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Overloaded as error:
            tally.add("refused: RESOURCE_EXHAUSTED")
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                str(error),
                _come_again(Code.RESOURCE_EXHAUSTED, str(error)),
            )
        except NotStored as error:
            tally.add("refused: UNAVAILABLE")
            again = _come_again(Code.UNAVAILABLE, str(error))
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error), again)
        return response.SerializeToString()

    return export


def _come_again(code: Code, reason: str) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata that makes a sender retry: without it RESOURCE_EXHAUSTED counts as final."""
    retry = RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S))
    status = Status(code=code, message=reason)
    status.details.add().Pack(retry)
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("google.rpc.retryinfo-bin", retry.SerializeToString()),
    )
