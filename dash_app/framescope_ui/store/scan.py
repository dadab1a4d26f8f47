"""A trace request read by the compiled scanner (``_scan.c``), where it was built and the request is plain.

It makes no objects of spans and attributes that nobody looks into, and looks through a body without the
interpreter lock. Where it is missing, of another version, or ``FRAMESCOPE_COMPILED=0`` says so, everything is
read in Python, with the same rows.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from framescope import signals

VERSION: Final = 1
"""What ``_scan.c`` must say it is: one built from an older file is not used."""

HOT: Final = frozenset(
    {
        signals.FRAME_OUTCOME,
        signals.FRAME_SLOW,
        signals.FRAME_PIPELINE,
        signals.FRAME_ID,
        signals.FRAME_KEPT,
        signals.FRAME_CAUSE_NAME,
        signals.FRAME_CAUSE_CONFIDENCE,
        signals.FRAME_LOST_TOTAL,
        signals.FRAME_OVERRUN_TOTAL,
        signals.FRAME_BUDGET_LIMIT,
    }
)
"""Attributes of a frame's root that the store reads."""

Blame: TypeAlias = tuple[str, float]
"""A stage and its seconds."""
ScannedFrame: TypeAlias = tuple[
    bytes, int, int, bool, dict[str, Any], bytes, bytes, Blame | None, Blame | None
]
"""Trace id, start and latency in ns, whether the root's status is an error, its hot attributes, its bytes,
the other spans as a ScopeSpans message, the stage with the greatest loss, the one furthest over its usual
time."""


@dataclass(frozen=True, slots=True)
class ScannedGroup:
    """What a request tells of one resource, whose bytes come first.

    ``frames`` are traces with one frame that has an end; of ``others`` there are each trace's spans as bytes.
    ``spans`` counts those of ``frames``. The rest count spans that cannot be stored.
    """

    resource: bytes
    frames: list[ScannedFrame]
    others: list[list[bytes]]
    spans: int
    rejected: tuple[int, int, int]
    """With an invalid trace id, an invalid span id, a time out of range."""


@dataclass(frozen=True, slots=True)
class ScannedTraces:
    """A trace request that was read by the scanner."""

    groups: list[ScannedGroup]


def load() -> Any:
    """The scanner, or None."""
    if os.environ.get("FRAMESCOPE_COMPILED") == "0":
        return None
    try:
        compiled = importlib.import_module("framescope_ui.store._scan")
    except ImportError:
        return None
    if getattr(compiled, "VERSION", None) != VERSION:
        return None
    return compiled.Scanner(
        frame=signals.SPAN_FRAME,
        told=tuple(sorted(HOT)),
        pipeline=signals.FRAME_PIPELINE,
        stage=signals.FRAME_STAGE_NAME,
        expected=signals.FRAME_STAGE_EXPECTED,
        lost=signals.FRAME_LOST_PREFIX,
        lost_total=signals.FRAME_LOST_TOTAL,
    )


scanner: Final = load()


def scan(body: bytes) -> ScannedTraces | None:
    """What a body holds; None where that is for protobuf to say: it is odd, wrong, or there is no scanner."""
    groups = None if scanner is None else scanner.read(body)
    return None if groups is None else ScannedTraces([ScannedGroup(*group) for group in groups])
