"""The NVML probe through the real pynvml, over a scripted driver: what it reads, and what it leaves out."""

from __future__ import annotations

import itertools

import pytest
from nvml_driver import Run

# --- everything that is told --------------------------------------------------------------------------


def test_every_metric_of_a_gpu_is_read_in_base_units(nvml: Run) -> None:
    found = nvml(
        """
        script(sample=70, gpm=1, value__74=123, value__83=9000, value__186=250000, value__3=2, value__4=0,
               compute__0=1, held__0=4096, memory_mhz=2600)
        readings = read() + read() + read()
        print(json.dumps({name: told(name, readings) for name in (
            "utilization", "memory_used_bytes", "memory_total_bytes", "temperature_celsius",
            "memory_temperature_celsius", "power_watts", "energy_joules", "clock_hz",
            "memory_clock_hz", "throttle_ns", "errors", "activity", "encoder_utilization",
            "decoder_utilization", "fan_ratio", "fan_rpm", "state")}
            | {"holders": [one.bytes for one in told("residents", readings)]}))
        """
    )
    assert found.pop("throttle_ns") == {
        "power_cap": 123,
        "sync_boost": 5_000_000,
        "sw_thermal": 5_000_000,
        "hw_thermal": 5_000_000,
        "power_brake": 5_000_000,
    }
    assert set(found.pop("activity").values()) == {0.5}
    assert found == {
        "utilization": 0.7,
        "memory_used_bytes": 3 << 30,
        "memory_total_bytes": 8 << 30,
        "temperature_celsius": 61,
        "memory_temperature_celsius": 70,
        "power_watts": 250,
        "energy_joules": 9,
        "clock_hz": 1.5e9,
        "memory_clock_hz": 2.6e9,
        "errors": {"corrected": 2, "uncorrected": 0, "pcie_replay": 5_000_000},
        "encoder_utilization": 0.12,
        "decoder_utilization": 0.34,
        "fan_ratio": 0.4,
        "fan_rpm": 1800,
        "state": "ok",
        "holders": [4096],
    }


def test_a_device_says_who_it_is(nvml: Run) -> None:
    found = nvml(
        """
        from dataclasses import asdict
        print(json.dumps(asdict(read()[-1].device)))
        """
    )
    assert found == {
        "id": "GPU-0000-0",
        "name": "Scripted GPU",
        "vendor": "NVIDIA",
        "simulated": False,
        "driver": "550.54",
        "serial": "1320",
        "parent": "",
    }


def test_two_gpus_are_told_apart(nvml: Run) -> None:
    found = nvml(
        """
        script(**{"count": 2, "at__1.nvmlDeviceGetTemperature": 3})
        readings = read()
        print(json.dumps([[r.device.id, r.temperature_celsius] for r in readings if r.memory_used_bytes]))
        """
    )
    assert found == [["GPU-0000-0", 61], ["GPU-0000-1", None]]


# --- load -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["unix", "boot", "epoch", "odd"])
def test_sample_times_are_placed_on_the_monotonic_clock_whatever_clock_they_are_of(
    nvml: Run,
    clock: str,
) -> None:
    found = nvml(
        f"""
        script(clock="{clock}")
        off = []
        for _ in range(40):
            found = [r for r in read(after=0.1) if r.utilization is not None and r.window_ns < SECOND]
            # The true end of the newest sample is the last stroke of the driver's grid.
            off += [[clocks.monotonic() - r.time_ns, r.window_ns, r.error_ns] for r in found]
        print(json.dumps([off, nvml.clock_error_ns]))
        """
    )
    off, error_ns = found
    assert len(off) > 10, "readings came out of the buffer"
    assert all(-1e6 <= age <= 1e9 / 6 + error + 0.2e9 for age, _, error in off)
    assert all(0 < window <= 2 * 166_667_000 for _, window, _ in off)
    assert 0 <= error_ns <= 100_000_000


def test_no_sample_is_given_twice_and_the_past_of_the_buffer_is_not_news(nvml: Run) -> None:
    times = nvml(
        """
        times = [r.time_ns for _ in range(40) for r in read(after=0.05) if r.utilization is not None]
        print(json.dumps(times))
        """
    )
    assert 1 <= len(times) <= 2.5 * 6 + 2  # six a second; the 20 from before are not among them
    assert all(later - earlier > 100_000_000 for earlier, later in itertools.pairwise(times))


