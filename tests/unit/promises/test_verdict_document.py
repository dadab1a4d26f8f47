"""docs/verdict.md says what the tables say, of every cause there is."""

from __future__ import annotations

from pathlib import Path

from written import writer

from framescope.judge.advice import ADVICE
from framescope.signals import CAUSES

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_is_up_to_date() -> None:
    made = writer("write_verdict")
    assert made.DOCUMENT.read_text(encoding="utf-8") == made.document(), "run python docs/write_verdict.py"


def test_every_cause_says_what_it_rests_on_what_fools_it_and_what_to_do() -> None:
    assert set(ADVICE) == set(CAUSES)
    for advice in ADVICE.values():
        for sentence in (advice.rests_on, advice.fooled_by, *advice.steps):
            assert sentence.endswith((".", "?")), sentence
        assert advice.steps
