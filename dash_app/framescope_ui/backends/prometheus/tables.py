"""Cumulative series as tables, one row per point in time: what a difference can be taken of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from framescope import signals

from .answers import Native, Samples, Times, Values
from .names import BUCKET, SUM

_GRIDS: Final = (signals.HISTOGRAM_BOUNDS, signals.BUDGET_USAGE_BOUNDS)

Key: TypeAlias = tuple[tuple[str, str], ...]
ToAttributes: TypeAlias = Callable[[Mapping[str, str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """One cumulative series: a counter's value per row, or a histogram's sum (NaN: not told) and its
    counts, one more than ``bounds``."""

    labels: Mapping[str, str]
    bounds: tuple[float, ...]
    times_ms: Times
    values: Values


def counters(series: Iterable[Samples]) -> list[Table]:
    """Each series as it is; native histograms are none."""
    return [Table(one.labels, (), one.times_ms, one.values[:, None]) for one in series if not one.native]


def histograms(series: Sequence[Samples], alike: ToAttributes) -> list[Table]:
    """Classic and native histograms. Native ones that are ``alike`` come on one grid."""
    return [
        *_classic([one for one in series if not one.native]),
        *_natives([one for one in series if one.native], alike),
    ]


def _classic(series: Iterable[Samples]) -> list[Table]:
    buckets: defaultdict[Key, defaultdict[float, list[Samples]]] = defaultdict(lambda: defaultdict(list))
    sums: dict[Key, Samples] = {}
    for one in series:
        name = one.labels.get("__name__", "")
        if name.endswith(BUCKET) and (bound := _bound(one.labels.get("le"))) is not None:
            # "1" and "1.0" are the same bound, written by two versions of a server.
            buckets[_key(one.labels, name.removesuffix(BUCKET))][bound].append(one)
        elif name.endswith(SUM):
            sums[_key(one.labels, name.removesuffix(SUM))] = one
    return [table for key, of in buckets.items() for table in _tables(key, of, sums.get(key))]


def _key(labels: Mapping[str, str], name: str) -> Key:
    return tuple(sorted({**{k: v for k, v in labels.items() if k != "le"}, "__name__": name}.items()))


def _bound(le: str | None) -> float | None:
    try:
        return float(le) if le is not None else None
    except ValueError:
        return None


def _tables(key: Key, buckets: Mapping[float, Sequence[Samples]], total: Samples | None) -> Iterable[Table]:
    """A table for each set of bounds: an emitter whose bounds were changed has several."""
    bounds = np.array(sorted(buckets))
    times = np.unique(np.concatenate([one.times_ms for parts in buckets.values() for one in parts]))
    cumulative = np.full((len(times), len(bounds)), np.nan)
    for column, bound in enumerate(bounds.tolist()):
        for one in buckets[bound]:
            cumulative[np.searchsorted(times, one.times_ms), column] = one.values
    sums = np.full(len(times), np.nan)
    if total is not None:
        told = np.isin(total.times_ms, times)
        sums[np.searchsorted(times, total.times_ms[told])] = total.values[told]
    sets, which = np.unique(~np.isnan(cumulative), axis=0, return_inverse=True)
    which = which.reshape(-1)
    for place, present in enumerate(sets):
        if not present[-1] or not np.isinf(bounds[-1]):
            continue  # without the last bucket the count is not known: not a whole point
        mine = which == place
        counts = np.diff(cumulative[mine][:, present], axis=1, prepend=0.0)
        yield Table(
            dict(key),
            tuple(bounds[present][:-1].tolist()),
            times[mine],
            np.column_stack([sums[mine], counts]),
        )


def _natives(series: Iterable[Samples], alike: ToAttributes) -> Iterable[Table]:
    groups: defaultdict[Key, list[Samples]] = defaultdict(list)
    for one in series:
        groups[tuple(sorted(alike(one.labels).items()))].append(one)
    for members in groups.values():
        grid = common_grid(native for one in members for native in one.native)
        for one in members:
            rows = np.array([_row(native, grid) for native in one.native])
            yield Table(one.labels, tuple(grid.tolist()), one.times_ms, rows)


def common_grid(natives: Iterable[Native]) -> NDArray[np.float64]:
    """Bounds that no populated bucket of any sample lies across.

    A native histogram tells its populated buckets only and may get coarser as it grows. Bounds that are all
    on a grid of ``signals`` are completed to that grid.
    """
    buckets = {(low, high) for native in natives for low, high, _ in native.buckets}
    edges = np.unique(np.array([edge for bucket in buckets for edge in bucket if np.isfinite(edge)]))
    if not len(edges):
        return np.array(_GRIDS[0])
    for known in map(np.array, _GRIDS):
        nearest = known[np.clip(np.searchsorted(known, edges * (1 - 1e-9)), 0, len(known) - 1)]
        if np.allclose(nearest, edges, rtol=1e-9, atol=0):
            return known
    crossed = np.zeros(len(edges), bool)
    for low, high in buckets:
        crossed |= (edges > low) & (edges < high)
    return edges[~crossed]


def _row(native: Native, grid: NDArray[np.float64]) -> list[float]:
    counts = [0.0] * (len(grid) + 1)
    for low, high, count in native.buckets:
        if np.isinf(high):
            place = len(grid)
        else:
            # By its middle: bounds are written with fewer digits than they have.
            inside = high - abs(high) * 1e-9 if np.isinf(low) else (low + high) / 2
            place = int(np.searchsorted(grid, inside))
        counts[place] += count
    return [native.sum, *counts]
