"""What `framescope doctor` looks at on the app's side: its settings, the backends, the page server."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from framescope.config import ConfigError, Configuration, resolve
from framescope.doctor import Finding, Scene
from framescope.trial import Trial
from framescope_ui import settings
from framescope_ui.backend_checks import examined
from framescope_ui.connections import Connection, connection, open_stores
from framescope_ui.questions.stores import Stores
from framescope_ui.store.address import socket_path
from framescope_ui.trial_checks import follow

TIMEOUT_SECONDS: Final = 3.0
Ask = Callable[[Path], Mapping[str, Any]]
"""The status the store behind a socket tells of itself; raises `OSError` or `ValueError`."""
Fetch = Callable[[str, int], int]
"""HTTP status of the app's ``/healthz`` at host and port; raises `OSError` or `ValueError`."""


def checks(scene: Scene) -> list[Finding]:
    """All checks of the app's side."""
    table = settings.every_setting(scene.environ, Path.home())
    try:
        found = resolve(table, environ=scene.environ, read_file=scene.read_file, file=scene.config)
        settings.thresholds(found)
        connections = (
            connection(found, "traces", scene.read_file),
            connection(found, "metrics", scene.read_file),
        )
        stores = open_stores(found)
    except ConfigError as error:
        return [
            Finding("app configuration", "fail", problem, "correct it there") for problem in error.problems
        ]
    findings: list[Finding] = []
    if any(where.access is None for where in connections):
        findings += [data_directory(found), store(found, ask_status)]
    if any(where.access is not None for where in connections) or scene.trial is not None:
        findings += asyncio.run(_of_backends(found, connections, stores, scene.trial))
    return [*findings, app(found, fetch_health)]


async def _of_backends(
    found: Configuration, connections: tuple[Connection, Connection], stores: Stores, trial: Trial | None
) -> list[Finding]:
    try:
        # First, so that what has arrived is looked at when the test frame has.
        followed = [] if trial is None else await follow(trial, stores.traces, stores.metrics, time.time_ns)
        asked = await examined(found, connections, stores.traces, stores.metrics, time.time_ns())
        return [*asked, *followed]
    finally:
        await stores.aclose()


def data_directory(found: Configuration) -> Finding:
    """Can the store keep its files where it is told to?"""
    folder = found.path("data_dir")
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        change = "set data_dir (--data-dir, FRAMESCOPE_DATA_DIR) to a directory you may write"
        return Finding("data directory", "fail", f"{folder} cannot be written", change)
    return Finding(
        "data directory", "ok", f"{folder}" + ("" if folder.exists() else " (made when first used)")
    )


def store(found: Configuration, ask: Ask) -> Finding:
    """Does the embedded store answer on its socket?"""
    data_dir = found.path("data_dir")
    path = socket_path(data_dir)
    try:
        status = ask(path)
    except FileNotFoundError:
        change = "start `framescope store` (or `framescope demo`) where no other backend is used"
        return Finding("store", "skip", f"no store runs on {data_dir}", change)
    except (OSError, ValueError, http.client.HTTPException) as error:
        change = "the store is gone or hangs: start `framescope store` again with this data directory"
        return Finding("store", "fail", f"{path}: {error}", change, unreachable=True)
    listening = ", ".join(f"{name} {status[name]}" for name in ("grpc_port", "http_port") if name in status)
    return Finding("store", "ok", f"answers on {path}" + (f" ({listening})" if listening else ""))


def app(found: Configuration, fetch: Fetch) -> Finding:
    """Does the app answer on its port?"""
    host, port = found.text("ui.host"), found.whole("ui.port")
    try:
        status = fetch(host, port)
    except ConnectionRefusedError:
        change = "start `framescope ui` (or `framescope demo`) where the pages are wanted"
        return Finding("app", "skip", f"nothing listens on {host}:{port}", change)
    except (OSError, ValueError, http.client.HTTPException) as error:
        change = f"something holds {host}:{port} that does not answer: end it, or choose another --port"
        return Finding("app", "fail", f"{host}:{port}: {error}", change, unreachable=True)
    if status != http.client.OK:
        change = f"another program may hold port {port}: end it, or choose another --port"
        return Finding("app", "fail", f"{host}:{port}/healthz answers {status}", change, unreachable=True)
    return Finding("app", "ok", f"http://{host}:{port} answers")


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))


def ask_status(path: Path) -> Mapping[str, Any]:
    connection = _SocketConnection(path)
    try:
        connection.request("GET", "/status")
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise ValueError(f"/status answers {answer.status}")
        status = json.loads(answer.read())
    finally:
        connection.close()
    if not isinstance(status, dict):
        raise ValueError("/status is not an object")
    return status


def fetch_health(host: str, port: int) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()
