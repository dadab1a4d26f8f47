"""The test double with a law in it, so that Correlate has something to find.

Another job comes to the GPU for 8 s of every 30: its load goes up, and frames lose time to contention.
Doppler frames lose more to collections. Which frame is slow is drawn once, from a fixed seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from memory_store import BUDGET_NS, FPS, HISTORY_SECONDS, NS, SERVICE, MemoryStore

from framescope import signals
from framescope_ui.backends.protocols import FrameBatch, FramePage, FrameQuery, Mark, Series

_SIZE = (HISTORY_SECONDS + 900) * FPS
EVERY_SECONDS, BUSY_SECONDS = 30, 8


class LawfulStore(MemoryStore):
    """Frames by that law; two versions of the service, one after the other, and a mark between them."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__(clock_ns)
        random = np.random.default_rng(7)
        busy = self.busy(np.arange(_SIZE) / FPS)
        self.doppler = random.random(_SIZE) < 0.35
        contention = random.random(_SIZE) < np.where(busy, 0.14, 0.004)
        collection = ~contention & (random.random(_SIZE) < np.where(self.doppler, 0.02, 0.004))
        self.slow_by = np.where(contention, "gpu_contention", np.where(collection, "gc_pause", ""))

    @staticmethod
    def busy(seconds: np.ndarray) -> np.ndarray:
        return seconds % EVERY_SECONDS < BUSY_SECONDS

    def is_slow(self, k: int) -> bool:
        return bool(self.slow_by[k])

    def cause_of(self, k: int) -> str:
        return str(self.slow_by[k]) or "unknown"

    def lost_ms(self, k: int) -> float:
        return super().lost_ms(k) * (1.5 if self.cause_of(k) == "gc_pause" else 1.0)

    def mode_of(self, k: int) -> str:
        return "doppler" if self.doppler[k] else "b"

    def _root(self, k: int) -> dict[str, object]:
        kept = {signals.FRAME_KEPT: "slow"} if self.is_slow(k) else {signals.FRAME_KEPT: "baseline"}
        weight = {signals.FRAME_SAMPLING_WEIGHT: 1 if self.is_slow(k) else 20}
        own = {"mode": self.mode_of(k), signals.GC_TIME: 0.004 if self.cause_of(k) == "gc_pause" else 0.0002}
        return {**super()._root(k), **kept, **weight, **own}

    async def frames(self, query: FrameQuery) -> FramePage:
        if query.kept != ("baseline",) or self.empty or query.service not in (None, SERVICE):
            return await super().frames(query)
        self._answering()
        first = max(self._number(query.start_ns or self.start_ns), 0)
        last = self._number(min(query.end_ns or self.clock_ns(), self.clock_ns() - NS // 4))
        found = [k for k in range(first, last) if k % 20 == 7 and not self.is_slow(k)][-query.limit :]
        return FramePage(tuple(self._row(k) for k in reversed(found)))

    async def every_frame(
        self,
        service: str,
        pipeline: str,
        start_ns: int,
        end_ns: int,
        limit: int = 3600,
        attributes: bool = False,
    ) -> list[FrameBatch]:
        found = await super().every_frame(service, pipeline, start_ns, end_ns, limit)
        return [self._told(batch) for batch in found] if attributes else found

    def _told(self, batch: FrameBatch) -> FrameBatch:
        numbers = range(batch.first_id, batch.first_id + len(batch.latencies_us))
        told = {
            "mode": [self.mode_of(k) for k in numbers],
            "lines": [str(64 + 64 * (k % 3)) for k in numbers],
            signals.SERVICE_VERSION: ["1.4" if batch.start_ns < self.start_ns + 200 * NS else "1.5"],
        }
        depths = {"rt": [k // 7 % 3 for k in numbers]}
        return replace(batch, attributes=told, depths=depths, budget_ns=BUDGET_NS)

    async def marks(self, service: str, start_ns: int, end_ns: int) -> list[Mark]:
        self._answering()
        at = self.start_ns + 200 * NS
        return [Mark(SERVICE, at, "deployed 1.5")] if start_ns <= at < end_ns and not self.empty else []

    async def gauge(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, max_points: int = 20_000
    ) -> list[Series]:
        found = await super().gauge(metric, where, start_ns, end_ns, max_points)
        if metric not in (signals.HW_GPU_UTILIZATION, signals.FS_GPU_CLOCK, signals.SYSTEM_CPU_UTILIZATION):
            return found
        random = np.random.default_rng([start_ns // NS, len(metric)])
        lawful = []
        for one in found:
            seconds = (np.asarray(one.times_ns) - self.start_ns) / NS
            noise = random.standard_normal(len(seconds))
            busy = self.busy(seconds - 0.05)
            values = {
                signals.HW_GPU_UTILIZATION: np.where(busy, 0.95, 0.6) + 0.02 * noise,
                signals.FS_GPU_CLOCK: 1.6e9 + 2e7 * noise,
                signals.SYSTEM_CPU_UTILIZATION: 0.4 + 0.1 * noise,
            }[metric]
            lawful.append(replace(one, values=np.clip(values, 0, 2e9).tolist()))
        return lawful
