"""The Slow frames page: which frames missed their budget, and what took them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import dash_ag_grid as dag
from dash import dcc, html

from framescope_ui.backends.protocols import FrameQuery
from framescope_ui.figures import quantity, theme
from framescope_ui.figures.strip import strip_figure, strip_note
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.incidents import incidents_card
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.incidents import Incidents
from framescope_ui.questions.views import EveryFrame, FrameItem, FramesPage

PAGE_SIZE = 100
GRID_LOOK = {
    "backgroundColor": "var(--fs-surface)",
    "foregroundColor": "var(--fs-ink)",
    "headerBackgroundColor": "var(--fs-surface)",
    "headerTextColor": "var(--fs-ink-3)",
    "headerFontWeight": 400,
    "headerFontSize": 11.5,
    "fontFamily": "inherit",
    "fontSize": 12.5,
    "rowHoverColor": "var(--fs-shade)",
    "selectedRowBackgroundColor": "var(--fs-raised)",
    "borderColor": "var(--fs-line)",
    "accentColor": "var(--fs-brand)",
    "wrapperBorder": False,
    "columnBorder": False,
    "headerColumnBorder": False,
    "headerColumnResizeHandleColor": "transparent",
    "oddRowBackgroundColor": "var(--fs-surface)",
}


def query_of(viewer: Viewer, now: float, cursor: str | None = None) -> FrameQuery:
    """The frames this viewer asks for, one page of them."""
    start, end = viewer.span(now)
    return FrameQuery(
        service=viewer.service,
        pipeline=viewer.pipeline,
        start_ns=int(start * 1e9),
        end_ns=int(end * 1e9),
        outcomes=("slow",),
        causes=(viewer.cause,) if viewer.cause else (),
        stage=viewer.stage,
        order=viewer.order,
        limit=PAGE_SIZE,
        cursor=cursor,
    )


def slow_frames_page(
    page: FramesPage,
    every: EveryFrame,
    counts: Sequence[tuple[str, int]],
    found: Incidents,
    viewer: Viewer,
    now: float,
) -> list[Part]:
    """The sentence, the chips, the incidents, the strip and the table."""
    start, end = viewer.span(now)
    return [
        html.H1(sentence(every, counts), className="fs-sentence"),
        html.Div([chips(counts, viewer), choices(page, viewer)], className="fs-filters"),
        *incidents_card(found, viewer),
        elements.card(
            "Every frame",
            elements.chart(
                strip_figure(every, viewer.theme, start, end, phone=viewer.phone),
                sentence(every, counts),
                id="strip",
            ),
            note=f"by main cause; {strip_note(every, phone=viewer.phone)}; drag to narrow the range",
        ),
        elements.card(
            "Longest first" if viewer.order == "duration" else "Newest first",
            frames_table(page, counts, viewer, now),
            note=html.Span(shown(len(page.frames), page.total), id="frames-shown"),
        ),
    ]


def sentence(every: EveryFrame, counts: Sequence[tuple[str, int]]) -> str:
    """The page's finding."""
    slow = sum(count for _, count in counts)
    if not every.total:
        return "No frame was recorded in this range."
    if not slow:
        return f"None of {quantity.whole(every.total)} frames was slow."
    cause, most = counts[0]
    return (
        f"{quantity.whole(slow)} of {quantity.whole(every.total)} frames were slow. "
        f"{theme.title(cause)} is the main cause of {quantity.percent(most / slow)} % of them."
    )


def chips(counts: Sequence[tuple[str, int]], viewer: Viewer) -> Part:
    """One link a cause, with its count; the chosen one is marked."""

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


def choices(page: FramesPage, viewer: Viewer) -> Part:
    """Stage and order, each option being the address it leads to."""
    stages = sorted(
        {item.stage for item in page.frames if item.stage} | ({viewer.stage} if viewer.stage else set())
    )
    return html.Div(
        [
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
                "Order",
                [
                    ("Newest first", viewer.with_(order="time").href()),
                    ("Longest first", viewer.with_(order="duration").href()),
                ],
                viewer.href(),
                id="order",
            ),
            html.A(
                "What they go along with",
                href=viewer.with_(cause=None, stage=None, order="time").href("/correlate"),
                className="fs-filter",
                id="to-correlate",
            ),
        ],
        className="fs-choices",
    )


def shown(here: int, total: int | None) -> str:
    """How many of how many rows are on the page."""
    of = f" of {quantity.whole(total)}" if total is not None else ""
    return f"{quantity.whole(here)}{of} kept whole"


def frames_table(page: FramesPage, counts: Sequence[tuple[str, int]], viewer: Viewer, now: float) -> Part:
    """The grid on a wide screen, two-line rows on a phone, a sentence where there is nothing."""
    if not page.frames:
        return nothing(counts, viewer)
    more = html.Div(
        [
            # The next page is of the range this one was, though time has gone on.
            dcc.Store(id="frames-cursor", data={"cursor": page.next_cursor, "now": now}),
            html.Button(
                "Load more",
                id="frames-more-phone" if viewer.phone else "frames-more",
                className="fs-button",
                hidden=page.next_cursor is None,
            ),
        ],
        className="fs-more",
    )
    rows = [row_of(item, viewer) for item in page.frames]
    body = (
        html.Ol([phone_row(item, viewer) for item in page.frames], id="frames-list", className="fs-rows")
        if viewer.phone
        else grid(rows)
    )
    return html.Div([body, more])


