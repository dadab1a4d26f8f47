"""What senders are told when the store cannot take more."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from httpx import ASGITransport, AsyncClient

from framescope_ui.store.grpc_receiver import grpc_receiver
from framescope_ui.store.http_receiver import http_receiver
from framescope_ui.store.tally import Tally
from framescope_ui.store.writer import NotStored, Outcome, Overloaded

_PROTOBUF = {"content-type": "application/x-protobuf"}
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Refusing:
    """A writer that refuses at once or later."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def submit(self, request: Any, size: int) -> Future[Outcome]:
        if isinstance(self.error, Overloaded):
            raise self.error
        refused: Future[Outcome] = Future()
        refused.set_exception(self.error)
        return refused


@pytest.mark.parametrize(
    ("error", "status", "code", "grpc_code"),
    [
        (Overloaded("too much"), 429, Code.RESOURCE_EXHAUSTED, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (NotStored("disk full"), 503, Code.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_sender_is_told_to_come_again(
    error: Exception, status: int, code: int, grpc_code: grpc.StatusCode
) -> None:
    writer: Any = Refusing(error)
    tally = Tally()
    transport = ASGITransport(http_receiver(writer, tally, 1000))
    async with AsyncClient(transport=transport, base_url="http://store") as client:
        answer = await client.post(
            "/v1/traces", content=b"", headers={"content-type": "application/x-protobuf"}
        )
    assert answer.status_code == status
    assert int(answer.headers["retry-after"]) > 0
    assert Status.FromString(answer.content) == Status(code=code, message=str(error))

    server, port = grpc_receiver(writer, tally, 1000, "127.0.0.1", 0)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(_EXPORT)(b"")
    finally:
        await server.stop(0)
    assert refused.value.code() is grpc_code
    trailing = dict(refused.value.trailing_metadata())
    assert RetryInfo.FromString(trailing["google.rpc.retryinfo-bin"]).retry_delay.seconds > 0
    assert tally.snapshot()[f"refused: {status}"] == 1
