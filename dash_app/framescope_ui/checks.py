"""What `framescope doctor` looks at on the app's side: its configuration, the store, the page server."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from framescope.config import ConfigError, Configuration, resolve
from framescope.doctor import Finding, Scene
from framescope_ui import settings
from framescope_ui.store.address import socket_path

TIMEOUT_SECONDS: Final = 3.0
Ask = Callable[[Path], Mapping[str, Any]]
"""The status the store behind a socket tells of itself; raises `OSError` or `ValueError`."""
Fetch = Callable[[str, int], int]
"""HTTP status of the app's ``/healthz`` at host and port; raises `OSError` or `ValueError`."""


def checks(scene: Scene) -> list[Finding]:
    """All checks of the app's side."""
    table = settings.every_setting(scene.environ, Path.home())
    try:
        found = resolve(table, environ=scene.environ, read_file=scene.read_file)
        settings.thresholds(found)
    except ConfigError as error:
        return [
            Finding("app configuration", "fail", problem, "correct it there") for problem in error.problems
        ]
    return [data_directory(found), store(found, ask_status), app(found, fetch_health)]


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
