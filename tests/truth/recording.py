"""Everything that an agent took in, in its order, in a file: the same frames can be judged again and again.

A recording holds the host's messages as they came, what the agent's own probes read, the system calls it
saw, and when it judged. ``judged`` feeds them to an agent of today's code: the same way, baseline, ledger,
with no clock and no machine in it: the same recording always gives the same verdicts. Only errors that
a GPU's driver tells of (NVML's events) are not in it.

The file: gzip, a JSON array a line. Its first line is an object: what was run, for whoever reads it.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import importlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from opentelemetry.sdk.resources import Resource

from framescope.agent.agent import Agent
from framescope.agent.anchor import WallAnchor
from framescope.agent.evidence import EvidenceProbes
from framescope.agent.intake import PlainStages
from framescope.agent.keeper import Judged
from framescope.agent.poller import Scheduled
from framescope.agent.settings import AgentSettings
from framescope.agent.sink import Nowhere
from framescope.agent.totals import Totals
from framescope.agent.waits import Sample
from framescope.handover import Batch, unpack
from framescope.probes.nvml import Tiers

SETTINGS = AgentSettings(
    keep_budget=1000, baseline_every=20, probe_gpu=False, gpu_tiers=Tiers(events=False), probe_host=False
)
"""What the agent of a recording is told, but for ``probe_gpu``; one that judges it again keeps nothing."""


CROWDED = 0.25
"""Cores: what others may use before a frame's loss may be theirs. A desk's own noise, and a tick or two."""


@dataclass(slots=True)
class Recording:
    """One run. ``events`` are (``message``, frames, body), (``reading``, probe, which of that name, reading),
    (``sample``, sample) and (``tick``, monotonic ns), as they happened; the last tick takes everything. And
    (``company``, start, end, ns of CPU that others used), which no agent is told."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    def message(self, body: bytes, frames: int) -> None:
        self.events.append(("message", frames, body))

    def reading(self, probe: str, nth: int, reading: object) -> None:
        self.events.append(("reading", probe, nth, reading))

    def sample(self, sample: Sample) -> None:
        self.events.append(("sample", sample))

    def tick(self, now_ns: int) -> None:
        self.events.append(("tick", now_ns))

    def company(self, start_ns: int, end_ns: int, others_ns: int) -> None:
        self.events.append(("company", start_ns, end_ns, others_ns))

    def crowded(self) -> list[tuple[int, int]]:
        """When others used more than ``CROWDED`` of a core."""
        return [
            (start, end)
            for what, *told in self.events
            if what == "company"
            for start, end, others in (told,)
            if others > CROWDED * (end - start)
        ]


class OverheardProbes(EvidenceProbes):
    """The agent's probes, and whatever they give is written down as the agent takes it in."""

    def __init__(self, pid: int, settings: AgentSettings, recording: Recording) -> None:
        self._recording = recording
        self._named: dict[str, int] = {}
        super().__init__(pid, settings)
        saw = self.waits.saw

        def overheard(sample: Sample) -> None:
            recording.sample(sample)
            saw(sample)

        self.waits.saw = overheard  # type: ignore[method-assign]

    def add(self, probe: Scheduled[Any]) -> None:
        nth, take = self._named.get(probe.name, 0), probe.take
        self._named[probe.name] = nth + 1

        def overheard(reading: Any) -> Iterable[Any]:
            self._recording.reading(probe.name, nth, reading)
            return take(reading)

        probe.take = overheard
        super().add(probe)


class RecordedProbes(EvidenceProbes):
    """Probes that read nothing: they are given what was read."""

    def read(self, now_ns: int, totals: Totals) -> None: ...

    def hear(self, batch: Batch) -> None:
        super().hear(replace(batch, threads=None))  # nobody looks at the threads of a process that is gone

    def given(self, probe: str, nth: int, reading: object) -> None:
        named = [line for line in self.table if line.name == probe]
        if nth < len(named):
            with contextlib.suppress(ValueError):  # nonsense, as the agent counted it then
                list(named[nth].take(reading))


class JudgingAgent(Agent):
    """An agent whose frames can be had whole, with their verdicts."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.seen: list[Judged] = []

    def _verdict(self, number: int, judged: Judged, stages: PlainStages | None) -> bool:
        sound = super()._verdict(number, judged, stages)
        if sound:
            self.seen.append(judged)
        return sound


Change = Callable[[Batch], Batch]
"""Done to the host's messages before they are judged again: it withholds what one of its probes told."""


