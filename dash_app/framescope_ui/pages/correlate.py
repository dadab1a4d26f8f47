"""The Correlate page: what slow frames go along with, in a sentence, and the proof beneath it."""

from __future__ import annotations

from dash import html

from framescope_ui.figures import quantity, theme
from framescope_ui.figures.correlate_time import time_figure
from framescope_ui.pages import elements
from framescope_ui.pages.correlate_apart import apart_card
from framescope_ui.pages.correlate_changes import changes_card
from framescope_ui.pages.correlate_selected import nothing_left, selection_line
from framescope_ui.pages.correlate_signals import all_signals, doses_card, lag_card, signal_links
from framescope_ui.pages.correlate_table import wrapping_table
from framescope_ui.pages.correlate_words import (
    capital,
    chosen_risk,
    condition,
    interval_text,
    lag_words,
    likelier,
    ratio,
    sentence,
    share_of,
    value_text,
)
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import LIVE_RANGES, Viewer
from framescope_ui.questions.correlate_views import Correlation, SignalRisk
from framescope_ui.statistics.risk import FEWEST_SLOW

SHOWN_STRETCHES = 12
UNREAD_SHARE = 0.01
"""Frames without a reading are worth a word from this share on."""


def longer(viewer: Viewer) -> Viewer:
    """The hour instead of the minutes of the Live page: it takes time to tell chance from law."""
    live = viewer.start is None and viewer.paused is None and viewer.range in LIVE_RANGES
    return viewer.with_(range="1h") if live else viewer


def correlate_page(found: Correlation, viewer: Viewer, fixed: Viewer) -> list[Part]:
    """The sentence, the signals, the time axis, doses, lag, what sets apart, changes. ``fixed``: the same
    range by its ends, for links that lead away."""
    risk = chosen_risk(found)
    head: list[Part] = [html.H1(sentence(found), className="fs-sentence"), facts(found, risk)]
    if not found.frames and found.selection:
        return [*head[:1], selection_line(found, viewer, fixed), nothing_left(found, viewer)]
    if not found.frames:
        return [*head[:1], elements.notice("Nothing arrived in this range.", *_teach(viewer))]
    body = [
        *head,
        selection_line(found, viewer, fixed),
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
            note=time_note(risk, phone=viewer.phone),
        ),
    ]
    if risk is not None and found.chosen is not None:
        cards = [doses_card(found.chosen, risk, viewer), lag_card(found.chosen, risk, viewer)]
        # Who picked frames asks for what sets them apart.
        cards.insert(0 if found.selection.frames else 2, apart_card(found))
        body.append(html.Div(cards, className="fs-columns fs-columns-3"))
    elif found.selection.frames:
        body.append(apart_card(found))
    else:
        body.append(elements.notice("There is no signal to hold slow frames against.", *_no_signals()))
    body.append(changes_card(found, viewer, fixed))
    if found.signals:
        body.append(all_signals(found, viewer))
    return body


def time_note(risk: SignalRisk | None, *, phone: bool) -> str:
    """What is shaded, and what can be done with the chart."""
    shaded = "" if risk is None else "shaded: most had it; " if risk.value is not None else "shaded: above; "
    return shaded + (
        "tap a mark to open it" if phone else "draw a box to select frames, click a mark to open it"
    )


def facts(found: Correlation, risk: SignalRisk | None) -> Part:
    """The numbers under the sentence: interval, shares, lag, and what it is not."""
    parts: list[Part] = []
    if risk is not None and risk.interval is not None and found.slow >= FEWEST_SLOW:
        times, interval, _ = likelier(risk)
        above, below = (
            (f"Above {value_text(risk.threshold, risk.unit)}", "Not above")
            if risk.value is None
            else (f"{risk.title} is {risk.value}", "Is not")
        )
        parts += [
            html.Span(
                [
                    "Ratio, 95 % interval " if times is None else f"{ratio(times)}, 95 % interval ",
                    html.Strong(interval_text(interval)),
                ]
            ),
            html.Span(
                [
                    f"{above}: ",
                    html.Strong(f"{quantity.percent(share_of(risk.slow_above, risk.n_above))} %"),
                    f" of {quantity.whole(risk.n_above)} frames slow",
                ]
            ),
            html.Span(
                [
                    f"{below}: ",
                    html.Strong(f"{quantity.percent(share_of(risk.slow_below, risk.n_below))} %"),
                    f" of {quantity.whole(risk.n_below)}",
                ]
            ),
        ]
        if risk.claimed and found.chosen is not None and found.chosen.lag is not None:
            parts.append(html.Span(lag_words(risk)))
    parts.append(html.Span("An association; the cause is judged frame by frame"))
    return html.P(parts, className="fs-facts")


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
    if found.keep_budget:
        told.append(
            f"About {quantity.whole(found.keep_budget)} frames were one too many for the keep budget and not "
            "kept whole: of their seconds the worst slow frames were kept and those on time went first. "
            "Readings and stages of such storms are told by their worst frames; whatever is of all frames is "
            "not touched."
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


def stretches_table(found: Correlation, risk: SignalRisk | None, fixed: Viewer) -> Part:
    """The longest stretches above the threshold, each a link to its slow frames."""
    above = found.chosen.above if found.chosen is not None else ()
    if risk is None or not above:
        return wrapping_table(("Stretch",), [["none above the threshold"]], caption="Stretches above")
    longest = sorted(above, key=lambda one: one[0] - one[1])[:SHOWN_STRETCHES]
    shown = fixed.with_(signal=None, within=None, than=None)
    rows: list[list[Part]] = [
        [
            html.A(
                f"{quantity.moment(start)}, slow frames of it",
                href=shown.with_(start=start, end=max(end, start + 1)).href("/frames"),
            ),
            quantity.duration_text(end - start),
        ]
        for start, end in sorted(longest)
    ]
    return wrapping_table(
        (f"{capital(condition(risk, above=True))}, the longest stretches", "Lasted"),
        rows,
        caption="Stretches above the threshold",
        right=(1,),
    )


def cause_links(found: Correlation, fixed: Viewer) -> Part:
    """Causes of the range with their counts, each a link to its slow frames."""
    totals = [(cause, sum(slow)) for cause, slow in found.course.slow.items()]
    shown = fixed.with_(signal=None, within=None, than=None)
    links = html.Nav(
        [
            html.A(
                [
                    elements.swatch(cause),
                    html.Span(theme.title(cause)),
                    html.Span(quantity.whole(count), className="fs-count"),
                ],
                href=shown.with_(cause=cause).href("/frames"),
                className="fs-filter",
            )
            for cause, count in totals
        ],
        className="fs-chips",
        **{"aria-label": "Slow frames by cause"},
    )
    if not fixed.phone or not totals:
        return links
    summary = html.Summary(f"Slow frames by cause: {quantity.whole(len(totals))}")
    return html.Details([summary, links], className="fs-as-table")
