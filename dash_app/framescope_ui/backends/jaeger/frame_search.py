"""A question for kept frames as searches: what Jaeger is asked to narrow, and what is cut afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from framescope import signals
from framescope_ui.backends.protocols import FrameQuery, FrameRow

GREATEST_COMBINATIONS: Final = 12
"""Searches side by side for several outcomes and causes; beyond, only the pipeline narrows the search."""

Attributes = dict[str, str]


def narrowings(query: FrameQuery) -> list[Attributes]:
    """The attributes to search with, one set for each outcome and cause: Jaeger joins them by "and"."""
    base = {} if query.pipeline is None else {signals.FRAME_PIPELINE: query.pipeline}
    if len(query.kept) == 1:
        base |= {signals.FRAME_KEPT: query.kept[0]}
    outcomes, causes = dict.fromkeys(query.outcomes), dict.fromkeys(query.causes)
    if max(1, len(outcomes)) * max(1, len(causes)) > GREATEST_COMBINATIONS:
        return [base]
    by_outcome: list[Attributes] = [{signals.FRAME_OUTCOME: outcome} for outcome in outcomes] or [{}]
    by_cause: list[Attributes] = [{signals.FRAME_CAUSE_NAME: cause} for cause in causes] or [{}]
    return [base | outcome | cause for outcome, cause in product(by_outcome, by_cause)]


def is_wanted(row: FrameRow, query: FrameQuery) -> bool:
    """Whether a frame is one that was asked for, its service, start and latency aside."""
    told = row.attributes
    return (
        (query.pipeline is None or told.get(signals.FRAME_PIPELINE) == query.pipeline)
        and (not query.outcomes or told.get(signals.FRAME_OUTCOME) in query.outcomes)
        and (not query.causes or told.get(signals.FRAME_CAUSE_NAME) in query.causes)
        and (not query.kept or told.get(signals.FRAME_KEPT) in query.kept)
        and (query.stage is None or row.stage == query.stage)
    )


def names(query: FrameQuery) -> Iterator[str]:
    """Every name in the question."""
    single: Sequence[str | None] = (query.service, query.pipeline, query.stage)
    yield from (name for name in single if name is not None)
    yield from query.outcomes
    yield from query.causes
    yield from query.kept
