"""A host that stood still as a whole: seen from outside, and its knocks then told of no lock."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agency import batch

from framescope.agent.evidence import EvidenceProbes
from framescope.agent.settings import AgentSettings
from framescope.agent.stops import Stops
from framescope.probes.page_faults import PageFaultProbe, PageFaults
from framescope.probes.scheduler import Reading

MS = 1_000_000
NONE = AgentSettings(probe_gpu=False, probe_host=False, probe_pressure=False, probe_cgroup=False)


def test_a_stop_lasts_from_when_the_host_was_last_seen_to_run_until_it_is_again() -> None:
    stops = Stops()
    for at, stopped in ((100, False), (200, True), (300, True)):
        stops.saw(at * MS, stopped)
    assert stops.within(290 * MS, 900 * MS)  # nobody knows yet when it ends
    stops.saw(400 * MS, False)
    assert not stops.within(50 * MS, 100 * MS)
    assert stops.within(50 * MS, 101 * MS)
    assert stops.within(399 * MS, 500 * MS)
    assert not stops.within(400 * MS, 500 * MS)


@pytest.mark.parametrize(
    ("cpu", "runqueue", "stood_still"),
    [(1, 0, True), (1, 700, False), (700, 0, False), (1, 300, True), (1, -1, False)],
    ids=["nothing explains it", "it waited for a core", "it worked", "in part", "not known"],
)
def test_an_agent_that_was_stopped_as_well_notices_by_its_own_time(
    cpu: int, runqueue: int, stood_still: bool
) -> None:
    readings: list[Reading] = [(0, 0, 0), (cpu * MS, runqueue * MS if runqueue >= 0 else -1, 0)]
    stops = Stops(lambda: readings.pop(0))
    stops.turn(1000 * MS)
    stops.turn(2000 * MS)
    assert stops.within(1200 * MS, 1300 * MS) is stood_still


def test_ordinary_turns_are_no_stops_and_an_agent_inside_the_host_tells_none() -> None:
    stops = Stops(lambda: (0, 0, 0))
    for turn in range(50):
        stops.turn(turn * 150 * MS)
    assert not stops.within(0, 10_000 * MS)
    inside = Stops(None)
    inside.turn(0)
    inside.turn(5000 * MS)
    assert not inside.within(0, 10_000 * MS)


def test_knocks_that_a_stop_delayed_tell_of_no_lock() -> None:
    probes = EvidenceProbes(1, NONE, lambda: 0)
    for at, stopped in ((100, False), (200, True), (400, False)):
        list(probes._take_page_faults(PageFaults(at * MS, 0, stopped)))
    probes.hear(batch(knocks=[(60 * MS, 90 * MS, 30 * MS, 0), (150 * MS, 390 * MS, 240 * MS, 0)]))
    assert [knock[0] for knock in probes.waits._knocks] == [60 * MS]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells a process's state")
def test_a_process_that_is_really_stopped_says_so() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(0.01)"])
    probe = PageFaultProbe(child.pid)

    def seen(stopped: bool) -> bool:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            reading = probe.read(0)
            if reading is not None and reading.stopped is stopped:
                return True
            time.sleep(0.01)
        return False

    try:
        assert seen(False)
        child.send_signal(signal.SIGSTOP)
        assert seen(True)
        child.send_signal(signal.SIGCONT)
        assert seen(False)
    finally:
        child.kill()
        child.wait()
        probe.close()
