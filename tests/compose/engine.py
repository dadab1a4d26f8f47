"""A container engine: the one that runs here, or (as root) one of the test's own that nobody else sees.

The test's own engine keeps everything in one temporary folder. It runs twice: to build images, in this
machine's network without touching its firewall; then to run containers, in a network of its own, where all
ports are free and nothing outside can be reached, an image registry included.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from programs import until

_BOUND: Final = ("setpriv", "--pdeathsig", "TERM", "--", "unshare", "--mount")
"""It ends when we do, however we end; its mounts are its own, and gone with it."""


class CannotRun(Exception):
    """No container engine here; the message says what to do."""


class Engine:
    """Runs ``docker``, ``docker compose`` and, where containers can be reached, any command."""

    def __init__(self, docker: str, address: str | None = None, daemon: int | None = None) -> None:
        self.docker = docker
        self.own = address is not None
        self._environment = {**os.environ, "DOCKER_BUILDKIT": "1", "DOCKER_CLI_HINTS": "false"}
        if address is not None:
            self._environment["DOCKER_HOST"] = address
        self._enter = [] if daemon is None else ["nsenter", f"--net=/proc/{daemon}/ns/net", "--"]

    def run(self, *arguments: str, **more: Any) -> str:
        """``docker`` with these arguments; what it said. Raises where it fails, with its reason."""
        return self._said([self.docker, *arguments], self._environment, **more)

    def reach(self, *command: str, check: bool = True) -> str:
        """Any command, in the network the containers' ports are published to."""
        return self._said([*self._enter, *command], dict(os.environ), check=check)

    def compose(self, file: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """``docker compose`` (2), else ``docker-compose`` (1.29), on one file."""
        # Compose 1.29 asks the engine in its own Python; the environment is all it is told.
        command = [*self._compose_command(), "--file", str(file), *arguments]
        return self._said(command, {**self._environment, **(environment or {})})

    def compose_version(self) -> str:
        return self._said([*self._compose_command(), "version", "--short"], self._environment).strip()

    def output(self, *arguments: str) -> str:
        """Both outputs of ``docker`` with these arguments, and no error."""
        done = subprocess.run(
            [self.docker, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        return done.stdout.decode(errors="replace")

    def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.run("inspect", container))
        return found[0]

    def _compose_command(self) -> list[str]:
        named = os.environ.get("FRAMESCOPE_COMPOSE")
        if named:
            return [named]
        try:
            self._said([self.docker, "compose", "version"], self._environment)
        except Failed:
            alone = shutil.which("docker-compose")
            if alone is None:
                raise CannotRun("no Compose: install docker-compose-v2, or docker-compose 1.29") from None
            return [alone]
        return [self.docker, "compose"]

    @staticmethod
    def _said(command: Sequence[str], environment: Mapping[str, str], check: bool = True, **more: Any) -> str:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=600, **more)
        if check and done.returncode:
            tail = (done.stdout + done.stderr).decode(errors="replace").strip()[-4000:]
            raise Failed(f"{' '.join(command[:6])} … ended with status {done.returncode}:\n{tail}")
        return done.stdout.decode(errors="replace")


class Failed(Exception):
    """A command that failed, with the end of what it said."""


def running_engine() -> Engine | None:
    """The engine that runs on this machine, where there is one."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    engine = Engine(docker)
    try:
        engine.run("info", "--format", "{{.ServerVersion}}")
    except Failed:
        return None
    return engine


def own_client() -> str:
    """A client that can build with BuildKit without a plugin, or has the plugin. Raises `CannotRun`."""
    for docker in (shutil.which("docker"), "/usr/bin/docker"):
        if docker is None or not Path(docker).exists():
            continue
        version = Engine._said([docker, "--version"], os.environ).split()[2]
        with contextlib.suppress(Failed):
            if int(version.split(".")[0]) >= 23:
                Engine._said([docker, "buildx", "version"], os.environ)
            return docker
    raise CannotRun("no docker that can build with BuildKit: install docker.io, or docker-ce with buildx")


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """Where an engine of the test's own keeps everything; short, for the sockets in it."""
    if os.geteuid() != 0:
        raise CannotRun(
            "no container engine answers: start one, or run this as root with docker.io installed"
        )
    for program in ("dockerd", "iptables", "ip", "nsenter", "setpriv", "unshare"):
        if shutil.which(program) is None:
            raise CannotRun(f"no {program}: apt-get install docker.io docker-compose iptables iproute2")
    folder = Path(tempfile.mkdtemp(prefix="fs-docker-", dir="/var/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Engine]:
    """The test's own engine in this machine's network, for builds with ``--network host``."""
    daemon = [*_BOUND, "--", *_daemon(folder), "--bridge=none", "--iptables=false"]
    with _started(folder, daemon) as process:
        yield Engine(own_client(), _address(folder))
        assert process.poll() is None


@contextlib.contextmanager
def secluded(folder: Path) -> Iterator[Engine]:
    """The test's own engine in a network of its own, which ends at its loopback."""
    alone = 'ip link set lo up && exec "$@"'
    daemon = [*_BOUND, "--net", "--", "sh", "-c", alone, "sh", *_daemon(folder), "--bridge=none"]
    with _started(folder, daemon) as process:
        yield Engine(own_client(), _address(folder), daemon=process.pid)


def _daemon(folder: Path) -> list[str]:
    return [
        "dockerd",
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--host", _address(folder), "--pidfile", str(folder / "pid"), "--log-level", "warn"),
    ]


def _address(folder: Path) -> str:
    return f"unix://{folder}/socket"


@contextlib.contextmanager
def _started(folder: Path, daemon: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(daemon, stdout=output, stderr=output, start_new_session=True)
    try:
        engine = Engine(own_client(), _address(folder))

        def answers() -> bool:
            if process.poll() is not None:
                raise CannotRun(f"dockerd ended at once:\n{log.read_text()[-3000:]}")
            with contextlib.suppress(Failed):
                engine.run("info", "--format", "{{.ServerVersion}}")
                return True
            return False

        until(answers, "dockerd answers", 60, pause=0.2)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
