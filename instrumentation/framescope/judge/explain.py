"""The readings behind a verdict: what supports each share, what was ruled out, what was not measured."""

from __future__ import annotations

from typing import Final

from framescope import signals as sig
from framescope.judge import own_causes
from framescope.judge.calls import speaks_for
from framescope.judge.gpu import (
    CLOCK_NOTICEABLE,
    HELD_BY,
    HELD_NOTICEABLE,
    OTHERS_NOTICEABLE,
    held_more,
    others,
    work_is_told,
)
from framescope.judge.host import CAUSE_OF, LIKE_THE_GPU, READING_OF, TOLD_APART_BY, is_untimed
from framescope.judge.model import Considered, EvidenceRow, Frame, Stage
from framescope.judge.readings import EVIDENCE_ATTRIBUTES, GPU_ATTRIBUTES

NS: Final = 1e9
_HOST_READING: Final = {
    "cpu_work": "CPU time",
    "cpu_contention": "run-queue time",
    "cpu_quota": "held by the cgroup limit",
    "python_gil": "waited for the interpreter lock",
    "gc_pause": "garbage collection",
    "io_wait": "waited for I/O",
    "lock_wait": "waited for a lock",
    "loop_wait": "ready, event loop busy",
    "memory_pressure": "memory stall",
    "blocked": "off the CPU, not runnable",
}
"""The reading that supports a cause (``host.PRECEDENCE``), in words."""
_BESIDE: Final = {
    "cpu_contention": ("starved_ns", "waited for the interpreter lock, whose holder got no core"),
}
"""A second reading that supports a cause, where it was seen."""
_NOT_TOLD: Final = {
    "python_gil": "nobody watched the lock then (emitter.probes.system_calls watches in every frame)",
    "io_wait": "no probe told (emitter.probes.system_calls tells)",
    "lock_wait": "no probe told (emitter.probes.system_calls tells)",
}
_GPU_READING: Final = {
    "gpu_work": ("busy_ns", "GPU busy"),
    "gpu_contention": ("wait_ns", "GPU wait"),
    "gpu_throttle": ("throttle_ns", "held back while executing"),
    "gpu_transfer": ("transfer_ns", "copies"),
    "cpu_contention": ("runqueue_ns", "run-queue time of the software accelerator"),
}


_ERRORS_SHOW: Final = frozenset({"unknown", "blocked"})
"""Beside the GPU's own causes: a driver that deals with an error holds up who calls it."""


def seconds(value: int | None) -> float | None:
    """ns as s; None stays None."""
    return None if value is None else value / NS


def evidence_rows(frame: Frame, cause: str, stage_name: str | None, lost_ns: int) -> tuple[EvidenceRow, ...]:
    """The readings that support ``cause`` in a stage, strongest first."""
    stage = next((s for s in frame.stages if s.name == stage_name), None)
    rows: list[EvidenceRow] = []
    if stage is not None:
        rows.append(
            EvidenceRow(
                sig.FRAME_STAGE_DURATION,
                stage.owned_ns / NS,
                "s",
                seconds(stage.expected_ns),
                f"{'wait in ' if stage.kind == 'queue' else ''}{stage.name}"
                f"{'' if stage.kind == 'queue' else ' took'}",
            )
        )
        rows.extend(_gpu_rows(frame, stage, cause))
        if stage.depth_at_entry is not None and cause == "queue_wait":
            rows.append(
                EvidenceRow(
                    sig.FRAME_QUEUE_DEPTH_AT_ENTRY,
                    stage.depth_at_entry,
                    "{item}",
                    None,
                    f"found in {stage.name}",
                )
            )
        ahead = stage.ahead_ns.get(cause, 0)
        if ahead:
            rows.append(
                EvidenceRow(
                    sig.FRAME_LOST_TIME, ahead / NS, "s", 0.0, "lost by the frames ahead, which it waited for"
                )
            )
    rows.extend(_host_rows(frame, stage, cause))
    if (
        frame.device is not None
        and frame.device.errors
        and (cause.startswith("gpu") or cause in _ERRORS_SHOW)
    ):
        told = "; ".join(frame.device.errors)
        rows.append(
            EvidenceRow(sig.GPU_ERRORS, len(frame.device.errors), "{error}", None, f"the GPU: {told}")
        )
    if cause == "structural":
        rows.append(
            EvidenceRow(
                sig.FRAME_EXPECTED_DURATION,
                (frame.expected_ns or 0) / NS,
                "s",
                seconds(frame.budget_ns),
                "usual latency, beside the budget",
            )
        )
    if cause == "late_input" and frame.gap_ns is not None:
        rows.append(
            EvidenceRow(
                sig.FRAME_INTERVAL,
                frame.gap_ns / NS,
                "s",
                seconds(frame.expected_gap_ns),
                "idle before the frame",
            )
        )
    return tuple(rows)


