"""What a GPU, real or simulated, can be asked: readings of the device, and the time of one frame's work.

Two seams, each a small Protocol. ``DeviceProbe`` runs in the agent and reads the device some ten times a
second. ``GpuTimer`` runs in the host and times the work of one stage of one frame; it must never block.
A field that the device does not tell is ``None``, never 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol, Self

NOT_TIMED: Final = -1
"""Stands for the token of a stage that cannot be timed, and for a time that will never be known."""
next_token: Final = itertools.count(1).__next__
"""Tokens of GPU work are unique in this process, whichever timer gives them."""

State = Literal["ok", "degraded", "failed", "predicted_failure"]
"""``hw.state`` of the OpenTelemetry semantic conventions."""


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """Who a device is: ``id`` (``hw.id``, a UUID where there is one) and the name people know.

    ``parent`` is the id of the GPU that this one is a slice of. What is not known is empty.
    """

    id: str
    name: str
    vendor: str = ""
    simulated: bool = False
    driver: str = ""
    serial: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One process's use of the device over the window. ``ours``: the traced process or its child."""

    pid: int | None
    name: str
    utilization: float
    ours: bool | None


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Device memory that one process holds; ``bytes`` is ``None`` where the driver does not tell."""

    pid: int | None
    name: str
    bytes: int | None
    ours: bool | None


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """One reading. ``time_ns`` (monotonic) is the window's end, ``window_ns`` what the rates average.

    A reading need not hold everything: each group of calls gives its own, with its own time and window.
    ``error_ns`` bounds how far the window may lie from where it is said to lie.

    ``utilization``, ``other_utilization``, ``encoder_utilization``, ``decoder_utilization``, ``fan_ratio``
    and ``activity`` (by part of the device) are ratios; ``clock_hz`` is the compute clock. Cumulative
    since the device, its driver or the probe started: ``energy_joules``, ``throttle_ns`` (by reason),
    ``io_bytes`` (``transmit`` is what the device sent, ``receive`` what it got), ``errors`` (by type) and
    ``runqueue_ns`` (a software accelerator's own).
    """

    device: DeviceIdentity
    time_ns: int
    window_ns: int
    error_ns: int = 0
    utilization: float | None = None
    other_utilization: float | None = None
    processes: Sequence[ProcessUse] = ()
    residents: Sequence[ProcessMemory] = ()
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_celsius: float | None = None
    memory_temperature_celsius: float | None = None
    power_watts: float | None = None
    energy_joules: float | None = None
    clock_hz: float | None = None
    memory_clock_hz: float | None = None
    throttle_ns: Mapping[str, int] = field(default_factory=dict)
    io_bytes: Mapping[str, int] = field(default_factory=dict)
    activity: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    encoder_utilization: float | None = None
    decoder_utilization: float | None = None
    fan_ratio: float | None = None
    fan_rpm: float | None = None
    state: State | None = None
    runqueue_ns: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """Something that happened to a device at one moment (monotonic ns), as its driver told.

    ``type`` is what is counted (``error.type``), ``text`` what people read.
    """

    device: DeviceIdentity
    time_ns: int
    type: str
    text: str


class DeviceProbe(Protocol):
    """Reads every device of one kind. Raises nothing: a device that cannot be read is left out."""

    name: str

    def read(self, now_ns: int) -> list[DeviceReading]:
        """New readings since the last call; more than one a device where the driver buffers them."""
        ...

    def close(self) -> None: ...


class GpuWork(NamedTuple):
    """The GPU work of one stage of one frame, all times monotonic ns on the host's clock.

    ``start_ns`` to ``end_ns`` is what CUDA event pairs give (first GPU start to last GPU end). The rest
    is ``None`` unless truly measured: ``busy_ns`` executing this work, ``wait_ns`` between submission
    and end not executing it, ``transfer_ns`` copying, ``throttle_ns`` held back while executing,
    ``runqueue_ns`` (software accelerator) runnable but not running. ``queued_ns`` is when it was submitted.
    ``clock_error_ns`` bounds how far start and end together may be off, where the device has a clock of its
    own; the time between them is not touched by it.
    """

    token: int
    device: str
    start_ns: int
    end_ns: int
    queued_ns: int | None = None
    busy_ns: int | None = None
    wait_ns: int | None = None
    transfer_ns: int | None = None
    throttle_ns: int | None = None
    runqueue_ns: int | None = None
    clock_error_ns: int | None = None

    @classmethod
    def lost(cls, token: int) -> Self:
        """Says that nothing will come for this token, so that nobody waits for it."""
        return cls(token, "", NOT_TIMED, NOT_TIMED)


class GpuTimer(Protocol):
    """Times one stage's GPU work. ``begin`` and ``end`` run in the host's frame: they never block."""

    def begin(self) -> int:
        """The stage starts: a token of ``next_token`` that its ``GpuWork`` will carry, or ``NOT_TIMED``."""
        ...

    def end(self, token: int) -> None:
        """The stage's host part is over; its GPU work may go on."""
        ...

    def collect(self) -> list[GpuWork]:
        """Work finished since the last call. Runs off the frame's thread."""
        ...
