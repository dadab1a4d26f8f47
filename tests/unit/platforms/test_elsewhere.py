"""On macOS, Windows and a Linux that hides its files: frames are recorded, judged and sent, and what cannot
be read is absent. Those systems are played by this one: what they lack is taken away, in host and agent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver

from framescope import signals as sig

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SYSTEMS = ("bare", "darwin", "win32")
FRAMES = 31


@dataclass
class Ran:
    told: dict[str, Any]
    log: list[str]
    receiver: Receiver

    @property
    def frames(self) -> list[set[str]]:
        return [attributes for name, attributes in self.receiver.spans if name == sig.SPAN_FRAME]


def run(system: str, *program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    told = {
        "ELSEWHERE_SYSTEM": system,
        "FRAMESCOPE_COMPILED": "0",  # nothing can be hidden from C
        "FRAMESCOPE_RAISE": "0",
        "FRAMESCOPE_BASELINE": "1",
        "FRAMESCOPE_KEEP_BUDGET": "1000",
        "PYTHONPATH": os.pathsep.join([str(HERE / "elsewhere"), str(ROOT / "instrumentation")]),
    }
    done = subprocess.run(
        [sys.executable, *program], env={**os.environ, **told, **environment}, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def ran_on(system: str, **environment: str) -> Ran:
    receiver = Receiver()
    done = run(system, str(HERE / "host.py"), OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **environment)
    receiver.close()
    log = [line for line in done.stderr.splitlines() if "no GPU readings" not in line]
    return Ran(json.loads(done.stdout), log, receiver)


@pytest.fixture(scope="module", params=SYSTEMS)
def there(request: pytest.FixtureRequest) -> tuple[str, Ran]:
    return request.param, ran_on(request.param)


def test_every_frame_is_recorded_and_nothing_fails(there: tuple[str, Ran]) -> None:
    told = there[1].told
    assert (told["frames"], told["faults"], told["losses"]) == (FRAMES, {}, {})


def test_every_frame_is_judged_and_arrives(there: tuple[str, Ran]) -> None:
    assert len(there[1].frames) == FRAMES
    assert {sig.FRAME_COUNT, sig.FRAME_LATENCY} <= there[1].receiver.metrics


def test_the_agent_is_a_process_where_it_can_be(there: tuple[str, Ran]) -> None:
    system, ran = there
    assert ran.told["agent"] == ("ThreadLink" if system == "win32" else "AgentLink")


def test_one_line_at_most_says_what_is_different(there: tuple[str, Ran]) -> None:
    system, ran = there
    assert len(ran.log) <= 1
    if system == "win32":
        assert "the agent is a thread: Windows" in ran.log[0]


def test_evidence_that_is_not_there_is_absent_and_never_zero(there: tuple[str, Ran]) -> None:
    system, ran = there
    assert (ran.told["runqueue"], ran.told["blocks"]) == (False, False)
    assert ran.told["cpu"] == (system != "win32")
    said = set().union(*(attributes for _, attributes in ran.receiver.spans))
    for name in (sig.RUNQUEUE_TIME, sig.BLOCKED_TIME, sig.IO_WAIT_TIME, sig.QUOTA_TIME):
        assert name not in said
    assert (sig.CPU_TIME in said) == (system != "win32")
    assert not {sig.FS_PRESSURE, sig.HW_GPU_UTILIZATION} & ran.receiver.metrics


def test_what_psutil_reads_everywhere_is_there(there: tuple[str, Ran]) -> None:
    assert {sig.SYSTEM_MEMORY_UTILIZATION, sig.PROCESS_MEMORY_USAGE} <= there[1].receiver.metrics


def test_switched_on_probes_that_only_linux_has_do_no_harm(there: tuple[str, Ran]) -> None:
    opted = ran_on(there[0], FRAMESCOPE_PROBES_SYSTEM_CALLS="1", FRAMESCOPE_PROBES_STACKS="1")
    assert (opted.told["frames"], opted.told["faults"], opted.told["losses"]) == (FRAMES, {}, {})
    assert len(opted.frames) == FRAMES
    # Where the agent is a thread: that, and that the calls cannot be looked at; each once.
    assert len(opted.log) <= (2 if opted.told["agent"] == "ThreadLink" else 1)
    assert len(set(opted.log)) == len(opted.log)


def test_this_system_itself_is_not_touched_by_the_play() -> None:
    here = ran_on("")
    assert (here.told["frames"], len(here.frames), here.log) == (FRAMES, FRAMES, [])
    assert here.told["agent"] == "AgentLink"
