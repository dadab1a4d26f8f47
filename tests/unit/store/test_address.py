"""Where the query socket is."""

from __future__ import annotations

import os
from pathlib import Path

from framescope_ui.store.address import socket_path


def test_it_is_inside_the_data_directory(tmp_path: Path) -> None:
    assert socket_path(Path("/data/x")).parent.parent == Path("/data/x")
    assert socket_path(tmp_path / "a" / ".." / "b") == socket_path(tmp_path / "b")


def test_a_long_directory_gives_a_short_path_of_its_own() -> None:
    one, other = (Path("/") / ("x" * 90) / name for name in ("a", "b"))
    assert len(os.fsencode(socket_path(one))) <= 100
    assert socket_path(one) != socket_path(other)
    assert socket_path(one) == socket_path(one)
