"""A frame on its way to another process: what was recorded so far, in at most a kilobyte of JSON.

The header travels beside the image (in a message's field, a request's header, an argument of a pool's
task), so it is text, readable in any language, and trusted by nobody: what does not fit is a ``ValueError``.
Monotonic clocks are compared only within one boot of one machine. From elsewhere the times are laid on the
wall clock, as good as the two machines' clocks agree.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from framescope.handover import UNKNOWN

VERSION: Final = 1
LARGEST: Final = 1024
"""Bytes of a header; a frame of 8 stages on one thread takes about 450."""
LONGEST_NS: Final = 60_000_000_000
"""A frame that is under way for longer than a minute is none of a real-time pipeline's."""

_TRACE: Final = re.compile(r"[0-9a-f]{48}")
Attribute = str | int | float | bool
Segment = tuple[int, int, tuple[int, int, int], int, tuple[int, int, int], int]


@dataclass(frozen=True, slots=True)
class Carried:
    """What a header says. Times are monotonic ns of the sender's ``boot``; ``sent_wall_ns`` unix ns.

    ``stages`` are the names and kinds that ``marks`` number, as in ``handover.FrameRecord``, without notes.
    ``cut`` says that not everything did fit.
    """

    sequence: int
    boot: str
    start_ns: int
    due_ns: int
    before_ns: int
    sent_ns: int
    sent_wall_ns: int
    stages: tuple[tuple[str, str], ...]
    marks: tuple[int, ...]
    segments: tuple[Segment, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    trace: str = ""
    cut: bool = False


def written(told: Carried) -> bytes:
    """The header. What would make it larger than ``LARGEST`` is left out: attributes, then segments, then the
    last stages."""
    shorter = replace(told, attributes={}, cut=True)
    for one in (told, shorter, replace(shorter, segments=())):
        said = _written(one)
        if len(said) <= LARGEST:
            return said
    marks = told.marks
    while len(said) > LARGEST and marks:
        marks = marks[:-8]
        said = _written(replace(shorter, segments=(), marks=marks))
    return said


def _written(told: Carried) -> bytes:
    start, kept = told.start_ns, told.marks
    used = sorted({mark if mark >= 0 else ~mark for mark in kept[::2]})
    number = {index: place for place, index in enumerate(used)}
    body: dict[str, Any] = {
        "v": VERSION,
        "q": told.sequence,
        "b": told.boot,
        "t": [start, told.due_ns - start, told.before_ns - start if told.before_ns >= 0 else None],
        "n": [told.sent_ns - start, told.sent_wall_ns],
        "s": [list(told.stages[index]) for index in used],
        "m": [
            (number[value] if value >= 0 else ~number[~value]) if place % 2 == 0 else value - start
            for place, value in enumerate(kept)
        ],
    }
    if told.segments:
        body["g"] = [
            [thread, began - start, list(before), end - start, list(after), idle]
            for thread, began, before, end, after, idle in told.segments
        ]
    if told.attributes:
        body["a"] = dict(told.attributes)
    if told.trace:
        body["x"] = told.trace
    if told.cut:
        body["c"] = 1
    return json.dumps(body, separators=(",", ":")).encode()


def read(header: bytes) -> Carried:
    """What a header says. Raises ``ValueError`` for anything that is none."""
    if not isinstance(header, (bytes, bytearray, memoryview)) or len(header) > LARGEST:
        raise ValueError(f"a header is at most {LARGEST} bytes")
    try:
        body = json.loads(bytes(header))
        if body["v"] != VERSION:
            raise ValueError(f"header version {body['v']!r}, expected {VERSION}")
        start, due, before = body["t"]
        sent, sent_wall = body["n"]
        start = _whole(start)
        stages = tuple((_word(name, 64), _word(kind, 8)) for name, kind in body["s"])
        marks = tuple(
            _index(value, len(stages)) if place % 2 == 0 else start + _near(value)
            for place, value in enumerate(body["m"])
        )
        if len(marks) % 2:
            raise ValueError("a mark without its time")
        return Carried(
            sequence=_whole(body["q"]),
            boot=_word(body["b"], 64),
            start_ns=start,
            due_ns=start + _near(due),
            before_ns=UNKNOWN if before is None else start + _near(before),
            sent_ns=start + _near(sent),
            sent_wall_ns=_whole(sent_wall),
            stages=stages,
            marks=marks,
            segments=tuple(_segment(start, *part) for part in body.get("g", ())),
            attributes=_attributes(body.get("a", {})),
            trace=_trace(body.get("x", "")),
            cut="c" in body,
        )
    except (KeyError, TypeError, AttributeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"not a header: {type(error).__name__}") from None


def _segment(start: int, thread: Any, began: Any, before: Any, end: Any, after: Any, idle: Any) -> Segment:
    first, second = (tuple(_whole(number) for number in reading) for reading in (before, after))
    if len(first) != 3 or len(second) != 3:
        raise ValueError("a reading is three numbers")
    return _whole(thread), start + _near(began), first, start + _near(end), second, _whole(idle)


def _attributes(given: Any) -> dict[str, Attribute]:
    for value in given.values():
        if type(value) not in (str, int, float, bool):
            raise ValueError("an attribute is text, a number or a truth value")
    return {str(name): value for name, value in given.items()}


def _whole(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise ValueError("not a whole number")
    return value


def _near(value: Any) -> int:
    """A time relative to the frame's start."""
    if abs(_whole(value)) > LONGEST_NS:
        raise ValueError("a time that is far from its frame")
    return int(value)


def _index(value: Any, stages: int) -> int:
    number = _whole(value)
    if not -stages <= number < stages:
        raise ValueError("a stage that is not named")
    return number


def _trace(value: Any) -> str:
    word = _word(value, 48)
    if word and not _TRACE.fullmatch(word):
        raise ValueError("not a trace id and a span id")
    return word


def _word(value: Any, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ValueError("not a name")
    return value


@cache
def boot() -> str:
    """What tells this boot of this machine from all others; "" where the system does not say.

    Source: ``/proc/sys/kernel/random/boot_id`` (proc(5)); a container that has a time namespace of its own
    (time_namespaces(7)) counts its monotonic clock from elsewhere, so its offset belongs to the name.
    """
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        offset = Path("/proc/self/timens_offsets")
        return name + _monotonic_offset(offset.read_text(encoding="ascii") if offset.exists() else "")
    except (OSError, UnicodeDecodeError):
        return ""


def _monotonic_offset(said: str) -> str:
    for line in said.splitlines():
        clock, *offset = line.split()
        if clock in ("monotonic", "1") and any(int(part) for part in offset if part.lstrip("-").isdigit()):
            return "+" + ".".join(offset)
    return ""


def unique_thread(thread: int) -> int:
    """A thread's number that another process's threads do not have, within 63 bits."""
    return (os.getpid() << 40 ^ thread) & (2**63 - 1)
