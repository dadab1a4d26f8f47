"""The table of probes: each read when it is due; one that raises, hangs or gives nonsense harms nobody."""

from __future__ import annotations

import math
import os
import threading
import time
from itertools import count
from pathlib import Path

import pytest
from agency import Sent, agent, batch, record
from opentelemetry.sdk.resources import Resource

from framescope import signals as sig
from framescope.agent import poller
from framescope.agent.agent import Agent
from framescope.agent.evidence import EvidenceProbes
from framescope.agent.poller import DEADLINE_NS, Scheduled
from framescope.agent.settings import AgentSettings
from framescope.agent.totals import Totals
from framescope.agent.windows import REMEMBERED, Amounts, Running
from framescope.handover import FrameRecord
from framescope.probes.device import DeviceIdentity, DeviceReading
from framescope.probes.machine import MachineReading
from framescope.probes.page_faults import PageFaults
from framescope.probes.pressure import PressureProbe, PressureReading

MS = 1_000_000
NONE = AgentSettings(probe_gpu=False, probe_host=False, probe_pressure=False, probe_cgroup=False)
SOON = 20.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch):
    """Here the agent's time does not pass while it waits: on a busy machine a thread may take its time."""
    monkeypatch.setattr(poller, "PATIENCE_S", 0.5)


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def probes(*lines: Scheduled, clock: Clock | None = None) -> EvidenceProbes:
    made = EvidenceProbes(1, NONE, clock or Clock())
    for line in lines:
        made.add(line)
    return made


def steady(name: str = "steady", every_ns: int = 100 * MS) -> Scheduled:
    """A probe that works: its reading is the time, its point the number of the reading."""
    number = count(1)
    return Scheduled(name, every_ns, lambda now: now, lambda at: [(sig.FS_PRESSURE, (), at, next(number))])


def live(made: EvidenceProbes, seconds: int, totals: Totals | None = None) -> None:
    """Let the agent's time pass, slowly enough for threads to run."""
    for tenth in range(10 * seconds):
        made.read(tenth * 100 * MS, totals or Totals())
        time.sleep(0.002)


def told(made: EvidenceProbes) -> list[float]:
    return [value for _, _, value in made.take_points().get(sig.FS_PRESSURE, [])]


def test_a_metric_that_is_not_in_the_table_of_names_is_left_out():
    strange = Scheduled("strange", 100 * MS, lambda now: now, lambda at: [("process.new", (), at, 1.0)])
    made = probes(strange, steady())
    made.read(0, Totals())
    assert made.faults == {"probe.strange": 1}
    assert set(made.take_points()) == {sig.FS_PRESSURE}


def test_a_message_a_minute_holds_a_minute_of_readings():
    def many(at: int):
        return [(sig.FS_PRESSURE, ((sig.FS_PRESSURE_RESOURCE, str(n)),), at, 0.1) for n in range(5)]

    settings = AgentSettings(
        probe_gpu=False, probe_host=False, probe_pressure=False, probe_cgroup=False,
        metric_interval_ns=60_000 * MS,
    )  # fmt: skip
    made = EvidenceProbes(1, settings, Clock())
    for tenth in range(600):
        made._hold(many(tenth * 100 * MS), Totals())
    assert len(told(made)) == 3000
    assert made.missed == 0


def test_readings_beyond_a_messages_room_are_counted_as_lost():
    made = probes()
    made._hold([(sig.FS_PRESSURE, (), at, 0.1) for at in range(1_003)], Totals())
    assert len(told(made)) == 1_000
    whole, sent, held = agent()
    held.missed = made.missed
    whole.feed(batch())
    whole.tick(10_000 * MS, everything=True)
    lost = sent.counter(sig.FS_FRAMES_LOST)
    assert lost == {((sig.FRAME_PIPELINE, ""), (sig.REASON, "reading_limit")): 3}


def test_points_beside_one_that_makes_no_sense_are_held():
    points = ((sig.FS_PRESSURE, 0.1), ("process.new", 1.0), (sig.FS_PRESSURE, -1.0), (sig.FS_PRESSURE, 0.2))
    read = [(name, (), 0, value) for name, value in points]
    made = probes(Scheduled("torn", 100 * MS, lambda now: now, lambda at: read))
    made.read(0, Totals())
    assert told(made) == [0.1, 0.2]
    assert made.faults == {"probe.torn": 1}


