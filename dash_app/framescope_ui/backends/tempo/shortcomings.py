"""What a Tempo cannot answer as it is set up, by its own configuration (``/status/config``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from framescope_ui.backends.protocols import Shortcoming

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
LATE_SECONDS: Final = 600.0
"""What a queue holds while a server is away for some minutes should still be found."""
FRAMES_A_RECORD: Final = 1000
"""A record spells a letter a frame: 1000 FPS is what framescope is made for."""
LONGEST_SEARCH_SECONDS: Final = 24 * 3600.0
"""Longer questions are asked in parts of so much."""
IDLE_SECONDS: Final = 5.0
"""A frame's trace arrives whole, so waiting gains nothing. Measured with ``max_trace_idle: 1s`` on a busy
2-core machine: a frame is in the list, with its stage, 2.0 s after its end."""
UNKNOWN: Final = Shortcoming(
    "what its configuration hides",
    "it does not show its configuration (/status/config)",
    "let that path through, or compare the configuration with deploy/tempo/tempo.yaml",
)


def configuration(body: bytes | None) -> Mapping[str, Any] | None:
    """The configuration as Tempo shows it; None where there is none to read."""
    if body is None:
        return None
    try:
        text = body.decode("utf-8")
        said = yaml.safe_load(text[text.index("\n---") :])  # a line with the path stands before it
    except (UnicodeError, ValueError, yaml.YAMLError):
        return None
    return said if isinstance(said, dict) else None


def shortcomings(said: Mapping[str, Any]) -> tuple[Shortcoming, ...]:
    """What this configuration hides, cuts or refuses. What it does not tell is not judged."""
    found: list[Shortcoming] = []
    cutoff = seconds(_at(said, "query_frontend", "query_end_cutoff"))
    if cutoff:
        found.append(
            Shortcoming(
                f"the newest {cutoff:g} s",
                f"Tempo hides them from searches (query_frontend.query_end_cutoff: {cutoff:g}s)",
                "set query_frontend.query_end_cutoff: 0s",
            )
        )
    idle = seconds(_at(said, "live_store", "max_trace_idle"))
    if idle is not None and idle >= IDLE_SECONDS:
        found.append(
            Shortcoming(
                f"frames of the last {idle:g} s",
                f"Tempo waits so long for more of a trace (live_store.max_trace_idle: {idle:g}s)",
                "set live_store.max_trace_idle: 1s and live_store.flush_check_period: 1s",
            )
        )
    traces = _at(said, "overrides", "defaults", "ingestion", "max_traces_per_user")
    if isinstance(traces, int) and traces > 0:
        found.append(
            Shortcoming(
                f"frames beyond {traces} at once",
                f"Tempo drops traces over overrides.defaults.ingestion.max_traces_per_user: {traces}",
                "set it to 0 where one user has the Tempo",
            )
        )
    for path in (("live_store", "wal"), ("storage", "trace", "wal")):
        slack = seconds(_at(said, *path, "ingestion_time_range_slack"))
        if slack is not None and slack < LATE_SECONDS:
            found.append(
                Shortcoming(
                    f"frames that arrive more than {slack / 60:g} min late",
                    f"Tempo files them under the wrong time ({'.'.join(path)}.ingestion_time_range_slack)",
                    f"set {'.'.join(path)}.ingestion_time_range_slack: 1h",
                )
            )
            break
    size = _at(said, "distributor", "max_attribute_bytes")
    if isinstance(size, int) and 0 < size < FRAMES_A_RECORD:
        found.append(
            Shortcoming(
                f"every frame's latency above {size} frames a second",
                f"Tempo cuts attributes at distributor.max_attribute_bytes: {size}",
                "set distributor.max_attribute_bytes: 65536",
            )
        )
    longest = seconds(_at(said, "query_frontend", "search", "max_duration"))
    if longest and longest < LONGEST_SEARCH_SECONDS:
        found.append(
            Shortcoming(
                f"more than {longest / 3600:g} h in one search",
                f"Tempo refuses longer searches (query_frontend.search.max_duration: {longest / 3600:g}h)",
                "set query_frontend.search.max_duration: 0s",
            )
        )
    return tuple(found)


def seconds(duration: object) -> float | None:
    """A Go duration (``1h30m0s``) in seconds; None for what is none."""
    if not isinstance(duration, str):
        return 0.0 if duration == 0 and duration is not False else None
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _at(said: object, *path: str) -> object:
    for name in path:
        said = said.get(name) if isinstance(said, dict) else None
    return said
