"""The Slow frames page: which frames missed their budget, and what took them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from dash import dcc, html

from framescope_ui.backends.protocols import FrameQuery
from framescope_ui.figures import quantity, theme
from framescope_ui.figures.strip import strip_figure, strip_note
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.frame_groups import groups_card
from framescope_ui.pages.frame_preview import preview_hint
from framescope_ui.pages.frames_table import grid, phone_row_to_pick, row_of
from framescope_ui.pages.incidents import incidents_card
from framescope_ui.pages.viewer import GROUPS, OUTCOMES, Viewer
from framescope_ui.questions.slow_frames import Narrowed, SlowFrames
from framescope_ui.questions.views import EveryFrame, FramesPage

PAGE_SIZE = 100
MOST_SAVED = 1000
"""Rows of one CSV or JSON file: as many as the interface answers at once."""


def query_of(viewer: Viewer, now: float, cursor: str | None = None) -> FrameQuery:
    """The frames this viewer asks for, one page of them."""
    start, end = viewer.span(now)
    return FrameQuery(
        service=viewer.service,
        pipeline=viewer.pipeline,
        start_ns=int(start * 1e9),
        end_ns=int(end * 1e9),
        outcomes=() if viewer.outcome == "any" else (viewer.outcome,),
        causes=(viewer.cause,) if viewer.cause else (),
        stage=viewer.stage,
        min_latency_ns=None if viewer.latency_ms is None else int(viewer.latency_ms[0] * 1e6),
        order=viewer.order,
        limit=PAGE_SIZE,
        cursor=cursor,
    )


def narrowed_of(viewer: Viewer) -> Narrowed:
    """What of the viewer's filters no store is asked for."""
    return Narrowed(
        cohort=viewer.cohort,
        below_ns=None if viewer.latency_ms is None else int(viewer.latency_ms[1] * 1e6),
    )


def slow_frames_page(seen: SlowFrames, viewer: Viewer, now: float) -> list[Part]:
    """The sentence, the incidents, the strip, and the list with a preview of the frame that is picked."""
    start, end = viewer.span(now)
    finding = sentence(seen.every, seen.counts)
    return [
        html.H1(finding, className="fs-sentence"),
        *notes(seen),
        html.Div([causes(seen.counts, viewer), choices(seen.page, viewer)], className="fs-filters"),
        *incidents_card(seen.incidents, viewer),
        elements.card(
            "Every frame",
            elements.chart(
                strip_figure(
                    seen.every,
                    viewer.theme,
                    start,
                    end,
                    phone=viewer.phone,
                    incidents=[(one.start, one.end) for one in seen.incidents.incidents],
                    box=viewer.latency_ms,
                    changes=seen.marks,
                    kept=seen.page.frames,
                ),
                finding,
                id="strip",
            ),
            note=f"by main cause; {strip_note(seen.every, phone=viewer.phone)}; brackets are incidents; "
            "click a frame to open it or its moment, drag to narrow the range, draw a box around frames",
        ),
        *groups_card(seen.groups, viewer),
        *listed(seen, viewer, now),
    ]


def sentence(every: EveryFrame, counts: Sequence[tuple[str, int]]) -> str:
    """The page's finding."""
    slow = sum(count for _, count in counts)
    if not every.total:
        return "No frame was recorded in this range."
    if not slow:
        return f"None of {quantity.whole(every.total)} frames was slow."
    cause, most = counts[0]
    of = "all" if most == slow else f"{quantity.percent(most / slow)} %"
    were, told = ("was", "its main cause") if slow == 1 else ("were", f"the main cause of {of} of them")
    return (
        f"{quantity.whole(slow)} of {quantity.whole(every.total)} frames {were} slow. "
        f"{theme.title(cause)} is {told}."
    )


def notes(seen: SlowFrames) -> list[Part]:
    """What the numbers on this page leave out; nothing where that is nothing."""
    said = []
    if seen.every.cut_before is not None:
        said.append(
            f"Only the newest hour is counted, drawn and searched for incidents: the range holds more than "
            f"fits, frames before {quantity.moment(seen.every.cut_before)} are left out. The list has them."
        )
    if seen.not_kept:
        said.append(
            f"{quantity.whole(seen.not_kept)} frames were too many for the keep budget and not kept whole: "
            "the list has the worst of each second and is no fair sample. Counts, strip and incidents are of "
            "all frames. A larger emitter.keep_budget keeps more."
        )
    said += seen.missing
    if not said:
        return []
    return [html.Div([html.P(one) for one in said], className="fs-notes", id="frames-notes", role="note")]


