"""docs/wire.md tells every name on the wire and no other; emitters without framescope spell only those."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from framescope import signals as sig
from framescope.judge.readings import EVIDENCE_ATTRIBUTES, GPU_ATTRIBUTES

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "wire.md").read_text()
EMITTERS = [
    ROOT / "examples" / "emitters" / "plain_sdk.py",
    ROOT / "examples" / "emitters" / "cpp" / "emitter.cpp",
]
_WIRE = r"(?:frame|framescope|hw|process|system|service|host)(?:\.[a-z_]+)+"
_NO_NAMES = {"SOFTWARE_ACCELERATOR", "MARK_KEPT"}
"""Texts in the table that name nothing on the wire."""


def names() -> set[str]:
    """All of the table: constants, and those made of others."""
    made: dict[str, str] = {
        key: value
        for key, value in vars(sig).items()
        if key.isupper() and isinstance(value, str) and not key.startswith("_") and key not in _NO_NAMES
    }
    found = {value for value in made.values() if not value.endswith(".")}
    found |= {sig.FRAME_LOST_PREFIX + "<cause>", sig.FRAME_OVERRUN_PREFIX + "<cause>"}
    found |= {sig.BATCH_DEPTHS_PREFIX + "<queue>", sig.BATCH_ATTRIBUTES_PREFIX + "<name>"}
    return found | {
        sig.expected_name(name) for name in (*EVIDENCE_ATTRIBUTES.values(), *GPU_ATTRIBUTES.values())
    }


def quoted() -> set[str]:
    """Everything the document sets as code."""
    return set(re.findall(r"`([^`\n]+)`", TEXT))


def test_every_name_of_the_table_is_in_the_document() -> None:
    assert names() - quoted() == set()


def test_the_document_tells_of_no_other_name() -> None:
    told = {code for code in quoted() if re.fullmatch(_WIRE + r"(?:\.<[a-z]+>)?", code)}
    assert told - names() == set()


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("metric", sig.METRICS.values(), ids=lambda metric: metric.name)
def test_a_metric_is_told_with_its_instrument_unit_and_attributes(metric: sig.Metric) -> None:
    attributes = " ".join(f"`{name}`" for name in metric.attributes) or "–"
    unit = f"`{metric.unit}`" if metric.unit else "any"
    assert row(f"`{metric.name}`", metric.instrument, unit, attributes, metric.meaning) in TEXT


@pytest.mark.parametrize("cause", sig.CAUSES.values(), ids=lambda cause: cause.name)
def test_a_cause_is_told_with_its_code(cause: sig.Cause) -> None:
    assert row(f"`{cause.name}`", f"`{cause.code}`", cause.parent or "–", cause.meaning) in TEXT


def test_outcomes_are_told_with_their_letters() -> None:
    assert ", ".join(f"`{letter}` {name}" for name, letter in sig.OUTCOMES.items()) in TEXT
    assert " ".join(f"`{name}`" for name in sig.OUTCOMES) in TEXT


@pytest.mark.parametrize("bounds", [sig.HISTOGRAM_BOUNDS, sig.BUDGET_USAGE_BOUNDS])
def test_the_grids_are_told_bound_by_bound(bounds: tuple[float, ...]) -> None:
    blocks = re.findall(r"```\n([\d.,\s]+)\n```", TEXT)
    assert bounds in [tuple(map(float, block.split(","))) for block in blocks]


def test_the_formula_of_the_grid_gives_the_grid() -> None:
    assert "`round(0.00025 × 2^(i/3), 9)`" in TEXT
    assert tuple(round(0.00025 * 2 ** (i / 3), 9) for i in range(40)) == sig.HISTOGRAM_BOUNDS


@pytest.mark.parametrize("emitter", EMITTERS, ids=lambda path: path.name)
def test_an_emitter_without_framescope_spells_only_names_of_the_table(emitter: Path) -> None:
    code = emitter.read_text()
    spelled = set(re.findall(rf'"({_WIRE})"', code))
    assert sig.FRAME_PIPELINE in spelled
    assert spelled - names() == set()
    assert not re.search(r"^\s*(?:import|from) framescope|#include .framescope", code, re.M)
