"""What a client and the software accelerator say to each other over a Unix socket (SOCK_SEQPACKET).

Pixels do not travel: the client makes a shared memory, sends its descriptor with the greeting, and jobs
say where in it their input lies and where the output goes. Every message is one packet: a letter and
either JSON or a fixed struct. All times are monotonic ns, one clock for all processes of a machine.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

HELLO: Final = b"H"
"""Client: JSON ``{"name"}`` and one descriptor. Answer: ``H`` and JSON ``{"device", "mode"}``."""
JOB: Final = b"J"
DONE: Final = b"D"
FAILED: Final = b"F"
"""A job that could not be done: its id, and the reason as text."""
CLOCK: Final = b"C"
"""Client: set the share of time the clock runs, 0 to 1. Answer: ``C`` and the share in force."""

PACKET_BYTES: Final = 4096
RATIO: Final = struct.Struct("<d")
JOB_ID: Final = struct.Struct("<Q")
_JOB: Final = struct.Struct("<QQIIQQ16s")
_DONE: Final = struct.Struct("<QQQBQQQq")


@dataclass(frozen=True, slots=True)
class Job:
    """One kernel to run on a grey image of ``width`` × ``height`` at ``source`` in the shared memory."""

    id: int
    queued_ns: int
    width: int
    height: int
    source: int
    target: int
    kernel: str

    def pack(self) -> bytes:
        return JOB + _JOB.pack(
            self.id, self.queued_ns, self.width, self.height, self.source, self.target, self.kernel.encode()
        )

    @classmethod
    def unpack(cls, body: bytes) -> Job:
        """Raises ``ValueError`` for what is not a job."""
        if len(body) != _JOB.size:
            raise ValueError(f"a job has {_JOB.size} bytes, not {len(body)}")
        number, queued, width, height, source, target, kernel = _JOB.unpack(body)
        return cls(
            number, queued, width, height, source, target, kernel.rstrip(b"\0").decode(errors="replace")
        )


@dataclass(frozen=True, slots=True)
class Done:
    """How a job went: ``start_ns`` to ``end_ns`` as an event pair gives it; ``detail`` the rest, if told."""

    id: int
    start_ns: int
    end_ns: int
    detail: Detail | None

    def pack(self) -> bytes:
        d = self.detail
        numbers = (0, 0, 0, -1)
        if d is not None:
            numbers = (d.busy_ns, d.transfer_ns, d.gated_ns, -1 if d.runqueue_ns is None else d.runqueue_ns)
        return DONE + _DONE.pack(self.id, self.start_ns, self.end_ns, d is not None, *numbers)

    @classmethod
    def unpack(cls, body: bytes) -> Done:
        """Raises ``ValueError`` for what is not an answer."""
        if len(body) != _DONE.size:
            raise ValueError(f"an answer has {_DONE.size} bytes, not {len(body)}")
        number, start, end, told, busy, transfer, gated, runqueue = _DONE.unpack(body)
        return cls(
            number,
            start,
            end,
            Detail(busy, transfer, gated, None if runqueue < 0 else runqueue) if told else None,
        )


@dataclass(frozen=True, slots=True)
class Detail:
    """What only an accelerator that tells everything says of one job, each measured, in ns.

    ``busy_ns`` executing it, ``gated_ns`` (part of busy) with the clock held back; ``transfer_ns`` copying
    its pixels in and out; ``runqueue_ns`` runnable but not running from its arrival to its
    end (None where the kernel does not tell).
    """

    busy_ns: int
    transfer_ns: int
    gated_ns: int
    runqueue_ns: int | None
