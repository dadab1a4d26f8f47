"""OpenTelemetry's system-metrics instrumentation, pointed at another process than its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from framescope import signals as sig
from framescope.agent import evidence
from framescope.agent.settings import AgentSettings
from framescope.agent.totals import Totals
from framescope.probes.process_metrics import CONFIG, ProcessMetricsProbe, is_there

NOTHING = AgentSettings(probe_gpu=False, probe_host=False, probe_pressure=False, probe_cgroup=False)
needs_it = pytest.mark.skipif(not is_there(), reason="without the extra `system`")


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process with many open files, and nothing to do."""
    code = "import os,sys; kept=[os.dup(1) for _ in range(200)]; print(flush=True); sys.stdin.read()"
    started = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip
    assert started.stdout is not None
    started.stdout.readline()
    yield started
    started.kill()
    started.wait()


@needs_it
@pytest.mark.skipif(sys.platform == "win32", reason="counts descriptors")
def test_it_reads_the_other_process_and_not_its_own(other: subprocess.Popen[bytes]) -> None:
    def descriptors(pid: int) -> float:
        probe = ProcessMetricsProbe(pid)
        told = {metric.name: metric.value for metric in probe.read(0) or ()}
        probe.close()
        return told[sig.PROCESS_FILE_DESCRIPTORS]

    assert descriptors(other.pid) > 200 > descriptors(os.getpid())


@needs_it
def test_names_and_attributes_are_those_of_the_table(other: subprocess.Popen[bytes]) -> None:
    probe = ProcessMetricsProbe(other.pid)
    told = probe.read(0)
    probe.close()
    assert told
    assert {metric.name for metric in told} <= set(CONFIG)
    for metric in told:
        assert tuple(name for name, _ in metric.attributes) == sig.METRICS[metric.name].attributes


@needs_it
def test_a_process_that_is_gone_tells_nothing(other: subprocess.Popen[bytes]) -> None:
    probe = ProcessMetricsProbe(other.pid)
    assert probe.read(0)
    other.kill()
    other.wait()
    assert probe.read(1) is None
    probe.close()


@needs_it
def test_the_agent_sends_it_when_it_is_asked_for() -> None:
    made = evidence.EvidenceProbes(os.getpid(), replace(NOTHING, probe_process=True))
    made.read(0, Totals())
    for _ in range(100):  # its first reading imports the instrumentation
        made.read(0, Totals())
        if (points := made.take_points()) or made.faults:
            break
    made.close()
    assert made.faults == {}
    assert set(points) <= set(CONFIG) and sig.PROCESS_THREADS in points


def test_without_the_extra_it_says_so_once_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(evidence, "is_there", lambda: False)
    made = evidence.EvidenceProbes(os.getpid(), replace(NOTHING, probe_process=True))
    made.read(0, Totals())
    assert "pip install framescope[system]" in caplog.text
    assert made.faults == {} and made.table == ()
    made.close()
