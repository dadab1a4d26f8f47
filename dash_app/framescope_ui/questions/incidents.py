"""Incidents: slow frames that belong together, what they cost, and what came right before them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from framescope import signals
from framescope.judge.incidents import Incident, SlowFrame
from framescope.judge.incidents import incidents as gathered
from framescope_ui.backends.protocols import Mark
from framescope_ui.questions.every_frame import latencies
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS, Stores, Troubles, seconds

LOOK_BACK_NS: Final = 10 * NS
"""What happened longer before an incident than this is not called its trigger."""
AFTER_NS: Final = NS // 4
"""A change is marked when it is done: its first slow frame may have begun before."""
OTHERS: Final = 8
"""Pipelines beside the one asked of whose incidents are looked at as triggers."""
OTHERS_UP_TO_NS: Final = 900 * NS
"""Of a longer range other pipelines are not looked at: reading an hour of each takes seconds on Tempo."""
GOING_ON_NS: Final = 3 * NS
"""An incident whose last slow frame is no older than this at the end of the range may go on beyond it."""


@dataclass(frozen=True, slots=True)
class CauseShare:
    """What one cause has of an incident."""

    cause: str
    frames: int
    lost_seconds: float


@dataclass(frozen=True, slots=True)
class Trigger:
    """What came right before an incident; that it was the cause is not said. ``kind`` is ``mark`` or
    ``pipeline``."""

    kind: str
    text: str
    before_seconds: float


@dataclass(frozen=True, slots=True)
class IncidentItem:
    """One incident. ``going_on``: it reaches the end of the range, and may go on. ``frames`` in all that were
    due in it, ``slow`` and ``dropped`` ones of them; lost is latency beyond that of the range's usual on-time
    frame. ``worst_frame`` is the id of the frame that lost most, ``worst_start`` when it was due (unix s)."""

    start: float
    end: float
    going_on: bool
    cause: str
    frames: int
    slow: int
    dropped: int
    lost_seconds: float
    shares: Sequence[CauseShare]
    worst_frame: int
    worst_start: float
    worst_latency_seconds: float
    trigger: Trigger | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Incidents:
    """The incidents of a range, newest first. ``cut_before``: frames before then were not looked at;
    ``missing``: in sentences, what may have come before them and was not looked at."""

    incidents: Sequence[IncidentItem]
    cut_before: float | None = None
    missing: Sequence[str] = ()


async def incidents(stores: Stores, service: str, pipeline: str, start: float, end: float) -> Incidents:
    """The incidents of a pipeline in ``[start, end)`` unix seconds. Raises ``BackendError``.

    What else went on is asked of the same stores; where they do not answer, no trigger is named.
    """
    start_ns, end_ns = int(start * NS), int(end * NS)
    frames, cut_ns = await latencies(stores, service, pipeline, start_ns, end_ns)
    return await incidents_of(stores, service, pipeline, frames, start_ns, end_ns, cut_ns)


async def incidents_of(
    stores: Stores,
    service: str,
    pipeline: str,
    frames: Latencies,
    start_ns: int,
    end_ns: int,
    cut_ns: int | None = None,
) -> Incidents:
    """The same of frames that were read already; ``cut_ns``: frames before then were not."""
    cut = None if cut_ns is None else seconds(cut_ns)
    # Off the event loop: an hour with a storm every few seconds would hold up every other viewer.
    storms = await asyncio.to_thread(lambda: gathered(slow_among(frames)))
    if not storms:
        return Incidents((), cut)
    of_marks, of_others = Troubles(), Troubles()
    marks, others = await asyncio.gather(
        of_marks.answer_or(stores.traces.marks(service, start_ns - LOOK_BACK_NS, end_ns), []),
        of_others.answer_or(_elsewhere(stores, service, pipeline, start_ns, end_ns), []),
    )
    missing = [
        f"{what} before them are not known: {error.backend} did not answer ({error.reason})"
        for what, troubles in (("changes", of_marks), ("incidents of other pipelines", of_others))
        for error in troubles.all
    ]
    if end_ns - start_ns > OTHERS_UP_TO_NS:
        missing.append(
            f"other pipelines were not looked at, the range is above {OTHERS_UP_TO_NS // NS // 60} min"
        )
    return Incidents(await asyncio.to_thread(told, storms, frames, marks, others, end_ns), cut, missing)


def told(
    storms: Sequence[Incident],
    frames: Latencies,
    marks: Sequence[Mark],
    others: Sequence[tuple[str, Incident]],
    end_ns: int,
) -> list[IncidentItem]:
    """Storms among frames, newest first, with what came before each. ``others`` are incidents of other
    pipelines, by name."""
    found = []
    for one in reversed(storms):
        first, last = np.searchsorted(frames.due_ns, (one.start_ns, one.end_ns))
        count = int(last - first)
        dropped = int((frames.outcome[first:last] == signals.OUTCOMES["dropped"]).sum())
        trigger = trigger_of(one, marks, others)
        found.append(
            IncidentItem(
                start=seconds(one.start_ns),
                end=seconds(one.end_ns),
                going_on=end_ns - one.end_ns < GOING_ON_NS,
                cause=one.cause,
                frames=count,
                slow=one.frames,
                dropped=dropped,
                lost_seconds=seconds(one.lost_ns),
                shares=[CauseShare(cause, n, seconds(lost)) for cause, n, lost in one.by_cause],
                worst_frame=one.worst.id,
                worst_start=seconds(one.worst.start_ns),
                worst_latency_seconds=seconds(one.worst.end_ns - one.worst.start_ns),
                trigger=trigger,
                sentence=sentence(one, count, dropped, trigger),
            )
        )
    return found


def slow_among(frames: Latencies) -> list[SlowFrame]:
    """The slow frames as the judge gathers them: lost is what each took beyond the usual on-time frame, or
    beyond the budget where none was on time."""
    on_time = frames.latency_ns[frames.outcome == signals.OUTCOMES["on_time"]]
    usual = int(np.median(on_time)) if on_time.size else (frames.budget_ns or 0)
    slow = frames.only(frames.slow)
    return [
        SlowFrame(number, due, due + latency, cause or "unknown", max(0, latency - usual))
        for number, due, latency, cause in zip(
            slow.frame_id.tolist(), slow.due_ns.tolist(), slow.latency_ns.tolist(), slow.cause.tolist(),
            strict=True,
        )
    ]  # fmt: skip


def trigger_of(
    incident: Incident, marks: Sequence[Mark], others: Sequence[tuple[str, Incident]]
) -> Trigger | None:
    """The last thing known to have happened right before: a change, or another pipeline's incident."""
    earliest, latest = incident.start_ns - LOOK_BACK_NS, incident.start_ns + AFTER_NS
    known = [
        (mark.time_ns, "mark", mark.text)
        for mark in marks
        if mark.of_a_change and earliest <= mark.time_ns <= latest
    ]
    known += [
        (other.start_ns, "pipeline", f"{name} became slow ({signals.CAUSES[other.cause].title})")
        for name, other in others
        if earliest <= other.start_ns < incident.start_ns and other.cause in signals.CAUSES
    ]
    if not known:
        return None
    at, kind, text = max(known)
    return Trigger(kind, text, (incident.start_ns - at) / NS)


