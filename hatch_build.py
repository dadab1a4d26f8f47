"""Builds the compiled core (``framescope/_core.c``) with the C compiler that is here; without one, or where
it does not fit, the package is pure Python and does the same.

``FRAMESCOPE_BUILD_CORE=0`` leaves it out, ``=1`` makes a failure an error.
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

SOURCE = Path("instrumentation") / "framescope" / "_core.c"


def why_not() -> str:
    """Why the core is not for this interpreter; empty where it is."""
    if os.environ.get("FRAMESCOPE_BUILD_CORE") == "0":
        return "switched off"
    if not sys.platform.startswith("linux"):
        return "it reads Linux's scheduler"
    if sys.implementation.name != "cpython":
        return "it is written for CPython"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it relies on the interpreter lock"
    return ""


def compile_core(source: Path, folder: Path) -> Path:
    """The shared library, in ``folder``. Raises ``OSError`` or ``CalledProcessError`` where that fails."""
    library = folder / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
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


class CoreHook(BuildHookInterface):
    """Puts the core into a wheel, or beside its source for an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        reason = why_not()
        if not reason:
            source = Path(self.root) / SOURCE
            folder = source.parent if version == "editable" else Path(tempfile.mkdtemp())
            try:
                library = compile_core(source, folder)
            except (OSError, subprocess.CalledProcessError) as error:
                if os.environ.get("FRAMESCOPE_BUILD_CORE") == "1":
                    raise
                told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
                reason = told[-1] if told else "the compiler failed"
            else:
                if version != "editable":
                    build_data["force_include"][str(library)] = f"framescope/{library.name}"
                    build_data["pure_python"] = False
                    build_data["infer_tag"] = True
                return
        self.app.display_warning(
            f"framescope: without the compiled core ({reason}); all works, a little slower"
        )
