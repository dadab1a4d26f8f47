"""A cause of the user's own is named in the verdict like any other."""

from __future__ import annotations

import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope import signals
from framescope.causes import load, register
from framescope.judge import judge, own_causes
from framescope.judge.model import Evidence, Frame, Segment, Stage

MS = 1_000_000


@pytest.fixture(autouse=True)
def _none_stays():
    before = set(own_causes.registered)
    yield
    for name in set(own_causes.registered) - before:
        own_causes.forget(name)
    own_causes.failed.clear()


def frame(blocked_ms=10, **attributes):
    """A frame of 20 ms, of which 8 are usual: ``write`` was off the CPU for the rest."""
    made = Frame("p", 0, 0, 0, 0, 20 * MS, "slow", budget_ns=10 * MS, expected_ns=8 * MS)
    made.stages = [Stage("write", "io", 0, 20 * MS, thread=1, expected_ns=8 * MS)]
    told = Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=blocked_ms * MS)
    made.segments = [Segment(1, 0, 20 * MS, told, Evidence(cpu_ns=8 * MS, runqueue_ns=0, blocked_ns=0))]
    made.attributes = attributes
    return made


def rebuild(told_ms=7):
    def tell(one):
        return {"write": told_ms * MS} if one.attributes.get("array") == "rebuilding" else {}

    register("array_rebuild", tell, title="Array rebuild", says="{stage} waited for the array")


def lost(verdict):
    return {share.cause: share.lost_ns / MS for share in verdict.shares}


def test_it_owns_what_it_says_and_the_rest_is_its_familys():
    rebuild()
    verdict = judge(frame(blocked_ms=12, array="rebuilding"))
    assert lost(verdict) == {"array_rebuild": 7, "blocked": 5}
    assert verdict.cause == "array_rebuild"
    assert "ms of it is Array rebuild: write waited for the array." in verdict.sentence


def test_it_never_owns_more_than_was_lost():
    rebuild(told_ms=500)
    assert lost(judge(frame(blocked_ms=12, array="rebuilding"))) == {"array_rebuild": 12}


def test_a_frame_it_says_nothing_of_is_judged_as_without_it():
    without = judge(frame())
    rebuild()
    verdict = judge(frame())
    assert lost(verdict) == lost(without)
    (row,) = [one for one in verdict.considered if one.cause == "array_rebuild"]
    assert row.status == "ruled_out"


def test_one_that_raises_or_talks_nonsense_says_nothing_and_is_counted():
    def broken(one):
        raise RuntimeError("no array here")

    register("broken_cause", broken, title="Broken")
    register("nonsense_cause", lambda one: {"write": "much"}, title="Nonsense")
    register("negative_cause", lambda one: {"write": -5}, title="Negative")
    verdict = judge(frame())
    assert set(lost(verdict)) <= {"blocked", "unknown"}
    assert own_causes.failed == {"broken_cause": 1, "nonsense_cause": 1}


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("Array Rebuild", {}, "a letter first"),
        ("gc_pause", {}, "there already"),
        ("array_rebuild", {"parent": "disk"}, "none of blocked, cpu, gpu"),
        ("array_rebuild", {"says": "{who} waited"}, "no other braces"),
    ],
)
def test_what_cannot_be_a_cause_is_refused_with_the_reason(name, changes, said):
    with pytest.raises(ValueError, match=said):
        register(name, lambda one: {}, title="x", **changes)
    assert name not in own_causes.registered


def test_it_has_a_code_of_its_own_and_leaves_none_behind():
    rebuild()
    code = signals.CAUSES["array_rebuild"].code
    assert signals.CAUSE_BY_CODE[code].name == "array_rebuild"
    assert code[0] == "U"
    own_causes.forget("array_rebuild")
    assert "array_rebuild" not in signals.CAUSES and code not in signals.CAUSE_BY_CODE


def test_modules_are_loaded_by_name_and_a_missing_one_is_said(tmp_path, monkeypatch, caplog):
    (tmp_path / "my_causes.py").write_text(
        textwrap.dedent(
            """
            from framescope.causes import register
            register("cable_loose", lambda frame: {}, title="Loose cable")
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    problems = load(["no_such_module", "my_causes"])
    assert [problem.split(" are not known")[0] for problem in problems] == ["the causes of 'no_such_module'"]
    assert "no_such_module" in caplog.text
    assert signals.CAUSES["cable_loose"].title == "Loose cable"
    sys.modules.pop("my_causes")


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from(["blocked", "cpu", "gpu"]))
def test_all_that_was_lost_has_one_owner_whatever_it_says(told_ms, blocked_ms, parent):
    own_causes.registered.clear() if "drawn_cause" not in signals.CAUSES else own_causes.forget("drawn_cause")
    register("drawn_cause", lambda one: {"write": told_ms * MS, None: MS}, title="Drawn", parent=parent)
    verdict = judge(frame(blocked_ms=blocked_ms))
    assert sum(share.lost_ns for share in verdict.shares) == verdict.lost_ns
