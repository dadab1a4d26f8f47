"""The software accelerator's memory: what its clients hold, and nothing of those that left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
from running_accelerator import Running, until

from framescope.probes.software_accelerator import StatusFile
from ultrasound import children
from ultrasound.accelerator import MAX_SHAPES

SHAPE = (480, 640)
HELD = 2 * 480 * 640
"""Bytes: an image and its result."""


@pytest.fixture(scope="module", params=["full", "nvml"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp(request.param), request.param)
    yield running
    children.stop(running.process)


def held(running: Running) -> int | None:
    page = StatusFile(running.status_page)
    status = page.read()
    page.close()
    return None if status is None else status.memory_bytes


def test_it_returns_to_0_as_clients_leave(running: Running) -> None:
    until(lambda: held(running) == 0)
    one, other = running.client("one"), running.client("other")
    one.run("despeckle", np.zeros(SHAPE, np.uint8))
    other.run("segment", np.zeros(SHAPE, np.uint8))
    until(lambda: held(running) == 2 * HELD)
    one.close()
    until(lambda: held(running) == HELD)
    other.close()
    until(lambda: held(running) == 0)


def test_the_demo_s_neighbour_leaves_when_it_is_told_to_halt(running: Running) -> None:
    neighbour = children.start("ultrasound.neighbours", "client", "--socket", str(running.socket))
    try:
        for _ in range(2):
            tell(neighbour, "go")
            until(lambda: bool(held(running)))
            tell(neighbour, "halt")
            until(lambda: held(running) == 0)
    finally:
        children.stop(neighbour)


def test_a_client_that_is_killed_holds_nothing(running: Running) -> None:
    neighbour = children.start("ultrasound.neighbours", "client", "--socket", str(running.socket))
    tell(neighbour, "go")
    until(lambda: bool(held(running)))
    neighbour.kill()
    neighbour.wait()
    until(lambda: held(running) == 0)


def test_images_of_ever_new_sizes_do_not_pile_up(running: Running) -> None:
    client = running.client("one")
    for width in range(100, 100 + 3 * MAX_SHAPES):
        client.run("despeckle", np.zeros((100, width), np.uint8))
    until(
        lambda: (
            held(running) == sum(2 * 100 * (100 + width) for width in range(2 * MAX_SHAPES, 3 * MAX_SHAPES))
        )
    )
    client.close()


def tell(neighbour: subprocess.Popen[bytes], order: str) -> None:
    assert neighbour.stdin is not None
    neighbour.stdin.write(f"{order}\n".encode())
    neighbour.stdin.flush()
