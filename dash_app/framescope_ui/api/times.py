"""Times in queries: unix seconds or RFC 3339, to unix ns."""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal

from framescope_ui.api.problems import BadParameter

LATEST_NS = 253_402_300_800 * 1_000_000_000
"""The year 10000, exclusive: what is beyond it was meant to be milliseconds."""

_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_RFC3339 = re.compile(
    r"(?P<clock>\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?P<fraction>\.\d+)?(?P<zone>[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


def time_ns(name: str, value: str | None) -> int | None:
    """The time a parameter names, in unix ns; None where it is not given.

    Raises ``BadParameter`` for anything else, a time without zone included: nobody's local time is
    guessed. A ``+`` of a zone that arrives as a space (unescaped in the address) is understood.
    """
    if value is None or value == "":
        return None
    if _NUMBER.fullmatch(value):
        found = int(Decimal(value) * 1_000_000_000)
        if found >= LATEST_NS:
            raise BadParameter(
                name, f"{name}: {value} is too large for unix seconds (milliseconds, perhaps?)"
            )
        return found
    if match := _RFC3339.fullmatch(re.sub(r" (\d\d:\d\d)$", r"+\1", value)):
        zone = match["zone"].upper().replace("Z", "+00:00")
        try:
            whole = datetime.fromisoformat(match["clock"].upper().replace(" ", "T") + zone)
            since_epoch = math.floor(whole.timestamp())
        except (ValueError, OverflowError) as error:
            raise _unreadable(name, value) from error
        fraction = (match["fraction"] or ".0")[1:10].ljust(9, "0")
        found = since_epoch * 1_000_000_000 + int(fraction)
        if found < 0:
            raise BadParameter(name, f"{name}: {value} is before 1970")
        return found
    raise _unreadable(name, value)


def in_order(start_ns: int | None, end_ns: int | None) -> None:
    """Raises ``BadParameter`` for a range that ends before it starts."""
    if start_ns is not None and end_ns is not None and end_ns < start_ns:
        raise BadParameter("end", "end is before start: swap them")


def _unreadable(name: str, value: str) -> BadParameter:
    return BadParameter(
        name,
        f"{name}: {value[:60]!r} is not a time: give unix seconds (1763800000.5) or RFC 3339 "
        "(2026-11-22T08:30:00Z)",
    )
