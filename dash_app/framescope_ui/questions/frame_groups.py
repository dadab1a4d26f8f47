"""Slow frames in groups: by cause, by stage, by what the frames were of (content attributes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from framescope import signals
from framescope_ui.backends.protocols import FrameQuery
from framescope_ui.questions.frame_item import item_of
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS, Stores
from framescope_ui.questions.views import FrameItem

GroupedBy = Literal["cause", "stage", "attribute"]
MOST_KEPT: Final = 1000
"""Kept frames read to group them by stage: what a store gives at once."""
MOST_VALUES: Final = 12
"""Values of one attribute told apart; those of the fewest slow frames are left out, and that is said."""


@dataclass(frozen=True, slots=True)
class Group:
    """Frames that have something in common: ``name`` is the cause, the stage or the attribute's value, ``of``
    the attribute. ``frames`` in all that have it, None where only slow ones tell (a stage, a cause). Lost is
    latency beyond that of the usual on-time frame of all; ``main_cause`` has most of the slow ones."""

    name: str
    frames: int | None
    slow: int
    lost_seconds: float
    median_seconds: float | None
    main_cause: str | None
    of: str | None = None

    @property
    def slow_share(self) -> float | None:
        """Which part of its frames was slow."""
        return self.slow / self.frames if self.frames else None


def groups_of(frames: Latencies, by: GroupedBy) -> list[Group]:
    """The groups of all frames, most time lost first: by cause, or by each content attribute they tell."""
    usual = _usual_ns(frames)
    if by == "cause":
        cause = np.array([one or "unknown" for one in frames.cause.tolist()], dtype=str)
        found = [
            replace(_group(frames, frames.slow & (cause == name), usual, name), frames=None, main_cause=name)
            for name in np.unique(cause[frames.slow]).tolist()
        ]
        return sorted(found, key=lambda one: -one.lost_seconds)
    found = []
    for attribute, texts in frames.attributes.items():
        values = [
            _group(frames, texts.place == place, usual, name, attribute)
            for place, name in enumerate(texts.names)
            if name
        ]
        values = [one for one in values if one.frames]
        found += sorted(values, key=lambda one: (-one.slow, -(one.frames or 0)))[:MOST_VALUES]
    return found


def left_out(frames: Latencies) -> list[str]:
    """What ``groups_of`` leaves out of attributes, in sentences."""
    many = {name: len(texts.names) for name, texts in frames.attributes.items()}
    return [
        f"{name} has {count} values; the {MOST_VALUES} with the most slow frames are shown."
        for name, count in many.items()
        if count > MOST_VALUES
    ]


async def stage_groups(stores: Stores, query: FrameQuery) -> tuple[list[Group], list[str]]:
    """The guilty stages of the kept frames that fit the query, and what that leaves out, in sentences. Only
    kept frames tell a stage. Raises ``BackendError``."""
    page = await stores.traces.frames(replace(query, limit=MOST_KEPT, cursor=None))
    items = [item_of(row) for row in page.frames]
    by_stage: dict[str, list[FrameItem]] = {}
    for item in items:
        by_stage.setdefault(item.stage or "none named", []).append(item)
    groups = [_of_items(name, some) for name, some in by_stage.items()]
    missing = [f"Stages are told by the {len(items)} frames kept whole"]
    if page.next_cursor is not None:
        first = "longest" if query.order == "duration" else "newest"
        missing = [f"Stages are told by the {first} {len(items)} of the frames kept whole"]
    return sorted(groups, key=lambda one: -one.lost_seconds), [f"{missing[0]}, not by all frames."]


def _of_items(name: str, items: Sequence[FrameItem]) -> Group:
    causes = [item.cause or "unknown" for item in items]
    known = [item.latency_seconds for item in items if item.latency_seconds is not None]
    return Group(
        name=name,
        frames=None,
        slow=len(items),
        lost_seconds=sum(item.lost_seconds or 0.0 for item in items),
        median_seconds=float(np.median(known)) if known else None,
        main_cause=max(sorted(set(causes)), key=causes.count) if causes else None,
    )


def _usual_ns(frames: Latencies) -> float:
    on_time = frames.latency_ns[frames.outcome == signals.OUTCOMES["on_time"]]
    return float(np.median(on_time)) if on_time.size else float(frames.budget_ns or 0)


def _group(
    frames: Latencies, which: npt.NDArray[np.bool_], usual: float, name: str, of: str | None = None
) -> Group:
    mine = frames.only(which)
    slow = mine.only(mine.slow)
    causes = [cause or "unknown" for cause in slow.cause.tolist()]
    return Group(
        name=name,
        frames=len(mine),
        slow=len(slow),
        lost_seconds=float(np.maximum(slow.latency_ns - usual, 0).sum()) / NS,
        median_seconds=mine.quantile_seconds(0.5),
        main_cause=max(sorted(set(causes)), key=causes.count) if causes else None,
        of=of,
    )
