"""The real pynvml over a scripted `libnvidia-ml.so.1` that is compiled here.

Each program runs in a process of its own, because pynvml loads the library once a process. It gets
``script(**lines)`` (see nvml_stub.c; ``__`` stands for the dot), ``wait(seconds)`` which moves all clocks
ahead without taking the time (after ``real_time()`` it takes it), ``nvml``, ``read()``, ``told(field)``, and
prints its findings as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
INSTRUMENTATION = HERE.parents[2] / "instrumentation"
LIBRARIES = {"whole": [], "without_samples": ["-DWITHOUT_SAMPLES"], "old": ["-DOLD_DRIVER"]}
Run = Callable[..., Any]

FRAME = """
import ctypes, json, logging, os, sys, time
from pathlib import Path
from framescope.probes.nvml import NvmlProbe, Tiers
from framescope.probes.nvml.people import People
from framescope.probes.nvml.stamps import Clocks

logged = []
class Keep(logging.Handler):
    def emit(self, record): logged.append(record.getMessage())
logging.getLogger("framescope").addHandler(Keep())
logging.getLogger("framescope").setLevel(logging.INFO)

SECOND = 1_000_000_000
lines = {}
def script(**changes):
    lines.update({name.replace("__", ".").removeprefix("at."): value for name, value in changes.items()})
    text = "".join(f"{name} {value}\\n" for name, value in lines.items() if value is not None)
    Path(os.environ["NVML_STUB"] + ".new").write_text(text)
    os.replace(os.environ["NVML_STUB"] + ".new", os.environ["NVML_STUB"])
script()

# Time stands still but for ``wait``, here and in the driver.
UNIX_NS, BOOT_NS = 1_800_000_000 * SECOND, 7_000 * SECOND
ahead_ns = 0
def wait(seconds):
    global ahead_ns
    ahead_ns += round(seconds * SECOND)
    script(unix_us=(UNIX_NS + ahead_ns) // 1000, boot_us=(BOOT_NS + ahead_ns) // 1000,
           elapsed_us=ahead_ns // 1000)
clocks = Clocks(lambda: 1_000 * SECOND + ahead_ns, lambda: UNIX_NS + ahead_ns, lambda: BOOT_NS + ahead_ns)
wait(0)

def real_time():
    # From here on time is the machine's, and reading takes it.
    global clocks, wait
    clocks = Clocks()
    wait = time.sleep
    script(unix_us=None, boot_us=None, elapsed_us=None)
every_time = Tiers(1, 1, 1, 1, 1, 1, events=False)
def again(tiers=every_time, people=None):
    global nvml
    nvml = NvmlProbe(os.getpid(), tiers, clocks, people)
again()
def read(after=0.5):
    wait(after)
    return nvml.read(clocks.monotonic())
def told(name, readings):
    found = [getattr(r, name) for r in readings if getattr(r, name) not in (None, {}, ())]
    return found[-1] if found else None
def asked(function):
    return ctypes.CDLL("libnvidia-ml.so.1").stubCalls(function.encode())
"""


@pytest.fixture(scope="session")
def nvml_libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("no C compiler: these tests must run under CI")
        pytest.skip("no C compiler, so the scripted libnvidia-ml.so.1 cannot be built")
    folder = tmp_path_factory.mktemp("nvml")
    for name, options in LIBRARIES.items():
        (folder / name).mkdir()
        built = str(folder / name / "libnvidia-ml.so.1")
        flags = ["-shared", "-fPIC", "-Wall", "-Werror", *options]
        subprocess.run([compiler, *flags, "-o", built, str(HERE / "nvml_stub.c")], check=True)
    (folder / "none").mkdir()
    return folder


@pytest.fixture
def nvml(nvml_libraries: Path, tmp_path: Path) -> Run:
    """Runs a program beside the library of this name; returns what it printed."""

    def run(program: str, library: str = "whole", frame: str = FRAME) -> Any:
        environ = {
            **os.environ,
            "LD_LIBRARY_PATH": str(nvml_libraries / library),
            "NVML_STUB": str(tmp_path / "script"),
            "PYTHONPATH": str(INSTRUMENTATION),
        }
        done = subprocess.run(
            [sys.executable, "-c", frame + textwrap.dedent(program)],
            env=environ, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
