"""What device readings say of one frame: only what their windows surely cover, by reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from agency import agent, batch, record
from hypothesis import given
from hypothesis import strategies as st

from framescope import signals as sig
from framescope.agent.readings import DeviceReadings, Stretches
from framescope.judge import read_frame
from framescope.judge.model import Device
from framescope.probes.device import DeviceEvent, DeviceIdentity, DeviceReading, ProcessMemory, ProcessUse

MS = 1_000_000
GPU = DeviceIdentity("GPU-0", "GPU", "NVIDIA")
OTHER = DeviceIdentity("GPU-1", "GPU", "NVIDIA")
RECON = ProcessUse(7, "recon", 0.5, False)
OURS = ProcessUse(3, "python", 0.4, True)


def over(start: float, end: float, *readings: DeviceReading, device: str | None = "GPU-0") -> Device | None:
    held = DeviceReadings()
    held.add(readings)
    return held.over(round(start * MS), round(end * MS), device)


def reading(at: float, window: float = 0, error: float = 0, **told: object) -> DeviceReading:
    return DeviceReading(GPU, round(at * MS), round(window * MS), round(error * MS), **told)


# --- windows --------------------------------------------------------------------------------------------


def test_each_kind_of_reading_counts_over_its_own_window() -> None:
    found = over(
        100, 110,
        reading(90, 167, utilization=0.2),
        reading(150, 367, other_utilization=0.5, processes=(RECON,)),
        reading(105, 200, clock_hz=1e9),
        reading(1_000, 0, memory_used_bytes=5, temperature_celsius=60),
        reading(257, 167, utilization=0.8),
    )  # fmt: skip
    assert found is not None
    assert (found.utilization_mean, found.utilization_max) == (0.8, 0.8)  # the first ended before the frame
    assert (found.other_utilization, found.other_process) == (0.5, ("recon", 7))
    assert found.clock_min_hz == 1e9
    assert (found.memory_used_bytes, found.temperature_celsius) == (5, 60)
    assert found.window_ns == 167 * MS  # the load's own, which is what the pages draw


def test_loads_are_weighted_by_how_much_of_the_frame_they_cover() -> None:
    found = over(0, 100, reading(75, 167, utilization=0.4), reading(242, 167, utilization=0.8))
    assert found is not None
    assert found.utilization_mean == pytest.approx(0.75 * 0.4 + 0.25 * 0.8)
    assert found.utilization_max == 0.8


def test_a_reading_whose_place_is_not_sure_counts_only_where_it_surely_touches_the_frame() -> None:
    a_second_long = reading(1_100, 1_000, error=300, utilization=0.9)
    assert over(500, 510, a_second_long) is not None
    assert over(150, 160, a_second_long) is None  # it may begin after the frame
    assert over(1_050, 1_060, a_second_long) is None  # it may have ended before it
    assert over(500, 510, reading(510, 167, error=100, utilization=0.9)) is None


@given(
    st.integers(0, 500),
    st.integers(1, 300),
    st.lists(st.tuples(st.integers(1, 200), st.integers(1, 400), st.integers(0, 300)), max_size=20),
    st.randoms(use_true_random=False),
)
def test_what_counts_touches_the_frame_wherever_in_its_error_it_lies(start, length, told, chance) -> None:
    stretches: Stretches[int] = Stretches()
    end, places = 0, []
    for number, (step, window, error) in enumerate(told):
        end += step
        stretches.add(end, window, error, number)
        places.append((end, window, error))
    for overlap, window, number in stretches.over(start, start + length):
        last, true_window, error = places[number]
        assert window == true_window
        shift = chance.randint(-error, error)
        touched = min(start + length, last + shift) - max(start, last - window + shift)
        assert touched >= overlap > 0


def test_without_a_reading_that_covers_it_nothing_is_known_of_a_frame() -> None:
    assert over(0, 10) is None
    assert over(500, 510, reading(400, 100, utilization=0.5)) is None
    assert over(0, 10, reading(9_000, 0, memory_used_bytes=5)) is None
    assert over(0, 10, reading(5, 100, utilization=0.5), device="GPU-9") is None


# --- what grows -----------------------------------------------------------------------------------------


def test_being_held_back_is_the_growth_of_its_counters_by_reason() -> None:
    found = over(
        100, 150,
        reading(0, throttle_ns={"power_cap": 10, "hw_thermal": 0}),
        reading(200, throttle_ns={"power_cap": 10 + 50 * MS, "hw_thermal": 120 * MS}),
    )  # fmt: skip
    assert found is not None
    assert (found.held_share, found.held_reason) == (0.6, "hw_thermal")


def test_not_being_held_back_is_known_and_not_unknown() -> None:
    found = over(0, 50, reading(0, throttle_ns={"power_cap": 7}), reading(200, throttle_ns={"power_cap": 7}))
    assert found is not None
    assert (found.held_share, found.held_reason) == (0.0, None)


def test_a_counter_that_starts_anew_tells_nothing_of_the_time_between() -> None:
    before, after = reading(0, throttle_ns={"power_cap": 900}), reading(200, throttle_ns={"power_cap": 3})
    assert over(50, 60, before, after) is None
    found = over(250, 260, before, after, reading(400, throttle_ns={"power_cap": 3 + 100 * MS}))
    assert found is not None
    assert found.held_share == 0.5


def test_bytes_over_pcie_are_a_rate_both_ways_together() -> None:
    found = over(
        0, 50,
        reading(0, io_bytes={"transmit": 0, "receive": 1_000}),
        reading(200, io_bytes={"transmit": 100_000_000, "receive": 100_001_000}),
    )  # fmt: skip
    assert found is not None
    assert found.io_rate == 1e9


# --- which device, and what happened to it --------------------------------------------------------------


def test_of_several_devices_the_one_that_the_process_uses_is_meant() -> None:
    held = DeviceReadings()
    held.add(
        [
            reading(100, 100, utilization=0.1, other_utilization=0.1, processes=(RECON,)),
            DeviceReading(OTHER, 100 * MS, 100 * MS, utilization=0.9, processes=(OURS,)),
        ]
    )
    found = held.over(0, 10 * MS, None)
    assert found is not None and found.id == "GPU-1"


def test_of_several_devices_none_is_guessed() -> None:
    held = DeviceReadings()
    held.add([reading(100, 100, utilization=0.1), DeviceReading(OTHER, 100 * MS, 100 * MS, utilization=0.9)])
    assert held.over(0, 10 * MS, None) is None
    held.add([DeviceReading(OTHER, 101 * MS, 0, residents=(ProcessMemory(3, "python", 5, True),))])
    found = held.over(0, 10 * MS, None)
    assert found is not None and found.id == "GPU-1"


def test_a_slice_is_meant_before_the_gpu_it_is_cut_from() -> None:
    part = DeviceIdentity("MIG-1", "GPU MIG 1g.5gb", "NVIDIA", parent="GPU-0")
    held = DeviceReadings()
    held.add(
        [
            reading(100, 100, clock_hz=1e9),
            DeviceReading(part, 100 * MS, 100 * MS, activity={}, utilization=0.3),
        ]
    )
    found = held.over(0, 10 * MS, None)
    assert found is not None and found.id == "MIG-1"
    assert (found.utilization_mean, found.clock_min_hz) == (0.3, 1e9)  # its clock is the whole GPU's


def test_errors_that_happen_during_a_frame_are_its_own() -> None:
    held = DeviceReadings()
    for at, text in ((5, "before"), (15, "Xid 79"), (25, "after")):
        held.happened(DeviceEvent(GPU, at * MS, "xid_79", text))
    found = held.over(10 * MS, 20 * MS, None)
    assert found is not None and found.errors == ("Xid 79",)


def test_what_is_remembered_is_bounded() -> None:
    held = DeviceReadings()
    for number in range(2_000):
        held.add([reading(number, 1, utilization=0.5, throttle_ns={"power_cap": number})])
        held.add([DeviceReading(DeviceIdentity(f"GPU-{number}", "x"), number, 1, utilization=0.5)])
    assert held.over(0, MS, "GPU-0") is None
    assert held.over(0, MS, "GPU-1999") is None
    sent = 0
    for _ in range(9_000):
        held.add([reading(1, 1, utilization=0.5)])
    sent += len(held.take_fresh())
    assert sent == 10_000
    assert held.missed == 2 * 2_000 + 9_000 - sent


# --- on the wire ----------------------------------------------------------------------------------------


class Told(NamedTuple):
    """A span as a store gives it back."""

    span_id: str
    parent_span_id: str | None
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]


def test_what_the_readings_say_comes_back_from_the_root_span() -> None:
    made, sent, probes = agent(baseline_every=1)
    made.feed(batch(record(0)))
    probes.devices.add(
        [
            reading(0, throttle_ns={"hw_thermal": 0}, io_bytes={"receive": 0}),
            reading(
                100, 167, utilization=0.9, clock_hz=2e9, throttle_ns={"hw_thermal": 40 * MS},
                io_bytes={"receive": 10**8}, power_watts=300.0, temperature_celsius=91.0, memory_used_bytes=5,
            ),
            reading(120, 367, other_utilization=0.5, processes=(RECON,)),
        ]
    )  # fmt: skip
    probes.devices.happened(DeviceEvent(GPU, 2 * MS, "xid_79", "Xid 79"))
    made.tick(60_000 * MS)
    root = sent.frames()[0][0]
    assert isinstance(root.attributes[sig.GPU_ERRORS], tuple | list)
    frame = read_frame([Told("a", None, root.name, root.start_time, root.end_time, dict(root.attributes))])
    assert frame is not None and frame.device is not None
    device = frame.device
    assert (device.held_share, device.held_reason) == (0.4, "hw_thermal")
    assert (device.io_rate, device.power_watts, device.temperature_celsius) == (1e9, 300.0, 91.0)
    assert (device.utilization_mean, device.other_utilization, device.clock_min_hz) == (0.9, 0.5, 2e9)
    assert device.errors == ("Xid 79",)
