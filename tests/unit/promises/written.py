"""Scripts of ``docs/`` that write a document of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def writer(name: str) -> ModuleType:
    """The script ``docs/<name>.py``, loaded."""
    path = Path(__file__).parents[3] / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
