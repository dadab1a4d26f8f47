"""Causes of your own: what only you can tell of a slow frame, named in its verdict like any other.

A cause is a function over the judge's frame: it answers how much of the frame, in ns, it owns beyond what
is usual, by stage. It comes before the host's plain evidence and takes its part out of its family's:
no nanosecond is explained twice. ``framescope.causes`` is where they are registered from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from framescope import signals
from framescope.judge.model import Frame

Told = Mapping[str | None, int]
"""ns by stage; None: wherever the time between stages, or no stage, lost it."""
POOL_OF: Final = {"cpu": "cpu_ns", "blocked": "blocked_ns"}
"""The family's plain evidence, which a cause of it takes its part from."""
MOST: Final = 32
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{2,39}")


@dataclass(frozen=True, slots=True)
class OwnCause:
    """A registered cause. ``says`` is the end of the verdict's sentence, with ``{stage}``."""

    name: str
    parent: str
    tell: Callable[[Frame], Told]
    says: str


registered: Final[dict[str, OwnCause]] = {}
failed: Final[dict[str, int]] = {}
"""How often a cause's function raised, by its name: the agent counts these as internal errors."""


def register(
    name: str,
    tell: Callable[[Frame], Told],
    *,
    title: str,
    says: str = "{stage} took longer",
    parent: str = "blocked",
    meaning: str = "",
) -> None:
    """Add a cause. ``tell`` gets every frame that is judged, and should take no more than some µs.

    ``title`` is shown; ``parent`` is the family it belongs to: ``blocked``, ``cpu`` or ``gpu``. Raises
    ``ValueError`` for a name that is taken or no word, and for a family that is none.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"cause {name!r}: use a to z, 0 to 9 and _, 3 to 40 of them, a letter first")
    if name in signals.CAUSES:
        raise ValueError(f"cause {name!r} is there already")
    if parent not in ("cpu", "blocked", "gpu"):
        raise ValueError(f"cause {name!r}: family {parent!r} is none of blocked, cpu, gpu")
    if len(registered) >= MOST:
        raise ValueError(f"at most {MOST} causes of your own; {name!r} is one too many")
    try:
        says.format(stage="")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"cause {name!r}: says may hold {{stage}} and no other braces") from error
    signals.add_cause(name, title, parent, meaning or title)
    registered[name] = OwnCause(name, parent, tell, says)


def forget(name: str) -> None:
    """Take a cause away again, for tests."""
    del registered[name]
    signals.remove_cause(name)


def told_of(frame: Frame) -> list[tuple[OwnCause, Told]]:
    """What each cause says of a frame; one that raises says nothing, and is counted."""
    found: list[tuple[OwnCause, Told]] = []
    for one in registered.values():
        try:
            told = {stage: max(0, int(ns)) for stage, ns in one.tell(frame).items()}
        except Exception:
            failed[one.name] = failed.get(one.name, 0) + 1
            continue
        if any(told.values()):
            found.append((one, told))
    return found
