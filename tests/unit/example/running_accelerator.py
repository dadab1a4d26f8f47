"""A running software accelerator, as the example starts it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ultrasound import children
from ultrasound.accelerator_client import AcceleratorAway, AcceleratorClient


class Running:
    """An accelerator process and where it listens."""

    def __init__(self, directory: Path, mode: str) -> None:
        self.socket = directory / "a.sock"
        self.status_page = directory / "a.status"
        self._mode = mode
        self.start()

    def start(self) -> None:
        self.process: subprocess.Popen[bytes] = children.start(
            "ultrasound.accelerator",
            *("--socket", str(self.socket), "--status-page", str(self.status_page), "--mode", self._mode),
        )
        probe = self.client("test")
        until(lambda: answers(probe) or self.process.poll() is not None)
        assert self.process.poll() is None, "it ended at once"
        probe.close()

    def client(self, name: str, timeout: float = 5.0) -> AcceleratorClient:
        return AcceleratorClient(self.socket, name, timeout=timeout)


def answers(client: AcceleratorClient) -> bool:
    try:
        client.run("despeckle", np.zeros((8, 8), np.uint8))
    except AcceleratorAway:
        return False
    return True


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that is to happen; fail where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
