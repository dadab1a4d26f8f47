"""Correlate's signals: the links to them, one looked at closely, all of them as a table."""

from __future__ import annotations

from typing import Any

from dash import html

from framescope_ui.figures import quantity
from framescope_ui.figures.correlate import dose_figure, dose_names, dose_unit, lag_figure
from framescope_ui.pages import elements
from framescope_ui.pages.correlate_table import wrapping_table
from framescope_ui.pages.correlate_words import (
    CHANCE,
    about,
    interval_text,
    lag_words,
    likelier,
    p_text,
    ratio,
    side_words,
    step_text,
    value_text,
)
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.correlate_views import Chosen, Correlation, Dose, SignalRisk

SHOWN_SIGNALS = 6
NO_FRAMES_OF_A_LAG = "No box here: a lag is told by the whole range and has no frames of its own."


def signal_links(found: Correlation, viewer: Viewer) -> Part:
    """The signals most likely to matter, each a link that looks at it closely."""
    chosen = found.chosen.name if found.chosen is not None else None
    shown = list(found.signals[:SHOWN_SIGNALS])
    shown += [one for one in found.signals[SHOWN_SIGNALS:] if one.name == chosen]
    return html.Nav(
        [
            html.A(
                [
                    html.Span(about(one), className="fs-signal-name", title=about(one)),
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
    return ratio(likelier(risk)[0])


def _short_condition(risk: SignalRisk) -> str:
    if risk.interval is None:
        return risk.why
    if not risk.claimed:
        return CHANCE
    above = likelier(risk)[2]
    if risk.value is not None:
        return "than the others" if above else f"not {risk.value}"
    return side_words(risk, above=above)


def _short_interval(risk: SignalRisk) -> str:
    return interval_text(likelier(risk)[1]) if risk.interval is not None else ""


def all_signals(found: Correlation, viewer: Viewer) -> Part:
    """Every signal with its numbers."""
    head = (
        "Signal",
        "Above, or is",
        "Slow then",
        "Slow else",
        "Ratio",
        "95 % interval",
        "Lag",
        "Adjusted p",
        "Finding",
    )
    rows = [
        [
            html.A(about(one), href=viewer.with_(signal=one.name).href()),
            value_text(one.threshold, one.unit) if one.value is None else one.value,
            f"{quantity.whole(one.slow_above)} of {quantity.whole(one.n_above)}",
            f"{quantity.whole(one.slow_below)} of {quantity.whole(one.n_below)}",
            ratio(one.risk_ratio),
            interval_text(one.interval),
            "–" if one.lag_seconds is None else quantity.duration_text(one.lag_seconds),
            p_text(one.p_adjusted),
            "yes" if one.claimed else one.why or CHANCE,
        ]
        for one in found.signals
    ]
    return html.Details(
        [
            html.Summary(f"All {quantity.whole(len(found.signals))} signals as a table"),
            wrapping_table(head, rows, caption="Every signal", right=(1, 2, 3, 4, 5, 6, 7), wide=True),
        ],
        className="fs-as-table",
        id="all-signals",
    )


def doses_card(chosen: Chosen, risk: SignalRisk, viewer: Viewer) -> Part:
    """Dose and response."""
    if not chosen.doses:
        body: Part = elements.notice("Too few frames met a reading.", "Choose a longer range.")
    else:
        names = dose_names(chosen, risk.unit)
        unit = dose_unit(chosen, risk)
        rows = [
            [
                html.A(name, href=viewer.with_(**_of_dose(risk, dose)).href(), title="Only these frames"),
                quantity.whole(dose.frames),
                quantity.whole(dose.slow),
                f"{quantity.percent(dose.share)} %",
                f"{quantity.percent(dose.interval[0])} to {quantity.percent(dose.interval[1])} %",
            ]
            for name, dose in zip(names, chosen.doses, strict=True)
        ]
        label = (
            f"{risk.title}: {rows[0][3]} of frames slow at {names[0]} {unit}, "
            f"{rows[-1][3]} at {names[-1]} {unit}"
        )
        body = elements.chart(
            dose_figure(chosen, risk, viewer.theme, phone=viewer.phone),
            label,
            id="doses",
            table=wrapping_table(
                (f"{risk.title}, {unit}" if unit else risk.title, "Frames", "Slow", "Share", "95 % interval"),
                rows,
                caption=label,
                right=(1, 2, 3, 4),
            ),
        )
    left = f"; {quantity.whole(chosen.left_out)} frames in small steps left out" if chosen.left_out else ""
    return elements.card(f"Slow frames by {risk.title}", body, note=f"% of frames, 95 % interval{left}")


def _of_dose(risk: SignalRisk, dose: Dose) -> dict[str, Any]:
    """The selection of one step's frames."""
    if dose.value is not None:
        return {"cohort": (risk.attribute, dose.value)}
    return {"within": (risk.name, dose.low, dose.high)}


def lag_card(chosen: Chosen, risk: SignalRisk, viewer: Viewer) -> Part:
    """Which comes first."""
    step = step_text(risk.lag_step_seconds)
    if chosen.lag is None:
        body: Part = elements.notice(
            "No lag can be told for this signal.",
            "It is what each frame carries itself: there is no other time to it."
            if risk.of_frames
            else "A lag takes 600 readings that change: a minute of ten a second, ten minutes of one.",
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
                table=wrapping_table(
                    ("Signal first by", "Correlation", "95 % band"), rows, caption=words, right=(0, 1, 2)
                ),
            ),
            html.P(NO_FRAMES_OF_A_LAG, className="fs-dim"),
        ]
    return elements.card(
        "Which comes first",
        body,
        note=None if risk.of_frames else f"correlation with latency; steps of {step}; shaded: chance",
    )