def judged(
    recording: Recording, change: Change | None = None, deaf_to: frozenset[str] = frozenset()
) -> list[Judged]:
    """Every frame of a recording, judged by today's code, in order. ``deaf_to``: probes of the agent whose
    readings are withheld, ``system_calls`` among them. Raises ``ValueError`` for messages or frames that
    today's agent does not understand."""
    now_ns = 0
    made: list[RecordedProbes] = []

    def probes(pid: int) -> RecordedProbes:
        made.append(RecordedProbes(pid, replace(SETTINGS, probe_gpu=True), lambda: now_ns))
        return made[0]

    agent = JudgingAgent(
        Nowhere(),
        lambda batch: Resource({}),
        replace(SETTINGS, keep_budget=0, baseline_every=0, flight_recorder_ns=0),
        probes,
        WallAnchor(lambda: now_ns, lambda: now_ns),
        lambda: now_ns,
    )
    last = max((place for place, event in enumerate(recording.events) if event[0] == "tick"), default=-1)
    for place, (what, *told) in enumerate(recording.events):
        if what == "message":
            batch = unpack(told[1])
            agent.feed(change(batch) if change is not None else batch)
        elif what == "tick":
            now_ns = told[0]
            agent.tick(now_ns, everything=place == last)
        elif what == "reading" and made and told[0] not in deaf_to:
            made[0].given(*told)
        elif what == "sample" and made and "system_calls" not in deaf_to:
            made[0].waits.saw(told[0])
    told = sum(frames for what, frames, *_ in recording.events if what == "message")
    if len(agent.seen) < told:
        raise ValueError(f"{told - len(agent.seen)} of {told} frames make no sense to today's agent")
    return agent.seen


# -- the file -----------------------------------------------------------------------------------------------


def write(path: Path, about: dict[str, Any], runs: Sequence[tuple[str, Recording]]) -> None:
    """Write runs, each with its name, into one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", compresslevel=6) as file:
        file.write(json.dumps(about) + "\n")
        for name, recording in runs:
            file.write(json.dumps(["run", name]) + "\n")
            for event in recording.events:
                file.write(json.dumps(_packed(event), separators=(",", ":")) + "\n")


def read(path: Path) -> tuple[dict[str, Any], dict[str, Recording]]:
    """What was run, and its runs by name. Raises ``ValueError`` for a file that is no recording."""
    runs: dict[str, Recording] = {}
    try:
        with gzip.open(path, "rt") as file:
            about = json.loads(next(file, "null"))
            for line in file:
                what, *told = json.loads(line)
                if what == "run":
                    runs[told[0]] = recording = Recording()
                else:
                    recording.events.append((what, *_unpacked(what, told)))
    except (OSError, EOFError, UnboundLocalError, KeyError) as error:
        raise ValueError(f"{path} is no recording of the truth suite: {error}") from error
    if not isinstance(about, dict):
        raise ValueError(f"{path} is no recording of the truth suite")
    return about, runs


def _packed(event: tuple[Any, ...]) -> list[Any]:
    what, *told = event
    if what == "message":
        return [what, told[0], base64.b64encode(told[1]).decode()]
    if what == "reading":
        return [what, told[0], told[1], _plain(told[2])]
    return [what, *told]


def _unpacked(what: str, told: list[Any]) -> list[Any]:
    if what == "message":
        return [told[0], base64.b64decode(told[1])]
    if what == "reading":
        return [told[0], told[1], _made(told[2])]
    return [Sample(*told[0])] if what == "sample" else told


CLASS = "class"


def _plain(value: Any) -> Any:
    """A probe's reading as JSON; what a field does not tell is left out."""
    if is_dataclass(value) and not isinstance(value, type):
        told = {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        name = f"{type(value).__module__}:{type(value).__qualname__}"
        return {CLASS: name} | {name: found for name, found in told.items() if found is not None}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, dict) else value


def _made(value: Any) -> Any:
    """The reading again, of today's class: fields it has no more are left out."""
    if isinstance(value, list):
        return tuple(_made(one) for one in value)
    if not isinstance(value, dict):
        return value
    told = {name: _made(one) for name, one in value.items() if name != CLASS}
    if CLASS not in value:
        return told
    module, _, name = value[CLASS].partition(":")
    made = getattr(importlib.import_module(module), name)
    return made(**{one.name: told[one.name] for one in fields(made) if one.name in told})
