"""Runs the emitter's tests under every other Python that is found: ``make test-pythons``.

They are looked for on PATH by name, or given on the command line. One that is missing is said and passed
over; none at all is a failure. A free-threaded build gets what there are packages for: no store to send the
examples' frames to, and no gRPC.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "dev.txt"
NAMES = ("python3.12", "python3.13", "python3.14", "python3.13t", "python3.14t")
EMITTER = tuple(
    f"tests/unit/{name}" for name in ("recorder", "agent", "judge", "probes", "testing", "platforms")
)
WITH_A_STORE = ("tests/safety", "tests/ways")
NO_LOCK = (
    "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "psutil", "nvidia-ml-py", "numpy",
    "pytest", "pytest-asyncio", "pytest-timeout", "prometheus-client",
    "hypothesis<6.131",  # later ones hold compiled code that is not there for every free-threaded Python
)  # fmt: skip
ASK = (
    "import sys, sysconfig; print(sys.version.split()[0], bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
)


def main(given: list[str]) -> int:
    ran = [(name, tried(name)) for name in given or NAMES]
    found = {name: passed for name, passed in ran if passed is not None}
    for name, passed in ran:
        print(f"{name:<12} {'not found here' if passed is None else 'passed' if passed else 'FAILED'}")
    return 0 if found and all(found.values()) else 1


def tried(name: str) -> bool | None:
    """Whether the tests passed; None where there is no such interpreter."""
    where = shutil.which(name)
    if where is None:
        return None
    told = subprocess.run([where, "-c", ASK], capture_output=True, text=True, check=True).stdout
    version, free = told.split()[0], told.split()[1] == "True"
    home = ROOT / ".venv" / "pythons" / f"{version}{'t' if free else ''}"
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([where, "-m", "venv", str(home)], check=True)
    packages = NO_LOCK if free else ("--requirement", str(LOCK))
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    subprocess.run(install, check=True)
    # Without what it needs: gRPC is not there for every Python. It builds the compiled core where that fits.
    subprocess.run([*install[:6], "--no-deps", "--editable", str(ROOT)], check=True)
    folders = EMITTER if free else (*EMITTER, *WITH_A_STORE)
    print(f"== Python {version}{', free-threaded' if free else ''}", flush=True)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders]
    # As in continuous integration, hypothesis sets no deadline: it knows no slower Python.
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"CI": "true"}, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