def nothing(counts: Sequence[tuple[str, int]], viewer: Viewer) -> Part:
    """Why the table is empty, and the way out."""
    if viewer.cause or viewer.stage:
        what = " and ".join(
            part
            for part in (
                theme.title(viewer.cause) if viewer.cause else "",
                f"stage {viewer.stage}" if viewer.stage else "",
            )
            if part
        )
        without = quantity.whole(sum(count for _, count in counts))
        return elements.notice(
            f"No slow frame here was kept for {what}.",
            html.Span(
                [
                    f"{without} slow frames without the filter. ",
                    html.A("Clear it", href=viewer.with_(cause=None, stage=None).href()),
                ]
            ),
        )
    return elements.notice(
        "No slow frame in this range.",
        "Every frame recorded here met its budget, or none was recorded: the strip above tells which.",
    )


def phone_row(item: FrameItem, viewer: Viewer) -> Part:
    """One frame in two lines."""
    return html.Li(
        html.A(
            [
                html.Span(
                    [
                        html.Span(
                            "not ended"
                            if item.latency_seconds is None
                            else f"{quantity.milliseconds(item.overrun_seconds, signed=True)} ms",
                            className="fs-num fs-strong",
                        ),
                        elements.chip(item.cause),
                    ],
                    className="fs-row-first",
                ),
                html.Span(
                    f"{quantity.clock(item.start, fraction=True)} UTC, frame {quantity.whole(item.frame_id)}"
                    + (f", {item.stage}" if item.stage else ""),
                    className="fs-row-second",
                ),
            ],
            href=viewer.frame_href(item.trace_id),
        )
    )


def row_of(item: FrameItem, viewer: Viewer) -> dict[str, Any]:
    """One row of the grid, already in words."""
    known = elements.known_cause(item.cause)
    return {
        "id": item.trace_id,
        "href": viewer.frame_href(item.trace_id),
        "time": quantity.clock(item.start, fraction=True),
        "frame": quantity.whole(item.frame_id) if item.frame_id is not None else item.trace_id[:8],
        "latency": "not ended"
        if item.latency_seconds is None
        else quantity.milliseconds(item.latency_seconds),
        "over": quantity.milliseconds(item.overrun_seconds, signed=True),
        "shares": [
            {
                "cause": elements.known_cause(cause),
                "pattern": theme.PATTERN_CLASS[theme.look(cause).pattern],
                "ms": seconds * 1e3,
                "text": f"{theme.title(cause)} {quantity.milliseconds(seconds)} ms",
            }
            for cause, seconds in item.overrun_by_cause
            if seconds > 0
        ],
        "cause": {
            "cause": known,
            "pattern": theme.PATTERN_CLASS[theme.look(item.cause).pattern],
            "code": theme.code(item.cause),
            "title": theme.title(item.cause),
        },
        "confidence": quantity.confidence(item.confidence),
        "stage": item.stage or quantity.UNKNOWN,
        "gpu": quantity.UNKNOWN
        if item.gpu_utilization is None
        else f"{quantity.percent(item.gpu_utilization)} %",
    }


def grid(rows: Sequence[dict[str, Any]]) -> Part:
    """The table of frames; one common ms scale for its bars, stated in the head."""
    scale = max((sum(part["ms"] for part in row["shares"]) for row in rows), default=0.0) or 1.0
    right = {"cellClass": "fs-right", "headerClass": "fs-right-head"}

    def column(field: str, head: str, width: int, **more: Any) -> dict[str, Any]:
        return {"field": field, "headerName": head, "width": width, **more}

    return dag.AgGrid(
        id="frames-grid",
        rowData=list(rows),
        columnDefs=[
            column("time", "Time, UTC", 118),
            column("frame", "Frame", 96, cellRenderer="FrameLink"),
            column("latency", "Latency, ms", 104, **right),
            column("over", "Over, ms", 92, cellClass="fs-right fs-strong", headerClass="fs-right-head"),
            column(
                "shares",
                f"Where it went, 0 to {scale:.0f} ms"
                if scale >= 1
                else f"Where it went, 0 to {scale:.1f} ms",
                210,
                flex=1,
                cellRenderer="ShareBar",
                cellRendererParams={"scale": scale},
            ),
            column("cause", "Main cause", 190, cellRenderer="CauseChip"),
            column("confidence", "Confidence", 104, **right),
            column("stage", "Stage", 130),
            column("gpu", "GPU load", 92, **right),
        ],
        defaultColDef={"sortable": False, "resizable": True, "suppressMovable": True, "cellDataType": False},
        getRowId="params.data.id",
        dashGridOptions={
            "theme": {"function": f"themeQuartz.withParams({json.dumps(GRID_LOOK)})"},
            "rowHeight": 31,
            "headerHeight": 28,
            "animateRows": False,
            "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
            "domLayout": "normal",
            "suppressCellFocus": False,
        },
        style={"height": f"{min(len(rows), 18) * 31 + 46}px"},
        className="fs-grid",
    )