@pytest.mark.parametrize(
    ("held", "runqueue_ns", "quota"),
    [(8 * MS, 5 * MS, 0.005), (8 * MS, -1, None), (0, -1, 0.0)],
    ids=["no more than the run queue", "unknown without it", "none where nothing was held"],
)
def test_a_quota_holds_a_thread_only_where_its_run_queue_shows_it(held, runqueue_ns, quota):
    made, sent, seen = agent(baseline_every=1)
    seen.quota_over = lambda start, end: held
    reading = ((1, 0, (0, min(0, runqueue_ns), 0), 9 * MS, (MS, runqueue_ns, 0), -1),)
    made.feed(batch(record(0, segments=reading)))
    made.tick(1000 * MS)
    (frame,) = sent.frames()
    assert frame[0].attributes.get(sig.QUOTA_TIME) == quota


def test_a_probe_is_read_when_it_is_due_and_its_cost_is_told():
    made, totals = probes(steady()), Totals()
    for at in (0, 50, 99, 100, 150, 200):
        made.read(at * MS, totals)
    assert told(made) == [1, 2, 3]
    assert set(totals.gauges[sig.FS_PROBE_DURATION]) == {((sig.FS_PROBE_NAME, "steady"),)}
    made.close()


def test_a_probe_that_raises_is_counted_and_left_out_and_others_go_on():
    def fail(now: int) -> int:
        raise OSError("gone")

    made = probes(Scheduled("broken", 100 * MS, fail, lambda _: []), steady())
    for turn in range(3):
        made.read(turn * 100 * MS, Totals())
    assert made.faults == {"probe.broken": 3}
    assert told(made) == [1, 2, 3]
    made.close()


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_nonsense_is_counted_and_never_sent(value: float):
    made = probes(Scheduled("odd", 100 * MS, lambda now: now, lambda at: [(sig.FS_PRESSURE, (), at, value)]))
    made.read(0, Totals())
    assert made.faults == {"probe.odd": 1}
    assert told(made) == []
    made.close()


def test_a_devices_nonsense_is_left_out_and_its_sound_readings_stay():
    class Odd:
        name = "odd"

        def read(self, now: int) -> list[DeviceReading]:
            device = DeviceIdentity("gpu", "GPU")
            return [
                DeviceReading(device, now, MS, utilization=math.nan),
                DeviceReading(device, now, MS, energy_joules=-5.0),
                DeviceReading(device, now, -MS),
                DeviceReading(device, now, MS, throttle_ns={"thermal": -1}),
                DeviceReading(device, now, MS, utilization=0.5, temperature_celsius=-10.0),
            ]

        def close(self) -> None: ...

    made = probes()
    made.add_device_probe(Odd())
    made.read(0, Totals())
    assert [reading.utilization for reading in made.devices.take_fresh()] == [0.5]
    assert made.faults == {"probe.odd": 1}
    made.close()


def test_numbers_that_go_backwards_are_refused():
    grows = Running()
    grows.add(100, 5)
    for time_ns, total in ((50, 6), (200, 4), (200, -1)):
        with pytest.raises(ValueError):
            grows.add(time_ns, total)
    grows.add(200, 8)
    assert grows.over(110, 190) == 3
    assert grows.rate_over(110, 190) == 0.03
    assert grows.over(90, 190) is None and grows.rate_over(90, 190) is None  # nobody looked before
    assert grows.over(110, 210) is None  # nor after
    found = Amounts()
    found.add(0, 100, 7)
    for start, end, amount in ((50, 150, 1), (100, 100, 1), (100, 200, -1)):
        with pytest.raises(ValueError):
            found.add(start, end, amount)
    found.add(100, 200, 3)
    assert (found.over(10, 20), found.over(90, 110), found.over(100, 150)) == (7, 10, 3)
    assert found.over(200, 300) is None


def test_only_so_many_readings_are_remembered():
    grows, found = Running(), Amounts()
    for number in range(10 * REMEMBERED):
        grows.add(number, number)
        found.add(number, number + 1, 1)
    assert grows.over(0, 5) is None and found.over(0, 5) is None
    newest = 10 * REMEMBERED - 1
    assert grows.over(newest - REMEMBERED + 1, newest) == REMEMBERED - 1


