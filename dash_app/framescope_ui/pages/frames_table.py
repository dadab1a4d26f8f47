"""The list of kept frames: a grid on a wide screen, two-line rows on a phone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import dash_ag_grid as dag
from dash import html

from framescope_ui.figures import quantity, theme
from framescope_ui.figures.lanes import round_up
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.views import FrameItem

SLIVER = 0.02
"""Less than this share of a frame's overrun is not drawn: it would be as wide as a larger one."""
FAR_BEYOND = 3
"""The longest frame lost so many times what nine tenths of them lost: on its scale they would be slivers."""
MOST_ROWS = 18
"""Seen at once; the others are scrolled to."""
ROW_HEIGHT = 31
HEAD_HEIGHT = 28
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


def phone_row(item: FrameItem, viewer: Viewer) -> Part:
    """One frame in two lines."""
    return html.Li(_phone_link(item, viewer))


def phone_row_to_pick(item: FrameItem, viewer: Viewer) -> Part:
    """The same with a box that picks it; whether it is picked, the browser writes."""
    return html.Li(
        [
            html.Button(
                className="fs-pick",
                role="checkbox",
                **{
                    "data-pick": item.trace_id,
                    "aria-checked": "false",
                    "aria-label": f"Pick frame {_frame_text(item)}",
                },
            ),
            _phone_link(item, viewer),
        ]
    )


def _frame_text(item: FrameItem) -> str:
    return quantity.whole(item.frame_id) if item.frame_id is not None else item.trace_id[:8]


def _phone_link(item: FrameItem, viewer: Viewer) -> Part:
    return html.A(
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
                f"{quantity.moment(item.start, fraction=True)}, frame {quantity.whole(item.frame_id)}"
                + (f", {item.stage}" if item.stage else ""),
                className="fs-row-second",
            ),
        ],
        href=viewer.frame_href(item.trace_id),
    )


def row_of(item: FrameItem, viewer: Viewer) -> dict[str, Any]:
    """One row of the grid, already in words."""
    known = elements.known_cause(item.cause)
    return {
        "id": item.trace_id,
        "href": viewer.frame_href(item.trace_id),
        "time": quantity.clock(item.start, fraction=True),
        "frame": _frame_text(item),
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
            if seconds > SLIVER * (item.overrun_seconds or 0.0) and seconds > 0
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


def bar_scale(totals: Sequence[float]) -> tuple[float, bool]:
    """The ms that a whole bar stands for, and whether some are longer.

    The longest, unless it is so far beyond nine tenths of them that they would be slivers: then theirs, and
    what is longer is drawn whole with a mark at its end.
    """
    if not totals or not (longest := max(totals)):
        return 1.0, False
    most = sorted(totals)[(len(totals) - 1) * 9 // 10]
    if longest <= FAR_BEYOND * most or not most:
        return longest, False
    return round_up(most), True


def grid(rows: Sequence[dict[str, Any]]) -> Part:
    """The table of frames; one common ms scale for its bars, stated in the head."""
    scale, beyond = bar_scale([sum(part["ms"] for part in row["shares"]) for row in rows])
    scale_text = f"0 to {scale:.{0 if scale >= 1 else 1}f} ms" + (" »" if beyond else "")
    right = {"cellClass": "fs-right", "headerClass": "fs-right-head"}

    def column(field: str, head: str, width: int, **more: Any) -> dict[str, Any]:
        return {"field": field, "headerName": head, "width": width, **more}

    return dag.AgGrid(
        id="frames-grid",
        rowData=list(rows),
        columnDefs=[
            column("time", f"Time, {quantity.zone_name()}", 100),
            column("frame", "Frame", 66, cellRenderer="FrameLink"),
            column("latency", "Latency, ms", 86, **right),
            column("over", "Over, ms", 74, cellClass="fs-right fs-strong", headerClass="fs-right-head"),
            column(
                "shares",
                f"Lost to, {scale_text}",
                150,
                minWidth=120,
                flex=1,
                cellRenderer="ShareBar",
                cellRendererParams={"scale": scale},
                **({"headerTooltip": "» marks bars that are longer than this scale"} if beyond else {}),
            ),
            column("cause", "Main cause", 158, cellRenderer="CauseChip"),
            column("confidence", "Confidence", 90, **right),
            column("stage", "Stage", 98),
            column("gpu", "GPU load", 76, **right),
        ],
        defaultColDef={"sortable": False, "resizable": True, "suppressMovable": True, "cellDataType": False},
        getRowId="params.data.id",
        dashGridOptions={
            "theme": {"function": f"themeQuartz.withParams({json.dumps(GRID_LOOK)})"},
            "rowHeight": ROW_HEIGHT,
            "headerHeight": HEAD_HEIGHT,
            "animateRows": False,
            "rowSelection": {
                "mode": "multiRow",
                "checkboxes": True,
                "headerCheckbox": False,
                "enableClickSelection": True,
            },
            "selectionColumnDef": {"width": 46, "headerName": "Pick", "suppressHeaderMenuButton": True},
            "domLayout": "normal",
            "suppressCellFocus": False,
        },
        style={"height": f"{min(len(rows), MOST_ROWS) * ROW_HEIGHT + HEAD_HEIGHT + 3}px"},
        className="fs-grid",
    )
