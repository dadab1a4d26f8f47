"""The NVML probe when the driver, a device or a call fails; the errors that devices have."""

from __future__ import annotations

from nvml_driver import Run

# --- the driver -----------------------------------------------------------------------------------------


def test_without_a_library_it_is_said_once_and_tried_again_ever_more_seldom(nvml: Run) -> None:
    found = nvml(
        """
        import pynvml
        tries, init = [], pynvml.nvmlInit
        def counted():
            tries.append(round(ahead_ns / SECOND))
            init()
        pynvml.nvmlInit = counted
        count = sum(len(read(after=1)) for _ in range(1000))
        print(json.dumps([count, nvml.unavailable, len(logged), tries]))
        """,
        "none",
    )
    assert found[:3] == [0, "NVML Shared Library Not Found", 1]
    assert found[3] == [1, 6, 16, 36, 76, 156, 316, 616, 916]


def test_a_driver_of_another_version_is_said_and_its_return_found(nvml: Run) -> None:
    found = nvml(
        """
        script(nvmlInitWithFlags=18)
        first = len(read()), nvml.unavailable is not None
        script(nvmlInitWithFlags=None)
        too_early = len(read(after=1))
        later = len(read(after=6))
        print(json.dumps([first, too_early, later > 0, nvml.unavailable, len(logged)]))
        """
    )
    assert found == [[0, True], 0, True, None, 2]


def test_a_driver_that_goes_is_given_up_and_tried_again(nvml: Run) -> None:
    found = nvml(
        """
        before = len(read())
        script(nvmlDeviceGetClockInfo=1)
        gone = len(read(after=1)), len(read(after=1)), nvml.unavailable
        script(nvmlDeviceGetClockInfo=None)
        back = len(read(after=7))
        print(json.dumps([before > 0, gone[1], gone[2] is not None, back > 0, nvml.unavailable]))
        """
    )
    assert found == [True, 0, True, True, None]


def test_closing_ends_it_and_a_driver_without_a_gpu_says_so(nvml: Run) -> None:
    found = nvml(
        """
        script(count=0)
        read()
        nvml.close()
        nvml.close()
        print(json.dumps([nvml.unavailable, asked("nvmlShutdown")]))
        """
    )
    assert found == ["the driver has no GPU that answers", 1]


# --- one device -----------------------------------------------------------------------------------------


def test_a_lost_gpu_has_failed_while_the_other_goes_on_and_is_found_again_by_its_uuid(nvml: Run) -> None:
    found = nvml(
        """
        script(count=2)
        def states(readings):
            return {r.device.id[-1]: r.state for r in readings if r.state}
        before = states(read())
        script(**{"at__1.nvmlDeviceGetMemoryInfo": 15, "at__1.nvmlDeviceGetHandleByUUID": 15})
        lost = states(read(after=2))
        silent = {r.device.id[-1] for r in read(after=2) if r.memory_used_bytes is not None}
        still = states(read(after=10))
        script(**{"at__1.nvmlDeviceGetMemoryInfo": None, "at__1.nvmlDeviceGetHandleByUUID": None})
        back = states(read(after=100))
        said = [sum(words in line for line in logged) for words in ("is lost", "answers again")]
        print(json.dumps([before, lost, sorted(silent), still, back, *said]))
        """
    )
    well, one_failed = {"0": "ok", "1": "ok"}, {"0": "ok", "1": "failed"}
    assert found == [well, one_failed, ["0"], one_failed, well, 1, 1]


def test_a_field_that_says_that_the_gpu_is_lost_is_believed(nvml: Run) -> None:
    found = nvml(
        """
        read()
        script(field__83=15)
        print(json.dumps([r.state for r in read(after=2) if r.state]))
        """
    )
    assert found == ["failed"]


def test_a_gpu_that_does_not_answer_at_the_start_is_left_out_until_it_does(nvml: Run) -> None:
    found = nvml(
        """
        script(**{"count": 2, "at__0.nvmlDeviceGetUUID": 15})
        first = sorted({r.device.id for r in read()})
        script(**{"at__0.nvmlDeviceGetUUID": None})
        read(after=100)
        print(json.dumps([first, sorted({r.device.id for r in read(after=2)})]))
        """
    )
    assert found == [["GPU-0000-1"], ["GPU-0000-0", "GPU-0000-1"]]


def test_a_row_that_cannot_be_remapped_predicts_a_failure(nvml: Run) -> None:
    found = nvml(
        """
        states = [told("state", read())]
        script(value__145=1)
        read(after=20)
        print(json.dumps([*states, told("state", read(after=2))]))
        """
    )
    assert found == ["ok", "predicted_failure"]


# --- errors as they happen ------------------------------------------------------------------------------

WITH_EVENTS = """
        again(Tiers(events=True))
        def events():
            for _ in range(400):
                counted.extend(r.errors for r in read(after=0.001) if any("xid" in name for name in r.errors))
                found = nvml.events()
                if found: return [[e.device.id, e.type, e.text, abs(clocks.monotonic() - e.time_ns) < SECOND]
                                  for e in found]
                time.sleep(0.01)
        counted = []
        read()
"""


