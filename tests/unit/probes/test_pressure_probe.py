"""Pressure stall information from a tree of files like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope.probes.cgroup import RESOLVE_EVERY_NS
from framescope.probes.pressure import (
    MINIMUM_INTERVAL_NS,
    GroupPressureProbe,
    PressureProbe,
    parse_pressure,
)

NS = 1_000_000_000


def stalls(root: Path, **totals_us: tuple[int, int]) -> None:
    """Write what the kernel would: for each resource the `some` and `full` totals in µs."""
    folder = root / "proc" / "pressure"
    folder.mkdir(parents=True, exist_ok=True)
    for resource, (some, full) in totals_us.items():
        (folder / resource).write_text(
            f"some avg10=0.00 avg60=0.00 avg300=0.00 total={some}\n"
            f"full avg10=0.00 avg60=0.00 avg300=0.00 total={full}\n"
        )


def test_shares_are_the_growth_of_the_totals_over_the_window(tmp_path: Path) -> None:
    probe = PressureProbe(tmp_path)
    stalls(tmp_path, cpu=(1_000, 0), memory=(0, 0), io=(500, 100))
    assert probe.read(0) is None
    stalls(tmp_path, cpu=(251_000, 0), memory=(0, 0), io=(100_500, 50_100))
    reading = probe.read(NS)
    assert reading is not None
    assert reading.window_ns == NS
    assert reading.shares == {"cpu": 0.25, "memory": 0.0, "memory.full": 0.0, "io": 0.1, "io.full": 0.05}
    assert reading.stalled_ns["cpu"] == 250_000_000


def test_it_does_not_read_before_100_ms_are_over(tmp_path: Path) -> None:
    probe = PressureProbe(tmp_path)
    stalls(tmp_path, cpu=(0, 0))
    probe.read(0)
    stalls(tmp_path, cpu=(50_000, 0))
    assert probe.read(MINIMUM_INTERVAL_NS - 1) is None
    reading = probe.read(MINIMUM_INTERVAL_NS)
    assert reading is not None
    assert (reading.window_ns, reading.shares) == (MINIMUM_INTERVAL_NS, {"cpu": 0.5})


def test_a_stall_booked_late_is_never_more_than_the_window(tmp_path: Path) -> None:
    probe = PressureProbe(tmp_path)
    stalls(tmp_path, io=(0, 0))
    probe.read(0)
    stalls(tmp_path, io=(2_000_000, 0))
    reading = probe.read(NS)
    assert reading is not None and reading.shares["io"] == 1.0


def test_without_pressure_information_it_says_why_and_reads_nothing(tmp_path: Path) -> None:
    probe = PressureProbe(tmp_path)
    assert probe.read(0) is None
    assert probe.read(NS) is None
    assert probe.unavailable is not None and "/proc/pressure/" in probe.unavailable


def test_it_comes_back_when_the_files_do(tmp_path: Path) -> None:
    probe = PressureProbe(tmp_path)
    probe.read(0)
    stalls(tmp_path, cpu=(0, 0))
    assert probe.read(NS) is None  # nothing to compare with yet
    stalls(tmp_path, cpu=(100_000, 0))
    assert probe.read(2 * NS) is not None
    assert probe.unavailable is None


def test_a_counter_that_went_backwards_is_absent(tmp_path: Path) -> None:
    probe = PressureProbe(tmp_path)
    stalls(tmp_path, cpu=(500, 0), io=(0, 0))
    probe.read(0)
    stalls(tmp_path, cpu=(400, 0), io=(0, 0))
    reading = probe.read(NS)
    assert reading is not None and "cpu" not in reading.shares


@pytest.mark.parametrize(
    "text", ["", "some", "some total=", "full total=-1", "other total=5", "some total=x"]
)
def test_lines_that_say_nothing_are_passed_over(text: str) -> None:
    assert parse_pressure(text) == {}


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    assert all(total >= 0 for total in parse_pressure(text).values())


@given(some=st.integers(0, 2**63), full=st.integers(0, 2**63), average=st.floats(0, 100))
def test_what_the_kernel_prints_is_read_back_in_ns(some: int, full: int, average: float) -> None:
    text = f"some avg10={average:.2f} total={some}\nfull avg10={average:.2f} total={full}\n"
    assert parse_pressure(text) == {"some": some * 1000, "full": full * 1000}


# -- of one control group ----------------------------------------------------------------------------------

MOUNT = "30 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def group(root: Path, path: str, io_us: int, *, is_root: bool = False) -> None:
    """Process 42 is in this group, whose tasks waited so long for I/O."""
    folder = root / "sys/fs/cgroup" / path
    for name, text in {
        root / "proc/42/cgroup": f"0::/{path}\n",
        root / "proc/self/mountinfo": MOUNT,
        folder / "io.pressure": f"some avg10=0 avg60=0 avg300=0 total={io_us}\n",
        folder / "memory.pressure": "some avg10=0 avg60=0 avg300=0 total=0\n",
    }.items():
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text(text)
    if not is_root:
        (folder / "cgroup.events").write_text("populated 1\n")


def test_a_group_s_own_stalls_are_told_without_its_neighbours(tmp_path: Path) -> None:
    stalls(tmp_path, io=(0, 0))
    group(tmp_path, "pod", 0)
    probe = GroupPressureProbe(42, tmp_path)
    assert probe.read(0) is None
    stalls(tmp_path, io=(900_000, 0))  # the machine's: somebody else waited
    group(tmp_path, "pod", 200_000)
    reading = probe.read(NS)
    assert reading is not None and reading.stalled_ns == {"io": 200_000_000, "memory": 0}


def test_the_root_of_all_groups_is_the_machine_and_tells_nothing_more(tmp_path: Path) -> None:
    group(tmp_path, "", 0, is_root=True)
    probe = GroupPressureProbe(42, tmp_path)
    assert [probe.read(0), probe.read(NS)] == [None, None]


def test_a_process_that_changes_its_group_starts_afresh(tmp_path: Path) -> None:
    group(tmp_path, "a", 5)
    probe = GroupPressureProbe(42, tmp_path)
    probe.read(0)
    group(tmp_path, "b", 900_000)
    assert probe.read(RESOLVE_EVERY_NS) is None  # nothing of b to compare with
    group(tmp_path, "b", 900_007)
    reading = probe.read(RESOLVE_EVERY_NS + NS)
    assert reading is not None and reading.stalled_ns["io"] == 7_000


def test_without_groups_of_version_2_there_is_nothing(tmp_path: Path) -> None:
    assert GroupPressureProbe(42, tmp_path).read(0) is None
