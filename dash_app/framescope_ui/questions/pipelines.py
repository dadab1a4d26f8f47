"""Which pipelines can be looked at."""

from __future__ import annotations

from collections.abc import Sequence

from framescope import signals
from framescope_ui.backends.protocols import BackendError, PipelineRef
from framescope_ui.questions.stores import NS, Stores, Troubles
from framescope_ui.questions.views import Choice

LOOK_BACK_SECONDS = 24 * 3600
"""How long after its last sign of life a pipeline can still be picked."""
LATELY_SECONDS = 120.0
COUNTED_SECONDS = 600
"""How far back pipelines are looked for in the metrics, where the trace store does not answer."""
COUNTED_STEP_SECONDS = 10
ACTIVE_SECONDS = 15.0
"""A pipeline heard of within this long is running: twice the slowest usual export, and some."""


async def pipelines(
    stores: Stores,
    now_ns: int,
    troubles: Troubles | None = None,
    look_back_seconds: float = LOOK_BACK_SECONDS,
) -> list[Choice]:
    """The pipelines of the last day; the running ones first, by name, then the others, newest first, and
    `framescope doctor`'s own test last.

    Where the trace store does not answer, those that the metric store has counted frames of lately. Raises
    the trace store's ``BackendError`` where that does not answer either, or is the same store. Who did not
    answer is noted in ``troubles``.
    """
    troubles = troubles or Troubles()
    try:
        refs = await stores.traces.pipelines(now_ns - int(look_back_seconds * NS), now_ns + NS)
    except BackendError as error:
        troubles.met(error)
        if stores.metrics.name == stores.traces.name:
            raise
        try:
            refs = await _counted(stores, now_ns)
        except BackendError as other:
            troubles.met(other)
            raise error from None
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


async def _counted(stores: Stores, now_ns: int) -> list[PipelineRef]:
    """The pipelines with a frame in the last minutes, as the counter of frames tells."""
    start_ns, end_ns = now_ns - COUNTED_SECONDS * NS, now_ns + NS
    found = await stores.metrics.increase(
        signals.FRAME_COUNT, {}, start_ns, end_ns, COUNTED_STEP_SECONDS * NS
    )
    refs: list[PipelineRef] = []
    for one in found:
        service, pipeline = (
            one.attributes.get(signals.SERVICE_NAME),
            one.attributes.get(signals.FRAME_PIPELINE),
        )
        grew = [t for t, n in zip(one.times_ns, one.values, strict=True) if n > 0]
        if service is not None and pipeline is not None and grew:
            refs.append(PipelineRef(service, pipeline, min(grew[-1], now_ns)))
    return refs


def _order(choice: Choice) -> tuple[int, float, str, str]:
    age = choice.newest_age_seconds
    if choice.service == signals.TRIAL_SERVICE:
        return (2, 0.0, choice.service, choice.pipeline)
    if age is not None and age <= ACTIVE_SECONDS:
        return (0, 0.0, choice.service, choice.pipeline)
    return (1, age if age is not None else float("inf"), choice.service, choice.pipeline)


async def chosen(
    stores: Stores, now_ns: int, service: str | None, pipeline: str | None, troubles: Troubles | None = None
) -> Choice | None:
    """The first pipeline that fits what was asked for; None where none does.

    One heard of lately goes before all older ones, so the whole day is asked for only where there is none: a
    day takes a trace server seconds to search.
    """
    choice = None
    for seconds in (LATELY_SECONDS, LOOK_BACK_SECONDS):
        choice = picked(await pipelines(stores, now_ns, troubles, seconds), service, pipeline)
        if choice is not None and choice.service != signals.TRIAL_SERVICE:
            break
    return choice


def picked(choices: Sequence[Choice], service: str | None, pipeline: str | None) -> Choice | None:
    """The first choice that fits what was asked for; None where none does."""
    for choice in choices:
        if service in (None, choice.service) and pipeline in (None, choice.pipeline):
            return choice
    return None
