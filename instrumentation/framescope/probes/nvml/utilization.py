"""The device's load: from the driver's buffer of samples where it has one, else the rates it averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from framescope.probes.nvml.calls import Calls
from framescope.probes.nvml.stamps import EARLY_NS, PERIOD_NS, US, Anchor, Clocks
from framescope.probes.nvml.values import percent, union

NS: Final = 1_000_000_000
RATES_WINDOW_NS: Final = NS
"""`nvmlDeviceGetUtilizationRates` averages 1/6 s to 1 s, by product, and does not say which: the longest."""
STALE_NS: Final = 3 * NS
"""The buffer of an idle GPU stops: beyond this age of its newest entry the rates are asked instead."""
GPU_UTILIZATION_SAMPLES: Final = 1


@dataclass(frozen=True, slots=True)
class Load:
    """Share of a window with a kernel running. All times in ns, ``time_ns`` the window's end."""

    time_ns: int
    window_ns: int
    error_ns: int
    ratio: float


class Utilization:
    """New loads of one device; each sample of the buffer is given once, in order."""

    def __init__(self, calls: Calls, clocks: Clocks) -> None:
        self._calls = calls
        self._clocks = clocks
        self._newest_us: int | None = None
        self._looked_ns: int | None = None
        self._fresh_ns: int | None = None
        self._told_ns = 0
        self.anchor = Anchor(clocks)

    def read(self) -> list[Load]:
        """Loads since the last call."""
        samples = self._new_samples()
        now_ns = self._clocks.monotonic()
        loads = self._placed(samples, now_ns) if samples else []
        self._looked_ns = now_ns
        if samples:
            self._fresh_ns = now_ns
        alive = self._fresh_ns is not None and now_ns - self._fresh_ns < STALE_NS
        if not loads and not alive:
            rates = self._calls.ask("nvmlDeviceGetUtilizationRates")
            loads = [] if rates is None else [Load(now_ns, RATES_WINDOW_NS, 0, percent(rates.gpu))]
        # Backends want a series in order, and an entry of the buffer may lie before a rate asked since.
        told: list[Load] = []
        for load in loads:
            if load.time_ns > self._told_ns and load.window_ns > 0:
                self._told_ns = load.time_ns
                told.append(load)
        return told

    def _new_samples(self) -> list[tuple[int, float]]:
        """(stamp in µs, ratio) of samples that were not there before, oldest first."""
        seen = self._newest_us
        answer = self._calls.ask("nvmlDeviceGetSamples", GPU_UTILIZATION_SAMPLES, self._since())
        if answer is None:
            return []
        kind, samples = answer
        found = sorted((int(s.timeStamp), union(kind, s.sampleValue)) for s in samples if s.timeStamp)
        if not self._silent():
            # One that is not made yet is none. After a silence it may be that the clock was set.
            limit_ns = self._clocks.monotonic() + EARLY_NS
            found = [one for one in found if (self.anchor.placed(one[0]) or 0) <= limit_ns]
        if found and seen is not None and found[-1][0] < seen:
            # The stamps start anew, as after a reload of the driver: what is known of them is worth nothing.
            self._newest_us, self.anchor = None, Anchor(self._clocks)
            return [(stamp, percent(value)) for stamp, value in found]
        return [(stamp, percent(value)) for stamp, value in found if seen is None or stamp > seen]

    def _since(self) -> int:
        """`lastSeen`: after a silence 0, so that stamps which start anew are found out."""
        return 0 if self._newest_us is None or self._silent() else self._newest_us

    def _silent(self) -> bool:
        return self._fresh_ns is not None and self._clocks.monotonic() - self._fresh_ns >= STALE_NS

    def _placed(self, samples: Sequence[tuple[int, float]], now_ns: int) -> list[Load]:
        before_us = self._newest_us
        self._newest_us = samples[-1][0]
        self.anchor.learn(self._newest_us, None if before_us is None else self._looked_ns)
        if before_us is None:
            # The buffer reaches back some 15 s, before anybody asked: only its newest entry is news.
            before_us = samples[-2][0] if len(samples) > 1 else None
            samples = samples[-1:]
        loads: list[Load] = []
        for stamp_us, ratio in samples:
            time_ns = self.anchor.placed(stamp_us)
            window_ns = PERIOD_NS if before_us is None else (stamp_us - before_us) * US
            if time_ns is not None and time_ns <= now_ns + EARLY_NS:
                # After a pause of the buffer the sample still averages one period, not the pause.
                window_ns = min(window_ns, 2 * PERIOD_NS)
                loads.append(Load(min(time_ns, now_ns), window_ns, self.anchor.error_ns or 0, ratio))
            before_us = stamp_us
        return loads
