"""The signals slow frames are held against, and how frames and readings find each other by time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from framescope import signals
from framescope_ui.backends.protocols import Series
from framescope_ui.questions import gpus
from framescope_ui.questions.gaps import GAP_SPACINGS
from framescope_ui.questions.latencies import Latencies, Texts
from framescope_ui.questions.readings import is_true
from framescope_ui.questions.stores import NS
from framescope_ui.statistics.long_run import MOST_WINDOWS, Floats
from framescope_ui.statistics.risk import Windows

TICK_NS = NS // 10
"""Frames are counted in steps as long as the fastest probe's readings are apart."""
LEAST_SHARE = 0.02
"""A threshold leaves at least this share of the frames on either side."""
CELLS = 512
"""Cells of equal width that many different values are sorted into to find where they part."""
MOST_SERIES = 64
"""Series beyond this many are left out, and said to be: each is one more question that may be answered by
chance."""

_NOT_SIGNALS = frozenset(
    {
        signals.FRAME_BUDGET_LIMIT,
        signals.FRAME_PERIOD,
        signals.FRAME_QUEUE_CAPACITY,
        signals.FRAME_QUEUE_DEPTH,  # the depth each frame found itself is in the records
        signals.HW_GPU_MEMORY_LIMIT,
        signals.FS_GPU_PROCESS_UTILIZATION,  # by process; added up below
        signals.FS_PROBE_DURATION,
        signals.FS_PROBE_WINDOW,
        signals.FS_CLOCK_ERROR,
        signals.HW_STATUS,  # a state's name, not a quantity
    }
)
GAUGES = tuple(
    name
    for name, metric in signals.METRICS.items()
    if metric.instrument in ("gauge", "updowncounter") and name not in _NOT_SIGNALS
)
"""Every reading of the table of names that says how something was at a time."""
COUNTERS = (signals.FS_GPU_THROTTLE_TIME, signals.FRAME_QUEUE_BLOCKED_TIME)
"""Counters of seconds: as shares of each second."""
COUNTER_STEP_NS = NS
_IDENTITY = frozenset({signals.FRAME_PIPELINE, signals.HW_ID, signals.HW_NAME, signals.FS_GPU_SIMULATED})
_TITLES = {
    signals.HW_GPU_UTILIZATION: "GPU load",
    signals.HW_GPU_MEMORY_USAGE: "GPU memory",
    signals.HW_TEMPERATURE: "Temperature",
    signals.HW_POWER: "Power",
    signals.FS_GPU_CLOCK: "GPU clock",
    signals.FS_GPU_THROTTLE_TIME: "GPU throttled",
    signals.FS_PRESSURE: "Pressure on",
    signals.SYSTEM_CPU_UTILIZATION: "CPU load",
    signals.SYSTEM_MEMORY_UTILIZATION: "Memory of the machine",
    signals.PROCESS_CPU_UTILIZATION: "CPU of the process",
    signals.PROCESS_MEMORY_USAGE: "Memory of the process",
    signals.FRAME_CUSTOM: "Custom",
    signals.FRAME_QUEUE_BLOCKED_TIME: "Backpressure of queue",
}
_LIMITS = {
    signals.HW_GPU_UTILIZATION: 0.9,
    signals.FS_GPU_PROCESS_UTILIZATION: 0.1,
    signals.SYSTEM_CPU_UTILIZATION: 0.8,
    signals.FS_PRESSURE: 0.1,
}
"""Thresholds people think in. Where one parts too few frames, the readings themselves are parted."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal's readings: at ``times_ns``, each telling of the ``spacing_ns`` before it.

    ``of_frames``: each is what one frame itself carries, and there is no lag to it. With an ``attribute`` it
    is the share of frames of which that has this ``value``.
    """

    name: str
    title: str
    unit: str
    times_ns: npt.NDArray[np.int64]
    values: Floats
    spacing_ns: int
    limit: float | None = None
    simulated: bool = False
    of_frames: bool = False
    attribute: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Met:
    """What met in time: the signal's value, frames and slow frames, and the window of time they fall into.

    One row a tick for readings, one a frame for what frames themselves carry.
    """

    value: Floats
    frames: Floats
    slow: Floats
    window: npt.NDArray[np.int64]
    windows: int
    unread: int


