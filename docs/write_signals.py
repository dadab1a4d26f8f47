"""Writes docs/signals.md from the one table of names: ``python docs/write_signals.py``.

A test holds the document against the table, another what a real run emits.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from framescope import signals as sig

DOCUMENT: Final = Path(__file__).with_name("signals.md")
HEAD: Final = """\
# Every signal, one by one

Written by `python docs/write_signals.py` from [signals.py](../instrumentation/framescope/signals.py): change
that, not this. What an emitter of your own has to send, and when, is told in [wire.md](wire.md). Durations
are seconds, shares 0 to 1. What was not measured is absent, never 0.
"""
SPANS: Final = {
    sig.SPAN_FRAME: "root of a kept frame, from its due time to its end; below it a span a stage, named as "
    "the stage, and below a stage the GPU work it launched",
    sig.SPAN_FRAMES: "one a second and pipeline: every frame's offset, latency and outcome",
    sig.SPAN_MARK: "something changed; without length",
}

MISSING: Final = {
    "frame": "a frame, counted nowhere",
    "kept": "a slow frame as a whole; it is counted",
    "delivery": "a kept frame at its receiver; it is counted",
    "part": "a part of a frame that is counted",
    "reading": "a reading beside the frames",
}


def document() -> str:
    """The whole page."""
    return "\n".join(
        (
            HEAD,
            "## Spans\n",
            *_table(("span", "meaning"), ((f"`{name}`", meaning) for name, meaning in SPANS.items())),
            "",
            "## Attributes\n",
            *_table(
                ("attribute", "on", "type", "unit", "meaning", "name from"),
                (
                    (_name(a.name), a.on, a.type, _unit(a.unit), a.meaning, a.source)
                    for a in sig.ATTRIBUTES.values()
                ),
            ),
            "",
            "## Metrics\n",
            "Histograms are on one grid, told in [wire.md](wire.md). Counters are cumulative.\n",
            *_table(
                ("metric", "instrument", "unit", "attributes", "meaning", "name from"),
                (
                    (
                        f"`{m.name}`",
                        m.instrument,
                        _unit(m.unit),
                        " ".join(f"`{name}`" for name in m.attributes) or "–",
                        m.meaning,
                        m.source,
                    )
                    for m in sig.METRICS.values()
                ),
            ),
            "",
            "## Causes\n",
            *_table(
                ("cause", "shown as", "code", "family", "meaning"),
                (
                    (f"`{c.name}`", c.title, f"`{c.code}`", c.parent or "–", c.meaning)
                    for c in sig.CAUSES.values()
                ),
            ),
            "",
            f"## Losses\n\nThe `reason` of `{sig.FS_FRAMES_LOST}`.\n",
            *_table(
                ("reason", "what is missing", "because"),
                ((f"`{one.reason}`", MISSING[one.of], one.meaning) for one in sig.LOSSES.values()),
            ),
            "",
        )
    )


_FOLLOWS: Final = {sig.BATCH_DEPTHS_PREFIX: "<queue>", sig.BATCH_ATTRIBUTES_PREFIX: "<name>"}
"""What a name that ends in a point goes on with; else a cause."""


def _name(name: str) -> str:
    follows = _FOLLOWS.get(name, "<cause>")
    return f"`{name}{follows}`" if name.endswith(".") else f"`{name}`"


def _unit(unit: str) -> str:
    return f"`{unit}`" if unit else "–"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(f"wrote {DOCUMENT}")
