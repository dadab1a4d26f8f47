"""A run beside its replay without faults: what is known of each slow frame, and what was said of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from statistics import median
from typing import Any

import shapes
from programmes import SURE, Episode, Programme, causes_of
from score import CLEARLY_MS, Row, Span

from framescope.agent.keeper import Judged
from framescope.judge.incidents import LEAST, SlowFrame
from framescope.judge.model import Frame

STARTING_S = 2.0
AFTERMATH_S = 0.5
"""A frame this long after an episode is the episode's where it clearly lost time against its replay."""
AROUND = 30
"""Frames before and after one that tell how fast the machine was then: half of a rest between episodes."""


def latencies(frames: Iterable[Judged]) -> dict[int, float]:
    """Every frame's latency by its number, in ms."""
    return {
        one.frame.id: one.frame.latency_ns / 1e6 for one in frames if one.frame.outcome in ("on_time", "slow")
    }


def starting(programme: Programme) -> int:
    """The first frames, which are slow because everything is done for the first time: nothing is known of
    them."""
    return round(STARTING_S * shapes.FPS[programme.shape])


def touches(frame: Frame, spans: Iterable[Span]) -> bool:
    """Whether any of these stretches touches the frame."""
    return any(start < frame.end_ns and frame.due_ns < end for start, end in spans)


def under(programme: Programme, disturbed: Iterable[Judged]) -> Callable[[Frame], list[Episode]]:
    """Tells the episodes that a frame is of: those it began in, or soon after, and those that began while it
    was under way. An episode begins once the frame before its first one is made."""
    after = round(AFTERMATH_S * shapes.FPS[programme.shape])
    started = {one.frame.id: one.frame.start_ns for one in disturbed}

    def of(frame: Frame) -> list[Episode]:
        return [
            one
            for one in programme.episodes
            if frame.id < one.after + after
            and (one.first <= frame.id or frame.end_ns > started.get(one.first - 1, frame.end_ns))
        ]

    return of


def rows(
    programme: Programme,
    disturbed: Sequence[Judged],
    usual: Mapping[int, float],
    crowded: Sequence[Span] = (),
) -> list[Row]:
    """The slow frames with what is known of them. One that nothing was done to is a control. While others
    used the machine (``crowded``) nothing is known."""
    causes, episodes_of = causes_of(programme.shape), under(programme, disturbed)
    found = []
    for one in disturbed:
        frame, verdict = one.frame, one.verdict
        if frame.outcome != "slow" or verdict is None or frame.id not in usual or touches(frame, crowded):
            continue
        if frame.id < starting(programme):
            continue
        injected = frame.latency_ns / 1e6 - usual[frame.id]
        on = episodes_of(frame)
        if on and injected < CLEARLY_MS:
            continue  # slow, but not by this fault
        shares: dict[str, float] = {}
        for share in verdict.shares:
            shares[share.cause] = shares.get(share.cause, 0.0) + share.lost_ns / 1e6
        sure = [one.strength_ms for one in on if one.kind in SURE]
        found.append(
            Row(
                shape=programme.shape,
                what=programme.what,
                seed=programme.seed,
                frame=frame.id,
                kinds=tuple(one.kind for one in on),
                causes=tuple(causes[one.kind] for one in on),
                injected=injected,
                sure=sure[0] if sure and len(on) > 1 else None,
                named=verdict.cause,
                confidence=verdict.confidence,
                lost=verdict.lost_ns / 1e6,
                shares=shares,
                start_ns=frame.start_ns,
                end_ns=frame.end_ns,
            )
        )
    return found


def undisturbed(
    programme: Programme,
    disturbed: Sequence[Judged],
    usual: Mapping[int, float],
    crowded: Sequence[Span] = (),
) -> dict[int, float]:
    """Of each frame that nothing was done to, by its number: its latency less what it takes as a rule, in ms,
    of either sign. It is what the truth is off by."""
    episodes_of = under(programme, disturbed)
    alone = (one for one in disturbed if not touches(one.frame, crowded) and not episodes_of(one.frame))
    return {
        number: latency - usual[number]
        for number, latency in latencies(alone).items()
        if number in usual and number >= starting(programme)
    }


def usual(
    programme: Programme,
    disturbed: Sequence[Judged],
    calm: Iterable[Judged],
    crowded: Sequence[Span] = (),
) -> dict[int, float]:
    """What each frame takes undisturbed, in ms, by its number: its latency in the replay, and what those
    around it that nothing was done to took beyond theirs. The machine is not equally fast at both times: by
    up to 2 ms of a frame's 6."""
    replayed = latencies(calm)
    beyond = undisturbed(programme, disturbed, replayed, crowded)
    if not beyond:
        return replayed
    numbers = sorted(beyond)

    def drift(number: int) -> float:
        at = bisect_left(numbers, number)
        return median(beyond[one] for one in numbers[max(0, at - AROUND) : at + AROUND])

    return {number: latency + drift(number) for number, latency in replayed.items()}


def episodes_told(programme: Programme, disturbed: Sequence[Judged], rows: Sequence[Row]) -> list[Span]:
    """When something was done that made enough frames slow to be an incident (monotonic ns)."""
    by_id = {one.frame.id: one.frame for one in disturbed}
    after = round(AFTERMATH_S * shapes.FPS[programme.shape])
    found = []
    for first, last in sorted({(one.first, one.after) for one in programme.episodes}):
        if sum(first <= row.frame < last + after for row in rows if row.causes) >= LEAST:
            there = [by_id[number] for number in range(first, last + after) if number in by_id]
            found.append((there[0].due_ns, max(one.end_ns for one in there)))
    return found


def slow_frames(
    programme: Programme, disturbed: Sequence[Judged], crowded: Sequence[Span] = ()
) -> list[SlowFrame]:
    """The slow frames of a run, but for its start and what others may have made slow."""
    return [
        SlowFrame(one.frame.id, one.frame.start_ns, one.frame.end_ns, one.verdict.cause, one.verdict.lost_ns)
        for one in disturbed
        if one.frame.outcome == "slow" and one.verdict is not None and not touches(one.frame, crowded)
        if one.frame.id >= starting(programme)
    ]


def details(rows: Sequence[Row], disturbed: Sequence[Judged]) -> Iterable[dict[str, Any]]:
    """Each row with the whole frame that was judged, and the whole verdict."""
    by_id = {one.frame.id: one for one in disturbed}
    for row in rows:
        one = by_id[row.frame]
        yield {"truth": plain(row), "frame": plain(one.frame), "verdict": plain(one.verdict)}


def plain(value: Any) -> Any:
    """A value object as JSON; what is not told is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        told = {one.name: plain(getattr(value, one.name)) for one in fields(value)}
        return {name: one for name, one in told.items() if one is not None}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