def test_loads_are_in_order_whichever_way_each_was_made(nvml: Run) -> None:
    times = nvml(
        """
        script(nvmlDeviceGetSamples=20)  # out of memory, for now: the rates are asked, at this moment
        times = [r.time_ns for r in read() if r.utilization is not None]
        script(nvmlDeviceGetSamples=None, samples_late_steps=2)  # entries of at least a third of a second ago
        for _ in range(40):
            times += [r.time_ns for r in read(after=0.05) if r.utilization is not None]
        print(json.dumps(times))
        """
    )
    assert len(times) > 2
    assert times == sorted(set(times))


@pytest.mark.parametrize("library", ["without_samples", "whole"])
def test_without_samples_the_utilization_rates_are_asked(nvml: Run, library: str) -> None:
    found = nvml(
        """
        script(nvmlDeviceGetSamples=3, rate=42)
        [reading] = [r for r in read() if r.utilization is not None]
        print(json.dumps([reading.utilization, reading.window_ns]))
        """,
        library,
    )
    assert found == [0.42, 1_000_000_000]


def test_a_sample_buffer_that_stops_gives_way_to_the_rates_and_comes_back(nvml: Run) -> None:
    found = nvml(
        """
        script(rate=1)
        read(); read()
        script(nvmlDeviceGetSamples=6)
        idle = [told("utilization", read(after=1)) for _ in range(5)]
        script(nvmlDeviceGetSamples=None)
        print(json.dumps([idle, told("utilization", read())]))
        """
    )
    idle, after = found
    assert idle[0] is None  # it may only be late
    assert idle[-1] == 0.01
    assert after == 0.7


def test_stamps_that_start_anew_are_found_out(nvml: Run) -> None:
    found = nvml(
        """
        read(); read()
        script(clock="epoch")  # as after a reload of the driver: all stamps lie before those seen
        readings = [r for _ in range(60) for r in read(after=0.1)]
        loads = [r.time_ns for r in readings if r.utilization and r.window_ns < SECOND]
        print(json.dumps([len(loads), loads == sorted(loads)]))
        """
    )
    assert found[0] > 3
    assert found[1]


# --- what is not told -----------------------------------------------------------------------------------


def test_a_metric_that_is_not_supported_is_absent_and_asked_for_only_once(nvml: Run) -> None:
    found = nvml(
        """
        script(nvmlDeviceGetTemperature=3, nvmlDeviceGetMemoryInfo=4, field__186=3, field__185=3,
               nvmlDeviceGetPowerUsage=3, field__270=3, nvmlDeviceGetSamples=3)
        first = read()
        script(nvmlDeviceGetTemperature=None, nvmlDeviceGetMemoryInfo=None, nvmlDeviceGetPowerUsage=None)
        second = read(after=1)
        print(json.dumps([
            [told("temperature_celsius", r), told("memory_used_bytes", r), told("power_watts", r),
             told("clock_hz", r), asked("nvmlDeviceGetMemoryInfo")]
            for r in (first, second)
        ]))
        """
    )
    assert found == [[None, None, None, 1.5e9, 1]] * 2


def test_an_old_driver_without_half_of_the_functions_tells_the_other_half(nvml: Run) -> None:
    found = nvml(
        """
        readings = read() + read()
        print(json.dumps([told(name, readings) for name in (
            "utilization", "power_watts", "energy_joules", "activity", "io_bytes", "errors",
            "memory_used_bytes")]))
        """,
        "old",
    )
    assert found == [0.7, 240, 7, None, None, None, 3 << 30]


def test_a_driver_that_refuses_a_batch_for_one_field_tells_the_others(nvml: Run) -> None:
    found = nvml(
        """
        script(unheard_of=271)
        readings = read() + read()
        print(json.dumps([told("power_watts", readings), sorted(told("throttle_ns", readings))]))
        """
    )
    assert found[0] == 250
    assert "hw_thermal" in found[1]


def test_a_passing_fault_leaves_the_value_out_and_it_comes_back(nvml: Run) -> None:
    found = nvml(
        """
        script(nvmlDeviceGetTemperature=10)
        first = told("temperature_celsius", read())
        script(nvmlDeviceGetTemperature=None)
        print(json.dumps([first, told("temperature_celsius", read(after=1))]))
        """
    )
    assert found == [None, 61]


# --- throttling and PCIe --------------------------------------------------------------------------------


