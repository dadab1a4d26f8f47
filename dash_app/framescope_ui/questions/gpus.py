"""The GPUs of a service: their newest readings, who uses them, and their lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from framescope import signals
from framescope_ui.backends.protocols import Series
from framescope_ui.questions.readings import (
    grouped,
    is_true,
    joined,
    newest,
    newest_by,
    newest_time,
    since,
    summed,
)
from framescope_ui.questions.stores import NS
from framescope_ui.questions.views import GpuNow, GpuProcess

GAUGES = (
    signals.HW_GPU_UTILIZATION,
    signals.HW_GPU_MEMORY_USAGE,
    signals.HW_GPU_MEMORY_LIMIT,
    signals.HW_TEMPERATURE,
    signals.HW_POWER,
    signals.FS_GPU_CLOCK,
    signals.FS_GPU_PROCESS_UTILIZATION,
    signals.HW_STATUS,
)
"""The gauges a GPU is described by."""
THROTTLE_WINDOW_SECONDS = 10.0
"""Time over which a throttle rate is taken."""
PROCESS_FRESH_SECONDS = 5.0
"""A process without a reading for this long is not on the GPU any more."""


@dataclass(frozen=True, slots=True)
class GpuLabel:
    """How one GPU is called."""

    id: str
    name: str
    simulated: bool


def labels(gauges: Mapping[str, Sequence[Series]]) -> list[GpuLabel]:
    """The GPUs that gave readings, by id."""
    found: dict[str, GpuLabel] = {}
    for name in GAUGES:
        for one in gauges.get(name, ()):
            gpu = one.attributes.get(signals.HW_ID)
            if gpu is None or not _is_gpu(gauges, gpu):
                continue
            simulated = is_true(one, signals.FS_GPU_SIMULATED) or False
            found.setdefault(gpu, GpuLabel(gpu, one.attributes.get(signals.HW_NAME, gpu), simulated))
    return [found[gpu] for gpu in sorted(found)]


def _is_gpu(gauges: Mapping[str, Sequence[Series]], gpu: str) -> bool:
    # hw.temperature and hw.power exist for other hardware too.
    only_gpus = (signals.HW_GPU_UTILIZATION, signals.HW_GPU_MEMORY_USAGE, signals.FS_GPU_CLOCK)
    told = [one.attributes for m in only_gpus for one in gauges.get(m, ())]
    told += [
        s.attributes for s in gauges.get(signals.HW_STATUS, ()) if s.attributes.get(signals.HW_TYPE) == "gpu"
    ]
    return any(attributes.get(signals.HW_ID) == gpu for attributes in told)


def now_of(
    gpu: GpuLabel,
    gauges: Mapping[str, Sequence[Series]],
    throttled: Sequence[Series],
    now_ns: int,
) -> GpuNow:
    """One GPU's newest readings. ``throttled`` are increases of the throttle counter, by reason."""

    def reading(metric: str) -> float | None:
        return newest(of_gpu(gauges.get(metric, ()), gpu.id), now_ns)

    recent = since(of_gpu(throttled, gpu.id), now_ns - int(THROTTLE_WINDOW_SECONDS * NS))
    reasons = {
        reason: sum(sum(s.values) for s in group)
        for reason, group in grouped(recent, signals.FS_GPU_THROTTLE_REASON).items()
    }
    return GpuNow(
        id=gpu.id,
        name=gpu.name,
        simulated=gpu.simulated,
        utilization=reading(signals.HW_GPU_UTILIZATION),
        memory_used_bytes=reading(signals.HW_GPU_MEMORY_USAGE),
        memory_total_bytes=reading(signals.HW_GPU_MEMORY_LIMIT),
        temperature_celsius=reading(signals.HW_TEMPERATURE),
        power_watts=reading(signals.HW_POWER),
        clock_hz=reading(signals.FS_GPU_CLOCK),
        # Reasons hold at the same time: the longest bounds them all from below.
        throttled_seconds_per_second=max(reasons.values()) / THROTTLE_WINDOW_SECONDS if reasons else None,
        throttle_reasons=sorted(reason for reason, held_back in reasons.items() if held_back > 0),
        processes=_processes(of_gpu(gauges.get(signals.FS_GPU_PROCESS_UTILIZATION, ()), gpu.id), now_ns),
        state=_state(of_gpu(gauges.get(signals.HW_STATUS, ()), gpu.id), now_ns),
    )


def of_gpu(series: Sequence[Series], gpu: str) -> list[Series]:
    """The series of one GPU as a whole: not of its encoder, its decoder or its memory's own sensor."""
    return [
        one
        for one in series
        if one.attributes.get(signals.HW_ID) == gpu
        and one.attributes.get(signals.HW_GPU_TASK, "general") == "general"
        and one.attributes.get(signals.HW_SENSOR_LOCATION, "gpu") == "gpu"
    ]


def others_of(series: Sequence[Series], gpu: str) -> Series:
    """Utilization of one GPU by processes that are not the pipeline's own, added up.

    Processes are read together: where the pipeline's own has a reading and no other has, no other used the
    GPU. A process that ends sends no 0.
    """
    told = [s for s in of_gpu(series, gpu) if is_true(s, signals.FS_PROCESS_SELF) is not None]
    foreign = [s for s in told if is_true(s, signals.FS_PROCESS_SELF) is False]
    own = [s for s in told if is_true(s, signals.FS_PROCESS_SELF)]
    alone = [Series(s.attributes, s.times_ns, [0.0] * len(s.times_ns)) for s in own]
    return summed([*foreign, *alone] if foreign else [])


def line_source(series: Sequence[Series], gpu: str) -> Series:
    """One GPU's readings of one gauge as one series."""
    return joined(of_gpu(series, gpu))


def _state(series: Sequence[Series], now_ns: int) -> str | None:
    """The state whose series is 1; a device that is lost still says so."""
    states = newest_by(series, signals.HW_STATE, now_ns)
    return next((state for state, holds in states.items() if holds == 1), None)


def _processes(series: Sequence[Series], now_ns: int) -> list[GpuProcess]:
    found: list[GpuProcess] = []
    newest_ns = newest_time(series)
    if newest_ns is None:
        return found
    for one in series:
        value = newest([one], now_ns)
        if value is None or newest_ns - one.times_ns[-1] > PROCESS_FRESH_SECONDS * NS:
            continue
        pid = one.attributes.get(signals.PROCESS_PID)
        found.append(
            GpuProcess(
                name=one.attributes.get(signals.PROCESS_EXECUTABLE_NAME, "process"),
                pid=int(pid) if pid is not None and pid.isdigit() else None,
                utilization=value,
                ours=is_true(one, signals.FS_PROCESS_SELF),
            )
        )
    return sorted(found, key=lambda process: -process.utilization)
