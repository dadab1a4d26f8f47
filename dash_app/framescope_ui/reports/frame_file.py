"""One frame as one HTML file that opens without a network: no script, no font, nothing fetched.

The file forbids itself everything but its own inline style (Content-Security-Policy in a ``meta``), so that
it can be attached to a ticket or a mail. It follows the reader's light or dark theme and prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import framescope
from framescope.judge.advice import ADVICE
from framescope.signals import SOFTWARE_ACCELERATOR
from framescope_ui.figures import quantity, theme
from framescope_ui.figures.theme import Theme
from framescope_ui.figures.waterfall_svg import cause_style, waterfall_svg
from framescope_ui.questions.views import FrameView, VerdictView
from framescope_ui.reports import frame_words as words

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
MOST_ROWS = 2000
"""Stages in the table, and attributes: a file of a frame with more says that they are cut."""


def frame_file(view: FrameView, made: float, note: str = "", link: str | None = None) -> str:
    """The whole file. ``made`` is when, unix s; ``note`` what was written to the pinned frame."""
    heading, rest = words.split_headline(words.headline(view))
    body = [
        f"<p class=dim>{_t(words.frame_name(view))}, due {words.stamp(view.due)} · trace "
        f"<code>{_t(view.item.trace_id)}</code></p>",
        f"<h1><strong>{_t(heading)}</strong> {_t(rest)}</h1>",
        _facts(words.key_facts(view), simulated=view.gpu_simulated),
        *(f"<p class=missing>{_t(sentence)}</p>" for sentence in view.missing),
        *([_card("Note", f"<p class=note>{_t(note)}</p>")] if note else []),
        *_shares(view),
        *_waterfall(view),
        *_evidence(view.verdict),
        *_stages(view),
        *_stacks(view),
        *_attributes(view),
    ]
    foot = f"Made {words.stamp(made)} by framescope {framescope.__version__}."
    facts = "; ".join(f"{fact.title} {fact.text}" for fact in words.build_facts(view)[:-1])
    page = (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{_t(words.frame_name(view))} · {_t(view.item.service)}</title>"
        f"<style>{_style()}</style></head><body><main>{''.join(body)}</main>"
        f"<footer><p>{foot}{' ' + _t(facts) + '.' if facts else ''}"
        f"{f' Page it was saved from: {_t(link)}' if link else ''}"
        "</p><p>This file fetches nothing; all times are UTC. It is SIZE.</p></footer></body></html>\n"
    )
    size = len(page.encode()) - len("SIZE")
    told = f"{(size + 8) / 1000:.0f} kB" if size >= 1000 else f"{size} bytes"
    return page.replace("It is SIZE.", f"It is {told}.")


def _t(text: str) -> str:
    return escape(text, quote=True)


def _card(title: str, body: str, note: str = "") -> str:
    dim = f"<span class=dim>{_t(note)}</span>" if note else ""
    return f"<section><h2>{_t(title)} {dim}</h2>{body}</section>"


def _facts(facts: Sequence[words.Fact], *, simulated: bool) -> str:
    told = "".join(f"<div><dt>{_t(fact.title)}</dt> <dd>{_t(fact.text)}</dd></div>" for fact in facts)
    tag = f"<p><span class=tag>simulated GPU</span> {_t(SOFTWARE_ACCELERATOR)}</p>" if simulated else ""
    return f"<dl class=facts>{told}</dl>{tag}"


def _chip(cause: str) -> str:
    return (
        f'<span class=chip><span class=swatch style="background:{cause_style(cause)}"></span>'
        f"<b>{_t(theme.code(cause))}</b> {_t(theme.title(cause))}</span>"
    )


def _shares(view: FrameView) -> list[str]:
    verdict = view.verdict
    if verdict is None or not words.overrun_shares(verdict):
        return []
    shares = words.overrun_shares(verdict)
    total = sum(seconds for _, seconds in shares)
    blocks = "".join(
        f'<span style="flex:{seconds / total:.4f} 1 0;background:{cause_style(cause)}" '
        f'title="{_t(theme.title(cause))} {quantity.milliseconds(seconds)} ms">'
        f"{f'<b>{_t(theme.code(cause))}</b>' if seconds / total > 0.04 else ''}</span>"
        for cause, seconds in shares
    )
    listed = "".join(
        f"<li>{_chip(cause)} <b>{quantity.milliseconds(seconds)} ms</b></li>" for cause, seconds in shares
    )
    body = f"<div class=bar>{blocks}</div><ul class=shares>{listed}</ul>"
    return [_card(words.shares_title(verdict), body, words.shares_note(verdict))]


def _waterfall(view: FrameView) -> list[str]:
    picture = waterfall_svg(view)
    if not picture:
        return [_card("Stages", "<p class=dim>This frame has no stages.</p>")]
    title = "This trace, span by span" if view.foreign else "This frame, stage by stage"
    note = "pale: the expected part; full colour: lost to its cause; line at the foot: the critical path"
    return [_card(title, f"<div class=picture>{picture}</div>", note)]


def _evidence(verdict: VerdictView | None) -> list[str]:
    if verdict is None:
        return []
    rows: list[str] = []
    for one in words.evidence_by_cause(verdict):
        rows.append(
            f"<tr class=cause><th scope=rowgroup>{_chip(one.cause)}</th>"
            f"<td class=r><b>{quantity.milliseconds(one.seconds)} ms</b></td><td></td></tr>"
        )
        for _, row in one.rows:
            expected = quantity.UNKNOWN
            if row.baseline is not None:
                expected = " ".join(quantity.reading(row.baseline, row.unit))
            measured = " ".join(quantity.reading(row.value, row.unit))
            rows.append(
                f"<tr><td>{_t(row.text or row.name)}</td><td class=r>{_t(measured)}</td>"
                f"<td class='r dim'>{_t(expected)}</td></tr>"
            )
        rows += [
            f"<tr><td class=dim>{_t(f'lost in {stage}' if stage else 'lost between stages')}</td><td></td>"
            "<td></td></tr>"
            for stage in one.only_lost_in
        ]
    head = (
        "<tr><th scope=col>reading</th><th scope=col class=r>measured</th>"
        "<th scope=col class=r>expected</th></tr>"
    )
    found = [_card("Evidence", f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>")]
    advice = ADVICE.get(verdict.cause)
    if advice is not None:
        steps = "".join(f"<li>{_t(step)}</li>" for step in advice.steps)
        found.append(
            _card(
                "What to do",
                f"<ol>{steps}</ol><p class=dim>{_t(advice.rests_on)}</p>"
                f"<p class=dim>{_t(advice.fooled_by)}</p>",
            )
        )
    for status, title in (("ruled_out", "Ruled out"), ("not_measured", "Not measured")):
        told = [one for one in verdict.considered if one.status == status]
        if told:
            listed = "".join(f"<tr><td>{_chip(one.cause)}</td><td>{_t(one.reason)}</td></tr>" for one in told)
            found.append(_card(title, f"<table><tbody>{listed}</tbody></table>"))
    found.append(
        _card(
            f"Confidence {quantity.confidence(verdict.confidence)}",
            f"<p>{_t(words.confidence_words(verdict))}</p>",
        )
    )
    return found


def _stages(view: FrameView) -> list[str]:
    if not view.stages:
        return []
    head = "".join(
        f"<th scope=col{' class=r' if number else ''}>{title}</th>"
        for title, number in (
            ("Stage", False), ("Kind", False), ("Thread", False), ("Starts, ms", True), ("Took, ms", True),
            ("Expected", True), ("Lost", True),
        )
    )  # fmt: skip
    rows = "".join(
        f"<tr><td>{_t(words.stage_name(row))}</td><td>{_t(row.kind)}</td><td>{_t(row.thread or '')}</td>"
        f"<td class=r>{quantity.milliseconds(row.start)}</td>"
        f"<td class=r>{quantity.milliseconds(row.end - row.start)}</td>"
        f"<td class='r dim'>{quantity.milliseconds(row.expected)}</td>"
        f"<td class=r>{quantity.milliseconds(row.lost, signed=True)}</td></tr>"
        for row in view.stages[:MOST_ROWS]
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    cut = "" if len(view.stages) <= MOST_ROWS else f"The first {MOST_ROWS} of {len(view.stages)}."
    return [f"<details><summary>Stages as a table</summary>{table}<p class=dim>{cut}</p></details>"]


def _stacks(view: FrameView) -> list[str]:
    found: list[str] = []
    for row in view.stages[:MOST_ROWS]:
        if row.stacks:
            stacks = "".join(f"<p>×{seen}</p><pre>{_t(stack)}</pre>" for stack, seen in row.stacks)
            title = f"Where {row.name} was after its usual time, {words.seen_times(row)}"
            found.append(f"<details><summary>{_t(title)}</summary>{stacks}</details>")
    return found


def _attributes(view: FrameView) -> list[str]:
    if not view.attributes:
        return []
    rows = "".join(
        f"<tr><td>{_t(name)}</td><td><code>{_t(value)}</code></td></tr>"
        for name, value in view.attributes[:MOST_ROWS]
    )
    return [
        f"<details><summary>{len(view.attributes)} attributes</summary><table><tbody>{rows}</tbody></table>"
        "</details>"
    ]


def _style() -> str:
    """The tokens in both themes, and the rules of the file."""
    dark, light = _properties("dark"), _properties("light")
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}" + _RULES
    )


def _properties(at: Theme) -> str:
    colours = {name: theme.token(name, at) for name in theme.TOKENS}
    colours |= {cause.replace("_", "-"): one.colour(at) for cause, one in theme.CAUSE_LOOKS.items()}
    return "".join(f"--fs-{name}:{colour};" for name, colour in colours.items())


_RULES = """
*{box-sizing:border-box}
body{margin:0;background:var(--fs-bg);color:var(--fs-ink);font:13px/1.4 Inter,system-ui,sans-serif}
main,footer{max-width:70rem;margin:0 auto;padding:12px 16px;overflow-wrap:anywhere}
h1{font-size:22px;line-height:1.3;font-weight:400;margin:4px 0 12px}
h1 strong{font-weight:650}
h2{font-size:13px;font-weight:600;margin:0 0 8px;display:flex;justify-content:space-between;gap:16px}
h2 .dim{font-weight:400;text-align:right}
section,details{background:var(--fs-surface);border:1px solid var(--fs-line);border-radius:6px;
  padding:10px 12px;margin:12px 0;break-inside:avoid}
