"""The software accelerator for a run, and the faults that are its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import numpy as np
from faults import Fault
from scripted_nvml import DEVICE

from framescope.probes.device import GpuWork
from ultrasound import children
from ultrasound.accelerator_client import AcceleratorAway, AcceleratorClient

CLOCK = 0.3

LARGEST = 1 << 23
"""Pixels of the largest image that is copied."""


class Graphics:
    """One accelerator process and this process's connection to it."""

    def __init__(self, directory: Path, what: str) -> None:
        """``what`` is run (``programmes.What``): with ``nvml`` and ``stub`` it tells what NVML tells, with
        ``stub`` under the name that NVML's own library has for it."""
        self.socket, self.status_page = directory / "socket", directory / "status"
        places = ("--socket", str(self.socket), "--status-page", str(self.status_page))
        mode = "nvml" if what in ("nvml", "stub") else "full"
        self._child = children.start("ultrasound.accelerator", *places, "--mode", mode)
        kind = NamedByNvml if what == "stub" else AcceleratorClient
        self.client = kind(self.socket, "truth", timeout=5.0, max_pixels=LARGEST)

    def __enter__(self) -> Graphics:
        for _ in range(200):
            try:
                self.client.run("copy", np.zeros((8, 8), np.uint8))
                return self
            except AcceleratorAway:
                time.sleep(0.05)
        raise SystemExit("the software accelerator did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        children.stop(self._child)

    def fault(self, kind: str) -> Fault | None:
        """One of the accelerator's own faults; None where it is none of them."""
        if kind == "other client":
            return Client(self.socket)
        return Clock(self.socket) if kind == "clocked down" else None


class NamedByNvml(AcceleratorClient):
    """Times work as of the device that the scripted NVML tells of."""

    def collect(self) -> list[GpuWork]:
        return [work._replace(device=DEVICE) for work in super().collect()]


class Client:
    """Another process keeps the accelerator busy: no child of this one, whose children count as its own."""

    def __init__(self, socket: Path) -> None:
        command = (sys.executable, "-m", "ultrasound.neighbours", "client", "--socket", str(socket))
        self._orders = subprocess.Popen(
            ["sh", "-c", 'exec 3<&0; "$@" <&3 3<&- &', "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._orders.wait()

    def start(self) -> None:
        self._tell("go")

    def stop(self) -> None:
        self._tell("halt")

    def _tell(self, order: str) -> None:
        assert self._orders.stdin is not None
        self._orders.stdin.write(f"{order}\n".encode())
        self._orders.stdin.flush()

    def close(self) -> None:
        assert self._orders.stdin is not None
        self._orders.stdin.close()  # then it ends


class Clock:
    """The accelerator's clock is held back."""

    def __init__(self, socket: Path) -> None:
        self._control = AcceleratorClient(socket, "clock-control", max_pixels=1)

    def start(self) -> None:
        self._control.set_clock(CLOCK)

    def stop(self) -> None:
        self._control.set_clock(1.0)

    def close(self) -> None:
        self._control.close()
