"""Builds the compiled parts (the emitter's core, the store's scanner) with the C compiler that is here;
without one, or where they do not fit, the package is pure Python and does the same.

``FRAMESCOPE_BUILD_CORE=0`` leaves them out, ``=1`` makes a failure an error.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = {
    "framescope": Path("instrumentation") / "framescope" / "_core.c",
    "framescope_ui/store": Path("dash_app") / "framescope_ui" / "store" / "_scan.c",
}
"""By the folder of the wheel that each is for."""


def why_not() -> str:
    """Why they are not for this interpreter; empty where they are."""
    if os.environ.get("FRAMESCOPE_BUILD_CORE") == "0":
        return "switched off"
    if not sys.platform.startswith("linux"):
        return "it is written for Linux"
    if sys.implementation.name != "cpython":
        return "it is written for CPython"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it relies on the interpreter lock"
    return ""


def compiled(source: Path, folder: Path) -> Path:
    """The shared library, in ``folder``. Raises ``OSError`` or ``CalledProcessError`` where that fails."""
    library = folder / f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = sysconfig.get_paths()["include"]
    made = library.with_suffix(f".{os.getpid()}")  # two installations at one time do not meet
    subprocess.run(
        [*compiler[:1], "-O2", "-shared", "-fPIC", "-pthread", f"-I{include}", str(source), "-o", str(made)],
        check=True,
        capture_output=True,
        text=True,
    )
    made.replace(library)
    return library


class CompiledParts(BuildHookInterface):
    """Puts them into a wheel, or beside their sources for an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        reason = why_not()
        if not reason:
            editable = version == "editable"
            elsewhere = None if editable else Path(tempfile.mkdtemp())
            try:
                libraries = {
                    place: compiled(Path(self.root) / source, elsewhere or Path(self.root) / source.parent)
                    for place, source in SOURCES.items()
                }
            except (OSError, subprocess.CalledProcessError) as error:
                if os.environ.get("FRAMESCOPE_BUILD_CORE") == "1":
                    raise
                told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
                reason = told[-1] if told else "the compiler failed"
            else:
                if not editable:
                    for place, library in libraries.items():
                        build_data["force_include"][str(library)] = f"{place}/{library.name}"
                    build_data["pure_python"] = False
                    build_data["infer_tag"] = True
                return
        self.app.display_warning(
            f"framescope: without its compiled parts ({reason}); all works, a little slower"
        )