def signals_of(
    gauges: Mapping[str, Sequence[Series]], counters: Mapping[str, Sequence[Series]], step_ns: int
) -> list[Signal]:
    """Every signal there are readings of, GPUs first. ``counters`` are increases a step."""
    devices = gpus.labels(gauges)
    several = len(devices) > 1
    found: list[Signal | None] = []
    for name in GAUGES:
        for identity, group in _split(name, gauges.get(name, ())):
            found.append(_signal(name, identity, group, several=several))
    others = gauges.get(signals.FS_GPU_PROCESS_UTILIZATION, ())
    for gpu in devices:
        series = gpus.others_of(others, gpu.id)
        made = _signal(signals.FS_GPU_PROCESS_UTILIZATION, (gpu.id,), [series], several=several)
        if made is not None:
            title = f"Other processes on GPU {gpu.id}" if several else "Other processes on the GPU"
            found.append(replace(made, title=title, simulated=gpu.simulated))
    for name in COUNTERS:
        for identity, group in _split(name, counters.get(name, ())):
            shares = [Series(s.attributes, s.times_ns, [v * NS / step_ns for v in s.values]) for s in group]
            found.append(_signal(name, identity, shares, several=several, unit="1"))
    made_signals = [signal for signal in found if signal is not None]
    return sorted(made_signals, key=lambda s: 0 if "gpu" in s.name or s.name.startswith("hw.") else 1)


def _split(name: str, series: Sequence[Series]) -> list[tuple[tuple[str, ...], list[Series]]]:
    """The series of a metric by what they are of: one GPU, one queue, one resource."""
    told = [signals.HW_ID] if signals.HW_ID in signals.METRICS[name].attributes else []
    told += [a for a in signals.METRICS[name].attributes if a not in _IDENTITY]
    groups: dict[tuple[str, ...], list[Series]] = {}
    for one in series:
        groups.setdefault(tuple(one.attributes.get(a, "") for a in told), []).append(one)
    return sorted(groups.items())


def _signal(
    name: str, identity: tuple[str, ...], series: Sequence[Series], *, several: bool, unit: str | None = None
) -> Signal | None:
    # A restarted emitter has a new identity: its series go on as one.
    times = np.concatenate([np.asarray(one.times_ns, np.int64) for one in series])
    values = np.concatenate([np.asarray(one.values, np.float64) for one in series])
    order = np.argsort(times, kind="stable")
    order = order[np.isfinite(values[order])]
    times, values = times[order], values[order]
    if len(times) < 2:
        return None
    apart = np.diff(times)
    spacing = int(np.median(apart[apart > 0])) if (apart > 0).any() else NS
    metric = signals.METRICS[name]
    shown = [part for part in identity if part]
    if signals.HW_ID in metric.attributes and not several:
        shown = shown[1:]
    title = " ".join([_TITLES.get(name, metric.meaning), *shown])
    simulated = any(is_true(one, signals.FS_GPU_SIMULATED) for one in series)
    key = "/".join([name, *(part for part in identity if part)])
    return Signal(
        key,
        title,
        metric.unit if unit is None else unit,
        times,
        values,
        max(spacing, TICK_NS),
        _LIMITS.get(name),
        simulated,
    )


