"""The Frame page: one sentence about one frame, and its proof."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from dash import html

from framescope.judge.advice import ADVICE
from framescope_ui.figures import quantity, theme
from framescope_ui.figures.frame import neighbours_figure, shown_rows, waterfall_figure
from framescope_ui.figures.live import gpu_title
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.views import (
    Considered,
    EvidenceRow,
    FrameView,
    GpuThen,
    ShareRow,
    StageRow,
    VerdictView,
)

SMALL = 0.01
"""Shares below a hundredth are the stages' usual jitter: told on request, not drawn."""


def frame_page(view: FrameView, viewer: Viewer) -> list[Part]:
    """One frame, whole."""
    return [
        _head(view, viewer),
        _headline(view),
        _key_numbers(view),
        *(elements.notice(sentence, kind="trouble") for sentence in view.missing),
        *([_overrun(view, view.verdict)] if view.verdict is not None else []),
        html.Div(
            [
                html.Div(
                    [
                        *([_neighbours(view, viewer)] if view.neighbours else []),
                        _waterfall(view, viewer),
                        *_attributes(view),
                    ],
                    className="fs-wide",
                ),
                *(
                    [html.Div(_evidence_card(view.verdict, viewer), className="fs-side")]
                    if view.verdict
                    else []
                ),
            ],
            className="fs-columns fs-columns-9-3" if view.verdict else "fs-columns",
        ),
    ]


def unknown_page(trace_id: str, viewer: Viewer) -> list[Part]:
    """An id no store knows: what an id is, why it may be gone, and the way back."""
    return [
        _breadcrumb("Unknown frame", viewer),
        html.H1("No frame is stored under this id.", className="fs-sentence"),
        elements.notice(
            f"Asked for: {trace_id[:80]}",
            "A frame's id is its trace id: 32 hexadecimal digits, as they stand in its address and in the "
            "list of slow frames.",
            "Only frames that were kept whole have a page: every slow, late, failed or dropped one, their "
            "neighbours, and a sample of the others. They are deleted when the store's retention ends, and a "
            "frame shows up here a few seconds after it ended.",
            html.A("Back to the slow frames", href=viewer.href("/frames")),
        ),
    ]


def _breadcrumb(name: str, viewer: Viewer, trace_id: str = "") -> html.Nav:
    parts: list[Part] = [
        html.A("Slow frames", href=viewer.href("/frames"), id="back"),
        html.Span("/", className="fs-dim", **{"aria-hidden": "true"}),
        html.Span(name),
    ]
    if trace_id:
        parts.append(html.Code(f"trace {trace_id[:16]}", title=trace_id))
    return html.Nav(parts, className="fs-crumbs", **{"aria-label": "Breadcrumb"})


def _head(view: FrameView, viewer: Viewer) -> Part:
    item = view.item
    name = "Trace" if view.foreign else f"Frame {quantity.whole(item.frame_id)}"

    def step(trace_id: str | None, text: str, key: str, id: str) -> Part:
        inside = [text, html.Kbd(key)]
        if trace_id is None:
            return html.Span(inside, className="fs-button fs-off", **{"aria-disabled": "true"})
        return html.A(inside, href=viewer.frame_href(trace_id), className="fs-button", id=id)

    return html.Div(
        [
            _breadcrumb(name, viewer, item.trace_id),
            html.Div(
                [
                    step(view.earlier_slow, "Earlier slow frame", "[", "earlier"),
                    step(view.later_slow, "Later slow frame", "]", "later"),
                    html.Button("Copy link", className="fs-button", id="copy-link"),
                    html.A(
                        "JSON",
                        href=f"/api/frames/{quote(item.trace_id, safe='')}",
                        className="fs-button",
                        target="_blank",
                        rel="noopener",
                        id="json",
                    ),
                ],
                className="fs-actions",
            ),
        ],
        className="fs-frame-head",
    )


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


def _headline(view: FrameView) -> html.H1:
    sentence = headline(view)
    first, colon, rest = sentence.partition(": ")
    if not colon:
        first, dot, rest = sentence.partition(". ")
        colon = dot
    return html.H1([html.Strong(first + colon.rstrip()), f" {rest}" if rest else ""], className="fs-sentence")


