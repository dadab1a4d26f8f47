"""What sets slow frames apart: every reading and stage of the frames that were kept, and their attributes.
 Kept frames are a sample: of the slow ones up to a keep budget, of those on time one in a hundred. The
records tell how many of either there were in each stretch of the range, so each kept frame stands for its
share of them (post-stratification: Kish 1965, ch. 3.4). Attributes that the records tell of all frames are
not looked at here (``correlate_content``).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from framescope import signals
from framescope_ui.backends.protocols import Attributes, FrameRow, Trace
from framescope_ui.questions.correlate_content import MOST_VALUES
from framescope_ui.questions.correlate_views import Difference, Found, SignalRisk
from framescope_ui.questions.frame_compare import DEVICE
from framescope_ui.questions.frame_compare import READINGS as OF_A_STAGE
from framescope_ui.questions.frame_item import number
from framescope_ui.questions.latencies import Latencies
from framescope_ui.questions.stores import NS
from framescope_ui.statistics.contrast import FEWEST, contrast, median, ranks, windows_of
from framescope_ui.statistics.discoveries import LEVEL
from framescope_ui.statistics.long_run import Floats

SLICES = 10
"""Stretches of the range that are sampled each for itself, so that the sample is of the whole range."""
SLOW_A_SLICE = 24
ON_TIME_A_SLICE = 40
"""On time are kept too the neighbours of slow frames, which stand for nobody."""
TRACES_A_SIDE = 24
"""Whole traces that are read for the times of stages: each is one question to the store."""
NO_DIFFERENCE = 1e-9
"""Shares and δ that differ by less are the same, but for rounding."""
FEW_VALUES = 6
"""A number with no more different values than this is compared value by value."""

READINGS: Mapping[str, tuple[str, str]] = {
    **{name: (title[:1].upper() + title[1:], unit) for name, (title, unit) in OF_A_STAGE.items()},
    **{name: (f"{title} in the frame", unit) for name, (title, unit, _) in DEVICE.items()},
    signals.FRAME_INTERVAL: ("Time since the frame before", "s"),
}
"""What framescope measured in a frame, beside its verdict: name → title and unit."""
_OURS = ("frame.", "framescope.")


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept frame of the sample: how many it stands for, what is known of it, how long its stages took,
    s."""

    start_ns: int
    slow: bool
    weight: float
    attributes: Attributes
    stages: Mapping[str, float]


def sample(
    rows: Sequence[tuple[FrameRow, bool | None]],
    traces: Mapping[str, Trace],
    frames: Latencies,
    start_ns: int,
    end_ns: int,
) -> list[Kept]:
    """The kept frames with what each stands for: its kind's number in its slice, over those kept there.

    Beside each row whether it counts as slow, None where that is for the row itself to say.
    """
    told = [
        (row, _kind(row) if slow is None else "slow" if slow else _on_time(row))
        for row, slow in rows
        if start_ns <= row.start_ns < end_ns
    ]
    usable = [row for row, kind in told if kind is not None]
    slices = [_slice(row.start_ns, start_ns, end_ns) for row in usable]
    kinds = [kind == "slow" for _, kind in told if kind is not None]
    there = _counts(frames, start_ns, end_ns)
    kept: dict[tuple[int, bool], int] = {}
    for at, slow in zip(slices, kinds, strict=True):
        kept[at, slow] = kept.get((at, slow), 0) + 1
    found = []
    for row, at, slow in zip(usable, slices, kinds, strict=True):
        trace = traces.get(row.trace_id)
        weight = there[int(slow)][at] / kept[at, slow]
        if weight <= 0:
            continue
        attributes = row.attributes if trace is None else {**_root_of(trace, row), **row.attributes}
        stages = {} if trace is None else _stages(trace)
        found.append(Kept(row.start_ns, slow, weight, attributes, stages))
    return found


