"""The verdict in one plain sentence that holds the number."""

from __future__ import annotations

from framescope.judge import own_causes
from framescope.judge.calls import speaks_for
from framescope.judge.gpu import HELD_BY
from framescope.judge.model import Frame, Share, Stage, Verdict
from framescope.signals import CAUSES


def sentence(frame: Frame, verdict: Verdict) -> str:
    """For example: ``8.7 ms over budget. 6.1 ms of it is GPU contention: denoise waited while
    recon-batch (PID 48213) used the GPU.``"""
    head = (
        f"{_time(verdict.overrun_ns)} over budget."
        if verdict.axis == "latency"
        else f"Arrived {_time(verdict.lost_ns)} late."
    )
    if not verdict.overrun_ns and verdict.axis == "latency":
        if not verdict.lost_ns:
            return "Within budget, nothing lost."
        head = f"Within budget, {_time(verdict.lost_ns)} slower than usual."
    share = _leading(verdict)
    if share is None or verdict.cause == "unknown":
        if share is not None and share.stage is not None:
            return f"{head} Unknown why: {share.stage} took longer than usual, and no reading explains it."
        return f"{head} Unknown where it went: no reading explains it."
    amount = sum(
        (s.overrun_ns if verdict.overrun_ns else s.lost_ns)
        for s in verdict.shares
        if s.cause == verdict.cause
    )
    probably = "Probably " if verdict.confidence < 0.5 else ""
    words = (
        f"{_time(amount)} of it is {CAUSES[verdict.cause].title}"
        if verdict.cause in CAUSES
        else verdict.cause
    )
    return f"{head} {probably}{words}: {_how(frame, verdict, share)}."


def _time(ns: int) -> str:
    """ms below a second, as the pages write it."""
    return f"{ns / 1e6:.1f} ms" if ns < 1_000_000_000 else f"{ns / 1e9:.1f} s"


def _leading(verdict: Verdict) -> Share | None:
    return next((share for share in verdict.shares if share.cause == verdict.cause), None)


def _how(frame: Frame, verdict: Verdict, share: Share) -> str:
    stage = next((s for s in frame.stages if s.name == share.stage), None)
    name = share.stage or "the time between stages"
    if stage is not None and share.cause in stage.ahead_ns and stage.ahead_ns[share.cause]:
        return f"it waited {'in ' + name if stage.kind == 'queue' else 'to start'} behind frames that lost it"
    own = own_causes.registered.get(share.cause)
    said = (own.says if own is not None else _TEXT.get(share.cause, "{stage} took longer")).format(
        stage=name, other=_other(verdict), gpu=_device(frame, stage), held=_held(frame)
    )
    call = stage.waited_in if stage is not None else ""
    if share.cause in ("blocked", "io_wait") and speaks_for(call, share.cause):
        return f"{said.removesuffix(', not known why')}, in {call}"
    return said


def _held(frame: Frame) -> str:
    reason = frame.device.held_reason if frame.device is not None else None
    return f", held back by {HELD_BY.get(reason, reason)}" if reason else ""


def _other(verdict: Verdict) -> str:
    if verdict.culprit is None:
        return "another process"
    who, pid = verdict.culprit
    return f"{who} (PID {pid})" if pid is not None else who


def _device(frame: Frame, stage: Stage | None) -> str:
    if frame.device is not None and frame.device.simulated:
        return f"the {frame.device.name}"
    return "the GPU"


_TEXT = {
    "structural": "its usual cost alone exceeds the budget",
    "late_input": "the source delivered late",
    "queue_wait": "it waited in {stage} for a consumer that was behind",
    "cpu": "{stage} lost it on the CPU, not known how",
    "cpu_work": "{stage} ran longer on the CPU than usual",
    "cpu_contention": "{stage} was ready to run while other work held the cores",
    "cpu_quota": "{stage} was held back by the cgroup's CPU limit",
    "blocked": "{stage} was off the CPU and not runnable, not known why",
    "python_gil": "{stage} waited for the interpreter lock",
    "gc_pause": "the garbage collector ran during {stage}",
    "io_wait": "{stage} waited for I/O",
    "lock_wait": "{stage} waited for a lock",
    "loop_wait": "{stage} was ready while the event loop was busy",
    "memory_pressure": "{stage} stalled on memory",
    "gpu": "{stage} took longer on {gpu}, not known whether working or waiting",
    "gpu_work": "{stage}'s own work took longer on {gpu}",
    "gpu_contention": "{stage} waited while {other} used {gpu}",
    "gpu_throttle": "{gpu} ran {stage} at a lower clock{held}",
    "gpu_transfer": "copies of {stage} took longer on {gpu}",
}
