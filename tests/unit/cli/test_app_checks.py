"""What `framescope doctor` says of the app's side."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from framescope.config import resolve
from framescope.doctor import Scene
from framescope_ui import checks, settings


def no_files(path: Path) -> str:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def configured(data_dir: Path, port: int = 8050) -> Any:
    environ = {"FRAMESCOPE_DATA_DIR": str(data_dir), "FRAMESCOPE_UI_PORT": str(port)}
    table = settings.every_setting(environ, Path("/home/somebody"))
    return resolve(table, environ=environ, read_file=no_files)


def test_a_store_that_answers_is_ok_and_says_where_it_listens(tmp_path: Path) -> None:
    finding = checks.store(configured(tmp_path), lambda path: {"grpc_port": 4317, "http_port": 4318})
    assert finding.status == "ok"
    assert "grpc_port 4317" in finding.found


def test_no_store_is_fine_where_another_backend_is_used(tmp_path: Path) -> None:
    def ask(path: Path) -> Mapping[str, Any]:
        raise FileNotFoundError(2, "No such file or directory")

    finding = checks.store(configured(tmp_path), ask)
    assert finding.status == "skip" and "framescope store" in finding.change


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(111, "refused"), TimeoutError("slow"), ValueError("odd")]
)
def test_a_store_that_left_its_socket_behind_or_hangs_is_unreachable(
    tmp_path: Path, error: Exception
) -> None:
    def ask(path: Path) -> Mapping[str, Any]:
        raise error

    finding = checks.store(configured(tmp_path), ask)
    assert (finding.status, finding.unreachable) == ("fail", True)


@pytest.mark.parametrize(("status", "said"), [(200, "ok"), (404, "fail")])
def test_the_app_must_answer_as_the_app_does(tmp_path: Path, status: int, said: str) -> None:
    assert checks.app(configured(tmp_path), lambda host, port: status).status == said


def test_no_app_is_fine(tmp_path: Path) -> None:
    def fetch(host: str, port: int) -> int:
        raise ConnectionRefusedError(111, "refused")

    assert checks.app(configured(tmp_path), fetch).status == "skip"


def test_a_port_held_by_something_that_speaks_no_http_is_a_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 not a page\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        finding = checks.app(configured(tmp_path, listener.getsockname()[1]), checks.fetch_health)
        thread.join()
    assert (finding.status, finding.unreachable) == ("fail", True)


def test_a_data_directory_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert checks.data_directory(configured(tmp_path / "file" / "below")).status == "fail"
    assert checks.data_directory(configured(tmp_path / "new" / "below")).status == "ok"


def test_a_configuration_that_cannot_be_used_is_a_finding_for_each_fault() -> None:
    scene = Scene({"FRAMESCOPE_UI_PORT": "x", "FRAMESCOPE_PROT": "1"}, no_files, lambda host, port: None)
    assert [finding.status for finding in checks.checks(scene)] == ["fail", "fail"]
