"""What an agent is told, from the emitter's configuration and the OpenTelemetry variables."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from framescope.agent.keeper import BASELINE_EVERY, BUDGET
from framescope.config import ConfigError, emitter_settings, read_text
from framescope.probes.nvml.tiers import GPM_FLOOR_NS, Tiers

DEFAULT_INTERVAL_NS = 1_000_000_000
"""The SDK exports once a minute; a page that shows the last seconds wants one point a second."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Settings in force. ``keep_budget`` is frames a second; ``baseline_every`` 0 keeps no baseline."""

    keep_budget: int = BUDGET
    baseline_every: int = BASELINE_EVERY
    metric_interval_ns: int = DEFAULT_INTERVAL_NS
    flight_recorder_ns: int = 5_000_000_000
    """What is kept whole when a burst of bad frames begins; 0: nothing."""
    probe_gpu: bool = True
    gpu_tiers: Tiers = field(default_factory=Tiers)
    probe_host: bool = True
    probe_process: bool = False
    probe_pressure: bool = True
    probe_cgroup: bool = True
    causes: tuple[str, ...] = ()
    """Modules that register causes of the user's own."""


def from_environment(environment: Mapping[str, str]) -> AgentSettings:
    """What the environment and ``framescope.yaml`` give. A bad setting is logged and left at its default."""
    log = logging.getLogger("framescope")
    try:
        found = emitter_settings(environment, read_text)
    except ConfigError as error:
        log.warning("the configuration cannot be used, defaults are: %s", error)
        return AgentSettings(metric_interval_ns=_interval(environment))
    for warning in found.warnings:
        log.warning("%s", warning)
    return AgentSettings(
        keep_budget=round(found.keep_budget),
        baseline_every=found.baseline,
        flight_recorder_ns=round(found.flight_recorder * 1e9),
        metric_interval_ns=_interval(environment),
        probe_gpu="gpu" in found.probes,
        gpu_tiers=_tiers(found.gpu),
        probe_host="host" in found.probes,
        probe_process="process" in found.probes,
        probe_pressure="pressure" in found.probes,
        probe_cgroup="pressure" in found.probes,
        causes=found.causes,
    )


def _tiers(periods: Mapping[str, float]) -> Tiers:
    """Periods in s by group of calls, as set; 0 is off."""
    told = {f"{name}_ns": round(period * 1e9) for name, period in periods.items() if name != "events"}
    if told.get("activity_ns"):
        told["activity_ns"] = max(told["activity_ns"], GPM_FLOOR_NS)
    return Tiers(**told, events=bool(periods.get("events", True)))


def _interval(environment: Mapping[str, str]) -> int:
    try:
        milliseconds = float(environment.get("OTEL_METRIC_EXPORT_INTERVAL", ""))
    except ValueError:
        return DEFAULT_INTERVAL_NS
    return round(milliseconds * 1e6) if milliseconds >= 100 else DEFAULT_INTERVAL_NS
