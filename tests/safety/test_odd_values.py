"""Whatever the host gives, its frame goes on, is told, and can travel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from alone import delivered, faults, lost, pipeline

from framescope.recorder.frame import MAX_ATTRIBUTES, MAX_TEXT


class Rude:
    """Raises whatever is asked of it."""

    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("rude")

    __str__ = __repr__ = __eq__ = __hash__ = __index__ = __float__ = __int__ = __len__ = __iter__ = _raise  # type: ignore[assignment]
    __bool__ = __getitem__ = __rsub__ = __sub__ = _raise


class RudeNumber(int):
    def __int__(self) -> int:
        raise RuntimeError("rude")

    def __float__(self) -> float:
        raise RuntimeError("rude")

    def __index__(self) -> int:
        raise RuntimeError("rude")


class Liar:
    """Says that it is text."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return str


class Named(type):
    @property
    def __name__(cls) -> str:
        raise RuntimeError("rude")


class Nameless(metaclass=Named): ...


class Text(str):
    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError("rude")

    def __str__(self) -> str:
        raise RuntimeError("rude")


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
ODD: dict[str, Any] = {
    "huge text": "x" * 10**7,
    "huge number": 10**400,
    "huge negative": -(10**30),
    "not a number": math.nan,
    "infinite": math.inf,
    "cyclic": CYCLE,
    "rude": Rude(),
    "rude number": RudeNumber(3),
    "liar": Liar(),
    "nameless": Nameless(),
    "text that cannot be cut": Text("abc"),
    "half a pair": "\ud800 alone",
    "bytes": b"\xff" * 100,
    "nothing": None,
    "complex": 1j,
    "a class": Rude,
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_a_frame_keeps_its_record_whatever_its_attributes_are(value: Any) -> None:
    p = pipeline()
    with p.frame(mode="B", odd=value) as frame:
        frame.set(later=value)
    (record,) = delivered(p)
    assert record.attributes is not None and record.attributes["mode"] == "B"
    for name in ("odd", "later"):
        told = record.attributes[name]
        assert type(told) in (str, int, float, bool)
        assert len(str(told).encode()) <= 4 * MAX_TEXT
    assert (lost(p), faults(p)) == ({}, {})


def test_attributes_beyond_the_limit_are_counted() -> None:
    p = pipeline()
    p.begin(**{f"a{n}": n for n in range(1000)}).end()
    with p.frame() as frame:
        frame.set(**{f"a{n}": n for n in range(MAX_ATTRIBUTES + 5)})
    first, second = delivered(p)
    assert len(first.attributes or {}) == len(second.attributes or {}) == MAX_ATTRIBUTES
    assert lost(p) == {"attribute_limit": 1 + 5}


def test_names_of_attributes_can_travel() -> None:
    p = pipeline()
    p.begin(**{"\udfff" + "n" * 1000: 1, Text("odd"): 2}).end()
    (record,) = delivered(p)
    for name in record.attributes or {}:
        assert len(name.encode()) <= 64 * 4


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize(
    "call",
    [
        lambda p, value: p.frame(captured_at=value).end(),
        lambda p, value: p.frame(captured_at_ns=value).end(),
        lambda p, value: p.frame(sequence=value).end(),
        lambda p, value: p.begin().drop(value),
        lambda p, value: p.begin().fail(value),
        lambda p, value: p.resume(value).end(),
    ],
    ids=["captured_at", "captured_at_ns", "sequence", "drop", "fail", "resume"],
)
def test_a_frame_is_told_whatever_it_is_begun_or_ended_with(
    value: Any, call: Callable[[Any, Any], None]
) -> None:
    p = pipeline()
    call(p, value)
    (record,) = delivered(p)
    record.reason.encode()
    assert -(2**63) <= record.sequence < 2**63
    assert sum(faults(p).values()) == 0


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_what_is_said_beside_the_frames_can_travel_or_is_counted(value: Any) -> None:
    p = pipeline()
    p.gauge("g", value)
    p.gauge(value, 1.0)
    p.mark(value)
    p.keep_last(value, why=value)
    p.keep_last(1.0, why=value)
    p.watch_queue(value, value)
    recorder = p._recorder
    for name, (_, number) in recorder.gauges.items():
        name.encode()
        assert math.isfinite(number)
    for *_, text in (*recorder.changes, *recorder.recalls):
        text.encode()
    allowed = {"gauge_not_a_number", "keep_last_not_a_time"}
    assert set(lost(p)) <= allowed and set(faults(p)) <= {"watch_queue"}


@pytest.mark.parametrize("value", ["", "x" * 1000, "\ud800", None, 3], ids=repr)
def test_a_pipelines_name_that_cannot_travel_is_refused_when_it_is_made(value: Any) -> None:
    import framescope

    with pytest.raises(ValueError, match="name"):
        framescope.Pipeline(value, enabled=False)


def test_what_is_no_stage_of_the_pipeline_is_counted_and_left_out() -> None:
    p, other = pipeline(), pipeline()
    foreign = other.stage("a")
    frame = p.begin()
    for odd in ("a", None, foreign, Rude()):
        with frame.stage(odd):  # type: ignore[arg-type]
            pass
    frame.end()
    (record,) = delivered(p)
    assert record.marks == []
    assert lost(p) == {"stage_of_another_pipeline": 4}
