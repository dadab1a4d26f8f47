"""NVML's own library, scripted: it tells of the software accelerator what a driver would tell of a GPU.

The library of ``tests/unit/probes/nvml_stub.c`` is loaded under the name that pynvml asks for; a thread
copies the accelerator's status page into its script, six times a second, as NVML averages.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from functools import cache
from pathlib import Path
from types import TracebackType

from framescope.probes.software_accelerator import Status, StatusFile

STUB = Path(__file__).parents[1] / "unit" / "probes" / "nvml_stub.c"
NAME = "libnvidia-ml.so.1"
DEVICE = "GPU-0000-0"
"""How the scripted library calls its first GPU."""
THROTTLE_FIELD = 269
"""NVML's count of ns that the clocks were held back by software, for the temperature."""
OTHER_FIELDS = (74, 76, 270, 271)
CLOCK_MHZ = 1980
STEP_S = 1 / 6


@cache
def _library() -> ctypes.CDLL:
    """The library, built and loaded: whoever asks for its name from now on gets this one. Raises ``OSError``
    without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise OSError("no C compiler, so the scripted NVML cannot be built")
    with tempfile.TemporaryDirectory() as directory:
        built = Path(directory) / NAME
        flags = ("-shared", "-fPIC", f"-Wl,-soname,{NAME}")
        subprocess.run([compiler, *flags, "-o", str(built), str(STUB)], check=True)
        return ctypes.CDLL(str(built))


class ScriptedNvml:
    """Has the library tell of one status page while entered."""

    def __init__(self, directory: Path, status_page: Path) -> None:
        self._script = directory / "nvml"
        self._page = StatusFile(status_page)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._write({})
        os.environ["NVML_STUB"] = str(self._script)
        _library()

    def __enter__(self) -> ScriptedNvml:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(1.0)
        self._page.close()

    def _copy(self) -> None:
        last: Status | None = None
        held_ns = 0
        while not self._ended.wait(STEP_S):
            status = self._page.read()
            if status is not None and last is not None and status.sampled_ns > last.sampled_ns:
                held_ns += status.gated_ns - last.gated_ns
                self._write(told(last, status, held_ns))
            last = status

    def _write(self, lines: dict[str, int]) -> None:
        fresh = self._script.with_suffix(".new")
        fresh.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        fresh.replace(self._script)


def told(last: Status, now: Status, held_ns: int) -> dict[str, int]:
    """The script's lines: load, load by process, clock, and how long the clock was held back."""
    window_ns = now.sampled_ns - last.sampled_ns
    busy_ns, gated_ns = now.busy_ns - last.busy_ns, now.gated_ns - last.gated_ns
    used = Counter({one.pid: 0 for one in now.clients})  # one process may be several clients
    for status, sign in ((now, 1), (last, -1)):
        for one in status.clients:
            used[one.pid] += sign * one.busy_ns
    lines = {
        "sample": min(100, 100 * busy_ns // window_ns),
        "clock_mhz": CLOCK_MHZ * max(0, busy_ns - gated_ns) // busy_ns if busy_ns > 0 else CLOCK_MHZ,
        f"value.{THROTTLE_FIELD}": held_ns,
        f"type.{THROTTLE_FIELD}": 3,
    }
    lines |= {f"value.{field}": 0 for field in OTHER_FIELDS}
    for place, (pid, amount) in enumerate(used.most_common(2)):
        lines |= {f"pid.{place}": pid, f"use.{place}": min(100, 100 * amount // window_ns)}
    return lines
