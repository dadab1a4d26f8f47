"""Correlate in words and numbers: the finding, its condition, its interval, its lag."""

from __future__ import annotations

from framescope_ui.figures import quantity, theme
from framescope_ui.figures.correlate import scale_of
from framescope_ui.questions.correlate_views import Correlation, Selection, SignalRisk
from framescope_ui.statistics.risk import FEWEST_SLOW

CHANCE = "may be chance"
NO_FRAME = "No frame was recorded in this range."
CLASSES = {True: "", False: "fs-chance"}
"""The class of a line, by whether it is a finding."""


def chosen_risk(found: Correlation) -> SignalRisk | None:
    """The line of the signal that is looked at."""
    name = found.chosen.name if found.chosen is not None else None
    return next((one for one in found.signals if one.name == name), None)


def sentence(found: Correlation) -> str:
    """The page's finding, about the chosen signal."""
    if not found.frames:
        return "No frame of this range fits the selection." if found.selection else NO_FRAME
    if found.slow < FEWEST_SLOW:
        few = quantity.whole(found.slow) if found.slow else "None"
        verb = "was" if found.slow == 1 else "were"
        return (
            f"{few} of {quantity.whole(found.frames)} frames {verb} {slow_words(found.selection)}: "
            f"at least {FEWEST_SLOW} are needed to tell what they go along with."
        )
    risk = chosen_risk(found)
    if risk is None:
        some = f"{quantity.whole(found.slow)} of {quantity.whole(found.frames)}"
        return f"{some} frames were {slow_words(found.selection)}; no signal was read."
    who = who_words(found.selection)
    if risk.claimed:
        return finding(risk, who, among_words(found))
    if risk.interval is None:
        return f"Whether {who} go along with {risk.title} cannot be told: {risk.why}."
    if any(one.claimed for one in found.signals):
        return f"That {who} go along with {about(risk)} may be chance."
    return f"No signal stands out: whatever {who} go along with here may be chance."


def slow_words(selection: Selection) -> str:
    """What a frame of the selection was: slow, slow by GPU contention, slow with 12 to 30 ms."""
    if selection.frames:
        return "picked"
    by = "" if selection.cause is None else f" by {theme.title(selection.cause)}"
    took = "" if selection.latency is None else f" with {latency_words(selection.latency)}"
    return f"slow{by}{took}"


def who_words(selection: Selection) -> str:
    """The frames the page tells of: slow frames, frames slow by GPU contention."""
    told = slow_words(selection)
    return f"{told} frames" if told in ("slow", "picked") else f"frames {told}"


def latency_words(latency: tuple[float, float]) -> str:
    """12.0 to 30.0 ms."""
    least, below = (quantity.milliseconds(end) for end in latency)
    return f"{least} to {below} ms"


def within_words(found: Correlation) -> str:
    """GPU load from 80 to 95 %; "" where frames of any are meant."""
    within = found.selection.within
    if within is None:
        return ""
    name, low, high = within
    risk = next((one for one in found.signals if one.name == name), None)
    title, unit = (risk.title, risk.unit) if risk is not None else (name, "")
    return f"{title} {value_text(low, unit)} to {value_text(high, unit)}"


def among_words(found: Correlation) -> str:
    """Among which frames, as the beginning of a sentence; "" for all of them."""
    cohort, within = found.selection.cohort, within_words(found)
    of = "" if cohort is None else f" with {cohort[0]} = {cohort[1]}"
    return f"among frames{of}{f' at {within}' if within else ''}, " if of or within else ""


def capital(text: str) -> str:
    """With its first letter in upper case."""
    return text[:1].upper() + text[1:]


def finding(risk: SignalRisk, who: str = "slow frames", among: str = "") -> str:
    """How much likelier, in words: always the way round in which it is likelier."""
    if risk.risk_ratio is None:
        return capital(f"{among}{who} came only when {condition(risk, above=True)}.")
    times, above = risk.risk_ratio, True
    if times < 1:
        times, above = (1 / times if times > 0 else float("inf")), False
    if times == float("inf"):
        return capital(f"{among}{who} came only when {condition(risk, above=False)}.")
    return capital(f"{among}{who} are {ratio(times)} as likely when {condition(risk, above=above)}.")


def about(risk: SignalRisk) -> str:
    """GPU load; mode doppler."""
    return risk.title if risk.value is None else f"{risk.title} {risk.value}"


def condition(risk: SignalRisk, *, above: bool) -> str:
    """GPU load is above 90 %; mode is doppler."""
    return f"{risk.title} is {side_words(risk, above=above)}"


def side_words(risk: SignalRisk, *, above: bool) -> str:
    """Above 90 %; not doppler."""
    told = f"above {value_text(risk.threshold, risk.unit)}" if risk.value is None else risk.value
    return told if above else f"not {told}"


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
    """Which comes first, and how finely that can be told."""
    step = step_text(risk.lag_step_seconds)
    if risk.lag_seconds is None or risk.lag_interval is None:
        return "No lag can be claimed"
    low, high = risk.lag_interval
    between = f"95 % interval {signed_text(low)} to {signed_text(high)}"
    if risk.first is None:
        return f"Which comes first cannot be told in steps of {step}: lag {between}"
    who = "The signal leads" if risk.first == "signal" else "Slow frames lead"
    return f"{who} by {quantity.duration_text(abs(risk.lag_seconds))}, {between}, in steps of {step}"


def signed_text(seconds: float) -> str:
    """−200 ms, 0 ms, 1.2 s: positive where the signal comes first."""
    return f"{'−' if seconds < 0 else ''}{step_text(abs(seconds))}"


def step_text(seconds: float | None) -> str:
    """100 ms, 1 s."""
    if seconds is None:
        return quantity.UNKNOWN
    return f"{seconds * 1e3:.4g} ms" if seconds < 1 else f"{seconds:.3g} s"
