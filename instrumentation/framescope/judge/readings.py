"""The readings of a frame by the field that holds them (``model.Evidence``, ``model.Gpu``): their names on
the wire."""

from __future__ import annotations

from typing import Final

from framescope import signals as sig

EVIDENCE_ATTRIBUTES: Final = {
    "cpu_ns": sig.CPU_TIME,
    "runqueue_ns": sig.RUNQUEUE_TIME,
    "quota_ns": sig.QUOTA_TIME,
    "gil_ns": sig.GIL_WAIT_TIME,
    "starved_ns": sig.GIL_STARVED_TIME,
    "gc_ns": sig.GC_TIME,
    "blocked_ns": sig.BLOCKED_TIME,
    "io_ns": sig.IO_WAIT_TIME,
    "lock_ns": sig.LOCK_WAIT_TIME,
    "loop_ns": sig.LOOP_WAIT_TIME,
    "memory_ns": sig.MEMORY_STALL_TIME,
}
GPU_ATTRIBUTES: Final = {
    "busy_ns": sig.GPU_BUSY_TIME,
    "wait_ns": sig.GPU_WAIT_TIME,
    "transfer_ns": sig.GPU_TRANSFER_TIME,
    "throttle_ns": sig.GPU_THROTTLE_TIME,
    "runqueue_ns": sig.GPU_RUNQUEUE_TIME,
}
