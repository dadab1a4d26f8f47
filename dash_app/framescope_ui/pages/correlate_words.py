"""Correlate in words and numbers: the finding, its condition, its interval, its lag."""

from __future__ import annotations

from framescope_ui.figures import quantity
from framescope_ui.figures.correlate import scale_of
from framescope_ui.questions.correlate_views import Correlation, SignalRisk
from framescope_ui.statistics.risk import FEWEST_SLOW

CHANCE = "may be chance"


def chosen_risk(found: Correlation) -> SignalRisk | None:
    name = found.chosen.name if found.chosen is not None else None
    return next((one for one in found.signals if one.name == name), None)


def sentence(found: Correlation) -> str:
    """The page's finding, about the chosen signal."""
    if not found.frames:
        return "No frame was recorded in this range."
    if found.slow < FEWEST_SLOW:
        few = quantity.whole(found.slow) if found.slow else "None"
        verb = "was" if found.slow == 1 else "were"
        return (
            f"{few} of {quantity.whole(found.frames)} frames {verb} slow: "
            f"at least {FEWEST_SLOW} are needed to tell what they go along with."
        )
    risk = chosen_risk(found)
    if risk is None:
        some = f"{quantity.whole(found.slow)} of {quantity.whole(found.frames)}"
        return f"{some} frames were slow; no signal was read."
    if risk.claimed:
        return finding(risk)
    if risk.interval is None:
        return f"Whether slow frames go along with {risk.title} cannot be told: {risk.why}."
    if any(one.claimed for one in found.signals):
        return f"That slow frames go along with {risk.title} may be chance."
    return "No signal stands out: whatever slow frames go along with here may be chance."


def finding(risk: SignalRisk) -> str:
    """How much likelier, in words: always the way round in which it is likelier."""
    if risk.risk_ratio is None:
        return f"Slow frames came only when {condition(risk, above=True)}."
    times, above = risk.risk_ratio, True
    if times < 1:
        times, above = (1 / times if times > 0 else float("inf")), False
    if times == float("inf"):
        return f"Slow frames came only when {condition(risk, above=False)}."
    return f"Slow frames are {ratio(times)} as likely when {condition(risk, above=above)}."


def condition(risk: SignalRisk, *, above: bool) -> str:
    """GPU load is above 90 %."""
    return f"{risk.title} is {'above' if above else 'not above'} {value_text(risk.threshold, risk.unit)}"


def value_text(value: float | None, unit: str) -> str:
    """A value of a signal with its unit, for people."""
    if value is None:
        return quantity.UNKNOWN
    factor, told = scale_of(unit, [value])
    scaled = value * factor
    digits = 0 if abs(scaled) >= 100 or float(scaled).is_integer() else 1 if abs(scaled) >= 10 else 2
    return f"{quantity.grouped(scaled, digits)} {told}".strip()


def ratio(value: float | None) -> str:
    """4.2×; none beyond 100."""
    if value is None:
        return quantity.UNKNOWN
    if value >= 999:
        return "over 999×"
    return f"{quantity.grouped(value, 0 if value >= 99.5 else 1 if value >= 1 else 2)}×"


def interval_text(interval: tuple[float | None, float | None] | None) -> str:
    """3.1 to 5.6."""
    if interval is None:
        return quantity.UNKNOWN
    low, high = interval
    if high is None:
        return f"{ratio(low)[:-1]} and more"
    return f"{ratio(low)[:-1]} to {ratio(high)[:-1]}"


def likelier(risk: SignalRisk) -> tuple[float | None, tuple[float | None, float | None] | None, bool]:
    """Ratio and interval the way round in which slow frames are likelier, and whether that is above."""
    if risk.risk_ratio is None or risk.risk_ratio >= 1 or risk.interval is None:
        return risk.risk_ratio, risk.interval, True
    low, high = risk.interval
    turned = (None if high is None else 1 / high, None if not low else 1 / low)
    return (1 / risk.risk_ratio if risk.risk_ratio else None), (turned[0] or 0.0, turned[1]), False


def share_of(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def p_text(value: float | None) -> str:
    if value is None:
        return quantity.UNKNOWN
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def lag_words(risk: SignalRisk) -> str:
    """Which comes first, and how finely that can be told: an order only where the whole interval has it."""
    step = step_text(risk.lag_step_seconds)
    if risk.lag_seconds is None or risk.lag_interval is None:
        return "No lag can be claimed"
    finest = risk.lag_step_seconds or 0.0
    low, high = risk.lag_interval
    between = f"95 % interval {signed_text(low)} to {signed_text(high)}"
    # The ends are whole steps in floating point: a hair less than one is one.
    if low >= finest * 0.999 > 0:
        return (
            f"The signal leads by {quantity.duration_text(risk.lag_seconds)}, {between}, in steps of {step}"
        )
    if high <= -finest * 0.999 < 0:
        return (
            f"Slow frames lead by {quantity.duration_text(-risk.lag_seconds)}, {between}, in steps of {step}"
        )
    return f"Which comes first cannot be told in steps of {step}: lag {between}"


def signed_text(seconds: float) -> str:
    """−200 ms, 0 ms, 1.2 s: positive where the signal comes first."""
    return f"{'−' if seconds < 0 else ''}{step_text(abs(seconds))}"


def step_text(seconds: float | None) -> str:
    """100 ms, 1 s."""
    if seconds is None:
        return quantity.UNKNOWN
    return f"{seconds * 1e3:.4g} ms" if seconds < 1 else f"{seconds:.3g} s"
