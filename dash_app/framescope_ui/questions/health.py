"""The overall state of a pipeline, and the reason for it.

The state is a fold over the last minutes, second by second: the same readings always give the same
state, whoever asks and however often, and a restarted app finds the state it had. A signal changes its
level only after it has been beyond (or, with a margin, inside) its limit for a while, so that a single
bad second raises nothing and a value on the edge does not flap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

from framescope_ui.questions.sources import missing, trouble
from framescope_ui.questions.thresholds import Limits, Thresholds
from framescope_ui.questions.views import Health, Reason, Source, State


class Level(IntEnum):
    """How bad a signal is."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


STATES: Mapping[Level, State] = {Level.OK: "OK", Level.WARNING: "WARNING", Level.CRITICAL: "CRITICAL"}


@dataclass(frozen=True, slots=True)
class Damping:
    """How long a signal must be beyond a limit to count (s), and inside it, by how much, to be over."""

    rise_seconds: float = 3.0
    fall_seconds: float = 10.0
    margin: float = 0.05
    forget_seconds: float = 15.0
    """Without a reading for this long a signal says nothing any more."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One judged signal: its limits in ``unit``, and on which side of them it is bad."""

    signal: str
    limits: Limits
    bad: Literal["above", "below"]
    title: str
    unit: str  # s | 1 | 1/s


@dataclass(frozen=True, slots=True)
class SignalState:
    """What is remembered of one signal between two seconds. Times in unix seconds.

    ``turning`` is the level it is on its way to, with the start of that stretch, until it has lasted.
    """

    level: Level = Level.OK
    since: float | None = None
    turning: Level | None = None
    turning_since: float | None = None
    value: float | None = None
    read_at: float | None = None


def level_of(rule: Rule, value: float, now: Level, margin: float) -> Level:
    """The level a reading asks for; leaving a level needs the limit passed by ``margin`` of it."""
    wanted = Level.OK
    for level, limit in ((Level.WARNING, rule.limits.warning), (Level.CRITICAL, rule.limits.critical)):
        slack = margin * limit if now >= level else 0.0
        beyond = value > limit - slack if rule.bad == "above" else value < limit + slack
        if beyond:
            wanted = level
    return wanted


def step(rule: Rule, state: SignalState, time: float, value: float | None, damping: Damping) -> SignalState:
    """The signal's state after one more second, with its reading or without one."""
    if value is None:
        if state.read_at is not None and time - state.read_at > damping.forget_seconds:
            return SignalState()
        return state
    wanted = level_of(rule, value, state.level, damping.margin)
    if wanted == state.level:
        return SignalState(state.level, state.since, value=value, read_at=time)
    state = replace(state, value=value, read_at=time)
    same_way = state.turning is not None and (state.turning > state.level) == (wanted > state.level)
    if not same_way or state.turning is None or state.turning_since is None:
        state = replace(state, turning=wanted, turning_since=time)
    else:
        # The mildest change asked for during the whole stretch is the one that has lasted.
        mildest = min if wanted > state.level else max
        state = replace(state, turning=mildest(state.turning, wanted))
    assert state.turning is not None and state.turning_since is not None
    needed = damping.rise_seconds if state.turning > state.level else damping.fall_seconds
    if time - state.turning_since >= needed:
        return replace(
            state, level=state.turning, since=state.turning_since, turning=None, turning_since=None
        )
    return state


def rules_for(thresholds: Thresholds, target_fps: float | None, budget_seconds: float | None) -> list[Rule]:
    """The rules that can be applied: a relative limit needs its target to be known."""
    rules: list[Rule] = []
    fps = thresholds.fps or (thresholds.fps_share.scaled(target_fps) if target_fps else None)
    if fps is not None:
        rules.append(Rule("fps_out", fps, "below", "frames out", "1/s"))
    latency = thresholds.latency or (
        thresholds.latency_share.scaled(budget_seconds) if budget_seconds else None
    )
    if latency is not None:
        rules.append(Rule("latency_p99", latency, "above", "latency p99", "s"))
    rules.append(Rule("slow_share", thresholds.slow_share, "above", "slow frames", "1"))
    rules.append(Rule("gpu_utilization", thresholds.gpu_utilization, "above", "GPU utilization", "1"))
    return rules


