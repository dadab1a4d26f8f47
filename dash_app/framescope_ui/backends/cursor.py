"""Where a page of frames ended: opaque to the user, checked when it comes back.

A cursor names the last row by its sort key and trace id, so that frames that arrive or go while
somebody pages neither shift nor repeat a row.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Final, Literal

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Place:
    """A row in an ordered list of frames: ``key`` is its latency or start in ns."""

    order: Literal["duration", "time"]
    key: int
    trace_id: str


def to_cursor(place: Place) -> str:
    """The place as text that is safe in an address."""
    said = json.dumps([place.order, place.key, place.trace_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def from_cursor(cursor: str, order: Literal["duration", "time"]) -> Place:
    """The place a cursor names. Raises ``ValueError`` unless it is one of ours, for this order."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        said = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError):
        raise ValueError("the cursor is not one this store gave") from None
    if not isinstance(said, list) or len(said) != 3:
        raise ValueError("the cursor is not one this store gave")
    given, key, trace_id = said
    if type(key) is not int or not -(2**63) <= key < 2**63:
        raise ValueError("the cursor is not one this store gave")
    if not isinstance(trace_id, str) or not _TRACE_ID.fullmatch(trace_id):
        raise ValueError("the cursor is not one this store gave")
    if given != order:
        raise ValueError("the cursor belongs to a list in another order")
    return Place(order, key, trace_id)