def _gpu_rows(frame: Frame, stage: Stage, cause: str) -> list[EvidenceRow]:
    rows: list[EvidenceRow] = []
    device = frame.device
    if stage.gpu is not None:
        reading = _GPU_READING.get(cause)
        value = getattr(stage.gpu, reading[0]) if reading is not None else None
        if reading is not None and value is not None:
            field, text = reading
            name = GPU_ATTRIBUTES[field]
            usual = seconds(stage.expected_gpu.get(field.removesuffix("_ns")))
            rows.append(EvidenceRow(name, value / NS, "s", usual, f"{text} in {stage.name}"))
        elif cause.startswith("gpu"):
            rows.append(
                EvidenceRow(
                    sig.GPU_TIME,
                    stage.gpu.time_ns / NS,
                    "s",
                    seconds(stage.expected_gpu.get("time")),
                    f"GPU time of {stage.name}",
                )
            )
    if device is None or not cause.startswith("gpu"):
        return rows
    if cause in ("gpu_contention", "gpu") and device.other_utilization is not None:
        who = device.other_process[0] if device.other_process else "other processes"
        rows.append(
            EvidenceRow(
                sig.GPU_OTHER_UTILIZATION,
                device.other_utilization,
                "1",
                device.expected_other_utilization,
                f"{who} on the GPU",
            )
        )
    if cause == "gpu_throttle" and device.clock_min_hz is not None:
        rows.append(
            EvidenceRow(
                sig.GPU_CLOCK_MIN,
                device.clock_min_hz,
                "Hz",
                device.expected_clock_hz,
                "lowest clock in the window",
            )
        )
    if cause in ("gpu_throttle", "gpu") and device.held_share:
        by = HELD_BY.get(device.held_reason or "", device.held_reason)
        rows.append(
            EvidenceRow(
                sig.GPU_HELD_SHARE,
                device.held_share,
                "1",
                device.expected_held_share,
                "of the time its clocks were held back" + (f" by {by}" if by else ""),
            )
        )
    if cause in ("gpu_transfer", "gpu") and device.io_rate is not None:
        rows.append(
            EvidenceRow(sig.GPU_IO_RATE, device.io_rate, "By/s", device.expected_io_rate, "over PCIe")
        )
    if device.utilization_mean is not None:
        rows.append(EvidenceRow(sig.GPU_UTILIZATION_MEAN, device.utilization_mean, "1", None, "GPU load"))
    return rows


def _host_rows(frame: Frame, stage: Stage | None, cause: str) -> list[EvidenceRow]:
    if cause not in _HOST_READING:
        return []
    rows = [_host_row(frame, stage, cause, READING_OF[cause], _HOST_READING[cause])]
    if cause in _BESIDE:
        beside = _host_row(frame, stage, cause, *_BESIDE[cause])
        rows.append(beside if beside is not None and beside.value else None)
    return [row for row in rows if row is not None]


def _host_row(frame: Frame, stage: Stage | None, cause: str, field: str, text: str) -> EvidenceRow | None:
    name = EVIDENCE_ATTRIBUTES[field]
    if stage is not None:
        if speaks_for(stage.waited_in, cause):
            text = f"{text} (seen in {stage.waited_in})"
        value = getattr(stage.evidence, field)
        if value is not None:
            baseline = seconds(getattr(stage.expected, field))
            return EvidenceRow(name, value / NS, "s", baseline, f"{text} in {stage.name}")
        if stage.kind == "gpu" and cause == "cpu_contention" and stage.gpu is not None:
            return None
    value = getattr(frame.evidence, field)
    if value is None:
        return None
    baseline = seconds(getattr(frame.expected, field))
    return EvidenceRow(name, value / NS, "s", baseline, f"{text}, whole frame")


