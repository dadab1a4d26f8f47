"""Evidence withheld: what a recording would have told with one of the probes off.

A probe that is off tells nothing, and the frames do not know: so it is taken out of what was recorded, and
the same frames are judged with and without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from framescope.handover import STEPS, UNKNOWN, Batch, FrameRecord
from framescope.probes.device import NOT_TIMED, GpuWork

BY_SCHEDULER = frozenset({"cpu_work", "cpu_contention", "cpu_quota", "python_gil", "io_wait", "lock_wait"})
OF_GPU = frozenset({"gpu_work", "gpu_contention", "gpu_throttle", "gpu_transfer"})
NOT_READ = (UNKNOWN, UNKNOWN, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Withheld:
    """What is taken out: of the host's messages by ``change``, of the agent's own probes by name; and the
    causes that rest on it."""

    causes: frozenset[str]
    change: Callable[[Batch], Batch] | None = None
    deaf_to: frozenset[str] = frozenset()


def _unscheduled(batch: Batch) -> Batch:
    """As with the scheduler's probe off; who cannot tell a wait for a core from one for the lock does not
    knock at it."""
    return replace(_each_frame(_not_scheduled)(batch), knocks=None)


def _each_frame(change: Callable[[FrameRecord], FrameRecord]) -> Callable[[Batch], Batch]:
    def changed(batch: Batch) -> Batch:
        return replace(batch, frames=[tuple(change(FrameRecord(*one)))[:-1] for one in batch.frames])

    return changed


def _not_scheduled(record: FrameRecord) -> FrameRecord:
    """As the scheduler's probe reads nothing: neither threads nor tasks say how they were run."""
    gap = record.gap
    return record._replace(
        gap=gap and (gap[0], gap[1], NOT_READ),
        segments=[(thread, s, NOT_READ, e, NOT_READ, UNKNOWN) for thread, s, _, e, _, _ in record.segments],
    )


def _loop_unwatched(record: FrameRecord) -> FrameRecord:
    def unwatched(what: Any, value: Any) -> Any:
        steps = type(what) is tuple and what[0] == STEPS
        return (value[0], value[1], UNKNOWN, *[0] * (len(value) - 3)) if steps else value

    marks = list(record.marks)
    marks[1::2] = [unwatched(what, value) for what, value in zip(marks[::2], marks[1::2], strict=True)]
    return record._replace(marks=marks)


def _each_work(change: Callable[[GpuWork], GpuWork]) -> Callable[[Batch], Batch]:
    return lambda batch: replace(batch, works=[tuple(change(GpuWork(*work))) for work in batch.works])


def _pair_alone(work: GpuWork) -> GpuWork:
    """As a pair of CUDA events tells it."""
    return GpuWork(work.token, work.device, work.start_ns, work.end_ns, clock_error_ns=work.clock_error_ns)


def _not_timed(work: GpuWork) -> GpuWork:
    return GpuWork(work.token, work.device, NOT_TIMED, NOT_TIMED)


PROBES: dict[str, Withheld] = {
    "scheduler": Withheld(BY_SCHEDULER, _unscheduled),
    "collections": Withheld(frozenset({"gc_pause"}), lambda batch: replace(batch, collections=None)),
    "interpreter lock": Withheld(frozenset({"python_gil"}), lambda batch: replace(batch, knocks=None)),
    "system calls": Withheld(frozenset({"io_wait", "lock_wait", "python_gil"}), None,
                             frozenset({"system_calls"})),
    "knocks and system calls": Withheld(frozenset({"io_wait", "lock_wait", "python_gil"}),
                                        lambda batch: replace(batch, knocks=None),
                                        frozenset({"system_calls"})),
    "pressure": Withheld(frozenset({"io_wait", "memory_pressure"}), None,
                         frozenset({"pressure", "group_pressure", "page_faults"})),
    "control group": Withheld(frozenset({"cpu_quota"}), None, frozenset({"cgroup"})),
    "event loop": Withheld(frozenset({"loop_wait"}), _each_frame(_loop_unwatched)),
    "device": Withheld(OF_GPU, None, frozenset({"software_accelerator", "nvml"})),
    "GPU split": Withheld(OF_GPU, _each_work(_pair_alone)),
    "GPU split and device": Withheld(OF_GPU, _each_work(_pair_alone),
                                     frozenset({"software_accelerator", "nvml"})),
    "GPU times": Withheld(OF_GPU, _each_work(_not_timed)),
}  # fmt: skip
