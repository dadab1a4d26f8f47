"""CPU and memory of the machine and the traced process: differences, and absent where unknown."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from framescope.probes import host
from framescope.probes.host import HostProbe

NS = 1_000_000_000


def burn(seconds: float) -> None:
    """Use that much CPU time of this thread, however long it takes."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_the_first_reading_has_no_window_and_no_rates() -> None:
    reading = HostProbe(os.getpid()).read(5)
    assert (reading.time_ns, reading.window_ns, reading.cpu, reading.process_cpu) == (5, 0, None, None)
    assert reading.process_memory_bytes is not None and reading.process_memory_bytes > 1_000_000
    assert reading.memory is not None and 0 < reading.memory < 1


def test_process_cpu_is_what_it_used_over_all_cores() -> None:
    probe = HostProbe(os.getpid())
    probe.read(0)
    burn(0.3)
    window_ns = 10 * NS  # the window is the caller's clock, so that this does not hang on ours
    reading = probe.read(window_ns)
    assert reading.window_ns == window_ns
    cores = os.cpu_count() or 1
    assert reading.process_cpu is not None
    assert 0.3 / 10 / cores * 0.9 <= reading.process_cpu < 0.3 / 10 / cores * 4


def test_the_machines_cpu_is_a_ratio() -> None:
    probe = HostProbe(os.getpid())
    probe.read(0)
    burn(0.1)
    cpu = probe.read(NS).cpu
    assert cpu is None or 0 <= cpu <= 1


def test_a_process_that_is_gone_is_absent_and_the_machine_goes_on() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    probe = HostProbe(child.pid)
    assert probe.read(0).process_memory_bytes is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet collected: a zombie
    as_zombie = probe.read(NS)
    child.communicate()
    gone = probe.read(2 * NS)
    for reading in (as_zombie, gone):
        assert (reading.process_cpu, reading.process_memory_bytes) == (None, None)
        assert reading.memory is not None


def test_a_process_that_never_was_is_absent() -> None:
    reading = HostProbe(2**22 + 1).read(0)
    assert (reading.process_cpu, reading.process_memory_bytes) == (None, None)


def test_children_are_counted_where_wanted() -> None:
    child = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=-1, stdout=-1)
    assert child.stdout is not None
    child.stdout.readline()
    parent = os.getppid()
    try:
        alone = HostProbe(parent).read(0).process_memory_bytes
        family = HostProbe(parent, children=True).read(0).process_memory_bytes
    finally:
        child.kill()
        child.communicate()
    assert alone is not None and family is not None
    assert family > alone


def test_what_cannot_be_read_is_absent_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("no /proc")

    monkeypatch.setattr(host.psutil, "cpu_times", fail)
    monkeypatch.setattr(host.psutil, "virtual_memory", fail)
    probe = HostProbe(os.getpid())
    probe.read(0)
    reading = probe.read(NS)
    assert (reading.cpu, reading.memory) == (None, None)


def test_after_close_the_process_is_absent() -> None:
    probe = HostProbe(os.getpid())
    probe.close()
    assert probe.read(0).process_memory_bytes is None
