"""What a viewer is sent each second, by the websocket or, without one, by asking: a whole snapshot."""

from __future__ import annotations

from typing import Any

from dash import html

from framescope_ui.figures import quantity
from framescope_ui.pages import elements, live
from framescope_ui.pages.elements import Part
from framescope_ui.pages.limits import limits
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.views import Live

LIVE_PATHS = ("/", "/live")


def snapshot(seen: Live, viewer: Viewer) -> dict[str, Any]:
    """The parts of the page that change by themselves, as components; the browser puts them in place.

    On the Live page, unless it is paused, that is the page; on every other only the bar.
    """
    sent = bar(seen)
    if viewer.path in LIVE_PATHS and viewer.paused is None and has_frames(seen):
        sent["live"] = {
            "tiles": live.tiles(seen),
            "alerts": live.alerts(seen),
            "legend": live.legend(seen),
            "side": live.side(seen, viewer),
            "limits": limits(seen.health.sources),
            "figure": live.figure_of(seen, viewer),
            "finding": live.finding(seen),
            "theme": viewer.theme,
        }
    return sent


def bar(seen: Live) -> dict[str, Any]:
    """What every page is sent: the state, and how old what it shows is."""
    return {"at": seen.time, "age": seen.newest_age_seconds, "state": state(seen)}


def has_frames(seen: Live) -> bool:
    """Whether there is anything to draw."""
    return any(seen.history.values()) or seen.fps_in is not None


def state(seen: Live) -> list[Part]:
    """The badge, its reason and since when."""
    health = seen.health
    since = ""
    if health.since is not None:
        since = f"since {quantity.clock(health.since)}, {quantity.ago(seen.time - health.since)}"
    return [
        elements.badge(health.state),
        html.Div(
            [
                html.Div(health.text, className="fs-why", title=health.text),
                html.Div(since, className="fs-since"),
            ],
            className="fs-reason-text",
        ),
    ]
