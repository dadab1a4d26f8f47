"""The Correlate page: what slow frames go along with, in a sentence, and the proof beneath it."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html

from framescope_ui.figures import quantity, theme
from framescope_ui.figures.correlate import dose_figure, dose_names, lag_figure, scale_of, time_figure
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import LIVE_RANGES, Viewer
from framescope_ui.questions.correlate_views import Change, Chosen, Correlation, Difference, SignalRisk
from framescope_ui.statistics.risk import FEWEST_SLOW

SHOWN_SIGNALS = 6
SHOWN_DIFFERENCES = 10
SHOWN_STRETCHES = 12
UNREAD_SHARE = 0.01
"""Frames without a reading are worth a word from this share on."""
CHANCE = "may be chance"
DELTA = "δ: how much oftener than not a slow frame has the greater value, −1 to 1; the values are medians."
CLASSES = {True: "", False: "fs-chance"}


def longer(viewer: Viewer) -> Viewer:
    """The hour instead of the minutes of the Live page: it takes time to tell chance from law."""
    live = viewer.start is None and viewer.paused is None and viewer.range in LIVE_RANGES
    return viewer.with_(range="1h") if live else viewer


def correlate_page(found: Correlation, viewer: Viewer, fixed: Viewer) -> list[Part]:
    """The sentence, the signals, the time axis, doses, lag, what sets apart, changes. ``fixed``: the same
    range by its ends, for links that lead away."""
    risk = _chosen_risk(found)
    head: list[Part] = [html.H1(sentence(found), className="fs-sentence"), facts(found, risk)]
    if not found.frames:
        return [*head[:1], elements.notice("No frame was recorded in this range.", *_teach(viewer))]
    body = [
        *head,
        *(html.P(text, className="fs-dim") for text in asides(found)),
        signal_links(found, viewer),
        elements.card(
            "Latency, the signal and slow frames by cause",
            [
                elements.chart(
                    time_figure(found, risk, viewer.theme, phone=viewer.phone),
                    sentence(found),
                    id="correlate-time",
                    table=stretches_table(found, risk, fixed),
                ),
                cause_links(found, fixed),
            ],
            note="shaded: above the threshold; drag to narrow, click a mark to open it",
        ),
    ]
    if risk is not None and found.chosen is not None:
        body.append(
            html.Div(
                [
                    doses_card(found.chosen, risk, viewer),
                    lag_card(found.chosen, risk, viewer),
                    apart_card(found),
                ],
                className="fs-columns fs-columns-3",
            )
        )
    else:
        body.append(elements.notice("There is no signal to hold slow frames against.", *_no_signals()))
    body.append(changes_card(found, fixed))
    if found.signals:
        body.append(all_signals(found, viewer))
    return body


def _chosen_risk(found: Correlation) -> SignalRisk | None:
    name = found.chosen.name if found.chosen is not None else None
    return next((one for one in found.signals if one.name == name), None)


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[Part]],
    *,
    caption: str,
    right: Sequence[int] = (),
    wide: bool = False,
) -> Part:
    """A table whose cells wrap, or a wide one that scrolls in its frame; either can be reached by
    keyboard."""
    made = elements.table(head, rows, caption=caption, right=right)
    made.className = "fs-table-frame" if wide else "fs-table-frame fs-wrapping"
    made.tabIndex = 0
    return made


# ---- words ------------------------------------------------------------------------------------------------


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
    risk = _chosen_risk(found)
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


def _likelier(risk: SignalRisk) -> tuple[float | None, tuple[float | None, float | None] | None, bool]:
    """Ratio and interval the way round in which slow frames are likelier, and whether that is above."""
    if risk.risk_ratio is None or risk.risk_ratio >= 1 or risk.interval is None:
        return risk.risk_ratio, risk.interval, True
    low, high = risk.interval
    turned = (None if high is None else 1 / high, None if not low else 1 / low)
    return (1 / risk.risk_ratio if risk.risk_ratio else None), (turned[0] or 0.0, turned[1]), False


def facts(found: Correlation, risk: SignalRisk | None) -> Part:
    """The numbers under the sentence: interval, shares, lag, and what it is not."""
    parts: list[Part] = []
    if risk is not None and risk.interval is not None and found.slow >= FEWEST_SLOW:
        times, interval, _ = _likelier(risk)
        level = value_text(risk.threshold, risk.unit)
        parts += [
            html.Span([f"{ratio(times)}, 95 % interval ", html.Strong(interval_text(interval))]),
            html.Span(
                [
                    f"Above {level}: ",
                    html.Strong(f"{quantity.percent(_share(risk.slow_above, risk.n_above))} %"),
                    f" of {quantity.whole(risk.n_above)} frames slow",
                ]
            ),
            html.Span(
                [
                    "Not above: ",
                    html.Strong(f"{quantity.percent(_share(risk.slow_below, risk.n_below))} %"),
                    f" of {quantity.whole(risk.n_below)}",
                ]
            ),
        ]
        if risk.claimed:
            parts.append(html.Span(lag_words(risk)))
    parts.append(html.Span("An association; the cause is judged frame by frame"))
    return html.P(parts, className="fs-facts")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


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


def asides(found: Correlation) -> list[str]:
    """What limits the answer."""
    told = []
    if found.cut_before is not None:
        told.append(
            f"Only frames since {quantity.moment(found.cut_before)}: "
            "the range is longer than a day, or holds more than an hour of records."
        )
    if found.chosen is not None and found.chosen.unread > UNREAD_SHARE * found.frames:
        told.append(
            f"{quantity.whole(found.chosen.unread)} frames without a reading of this signal are left out."
        )
    return [*told, *found.missing]


def _teach(viewer: Viewer) -> list[Part]:
    return [
        "Choose a longer range, or start the pipeline.",
        html.A("The last 24 hours", href=viewer.with_(range="24h", start=None, end=None).href()),
    ]


def _no_signals() -> list[Part]:
    return [
        "Signals are readings of the GPU and the host, queue depths, and numbers of your own: "
        'pipeline.gauge("score", 0.93) adds one.',
        '"framescope doctor" says which probes are off, and why.',
    ]


# ---- signals ----------------------------------------------------------------------------------------------


def signal_links(found: Correlation, viewer: Viewer) -> Part:
    """The signals most likely to matter, each a link that looks at it closely."""
    chosen = found.chosen.name if found.chosen is not None else None
    shown = list(found.signals[:SHOWN_SIGNALS])
    shown += [one for one in found.signals[SHOWN_SIGNALS:] if one.name == chosen]
    return html.Nav(
        [
            html.A(
                [
                    html.Span(one.title, className="fs-signal-name"),
                    html.Span(_short(one), className="fs-signal-ratio"),
                    html.Span(_short_condition(one), className="fs-signal-note"),
                    html.Span(_short_interval(one), className="fs-signal-note fs-right"),
                ],
                href=viewer.with_(signal=one.name).href(),
                className="fs-signal"
                + (" fs-claimed" if one.claimed else "")
                + (" fs-chosen" if one.name == chosen else ""),
                **({"aria-current": "true"} if one.name == chosen else {}),
            )
            for one in shown
        ],
        className="fs-signals",
        **{"aria-label": "Signals"},
    )


def _short(risk: SignalRisk) -> str:
    if risk.interval is None:
        return quantity.UNKNOWN
    return ratio(_likelier(risk)[0])


def _short_condition(risk: SignalRisk) -> str:
    if risk.interval is None:
        return risk.why
    side = "above" if _likelier(risk)[2] else "not above"
    text = f"{side} {value_text(risk.threshold, risk.unit)}"
    return text if risk.claimed else CHANCE


def _short_interval(risk: SignalRisk) -> str:
    return interval_text(_likelier(risk)[1]) if risk.interval is not None else ""


def all_signals(found: Correlation, viewer: Viewer) -> Part:
    """Every signal with its numbers."""
    head = (
        "Signal",
        "Above",
        "Slow above",
        "Slow not above",
        "Ratio above",
        "95 % interval",
        "Lag",
        "Adjusted p",
        "Finding",
    )
    rows = [
        [
            html.A(one.title, href=viewer.with_(signal=one.name).href()),
            value_text(one.threshold, one.unit),
            f"{quantity.whole(one.slow_above)} of {quantity.whole(one.n_above)}",
            f"{quantity.whole(one.slow_below)} of {quantity.whole(one.n_below)}",
            ratio(one.risk_ratio),
            interval_text(one.interval),
            "–" if one.lag_seconds is None else quantity.duration_text(one.lag_seconds),
            _p(one.p_adjusted),
            "yes" if one.claimed else one.why or CHANCE,
        ]
        for one in found.signals
    ]
    return html.Details(
        [
            html.Summary(f"All {quantity.whole(len(found.signals))} signals as a table"),
            _table(head, rows, caption="Every signal", right=(1, 2, 3, 4, 5, 6, 7), wide=True),
        ],
        className="fs-as-table",
        id="all-signals",
    )


def _p(value: float | None) -> str:
    if value is None:
        return quantity.UNKNOWN
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


# ---- cards ------------------------------------------------------------------------------------------------


def stretches_table(found: Correlation, risk: SignalRisk | None, fixed: Viewer) -> Part:
    """The longest stretches above the threshold, each a link to its slow frames."""
    above = found.chosen.above if found.chosen is not None else ()
    if risk is None or not above:
        return _table(("Stretch",), [["none above the threshold"]], caption="Stretches above")
    longest = sorted(above, key=lambda one: one[0] - one[1])[:SHOWN_STRETCHES]
    rows: list[list[Part]] = [
        [
            html.A(
                f"{quantity.moment(start)}, slow frames of it",
                href=fixed.with_(signal=None, start=start, end=max(end, start + 1)).href("/frames"),
            ),
            quantity.duration_text(end - start),
        ]
        for start, end in sorted(longest)
    ]
    return _table(
        (f"{risk.title} above {value_text(risk.threshold, risk.unit)}, the longest stretches", "Lasted"),
        rows,
        caption="Stretches above the threshold",
        right=(1,),
    )


def cause_links(found: Correlation, fixed: Viewer) -> Part:
    """Causes of the range with their counts, each a link to its slow frames."""
    totals = [(cause, sum(slow)) for cause, slow in found.course.slow.items()]
    return html.Nav(
        [
            html.A(
                [
                    elements.swatch(cause),
                    html.Span(theme.title(cause)),
                    html.Span(quantity.whole(count), className="fs-count"),
                ],
                href=fixed.with_(cause=cause, signal=None).href("/frames"),
                className="fs-filter",
            )
            for cause, count in totals
        ],
        className="fs-chips",
        **{"aria-label": "Slow frames by cause"},
    )


def doses_card(chosen: Chosen, risk: SignalRisk, viewer: Viewer) -> Part:
    """Dose and response."""
    if not chosen.doses:
        body: Part = elements.notice("Too few frames met a reading.", "Choose a longer range.")
    else:
        names = dose_names(chosen, risk.unit)
        _, unit = scale_of(risk.unit, [end for dose in chosen.doses for end in (dose.low, dose.high)])
        rows = [
            [
                name,
                quantity.whole(dose.frames),
                quantity.whole(dose.slow),
                f"{quantity.percent(dose.share)} %",
                f"{quantity.percent(dose.interval[0])} to {quantity.percent(dose.interval[1])} %",
            ]
            for name, dose in zip(names, chosen.doses, strict=True)
        ]
        label = (
            f"{risk.title}: {rows[0][3]} of frames slow at {rows[0][0]} {unit}, "
            f"{rows[-1][3]} at {rows[-1][0]} {unit}"
        )
        body = elements.chart(
            dose_figure(chosen, risk, viewer.theme, phone=viewer.phone),
            label,
            id="doses",
            table=_table(
                (f"{risk.title}, {unit}", "Frames", "Slow", "Share", "95 % interval"),
                rows,
                caption=label,
                right=(1, 2, 3, 4),
            ),
        )
    left = f"; {quantity.whole(chosen.left_out)} frames in small steps left out" if chosen.left_out else ""
    return elements.card(f"Slow frames by {risk.title}", body, note=f"% of frames, 95 % interval{left}")


def lag_card(chosen: Chosen, risk: SignalRisk, viewer: Viewer) -> Part:
    """Which comes first."""
    step = step_text(risk.lag_step_seconds)
    if chosen.lag is None:
        body: Part = elements.notice(
            "No lag can be told for this signal.",
            "A queue's depth is that of the very frame; other signals need 600 readings that change: "
            "a minute of ten a second, ten minutes of one a second.",
        )
    else:
        rows = [
            [quantity.duration_text(at), f"{c:.3f}", f"{low:.3f} to {high:.3f}"]
            for at, c, low, high in zip(
                chosen.lag.lag_seconds, chosen.lag.correlation, chosen.lag.low, chosen.lag.high, strict=True
            )
        ]
        words = lag_words(risk) if risk.claimed else f"{risk.title} is no finding, so neither is its lag"
        body = [
            html.P(words + ".", id="lag-words"),
            elements.chart(
                lag_figure(chosen, risk, viewer.theme),
                words,
                id="lags",
                table=_table(
                    ("Signal first by", "Correlation", "95 % band"), rows, caption=words, right=(0, 1, 2)
                ),
            ),
        ]
    return elements.card(
        "Which comes first", body, note=f"correlation with latency; steps of {step}; shaded: chance"
    )


def apart_card(found: Correlation) -> Part:
    """What sets slow frames apart, the clearest first."""
    if not found.differences:
        body: Part = elements.notice(
            "Nothing to compare yet.",
            'Give frames attributes: pipeline.frame(mode="B", depth=4) lets them be compared by it.',
        )
    else:
        claimed = [one for one in found.differences if one.claimed]
        others = [one for one in found.differences if not one.claimed]
        body = [
            _apart_table(claimed[:SHOWN_DIFFERENCES], "What sets slow frames apart")
            if claimed
            else html.P("Nothing stands out: every difference may be chance.")
        ]
        for rest, words in ((claimed[SHOWN_DIFFERENCES:], "more"), (others, f"more, which {CHANCE}")):
            if rest:
                body.append(
                    html.Details(
                        [
                            html.Summary(f"{quantity.whole(len(rest))} {words}"),
                            _apart_table(rest, f"{words}".capitalize()),
                        ],
                        className="fs-as-table",
                    )
                )
    slow, on_time = quantity.whole(found.sampled_slow), quantity.whole(found.sampled_on_time)
    kept = f"{slow} slow and {on_time} on-time frames kept whole"
    if any(one.value is None for one in found.differences):
        body = [*body, html.P(DELTA, className="fs-dim")]
    return elements.card(
        "What sets slow frames apart", body, note=f"signals of all frames, the rest of {kept}"
    )


def _apart_table(differences: Sequence[Difference], caption: str) -> Part:
    rows = []
    for one in differences:
        name = one.title if one.value is None else f"{one.title} {_condition(one)}"
        rows.append([name, _side(one, one.on_time), _side(one, one.slow), _effect(one)])
    made = _table(("Where they differ", "On time", "Slow", "Effect"), rows, caption=caption, right=(1, 2, 3))
    for row, one in zip(made.children.children[2].children, differences, strict=True):
        row.className = CLASSES[one.claimed]
    return made


def _condition(one: Difference) -> str:
    value = one.value or ""
    return f"above {value_text(float(value[2:]), one.unit)}" if one.kind == "signal" else f"= {value}"


def _side(one: Difference, value: float) -> str:
    return f"{quantity.percent(value)} %" if one.value is not None else value_text(value, one.unit)


def _effect(one: Difference) -> str:
    if one.value is not None:
        points = one.effect * 100
        text = (
            f"{'+' if points > 0 else ''}{quantity.grouped(points, 0 if abs(points) >= 9.95 else 1)} points"
        )
    else:
        text = f"{'+' if one.effect > 0 else ''}{quantity.grouped(one.effect, 2)} δ"
    return text


def changes_card(found: Correlation, fixed: Viewer) -> Part:
    """Either side of each change marker."""
    if not found.changes:
        body: Part = elements.notice(
            "No change marker in this range has enough time on both sides.",
            'pipeline.mark("deployed 1.4") sets one; then this tells what it did to slow frames, '
            "cause by cause.",
        )
        return elements.card("Before and after", body, id="changes")
    parts: list[Part] = []
    for change in reversed(found.changes):
        parts += [html.H3(change_words(change), className="fs-strong"), _change_table(change, fixed)]
    return elements.card(
        "Before and after", parts, note="share of frames slow, 95 % interval of the ratio", id="changes"
    )


def change_words(change: Change) -> str:
    """What a change did, in a sentence."""
    whole = change.causes[0]
    at = f"{change.text}, {quantity.moment(change.time)}"
    if whole.interval is None:
        return f"{at}: too few slow frames to compare."
    if not whole.claimed:
        return f"{at}: a difference in slow frames may be chance."
    if whole.ratio is None:
        return f"{at}: slow frames came only after it."
    return f"{at}: slow frames {ratio(whole.ratio)} as likely after it."


def _change_table(change: Change, fixed: Viewer) -> Part:
    rows = []
    for one in change.causes:
        name: Part = "All slow frames" if one.cause is None else elements.chip(one.cause)
        rows.append(
            [
                html.A(
                    name,
                    href=fixed.with_(cause=one.cause, signal=None, start=change.start, end=change.end).href(
                        "/frames"
                    ),
                ),
                f"{quantity.percent(_share(one.slow_before, change.frames_before))} %",
                f"{quantity.percent(_share(one.slow_after, change.frames_after))} %",
                ratio(one.ratio),
                interval_text(one.interval),
                "yes" if one.claimed else CHANCE if one.interval is not None else "too few",
            ]
        )
    before, after = quantity.whole(change.frames_before), quantity.whole(change.frames_after)
    head = ("Cause", f"Before, of {before}", f"After, of {after}", "Ratio", "95 % interval", "Finding")
    return _table(head, rows, caption=change_words(change), right=(1, 2, 3, 4), wide=True)
