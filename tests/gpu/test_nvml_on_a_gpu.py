"""NVML on a real GPU: are readings plausible, what does each group of calls cost, how far off are its times.

Figures go to bench-results/gpu.json. No figure of time is held against a limit of its own: what is asserted
is that a value can be, and that errors keep to the bounds that the probe itself states.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from burst import Burst

from framescope.probes.device import DeviceReading
from framescope.probes.nvml import NvmlProbe, Tiers

S = 1_000_000_000
MAY_BE_ABSENT = (
    "utilization", "other_utilization", "memory_used_bytes", "temperature_celsius", "power_watts",
    "energy_joules", "clock_hz", "memory_clock_hz", "throttle_ns", "io_bytes", "activity", "errors",
    "memory_temperature_celsius", "encoder_utilization", "decoder_utilization", "fan_ratio", "fan_rpm",
    "residents", "processes", "state",
)  # fmt: skip


def watched(probe: NvmlProbe, seconds: float) -> list[DeviceReading]:
    """Readings of some seconds at the agent's own pace."""
    found: list[DeviceReading] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found += probe.read(time.monotonic_ns())
        time.sleep(0.1)
    return found


def beside(work: Callable[[], Any], probe: NvmlProbe, before: float, after: float) -> list[DeviceReading]:
    """Readings around a piece of work that runs on this thread."""
    found: list[DeviceReading] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.wait(0.1):
            found.extend(probe.read(time.monotonic_ns()))

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(before)
    work()
    time.sleep(after)
    stop.set()
    thread.join()
    return found


def of_first(readings: list[DeviceReading]) -> list[DeviceReading]:
    return [one for one in readings if one.device.id == readings[0].device.id] if readings else []


def newest(readings: list[DeviceReading], name: str) -> Any:
    told = [getattr(one, name) for one in readings if getattr(one, name) not in (None, (), {})]
    return told[-1] if told else None


def test_every_reading_is_plausible_under_load(burst: Burst, figures: dict[str, Any]) -> None:
    probe = NvmlProbe(os.getpid())
    readings = beside(lambda: burst.spin(4), probe, before=1, after=1)
    probe.close()
    assert readings, probe.unavailable
    found = of_first(readings)
    figures["absent"] = sorted(name for name in MAY_BE_ABSENT if newest(found, name) is None)
    assert max((one.utilization or 0.0 for one in found), default=0.0) > 0.5
    checks: dict[str, Callable[[Any], bool]] = {
        "memory_used_bytes": lambda v: 0 < v <= newest(found, "memory_total_bytes"),
        "temperature_celsius": lambda v: 0 < v < 120,
        "power_watts": lambda v: 1 < v < 2000,
        "clock_hz": lambda v: 1e8 < v < 5e9,
        "memory_clock_hz": lambda v: 1e8 < v < 2e10,
        "fan_ratio": lambda v: 0 <= v <= 1,
        "encoder_utilization": lambda v: 0 <= v <= 1,
        "activity": lambda v: all(0 <= share <= 1 for share in v.values()),
        "state": lambda v: v in ("ok", "degraded", "failed", "predicted_failure"),
    }
    for name, plausible in checks.items():
        value = newest(found, name)
        assert value is None or plausible(value), (name, value)
    energies = [one.energy_joules for one in found if one.energy_joules is not None]
    assert energies == sorted(energies)
    for one in found:
        assert 0 <= one.window_ns <= 10 * S
        assert one.time_ns <= time.monotonic_ns()
    holders = newest(found, "residents") or ()
    named = [one for one in holders if one.ours is not None]
    figures["processes_named"] = bool(named)
    assert not named or any(one.ours for one in named), "this process has a context on the device"


def test_what_each_group_of_calls_costs(burst: Burst, figures: dict[str, Any]) -> None:
    every_time = Tiers(1, 1, 1, 1, 1, 1, events=False)
    costs: dict[str, list[int]] = {}
    for state, work in (("idle", lambda: time.sleep(6)), ("busy", lambda: burst.spin(6))):
        probe = NvmlProbe(os.getpid(), every_time)
        stop = threading.Event()

        def read(probe: NvmlProbe = probe, stop: threading.Event = stop, state: str = state) -> None:
            while not stop.wait(0.11):
                probe.read(time.monotonic_ns())
                for group, cost in probe.costs.items():
                    costs.setdefault(f"{group}, {state}", []).append(cost)

        thread = threading.Thread(target=read)
        thread.start()
        work()
        stop.set()
        thread.join()
        probe.close()
    figures["cost_us"] = {
        group: {
            "median": statistics.median(taken) / 1e3,
            "p95": sorted(taken)[int(0.95 * len(taken))] / 1e3,
            "max": max(taken) / 1e3,
            "turns": len(taken),
        }
        for group, taken in sorted(costs.items())
    }
    assert {group.partition(",")[0] for group in costs} >= {"utilization", "fields", "memory"}


def test_a_known_burst_is_found_where_it_was(burst: Burst, figures: dict[str, Any]) -> None:
    """Of each burst the middle, as the loads tell it, is compared with where it truly was."""
    probe = NvmlProbe(os.getpid(), Tiers(sharing_ns=0, activity_ns=0, residents_ns=0, events=False))
    watched(probe, 3)  # a buffer of samples is placed the better the longer it is watched
    off: list[float] = []
    stated: list[float] = []
    lags: list[float] = []
    for _ in range(6):
        span: list[tuple[int, int]] = []

        def work(span: list[tuple[int, int]] = span) -> None:
            span.append(burst.spin(1.0))

        busy = [
            (one.time_ns - one.window_ns / 2, one.utilization * one.window_ns)
            for one in of_first(beside(work, probe, before=1.5, after=2.5))
            if one.utilization is not None and one.window_ns < S
        ]
        weight = sum(share for _, share in busy)
        if weight < 0.2 * S:
            continue  # the rates were asked, whose window is not known
        (began, ended) = span[0]
        middle = sum(at * share for at, share in busy) / weight
        off.append((middle - (began + ended) / 2) / 1e6)
        lags.append(weight / (ended - began))
        if probe.clock_error_ns is not None:
            stated.append(probe.clock_error_ns / 1e6)
    probe.close()
    figures["burst_displacement_ms"] = off
    figures["burst_load_found"] = lags
    figures["clock_error_stated_ms"] = stated
    if off and stated:
        # Half a sample's window is what the middle of a burst can be told by at best.
        assert statistics.median(abs(one) for one in off) <= max(stated) + 1000 / 6 / 2


def test_what_the_poller_does_to_the_works_of_others(burst: Burst, figures: dict[str, Any]) -> None:
    """NVML calls take a lock of the driver: kernels of 1 ms with and without the probe, in turns."""
    took: dict[str, list[int]] = {"off": [], "on": []}
    for turn in range(8):
        which = "on" if turn % 2 else "off"
        probe = NvmlProbe(os.getpid()) if which == "on" else None
        stop = threading.Event()

        def read(probe: NvmlProbe | None = probe, stop: threading.Event = stop) -> None:
            while not stop.wait(0.1):
                if probe is not None:
                    probe.read(time.monotonic_ns())

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.5)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            took[which].append(burst.turn(0.001))
        stop.set()
        thread.join()
        if probe is not None:
            probe.close()

    def quantiles(values: list[int]) -> dict[str, float]:
        ordered = sorted(values)
        return {
            name: ordered[min(len(ordered) - 1, int(q * len(ordered)))] / 1e3
            for name, q in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
        } | {"launches": len(ordered)}

    figures["launch_to_end_us"] = {which: quantiles(values) for which, values in took.items()}
    assert took["on"] and took["off"]
