"""From where on a reading is a warning, and from where on it is critical."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Two limits on one signal, in its unit. Whether above or below is bad, the signal knows."""

    warning: float
    critical: float

    def __post_init__(self) -> None:
        for name, value in (("warning", self.warning), ("critical", self.critical)):
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"the {name} limit must be a number of at least 0, not {value!r}")

    def scaled(self, factor: float) -> Limits:
        """The same limits, times a factor: from shares of a target to the signal's own unit."""
        return Limits(self.warning * factor, self.critical * factor)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the overall state is judged by.

    ``*_share`` limits are relative to the pipeline's own target, so that a 60 FPS pipeline is healthy
    at 60; an absolute limit, where one is given, takes the place of the relative one.
    """

    fps_share: Limits = Limits(0.9, 0.7)
    """Frames out per second, as a share of the target rate; lower is worse."""
    latency_share: Limits = Limits(1.0, 2.0)
    """99th percentile of latency over the last 10 s, as a share of the budget; higher is worse."""
    slow_share: Limits = Limits(0.05, 0.2)
    """Share of the last 10 s of frames that were over budget; higher is worse."""
    gpu_utilization: Limits = Limits(0.90, 0.95)
    """The busiest GPU's utilization, 0–1; higher is worse."""
    fps: Limits | None = None
    """Absolute: frames out per second (70 and 50, say)."""
    latency: Limits | None = None
    """Absolute: s (0.030 and 0.050, say)."""

    def __post_init__(self) -> None:
        for name in ("fps_share", "fps"):
            limits: Limits | None = getattr(self, name)
            if limits is not None and limits.critical > limits.warning:
                raise ValueError(
                    f"{name}: lower is worse, so the critical limit ({limits.critical:g}) must not be above "
                    f"the warning limit ({limits.warning:g})"
                )
        for name in ("latency_share", "slow_share", "gpu_utilization", "latency"):
            limits = getattr(self, name)
            if limits is not None and limits.critical < limits.warning:
                raise ValueError(
                    f"{name}: higher is worse, so the critical limit ({limits.critical:g}) must not be below "
                    f"the warning limit ({limits.warning:g})"
                )
