"""Counters, stamps and samples as drivers have been seen to give them, and worse."""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framescope.probes.nvml.people import INITIAL_PID_NAMESPACE, People
from framescope.probes.nvml.sharing import newest_uses, others
from framescope.probes.nvml.stamps import PERIOD_NS, Anchor, Clocks
from framescope.probes.nvml.tiers import SHARE, Turns
from framescope.probes.nvml.utilization import Utilization
from framescope.probes.nvml.values import Unwrapped, percent

MS = 1_000_000
S = 1_000_000_000

# --- counters that wrap ---------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**32 - 1), max_size=50), st.sampled_from([16, 32]))
def test_a_counter_goes_on_over_its_wraps(start: int, steps: list[int], width: int) -> None:
    counter, true = Unwrapped(), start % 2**width
    assert counter.read(true, width) == true
    for step in steps:
        true += step % 2**width
        assert counter.read(true % 2**width, width) == true


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.sampled_from([0, 16, 32, 64]))
def test_whatever_a_counter_does_what_is_counted_never_goes_back(values: list[int], width: int) -> None:
    counter = Unwrapped()
    counted = [counter.read(value % 2 ** (width or 64), width) for value in values]
    assert counted == sorted(counted)


def test_a_wide_counter_that_starts_anew_is_counted_on_from_there() -> None:
    counter = Unwrapped()
    assert [counter.read(value, 64) for value in (1000, 1500, 20, 50)] == [1000, 1500, 1500, 1530]


@pytest.mark.parametrize(("given_", "ratio"), [(0, 0.0), (55, 0.55), (101, 1.0), (-1, 0.0)])
def test_percent_are_ratios_from_0_to_1(given_: float, ratio: float) -> None:
    assert percent(given_) == ratio


# --- stamps of any clock --------------------------------------------------------------------------------


class Driver:
    """Entries every 1/6 s, each in the buffer some time after the end of its period."""

    def __init__(self, seed: int, offset_ns: int) -> None:
        self.chance = random.Random(seed)
        self.offset_ns = offset_ns
        self.now = self.chance.randrange(3600 * S)
        self._next_end = self.now - 20 * PERIOD_NS
        self._next_seen = self._next_end
        self.ends: list[int] = []

    def pass_by(self, ns: int) -> None:
        self.now += ns
        while self._next_seen <= self.now:
            self.ends.append(self._next_end)
            self._next_end += PERIOD_NS
            self._next_seen = self._next_end + self.chance.randrange(PERIOD_NS)

    def stamp_us(self, end_ns: int) -> int:
        return (end_ns + self.offset_ns) // 1000


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32),
    st.one_of(
        st.just(0),  # the monotonic clock itself
        st.just(1_700_000_000 * S),  # the unix clock of these tests
        st.integers(1_699_999_995 * S, 1_700_000_000 * S),  # a unix clock that lags
        st.integers(60 * S, 10**18),  # no clock of ours
        st.just(-30 * S),  # counts from some moment ago
    ),
)
def test_a_stamp_is_never_further_off_than_is_said_whatever_clock_it_is_of(seed: int, offset: int) -> None:
    driver = Driver(seed, offset)
    clocks = Clocks(lambda: driver.now, lambda: driver.now + 1_700_000_000 * S, lambda: driver.now + 5 * S)
    anchor, looked, seen = Anchor(clocks), None, None
    driver.pass_by(S)
    for _ in range(60):
        newest = driver.ends[-1]
        if newest != seen:
            anchor.learn(driver.stamp_us(newest), looked)
            seen = newest
        looked = driver.now
        placed = anchor.placed(driver.stamp_us(newest))
        if placed is not None:
            assert anchor.error_ns is not None
            assert abs(placed - newest) <= anchor.error_ns + 2_000  # stamps are whole µs
            assert placed <= driver.now + 2_000
        driver.pass_by(driver.chance.randrange(50 * MS, 400 * MS))
    assert placed is not None
    assert anchor.error_ns <= (5 * S + PERIOD_NS if anchor._clock is not None else PERIOD_NS)


