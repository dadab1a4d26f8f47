"""The real servers as processes: found, started on free ports, stopped, killed."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
_UNPACK = ROOT.parent / "shared" / "stack" / "unpack"
_UNPACKED = ROOT / ".stack"
_ALSO_CALLED = {"otelcol": ("otelcol-contrib",), "victoria-metrics": ("victoria-metrics-prod",)}


class Missing(Exception):
    """A program that is not on this machine."""


def find(name: str) -> str:
    """Where a program is: in ``FRAMESCOPE_STACK_BIN``, on PATH, or packed beside the checkout.

    Raises ``Missing``, which says what to install.
    """
    folders = [os.environ["FRAMESCOPE_STACK_BIN"]] if os.environ.get("FRAMESCOPE_STACK_BIN") else []
    for called in (name, *_ALSO_CALLED.get(name, ())):
        for path in (*folders, None):
            found: str | None = shutil.which(called, path=path)
            if found:
                return found
    if _UNPACK.exists():
        subprocess.run([str(_UNPACK), str(_UNPACKED), name], check=True, stdout=subprocess.DEVNULL)
        return str(_UNPACKED / name)
    raise Missing(
        f"no {name}: install it, on PATH or in a folder that FRAMESCOPE_STACK_BIN names "
        "(otelcol is the Collector's contrib distribution)"
    )


def need(*names: str) -> None:
    """Skip where a program is missing; under CI that is a failure."""
    try:
        for name in names:
            find(name)
    except Missing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


_GIVEN: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different, and none of them given before: its program may not run yet."""
    probes: list[socket.socket] = []
    found: list[int] = []
    try:
        while len(found) < count:
            probes.append(socket.socket())
            probes[-1].bind(("127.0.0.1", 0))
            port = int(probes[-1].getsockname()[1])
            if port not in _GIVEN:
                _GIVEN.add(port)
                found.append(port)
        return found
    finally:
        for probe in probes:
            probe.close()


def until(condition: Callable[[], object], what: str, seconds: float = 60.0, pause: float = 0.05) -> None:
    """Wait for a condition; an assertion fails if it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)


def answers(url: str) -> bool:
    """Whether a GET is answered with success."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


class Program:
    """One server: started anew it has the same ports and the same data."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        folder: Path,
        ready: str,
        environment: Mapping[str, str] | None = None,
        executable: str | None = None,
    ) -> None:
        """``ready`` is an address that answers once it is. ``executable`` None: the program of that name."""
        self.name = name
        self.folder = folder
        self._command = [executable or find(name), *arguments]
        self._ready = ready
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{name}.log"
        atexit.register(self.kill)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=self.folder, stdout=log, stderr=log
            )

    def wait_ready(self) -> None:
        """Wait until it says that it is ready."""
        deadline = time.monotonic() + 60
        while not answers(self._ready):
            assert self.running, f"{self.name} ended while starting:\n{self.log()}"
            assert time.monotonic() < deadline, f"{self.name} is not ready after 60 s:\n{self.log()}"
            time.sleep(0.1)

    def stop(self) -> None:
        """End it as a container engine does: asked first, killed where it does not end in time.

        Tempo may wait 30 s for a block it had begun; what it took is on disk by then.
        """
        if self.running:
            assert self._process
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        if self.running:
            assert self._process
            self._process.kill()
            self._process.wait(30)

    def log(self, lines: int = 30) -> str:
        """The end of what it said."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])
