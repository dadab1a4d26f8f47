"""Steal, frequency and paging from a tree of files like the kernel's; major faults of one process."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope.probes.machine import POLICIES, MachineProbe, parse_counts, parse_cpu_times
from framescope.probes.page_faults import PageFaultProbe, parse_major_faults

S = 1_000_000_000


def machine(root: Path, stat: str = "", vmstat: str = "", clocks: tuple[int, ...] = ()) -> None:
    for name, text in (("proc/stat", stat), ("proc/vmstat", vmstat)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for number, khz in enumerate(clocks):
        path = root / f"sys/devices/system/cpu/cpufreq/policy{number}/scaling_cur_freq"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{khz}\n")


def test_steal_is_a_share_of_all_time_since_the_reading_before(tmp_path: Path) -> None:
    machine(tmp_path, "cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 1 2 3\n")
    probe = MachineProbe(tmp_path)
    first = probe.read(0)
    assert first is not None and first.steal is None  # nothing to compare with yet
    machine(tmp_path, "cpu  140 0 60 830 10 0 5 55 9 0\n")
    second = probe.read(S)
    assert second is not None
    assert (second.steal, second.window_ns) == (0.2, S)  # 20 of 100 ticks; guest time is not counted twice


def test_steal_is_unknown_where_the_kernel_does_not_tell_it(tmp_path: Path) -> None:
    machine(tmp_path, "cpu  1 2 3 4\n", "pswpin 1\n")
    probe = MachineProbe(tmp_path)
    assert [reading.steal for reading in (probe.read(0), probe.read(S)) if reading] == [None, None]


def test_paging_and_faults_are_counts_since_boot(tmp_path: Path) -> None:
    machine(tmp_path, vmstat="nr_free_pages 9\npswpin 3\npswpout 4\npgmajfault 5\nodd\n")
    reading = MachineProbe(tmp_path).read(0)
    assert reading is not None
    assert (reading.pages_in, reading.pages_out, reading.major_faults) == (3, 4, 5)
    assert reading.frequency_hz is None  # a virtual machine has no clock to tell


def test_frequency_is_the_mean_of_few_of_many_cores(tmp_path: Path) -> None:
    machine(tmp_path, clocks=(2_000_000, 3_000_000))
    reading = MachineProbe(tmp_path).read(0)
    assert reading is not None and reading.frequency_hz == 2.5e9
    machine(tmp_path, clocks=(1_000_000,) * 64)
    assert len(MachineProbe(tmp_path)._clocks) == POLICIES


def test_a_machine_without_such_files_tells_nothing(tmp_path: Path) -> None:
    assert MachineProbe(tmp_path).read(0) is None
    assert PageFaultProbe(1, tmp_path).read(0) is None


def test_a_process_named_to_confuse_is_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "proc/7").mkdir(parents=True)
    fields = " ".join(str(number) for number in range(3, 53)).replace("3 ", "S ", 1)
    (tmp_path / "proc/7/stat").write_text(f"7 (a) b) (c) {fields}\n")
    faults = PageFaultProbe(7, tmp_path).read(5)
    assert faults is not None and (faults.time_ns, faults.major) == (5, 12)  # the twelfth field


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse_cpu_times(text)
    parse_counts(text)
    parse_major_faults(text)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_page_that_must_come_from_disk_is_a_major_fault(tmp_path: Path) -> None:
    if not hasattr(os, "posix_fadvise"):
        pytest.skip("no way to drop a file's pages")
    path = tmp_path / "cold"
    path.write_bytes(os.urandom(1 << 22))
    probe = PageFaultProbe(os.getpid())
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        before = probe.read(0)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
            pages.madvise(mmap.MADV_RANDOM)
            total = sum(pages[at] for at in range(0, len(pages), mmap.PAGESIZE))
        after = probe.read(1)
    assert total and before is not None and after is not None
    if after.major == before.major:
        pytest.skip("this file system keeps its pages in memory")
    assert after.major - before.major > 10
