"""What cumulative series grew by, step by step.

Differences are taken here and not by PromQL: ``increase()`` estimates what lay between its samples and the
ends of its range, and a frame is never half counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np

from framescope_ui.store.increase import Increases, Times, Values, by_step, increases, together

from .tables import Key, Table, ToAttributes

NS_PER_MS: Final = 1_000_000

Steps: TypeAlias = tuple[dict[str, str], tuple[float, ...], Increases]


def grown(
    tables: Iterable[Table],
    alike: ToAttributes,
    start_ns: int,
    end_ns: int,
    step_ns: int,
    guess_first: bool = False,
) -> list[Steps]:
    """Attributes, bounds and steps of each series; those that are ``alike`` are added after differencing.

    A series' first point only tells where it stands, unless it is ``guess_first`` and small: see
    ``began_near_zero``.
    """
    groups: defaultdict[tuple[Key, tuple[float, ...]], list[Increases]] = defaultdict(list)
    for table in tables:
        steps = by_step(growth(table, guess_first), start_ns, end_ns, step_ns)
        if len(steps.times):
            groups[(tuple(sorted(alike(table.labels).items())), table.bounds)].append(steps)
    return [(dict(key), bounds, together(parts)) for (key, bounds), parts in sorted(groups.items())]


def growth(table: Table, guess_first: bool) -> Increases:
    """What each point says its series grew by.

    A zero at the beginning and after a restart marks where counting began: Prometheus and framescope's agent
    write one at the start time. It is no point of its own.
    """
    counted = _counted(table.values)
    marks = (counted == 0) & np.append(True, counted[:-1] != 0)[: len(counted)]
    times: Times = table.times_ms * NS_PER_MS
    first = int(times[0]) if len(times) and guess_first and began_near_zero(counted) else 0
    told = increases(times, np.full(len(times), first), table.values, since=0)
    points = ~np.isin(told.times, times[marks])
    return Increases(told.times[points], told.values[points])


def _counted(values: Values) -> Values:
    counted: Values = values[:, 1:].sum(axis=1) if values.shape[1] > 1 else values[:, 0]
    return counted


def began_near_zero(counted: Values) -> bool:
    """VictoriaMetrics's own rule for a first value: counted from 0 if it is less than ten times the
    growth to the next one, plus ten (``rollupDelta`` in its ``app/vmselect/promql/rollup.go``)."""
    following = counted[1] - counted[0] if len(counted) > 1 else 0.0
    return bool(abs(counted[0]) < 10 * (abs(following) + 1))
