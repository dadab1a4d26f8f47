"""What each frame carries itself: the depth it found in a queue, its content attributes.

The records tell both of every frame, kept or not, and no joining by time is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from framescope import signals
from framescope_ui.questions.correlate_signals import TICK_NS, Met, Signal, Ticks
from framescope_ui.questions.latencies import Texts
from framescope_ui.statistics.long_run import Floats

MOST_VALUES = 20
"""An attribute with more different texts than this is no cohort (an id, say)."""
MOST_CONTENTS = 64
"""Cohorts and numbers beyond this many are left out, and said to be: each is one more question."""
MANY_VALUES = 256
"""A number with more different values than this is looked at frame by frame, not value by value."""
ATTRIBUTE = "attribute"


def attribute_name(name: str, value: str | None = None) -> str:
    """The name an attribute's signal has in addresses and answers: ``attribute/depth``,
    ``attribute/mode=doppler``."""
    return f"{ATTRIBUTE}/{name}" if value is None else f"{ATTRIBUTE}/{name}={value}"


def queues_of(ticks: Ticks) -> list[tuple[Signal, Met]]:
    """The depth each frame found in each queue."""
    found = []
    for name, depth in sorted(ticks.depths.items()):
        known = depth >= 0
        if known.any():
            title = f"Depth of queue {name}"
            key = f"{signals.FRAME_QUEUE_DEPTH}/{name}"
            found.append(_of_frames(ticks, key, title, "{item}", depth[known].astype(np.float64), known))
    return found


def contents_of(ticks: Ticks) -> tuple[list[tuple[Signal, Met]], list[str]]:
    """Numbers as signals, other attributes as one signal for each of their values; and what was left out
    (sentences). Versions are compared before and after."""
    found: list[tuple[Signal, Met]] = []
    left_out = []
    for name, texts in sorted(ticks.attributes.items()):
        if name == signals.SERVICE_VERSION:
            continue
        numbers = numbers_of(texts.names)
        counts = np.bincount(texts.place[texts.place >= 0], minlength=len(texts.names))
        there = np.flatnonzero(counts)
        if len(there) < 2:
            continue
        if numbers is not None:
            found.append(_number(ticks, name, texts, numbers))
        elif len(there) > MOST_VALUES:
            left_out.append(
                f"{name} has more than {MOST_VALUES} different values: too many for cohorts. "
                "Give frames a coarser attribute to compare them by it."
            )
        else:
            found += _cohorts(ticks, name, texts, there)
    if len(found) > MOST_CONTENTS:
        more = len(found) - MOST_CONTENTS
        left_out.append(f"{more} more attributes and cohorts were left out: {MOST_CONTENTS} are looked at.")
    return found[:MOST_CONTENTS], left_out


def numbers_of(names: Sequence[str]) -> Floats | None:
    """The numbers these texts are; None where one of them is none. An empty text stands for no value."""
    try:
        made = np.array([float(name) if name else 0.0 for name in names])
    except ValueError:
        return None
    return made if np.isfinite(made).all() else None


def by_value(ticks: Ticks, texts: Texts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Frames and slow frames of each value in each window: values × windows."""
    size = len(texts.names)
    known = texts.place >= 0
    cell = ticks.frame_tick[known] // ticks.window_ticks * size + texts.place[known]
    frames, slow = (
        np.bincount(cells, minlength=ticks.windows * size).reshape(ticks.windows, size).T.astype(np.float64)
        for cells in (cell, cell[ticks.was_slow[known]])
    )
    return frames, slow


def _cohorts(ticks: Ticks, name: str, texts: Texts, there: npt.NDArray[np.int64]) -> list[tuple[Signal, Met]]:
    frames, slow = by_value(ticks, texts)
    all_frames, all_slow = frames.sum(axis=0), slow.sum(axis=0)
    window = np.arange(ticks.windows)
    ends = ticks.start_ns + (window + 1) * ticks.window_ticks * TICK_NS
    unread = int((texts.place < 0).sum())
    told = sorted(there.tolist(), key=lambda place: texts.names[place])
    found = []
    # Of two values one is the other's rest: the same question.
    for place in told[1:] if len(told) == 2 else told:
        some = all_frames > 0
        signal = Signal(
            attribute_name(name, texts.names[place]),
            name,
            "1",
            ends[some],
            frames[place][some] / all_frames[some],
            ticks.window_ticks * TICK_NS,
            limit=0.5,
            of_frames=True,
            attribute=name,
            value=texts.names[place],
        )
        met = Met(
            np.repeat([1.0, 0.0], ticks.windows),
            np.concatenate([frames[place], all_frames - frames[place]]),
            np.concatenate([slow[place], all_slow - slow[place]]),
            np.concatenate([window, window]),
            ticks.windows,
            unread,
        )
        found.append((signal, met))
    return found


def _number(ticks: Ticks, name: str, texts: Texts, numbers: Floats) -> tuple[Signal, Met]:
    known = texts.place >= 0
    signal, met = _of_frames(ticks, attribute_name(name), name, "", numbers[texts.place[known]], known)
    if len(texts.names) <= MANY_VALUES:
        frames, slow = by_value(ticks, texts)
        value, window = np.nonzero(frames)
        met = Met(
            numbers[value],
            frames[value, window],
            slow[value, window],
            window,
            ticks.windows,
            met.unread,
        )
    return signal, met


def _of_frames(
    ticks: Ticks, name: str, title: str, unit: str, values: Floats, known: npt.NDArray[np.bool_]
) -> tuple[Signal, Met]:
    signal = Signal(name, title, unit, ticks.due_ns[known], values, TICK_NS, of_frames=True)
    met = Met(
        values,
        np.ones(len(values)),
        ticks.was_slow[known].astype(np.float64),
        ticks.frame_tick[known] // ticks.window_ticks,
        ticks.windows,
        int((~known).sum()),
    )
    return signal, met
