"""What is said of one frame in words and numbers: the same on its page, in a ticket, and in its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import framescope
from framescope import signals
from framescope_ui.figures import quantity
from framescope_ui.figures.live import gpu_title
from framescope_ui.questions.views import EvidenceRow, FrameView, GpuThen, StageRow, VerdictView

SMALL = 0.01
"""Shares below a hundredth are the stages' usual jitter: told on request, not drawn."""


def headline(view: FrameView) -> str:
    """The sentence of the page."""
    if view.verdict is not None:
        return view.verdict.sentence
    took = (
        "Not ended"
        if view.item.latency_seconds is None
        else quantity.duration_text(view.item.latency_seconds)
    )
    if view.foreign:
        return (
            f"{took}. This trace carries nothing of framescope's: it is shown as it came, without a verdict."
        )
    if view.item.outcome == "on_time":
        return f"{took}, within its budget."
    return f"{took}. No verdict was reached for this frame."


def split_headline(sentence: str) -> tuple[str, str]:
    """The part of the sentence that is set bold, and the rest."""
    first, colon, rest = sentence.partition(": ")
    if not colon:
        first, colon, rest = sentence.partition(". ")
    return first + colon.rstrip(), rest


def frame_name(view: FrameView) -> str:
    """What the frame is called: its number, or that it is a trace without one."""
    return "Trace" if view.foreign else f"Frame {quantity.whole(view.item.frame_id)}"


@dataclass(frozen=True, slots=True)
class Fact:
    """A title and its value; ``unit`` may be empty."""

    title: str
    value: str
    unit: str = ""

    @property
    def text(self) -> str:
        return f"{self.value} {self.unit}".strip()


def key_facts(view: FrameView) -> list[Fact]:
    """The frame's key numbers, as far as they are known."""
    item, verdict = view.item, view.verdict

    def timed(title: str, seconds: float | None) -> Fact:
        return Fact(title, *quantity.duration(seconds))

    facts = [
        Fact("Latency", "not ended")
        if item.latency_seconds is None
        else timed("Latency", item.latency_seconds)
    ]
    if view.budget_seconds is not None:
        facts.append(timed("Budget", view.budget_seconds))
    if verdict is not None:
        if verdict.expected_seconds is not None:
            facts.append(timed("Expected", verdict.expected_seconds))
        facts.append(timed("Lost", verdict.lost_seconds))
        facts.append(Fact("Confidence", quantity.confidence(verdict.confidence)))
    if view.interval_seconds is not None:
        facts.append(timed("Since the frame before", view.interval_seconds))
    facts.append(Fact("Service", item.service))
    if item.pipeline:
        facts.append(Fact("Pipeline", item.pipeline))
    if view.host:
        facts.append(Fact("Host", view.host))
    if view.gpu_name or view.gpu_id:
        facts.append(Fact(gpu_title(view.gpu_id), view.gpu_name or quantity.UNKNOWN))
        facts += [Fact(title, said) for title, said in gpu_facts(view.gpu_then)]
    if view.clock_error_seconds is not None:
        facts.append(Fact("Clock error", f"±{quantity.milliseconds(view.clock_error_seconds)}", "ms"))
    if item.kept:
        facts.append(Fact("Kept as", item.kept))
    facts.append(Fact("Due", quantity.clock(view.due, fraction=True), quantity.zone_name(view.due)))
    return facts


def gpu_facts(then: GpuThen) -> list[tuple[str, str]]:
    """What the GPU was like during the frame, as far as its readings tell: titles and values."""
    facts: list[tuple[str, str]] = []
    if then.clock_hz is not None:
        usual = f", usually {quantity.whole(then.usual_clock_hz / 1e6)}" if then.usual_clock_hz else ""
        facts.append(("GPU clock", f"{quantity.whole(then.clock_hz / 1e6)} MHz{usual}"))
    if then.held:
        by = f", by {then.held_by}" if then.held_by else ""
        facts.append(("Held back", f"{quantity.percent(then.held)} % of the time{by}"))
    if then.memory_bytes is not None:
        facts.append(("GPU memory", " ".join(quantity.memory(then.memory_bytes, None))))
    if then.temperature_celsius is not None:
        facts.append(("GPU temperature", f"{quantity.whole(then.temperature_celsius)} °C"))
    if then.power_watts is not None:
        facts.append(("GPU power", f"{quantity.whole(then.power_watts)} W"))
    if then.errors:
        facts.append(("GPU errors", "; ".join(then.errors)))
    return facts


def overrun_shares(verdict: VerdictView) -> list[tuple[str, float]]:
    """Seconds of the overrun by cause, most first; of the loss where nothing overran."""
    over = verdict.overrun_seconds > 0
    sums: dict[str, float] = {}
    for share in verdict.shares:
        seconds = share.overrun_seconds if over else share.lost_seconds
        sums[share.cause] = sums.get(share.cause, 0.0) + seconds
    return sorted(((c, s) for c, s in sums.items() if s > 0), key=lambda pair: -pair[1])


