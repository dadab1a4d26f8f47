"""A real store process for tests: started, asked, stopped, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from framescope_ui.store.address import socket_path

_ROOT = Path(__file__).resolve().parents[2]


class StoreProcess:
    """One store on free ports with its data in ``data_dir``."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        self.data_dir = data_dir
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None
        self.grpc_port = 0
        self.http_port = 0

    def start(self) -> StoreProcess:
        """Start it and wait until it listens."""
        self._process = spawn(self.data_dir, *self._flags)
        give_up = time.monotonic() + 60
        while True:
            assert self._process.poll() is None, "the store ended while starting"
            try:
                said = self.status()
                break
            except httpx.TransportError:
                assert time.monotonic() < give_up, "the store did not start"
                time.sleep(0.05)
        self.grpc_port, self.http_port = said["grpc_port"], said["http_port"]
        return self

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def url(self) -> str:
        """Where OTLP over HTTP goes."""
        return f"http://127.0.0.1:{self.http_port}"

    def status(self) -> dict[str, Any]:
        """What it says of itself."""
        transport = httpx.HTTPTransport(uds=str(socket_path(self.data_dir)))
        with httpx.Client(transport=transport, base_url="http://store", timeout=30) as client:
            said: dict[str, Any] = client.get("/status").json()
            return said

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as a user would; its exit code."""
        assert self._process
        self._process.send_signal(number)
        return self._process.wait(timeout=30)

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        assert self._process
        self._process.kill()
        self._process.wait(timeout=30)

    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None


def spawn(data_dir: Path, *flags: str, **options: Any) -> subprocess.Popen[bytes]:
    """The store's command, on free ports unless ``flags`` say otherwise."""
    paths = [str(_ROOT / "instrumentation"), str(_ROOT / "dash_app")]
    command = [sys.executable, "-m", "framescope_ui.store", "--data-dir", str(data_dir)]
    return subprocess.Popen(
        [*command, "--grpc-port", "0", "--http-port", "0", *flags],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        **options,
    )