def sentence(incident: Incident, frames: int, dropped: int, trigger: Trigger | None) -> str:
    """An incident in words."""
    known = signals.CAUSES.get(incident.cause)
    name = known.title if known is not None else incident.cause
    lasted = (incident.end_ns - incident.start_ns) / NS
    said = f"{incident.frames} of {frames} frames slow within {lasted:.1f} s"
    if incident.lost_ns:
        share = incident.by_cause[0][2] / incident.lost_ns
        said += f", {incident.lost_ns / NS:.2f} s lost in all, {100 * share:.0f} % of it to {name}"
    if dropped:
        said += f"; {dropped} dropped"
    if trigger is not None:
        when = "right after" if trigger.before_seconds < 1 else f"{trigger.before_seconds:.0f} s after"
        said += f"; {when} “{trigger.text}”" if trigger.kind == "mark" else f"; {when} {trigger.text}"
    return said + "."


async def _elsewhere(
    stores: Stores, service: str, pipeline: str, start_ns: int, end_ns: int
) -> list[tuple[str, Incident]]:
    if end_ns - start_ns > OTHERS_UP_TO_NS:
        return []
    known = await stores.traces.pipelines(start_ns, end_ns)
    others = list(dict.fromkeys((one.service, one.pipeline) for one in known))
    asked = [one for one in others if one != (service, pipeline)][:OTHERS]
    found = await asyncio.gather(*(_incidents_of(stores, *one, start_ns, end_ns) for one in asked))
    return [pair for pairs in found for pair in pairs]


async def _incidents_of(
    stores: Stores, service: str, pipeline: str, start_ns: int, end_ns: int
) -> list[tuple[str, Incident]]:
    frames, _ = await latencies(stores, service, pipeline, start_ns - LOOK_BACK_NS, end_ns)
    return [(f"{service} / {pipeline}", incident) for incident in gathered(slow_among(frames))]