def causes(counts: Sequence[tuple[str, int]], viewer: Viewer) -> Part:
    """One link a cause, with its count, the chosen one marked; on a phone, where they would fill the screen,
    a list to choose from."""
    if viewer.phone:
        return html.Div(_causes_to_choose(counts, viewer), className="fs-choices")

    def link(cause: str | None, parts: list[Part], count: int) -> html.A:
        chosen = viewer.cause == cause
        return html.A(
            [*parts, html.Span(quantity.whole(count), className="fs-count")],
            href=viewer.with_(cause=cause).href("/frames"),
            className="fs-filter" + (" fs-chosen" if chosen else ""),
            **({"aria-current": "true"} if chosen else {}),
        )

    every = [link(None, ["All"], sum(count for _, count in counts))]
    every += [
        link(cause, [elements.swatch(cause), html.Span(theme.title(cause))], count) for cause, count in counts
    ]
    if viewer.cause and viewer.cause not in {cause for cause, _ in counts}:
        every.append(link(viewer.cause, [elements.swatch(viewer.cause), theme.title(viewer.cause)], 0))
    return html.Nav(every, className="fs-chips", **{"aria-label": "Main cause"})


def _causes_to_choose(counts: Sequence[tuple[str, int]], viewer: Viewer) -> Part:
    told = dict(counts)
    if viewer.cause:
        told.setdefault(viewer.cause, 0)
    every = f"Every cause, {quantity.whole(sum(told.values()))}"
    options = [(every, viewer.with_(cause=None).href("/frames"))]
    options += [
        (f"{theme.title(cause)}, {quantity.whole(count)}", viewer.with_(cause=cause).href("/frames"))
        for cause, count in told.items()
    ]
    return elements.select("Main cause", options, viewer.href("/frames"), id="cause")


def choices(page: FramesPage, viewer: Viewer) -> Part:
    """Stage, outcome and order, each option being the address it leads to; and the ways on from here."""
    stages = sorted(
        {item.stage for item in page.frames if item.stage} | ({viewer.stage} if viewer.stage else set())
    )
    parts: list[Part] = [
        elements.select(
            "Stage",
            [
                ("Any stage", viewer.with_(stage=None).href()),
                *((s, viewer.with_(stage=s).href()) for s in stages),
            ],
            viewer.href(),
            id="stage",
        ),
        elements.select(
            "Outcome",
            [(name, viewer.with_(outcome=outcome).href()) for outcome, name in OUTCOMES.items()],
            viewer.href(),
            id="outcome",
        ),
        elements.select(
            "Group",
            [
                ("Not grouped", viewer.with_(group=None).href()),
                *((name, viewer.with_(group=group).href()) for group, name in GROUPS.items()),
            ],
            viewer.href(),
            id="group",
        ),
        elements.select(
            "Order",
            [
                ("Newest first", viewer.with_(order="time").href()),
                ("Longest first", viewer.with_(order="duration").href()),
            ],
            viewer.href(),
            id="order",
        ),
    ]
    if viewer.latency_ms is not None:
        text = f"{latencies_text(viewer.latency_ms)} ×"
        parts.append(_cleared(text, viewer.with_(latency_ms=None), "clear-latency", "Every latency again"))
    if viewer.cohort is not None:
        text = f"{' = '.join(viewer.cohort)} ×"
        parts.append(_cleared(text, viewer.with_(cohort=None), "clear-cohort", "Frames of every kind again"))
    parts.append(
        html.A(
            "What they go along with",
            href=viewer.with_(group=None, order="time", every_row=False).href("/correlate"),
            className="fs-filter",
            id="to-correlate",
        )
    )
    return html.Div(parts, className="fs-choices")


def _cleared(text: str, without: Viewer, id: str, title: str) -> Part:
    return html.A(text, href=without.href(), className="fs-filter fs-chosen", id=id, title=title)


def latencies_text(latency_ms: tuple[float, float]) -> str:
    """A range of latencies in words."""
    least, below = (quantity.milliseconds(end / 1e3) for end in latency_ms)
    return f"{least} to {below} ms"


def shown(page: FramesPage) -> str:
    """How many of how many rows are on the page."""
    of = f" of {quantity.whole(page.total)}" if page.total is not None else ""
    return f"{quantity.whole(len(page.frames))}{of} kept whole"


def listed(seen: SlowFrames, viewer: Viewer, now: float) -> list[Part]:
    """The grid with the preview beside it on a wide screen, two-line rows on a phone, a sentence where there
    is nothing."""
    page = seen.page
    if not page.frames:
        return [nothing(seen, viewer)]
    place = {"service": viewer.service, "pipeline": viewer.pipeline, "at": now, "cursor": page.next_cursor}
    more = html.Div(
        [
            # The next page is of the range and the pipeline this one was, though time has gone on.
            dcc.Store(id="frames-place", data=place),
            html.Button(
                "Load more",
                id="frames-more-phone" if viewer.phone else "frames-more",
                className="fs-button",
                hidden=page.next_cursor is None,
            ),
        ],
        className="fs-more",
    )
    body: Part = (
        html.Ol(
            [phone_row_to_pick(item, viewer) for item in page.frames],
            id="frames-list",
            className="fs-rows fs-rows-to-pick",
        )
        if viewer.phone
        else grid([row_of(item, viewer) for item in page.frames])
    )
    table = elements.card(
        "Longest first" if viewer.order == "duration" else "Newest first",
        html.Div([body, more]),
        note=[
            picked_line(viewer, now),
            html.Span(shown(page), id="frames-shown"),
            *saved_as(page, viewer, now),
        ],
    )
    if viewer.phone:
        return [table]
    return [
        html.Div(
            [
                table,
                html.Section(
                    [
                        dcc.Store(id="frames-first", data=page.frames[0].trace_id),
                        dcc.Store(id="frames-picked"),
                        html.Div(preview_hint(), id="frame-preview", **{"aria-live": "polite"}),
                    ],
                    className="fs-card fs-preview",
                    **{"aria-label": "The frame that is picked"},
                ),
            ],
            className="fs-columns fs-columns-9-3",
        )
    ]


