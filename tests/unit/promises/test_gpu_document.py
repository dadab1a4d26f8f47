"""docs/gpu_time.md: its examples run over a scripted driver and stand-ins for packages; reasons are so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_cuda import built

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "gpu_time.md").read_text()
EXAMPLES = re.findall(r"```py\n(.*?)```", TEXT, re.S)
PACKAGES = ROOT / "tests" / "unit" / "probes" / "cuda_packages"
EXPECTED = {"torch": 100, "cupy": 2, "numba": 1, "cuda.core": 1}
"""GPU stages entered in each example."""

AFTERWARDS = """
from framescope.probes import cuda as timing
import json
recorder = pipeline._recorder
library = timing._pairs._driver.hot
print(json.dumps({"timed": seen, "losses": recorder.losses, "violations": library.stub_violations()}))
"""
BEFORE = """
from framescope.probes import cuda as timing
seen = []
collect = timing.CudaTimer.collect
def counted(self):
    works = collect(self)
    seen.extend(work.end_ns - work.start_ns for work in works)
    return works
timing.CudaTimer.collect = counted
"""


def run(program: str, library: Path | None, *packages: Path) -> subprocess.CompletedProcess[str]:
    environ = {
        **os.environ,
        "FRAMESCOPE_AGENT": "thread",
        "PYTHONPATH": os.pathsep.join(str(one) for one in (ROOT / "instrumentation", *packages)),
        "LD_LIBRARY_PATH": "" if library is None else str(library.parent),
    }
    return subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("package", EXPECTED)
def test_an_example_times_its_stages(package: str) -> None:
    name = package.replace(".", r"\.")
    (example,) = [code for code in EXAMPLES if re.search(rf"^(?:from|import) {name}\b", code, re.M)]
    done = run(BEFORE + example + AFTERWARDS, built(), PACKAGES)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["losses"] == {}
    assert told["violations"] == 0
    assert len(told["timed"]) == EXPECTED[package]
    assert all(took >= 100_000 for took in told["timed"])  # the work is on the stream that was timed


def test_every_example_is_tried() -> None:
    assert len(EXAMPLES) == len(EXPECTED)


def test_the_example_file_runs_without_a_gpu_and_says_so() -> None:
    example = (ROOT / "examples" / "ways" / "gpu_stage.py").read_text()
    done = run(example, None)
    assert done.returncode == 0, done.stderr
    assert "no GPU here" in done.stdout
    assert done.stdout.count("GPU stages are recorded by host time alone") == 1


def test_the_reasons_are_those_the_timer_counts() -> None:
    probes = ROOT / "instrumentation" / "framescope" / "probes"
    for name, told in (("cuda.py", r"^\| `(gpu_[a-z_]+)`"), ("cupti.py", r"\(`(gpu_burst_[a-z_]+)`\)")):
        counted = set(re.findall(r'"(gpu_[a-z_]+)"', (probes / name).read_text()))
        assert set(re.findall(told, TEXT, re.M)) - {"gpu_work_missing"} == counted
