"""What readings of the GPU add to a verdict: throttling beyond the usual and its reason, PCIe, errors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from framescope import signals as sig
from framescope.judge import judge
from framescope.judge.baseline import FIRST_SPACING_NS, Baseline
from framescope.judge.gpu import slowed
from framescope.judge.model import Device, Frame, Gpu, Stage, Verdict

MS = 1_000_000
CALM = Device(
    "0", "GPU", False, 167 * MS, other_utilization=0.0, clock_min_hz=1.5e9, expected_clock_hz=1.5e9,
    held_share=0.0, expected_held_share=0.0,
)  # fmt: skip


def verdict(device: Device, took: int = 18, usual: int = 8) -> Verdict:
    frame = Frame("p", 1, 1, 0, 0, took * MS, budget_ns=10 * MS, device=device)
    frame.expected_ns, frame.noise_ns = usual * MS, MS // 10
    frame.stages = [
        Stage(
            "g", "gpu", 0, took * MS, 1, expected_ns=usual * MS,
            gpu=Gpu("0", 0, took * MS), expected_gpu={"time": usual * MS},
        )
    ]  # fmt: skip
    return judge(frame)


def causes(found: Verdict) -> dict[str, float]:
    return {share.cause: share.lost_ns / MS for share in found.shares}


def rows(found: Verdict) -> dict[str, tuple[float, float | None, str]]:
    return {row.name: (row.value, row.baseline, row.text) for share in found.shares for row in share.evidence}


def test_a_low_clock_while_held_back_is_throttling_and_the_reason_is_told() -> None:
    held = replace(CALM, clock_min_hz=0.75e9, held_share=1.0, held_reason="power_cap")
    found = verdict(held)
    assert causes(found) == {"gpu_throttle": 9.0, "gpu": 1.0}
    assert "at a lower clock, held back by its power limit" in found.sentence
    value, usual, text = rows(found)[sig.GPU_HELD_SHARE]
    assert (value, usual) == (1.0, 0.0)
    assert "power limit" in text


def test_a_low_clock_that_nothing_held_back_is_not_throttling() -> None:
    found = verdict(replace(CALM, clock_min_hz=0.75e9))  # it was idle and had not sped up yet
    assert "gpu_throttle" not in causes(found)
    reasons = {one.cause: one.reason for one in found.considered}
    assert reasons["gpu_throttle"] == "clock low, but nothing held it back"


def test_a_gpu_that_always_runs_at_its_power_limit_is_not_held_back_by_it() -> None:
    always = replace(CALM, held_share=1.0, expected_held_share=0.99, held_reason="power_cap")
    assert slowed(always) == 0.0
    assert "gpu_throttle" not in causes(verdict(always))


def test_a_short_throttle_between_two_readings_of_the_clock_is_bounded_by_its_counter() -> None:
    short = replace(CALM, held_share=0.3, held_reason="hw_thermal")
    assert slowed(short) == pytest.approx(0.3)
    found = causes(verdict(short))
    assert found["gpu_throttle"] == pytest.approx(0.3 * 18)
    assert found["gpu"] == pytest.approx(10 - 0.3 * 18)


def test_without_counters_the_clock_alone_tells() -> None:
    assert slowed(replace(CALM, held_share=None, clock_min_hz=0.75e9)) == 0.5
    assert slowed(replace(CALM, held_share=None)) == 0.0
    assert slowed(None) == 0.0


def test_clocks_that_are_not_told_are_not_measured_and_not_ruled_out() -> None:
    silent = Device("0", "GPU", False, 167 * MS, other_utilization=0.0)
    status = {one.cause: one.status for one in verdict(silent).considered}
    assert status["gpu_throttle"] == "not_measured"


def test_bytes_over_pcie_are_told_and_decide_nothing() -> None:
    busy = replace(CALM, io_rate=20e9, expected_io_rate=1e9)
    assert causes(verdict(busy)) == causes(verdict(CALM))
    assert rows(verdict(busy))[sig.GPU_IO_RATE] == (20e9, 1e9, "over PCIe")


def test_an_error_during_the_frame_is_told() -> None:
    found = verdict(replace(CALM, errors=("Xid 79, GPU has fallen off the bus",)))
    assert rows(found)[sig.GPU_ERRORS][2] == "the GPU: Xid 79, GPU has fallen off the bus"


def test_the_baseline_learns_how_much_a_gpu_is_usually_held_back_and_moves() -> None:
    baseline = Baseline()
    for number in range(20):
        frame = Frame("p", number, number, 0, number * FIRST_SPACING_NS, number * FIRST_SPACING_NS + MS)
        frame.device = replace(CALM, held_share=0.9, io_rate=2e9)
        baseline.take(frame)
    baseline.settle()
    slow = Frame("p", 99, 99, 0, 0, MS, device=replace(CALM, expected_held_share=None))
    baseline.apply(slow)
    assert slow.device is not None
    assert slow.device.expected_held_share == pytest.approx(0.9)
    assert slow.device.expected_io_rate == pytest.approx(2e9)
