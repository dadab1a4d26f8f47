"""Runs a host program as a child and is its agent: its frames as they would go out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from company import Company
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from recording import SETTINGS, OverheardProbes, Recording

from framescope import signals as sig
from framescope.agent.__main__ import Inbox
from framescope.agent.agent import Agent
from framescope.agent.sink import Nowhere

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TICK_NS = 1_000_000_000
HANGING_S = 30.0
"""A host that has closed its output and goes on for longer than this hangs."""


class Heard(Nowhere):
    """Everything an agent would have sent."""

    def __init__(self) -> None:
        self.groups: list[list[ReadableSpan]] = []
        self.faults: dict[str, int] = {}

    def put_spans(self, groups: list[list[ReadableSpan]]) -> None:
        self.groups.extend(groups)

    def slow(self) -> list[list[ReadableSpan]]:
        """The slow frames: root first."""
        frames = [group for group in self.groups if group[0].name == sig.SPAN_FRAME]
        return [group for group in frames if (group[0].attributes or {}).get(sig.FRAME_OUTCOME) == "slow"]

    def lost(self) -> Counter[str]:
        """Seconds that the slow frames lost, by cause."""
        found: Counter[str] = Counter()
        for root, *_ in self.slow():
            for name, value in (root.attributes or {}).items():
                cause = name.removeprefix(sig.FRAME_LOST_PREFIX)
                if cause in sig.CAUSES and isinstance(value, float):
                    found[cause] += value  # type: ignore[assignment]
        return found

    def measured(self, evidence: str) -> int:
        """In how many slow frames this reading was taken."""
        return sum(evidence in (root.attributes or {}) for root, *_ in self.slow())

    def told(self, name: str) -> Counter[object]:
        """How often each value of a stage's attribute was told in slow frames."""
        found: Counter[object] = Counter()
        for _, *stages in self.slow():
            for stage in stages:
                value = (stage.attributes or {}).get(name)
                if value is not None:
                    found.update(value if isinstance(value, list | tuple) else [value])
        return found


def listen(program: str, *arguments: str, **environment: str) -> Heard:
    """Run ``program`` (of this folder) to its end and judge its frames."""
    heard = Heard()
    _attend(Agent(heard, lambda batch: Resource({}), SETTINGS), Recording(), program, arguments, environment)
    return heard


def record(program: str, *arguments: str, nvml: bool = False, **environment: str) -> Recording:
    """Run ``program`` (of this folder) to its end and write down all that its agent takes in, of NVML too."""
    recording, settings = Recording(), replace(SETTINGS, probe_gpu=nvml)
    agent = Agent(
        Heard(), lambda batch: Resource({}), settings, lambda pid: OverheardProbes(pid, settings, recording)
    )
    with Company(recording.company):
        _attend(agent, recording, program, arguments, environment)
    return recording


def _attend(
    agent: Agent,
    recording: Recording,
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> None:
    """Be the agent of a host until it ends. Raises ``ChildProcessError`` where it failed."""
    host = subprocess.Popen(
        [sys.executable, str(HERE / program), *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "instrumentation"), **environment},
    )
    assert host.stdout is not None
    os.set_blocking(host.stdout.fileno(), False)
    inbox = Inbox()
    next_tick = time.monotonic_ns() + TICK_NS
    try:
        while (chunk := host.stdout.read(1 << 20)) != b"":
            for message in inbox.add(chunk or b""):
                recording.message(*message)
                agent.take(*message)
            now = time.monotonic_ns()
            agent.poll(now)
            if now >= next_tick:
                next_tick = now + TICK_NS
                recording.tick(now)
                agent.tick(now)
            time.sleep(0.05)
        if code := host.wait(HANGING_S):
            raise ChildProcessError(f"{program} {' '.join(arguments)}: ended with {code}")
    finally:
        host.kill()
        host.wait()
        host.stdout.close()
        recording.tick(time.monotonic_ns())
        agent.close()
