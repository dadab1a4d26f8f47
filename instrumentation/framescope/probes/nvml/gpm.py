"""GPM, the performance counters of Hopper and later: which parts of the device worked, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pynvml

from framescope.probes.nvml.calls import UNSUPPORTED, Calls, raise_if_lost
from framescope.probes.nvml.stamps import Clocks
from framescope.probes.nvml.tiers import GPM_FLOOR_NS
from framescope.probes.nvml.values import percent

PARTS: Final = {
    1: "graphics",
    2: "sm",
    3: "occupancy",
    5: "tensor",
    10: "dram",
    11: "fp64",
    12: "fp32",
    13: "fp16",
}
"""GPM metric → part of the device; each is a percentage of the time between two samples."""
PCIE: Final = {20: "transmit", 21: "receive"}
"""GPM metric → direction, in MiB a second."""
MIB: Final = 1 << 20
FORGOTTEN_NS: Final = 10_000_000_000
"""A sample older than this is not compared with: the window would say nothing of any frame."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Ratios by part over a window (ns) that ends at ``time_ns``, and bytes by direction in it."""

    time_ns: int
    window_ns: int
    parts: dict[str, float]
    io_bytes: dict[str, int]


class Gpm:
    """Activity between two samples of one device, or of one slice of it (``instance``)."""

    def __init__(self, calls: Calls, clocks: Clocks, instance: int | None = None) -> None:
        self._calls = calls
        self._clocks = clocks
        self._instance = instance
        self._supported: bool | None = None
        self._samples: list[Any] = []
        self._sampled_ns: int | None = None
        self._wanted = [*PARTS, *PCIE]
        self._request: Any = None

    def read(self) -> Activity | None:
        """Activity since the last call; ``None`` on the first, less than 0.1 s after it, and unsupported."""
        if self._supported is None:
            told = self._calls.ask("nvmlGpmQueryDeviceSupport")
            self._supported = told is not None and bool(told.isSupportedDevice)
        if not self._supported:
            return None
        now_ns = self._clocks.monotonic()
        if self._sampled_ns is not None and now_ns - self._sampled_ns < GPM_FLOOR_NS:
            return None
        if not self._samples and not self._allocate():
            return None
        older, newer = self._samples
        if not self._sample(older):
            self._sampled_ns = None
            return None
        self._samples = [newer, older]
        began_ns, self._sampled_ns = self._sampled_ns, now_ns
        if began_ns is None or now_ns - began_ns > FORGOTTEN_NS:
            return None
        return self._difference(now_ns - began_ns, now_ns)

    def close(self) -> None:
        """Give the samples back. Raises nothing."""
        samples, self._samples = self._samples, []
        self._sampled_ns = None
        for sample in samples:
            try:
                pynvml.nvmlGpmSampleFree(sample)
            except pynvml.NVMLError:
                return  # the session with the driver is gone, and they with it

    def _allocate(self) -> bool:
        try:
            self._samples = [pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()]
        except pynvml.NVMLError as error:
            raise_if_lost(error.value)
            self._supported = False
            return False
        self._request = pynvml.c_nvmlGpmMetricsGet_t()
        return True

    def _sample(self, into: Any) -> bool:
        if self._instance is None:
            return self._calls.ask("nvmlGpmSampleGet", into) is not None
        return self._calls.ask("nvmlGpmMigSampleGet", self._instance, into) is not None

    def _difference(self, window_ns: int, now_ns: int) -> Activity | None:
        request = self._request
        request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics = len(self._wanted)
        request.sample1, request.sample2 = self._samples
        for index, metric in enumerate(self._wanted):
            request.metrics[index].metricId = metric
        try:
            pynvml.nvmlGpmMetricsGet(request)
        except pynvml.NVMLError as error:
            raise_if_lost(error.value)
            if error.value in UNSUPPORTED:
                self._supported = False
            return None
        told: dict[int, float] = {}
        for index, metric in enumerate(list(self._wanted)):
            one = request.metrics[index]
            if one.nvmlReturn == pynvml.NVML_SUCCESS and one.value == one.value:
                told[metric] = one.value
            elif one.nvmlReturn in UNSUPPORTED:
                self._wanted.remove(metric)
        return Activity(
            now_ns,
            window_ns,
            {part: percent(told[metric]) for metric, part in PARTS.items() if metric in told},
            {way: round(told[m] * MIB * window_ns / 1e9) for m, way in PCIE.items() if m in told},
        )
