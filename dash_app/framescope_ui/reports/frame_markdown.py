"""One frame as Markdown, for a ticket: the sentence, the numbers, the evidence, the stages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from framescope.judge.advice import ADVICE
from framescope.signals import SOFTWARE_ACCELERATOR
from framescope_ui.figures import quantity, theme
from framescope_ui.questions.views import FrameView
from framescope_ui.reports import frame_words as words

MOST_STAGES = 60
"""Rows of the table of stages; of more, the longest ones: a ticket is read, not searched."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~$@])")


def frame_markdown(view: FrameView, link: str | None = None) -> str:
    """GitHub-flavoured Markdown. ``link`` is the page's address, where whoever asks knows it.

    Everything that came from outside is escaped: it can make neither markup nor HTML nor a mention.
    """
    parts: list[str] = [f"**{escaped(words.headline(view))}**", ""]
    parts.append(" · ".join(f"{fact.title} **{escaped(fact.text)}**" for fact in words.key_facts(view)))
    if view.gpu_simulated:
        parts += ["", f"The GPU is simulated: {escaped(SOFTWARE_ACCELERATOR)}."]
    parts += _shares(view) + _evidence(view) + _stages(view) + _missing(view)
    found = [f"`{_code(view.item.trace_id)}`"]
    if link is not None:
        found.append(f"<{_address(link)}>")
    parts += ["", "Trace " + " · ".join(found)]
    facts = words.build_facts(view)
    parts += ["", " · ".join(f"{fact.title} {escaped(fact.text)}" for fact in facts)]
    return "\n".join(parts) + "\n"


def _shares(view: FrameView) -> list[str]:
    if view.verdict is None or not words.overrun_shares(view.verdict):
        return []
    total = sum(seconds for _, seconds in words.overrun_shares(view.verdict))
    rows = [
        (escaped(theme.title(cause)), quantity.milliseconds(seconds), quantity.percent(seconds / total))
        for cause, seconds in words.overrun_shares(view.verdict)
    ]
    title, note = words.shares_title(view.verdict), words.shares_note(view.verdict)
    return ["", f"### {title}", "", f"{note}.", "", *_table(("cause", "ms", "%"), rows, right=(1, 2))]


def _evidence(view: FrameView) -> list[str]:
    verdict = view.verdict
    if verdict is None:
        return []
    rows: list[tuple[str, ...]] = []
    for one in words.evidence_by_cause(verdict):
        for _, row in one.rows:
            expected = quantity.UNKNOWN
            if row.baseline is not None:
                expected = " ".join(quantity.reading(row.baseline, row.unit))
            measured = " ".join(quantity.reading(row.value, row.unit))
            rows.append((escaped(theme.title(one.cause)), escaped(row.text or row.name), measured, expected))
    found = ["", "### Evidence", ""]
    if rows:
        found += _table(("cause", "reading", "measured", "expected"), rows, right=(2, 3))
    for status, title in (("ruled_out", "Ruled out"), ("not_measured", "Not measured")):
        told = [one for one in verdict.considered if one.status == status]
        if told:
            listed = "; ".join(f"{escaped(theme.title(one.cause))} ({escaped(one.reason)})" for one in told)
            found += ["", f"{title}: {listed}."]
    found += ["", escaped(words.confidence_words(verdict))]
    advice = ADVICE.get(verdict.cause)
    if advice is not None:
        found += ["", "### What to do", ""]
        found += [f"{number}. {escaped(step)}" for number, step in enumerate(advice.steps, start=1)]
    return found


def _stages(view: FrameView) -> list[str]:
    if not view.stages:
        return []
    rows = list(view.stages)
    if len(rows) > MOST_STAGES:
        rows = sorted(rows, key=lambda row: row.start - row.end)[:MOST_STAGES]
        rows.sort(key=lambda row: row.start)
    found = ["", "### Stages", ""]
    found += _table(
        ("stage", "kind", "starts, ms", "took, ms", "expected", "lost"),
        [
            (
                escaped(words.stage_name(row)) + (f" ({escaped(row.thread)})" if row.thread else ""),
                escaped(row.kind),
                quantity.milliseconds(row.start),
                quantity.milliseconds(row.end - row.start),
                quantity.milliseconds(row.expected),
                quantity.milliseconds(row.lost, signed=True),
            )
            for row in rows
        ],
        right=(2, 3, 4, 5),
    )
    if len(view.stages) > MOST_STAGES:
        found += ["", f"The longest {MOST_STAGES} of {len(view.stages)}."]
    for row in rows:
        if row.stacks:
            stack, seen = row.stacks[0]
            found += [
                "",
                f"{escaped(row.name)} after its usual time, {words.seen_times(row)}, the stack seen most "
                f"often (×{seen}):",
                "",
                *(f"    {line}" for line in stack.splitlines()),
            ]
    return found


def _missing(view: FrameView) -> list[str]:
    return ["", *(f"- {escaped(sentence)}" for sentence in view.missing)] if view.missing else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int]) -> list[str]:
    line = "|".join("---:" if place in right else "---" for place in range(len(head)))
    return [f"| {' | '.join(head)} |", f"|{line}|", *(f"| {' | '.join(row)} |" for row in rows)]


def escaped(text: str) -> str:
    """Text that is only text in Markdown: on one line, without markup, HTML, link or mention."""
    plain = " ".join(text.split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def _code(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


def _address(link: str) -> str:
    return re.sub(r"[\s<>]", "", link)
