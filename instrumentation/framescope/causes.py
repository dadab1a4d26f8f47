"""Causes of your own, from modules of your own.

A module that is named by ``emitter.causes`` (``FRAMESCOPE_CAUSES=my_causes``) is imported by the agent, which
judges, and by the app, which shows; it calls ``register``. docs/verdict.md has an example.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable

from framescope.judge.model import Frame
from framescope.judge.own_causes import Told, register

__all__ = ["Frame", "Told", "load", "register"]


def load(modules: Iterable[str]) -> list[str]:
    """Import the modules that register causes. What cannot be imported is logged, and answered as sentences;
    everything else goes on."""
    problems: list[str] = []
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            problems.append(f"the causes of {module!r} are not known: {type(error).__name__}: {error}")
            logging.getLogger("framescope").warning("%s", problems[-1])
    return problems
