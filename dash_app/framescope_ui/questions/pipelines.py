"""Which pipelines can be looked at."""

from __future__ import annotations

from collections.abc import Sequence

from framescope_ui.questions.stores import NS, Stores
from framescope_ui.questions.views import Choice

LOOK_BACK_SECONDS = 24 * 3600
"""How long after its last sign of life a pipeline can still be picked."""
ACTIVE_SECONDS = 15.0
"""A pipeline heard of within this long is running: twice the slowest usual export, and some."""


async def pipelines(stores: Stores, now_ns: int) -> list[Choice]:
    """The pipelines of the last day; the running ones first, by name, then the others, newest first.

    Raises ``BackendError`` where the trace store does not answer.
    """
    refs = await stores.traces.pipelines(now_ns - LOOK_BACK_SECONDS * NS, now_ns + NS)
    newest: dict[tuple[str, str], int | None] = {}
    for ref in refs:
        key = (ref.service, ref.pipeline)
        heard = [t for t in (newest.get(key), ref.newest_ns) if t is not None]
        newest[key] = max(heard, default=None)
    choices = [
        Choice(service, pipeline, None if at is None else max(0.0, (now_ns - at) / NS))
        for (service, pipeline), at in newest.items()
    ]
    return sorted(choices, key=_order)


def _order(choice: Choice) -> tuple[int, float, str, str]:
    age = choice.newest_age_seconds
    if age is not None and age <= ACTIVE_SECONDS:
        return (0, 0.0, choice.service, choice.pipeline)
    return (1, age if age is not None else float("inf"), choice.service, choice.pipeline)


def picked(choices: Sequence[Choice], service: str | None, pipeline: str | None) -> Choice | None:
    """The first choice that fits what was asked for; None where none does."""
    for choice in choices:
        if service in (None, choice.service) and pipeline in (None, choice.pipeline):
            return choice
    return None
