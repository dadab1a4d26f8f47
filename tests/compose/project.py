"""One run of the compose file: a profile brought up under a name and on ports of its own."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from engine import Engine, Failed
from programs import ROOT, free_ports

COMPOSE: Final = ROOT / "deploy" / "compose" / "compose.yaml"
PROFILES: Final = ("tempo", "demo", "gpu", "jaeger", "jaeger-demo", "embedded", "embedded-demo")
NAME: Final = "framescope-test"
HEALTHY_SECONDS: Final = 120.0
_OF_IT: Final = f"label=com.docker.compose.project={NAME}"
_GET: Final = """
import sys, urllib.request, urllib.error
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=20)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
sys.stdout.write(answer.read().decode())
"""


def images_named() -> list[str]:
    """Every image the compose file names."""
    described: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return sorted({service["image"] for service in described["services"].values()})


@dataclass
class Project:
    """Containers of one profile. Entering it waits until all are healthy; leaving it removes all."""

    engine: Engine
    profile: str
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0

    def __enter__(self) -> Project:
        self.port, grpc, http = free_ports(3)
        self.environment = {
            "FRAMESCOPE_UI_PORT": str(self.port),
            "FRAMESCOPE_OTLP_GRPC_PORT": str(grpc),
            "FRAMESCOPE_OTLP_HTTP_PORT": str(http),
        }
        try:
            self._compose("up", "--detach", "--no-build")
            self._until_healthy()
        except BaseException:
            self._down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._down()

    def containers(self) -> list[dict[str, Any]]:
        """Each container as ``docker inspect`` tells it."""
        names = self.engine.run("ps", "--all", "--quiet", "--filter", _OF_IT).split()
        return [self.engine.inspect(name) for name in names]

    def execute(self, service: str, *command: str) -> str:
        """What a command says inside a service's container. Raises ``Failed`` where it fails."""
        of_it = ("--filter", _OF_IT, "--filter", f"label=com.docker.compose.service={service}")
        container = self.engine.run("ps", "--quiet", *of_it).strip()
        return self.engine.run("exec", container, *command)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of the app's answer, on the port it is published at."""
        said = self.engine.reach(
            sys.executable, "-c", _GET, f"http://127.0.0.1:{self.port}{path}", check=False
        )
        status, _, body = said.partition("\n")
        return int(status or 0), body

    def ask(self, path: str) -> Any:
        """The app's JSON answer, or None where it has none (yet)."""
        status, body = self.get(path)
        return json.loads(body) if status == 200 else None

    def leftovers(self) -> list[str]:
        """Containers, volumes and networks that are still there."""
        return [
            *self.engine.run("ps", "--all", "--quiet", "--filter", _OF_IT).split(),
            *self.engine.run("volume", "ls", "--quiet", "--filter", _OF_IT).split(),
            *self.engine.run("network", "ls", "--quiet", "--filter", _OF_IT).split(),
        ]

    def logs(self) -> str:
        """The last that each container said."""
        names = self.engine.run("ps", "--all", "--format", "{{.Names}}", "--filter", _OF_IT).split()
        return "\n".join(f"--- {name}\n{self.engine.output('logs', '--tail', '12', name)}" for name in names)

    def _compose(self, *arguments: str) -> str:
        given = ("--project-name", NAME, "--profile", self.profile, *arguments)
        return self.engine.compose(COMPOSE, *given, environment=self.environment)

    def _down(self) -> None:
        self._compose("down", "--volumes")

    def _until_healthy(self) -> None:
        deadline = time.monotonic() + HEALTHY_SECONDS
        while True:
            states = {one["Name"].lstrip("/"): _state(one) for one in self.containers()}
            if states and all(state in ("running", "healthy") for state in states.values()):
                return
            if time.monotonic() > deadline:
                raise Failed(f"{self.profile} is not healthy: {states}\n{self.logs()}")
            time.sleep(1)


def _state(container: dict[str, Any]) -> str:
    state = container["State"]
    health = state.get("Health")
    if state["Status"] != "running":
        return f"{state['Status']} (status {state['ExitCode']})"
    return str(health["Status"]) if health else "running"