class Hangs:
    """A probe that does not come back until told."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.reads = 0

    def line(self) -> Scheduled:
        number = count(100)
        return Scheduled("hangs", 100 * MS, self.read, lambda at: [(sig.FS_PRESSURE, (), at, next(number))])

    def read(self, now: int) -> int:
        self.reads += 1
        assert self.go_on.wait(60)
        return now


def test_a_probe_that_hangs_is_counted_and_shown_and_others_go_on():
    stuck, totals = Hangs(), Totals()
    made = probes(stuck.line(), steady())
    began = time.monotonic()
    live(made, 10, totals)
    assert time.monotonic() - began < SOON  # the agent waits for nobody
    assert made.faults == {"probe.hangs": 1}
    # While the deadline runs nothing else is read; afterwards everything else is.
    assert len(told(made)) >= 100 - 2 * DEADLINE_NS // (100 * MS)
    shown = totals.gauges[sig.FS_PROBE_DURATION][(sig.FS_PROBE_NAME, "hangs"),]
    assert shown[1] > 9  # seconds, and still growing
    assert stuck.reads == 1
    stuck.go_on.set()
    made.close()


def test_a_probe_that_comes_back_is_read_again_but_its_old_reading_is_not_used():
    stuck = Hangs()
    made = probes(stuck.line())
    live(made, 2)
    at = 2000 * MS
    assert made.faults == {"probe.hangs": 1}
    stuck.go_on.set()
    until = time.monotonic() + SOON
    values: list[float] = []
    while not values and time.monotonic() < until:
        made.read(at, Totals())
        values += told(made)
        at += 100 * MS
        time.sleep(0.01)
    assert values[0] == 100  # the first that was taken
    assert stuck.reads >= 2
    made.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that blocks who opens it")
def test_a_file_of_the_kernel_s_that_does_not_answer_stops_only_its_own_probe(tmp_path: Path):
    stuck = tmp_path / "proc" / "pressure" / "cpu"
    stuck.parent.mkdir(parents=True)
    os.mkfifo(stuck)  # opening it waits for a writer, in the kernel, as a stuck machine's /proc does
    pressure = PressureProbe(tmp_path)
    made = probes(Scheduled("pressure", 100 * MS, pressure.read, lambda _: []), steady())
    live(made, 5)
    assert made.faults == {"probe.pressure": 1}
    assert len(told(made)) >= 25
    os.close(os.open(stuck, os.O_WRONLY))  # let it go
    made.close()


def test_two_that_hang_are_two_threads_and_no_more():
    before = set(threading.enumerate())  # others' may end meanwhile
    stuck = [Hangs(), Hangs()]
    made = probes(*(one.line() for one in stuck), steady())
    live(made, 20)
    assert made.faults == {"probe.hangs": 2}
    begun = set(threading.enumerate()) - before
    assert sum(thread.name == "framescope-probes" for thread in begun) == 3
    assert len(told(made)) > 100
    for one in stuck:
        one.go_on.set()
    made.close()


def test_closing_waits_for_no_probe_that_hangs():
    stuck = Hangs()
    made = probes(stuck.line(), steady())
    live(made, 2)
    began = time.monotonic()
    made.close()
    assert time.monotonic() - began < SOON
    stuck.go_on.set()


def test_frames_are_judged_and_sent_while_a_probe_hangs():
    stuck, sent = Hangs(), Sent()
    made = probes(stuck.line(), steady())
    host = Agent(sent, lambda _: Resource({}), AgentSettings(), probes=lambda pid: made, clock=lambda: 0)
    for tenth in range(100):
        host.feed(batch(record(tenth, start=tenth * 100 * MS)))
        host.poll(tenth * 100 * MS)
        time.sleep(0.002)
        if tenth % 10 == 9:
            host.tick(tenth * 100 * MS)
    counted = sent.counter(sig.FRAME_COUNT)
    assert sum(counted.values()) >= 90
    assert sent.counter(sig.FS_INTERNAL_ERRORS) == {((sig.REASON, "probe.hangs"),): 1}
    stuck.go_on.set()
    made.close()


# -- memory that is short: the machine's stalls and the process's own faults -------------------------------


class OneByOne:
    """A probe that gives the readings it was made with, one a turn."""

    def __init__(self, *readings: object) -> None:
        self._readings = list(readings)

    def read(self, now: int) -> object:
        return self._readings.pop(0) if self._readings else None


def short_of_memory(stalled_ns: int, major: tuple[int, int]) -> EvidenceProbes:
    """Probes that saw one window of 100 ms with so much memory stall, and so many faults before and after."""
    made = probes()
    pressure = OneByOne(PressureReading(100 * MS, 100 * MS, {}, {"memory": stalled_ns, "io": 0}))
    faults = OneByOne(PageFaults(0, major[0]), PageFaults(100 * MS, major[1]))
    made.add(Scheduled("pressure", 100 * MS, pressure.read, made._take_pressure))
    made.add(Scheduled("page_faults", 100 * MS, faults.read, made._take_page_faults))
    made.read(0, Totals())
    made.read(100 * MS, Totals())
    made.close()
    return made


def test_memory_was_short_where_the_machine_stalled_and_the_process_had_to_read_pages_in():
    assert short_of_memory(20 * MS, (7, 9)).memory_stall_over(10 * MS, 60 * MS) == 20 * MS


def test_a_stall_without_a_fault_of_the_process_says_nothing_of_it():
    assert short_of_memory(20 * MS, (7, 7)).memory_stall_over(10 * MS, 60 * MS) is None


def test_faults_without_a_stall_are_not_short_memory():
    assert short_of_memory(0, (7, 9)).memory_stall_over(10 * MS, 60 * MS) == 0


def test_without_readings_around_the_frame_nothing_is_said():
    made = short_of_memory(20 * MS, (7, 9))
    assert made.memory_stall_over(110 * MS, 120 * MS) is None  # nobody read the pressure there
    assert made.memory_stall_over(10 * MS, 150 * MS) is None  # nor the faults after it


def blocked_frame(number: int, *, blocks: int) -> FrameRecord:
    """8 ms of CPU, and 12 ms blocked in which its thread read so many blocks."""
    begin = number * 16 * MS
    end = begin + 20 * MS
    return record(
        number,
        20,
        marks=[0, begin, ~0, end],
        segments=[(1, begin, (0, 0, 0), end, (8 * MS, 0, blocks), -1)],
    )


@pytest.mark.parametrize(("blocks", "cause"), [(4, "memory_pressure"), (0, "blocked")])
def test_a_frame_that_waited_for_pages_is_blamed_on_memory_only_if_its_own_thread_read_some(
    blocks: int, cause: str
):
    made, sent, seen = agent(baseline_every=0)
    seen.memory_stall_over = lambda start, end: 12 * MS
    seen.io_stall_over = lambda start, end: 12 * MS
    made.feed(batch(*(record(n) for n in range(40)), blocked_frame(40, blocks=blocks)))
    made.tick(60_000 * MS)
    slow = next(g[0] for g in sent.frames() if g[0].attributes[sig.FRAME_KEPT] == "slow")
    assert slow.attributes[sig.FRAME_CAUSE_NAME] == cause
    told = slow.attributes.get(sig.MEMORY_STALL_TIME)
    assert told == (0.012 if blocks else None)
    assert slow.attributes[sig.IO_WAIT_TIME] == 0  # the same blocks explain nothing twice


def test_collections_are_counted_by_generation():
    made, sent, _ = agent()
    made.feed(batch(collections=[(0, 1, 0, MS), (2, 1, 2 * MS, 30 * MS), (2, 1, 40 * MS, 50 * MS)]))
    made.tick(60_000 * MS)
    metrics = sent.metrics[-1].resource_metrics[0].scope_metrics[0].metrics
    (pauses,) = [metric for metric in metrics if metric.name == sig.FS_GC_PAUSE]
    newest = {p.attributes[sig.GC_GENERATION]: (p.count, round(p.sum, 6)) for p in pauses.data.data_points}
    assert newest == {"0": (1, 0.001), "2": (2, 0.038)}


def test_what_the_machine_tells_is_sent_and_what_it_does_not_is_absent():
    made = probes()
    reading = MachineReading(5, 1, steal=0.25, pages_in=3, major_faults=4)
    machine = OneByOne(reading)
    made.add(Scheduled("machine", 1000 * MS, machine.read, made._take_machine))
    made.read(0, Totals())
    assert made.take_points() == {
        sig.FS_CPU_STEAL: [((), 5, 0.25)],
        sig.SYSTEM_PAGING_OPERATIONS: [(((sig.SYSTEM_PAGING_DIRECTION, "in"),), 5, 3)],
        sig.SYSTEM_PAGING_FAULTS: [(((sig.SYSTEM_PAGING_FAULT_TYPE, "major"),), 5, 4)],
    }
    made.close()
