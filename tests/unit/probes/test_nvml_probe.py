"""The NVML probe through the real pynvml, over a scripted `libnvidia-ml.so.1` that the test compiles.

Each test runs a short program in a process of its own, because pynvml loads the library once a process.
The program gets ``probe`` and ``script(**lines)`` and prints its findings as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
INSTRUMENTATION = HERE.parents[2] / "instrumentation"

FRAME = """
import json, logging, os, sys, time
from pathlib import Path
from framescope.probes.nvml import Clocks, NvmlProbe, Tiers

logged = []
class Keep(logging.Handler):
    def emit(self, record): logged.append(record.getMessage())
logging.getLogger("framescope").addHandler(Keep())
logging.getLogger("framescope").setLevel(logging.INFO)

SECOND = 1_000_000_000
lines = {}
def script(**changes):
    lines.update({name.replace("__", "."): value for name, value in changes.items()})
    text = "".join(f"{name} {value}\\n" for name, value in lines.items() if value is not None)
    Path(os.environ["NVML_STUB"] + ".new").write_text(text)
    os.replace(os.environ["NVML_STUB"] + ".new", os.environ["NVML_STUB"])
script()
probe = NvmlProbe(os.getpid(), Tiers(0, 0, 0, 0))
def read(after=0):
    return probe.read(time.monotonic_ns() + int(after * SECOND))
def until_utilization():
    for _ in range(200):
        found = [r for r in read() if r.utilization is not None]
        if found: return found
        time.sleep(0.02)
    raise AssertionError("no utilization came")