def _key_numbers(view: FrameView) -> html.Dl:
    verdict = view.verdict
    item = view.item

    def timed(seconds: float | None) -> Part:
        value, unit = quantity.duration(seconds)
        return elements.number(value, unit, strong=True)

    pairs: list[tuple[str, Part]] = [
        (
            "Latency",
            html.Span("not ended", className="fs-strong")
            if item.latency_seconds is None
            else timed(item.latency_seconds),
        )
    ]
    if view.budget_seconds is not None:
        pairs.append(("Budget", timed(view.budget_seconds)))
    if verdict is not None:
        if verdict.expected_seconds is not None:
            pairs.append(("Expected", timed(verdict.expected_seconds)))
        pairs += [
            ("Lost", timed(verdict.lost_seconds)),
            ("Confidence", elements.number(quantity.confidence(verdict.confidence), strong=True)),
        ]
    if view.interval_seconds is not None:
        pairs.append(("Since the frame before", timed(view.interval_seconds)))
    pairs.append(("Service", html.Span(item.service, className="fs-strong")))
    if view.host:
        pairs.append(("Host", html.Span(view.host, className="fs-strong")))
    if view.gpu_name or view.gpu_id:
        name: list[Part] = [html.Span(view.gpu_name or quantity.UNKNOWN, className="fs-strong")]
        if view.gpu_simulated:
            name.append(elements.simulated_tag())
        pairs.append((gpu_title(view.gpu_id), html.Span(name)))
        pairs += [(title, html.Span(said, className="fs-strong")) for title, said in gpu_facts(view.gpu_then)]
    if view.clock_error_seconds is not None:
        pairs.append(
            (
                "Clock error",
                elements.number(f"±{quantity.milliseconds(view.clock_error_seconds)}", "ms", strong=True),
            )
        )
    if item.kept:
        pairs.append(("Kept as", html.Span(item.kept, className="fs-strong")))
    pairs.append(("Due", elements.number(quantity.clock(view.due, fraction=True), "UTC", strong=True)))
    return html.Dl(
        [html.Div([html.Dt(name), html.Dd(value)]) for name, value in pairs], className="fs-key-line"
    )


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


