"""Do these addresses answer? A health check with Python's own library, for images that bring no such tool.

``python answers.py ADDRESS…``: ``http://…`` is asked with GET and must answer with a status below 300;
``unix:/path/to/socket:/path`` likewise over a Unix socket. Exit status 0 when all do, else 1 with the reason.
"""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 3.0


class OverUnixSocket(http.client.HTTPConnection):
    """HTTP to the server behind a socket file."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(self._path)


def status(address: str) -> int:
    """The HTTP status of one address. Raises ``OSError``, ``ValueError`` or ``HTTPException``."""
    if address.startswith("unix:"):
        _, file, path = address.split(":", 2)
        connection: http.client.HTTPConnection = OverUnixSocket(file)
    else:
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("expected http://HOST:PORT/PATH or unix:FILE:PATH")
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        path = parts.path
    try:
        connection.request("GET", path or "/")
        return connection.getresponse().status
    finally:
        connection.close()


def main(addresses: Sequence[str]) -> int:
    failed = []
    for address in addresses:
        try:
            answered = status(address)
        except (OSError, ValueError, http.client.HTTPException) as error:
            failed.append(f"{address}: {error}")
        else:
            if answered >= 300:
                failed.append(f"{address}: status {answered}")
    sys.stdout.writelines(f"{line}\n" for line in failed)
    return 1 if failed or not addresses else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