def test_nothing_is_placed_in_the_future_though_the_drivers_clock_is_ahead() -> None:
    now = [100 * S]
    anchor = Anchor(Clocks(lambda: now[0], lambda: now[0] + 1_700_000_000 * S, lambda: 0))
    for _ in range(5):
        stamp_us = (now[0] + 1_700_000_000 * S + 30 * MS) // 1000
        anchor.learn(stamp_us, None)
        assert anchor.placed(stamp_us) == now[0]
        assert anchor.error_ns == 30 * MS
        now[0] += 170 * MS


def test_a_clock_that_was_set_is_found_out() -> None:
    unix = [1_700_000_000 * S]
    clocks = Clocks(lambda: 100 * S, lambda: unix[0], lambda: 0)
    anchor = Anchor(clocks)
    anchor.learn(unix[0] // 1000, None)
    assert anchor.placed(unix[0] // 1000) == 100 * S
    stamp = unix[0]
    unix[0] += 3600 * S  # the driver's clock was not set with it
    anchor.learn(stamp // 1000, 99 * S)
    placed = anchor.placed(stamp // 1000)
    assert placed is not None
    assert abs(placed - 100 * S) <= (anchor.error_ns or 0)


# --- the buffer of samples ------------------------------------------------------------------------------


@dataclass
class Value:
    uiVal: int


@dataclass
class Sample:
    timeStamp: int
    sampleValue: Value


class Ring:
    """What a device answers: any samples at all."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, int]] | None = None

    def ask(self, name: str, *arguments: Any, as_: str = "") -> Any:
        if name == "nvmlDeviceGetSamples" and self.samples is not None:
            return 1, [Sample(stamp, Value(value)) for stamp, value in self.samples]
        return None


anywhen = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 100_000_000),
    st.integers(1_699_999_990_000_000, 1_700_000_100_000_000),
)
buffers = st.lists(
    st.one_of(st.none(), st.lists(st.tuples(anywhen, st.integers(0, 2**32 - 1)), max_size=8)), max_size=12
)


@settings(max_examples=300, deadline=None)
@given(buffers, st.integers(1, 5 * S))
def test_whatever_is_in_the_buffer_loads_are_in_order_and_none_is_of_the_future(
    turns: list[list[tuple[int, int]] | None], step: int
) -> None:
    now = [50 * S]
    ring = Ring()
    clocks = Clocks(lambda: now[0], lambda: now[0] + 1_700_000_000 * S, lambda: now[0])
    utilization = Utilization(ring, clocks)  # type: ignore[arg-type]
    loads = []
    for samples in turns:
        ring.samples = samples
        found = utilization.read()
        assert all(load.time_ns <= now[0] for load in found)
        loads += found
        now[0] += step
    assert [load.time_ns for load in loads] == sorted({load.time_ns for load in loads})
    assert all(0 <= load.ratio <= 1 and 0 < load.window_ns <= S and load.error_ns >= 0 for load in loads)


def test_an_entry_of_the_far_future_does_not_silence_the_others() -> None:
    now = [50 * S]
    ring = Ring()
    unix_us = 1_700_000_050_000_000
    utilization = Utilization(
        ring, Clocks(lambda: now[0], lambda: now[0] + 1_700_000_000 * S, lambda: now[0])
    )  # type: ignore[arg-type]
    loads = []
    for turn in range(10):
        now[0] += 170 * MS
        ring.samples = [(unix_us + turn * 170_000, 40), *([(2**62, 99)] if turn == 5 else [])]
        loads += utilization.read()
    assert [load.ratio for load in loads] == [0.4] * 10


# --- use by process -------------------------------------------------------------------------------------


@dataclass
class Record:
    pid: int
    timeStamp: int
    smUtil: int


def test_of_each_process_the_newest_record_counts_and_none_that_was_seen() -> None:
    records = [
        Record(7, 100, 10),
        Record(7, 200, 20),
        Record(8, 150, 5),
        Record(0, 300, 50),
        Record(9, 90, 1),
    ]
    assert newest_uses(records, 90) == {7: (200, 0.2), 8: (150, 0.05)}


@given(st.lists(st.builds(Record, st.integers(0, 5), st.integers(0, 2**64 - 1), st.integers(0, 200))))
def test_stamps_that_start_anew_do_not_hide_a_process_for_good(records: list[Record]) -> None:
    seen = 2**64
    named = {record.pid for record in records if record.pid and record.timeStamp}
    assert set(newest_uses(records, seen)) == named


def test_what_others_use_is_unknown_while_one_user_is() -> None:
    from framescope.probes.device import ProcessUse

    ours, theirs = ProcessUse(1, "a", 0.3, True), ProcessUse(2, "b", 0.4, False)
    assert others([ours, theirs]) == 0.4
    assert others([ours]) == 0.0
    assert others([ours, theirs, ProcessUse(None, "unknown", 0.1, None)]) is None


def machine(root: Path, processes: dict[int, tuple[str, int, str, str]]) -> Path:
    """A ``/proc`` of processes: pid → (name, parent, pids in its namespaces, its namespace)."""
    for pid, (name, parent, nested, namespace) in processes.items():
        here = root / str(pid)
        (here / "ns").mkdir(parents=True)
        (here / "comm").write_text(name + "\n")
        (here / "stat").write_text(f"{pid} ({name}) S {parent} 1 1")
        (here / "status").write_text(f"Name:\t{name}\nNSpid:\t{nested}\n")
        (here / "ns" / "pid").symlink_to(namespace)
    return root


def test_in_a_container_with_the_machines_proc_pids_are_told_apart(tmp_path: Path) -> None:
    ours, theirs = "pid:[4026532001]", "pid:[4026532002]"
    inside = machine(tmp_path / "inside", {7: ("python", 1, "7", ours)})
    outside = machine(
        tmp_path / "outside",
        {
            1: ("init", 0, "1", INITIAL_PID_NAMESPACE),
            900: ("shim", 1, "900", INITIAL_PID_NAMESPACE),
            1234: ("python", 900, "1234 7", ours),
            1300: ("worker", 1234, "1300 9", ours),
            2000: ("python", 900, "2000 7", theirs),  # pid 7 of another container
        },
    )
    people = People(7, inside, {"HOST_PROC": str(outside)})
    assert people.who(1234) == (1234, "python", True)
    assert people.who(1300) == (1300, "worker", True)
    assert people.who(2000) == (2000, "python", False)
    assert people.who(4321) == (None, "unknown", None)
    assert People(7, inside, {}).who(1234) == (None, "unknown", None)


def test_on_the_machine_itself_a_process_that_ended_is_nobodys(tmp_path: Path) -> None:
    proc = machine(tmp_path, {7: ("python", 1, "7", INITIAL_PID_NAMESPACE), 8: ("recon", 1, "8", "x")})
    people = People(7, proc, {})
    assert people.who(7) == (7, "python", True)
    assert people.who(8) == (8, "recon", False)
    assert people.who(9) == (9, "unknown", None)


def test_where_there_is_no_proc_the_system_is_asked(tmp_path: Path) -> None:
    people = People(os.getpid(), tmp_path / "none", {})
    pid, name, ours = people.who(os.getpid())
    assert (pid, ours) == (os.getpid(), True)
    assert name != "unknown"
    assert people.who(os.getppid())[2] is False
    assert people.who(2**22 + 1) == (2**22 + 1, "unknown", None)


# --- turns ----------------------------------------------------------------------------------------------


@given(st.integers(100 * MS, 10 * S), st.lists(st.integers(0, 50 * MS), min_size=50, max_size=50))
def test_turns_keep_their_period_and_never_take_more_than_their_share(period: int, costs: list[int]) -> None:
    turns, now, began = Turns(period), 0, []
    for cost in costs:
        while not turns.due(now):
            now += 10 * MS
        began.append(now)
        turns.took(now, now + cost)
        now += cost
    apart = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert min(apart) >= 0.9 * period
    usual = sorted(costs)[len(costs) // 2]
    if len(set(costs)) == 1:
        assert min(apart) >= SHARE * usual


def test_a_period_of_0_is_never_due() -> None:
    assert not Turns(0).due(10**18)
