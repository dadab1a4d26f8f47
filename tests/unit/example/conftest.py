"""What the example's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from running_accelerator import Running

from ultrasound import children, cine, jpeg
from ultrasound.jpeg import Image


@pytest.fixture(scope="session")
def accelerator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests that leave it as it was."""
    running = Running(tmp_path_factory.mktemp("full"), "full")
    yield running
    children.stop(running.process)


@pytest.fixture(scope="session")
def _fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("fragile"), "full")
    yield running
    children.stop(running.process)


@pytest.fixture
def fragile(_fragile: Running) -> Running:
    """One to be killed; it is up when the test begins."""
    if _fragile.process.poll() is not None:
        _fragile.start()
    return _fragile


@pytest.fixture(scope="session")
def grey() -> Image:
    return np.asarray(cv2.cvtColor(jpeg.decode(cine.load().fragment(3)), cv2.COLOR_BGR2GRAY), np.uint8)
