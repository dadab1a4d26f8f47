"""What a viewer is sent each second, by the websocket or, without one, by asking: a whole snapshot."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from dash import html
from plotly.io.json import to_json_plotly

from framescope_ui.figures import quantity
from framescope_ui.figures.local_time import localized
from framescope_ui.pages import elements, live
from framescope_ui.pages.elements import Part
from framescope_ui.pages.limits import limits
from framescope_ui.pages.viewer import Viewer
from framescope_ui.questions.sources import missing
from framescope_ui.questions.views import Live

LIVE_PATHS = ("/", "/live")
MOST_ALIKE = 16
"""So many different views of a snapshot are remembered; names in a view come from addresses."""


class Snapshots:
    """What viewers are sent. Viewers that look at the same thing alike are sent the same text: drawing it and
    writing it as JSON take some 15 ms of CPU, which would else be for every viewer and second."""

    def __init__(self) -> None:
        self._made: OrderedDict[Viewer, tuple[Live, str]] = OrderedDict()

    def of(self, seen: Live, viewer: Viewer, due: bool = True) -> dict[str, Any]:
        """The parts of the page that change by themselves, as components; the browser puts them in place.

        On the Live page, unless it is paused or not ``due``, that is the page, as JSON within; on every other
        only the bar.
        """
        with quantity.times_in(viewer.zone, viewer.home):
            sent = bar(seen)
            if viewer.path in LIVE_PATHS and viewer.paused is None:
                if not to_be_drawn(seen):
                    sent["held"] = held(seen)
                elif due:
                    sent["live"] = self._page(seen, viewer.with_(every=0.0))
        return sent

    def _page(self, seen: Live, viewer: Viewer) -> str:
        known = self._made.get(viewer)
        if known is not None and known[0] is seen:
            return known[1]
        page = str(to_json_plotly(_page(seen, viewer)))
        self._made[viewer] = (seen, page)
        self._made.move_to_end(viewer)
        while len(self._made) > MOST_ALIKE:
            self._made.popitem(last=False)
        return page


def _page(seen: Live, viewer: Viewer) -> dict[str, Any]:
    readings = live.readings_of(seen, viewer)
    return {
        "any": has_values(seen),
        "tiles": live.tiles(seen),
        "alerts": live.alerts(seen),
        "legend": live.legend(seen),
        "side": live.side(seen, viewer),
        "limits": limits(seen.health.sources),
        "figure": localized(live.figure_of(seen, viewer)).to_plotly_json(),
        "finding": live.finding(seen),
        "readings": None if readings is None else localized(readings).to_plotly_json(),
        "readings_finding": live.readings_finding(seen),
        "look": f"{viewer.theme} {str(viewer.minimal).lower()} {quantity.zone_name()}",
    }


def bar(seen: Live) -> dict[str, Any]:
    """What every page is sent: the state, and how old what it shows is."""
    return {"at": seen.time, "age": seen.newest_age_seconds, "state": state(seen)}


def has_values(seen: Live) -> bool:
    """Whether there is anything to draw."""
    known = (y is not None for lines in seen.history.values() for line in lines for y in line.y)
    return seen.fps_in is not None or any(known)


def to_be_drawn(seen: Live) -> bool:
    """Whether this is to take the place of what was drawn: not where every store is away, and all there is
    are answers remembered for a few seconds. A pipeline that fell silent is drawn without values."""
    sources = seen.health.sources
    return any(seen.history.values()) and not (sources and all(missing(source) for source in sources))


def held(seen: Live) -> str | None:
    """Why what the Live page shows does not go on, and from when it is; None where that is not known."""
    away = [source.name for source in seen.health.sources if missing(source)]
    if not away or seen.newest_age_seconds is None:
        return None
    since = quantity.moment(seen.time - seen.newest_age_seconds)
    return f"No answer from {' and '.join(away)}: the values are from {since}."


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
