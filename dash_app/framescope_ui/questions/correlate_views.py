"""What the Correlate page and ``/api/correlate`` see: plain values, times in unix seconds, shares 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from framescope_ui.questions.views import Line, SlowMark


@dataclass(frozen=True, slots=True)
class Selection:
    """``cause``: only frames that were slow by it count as slow; ``latency``: only those that took as
    long, s, from and below. ``cohort``: only frames of whose attribute this is the value. ``within``: only
    frames while the signal of that name lay between two values, both included. ``frames``: those of these
    trace ids are meant where slow frames are, and no others."""

    cause: str | None = None
    latency: tuple[float, float] | None = None
    cohort: tuple[str, str] | None = None
    within: tuple[str, float, float] | None = None
    frames: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Selection()


@dataclass(frozen=True, slots=True)
class SignalRisk:
    """One signal: how much likelier a slow frame is above its threshold than below.

    ``risk_ratio`` and ``interval`` are None where nothing can be said, and ``why`` then says why; an open end
    of the interval is None. ``lag_seconds`` is positive where the signal comes first, None where no lag can
    be claimed. ``claimed``: still a finding after every question of the page was counted.
    """

    name: str
    title: str
    unit: str
    threshold: float | None
    risk_ratio: float | None
    interval: tuple[float | None, float | None] | None
    n_above: int
    n_below: int
    slow_above: int
    slow_below: int
    lag_seconds: float | None
    lag_interval: tuple[float, float] | None
    lag_step_seconds: float | None
    p: float | None
    p_adjusted: float | None
    claimed: bool
    why: str = ""
    simulated: bool = False
    attribute: str | None = None
    """The content attribute of frames it is; with a ``value``, frames that have it are those "above"."""
    value: str | None = None
    of_frames: bool = False
    """Each frame carries it itself (a queue's depth, an attribute): there is no lag to it."""
    first: Literal["signal", "frames"] | None = None
    """Which comes first, where the whole interval of the lag says so, beyond its step and the clock error."""


@dataclass(frozen=True, slots=True)
class Dose:
    """Frames whose signal lay in ``[low, high]``: the share of slow ones with its interval."""

    low: float
    high: float
    share: float
    interval: tuple[float, float]
    frames: int
    slow: int
    value: str | None = None
    """Of an attribute that is no number; ``low`` and ``high`` are then 1 for the value looked at, else 0."""


@dataclass(frozen=True, slots=True)
class LagCurve:
    """Correlation of a signal with latency at each lag in s (positive: the signal first), with its 95 %
    band."""

    lag_seconds: Sequence[float]
    correlation: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    chance: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """The signal that is looked at: dose and response, lag, its course. ``left_out``: frames in too small
    steps, ``unread``: frames without a reading."""

    name: str
    doses: Sequence[Dose]
    left_out: int
    unread: int
    lag: LagCurve | None
    line: Line
    above: Sequence[tuple[float, float]]
    """Stretches of time in which the signal was above its threshold, unix seconds."""
    lowest: Line | None = None
    """Beside the mean of each step in ``line``, where there are too many readings to draw each."""
    highest: Line | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Something slow frames have more (or less) of than frames on time.

    ``kind`` is ``signal``, ``attribute``, ``reading`` or ``stage``. With a ``value`` (a condition), ``slow``
    and ``on_time`` are shares of frames under it; else they are medians in ``unit``. ``effect`` is the
    difference of the shares, or how much oftener than not a slow frame has the greater value, −1 to 1
    (Cliff's delta). ``p`` and ``interval`` are None where there are too few frames to test it.
    """

    name: str
    title: str
    kind: str
    value: str | None
    unit: str
    slow: float
    on_time: float
    effect: float
    interval: tuple[float, float] | None
    n_slow: int
    n_on_time: int
    p: float | None


@dataclass(frozen=True, slots=True)
class Difference(Found):
    """The same, with what is left of it after every question of the page was counted."""

    p_adjusted: float | None
    claimed: bool


@dataclass(frozen=True, slots=True)
class CauseChange:
    """Slow frames of one cause (None: of any) before and after, and the ratio of their shares of all
    frames."""

    cause: str | None
    slow_before: int
    slow_after: int
    ratio: float | None
    interval: tuple[float | None, float | None] | None
    p: float | None
    p_adjusted: float | None
    claimed: bool


@dataclass(frozen=True, slots=True)
class Change:
    """Two sides, each from and to unix seconds; ``causes`` begins with all of them.

    ``kind``: of a change ``marker``, up to the next one on each side; two ``versions`` of the service; two
    ``ranges`` that were chosen.
    """

    kind: Literal["marker", "versions", "ranges"]
    text: str
    before: tuple[float, float]
    after: tuple[float, float]
    frames_before: int
    frames_after: int
    causes: Sequence[CauseChange]


@dataclass(frozen=True, slots=True)
class CauseCourse:
    """Slow frames by cause in equal steps of time; ``frames`` 0 is a step in which none is known."""

    start: float
    step_seconds: float
    frames: Sequence[int]
    slow: dict[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Correlation:
    """Everything the Correlate page shows of one range, over all of its frames."""

    service: str
    pipeline: str
    start: float
    end: float
    frames: int
    slow: int
    signals: Sequence[SignalRisk]
    chosen: Chosen | None
    differences: Sequence[Difference]
    changes: Sequence[Change]
    course: CauseCourse
    latency: Sequence[Line]
    """Median and 99th percentile in steps, s."""
    slow_marks: Sequence[SlowMark]
    """The worst slow frame of each of some hundred stretches of time."""
    budget_seconds: float | None
    marks: Sequence[tuple[float, str]] = ()
    clock_error_seconds: float | None = None
    cut_before: float | None = None
    tests: int = 0
    """How many questions the adjusted p-values account for."""
    selection: Selection = field(default_factory=Selection)
    """Which frames are meant: all, where it is empty."""
    keep_budget: int = 0
    """Frames of the range that were not kept whole because the keep budget was spent."""
    sampled_slow: int = 0
    sampled_on_time: int = 0
    missing: Sequence[str] = field(default=())
    """Sentences: what is not shown here, and why."""
