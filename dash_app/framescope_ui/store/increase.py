"""What a cumulative series grew by, point by point: pure arithmetic with resets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.int64]
Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Increases:
    """Growth told by each point, at the point's time, oldest first. One row per point."""

    times: Times
    values: Values


def increases(times: Times, began: Times, values: Values, since: int, cumulative: bool = True) -> Increases:
    """What each point says its series grew by.

    ``times`` and ``began`` are unix ns, ``began`` 0 where unknown; ``values`` is a table: a row per point, of
    a number, or of a histogram's sum (which may be NaN) followed by its counts. Points may come unsorted
    and twice. A cumulative series started anew where its start time moved on or a count fell: then the
    point counts from 0. The first point counts from 0 where the series began at or after ``since``,
    else it tells nothing and is left out. A delta point is its own increase.
    """
    order = np.argsort(times, kind="stable")
    times, began, table = times[order], began[order], values[order]
    last_of_each_time = np.append(times[1:] != times[:-1], True) if len(times) else np.zeros(0, bool)
    times, began, table = times[last_of_each_time], began[last_of_each_time], table[last_of_each_time]
    if not cumulative or not len(times):
        return Increases(times, table)
    counts = table[:, 1:] if table.shape[1] > 1 else table
    fell = (counts[1:] < counts[:-1]).any(axis=1)
    moved_on = (began[1:] > began[:-1]) & (began[:-1] > 0)
    anew = fell | moved_on
    grown = np.where(anew[:, None], table[1:], table[1:] - table[:-1])
    first_known = began[0] > 0 and began[0] >= since
    first = table[:1] if first_known else table[:0]
    return Increases(times if first_known else times[1:], np.concatenate([first, grown]))


def by_step(told: Increases, start_ns: int, end_ns: int, step_ns: int) -> Increases:
    """Increases summed over steps of ``[start_ns, end_ns)``, at each step's end; empty steps left out."""
    inside = (told.times >= start_ns) & (told.times < end_ns)
    times, values = told.times[inside], told.values[inside]
    steps, place = np.unique((times - start_ns) // step_ns, return_inverse=True)
    sums = np.zeros((len(steps), values.shape[1]))
    np.add.at(sums, place, values)
    ends = np.minimum(start_ns + (steps + 1) * step_ns, end_ns)
    return Increases(ends.astype(np.int64), sums)


def together(parts: list[Increases]) -> Increases:
    """Several series' steps added up where they meet."""
    times, place = np.unique(np.concatenate([part.times for part in parts]), return_inverse=True)
    rows: Any = np.concatenate([part.values for part in parts])
    sums = np.zeros((len(times), rows.shape[1]))
    np.add.at(sums, place, rows)
    return Increases(times.astype(np.int64), sums)
