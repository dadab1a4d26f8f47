"""The compiled core (``_core.c``), where it was built: the same behaviour for less of the host's time.

``FRAMESCOPE_COMPILED=0`` leaves it alone. Where it is missing, of another version, or this is no Linux, the
Python it stands for is used.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Final

VERSION: Final = 2
"""What ``_core.c`` must say it is: one built from an older file is not used."""


def load() -> ModuleType | None:
    """The core, or None."""
    if not sys.platform.startswith("linux") or os.environ.get("FRAMESCOPE_COMPILED") == "0":
        return None
    try:
        core = importlib.import_module("framescope._core")
    except ImportError:
        return None
    return core if getattr(core, "VERSION", None) == VERSION else None


core: Final = load()