@dataclass(frozen=True, slots=True)
class Ticks:
    """A range in ticks: how many frames came out in each, how many of them slow, and how late they were.

    A frame belongs to the tick its middle lies in. Dropped and failed frames are left out: they have no
    latency.
    """

    start_ns: int
    size: int
    frames: Floats
    slow: Floats
    lateness: Floats
    """Mean rank of the latencies of a tick's frames, 0 to 1; NaN without any."""
    frame_tick: npt.NDArray[np.int64]
    due_ns: npt.NDArray[np.int64]
    latency_ns: npt.NDArray[np.int64]
    was_slow: npt.NDArray[np.bool_]
    depths: Mapping[str, npt.NDArray[np.int64]]
    """Of each frame that came out, by due time."""
    attributes: Mapping[str, Texts] = field(default_factory=dict)

    @property
    def window(self) -> npt.NDArray[np.int64]:
        """The window of time each tick lies in."""
        return np.arange(self.size) // self.window_ticks

    @property
    def window_ticks(self) -> int:
        """Ticks a window."""
        return max(1, -(-self.size // MOST_WINDOWS))

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return -(-self.size // self.window_ticks)


def ticks_of(frames: Latencies, start_ns: int, end_ns: int) -> Ticks:
    """The frames that came out, counted in ticks of ``[start_ns, end_ns)``."""
    out = frames.finished
    # Picking frames one by one costs as much as all the rest; mostly every frame came out.
    which: npt.NDArray[np.int64] | slice = slice(None) if out.all() else np.flatnonzero(out)
    due, latency, slow = frames.due_ns[which], frames.latency_ns[which], frames.slow[which]
    size = max(1, -(-(end_ns - start_ns) // TICK_NS))
    tick = np.clip((due + latency // 2 - start_ns) // TICK_NS, 0, size - 1)
    count = np.bincount(tick, minlength=size).astype(np.float64)
    slow_then = np.bincount(tick[slow], minlength=size).astype(np.float64)
    place = np.empty(len(due))
    place[np.argsort(latency)] = np.arange(len(due)) / max(len(due), 1)
    with np.errstate(invalid="ignore"):
        lateness = np.bincount(tick, weights=place, minlength=size) / np.where(count > 0, count, np.nan)
    depths = {name: depth[which] for name, depth in frames.depths.items()}
    contents = {name: Texts(texts.names, texts.place[which]) for name, texts in frames.attributes.items()}
    return Ticks(start_ns, size, count, slow_then, lateness, tick, due, latency, slow, depths, contents)


def values_on(ticks: Ticks, signal: Signal) -> Floats:
    """The signal in each tick, NaN where nobody knows.

    A reading tells of the time up to it since the one before; no farther back than a few usual spacings.
    """
    middles = ticks.start_ns + np.arange(ticks.size) * TICK_NS + TICK_NS // 2
    at = np.searchsorted(signal.times_ns, middles)
    inside = at < len(signal.times_ns)
    reading = np.minimum(at, len(signal.times_ns) - 1)
    near = signal.times_ns[reading] - middles <= GAP_SPACINGS * signal.spacing_ns
    return np.where(inside & near, signal.values[reading], np.nan)


def met_by_time(ticks: Ticks, signal: Signal) -> Met:
    """Frames and a signal's readings, tick by tick."""
    value = values_on(ticks, signal)
    known = np.isfinite(value) & (ticks.frames > 0)
    unread = int(ticks.frames[~np.isfinite(value)].sum())
    return Met(
        value[known], ticks.frames[known], ticks.slow[known], ticks.window[known], ticks.windows, unread
    )


def threshold_of(signal: Signal, met: Met) -> float | None:
    """Where the signal is parted, seen from the signal alone and never from which frames were slow.

    The usual limit where it parts enough frames; else the border that parts the readings best (Otsu 1979,
    IEEE Trans. Syst. Man Cybern. 9), rounded where that leaves the frames where they are. None for a
    constant.
    """
    if not len(met.value) or np.ptp(met.value) == 0:
        return None
    total = met.frames.sum()

    def parts(at: float) -> float:
        return float(met.frames[met.value > at].sum() / total)

    if signal.limit is not None and LEAST_SHARE <= parts(signal.limit) <= 1 - LEAST_SHARE:
        return signal.limit
    values, weight = _spread(met)
    weight = weight / total
    below = np.cumsum(weight)[:-1]
    mean = np.cumsum(weight * values)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (mean[-1] * below - mean[:-1]) ** 2 / (below * (1 - below))
    between[(below < LEAST_SHARE) | (below > 1 - LEAST_SHARE)] = -1
    if between.max() < 0:
        return None
    best = int(np.argmax(between))
    exact = float((values[best] + values[best + 1]) / 2)
    if signal.unit.startswith("{"):
        return float(values[best])
    for digits in (1, 2, 3):
        rounded = float(f"{exact:.{digits}g}")
        if abs(parts(rounded) - parts(exact)) < LEAST_SHARE / 2:
            return rounded
    return exact


def _spread(met: Met) -> tuple[Floats, Floats]:
    """The values there are, in order, and the frames at each; of many different values, cells of equal
    width."""
    low, high = float(met.value.min()), float(met.value.max())
    whole = met.value.astype(np.int64)
    if low >= 0 and high < CELLS and (whole == met.value).all():
        weight = np.bincount(whole, weights=met.frames)
        values = np.arange(len(weight), dtype=np.float64)
    else:
        cell = np.minimum(((met.value - low) * (CELLS / (high - low))).astype(np.int64), CELLS - 1)
        weight = np.bincount(cell, weights=met.frames, minlength=CELLS)
        values = low + (np.arange(CELLS) + 0.5) * (high - low) / CELLS
    there = weight > 0
    return values[there], weight[there].astype(np.float64)


def under(met: Met, threshold: float) -> Windows:
    """Frames and slow frames above the threshold and not above it, in each window."""
    cell = met.window * 2 + (met.value > threshold)
    frames, slow = (
        np.bincount(cell, weights=what, minlength=2 * met.windows).astype(np.float64).reshape(-1, 2).T
        for what in (met.frames, met.slow)
    )
    return Windows(frames[1], slow[1], frames[0], slow[0])


def stretches(
    times_ns: npt.NDArray[np.int64], above: npt.NDArray[np.bool_], spacing_ns: int
) -> list[tuple[float, float]]:
    """The stretches of time that readings above a threshold tell of, unix seconds; neighbours are one."""
    ends = times_ns[above]
    if not len(ends):
        return []
    apart = np.flatnonzero(np.diff(ends) > 3 * spacing_ns)
    first, last = ends[np.append(0, apart + 1)], ends[np.append(apart, len(ends) - 1)]
    return [
        (low / NS, high / NS) for low, high in zip((first - spacing_ns).tolist(), last.tolist(), strict=True)
    ]


def doses(met: Met, most: int = 8) -> tuple[list[tuple[float, float]], npt.NDArray[np.int64]]:
    """Steps of about equally many frames, and the step of each row; every value its own step where there are
    few."""
    few = np.unique(met.value[:: max(1, len(met.value) // 1000)])
    values = np.unique(met.value) if len(few) <= most else few
    if len(values) <= most:
        return [(float(v), float(v)) for v in values], np.searchsorted(values, met.value)
    order = np.argsort(met.value, kind="stable")
    passed = np.cumsum(met.frames[order]) / met.frames.sum()
    inner = [
        float(met.value[order][min(int(np.searchsorted(passed, k / most)), len(order) - 1)])
        for k in range(1, most)
    ]
    edges = np.unique(inner)
    lowest, highest = float(met.value[order[0]]), float(met.value[order[-1]])
    edges = edges[(edges > lowest) & (edges <= highest)]
    step = np.searchsorted(edges, met.value, side="right")
    ends = [lowest, *edges.tolist(), highest]
    return list(pairwise(ends)), step


def clock_error(series: Sequence[Series]) -> float | None:
    """The greatest error of wall times that was stated in the range, s; None where nothing was."""
    told = [float(v) for one in series for v in one.values if math.isfinite(v)]
    return max(told, default=None)