def _kind(row: FrameRow) -> str | None:
    """``slow``, ``on_time``, or None for a frame that stands for nobody."""
    outcome = row.attributes.get(signals.FRAME_OUTCOME)
    if outcome == "slow" or (outcome is None and row.attributes.get(signals.FRAME_SLOW) is True):
        return "slow"
    weight = number(row.attributes, signals.FRAME_SAMPLING_WEIGHT)
    return "on_time" if outcome in ("on_time", None) and weight is not None and weight > 0 else None


def _on_time(row: FrameRow) -> str | None:
    """``on_time``, or None for a frame that was slow in another way than is meant, or stands for nobody."""
    return None if _kind(row) == "slow" else _kind(row)


def _slice(time_ns: int, start_ns: int, end_ns: int) -> int:
    return min((time_ns - start_ns) * SLICES // (end_ns - start_ns), SLICES - 1)


def _counts(frames: Latencies, start_ns: int, end_ns: int) -> tuple[Floats, Floats]:
    """Frames on time and slow frames in each slice."""
    at = np.clip((frames.due_ns - start_ns) * SLICES // (end_ns - start_ns), 0, SLICES - 1)
    slow = frames.slow
    on_time = frames.finished & ~slow

    def counted(which: npt.NDArray[np.bool_]) -> Floats:
        return np.bincount(at[which], minlength=SLICES).astype(np.float64)

    return counted(on_time), counted(slow)


def _root_of(trace: Trace, row: FrameRow) -> Attributes:
    return next(
        (
            span.attributes
            for span in trace.spans
            if span.start_ns == row.start_ns and not span.parent_span_id
        ),
        {},
    )


def _stages(trace: Trace) -> dict[str, float]:
    """How long each stage took, s; work on the GPU lies inside its stage and is not counted twice."""
    stages = {span.span_id for span in trace.spans if signals.FRAME_STAGE_NAME in span.attributes}
    took: dict[str, float] = {}
    for span in trace.spans:
        name = span.attributes.get(signals.FRAME_STAGE_NAME)
        if isinstance(name, str) and span.parent_span_id not in stages:
            took[name] = took.get(name, 0.0) + (span.end_ns - span.start_ns) / NS
    return took


def compared(
    kept: Sequence[Kept], told_of_all: Container[str] = (), *, picked: bool = False
) -> tuple[list[Found], list[str]]:
    """Everything that slow frames and frames on time can differ in, and what was left out (sentences);
    ``told_of_all``: attributes that are known of every frame. ``picked``: of frames that somebody
    picked a difference is told also where it cannot be tested, they being too few or too close in time."""
    columns: dict[tuple[str, str], dict[int, Any]] = {}
    for place, one in enumerate(kept):
        for name, value in one.attributes.items():
            if name in READINGS:
                columns.setdefault(("reading", name), {})[place] = value
            elif not name.startswith(_OURS) and name not in told_of_all:
                columns.setdefault(("attribute", name), {})[place] = value
        for name, took in one.stages.items():
            columns.setdefault(("stage", name), {})[place] = took
    found: list[Found] = []
    left_out: list[str] = []
    for (kind, name), values in columns.items():
        these = [kept[place] for place in values]
        sides = sum(one.slow for one in these), sum(not one.slow for one in these)
        if min(sides) < (1 if picked else FEWEST):
            continue
        tell = told_anyway if picked else told_apart
        told = list(values.values())
        numbers = [v for v in told if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if len(numbers) == len(told) and (kind != "attribute" or len(set(numbers)) > FEW_VALUES):
            made = _numbers(kind, name, np.asarray(numbers, np.float64), these, tell)
            found += [] if made is None else [made]
        elif all(isinstance(v, (str, bool, int, float)) for v in told):
            if len(set(map(str, told))) > MOST_VALUES:
                left_out.append(
                    f"{name} has more than {MOST_VALUES} different values: too many for cohorts. "
                    "Give frames a coarser attribute to compare them by it."
                )
            else:
                found += _cohorts(kind, name, [_text(v) for v in told], these, tell)
    return found, left_out


@dataclass(frozen=True, slots=True)
class Apart:
    """Means of slow frames and of those on time, their difference, its interval, the p-value of none; the
    last two None where that was not tested."""

    slow: float
    on_time: float
    difference: float
    interval: tuple[float, float] | None
    p: float | None


Tell = Callable[[Floats, Sequence[Kept]], Apart | None]


def told_apart(value: Floats, these: Sequence[Kept]) -> Apart | None:
    """The difference with its test; None where there is too little, or no difference at all."""
    slow, weight = _sides(these)
    window = windows_of(np.array([one.start_ns for one in these], np.int64))
    made = contrast(value, slow, weight, window)
    if made is None:
        return None
    interval = max(made.low, -1.0), min(made.high, 1.0)
    return Apart(made.slow, made.on_time, made.difference, interval, made.p)


def told_anyway(value: Floats, these: Sequence[Kept]) -> Apart | None:
    """The difference, with its test where that can be made; None where there is none."""
    tested = told_apart(value, these)
    if tested is not None:
        return tested
    slow, weight = _sides(these)
    means = [float(np.average(value[side], weights=weight[side])) for side in (slow, ~slow)]
    apart = means[0] - means[1]
    return None if abs(apart) < NO_DIFFERENCE else Apart(means[0], means[1], apart, None, None)


def _sides(these: Sequence[Kept]) -> tuple[npt.NDArray[np.bool_], Floats]:
    return np.array([one.slow for one in these]), np.array([one.weight for one in these])


def _numbers(kind: str, name: str, values: Floats, these: Sequence[Kept], tell: Tell) -> Found | None:
    if not np.isfinite(values).all():
        return None
    slow, weight = _sides(these)
    made = tell(ranks(values, slow, weight), these)
    if made is None:
        return None
    title, unit = READINGS.get(
        name, (f"Stage {name}" if kind == "stage" else name, "s" if kind == "stage" else "")
    )
    return Found(
        name,
        title,
        kind,
        None,
        unit,
        median(values[slow], weight[slow]),
        median(values[~slow], weight[~slow]),
        made.difference,
        made.interval,
        int(slow.sum()),
        int((~slow).sum()),
        made.p,
    )


def _cohorts(kind: str, name: str, values: Sequence[str], these: Sequence[Kept], tell: Tell) -> list[Found]:
    slow, _ = _sides(these)
    told = np.array(values)
    found = []
    names = sorted(set(values))
    # Of two values one is the other's rest: the same question.
    for value in names[1:] if len(names) == 2 else names:
        made = tell((told == value).astype(np.float64), these)
        if made is not None:
            found.append(
                Found(
                    name,
                    name,
                    kind,
                    value,
                    "1",
                    made.slow,
                    made.on_time,
                    made.difference,
                    made.interval,
                    int(slow.sum()),
                    int((~slow).sum()),
                    made.p,
                )
            )
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def differences(
    apart: Sequence[Found], after: Sequence[float | None], risks: Sequence[SignalRisk]
) -> list[Difference]:
    """Conditions on signals, over all frames, and what the kept sample tells, the clearest first."""
    found: list[Difference] = []
    for risk in risks:
        on_time_above, on_time_below = risk.n_above - risk.slow_above, risk.n_below - risk.slow_below
        slow, on_time = risk.slow_above + risk.slow_below, on_time_above + on_time_below
        if risk.p is None or risk.p_adjusted is None or not slow or not on_time or risk.threshold is None:
            continue
        shares = risk.slow_above / slow, on_time_above / on_time
        of_attribute = risk.value is not None
        found.append(
            Difference(
                risk.name,
                risk.title,
                "attribute" if of_attribute else "signal",
                risk.value if of_attribute else f"> {risk.threshold:.6g}",
                risk.unit,
                shares[0],
                shares[1],
                shares[0] - shares[1],
                None,
                slow,
                on_time,
                risk.p,
                risk.p_adjusted,
                risk.claimed,
            )
        )
    for one, p in zip(apart, after, strict=True):
        sure = one.interval is not None and not one.interval[0] <= 0 <= one.interval[1]
        found.append(Difference(**asdict(one), p_adjusted=p, claimed=p is not None and p <= LEVEL and sure))
    return sorted(found, key=lambda one: (not one.claimed, -abs(one.effect)))