def _without_small(
    shares: list[tuple[str, float]],
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The shares worth drawing, and those that together would only be slivers."""
    total = sum(seconds for _, seconds in shares)
    shown = [(cause, seconds) for cause, seconds in shares if seconds >= SMALL * total]
    small = shares[len(shown) :]
    return (shown, small) if len(small) > 1 else (shares, [])


def _overrun(view: FrameView, verdict: VerdictView) -> Part:
    shares = overrun_shares(verdict)
    total = sum(seconds for _, seconds in shares)
    if not total:
        return elements.card(
            "Where the time went", html.P("Nothing was lost against what is expected.", className="fs-dim")
        )
    over = verdict.overrun_seconds > 0
    what = "overrun" if over else "time lost"
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
    shown, small = _without_small(shares)
    parts = []
    for cause, seconds in shown:
        narrow = seconds / total < 0.07
        parts.append(
            html.Div(
                [
                    html.Div(
                        []
                        if narrow
                        else [
                            html.Div(f"{quantity.milliseconds(seconds)} ms", className="fs-num fs-strong"),
                            html.Div(theme.title(cause), className="fs-clip"),
                        ],
                        className="fs-share-text",
                    ),
                    html.Div(
                        html.Span(theme.code(cause), className="fs-plate")
                        if seconds / total >= 0.03
                        else None,
                        className=f"fs-share-block {elements.cause_class(cause)}",
                    ),
                ],
                className="fs-share",
                style={"flexGrow": seconds / total * 1000},
                title=f"{theme.title(cause)} {quantity.milliseconds(seconds)} ms",
            )
        )
    label = ", ".join(f"{theme.title(c)} {quantity.milliseconds(s)} ms" for c, s in shares)
    listed = html.Ul(
        [
            html.Li([elements.chip(c), elements.number(quantity.milliseconds(s), "ms", strong=True)])
            for c, s in shown
        ],
        className="fs-share-list",
    )
    if small:
        together = sum(seconds for _, seconds in small)
        note += f"; {len(small)} smaller shares, {quantity.milliseconds(together)} ms together, not drawn"
    return elements.card(
        f"Where the {quantity.milliseconds(total)} ms of {what} went",
        [html.Div(parts, className="fs-shares", role="img", **{"aria-label": label}), listed],
        note=note,
    )


def _neighbours(view: FrameView, viewer: Viewer) -> Part:
    every = view.neighbours
    slow = sum(1 for outcome in every.outcome if outcome == "slow") if every else 0
    return elements.card(
        "Neighbouring frames",
        elements.chart(
            neighbours_figure(view, viewer.theme, phone=viewer.phone),
            f"The frames before and after this one; {slow} of them were slow.",
            id="neighbours",
        ),
        note="every frame; slow ones in their main cause's colour; box = time shown below",
    )


def _waterfall(view: FrameView, viewer: Viewer) -> Part:
    rows = shown_rows(view, every=viewer.every_row, phone=viewer.phone)
    hidden = len(view.stages) - len(rows)
    longest = max(view.stages, key=lambda row: row.end - row.start, default=None)
    finding = f"{len(view.stages)} stages" + (
        f"; the longest is {longest.name} with {quantity.milliseconds(longest.end - longest.start)} ms"
        if longest
        else ""
    )
    table = elements.table(
        ("Stage", "Kind", "Starts, ms", "Took, ms", "Expected", "Lost"),
        [
            [
                row.name if row.parent is None else f"{row.name} (in {row.parent})",
                row.kind,
                quantity.milliseconds(row.start),
                quantity.milliseconds(row.end - row.start),
                quantity.milliseconds(row.expected),
                quantity.milliseconds(row.lost, signed=True),
            ]
            for row in view.stages[:200]
        ],
        caption="Stages of this frame",
        right=(2, 3, 4, 5),
    )
    body: list[Part] = []
    if view.stages:
        body.append(
            elements.chart(
                waterfall_figure(view, viewer.theme, every_row=viewer.every_row, phone=viewer.phone),
                finding,
                id="waterfall",
                table=table,
            )
        )
    else:
        body.append(html.P("This frame has no stages.", className="fs-dim"))
    if hidden > 0:
        body.append(html.A(f"Show all {len(view.stages)}", href=viewer.with_(every_row=True).href()))
    if not view.foreign and not view.series.get("gpu_utilization"):
        body.append(
            html.P(
                'GPU load: not measured around this frame. "framescope doctor" says which readings this '
                "machine gives.",
                className="fs-dim",
            )
        )
    body += [
        html.P(f"{row.name} failed: {row.message or 'no reason given'}", className="fs-failed")
        for row in view.stages
        if row.status == "error"
    ]
    body += [_whereabouts(row) for row in view.stages[:200] if row.stacks]
    legend: list[Part] = [
        html.Span([html.Span(className="fs-swatch fs-pale", **{"aria-hidden": "true"}), "expected part"]),
        html.Span("lost: full colour of its cause"),
    ]
    if view.gpu_simulated:
        legend.insert(0, elements.simulated_tag())
    return elements.card(
        "This trace, span by span" if view.foreign else "This frame, stage by stage",
        body,
        note=html.Div(legend, className="fs-legend"),
    )


def _whereabouts(row: StageRow) -> Part:
    """Where a stage's thread was seen in its Python code after it had taken its usual time."""
    looks = sum(seen for _, seen in row.stacks)
    times = "once" if looks == 1 else f"{looks} times"
    return html.Details(
        [
            html.Summary(f"Where {row.name} was, seen {times} after its usual time"),
            html.Ol(
                [
                    html.Li(
                        html.Details(
                            [
                                html.Summary([html.Code(innermost(stack)), f" ×{seen}"]),
                                html.Pre(stack),
                            ]
                        )
                    )
                    for stack, seen in row.stacks
                ]
            ),
        ],
        className="fs-stacks",
    )


def innermost(stack: str) -> str:
    """The call a stack ends in. A remark in brackets below it is about the stack, and no call."""
    calls = [line for line in stack.splitlines() if line and not line.startswith("(")]
    return calls[-1] if calls else stack


def _attributes(view: FrameView) -> list[Part]:
    if not view.attributes:
        return []
    pairs: list[tuple[Part, Part]] = [(name, html.Code(value)) for name, value in view.attributes]
    summary = html.Summary(f"{len(pairs)} attributes")
    return [html.Details([summary, elements.definition(pairs)], className="fs-card fs-attributes")]


def _evidence_card(verdict: VerdictView, viewer: Viewer) -> Part:
    over = verdict.overrun_seconds > 0
    parts: list[Part] = []
    by_cause: dict[str, list[ShareRow]] = {}
    for share in verdict.shares:
        by_cause.setdefault(share.cause, []).append(share)
    order = [cause for cause, _ in overrun_shares(verdict)]
    order += [cause for cause in by_cause if cause not in order]
    small = {cause for cause, _ in _without_small(overrun_shares(verdict))[1]}
    slivers: list[Part] = []
    for cause in order:
        rows = by_cause[cause]
        # What several shares of one cause rest on is said once.
        lines = dict.fromkeys((row.stage, one) for row in rows for one in row.evidence)
        told = {(one.text, one.value): (stage, one) for stage, one in reversed(lines)}
        seconds = sum(row.overrun_seconds if over else row.lost_seconds for row in rows)
        if seconds <= 0 and not any(row.evidence for row in rows):
            continue
        (slivers if cause in small else parts).append(
            html.Div(
                [
                    html.H3(
                        [
                            elements.chip(cause),
                            elements.number(quantity.milliseconds(seconds), "ms", strong=True),
                        ]
                    ),
                    *(_evidence_row(stage, one) for stage, one in reversed(told.values())),
                    *(
                        html.P(
                            f"lost in {row.stage}" if row.stage else "lost between stages", className="fs-dim"
                        )
                        for row in rows
                        if not row.evidence
                    ),
                ],
                className="fs-evidence-cause",
            )
        )
    if slivers:
        parts.append(html.Details([html.Summary(f"{len(slivers)} smaller shares"), *slivers]))
    parts += _considered("Ruled out", [one for one in verdict.considered if one.status == "ruled_out"])
    parts += _considered("Not measured", [one for one in verdict.considered if one.status == "not_measured"])
    parts += advice_on(verdict.cause)
    explained = verdict.lost_seconds - verdict.unexplained_seconds
    covered = explained / verdict.lost_seconds if verdict.lost_seconds > 0 else None
    words = (
        "Nothing was lost, so there is nothing to explain."
        if covered is None
        else f"Readings cover {quantity.percent(covered)} % of the time lost"
        + (
            f"; {quantity.milliseconds(verdict.unexplained_seconds)} ms stay unexplained."
            if verdict.unexplained_seconds > 0
            else "."
        )
    )
    parts.append(
        html.Div(
            [
                html.H3(
                    ["Confidence", elements.number(quantity.confidence(verdict.confidence), strong=True)]
                ),
                html.P(words),
                html.A(
                    f"Frames with {theme.title(verdict.cause)}",
                    href=viewer.with_(cause=verdict.cause, every_row=False).href("/frames"),
                ),
            ],
            className="fs-evidence-cause",
        )
    )
    return elements.card(
        "Evidence",
        parts,
        note=html.Span([html.Span("measured"), html.Span("expected")], className="fs-evidence-head"),
        id="evidence",
    )


def advice_on(cause: str) -> list[Part]:
    """What to do about a cause, and how far it can be trusted."""
    advice = ADVICE.get(cause)
    if advice is None:
        return []
    return [
        html.Div(
            [
                html.H3("What to do"),
                html.Ol([html.Li(step) for step in advice.steps], className="fs-steps"),
                html.Details(
                    [
                        html.Summary("What it rests on, what can fool it"),
                        html.P(advice.rests_on),
                        html.P(advice.fooled_by),
                    ]
                ),
            ],
            className="fs-evidence-cause",
            id="advice",
        )
    ]


def _evidence_row(stage: str | None, row: EvidenceRow) -> html.Div:
    value, unit = quantity.reading(row.value, row.unit)
    if row.baseline is None:
        expected: Part = quantity.UNKNOWN
    else:
        number, of = quantity.reading(row.baseline, row.unit)
        expected = f"{number} {of}"
    return html.Div(
        [
            html.Span(row.text or row.name, className="fs-evidence-name", title=stage or ""),
            html.Span(f"{value} {unit}", className="fs-num"),
            html.Span(expected, className="fs-num fs-dim"),
        ],
        className="fs-evidence",
    )


def _considered(title: str, found: Sequence[Considered]) -> list[Part]:
    if not found:
        return []
    return [
        html.Div(
            [
                html.H3(title),
                *(
                    html.Div(
                        [elements.chip(one.cause), html.Span(one.reason, className="fs-reason")],
                        className="fs-considered",
                    )
                    for one in found
                ),
            ],
            className="fs-evidence-cause",
        )
    ]
