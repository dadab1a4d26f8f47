"""Receivers of OTLP over HTTP that behave and that do not: for benchmarks, and for the tests of faults.

Each reads the whole request before it misbehaves. ``count`` is called with the frames that the ``frames``
records of an accepted request told of: those of one pipeline, where it is named.
"""

from __future__ import annotations

import contextlib
import http.server
import multiprocessing
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from framescope import signals

Manner = Literal[
    "healthy", "dead", "slow", "resetting", "refusing",
    "garbage", "no protobuf", "rejecting", "redirecting", "too large", "endless", "slow headers",
]  # fmt: skip
SLOW_S: Final = 10.0
NOBODY: Final = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""


def frames_told(body: bytes, pipeline: str | None = None) -> int:
    """Frames in the ``frames`` records of one trace request: of one pipeline, or of all."""
    found = 0
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                if span.name == signals.SPAN_FRAMES:
                    told = {one.key: one.value.string_value for one in span.attributes}
                    if pipeline in (None, told.get(signals.FRAME_PIPELINE)):
                        found += len(told.get(signals.BATCH_OUTCOMES, ""))
    return found


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    manner: Manner
    count: Callable[[int], None]
    pipeline: str | None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        match self.manner:
            case "slow":
                time.sleep(SLOW_S)
                self._answer(200)
            case "resetting":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
            case "refusing":
                self._answer(429)
            case "too large":
                self._answer(413)
            case "redirecting":
                self._answer(307, location=f"{NOBODY}/login")
            case "rejecting":
                partial = ExportTracePartialSuccess(rejected_spans=10**6, error_message="no room")
                self._answer(200, ExportTraceServiceResponse(partial_success=partial).SerializeToString())
            case "no protobuf":
                self._answer(200, b"<html>sign in here</html>")
            case "garbage":
                self._pour(bytes(range(256)), 16)
            case "endless":
                self._answer(200, length=None)
                self._pour(b"x" * 65536, 1 << 40)
            case "slow headers":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                self._pour(b"x-more: to come\r\n", 90, pause_s=0.5)
            case _:
                self._answer(200)
                if self.path.endswith("traces"):
                    self.count(frames_told(body, self.pipeline))

    def _answer(self, status: int, body: bytes = b"", length: int | None = -1, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pour(self, some: bytes, times: int, pause_s: float = 0.0) -> None:
        self.close_connection = True
        for _ in range(times):
            self.wfile.write(some)
            time.sleep(pause_s)

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # who asked has gone
            super().handle()

    def log_message(self, format: str, *args: Any) -> None: ...


def _server(
    manner: Manner, count: Callable[[int], None], pipeline: str | None
) -> http.server.ThreadingHTTPServer:
    told = {"manner": manner, "count": staticmethod(count), "pipeline": pipeline}
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), told))
    made.daemon_threads = True
    return made


@dataclass(slots=True)
class Receiver:
    """A receiver that runs: where, and the frames it was told of so far."""

    url: str
    count: Callable[[], int]


@contextlib.contextmanager
def on_thread(manner: Manner, pipeline: str | None = None) -> Iterator[Receiver]:
    """A receiver on a thread of this process."""
    if manner == "dead":
        yield Receiver(NOBODY, lambda: 0)
        return
    frames: list[int] = []
    running = _server(manner, frames.append, pipeline)
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield Receiver(f"http://127.0.0.1:{running.server_address[1]}", lambda: sum(frames))
    finally:
        running.shutdown()
        running.server_close()


@contextlib.contextmanager
def apart(manner: Manner, pipeline: str | None = None) -> Iterator[Receiver]:
    """A receiver in a process of its own, so that it takes no interpreter lock from who is measured."""
    if manner == "dead":
        yield Receiver(NOBODY, lambda: 0)
        return
    port, frames = multiprocessing.Value("i", 0), multiprocessing.Value("q", 0)
    process = multiprocessing.Process(target=_serve, args=(manner, port, frames, pipeline), daemon=True)
    process.start()
    while not port.value:
        time.sleep(0.01)
    try:
        yield Receiver(f"http://127.0.0.1:{port.value}", lambda: int(frames.value))
    finally:
        process.kill()
        process.join()


def _serve(manner: Manner, port: Any, frames: Any, pipeline: str | None) -> None:
    def count(more: int) -> None:
        with frames.get_lock():
            frames.value += more

    running = _server(manner, count, pipeline)
    port.value = running.server_address[1]
    running.serve_forever()