def test_an_xid_is_an_event_is_counted_from_0_and_degrades_the_device(nvml: Run) -> None:
    found = nvml(
        WITH_EVENTS
        + """
        script(count=2, event="1:8:79:0")
        first = events()
        state = told("state", read(after=2))
        script(event="2:8:79:0")
        events()
        later = told("state", [*read(after=2), *read(after=70)])
        nvml.close()
        print(json.dumps([first, counted, state, later]))
        """
    )
    first, counted, state, later = found
    assert first == [["GPU-0000-0", "xid_79", "Xid 79, GPU has fallen off the bus", True]]
    assert counted == [{"xid_79": 0}, {"xid_79": 1}, {"xid_79": 2}]
    assert state == "degraded"
    assert later == "ok"


def test_a_gpu_that_came_back_is_listened_to_again(nvml: Run) -> None:
    found = nvml(
        WITH_EVENTS
        + """
        script(nvmlDeviceGetMemoryInfo=15)
        read(after=2)
        script(nvmlDeviceGetMemoryInfo=None)
        read(after=10), read(after=1)
        script(event="1:8:48:0")
        print(json.dumps([events()[0][1], asked("nvmlEventSetCreate"), asked("nvmlEventSetFree")]))
        """
    )
    assert found == ["xid_48", 2, 1]


def test_a_programs_own_fault_leaves_the_device_sound(nvml: Run) -> None:
    found = nvml(
        WITH_EVENTS
        + """
        script(event="1:8:31:0")
        print(json.dumps([events()[0][1], told("state", read(after=2))]))
        """
    )
    assert found == ["xid_31", "ok"]


def test_a_memory_error_is_an_event_and_counted_once_by_the_drivers_own_total(nvml: Run) -> None:
    found = nvml(
        WITH_EVENTS
        + """
        script(event="1:2:0:0", value__4=1)
        text = events()[0][2]
        print(json.dumps([text, counted, told("errors", read(after=20))["uncorrected"]]))
        """
    )
    assert found == ["uncorrectable memory error", [], 1]


def test_a_driver_that_cannot_wait_for_events_is_read_without(nvml: Run) -> None:
    found = nvml(
        """
        import threading
        again(Tiers(events=True))
        count = len(read())
        print(json.dumps([count > 0, [t.name for t in threading.enumerate() if "nvml" in t.name]]))
        """,
        "old",
    )
    assert found == [True, []]


# --- calls that hang ------------------------------------------------------------------------------------


def test_while_a_call_hangs_the_other_probes_go_on_and_it_is_counted(nvml: Run) -> None:
    found = nvml(
        """
        from framescope.agent.evidence import EvidenceProbes
        from framescope.agent.settings import AgentSettings
        from framescope.agent.totals import Totals

        # The agent's own clock: nothing here may wait for the driver.
        real_time()
        probes, totals = EvidenceProbes(os.getpid(), AgentSettings(), time.monotonic_ns), Totals()
        def turns(seconds):
            slowest, until = 0.0, time.monotonic() + seconds
            while time.monotonic() < until:
                began = time.monotonic()
                probes.read(time.monotonic_ns(), totals)
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.02)
            return slowest
        turns(1)
        devices = len(probes.devices.take_fresh())
        script(hang__nvmlDeviceGetClockInfo=1)
        slowest = turns(2.5)
        probes.devices.take_fresh(), probes.take_points()
        turns(1)
        silent, others = len(probes.devices.take_fresh()), len(probes.take_points())
        script(hang__nvmlDeviceGetClockInfo=None)
        turns(1.5)
        print(json.dumps([devices > 0, slowest < 2.0, silent, others > 0,
                          probes.faults.get("probe.nvml"), len(probes.devices.take_fresh()) > 0]))
        """
    )
    assert found == [True, True, 0, True, 1, True]


# --- what the agent makes of it -------------------------------------------------------------------------


def test_the_agent_tells_what_each_group_costs_the_clocks_error_and_what_happened(nvml: Run) -> None:
    found = nvml(
        """
        from framescope import signals as sig
        from framescope.agent.evidence import EvidenceProbes
        from framescope.agent.settings import AgentSettings
        from framescope.agent.totals import Totals

        real_time()
        probes, totals = EvidenceProbes(os.getpid(), AgentSettings(), time.monotonic_ns), Totals()
        events, until = [], time.monotonic() + 20
        began = time.monotonic_ns()
        while time.monotonic() < until and not (events and sig.FS_CLOCK_ERROR in totals.gauges):
            probes.read(time.monotonic_ns(), totals)
            script(event="1:8:79:0")
            events += probes.take_events()
            time.sleep(0.05)
        device = probes.device_over(began, time.monotonic_ns(), None)
        probes.close()
        names = [dict(labels)[sig.FS_PROBE_NAME] for labels in totals.gauges[sig.FS_PROBE_DURATION]]
        print(json.dumps([sorted(name for name in names if name.startswith("nvml")),
                          [dict(labels) for labels in totals.gauges[sig.FS_CLOCK_ERROR]],
                          [text for _, text in events], device.errors, probes.faults]))
        """
    )
    groups = ["activity", "fields", "fields.query", "memory", "residents", "sharing", "utilization"]
    words = "Xid 79, GPU has fallen off the bus"
    assert found == [
        ["nvml", *(f"nvml.{group}" for group in groups)],
        [{"framescope.probe.name": "nvml"}],
        [f"Scripted GPU: {words}"],
        [words],
        {},
    ]
