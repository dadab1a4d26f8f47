"""How a GPU stage's excess splits into the GPU causes, as far as the measurements reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from framescope.judge.host import Piece
from framescope.judge.model import Device, Gpu, Stage

OTHERS_NOTICEABLE: Final = 0.05
"""Another process's utilization must exceed its usual value by this much: NVML reports whole percent
over windows of 1/6 s, so two or three points come and go by themselves."""
ASYNCHRONOUS: Final = 0.1
"""A stage whose work usually runs on for more than this share of its time after the host has left it."""
CLOCK_NOTICEABLE: Final = 0.95
"""A clock within 5 % of the usual one explains nothing: boost clocks wander by as much."""
HELD_NOTICEABLE: Final = 0.02
"""Held back for less than this share of the time explains nothing: a hundredth is below what one reading
of a counter, 0.2 s apart from the next, tells of a frame."""
HELD_BY: Final = {
    "power_cap": "its power limit",
    "sync_boost": "keeping step with other GPUs",
    "sw_thermal": "its temperature",
    "hw_thermal": "its temperature, by the hardware",
    "power_brake": "the power supply's brake",
    "hw_slowdown": "the hardware",
    "clock_gating": "clock gating",
}
"""Throttle reasons as people read them."""


def others(device: Device | None) -> float | None:
    """How much more than usual other processes used the device; None if that was not measured."""
    if device is None or device.other_utilization is None:
        return None
    return device.other_utilization - (device.expected_other_utilization or 0.0)


def held_more(device: Device | None) -> float | None:
    """How much more of the time than usual the clocks were held back; None if that was not measured."""
    if device is None or device.held_share is None:
        return None
    return device.held_share - (device.expected_held_share or 0.0)


def slowed(device: Device | None) -> float:
    """By which share of its usual speed the device was held back, as far as clocks and counters tell.

    A low clock is how much; it counts unless the counters say that nothing held it back, as when an idle
    device has not sped up yet. Being held back for more of the time than usual, without a low clock in the
    readings, bounds it from above. A device that always runs at its power limit is not held back by it.
    """
    if device is None:
        return 0.0
    if device.clock_min_hz and device.expected_clock_hz:
        ratio = device.clock_min_hz / device.expected_clock_hz
        if ratio < CLOCK_NOTICEABLE and (device.held_share is None or device.held_share >= HELD_NOTICEABLE):
            return 1.0 - ratio
    more = held_more(device)
    return more if more is not None and more >= HELD_NOTICEABLE else 0.0


def work_is_told(gpu: Gpu, device: Device | None) -> bool:
    """Whether longer execution is more work for sure: it would be seen that the device was held back, or that
    others had a part of it."""
    speed = device is not None and (device.held_share is not None or bool(device.expected_clock_hz))
    apart = gpu.wait_ns is not None or others(device) is not None
    return gpu.busy_ns is not None and (gpu.throttle_ns is not None or speed) and apart


def is_pair_alone(stage: Stage) -> bool:
    """Whether nothing but start and end is known of a stage's GPU work."""
    return stage.gpu is not None and stage.gpu.busy_ns is None and stage.gpu.wait_ns is None


def split(stage: Stage, amount: int, device: Device | None) -> dict[str, int]:
    """ns per cause, at most ``amount`` together; what the GPU does not explain is left to the caller."""
    gpu = stage.gpu
    if gpu is None or amount <= 0:
        return {}
    parts: dict[str, int] = {}
    left = amount

    def give(cause: str, wanted: int) -> int:
        nonlocal left
        given = max(0, min(wanted, left))
        if given:
            parts[cause] = parts.get(cause, 0) + given
            left -= given
        return given

    more = others(device)
    shared = more is not None and more >= OTHERS_NOTICEABLE

    def excess(name: str, value: int | None) -> int:
        return 0 if value is None else max(0, value - stage.expected_gpu.get(name, 0))

    if gpu.busy_ns is not None or gpu.wait_ns is not None:
        busy, wait = excess("busy", gpu.busy_ns), excess("wait", gpu.wait_ns)
        # A software accelerator that is kept off its core is not executing: that time is in the wait.
        held = excess("runqueue", gpu.runqueue_ns)
        wait -= (in_wait := give("cpu_contention", min(wait, held)))
        busy -= give("cpu_contention", min(busy, held - in_wait))
        held_back = excess("throttle", gpu.throttle_ns)
        if gpu.throttle_ns is None:
            held_back = round(slowed(device) * (gpu.busy_ns or 0))
        busy -= give("gpu_throttle", min(busy, held_back))
        give("gpu_transfer", excess("transfer", gpu.transfer_ns))
        # Waiting is contention only where another process is seen; else it may be its own backlog.
        give("gpu_contention" if shared else "gpu", wait)
        work = "gpu_work" if work_is_told(gpu, device) else "gpu"
        give("gpu_contention" if shared and not wait else work, busy)
        return parts

    # An event pair alone: elapsed time, which cannot tell work from waiting.
    time = excess("time", gpu.time_ns)
    tail = stage.expected_gpu.get("tail", 0)
    if gpu.placed and tail > max(gpu.clock_error_ns or 0, ASYNCHRONOUS * stage.expected_gpu.get("time", 0)):
        # The host launches and goes on: how long it took to launch is in the pair as well, and is its own.
        time = min(time, max(0, gpu.end_ns - stage.end_ns - tail))
    time -= give("gpu_throttle", min(time, round(slowed(device) * gpu.time_ns)))
    give("gpu_contention" if shared else "gpu", time)
    return parts


def waited_for(piece: Piece, stages: Sequence[Stage], device: Device | None) -> None:
    """Lost in a later stage, while work that an earlier one launched ran on for longer than usual.

    CUDA work is launched and goes on by itself; the host meets it where it fetches the result. It may spin
    there, which is CPU time, or sleep, which is blocked time: what was lost there in the time that the work
    was late is the GPU's.
    """
    for stage in stages:
        gpu = stage.gpu
        if gpu is None or stage is piece.stage or not gpu.placed or gpu.end_ns <= stage.end_ns:
            continue
        usual_tail = stage.expected_gpu.get("tail")
        if usual_tail is None:
            continue
        usual_end = stage.end_ns + usual_tail + (gpu.clock_error_ns or 0)
        late = min(gpu.end_ns, piece.end_ns) - max(usual_end, piece.start_ns)
        for cause, amount in split(stage, min(late, piece.left_ns), device).items():
            piece.met_ns += piece.give(cause, amount)


def waited_to_begin(piece: Piece, device: Device | None) -> None:
    """Blocked before its GPU work began: the wait that an event pair does not hold.

    Called last: what the host's own evidence explains of a late launch is given by then.
    """
    stage = piece.stage
    if stage is None or stage.gpu is None or stage.gpu.wait_ns is not None or not stage.gpu.placed:
        return
    usual = stage.expected_gpu.get("latency")
    if usual is None:
        return
    late = max(0, stage.gpu.start_ns - stage.start_ns - usual - (stage.gpu.clock_error_ns or 0))
    blocked = piece.parts.pop("blocked", 0)
    piece.left_ns += blocked
    more = others(device)
    shared = more is not None and more >= OTHERS_NOTICEABLE
    piece.give("gpu_contention" if shared else "gpu", late)
    piece.give("blocked", blocked)
