"""A verdict as the judge speaks it, as a page shows it: ns become seconds, nothing else changes."""

from __future__ import annotations

from collections import Counter

from framescope.judge.model import Verdict
from framescope_ui.questions.stores import NS
from framescope_ui.questions.views import Considered, EvidenceRow, ShareRow, VerdictView


def overrun_by_cause(verdict: Verdict) -> list[tuple[str, float]]:
    """s over the limit by cause, most first."""
    over: Counter[str] = Counter()
    for share in verdict.shares:
        over[share.cause] += share.overrun_ns
    return [(cause, amount / NS) for cause, amount in over.most_common() if amount]


def view_of(verdict: Verdict) -> VerdictView:
    """The view of one verdict."""
    return VerdictView(
        sentence=verdict.sentence,
        cause=verdict.cause,
        confidence=verdict.confidence,
        axis=verdict.axis,
        expected_seconds=None if verdict.expected_ns is None else verdict.expected_ns / NS,
        lost_seconds=verdict.lost_ns / NS,
        overrun_seconds=verdict.overrun_ns / NS,
        unexplained_seconds=verdict.unexplained_ns / NS,
        shares=[
            ShareRow(
                cause=share.cause,
                lost_seconds=share.lost_ns / NS,
                overrun_seconds=share.overrun_ns / NS,
                stage=share.stage,
                evidence=[EvidenceRow(e.name, e.value, e.unit, e.baseline, e.text) for e in share.evidence],
            )
            for share in verdict.shares
        ],
        considered=[Considered(c.cause, c.status, c.reason) for c in verdict.considered],
        culprit_process=None if verdict.culprit is None else verdict.culprit[0],
        culprit_pid=None if verdict.culprit is None else verdict.culprit[1],
    )
