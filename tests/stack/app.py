"""The app as users start it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from programs import Program, free_ports
from stacks import HOST

_COMMAND = "import sys; from framescope_ui.commands import ui; sys.exit(ui(sys.argv[1:]))"


class App(Program):
    """``framescope ui``; ``settings`` are its environment: a stack's ``read_from``, say."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        (port,) = free_ports(1)
        self.url = f"http://{HOST}:{port}"
        super().__init__(
            "app",
            ["-c", _COMMAND, "--host", HOST, "--port", str(port)],
            folder,
            f"{self.url}/healthz",
            {"PYTHONPATH": os.pathsep.join(sys.path), **settings},
            sys.executable,
        )

    def get(self, path: str) -> Any:
        """What its interface answers, whatever the status; None where it does not answer."""
        try:
            return httpx.get(self.url + path, timeout=15, trust_env=False).json()
        except (httpx.HTTPError, ValueError):
            return None

    def away(self) -> set[str] | None:
        """The backends its interface says are away; None where it does not answer."""
        health = self.get("/api/health")
        if not isinstance(health, dict) or "sources" not in health:
            return None
        return {source["name"] for source in health["sources"] if source["status"] == "away"}
