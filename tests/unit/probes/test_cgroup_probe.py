"""Throttled time of a process's control group, from trees of files like both versions'."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope.probes.cgroup import (
    RESOLVE_EVERY_NS,
    CgroupProbe,
    CgroupReading,
    below,
    parse_membership,
    parse_mounts,
    parse_throttled,
)

PID = 42
V2_MOUNT = "30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "33 32 0:30 {root} /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"


def tree(root: Path, membership: str, mounts: str, files: dict[str, str]) -> CgroupProbe:
    """A machine whose process 42 is in the given group."""
    contents = {f"proc/{PID}/cgroup": membership, "proc/self/mountinfo": mounts, **files}
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return CgroupProbe(PID, root)


def test_version_2_reads_throttled_time_and_the_quota(tmp_path: Path) -> None:
    probe = tree(
        tmp_path,
        "0::/app/worker\n",
        V2_MOUNT,
        {
            "sys/fs/cgroup/app/worker/cpu.max": "50000 100000\n",
            "sys/fs/cgroup/app/worker/cpu.stat": "usage_usec 9\nnr_throttled 3\nthrottled_usec 1500\n",
        },
    )
    reading = probe.read(7)
    assert reading is not None
    assert (reading.time_ns, reading.throttled_ns, reading.limit_cpus) == (7, 1_500_000, 0.5)


def test_version_1_reads_throttled_time_and_the_quota(tmp_path: Path) -> None:
    probe = tree(
        tmp_path,
        "5:memory:/x\n4:cpu,cpuacct:/app\n0::/\n",
        V1_MOUNT.format(root="/"),
        {
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/app/cpu.stat": "nr_periods 1\nthrottled_time 777\n",
        },
    )
    reading = probe.read(0)
    assert reading is not None
    assert (reading.throttled_ns, reading.limit_cpus) == (777, 2.0)


def test_a_limit_further_up_counts_too_and_the_tightest_is_named(tmp_path: Path) -> None:
    probe = tree(
        tmp_path,
        "0::/pod/app\n",
        V2_MOUNT,
        {
            "sys/fs/cgroup/pod/cpu.max": "100000 100000\n",
            "sys/fs/cgroup/pod/cpu.stat": "throttled_usec 5\n",
            "sys/fs/cgroup/pod/app/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/pod/app/cpu.stat": "throttled_usec 2\n",
        },
    )
    reading = probe.read(0)
    assert reading is not None
    assert (reading.throttled_ns, reading.limit_cpus) == (7_000, 1.0)


def test_inside_a_container_the_mount_itself_is_the_group(tmp_path: Path) -> None:
    probe = tree(
        tmp_path,
        "4:cpu,cpuacct:/docker/abc\n",
        V1_MOUNT.format(root="/docker/abc"),
        {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "throttled_time 9\n",
        },
    )
    reading = probe.read(0)
    assert reading is not None and reading.throttled_ns == 9


@pytest.mark.parametrize("quota", ["max 100000\n", "0 0\n"])
def test_without_a_quota_nothing_is_held_back_and_the_limit_is_none(tmp_path: Path, quota: str) -> None:
    files = {"sys/fs/cgroup/app/cpu.max": quota, "sys/fs/cgroup/app/cpu.stat": "throttled_usec 5\n"}
    probe = tree(tmp_path, "0::/app\n", V2_MOUNT, files)
    assert probe.read(0) == CgroupReading(0, 0, None)
    assert probe.unavailable == "no CPU quota is set"


def test_a_group_that_no_controller_limits_has_no_file_for_it(tmp_path: Path) -> None:
    probe = tree(tmp_path, "0::/app\n", V2_MOUNT, {"sys/fs/cgroup/app/cpu.stat": "throttled_usec 0\n"})
    assert probe.read(0) == CgroupReading(0, 0, None)


@pytest.mark.parametrize("quota", ["", "1 2 3\n", "much\n"])
def test_a_quota_that_cannot_be_read_is_not_the_same_as_none(tmp_path: Path, quota: str) -> None:
    files = {"sys/fs/cgroup/app/cpu.max": quota, "sys/fs/cgroup/app/cpu.stat": "throttled_usec 0\n"}
    probe = tree(tmp_path, "0::/app\n", V2_MOUNT, files)
    assert probe.read(0) is None
    assert probe.unavailable is not None and "cpu.max" in probe.unavailable


def test_a_group_that_is_not_mounted_here_may_have_a_quota(tmp_path: Path) -> None:
    probe = tree(tmp_path, "0::/app\n", "", {})
    assert probe.read(0) is None
    assert probe.unavailable == "control groups are not mounted"


def test_a_process_that_is_gone_is_absent_and_says_why(tmp_path: Path) -> None:
    probe = CgroupProbe(PID, tmp_path)
    assert probe.read(0) is None
    assert probe.unavailable is not None and "control groups" in probe.unavailable


def test_a_quota_set_later_is_found(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/app/cpu.max": "max 100000\n", "sys/fs/cgroup/app/cpu.stat": "throttled_usec 4\n"}
    probe = tree(tmp_path, "0::/app\n", V2_MOUNT, files)
    assert probe.read(0) == CgroupReading(0, 0, None)
    (tmp_path / "sys/fs/cgroup/app/cpu.max").write_text("10000 100000\n")
    assert probe.read(RESOLVE_EVERY_NS - 1) == CgroupReading(RESOLVE_EVERY_NS - 1, 0, None)
    assert probe.read(RESOLVE_EVERY_NS) == CgroupReading(RESOLVE_EVERY_NS, 0, 0.1)  # not what was before
    assert probe.unavailable is None


def test_a_process_that_changes_its_group_takes_nothing_of_the_new_ones_past(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/a/cpu.max": "10000 100000\n",
        "sys/fs/cgroup/a/cpu.stat": "throttled_usec 4\n",
        "sys/fs/cgroup/b/cpu.max": "20000 100000\n",
        "sys/fs/cgroup/b/cpu.stat": "throttled_usec 900\n",
    }
    probe = tree(tmp_path, "0::/a\n", V2_MOUNT, files)
    first = probe.read(0)
    (tmp_path / f"proc/{PID}/cgroup").write_text("0::/b\n")
    moved = probe.read(RESOLVE_EVERY_NS)
    (tmp_path / "sys/fs/cgroup/b/cpu.stat").write_text("throttled_usec 907\n")
    later = probe.read(RESOLVE_EVERY_NS + 1)
    assert first is not None and moved is not None and later is not None
    assert [reading.throttled_ns for reading in (first, moved, later)] == [4_000, 4_000, 11_000]
    assert later.limit_cpus == 0.2


@pytest.mark.parametrize(
    ("mount_root", "path", "place"),
    [
        ("/", "/app/x", "app/x"),
        ("/docker/abc", "/docker/abc/x", "x"),
        ("/docker/abc", "/docker/abc", "."),
        ("/docker/abc", "/other", "."),
        ("/", "/../../outside", "."),
    ],
)
def test_a_groups_place_is_always_inside_the_mount(mount_root: str, path: str, place: str) -> None:
    assert str(below(mount_root, path)) == place


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    parse_membership(text)
    parse_mounts(text)
    assert (parse_throttled(text, 1) or 0) >= 0
    assert (parse_throttled(text, 2) or 0) >= 0


@given(st.integers(0, 2**62))
def test_throttled_time_is_in_ns_in_both_versions(amount: int) -> None:
    assert parse_throttled(f"nr_periods 4\nthrottled_usec {amount}\n", 2) == amount * 1000
    assert parse_throttled(f"nr_periods 4\nthrottled_time {amount}\n", 1) == amount
