"""The health check of the images: `deploy/compose/answers.py`."""

from __future__ import annotations

import http.server
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[3] / "deploy" / "compose" / "answers.py"


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ready" else 503)
        self.end_headers()

    def address_string(self) -> str:
        return "somebody"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def check(*addresses: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, str(CHECK), *addresses], capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_healthy_when_all_answer(server: str) -> None:
    assert check(f"{server}/ready", f"{server}/ready") == (0, "")


def test_one_that_is_not_ready_is_named(server: str) -> None:
    assert check(f"{server}/ready", f"{server}/busy") == (1, f"{server}/busy: status 503\n")


def test_one_that_is_away_is_named(server: str) -> None:
    status, said = check(f"{server}/ready", "http://127.0.0.1:1/")
    assert status == 1
    assert said.startswith("http://127.0.0.1:1/: ")


def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socketserver.UnixStreamServer(str(path), Ready) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert check(f"unix:{path}:/ready") == (0, "")
        assert check(f"unix:{path}:/busy")[0] == 1
        server.shutdown()
    assert check(f"unix:{tmp_path / 'none'}:/ready")[0] == 1


@pytest.mark.parametrize("address", ["", "127.0.0.1:80", "https://127.0.0.1/", "unix:only"])
def test_what_is_no_address_is_no_health(address: str) -> None:
    assert check(address)[0] == 1


def test_nothing_to_ask_is_no_health() -> None:
    assert check()[0] == 1
