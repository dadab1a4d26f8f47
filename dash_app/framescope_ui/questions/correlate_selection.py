"""Which frames Correlate is asked about: all of them and the slow ones, or those that were selected.

A cause and a range of latencies say which frames count as slow; a cohort and a stretch of a signal say
among which frames. All of it is told of every frame, so that a selection has no sampling bias either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from framescope.signals import OUTCOMES
from framescope_ui.backends.protocols import FrameRow
from framescope_ui.questions.correlate_signals import TICK_NS, Met, Signal, Ticks, values_on
from framescope_ui.questions.correlate_views import Selection
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS

SAME_FRAME_NS = 1000
"""Due times of a kept frame and of the same frame in a record differ by less: records tell microseconds."""


def selected(
    frames: Latencies,
    ticks: Ticks,
    pairs: Sequence[tuple[Signal, Met]],
    asked: Selection,
    picked: Sequence[FrameRow] = (),
) -> tuple[Latencies, list[str]]:
    """The frames that are meant; others that were slow count as not slow. ``ticks`` and ``pairs`` are of all
    frames, ``picked`` are the frames the selection names, as far as they were found. Beside them what of the
    selection nobody knows (sentences); nothing is left then."""
    missing = []
    among = np.ones(len(frames), np.bool_)
    if asked.cohort is not None:
        name, value = asked.cohort
        texts = frames.attributes.get(name)
        known = texts is not None and value in texts.names
        among &= texts.place == list(texts.names).index(value) if texts is not None and known else False
        if not known:
            missing.append(f"No frame of this range is told to have {name} = {value}.")
    if asked.within is not None:
        name, low, high = asked.within
        signal = next((one for one, _ in pairs if one.name == name), None)
        if signal is None:
            among &= False
            missing.append(f"There is no signal {name} in this range.")
        else:
            value_then = _of_each(frames, ticks, signal)
            among &= (value_then >= low) & (value_then <= high)
    made = frames if among.all() else frames.only(among)
    counts = made.slow
    if asked.cause is not None:
        counts = counts & (np.array([c or "unknown" for c in made.cause.tolist()], dtype=str) == asked.cause)
    if asked.latency is not None:
        least, below = (round(end * NS) for end in asked.latency)
        counts = counts & (made.latency_ns >= least) & (made.latency_ns < below)
    outcome = made.outcome
    if asked.frames:
        named = _among(made, picked) & made.finished
        if (lacking := len(asked.frames) - int(named.sum())) > 0:
            missing.append(
                f"{lacking} of the {len(asked.frames)} picked frames are not compared: they lie outside the "
                "range, were dropped, or are not stored any more."
            )
        counts = (counts | ~made.slow) & named
        outcome = np.where(named, OUTCOMES["slow"], outcome)
    if asked.cause is not None or asked.latency is not None or asked.frames:
        was_slow = outcome == OUTCOMES["slow"]
        made = replace(made, outcome=np.where(was_slow & ~counts, OUTCOMES["on_time"], outcome))
    return made, missing


def _among(frames: Latencies, rows: Sequence[FrameRow]) -> npt.NDArray[np.bool_]:
    """Which of all frames these kept ones are."""
    found = np.zeros(len(frames), np.bool_)
    for row in rows:
        at = _place(frames, row)
        if at is not None:
            found[at] = True
    return found


def _place(frames: Latencies, row: FrameRow) -> int | None:
    """Where a kept frame stands among all frames."""
    at = int(np.searchsorted(frames.due_ns, row.start_ns - SAME_FRAME_NS))
    return at if at < len(frames) and frames.due_ns[at] - row.start_ns <= SAME_FRAME_NS else None


def _of_each(frames: Latencies, ticks: Ticks, signal: Signal) -> npt.NDArray[np.float64]:
    """The signal's value for each frame, NaN where nobody knows."""
    if signal.of_frames and signal.attribute is None:
        at = np.minimum(np.searchsorted(signal.times_ns, frames.due_ns), len(signal.times_ns) - 1)
        return np.where(signal.times_ns[at] == frames.due_ns, signal.values[at], np.nan)
    middle = (frames.due_ns + frames.latency_ns // 2 - ticks.start_ns) // TICK_NS
    found: npt.NDArray[np.float64] = values_on(ticks, signal)[np.clip(middle, 0, ticks.size - 1)]
    return found


def among_selected(rows: Sequence[FrameRow], frames: Latencies) -> list[tuple[FrameRow, bool]]:
    """The kept frames that are among those selected, and whether each counts as slow."""
    found = []
    slow = frames.slow
    for row in rows:
        at = _place(frames, row)
        if at is not None:
            found.append((row, bool(slow[at])))
    return found