def test_without_counters_the_mask_of_reasons_is_sampled(nvml: Run) -> None:
    found = nvml(
        """
        script(reasons=0x8 | 0x40, **{f"field.{n}": 3 for n in (74, 76, 269, 270, 271)})
        read(); first = told("throttle_ns", read(after=0.8))
        script(reasons=0)
        then = told("throttle_ns", read(after=0.8))
        script(reasons=0x8)  # the hardware does not say which
        last = told("throttle_ns", read(after=0.8))
        print(json.dumps([first, then == first, last["hw_slowdown"] > 0]))
        """
    )
    first, unchanged, unnamed = found
    assert first["hw_thermal"] == pytest.approx(0.8e9, abs=0.2e9)
    assert {reason for reason, held in first.items() if held} == {"hw_thermal"}
    assert unchanged
    assert unnamed


def test_a_reason_without_a_counter_is_sampled_beside_those_that_count(nvml: Run) -> None:
    found = nvml(
        """
        script(field__270=3, reasons=0x44)
        read()
        print(json.dumps(told("throttle_ns", read(after=0.8))))
        """
    )
    assert found["power_cap"] == 5_000_000  # as counted, whatever the mask says
    assert found["hw_thermal"] > 0


def test_pcie_bytes_go_on_over_a_wrap(nvml: Run) -> None:
    found = nvml(
        """
        script(type__197=1, value__197=4294967000, value__198=10)
        first = told("io_bytes", read())
        script(value__197=500)
        print(json.dumps([first, told("io_bytes", read())]))
        """
    )
    assert found == [{"transmit": 4294967000, "receive": 10}, {"transmit": (1 << 32) + 500, "receive": 10}]


# --- GPM, MIG -------------------------------------------------------------------------------------------


def test_gpm_is_read_over_a_tenth_of_a_second_and_more(nvml: Run) -> None:
    found = nvml(
        """
        script(gpm=1, gpm_value__2=80, gpm_error__11=3, field__197=3, field__198=3, gpm_value__20=2)
        first = told("activity", read())
        too_soon = told("activity", read(after=0))
        window = [[r.activity, r.window_ns] for r in read(after=0.2) if r.activity][0]
        print(json.dumps([first, too_soon, window, told("io_bytes", read(after=1))]))
        """
    )
    first, too_soon, (activity, window_ns), io = found
    assert first is None  # one sample is no difference
    assert too_soon is None
    assert activity["sm"] == 0.8
    assert "fp64" not in activity
    assert 200_000_000 <= window_ns < 2_000_000_000
    assert io["transmit"] >= 2 << 20  # 2 MiB/s for a second, where no counter tells


def test_under_mig_what_is_not_available_is_left_out_and_each_slice_is_a_device(nvml: Run) -> None:
    found = nvml(
        """
        script(nvmlDeviceGetSamples=3, nvmlDeviceGetUtilizationRates=3, nvmlDeviceGetProcessUtilization=3,
               slices=2, gpm=1, nvmlGpmSampleGet=3, gpm_value__1=25)
        readings = read() + read()
        gpu = [r for r in readings if not r.device.parent]
        slices = {r.device.id: [r.device.parent, r.memory_used_bytes] for r in readings
                  if r.device.parent and r.memory_used_bytes}
        loads = {r.device.id: r.utilization for r in readings if r.device.parent and r.utilization}
        print(json.dumps([told("utilization", gpu), told("other_utilization", gpu),
                          told("temperature_celsius", gpu), slices, loads]))
        """
    )
    parent = ["GPU-0000-0", 1 << 28]
    both = ["MIG-0000-0-0", "MIG-0000-0-1"]
    assert found == [None, None, 61, dict.fromkeys(both, parent), dict.fromkeys(both, 0.25)]


def test_a_gpu_that_is_cut_while_it_is_watched_gets_its_slices(nvml: Run) -> None:
    found = nvml(
        """
        counts = []
        for slices in (0, 3, 1, 0):
            script(slices=slices)
            counts.append(len({r.device.id for r in read(after=30)}))
        print(json.dumps(counts))
        """
    )
    assert found == [1, 4, 2, 1]


# --- processes ------------------------------------------------------------------------------------------

AS_ON_THE_MACHINE = """
        import framescope.probes.nvml.people as people
        people.INITIAL_PID_NAMESPACE = str(Path("/proc/self/ns/pid").readlink())  # as on the machine itself
        again()
"""


