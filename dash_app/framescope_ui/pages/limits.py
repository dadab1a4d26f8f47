"""What the backends cannot answer as they are set up: out of the way, and there for who misses something."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html

from framescope_ui.figures import quantity
from framescope_ui.pages import elements
from framescope_ui.pages.elements import Part
from framescope_ui.questions.views import Source


def limits(sources: Sequence[Source]) -> list[Part]:
    """A folded table; nothing where every backend answers everything."""
    rows: list[list[Part]] = [
        [source.name, one.what, one.why, one.change or "–"] for source in sources for one in source.missing
    ]
    if not rows:
        return []
    names = " and ".join(dict.fromkeys(source.name for source in sources if source.missing))
    head = ("Backend", "Not answered, or not fully", "Why", "What would change it")
    return [
        html.Details(
            [
                html.Summary(f"Limits of {names}: {quantity.whole(len(rows))}"),
                elements.table(head, rows, caption="What the backends cannot answer", wide=True),
            ],
            className="fs-as-table",
            id="limits",
        )
    ]