p{margin:4px 0}
summary{cursor:pointer;font-weight:600}
.dim{color:var(--fs-ink-3)}
.missing{border-left:3px solid var(--fs-nodata);padding-left:8px}
.note{white-space:pre-wrap}
.facts{display:flex;flex-wrap:wrap;gap:4px 20px;margin:0}
.facts div{display:flex;gap:6px}
dt{color:var(--fs-ink-2)}
dd{margin:0;font-weight:600}
.tag{border:1px dashed var(--fs-edge);border-radius:3px;padding:0 5px;color:var(--fs-ink-2)}
.bar{display:flex;gap:2px;height:28px}
.bar span{min-width:3px;padding:5px 6px;overflow:hidden}
.bar b{background:var(--fs-surface);color:var(--fs-ink);font-size:11px;padding:1px 4px;border-radius:3px}
.shares{display:flex;flex-wrap:wrap;gap:4px 20px;list-style:none;padding:0;margin:8px 0 0}
.chip{display:inline-flex;gap:6px;align-items:center;font-weight:400}
.swatch{width:14px;height:14px;border-radius:3px}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:400;color:var(--fs-ink-3)}
td,th{padding:3px 6px 3px 0;vertical-align:baseline}
td{border-top:1px solid var(--fs-line)}
.cause td,.cause th{border-top:1px solid var(--fs-edge);color:var(--fs-ink)}
.r{text-align:right}
pre{overflow-x:auto;white-space:pre-wrap}
code,pre{font-size:12px}
.picture{overflow-x:auto}
svg{width:100%;min-width:680px;height:auto;font-size:12px}
svg text{fill:var(--fs-ink-2)}
svg .strong{fill:var(--fs-ink);font-weight:700}
svg .value{fill:var(--fs-ink)}
svg .dim{fill:var(--fs-ink-3);font-size:11px}
svg .note{font-size:11px}
svg .plate{fill:var(--fs-surface);font-size:11px;font-weight:600}
svg .grid{stroke:var(--fs-grid)}
svg .edge{stroke:var(--fs-ink-3)}
svg .budget{stroke:var(--fs-ink);stroke-width:1.2;stroke-dasharray:4 3}
svg .path{fill:none;stroke:var(--fs-ink);stroke-width:1.4;stroke-linejoin:round}
svg .clock{stroke:var(--fs-ink)!important}
svg .series{fill:none;stroke:var(--fs-queue-wait);stroke-width:1.5}
svg .s1{stroke-dasharray:5 3}
svg .s2{stroke-dasharray:1.5 3}
svg .s3{stroke-dasharray:8 3 2 3}
@media print{body{background:none;font-size:10pt}
details[open]{break-inside:auto}
.picture{overflow:visible}
svg{min-width:0}}
@page{size:A4;margin:14mm}
"""