@dataclass(frozen=True, slots=True)
class Course:
    """How the state went: its level at each time (None: nothing known), and each signal at the end."""

    levels: Sequence[Level | None]
    signals: Mapping[str, SignalState]
    since: float | None
    start: float | None


def course(
    rules: Sequence[Rule],
    times: Sequence[float],
    readings: Mapping[str, Sequence[float | None]],
    damping: Damping | None = None,
) -> Course:
    """Fold every signal's reading at each of the times into the state.

    ``since`` is None where the last state already held at the first of the times: then it is older than
    what was looked at.
    """
    damping = damping or Damping()
    states = {rule.signal: SignalState() for rule in rules}
    levels: list[Level | None] = []
    since: float | None = None
    for index, time in enumerate(times):
        for rule in rules:
            values = readings.get(rule.signal, ())
            value = values[index] if index < len(values) else None
            states[rule.signal] = step(rule, states[rule.signal], time, value, damping)
        level = max((s.level for s in states.values() if s.read_at is not None), default=None)
        if levels and level != levels[-1]:
            since = time
        levels.append(level)
    return Course(levels, states, since, times[0] if times else None)


def health(rules: Sequence[Rule], went: Course, sources: Sequence[Source] = ()) -> Health:
    """The state at the end of a course, with the signals that made it so, worst first."""
    level = went.levels[-1] if went.levels else None
    if level is None:
        return no_data("no frame and no reading has arrived", sources=sources)
    broken = [rule for rule in rules if went.signals[rule.signal].level > Level.OK]
    broken.sort(key=lambda rule: -went.signals[rule.signal].level)
    reasons = [_reason(rule, went.signals[rule.signal], went.start) for rule in broken]
    away = [trouble(source) for source in sources if missing(source)]
    if reasons:
        text = "; ".join(reason.text for reason in reasons)
    elif away:
        text = f"{' and '.join(away)}: the state is judged without it"
    else:
        text = "every signal is inside its limits"
    # A state made by a signal that was bad from the first moment looked at is older than that moment.
    older = any(reason.since is None and went.signals[reason.signal].level is level for reason in reasons)
    since = None if older else went.since
    return Health(state=STATES[level], since=since, text=text, reasons=reasons, sources=tuple(sources))


def no_data(text: str, since: float | None = None, sources: Sequence[Source] = ()) -> Health:
    """Nothing to judge, and why."""
    return Health(state="NO DATA", since=since, text=text, sources=tuple(sources))


def carried_since(earlier: Health | None, now: Health) -> Health:
    """``now``, where it began before what it looked at, with the beginning that ``earlier`` knew."""
    if earlier is None or earlier.state != now.state:
        return now
    known = {reason.signal: reason.since for reason in earlier.reasons}
    reasons = [
        replace(reason, since=known[reason.signal])
        if reason.since is None and reason.signal in known
        else reason
        for reason in now.reasons
    ]
    return replace(now, since=now.since if now.since is not None else earlier.since, reasons=reasons)


def _reason(rule: Rule, state: SignalState, start: float | None) -> Reason:
    limit = rule.limits.critical if state.level is Level.CRITICAL else rule.limits.warning
    value = state.value if state.value is not None else limit
    still = level_of(rule, value, Level.OK, 0.0) >= state.level
    how = (
        f"{rule.bad} {_shown(limit, rule.unit)}"
        if still
        else f"back from {rule.bad} {_shown(limit, rule.unit)}"
    )
    older = state.since is None or (start is not None and state.since <= start)
    return Reason(
        signal=rule.signal,
        value=state.value,
        limit=limit,
        since=None if older else state.since,
        text=f"{rule.title} {_shown(value, rule.unit)}, {how}",
    )


def _shown(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1000:.1f} ms"
    if unit == "1":
        return f"{value * 100:.0f} %" if value >= 0.1 else f"{value * 100:.1f} %"
    return f"{value:.1f} FPS"