def picked_line(viewer: Viewer, now: float) -> Part:
    """The way from several picked rows to what sets them apart; which they are, the browser adds. Among all
    frames of the range, which is fixed here though time goes on."""
    start, end = viewer.span(now)
    apart = viewer.without_filters().with_(start=start, end=end, paused=None)
    return html.Span(
        [
            html.Span(id="picked-count"),
            html.A("what sets them apart", href=apart.href("/correlate"), id="picked-apart"),
            html.Span(" or ", className="fs-or"),
            html.Button(
                "none" if viewer.phone else "one alone", id="picked-one", className="fs-plain-button"
            ),
            html.Span("; ", className="fs-after-picked"),
        ],
        id="picked",
        hidden=True,
        role="status",
    )


def saved_as(page: FramesPage, viewer: Viewer, now: float) -> list[Part]:
    """The list as files, by the interface's own answer; which part of it they hold is said."""
    query = query_of(viewer, now)
    asked = {
        "service": query.service,
        "pipeline": query.pipeline,
        "outcome": ",".join(query.outcomes),
        "cause": ",".join(query.causes),
        "stage": query.stage,
        "latency_ms": "-".join(f"{end:g}" for end in viewer.latency_ms or ()),
        "cohort": "=".join(viewer.cohort or ()),
        "start": f"{(query.start_ns or 0) / 1e9:.6f}",
        "end": f"{(query.end_ns or 0) / 1e9:.6f}",
        "order": query.order,
        "limit": MOST_SAVED,
    }
    filled = {name: value for name, value in asked.items() if value}
    whole = page.next_cursor is None or (page.total is not None and page.total <= MOST_SAVED)
    part = "all" if whole else f"the first {quantity.whole(MOST_SAVED)}"
    links: list[Part] = [
        html.A(
            name,
            href=f"{viewer.base}/api/frames?{urlencode({**filled, 'format': ending})}",
            id=f"frames-{ending}",
            target="_blank",
            rel="noopener",
            **{"aria-label": f"{part} as {name}"},
        )
        for ending, name in (("csv", "CSV"), ("json", "JSON"))
    ]
    return [f"; {part} as ", links[0], " or ", links[1]]


def nothing(seen: SlowFrames, viewer: Viewer) -> Part:
    """Why the list is empty, and the way out."""
    if viewer.filtered:
        what = " and ".join(
            part
            for part in (
                f"outcome {OUTCOMES[viewer.outcome].lower()}" if viewer.outcome != "slow" else "",
                theme.title(viewer.cause) if viewer.cause else "",
                f"stage {viewer.stage}" if viewer.stage else "",
                latencies_text(viewer.latency_ms) if viewer.latency_ms else "",
                " = ".join(viewer.cohort) if viewer.cohort else "",
            )
            if part
        )
        without = quantity.whole(sum(count for _, count in seen.counts))
        return elements.notice(
            f"No {'slow ' if viewer.outcome == 'slow' else ''}frame here was kept for {what}.",
            html.Span(
                [
                    f"{without} slow frames without the filter. ",
                    html.A("Clear it", href=viewer.without_filters().with_(order=viewer.order).href()),
                ]
            ),
        )
    if not seen.every.total:
        return elements.notice(
            "Nothing arrived in this range.",
            html.Span(
                [
                    "Was the host running then? ",
                    html.A("The last 24 hours", href=_lately(viewer)),
                    " show when it last was.",
                ]
            ),
        )
    if seen.counts:
        return elements.notice(
            "None of the slow frames was kept whole.",
            "They are counted and drawn above. Kept frames follow a few seconds behind, and are deleted with "
            "the store's retention.",
        )
    return elements.notice(
        "No slow frame in this range.",
        html.Span(
            [
                "Every frame recorded here met its budget. ",
                html.A("The last 24 hours", href=_lately(viewer)),
                " may hold some, or look at the longest of those ",
                html.A("on time", href=viewer.with_(outcome="on_time", order="duration").href()),
                ".",
            ]
        ),
    )


def _lately(viewer: Viewer) -> str:
    return viewer.without_filters().with_(range="24h", start=None, end=None, paused=None).href("/frames")
