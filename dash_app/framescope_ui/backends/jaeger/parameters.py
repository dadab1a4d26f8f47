"""A search as the parameters of Jaeger's ``GET /api/v3/traces``.

Source: ``query_parser.go`` of Jaeger 2.20. The names in snake case are the ones every Jaeger 2 knows; they
are all set from here, so a user's text only ever is a value. Storages compare whole microseconds (Badger,
Elasticsearch, Cassandra) or nanoseconds (memory, ClickHouse) and take both ends as included: what is asked
for is never less than what is meant, and the caller cuts the answer to the nanosecond.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

GREATEST_NAME_BYTES: Final = 1024
"""Of one name in a search: several of them, escaped, must fit into an address."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GREATEST_US: Final = 2**63 // 1000


@dataclass(frozen=True, slots=True)
class Search:
    """Traces of one service with a span of that name, start, length and attributes.

    Times are unix ns and half-open, as are lengths: ``[start_ns, end_ns)``, ``[least_ns, below_ns)``.
    ``depth`` is the greatest number of traces answered.
    """

    service: str
    operation: str
    start_ns: int
    end_ns: int
    depth: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    least_ns: int = 0
    below_ns: int | None = None


def parameters(search: Search) -> list[tuple[str, str]]:
    """The search as parameters, not yet encoded for an address."""
    first = _microseconds_down(search.start_ns)
    last = max(_microseconds_up(search.end_ns - 1), first + 1)  # equal times are refused
    told = [
        ("query.service_name", search.service),
        ("query.operation_name", search.operation),
        ("query.start_time_min", _time(first)),
        ("query.start_time_max", _time(last)),
        ("query.search_depth", str(search.depth)),
        ("query.raw_traces", "true"),  # else Jaeger moves spans where it suspects the clocks
    ]
    if search.attributes:
        told.append(("query.attributes", json.dumps(dict(search.attributes))))
    if search.least_ns >= 1000:
        told.append(("query.duration_min", f"{_microseconds_down(search.least_ns)}us"))
    if search.below_ns is not None:
        told.append(("query.duration_max", f"{max(1, _microseconds_up(search.below_ns - 1))}us"))
    return told


def may_match(name: str) -> bool:
    """Whether anything stored can have this name: OTLP is UTF-8, and Jaeger stores no empty service."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _time(microseconds: int) -> str:
    at = _EPOCH + timedelta(microseconds=microseconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _microseconds_down(ns: int) -> int:
    return min(max(ns, 0) // 1000, _GREATEST_US)


def _microseconds_up(ns: int) -> int:
    return min(-(-max(ns, 0) // 1000), _GREATEST_US)
