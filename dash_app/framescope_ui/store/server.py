"""The store process: OTLP receivers, the writer, the query socket, and their orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import uvicorn
from starlette.applications import Starlette

from .address import socket_path
from .arrivals import Arrivals
from .grpc_receiver import PortTaken, grpc_receiver
from .http_receiver import http_receiver
from .query_socket import query_socket
from .schema import BATCH, FRAME, HISTOGRAM, POINT, SPAN
from .sealing import Sealer
from .segments import DirectoryInUse, Segments
from .tally import Tally
from .writer import Writer

_log = logging.getLogger(__name__)

FINE: Final = 0
CANNOT_START: Final = 2
_SWITCH_SECONDS: Final = 0.0005
"""How long a thread that stores may keep one that answers from running. With Python's own 5 ms the 100
slowest frames took 132 ms during ingest, so 87."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where the store keeps its files, where it listens, and how much it keeps.

    Ports may be 0 for any free one; ``status`` tells which. ``retention_bytes`` bounds all files
    together, ``max_body_bytes`` one request after unpacking.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    grpc_port: int = 4317
    http_port: int = 4318
    retention_seconds: float = 3 * 86_400
    retention_bytes: int = 2 * 2**30
    segment_seconds: float = 600
    max_body_bytes: int = 16 * 2**20


class CannotStart(RuntimeError):
    """The store cannot start here; the message says why and what to do."""


def run(options: StoreOptions) -> int:
    """Run the store until SIGINT or SIGTERM. Answers the exit code: 0, or 2 when it could not start.

    The process is the store's own: from here on what it makes on disk is for its user alone.
    """
    os.umask(0o077)
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        asyncio.run(serve(options))
    except CannotStart as error:
        print(f"framescope store: {error}", file=sys.stderr)  # noqa: T201 (a command's own message)
        return CANNOT_START
    return FINE


async def serve(options: StoreOptions, ready: asyncio.Event | None = None) -> None:
    """Run the store until a signal comes. Sets ``ready`` once everything listens.

    Raises ``CannotStart`` when a port or the data directory is taken or not usable.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tally = Tally()
    try:
        segments = Segments(
            options.data_dir,
            segment_seconds=options.segment_seconds,
            retention_seconds=options.retention_seconds,
            retention_bytes=options.retention_bytes,
            now_s=time.time,
        )
    except DirectoryInUse as error:
        raise CannotStart(str(error)) from None
    except (OSError, duckdb.Error) as error:
        raise CannotStart(f"cannot use {options.data_dir} for data: {error}") from None
    async with contextlib.AsyncExitStack() as closing:
        closing.callback(segments.close)
        sealer = Sealer(segments, greatest_bytes=options.retention_bytes // 8)
        closing.callback(sealer.close)
        arrivals = Arrivals()
        writer = Writer(segments, tally, arrived=arrivals.note)
        closing.callback(writer.close)
        http_socket = _tcp(options.host, options.http_port)
        closing.callback(http_socket.close)
        try:
            grpc, grpc_port = grpc_receiver(
                writer, tally, options.max_body_bytes, options.host, options.grpc_port
            )
        except PortTaken:
            raise _port_taken(options.host, options.grpc_port, "--grpc-port") from None
        path = socket_path(options.data_dir)
        unix_socket = _unix(path)
        closing.callback(path.unlink, missing_ok=True)
        closing.callback(unix_socket.close)
        begun = time.monotonic()

        def status() -> dict[str, Any]:
            return _status(options, segments, tally, begun, grpc_port, http_socket.getsockname()[1])

        servers = [
            (_server(http_receiver(writer, tally, options.max_body_bytes)), http_socket),
            (_server(query_socket(segments, tally, status, arrivals)), unix_socket),
        ]
        serving = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers]
        await grpc.start()
        _log.info(
            "listening for OTLP on %s: gRPC %d, HTTP %d; data in %s",
            options.host,
            grpc_port,
            http_socket.getsockname()[1],
            options.data_dir,
        )
        if ready:
            ready.set()
        # What has been loaded stays: looking through it again and again took a twentieth of the store's time.
        gc.collect()
        gc.freeze()
        await _either(stop.wait(), *serving)
        gc.unfreeze()  # else the engine's own objects are never let go, which it complains of at the very end
        _log.info("closing")
        await grpc.stop(grace=2)
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*serving, return_exceptions=True)


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _server(app: Starlette) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",  # two servers, one process: what they say of starting twice is noise
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
            server_header=False,
        )
    )


async def _either(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    tasks[0].cancel()


def _tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == 98 or isinstance(error, PermissionError):
            raise _port_taken(host, port, "--http-port") from None
        raise CannotStart(f"cannot listen on {host}:{port}: {error}") from None
    return listener


def _unix(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_uid != os.getuid():
        raise CannotStart(f"{path.parent} belongs to somebody else: move the data directory")
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)  # left by a store that was killed; this one owns the directory now
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    return listener


def _port_taken(host: str, port: int, flag: str) -> CannotStart:
    return CannotStart(
        f"port {port} on {host} is in use or not allowed: stop what listens there "
        f"(a Collector, another store?), or choose another with {flag}"
    )


def _status(
    options: StoreOptions, segments: Segments, tally: Tally, begun: float, grpc_port: int, http_port: int
) -> dict[str, Any]:
    """What the store says of itself; times in unix ns, None where there is no data."""
    known = segments.all()
    newest = {
        table.name: max(
            (one.covers[table.name][1] for one in known if table.name in one.covers), default=None
        )
        for table in (FRAME, BATCH, POINT, HISTOGRAM, SPAN)
    }
    return {
        "pid": os.getpid(),
        "uptime_seconds": time.monotonic() - begun,
        "data_dir": str(options.data_dir),
        "host": options.host,
        "grpc_port": grpc_port,
        "http_port": http_port,
        "segments": len(known),
        "bytes": sum(segment.bytes_on_disk() for segment in known),
        "retention_seconds": options.retention_seconds,
        "retention_bytes": options.retention_bytes,
        "newest_ns": newest,
        "set_aside": list(segments.set_aside),
        "counts": tally.snapshot(),
    }
