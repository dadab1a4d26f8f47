"""The newest readings of gauges and the totals of counters, by attribute."""

from __future__ import annotations

import math
from collections.abc import Sequence

from framescope_ui.backends.protocols import Series
from framescope_ui.questions.stores import NS

FRESH_SECONDS = 15.0
"""A reading older than this is not "now" any more."""


def newest_time(series: Sequence[Series]) -> int | None:
    """The time of the newest reading of all, unix ns."""
    return max((int(s.times_ns[-1]) for s in series if len(s.times_ns)), default=None)


def newest(series: Sequence[Series], now_ns: int, fresh_seconds: float = FRESH_SECONDS) -> float | None:
    """The newest reading of all, if it is fresh."""
    found = [(s.times_ns[-1], s.values[-1]) for s in series if len(s.times_ns)]
    if not found:
        return None
    time_ns, value = max(found)
    if now_ns - time_ns > fresh_seconds * NS or not math.isfinite(value):
        return None
    return float(value)


def newest_by(
    series: Sequence[Series], attribute: str, now_ns: int, fresh_seconds: float = FRESH_SECONDS
) -> dict[str, float]:
    """The newest fresh reading for each value of an attribute; series without it are left out."""
    found: dict[str, float] = {}
    for name, group in grouped(series, attribute).items():
        value = newest(group, now_ns, fresh_seconds)
        if value is not None:
            found[name] = value
    return found


def total_by(series: Sequence[Series], attribute: str) -> dict[str, float]:
    """The sum of all increases for each value of an attribute."""
    return {
        name: float(sum(sum(s.values) for s in group)) for name, group in grouped(series, attribute).items()
    }


def grouped(series: Sequence[Series], attribute: str) -> dict[str, list[Series]]:
    """The series by the value of one of their attributes; those without it are left out."""
    groups: dict[str, list[Series]] = {}
    for one in series:
        name = one.attributes.get(attribute)
        if name is not None:
            groups.setdefault(name, []).append(one)
    return groups


def since(series: Sequence[Series], start_ns: int) -> list[Series]:
    """The series with only their points after a time."""
    cut = []
    for one in series:
        first = next((i for i, t in enumerate(one.times_ns) if t > start_ns), len(one.times_ns))
        if first < len(one.times_ns):
            cut.append(Series(one.attributes, one.times_ns[first:], one.values[first:]))
    return cut


def summed(series: Sequence[Series]) -> Series:
    """Readings of several series taken at the same instants, added up."""
    totals: dict[int, float] = {}
    for one in series:
        for time_ns, value in zip(one.times_ns, one.values, strict=True):
            totals[time_ns] = totals.get(time_ns, 0.0) + value
    times = sorted(totals)
    return Series({}, times, [totals[t] for t in times])


def joined(series: Sequence[Series]) -> Series:
    """Several series of one thing (a restarted emitter has a new identity) as one, by time."""
    if len(series) == 1:
        return series[0]
    points = sorted((t, v) for s in series for t, v in zip(s.times_ns, s.values, strict=True))
    attributes = dict(series[-1].attributes) if series else {}
    return Series(attributes, [t for t, _ in points], [v for _, v in points])


def is_true(series: Series, attribute: str) -> bool | None:
    """A boolean attribute as stores spell it; None where it is absent."""
    value = series.attributes.get(attribute)
    return None if value is None else value.lower() == "true"