"""

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("no C compiler: these tests must run under CI")
        pytest.skip("no C compiler, so the scripted libnvidia-ml.so.1 cannot be built")
    folder = tmp_path_factory.mktemp("nvml")
    for name, options in (("whole", []), ("without_samples", ["-DWITHOUT_SAMPLES"])):
        (folder / name).mkdir()
        built = str(folder / name / "libnvidia-ml.so.1")
        flags = ["-shared", "-fPIC", "-Wall", "-Werror", *options]
        subprocess.run([compiler, *flags, "-o", built, str(HERE / "nvml_stub.c")], check=True)
    (folder / "none").mkdir()
    return folder


@pytest.fixture
def run(libraries: Path, tmp_path: Path) -> Run:
    def run(program: str, library: str = "whole") -> Any:
        environ = {
            **os.environ,
            "LD_LIBRARY_PATH": str(libraries / library),
            "NVML_STUB": str(tmp_path / "script"),
            "PYTHONPATH": str(INSTRUMENTATION),
        }
        done = subprocess.run(
            [sys.executable, "-c", FRAME + textwrap.dedent(program)],
            env=environ, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_every_metric_of_a_gpu_is_read_in_base_units(run: Run) -> None:
    reading = run(
        """
        from dataclasses import asdict
        script(sample=70, value__74=123, value__83=9000)
        reading = until_utilization()[-1]
        print(json.dumps(asdict(reading)))
        """
    )
    assert reading["device"] == {
        "id": "GPU-0000-0",
        "name": "Scripted GPU",
        "vendor": "NVIDIA",
        "simulated": False,
    }
    assert reading["utilization"] == pytest.approx(0.7)
    assert reading["memory_used_bytes"] == 3 << 30
    assert reading["memory_total_bytes"] == 8 << 30
    assert reading["temperature_celsius"] == 61
    assert reading["power_watts"] == 250
    assert reading["energy_joules"] == 9
    assert reading["clock_hz"] == 1.5e9
    assert reading["clock_max_hz"] == 1.98e9
    assert reading["throttle_ns"]["power_cap"] == 123
    assert set(reading["throttle_ns"]) == {
        "power_cap",
        "sync_boost",
        "sw_thermal",
        "hw_thermal",
        "power_brake",
    }


@pytest.mark.parametrize("clock", ["unix", "boot", "odd"])
def test_sample_times_are_placed_on_the_monotonic_clock_whatever_clock_they_are_of(
    run: Run, clock: str
) -> None:
    found = run(
        f"""
        script(clock="{clock}")
        ages, windows = [], []
        for _ in range(4):
            reading = [r for r in until_utilization() if r.window_ns < SECOND][-1:]
            for r in reading:
                ages.append(time.monotonic_ns() - r.time_ns)
                windows.append(r.window_ns)
            time.sleep(0.17)
        print(json.dumps([ages, windows, probe.clock_error_ns]))
        """
    )
    ages, windows, error_ns = found
    assert ages, "some readings came out of the buffer"
    assert all(-error_ns <= age < 30e9 for age in ages)
    assert all(0 < window <= 2 * 166_667_000 for window in windows)
    assert error_ns is not None and error_ns >= 0


def test_no_sample_is_given_twice_and_the_past_of_the_buffer_is_not_news(run: Run) -> None:
    times, elapsed = run(
        """
        times, begun = [], time.monotonic()
        for _ in range(30):
            times += [r.time_ns for r in read() if r.utilization is not None]
            time.sleep(0.02)
        print(json.dumps([times, time.monotonic() - begun]))
        """
    )
    apart = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 1 <= len(times) <= elapsed * 6 + 2  # six a second; the 20 from before are not among them
    assert all(gap > 100_000_000 for gap in apart)


def test_a_devices_readings_are_in_order_whichever_way_each_was_made(run: Run) -> None:
    times = run(
        """
        script(nvmlDeviceGetSamples=20)  # out of memory, for now: the rates are asked, at this moment
        times = [r.time_ns for r in read()]
        script(nvmlDeviceGetSamples=None, samples_late_steps=2)  # entries of at least a third of a second ago
        for _ in range(40):
            times += [r.time_ns for r in read()]
            time.sleep(0.02)
        print(json.dumps(times))
        """
    )
    assert len(times) > 2
    assert times == sorted(set(times))


@pytest.mark.parametrize("library", ["without_samples", "whole"])
def test_without_samples_the_utilization_rates_are_asked(run: Run, library: str) -> None:
    found = run(
        """
        script(nvmlDeviceGetSamples=3, rate=42)
        reading = read()[0]
        print(json.dumps([reading.utilization, reading.window_ns]))
        """,
        library,
    )
    assert found == [0.42, 1_000_000_000]


def test_a_sample_buffer_that_stopped_gives_way_to_the_rates(run: Run) -> None:
    found = run(
        """
        script(samples_late_steps=60, rate=0)
        read()
        print(json.dumps([r.utilization for r in read(after=1)]))
        """
    )
    assert found == [0.0]


def test_a_metric_that_is_not_supported_is_absent_and_asked_for_only_once(run: Run) -> None:
    found = run(
        """
        script(nvmlDeviceGetTemperature=3, nvmlDeviceGetMemoryInfo=4, field__186=3, field__185=3,
               nvmlDeviceGetPowerUsage=3, field__270=3, nvmlDeviceGetSamples=3)
        first = read()[0]
        script(nvmlDeviceGetTemperature=None, nvmlDeviceGetMemoryInfo=None, nvmlDeviceGetPowerUsage=None)
        second = read(after=1)[0]
        print(json.dumps([
            [r.temperature_celsius, r.memory_used_bytes, r.power_watts, "hw_thermal" in r.throttle_ns,
             r.clock_hz]
            for r in (first, second)
        ]))
        """
    )
    assert found == [[None, None, None, False, 1.5e9]] * 2


def test_under_mig_what_is_not_available_is_left_out_and_the_rest_stays(run: Run) -> None:
    found = run(
        """
        script(nvmlDeviceGetSamples=3, nvmlDeviceGetUtilizationRates=3, nvmlDeviceGetProcessUtilization=3)
        reading = read()[0]
        print(json.dumps([reading.utilization, reading.other_utilization, list(reading.processes),
                          reading.temperature_celsius]))
        """
    )
    assert found == [None, None, [], 61]


def test_a_passing_fault_leaves_the_value_out_and_it_comes_back(run: Run) -> None:
    found = run(
        """
        script(nvmlDeviceGetSamples=3, nvmlDeviceGetTemperature=10)
        first = read()[0].temperature_celsius
        script(nvmlDeviceGetTemperature=None)
        print(json.dumps([first, read(after=1)[0].temperature_celsius]))
        """
    )
    assert found == [None, 61]


def test_without_the_library_it_says_so_once_and_asks_ever_more_seldom(run: Run) -> None:
    found = run(
        """
        import pynvml
        asked, init = [], pynvml.nvmlInit
        def counting():
            asked.append(second)
            init()
        pynvml.nvmlInit = counting
        counts = []
        for second in range(60):
            counts.append(len(probe.read(second * SECOND)))
        print(json.dumps([sum(counts), probe.unavailable, len(logged), asked]))
        """,
        "none",
    )
    assert found[0] == 0
    assert "Library" in found[1]
    assert found[2] == 1
    assert found[3] == [0, 5, 15, 35]


def test_a_driver_that_comes_later_is_found(run: Run) -> None:
    found = run(
        """
        script(nvmlInitWithFlags=9)
        first = len(read()), probe.unavailable is not None
        script(nvmlInitWithFlags=None)
        too_early = len(read(after=1))
        later = len(read(after=6))
        print(json.dumps([first, too_early, later > 0, probe.unavailable, len(logged)]))
        """
    )
    assert found == [[0, True], 0, True, None, 2]


def test_a_driver_that_goes_is_given_up_and_tried_again(run: Run) -> None:
    found = run(
        """
        before = len(read())
        script(nvmlDeviceGetClockInfo=1)
        gone = len(read(after=1)), probe.unavailable
        script(nvmlDeviceGetClockInfo=None)
        back = len(read(after=7))
        print(json.dumps([before > 0, gone[0], gone[1] is not None, back > 0]))
        """
    )
    assert found == [True, 0, True, True]


def test_a_lost_gpu_is_absent_while_the_other_goes_on_and_is_found_again_by_its_uuid(run: Run) -> None:
    found = run(
        """
        script(count=2, nvmlDeviceGetSamples=3)
        before = sorted({r.device.id for r in read()})
        script(nvmlDeviceGetMemoryInfo=15, nvmlDeviceGetHandleByUUID=15)
        lost = len(read(after=1))
        still = len(read(after=10))
        script(nvmlDeviceGetMemoryInfo=None, nvmlDeviceGetHandleByUUID=None)
        back = sorted({r.device.id for r in read(after=100)})
        print(json.dumps([before, lost, still, back, sum("is lost" in line for line in logged),
                          sum("answers again" in line for line in logged)]))
        """
    )
    both = ["GPU-0000-0", "GPU-0000-1"]
    assert found == [both, 0, 0, both, 2, 2]


def test_processes_are_named_and_told_from_ours(run: Run) -> None:
    found = run(
        """
        import subprocess, framescope.probes.nvml as nvml
        nvml.INITIAL_PID_NAMESPACE = str(Path("/proc/self/ns/pid").readlink())  # as on the machine itself
        probe = NvmlProbe(os.getpid(), Tiers(0, 0, 0, 0))
        child = subprocess.Popen(["sleep", "60"])
        script(nvmlDeviceGetSamples=3, pid__0=child.pid, use__0=20, pid__1=1, use__1=35)
        read(); time.sleep(0.01)
        reading = read(after=1)[-1]
        child.kill()
        uses = {use.pid == 1: [use.name != "unknown", use.utilization, use.ours] for use in reading.processes}
        print(json.dumps([uses[False], uses[True][1:], reading.other_utilization]))
        """
    )
    assert found == [[True, 0.2, True], [0.35, False], 0.35]


def test_in_another_pid_namespace_a_process_is_unknown_and_nobodys(run: Run) -> None:
    found = run(
        """
        import framescope.probes.nvml as nvml
        nvml.INITIAL_PID_NAMESPACE = "pid:[0]"
        probe = NvmlProbe(os.getpid(), Tiers(0, 0, 0, 0))
        script(nvmlDeviceGetSamples=3, pid__0=os.getpid())
        read(); time.sleep(0.01)
        reading = read(after=1)[-1]
        print(json.dumps([[u.pid, u.name, u.ours] for u in reading.processes] + [reading.other_utilization]))
        """
    )
    assert found == [[None, "unknown", None], None]


@pytest.mark.parametrize("code", [0, 6])
def test_nobody_using_the_gpu_is_known_not_unknown(run: Run, code: int) -> None:
    found = run(
        f"""
        script(no_processes={code})
        reading = read()[-1]
        print(json.dumps([list(reading.processes), reading.other_utilization]))
        """
    )
    assert found == [[], 0.0]


def test_closing_ends_it_and_a_driver_without_a_gpu_says_so(run: Run) -> None:
    found = run(
        """
        script(count=0)
        read()
        probe.close()
        print(json.dumps(probe.unavailable))
        """
    )
    assert "no GPU" in found
