"""A software accelerator's status page and the probe that reads it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope import signals
from framescope.probes.device import DeviceReading
from framescope.probes.software_accelerator import (
    PAGE_BYTES,
    STALE_NS,
    ClientUse,
    SoftwareAcceleratorProbe,
    Status,
    StatusPage,
    decode,
    encode,
)

OURS, THEIRS = 100, 200
MS = 1_000_000
SLOT = PAGE_BYTES // 2


def status(at_ns: int, **changes: object) -> Status:
    told = Status(
        pid=7,
        mode="full",
        started_ns=1,
        heartbeat_ns=at_ns,
        sampled_ns=at_ns,
        busy_ns=0,
        gated_ns=0,
        transfer_ns=0,
        runqueue_ns=0,
        memory_bytes=4096,
        queue_length=0,
        core_hz=2e9,
    )
    return replace(told, **changes)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accelerator.status"


def read_one(probe: SoftwareAcceleratorProbe, now_ns: int) -> DeviceReading:
    (reading,) = probe.read(now_ns)
    return reading


def test_rates_are_differences_of_the_counters_over_the_time_between_two_samples(path: Path) -> None:
    clients = (ClientUse(OURS, "ultrasound", 0), ClientUse(THEIRS, "recon-batch", 0))
    with StatusPage(path) as page:
        probe = SoftwareAcceleratorProbe(path, [OURS])
        page.write(status(1000 * MS, clients=clients))
        assert probe.read(1000 * MS) == []
        clients = (ClientUse(OURS, "ultrasound", 30 * MS), ClientUse(THEIRS, "recon-batch", 20 * MS))
        page.write(status(1100 * MS, busy_ns=50 * MS, gated_ns=10 * MS, runqueue_ns=5 * MS, clients=clients))
        reading = read_one(probe, 1105 * MS)
    assert (reading.time_ns, reading.window_ns) == (1100 * MS, 100 * MS)
    assert reading.utilization == pytest.approx(0.5)
    assert reading.other_utilization == pytest.approx(0.2)
    assert {(p.pid, p.name, p.ours): p.utilization for p in reading.processes} == pytest.approx(
        {(OURS, "ultrasound", True): 0.3, (THEIRS, "recon-batch", False): 0.2}
    )
    assert reading.clock_hz == pytest.approx(2e9 * 40 / 50)
    assert reading.throttle_ns == {"clock_gating": 10 * MS}
    assert reading.runqueue_ns == 5 * MS
    assert reading.memory_used_bytes == 4096
    assert reading.temperature_celsius is None


def test_it_is_named_for_what_it_is(path: Path) -> None:
    device = SoftwareAcceleratorProbe(path).device
    assert (device.id, device.name, device.simulated) == ("software-0", signals.SOFTWARE_ACCELERATOR, True)


def test_what_the_machine_does_not_tell_is_absent(path: Path) -> None:
    with StatusPage(path) as page:
        probe = SoftwareAcceleratorProbe(path)
        page.write(status(1000 * MS, core_hz=None, runqueue_ns=None))
        probe.read(1000 * MS)
        theirs = (ClientUse(THEIRS, "recon-batch", 9 * MS),)
        page.write(status(1100 * MS, core_hz=None, runqueue_ns=None, busy_ns=9 * MS, clients=theirs))
        reading = read_one(probe, 1100 * MS)
    assert reading.clock_hz is None and reading.runqueue_ns is None
    assert reading.other_utilization is None  # nobody said which clients are ours
    assert [p.ours for p in reading.processes] == [None]


def test_an_idle_accelerator_tells_no_clock(path: Path) -> None:
    with StatusPage(path) as page:
        probe = SoftwareAcceleratorProbe(path, [OURS])
        page.write(status(1000 * MS))
        probe.read(1000 * MS)
        page.write(status(1100 * MS))
        reading = read_one(probe, 1100 * MS)
    assert reading.utilization == 0.0
    assert reading.clock_hz is None


def test_nvml_mode_withholds_what_nvml_does_not_tell(path: Path) -> None:
    with StatusPage(path) as page:
        probe = SoftwareAcceleratorProbe(path, [OURS])
        page.write(status(1000 * MS, mode="nvml", runqueue_ns=3, transfer_ns=3, queue_length=3))
        probe.read(1000 * MS)
        page.write(status(1200 * MS, mode="nvml", busy_ns=MS, gated_ns=MS, runqueue_ns=4))
        reading = read_one(probe, 1200 * MS)
    assert reading.runqueue_ns is None
    assert reading.throttle_ns == {"clock_gating": MS}
    assert decode(
        encode(status(1, mode="nvml", transfer_ns=3, queue_length=3), 1).ljust(PAGE_BYTES)
    ) == status(1, mode="nvml", transfer_ns=None, runqueue_ns=None, queue_length=None)


def test_no_reading_until_the_counters_were_sampled_again(path: Path) -> None:
    with StatusPage(path) as page:
        probe = SoftwareAcceleratorProbe(path)
        page.write(status(1000 * MS))
        probe.read(1000 * MS)
        page.write(status(1000 * MS, heartbeat_ns=1100 * MS))
        assert probe.read(1100 * MS) == []


def test_a_page_whose_heart_stopped_gives_no_readings_and_a_new_process_does_again(path: Path) -> None:
    with StatusPage(path) as page:
        probe = SoftwareAcceleratorProbe(path)
        page.write(status(1000 * MS))
        probe.read(1000 * MS)
        page.write(status(1100 * MS))
        assert len(probe.read(1100 * MS)) == 1
        assert probe.read(1101 * MS + STALE_NS) == []
    with StatusPage(path) as page:  # restarted: a new file in the same place, its counters from 0
        page.write(status(3000 * MS, pid=8, started_ns=2))
        assert probe.read(3000 * MS) == []
        page.write(status(3100 * MS, pid=8, started_ns=2, busy_ns=50 * MS))
        assert read_one(probe, 3100 * MS).utilization == pytest.approx(0.5)


def test_no_file_no_reading(path: Path) -> None:
    assert SoftwareAcceleratorProbe(path).read(1) == []


def test_more_clients_than_the_page_has_room_for_are_added_up(path: Path) -> None:
    clients = tuple(ClientUse(1000 + i, f"client-{i}", 100 + i) for i in range(60))
    told = decode(encode(status(1, clients=clients), 1).ljust(PAGE_BYTES, b"\0"))
    assert told is not None
    assert sum(c.busy_ns for c in told.clients) == sum(c.busy_ns for c in clients)
    assert told.clients[-1].name == "others"


@given(st.integers(0, SLOT), st.booleans())
def test_a_torn_write_leaves_the_other_slot_readable(cut: int, keep_rest: bool) -> None:
    """Slot 1 is being overwritten by the third write when the reader comes: whatever part has arrived."""
    first, second, third = (status(n * MS, busy_ns=n) for n in (1, 2, 3))
    old, new = encode(first, 1), encode(third, 3)
    torn = new[:cut] + (old[cut:] if keep_rest else bytes(SLOT - cut))
    assert decode(encode(second, 2) + torn) in (second, third)


@given(st.binary(max_size=PAGE_BYTES))
def test_wrong_content_is_no_status(content: bytes) -> None:
    assert decode(content) is None


@given(st.integers(0, SLOT - 1), st.integers(1, 255))
def test_a_flipped_byte_never_gives_other_numbers(place: int, flip: int) -> None:
    whole = status(5 * MS, busy_ns=4, clients=(ClientUse(OURS, "ultrasound", 4),))
    slot = bytearray(encode(whole, 9))
    slot[place] ^= flip
    assert decode(bytes(slot) + bytes(SLOT)) in (None, whole)


def test_a_shrunken_or_foreign_file_is_no_reading(path: Path) -> None:
    with StatusPage(path) as page:
        page.write(status(1000 * MS))
        probe = SoftwareAcceleratorProbe(path)
        probe.read(1000 * MS)
        os.truncate(path, 10)
        assert probe.read(1001 * MS) == []
    path.unlink()
    path.mkdir()
    assert probe.read(1002 * MS) == []