def considered(frame: Frame, named: set[str]) -> tuple[Considered, ...]:
    """Every cause that is not the verdict's: ruled out by a reading, or not measured and why."""
    rows = [Considered(cause, "named", "") for cause in sorted(named - {"unknown"})]
    gpus = [stage.gpu for stage in frame.stages if stage.gpu is not None]
    rows += [
        Considered(one.name, "ruled_out", "its own evidence says nothing of this frame")
        for one in own_causes.registered.values()
        if one.name not in named
    ]
    for cause, text in _HOST_READING.items():
        if cause in named:
            continue
        value = getattr(frame.evidence, READING_OF[cause])
        why = _NOT_TOLD.get(cause, "no probe told") if value is None else _not_told_apart(frame, named, cause)
        if why:
            rows.append(Considered(cause, "not_measured", f"{text}: {why}"))
        elif value is not None:
            rows.append(Considered(cause, "ruled_out", f"{text} {value / 1e6:.1f} ms, no more than usual"))
    if any(stage.kind == "gpu" for stage in frame.stages):
        rows.extend(_considered_gpu(frame, named, bool(gpus), all(g.busy_ns is not None for g in gpus)))
    if "queue_wait" not in named and any(stage.kind == "queue" for stage in frame.stages):
        waited = sum(stage.owned_ns for stage in frame.stages if stage.kind == "queue")
        found = f"waited {waited / 1e6:.1f} ms"
        rows.append(_considered_wait(frame, "queue_wait", found, "no more than usual"))
    if "late_input" not in named and frame.gap_ns is not None:
        found = f"idle {frame.gap_ns / 1e6:.1f} ms before it"
        rows.append(_considered_wait(frame, "late_input", found, "as usual"))
    return tuple(rows)


def _considered_wait(frame: Frame, cause: str, found: str, usual: str) -> Considered:
    why = _not_told_apart(frame, set(), cause)
    if why:
        return Considered(cause, "not_measured", f"{found}: {why}")
    return Considered(cause, "ruled_out", f"{found}, {usual}")


def _not_told_apart(frame: Frame, named: set[str], cause: str) -> str:
    """Why a reading that was taken does not rule its cause out; "" where it does."""
    missing = [CAUSE_OF[reading] for reading in TOLD_APART_BY.get(cause, ()) if reading in frame.off]
    if missing:
        titles = " and ".join(sig.CAUSES[other].title for other in missing)
        return f"not told apart from {titles}, which no probe tells"
    if cause in LIKE_THE_GPU and any(is_untimed(stage) for stage in frame.stages):
        return "not told apart from waiting for the GPU, whose work was not timed"
    if cause == "io_wait" and "blocked" in named and frame.evidence.lock_ns is None:
        return "of disks alone; a pipe or a socket only emitter.probes.system_calls tells"
    return ""


def _considered_gpu(frame: Frame, named: set[str], timed: bool, split: bool) -> list[Considered]:
    device = frame.device
    more = others(device)
    told = all(work_is_told(stage.gpu, device) for stage in frame.stages if stage.gpu is not None)
    rows: list[Considered] = []
    if not timed:
        return (
            [Considered("gpu", "not_measured", "no GPU timing arrived for this frame")]
            if "gpu" not in named
            else []
        )
    if "gpu_contention" not in named:
        if more is None:
            rows.append(Considered("gpu_contention", "not_measured", "use by other processes is not told"))
        elif more < OTHERS_NOTICEABLE:
            rows.append(
                Considered("gpu_contention", "ruled_out", "no other process used the GPU more than usual")
            )
        else:
            rows.append(
                Considered("gpu_contention", "ruled_out", "others used the GPU, but this frame lost nothing")
            )
    if "gpu_throttle" not in named:
        rows.append(_considered_throttle(frame, split))
    for cause, what in (("gpu_work", "GPU busy"), ("gpu_transfer", "copies")):
        if cause in named:
            continue
        if cause == "gpu_work" and split and not told:
            why = "neither clocks nor other processes are told, which make the same work longer"
            rows.append(Considered(cause, "not_measured", f"{what}: {why}"))
        elif split:
            rows.append(Considered(cause, "ruled_out", f"{what} as usual"))
        else:
            rows.append(
                Considered(cause, "not_measured", f"{what} is not told: event pairs give elapsed time only")
            )
    return rows


def _considered_throttle(frame: Frame, split: bool) -> Considered:
    device = frame.device
    if device is not None and device.clock_min_hz and device.expected_clock_hz:
        if device.clock_min_hz / device.expected_clock_hz >= CLOCK_NOTICEABLE:
            return Considered("gpu_throttle", "ruled_out", "clock as usual")
        if device.held_share is not None and device.held_share < HELD_NOTICEABLE:
            return Considered("gpu_throttle", "ruled_out", "clock low, but nothing held it back")
        return Considered("gpu_throttle", "ruled_out", "clock low, but this frame lost nothing by it")
    more = held_more(device)
    if more is not None:
        usual = "no more than usual" if more < HELD_NOTICEABLE else "but this frame lost nothing by it"
        return Considered("gpu_throttle", "ruled_out", f"clocks held back {usual}")
    if split and any(stage.gpu is not None and stage.gpu.throttle_ns is not None for stage in frame.stages):
        return Considered("gpu_throttle", "ruled_out", "not held back while executing")
    return Considered("gpu_throttle", "not_measured", "neither clock nor throttle time is told")
