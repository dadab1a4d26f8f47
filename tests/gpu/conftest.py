"""Tests that need a real NVIDIA GPU: skipped without one, unless REQUIRE_GPU=1 says that there must be one.

What they measure goes to bench-results/gpu.json, with the device and the driver it was measured on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest
from burst import Burst, NoBurst

RESULTS = Path(__file__).parents[2] / "bench-results" / "gpu.json"


def _without() -> str | None:
    """Why there is no GPU here; None where there is one."""
    try:
        pynvml.nvmlInit()
        try:
            return None if pynvml.nvmlDeviceGetCount() else "the driver has no GPU"
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        return str(error)


def _missing(reason: str) -> None:
    if os.environ.get("REQUIRE_GPU"):
        pytest.fail(f"REQUIRE_GPU is set, and there is no GPU to test on: {reason}")
    pytest.skip(f"no NVIDIA GPU here: {reason}")


@pytest.fixture(scope="session", autouse=True)
def gpu() -> None:
    """A real GPU, or no test."""
    reason = _without()
    if reason is not None:
        _missing(reason)


@pytest.fixture(scope="session")
def burst(gpu: None) -> Iterator[Burst]:
    """Something that keeps it busy."""
    try:
        made = Burst()
    except NoBurst as error:
        _missing(f"no kernel runs: {error}")
    else:
        with made:
            yield made


@pytest.fixture(scope="session")
def figures(gpu: None) -> Iterator[dict[str, Any]]:
    """What was measured, by name; written when all tests are over."""
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    measured: dict[str, Any] = {
        "device": str(pynvml.nvmlDeviceGetName(handle)),
        "driver": str(pynvml.nvmlSystemGetDriverVersion()),
        "cores": os.cpu_count(),
        "load_1_min": os.getloadavg()[0],
    }
    pynvml.nvmlShutdown()
    yield measured
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n")
