"""docs/signals.md is what the table of names says, and the table is whole."""

from __future__ import annotations

import re
from pathlib import Path

from written import writer

from framescope import signals as sig

ROOT = Path(__file__).parents[3]
NO_SIGNALS = {sig.SCOPE, sig.TRIAL_SERVICE, sig.SOFTWARE_ACCELERATOR, sig.MARK_KEPT}
"""Texts in the table that are a value and not a name."""
SPANS = {sig.SPAN_FRAME, sig.SPAN_FRAMES, sig.SPAN_MARK}
TYPES = {"string", "int", "double", "boolean", "string[]", "int[]"}
INSTRUMENTS = {"histogram", "counter", "gauge", "updowncounter"}


def constants() -> set[str]:
    return {
        value
        for key, value in vars(sig).items()
        if key.isupper() and not key.startswith("_") and isinstance(value, str)
    }


def test_the_document_is_up_to_date() -> None:
    made = writer("write_signals")
    assert made.DOCUMENT.read_text(encoding="utf-8") == made.document(), "run python docs/write_signals.py"


def test_every_name_is_a_span_a_metric_or_an_attribute() -> None:
    missing = constants() - NO_SIGNALS - SPANS - set(sig.METRICS) - set(sig.ATTRIBUTES)
    assert missing == set(), "add them to METRICS or ATTRIBUTES in signals.py"


def test_every_attribute_of_a_metric_is_told_and_is_one() -> None:
    used = {name for metric in sig.METRICS.values() for name in metric.attributes}
    assert used <= set(sig.ATTRIBUTES)
    assert {name for name, a in sig.ATTRIBUTES.items() if "metrics" in a.on} == used


def test_types_and_instruments_are_ones_there_are() -> None:
    assert {a.type for a in sig.ATTRIBUTES.values()} <= TYPES
    assert {m.instrument for m in sig.METRICS.values()} <= INSTRUMENTS


def test_no_attribute_is_another_s_prefix() -> None:
    names = sorted(sig.ATTRIBUTES)
    assert [(a, b) for a in names for b in names if b.startswith(a + ".")] == []


def test_every_reason_of_a_loss_is_in_the_table_and_the_other_way_round() -> None:
    emitter = ROOT / "instrumentation" / "framescope"
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in emitter.rglob("*.py") if path.name != "signals.py"
    )
    counted = set(re.findall(r"""lose\((?:[\w.-]+, )?"(\w+)\"""", code))
    counted |= set(re.findall(r"""losses\[[^\]]*"(\w+)"\]""", code))
    assert len(counted) > 30
    assert counted - set(sig.LOSSES) == set(), "add them to LOSSES in signals.py"
    assert {reason for reason in sig.LOSSES if f'"{reason}"' not in code} == set(), "nobody counts these"
    assert {one.of for one in sig.LOSSES.values()} == set(writer("write_signals").MISSING)
