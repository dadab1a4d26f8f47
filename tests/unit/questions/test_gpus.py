"""Who uses a GPU, over time."""

from __future__ import annotations

from framescope import signals
from framescope_ui.backends.protocols import Series
from framescope_ui.questions.gpus import others_of


def using(own: bool, *readings: tuple[int, float], gpu: str = "0") -> Series:
    attributes = {signals.HW_ID: gpu, signals.FS_PROCESS_SELF: "true" if own else "false"}
    return Series(attributes, [at for at, _ in readings], [value for _, value in readings])


def test_others_are_added_up_at_each_instant() -> None:
    found = others_of([using(False, (1, 0.25), (2, 0.25)), using(False, (2, 0.5))], "0")
    assert (list(found.times_ns), list(found.values)) == ([1, 2], [0.25, 0.75])


def test_another_process_that_ended_no_longer_uses_the_gpu() -> None:
    found = others_of([using(True, (1, 0.1), (2, 0.1), (3, 0.1)), using(False, (1, 0.75))], "0")
    assert (list(found.times_ns), list(found.values)) == ([1, 2, 3], [0.75, 0.0, 0.0])


def test_without_any_other_process_nothing_is_told_apart() -> None:
    assert not others_of([using(True, (1, 0.1))], "0").times_ns
    assert not others_of([using(False, (1, 0.1), gpu="1")], "0").times_ns