def without_small(
    shares: list[tuple[str, float]],
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The shares worth drawing, and those that together would only be slivers."""
    total = sum(seconds for _, seconds in shares)
    shown = [(cause, seconds) for cause, seconds in shares if seconds >= SMALL * total]
    small = shares[len(shown) :]
    return (shown, small) if len(small) > 1 else (shares, [])


def shares_title(verdict: VerdictView) -> str:
    """What the shares add up to."""
    total = sum(seconds for _, seconds in overrun_shares(verdict))
    if not total:
        return "Where the time went"
    what = "overrun" if verdict.overrun_seconds > 0 else "time lost"
    return f"Where the {quantity.milliseconds(total)} ms of {what} went"


def shares_note(verdict: VerdictView) -> str:
    """One line that ties the shares to the time lost."""
    over = verdict.overrun_seconds > 0
    small = without_small(overrun_shares(verdict))[1]
    if over and verdict.axis == "interval":
        note = f"it arrived {quantity.milliseconds(verdict.overrun_seconds)} ms late"
    elif over:
        fitted = verdict.lost_seconds - verdict.overrun_seconds
        expected = (
            ""
            if verdict.expected_seconds is None
            else f" against the expected {quantity.milliseconds(verdict.expected_seconds)}"
        )
        note = f"{quantity.milliseconds(verdict.lost_seconds)} ms lost{expected}"
        if fitted > 0:
            note += f"; {quantity.milliseconds(fitted)} of it fitted into the budget"
    else:
        note = "it stayed within its budget all the same"
    if small:
        together = sum(seconds for _, seconds in small)
        note += f"; {len(small)} smaller shares, {quantity.milliseconds(together)} ms together, not drawn"
    return note


@dataclass(frozen=True, slots=True)
class CauseEvidence:
    """One cause: its share in s (of the overrun, or of the loss where nothing overran), the readings it rests
    on, each with its stage, and the stages it has a share in without a reading (None: between stages)."""

    cause: str
    seconds: float
    rows: Sequence[tuple[str | None, EvidenceRow]]
    only_lost_in: Sequence[str | None]
    small: bool


def evidence_by_cause(verdict: VerdictView) -> list[CauseEvidence]:
    """The causes with a share or a reading, most first. What several shares rest on is said once."""
    over = verdict.overrun_seconds > 0
    shares = overrun_shares(verdict)
    small = {cause for cause, _ in without_small(shares)[1]}
    causes = dict.fromkeys([*(cause for cause, _ in shares), *(share.cause for share in verdict.shares)])
    found: list[CauseEvidence] = []
    for cause in causes:
        rows = [share for share in verdict.shares if share.cause == cause]
        seconds = sum(row.overrun_seconds if over else row.lost_seconds for row in rows)
        if seconds <= 0 and not any(row.evidence for row in rows):
            continue
        lines = dict.fromkeys((row.stage, one) for row in rows for one in row.evidence)
        told = {(one.text, one.value): (stage, one) for stage, one in reversed(lines)}
        found.append(
            CauseEvidence(
                cause,
                seconds,
                list(reversed(told.values())),
                [row.stage for row in rows if not row.evidence],
                cause in small,
            )
        )
    return found


def confidence_words(verdict: VerdictView) -> str:
    """What the confidence rests on."""
    explained = verdict.lost_seconds - verdict.unexplained_seconds
    if verdict.lost_seconds <= 0:
        return "Nothing was lost, so there is nothing to explain."
    covered = f"Readings cover {quantity.percent(explained / verdict.lost_seconds)} % of the time lost"
    if verdict.unexplained_seconds > 0:
        return f"{covered}; {quantity.milliseconds(verdict.unexplained_seconds)} ms stay unexplained."
    return f"{covered}."


def stage_name(row: StageRow) -> str:
    """A bar's name; of GPU work, under which stage."""
    return row.name if row.parent is None else f"{row.name} (in {row.parent})"


def seen_times(row: StageRow) -> str:
    """How often the stage's thread was looked at: what its stacks rest on."""
    looks = sum(seen for _, seen in row.stacks)
    return "1 sample" if looks == 1 else f"{looks} samples"


def build_facts(view: FrameView) -> list[Fact]:
    """What emitted the frame and what showed it: versions, for who reads this a year later."""
    told = dict(view.attributes)
    facts = [
        Fact(title, told[name])
        for title, name in (
            ("Version of the service", signals.SERVICE_VERSION),
            ("Instance", signals.SERVICE_INSTANCE_ID),
            ("OpenTelemetry SDK", "telemetry.sdk.version"),
            ("Runtime", "process.runtime.description"),
        )
        if told.get(name)
    ]
    return [*facts, Fact("framescope", framescope.__version__)]


def stamp(unix: float) -> str:
    """Date and time of day with its zone, for what is read on another day."""
    return f"{quantity.local(unix):%Y-%m-%d %H:%M:%S} {quantity.zone_name(unix)}"


def file_name(view: FrameView, ending: str) -> str:
    """A name for a file about this frame: service, number, the trace id's first digits."""
    number = "trace" if view.item.frame_id is None else str(view.item.frame_id)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in view.item.service[:40])
    return f"framescope-{plain or 'frame'}-{number}-{quote(view.item.trace_id[:8], safe='')}.{ending}"