def test_processes_are_named_and_told_from_ours(nvml: Run) -> None:
    found = nvml(
        AS_ON_THE_MACHINE
        + """
        import subprocess
        child = subprocess.Popen(["sleep", "60"])
        script(pid__0=child.pid, use__0=20, pid__1=1, use__1=35, compute__0=child.pid, graphics__1=1)
        readings = read() + read()
        child.kill()
        uses = {use.pid == 1: [use.name != "unknown", use.utilization, use.ours]
                for use in told("processes", readings)}
        holders = {one.pid == 1: one.ours for one in told("residents", readings)}
        print(json.dumps([uses[False], uses[True][1:], told("other_utilization", readings),
                          holders[False], holders[True]]))
        """
    )
    assert found == [[True, 0.2, True], [0.35, False], 0.35, True, False]


def test_what_processes_did_before_anybody_asked_is_not_news(nvml: Run) -> None:
    found = nvml(
        AS_ON_THE_MACHINE
        + """
        script(pid__0=1, use__0=90)
        first = [r.other_utilization for r in read() if r.processes or r.other_utilization is not None]
        second = told("other_utilization", read())
        print(json.dumps([first, second]))
        """
    )
    assert found == [[], 0.9]


def test_in_another_pid_namespace_a_process_is_unknown_and_nobodys(nvml: Run) -> None:
    found = nvml(
        """
        import framescope.probes.nvml.people as people
        people.INITIAL_PID_NAMESPACE = "pid:[0]"
        again(people=People(os.getpid(), environ={}))
        script(pid__0=os.getpid())
        readings = read() + read()
        print(json.dumps([[u.pid, u.name, u.ours] for u in told("processes", readings)]
                         + [told("other_utilization", readings)]))
        """
    )
    assert found == [[None, "unknown", None], None]


@pytest.mark.parametrize("code", [0, 6])
def test_nobody_using_the_gpu_is_known_not_unknown(nvml: Run, code: int) -> None:
    found = nvml(
        f"""
        script(no_processes={code})
        readings = read() + read()
        print(json.dumps([r.other_utilization for r in readings if r.other_utilization is not None]))
        """
    )
    assert found == [0.0, 0.0]


# --- turns ----------------------------------------------------------------------------------------------


def test_each_group_of_calls_has_its_own_turns_and_can_be_switched_off(nvml: Run) -> None:
    found = nvml(
        """
        again(Tiers(sharing_ns=0, activity_ns=0, events=False))
        for _ in range(101): read(after=0.1)
        print(json.dumps([asked(name) for name in (
            "nvmlDeviceGetProcessUtilization", "nvmlGpmQueryDeviceSupport", "nvmlDeviceGetMemoryInfo",
            "nvmlDeviceGetFanSpeed", "nvmlEventSetCreate")]))
        """
    )
    sharing, gpm, memory, fan, events = found
    assert [sharing, gpm, events] == [0, 0, 0]
    assert 8 <= memory <= 12
    assert fan == 2


def test_calls_that_are_dear_are_made_seldom_whatever_is_set(nvml: Run) -> None:
    found = nvml(
        """
        real_time()
        again(Tiers(utilization_ns=0, fields_ns=0, memory_ns=0, residents_ns=0, events=False))
        script(sleep__nvmlDeviceGetProcessUtilization=20)
        began = time.monotonic()
        while time.monotonic() < began + 5: read(after=0.02)
        took = time.monotonic() - began
        print(json.dumps([asked("nvmlDeviceGetProcessUtilization"), nvml.costs["sharing"], took]))
        """
    )
    calls, cost_ns, seconds = found
    assert cost_ns >= 20_000_000
    assert calls <= 2 + seconds / (100 * 0.020)  # 20 ms each: one in 2 s, for all that 0.2 s is set


def test_what_each_group_cost_is_told_and_what_the_driver_says_of_its_fields(nvml: Run) -> None:
    found = nvml(
        """
        real_time()
        again()
        script(query_us=7)
        read(after=0)
        print(json.dumps(dict(nvml.costs)))
        """
    )
    assert set(found) == {
        "utilization",
        "sharing",
        "fields",
        "fields.query",
        "activity",
        "memory",
        "residents",
    }
    assert found["fields.query"] == 10 * 7_000  # ten fields
    assert all(cost > 0 for cost in found.values())
