"""Knocking at the interpreter lock: closely after trouble, less and less often while the lock is free."""

import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from framescope.probes.interpreter_lock import (
    CLOSELY_NS,
    EVERY_NS,
    FIRST_PAUSE_NS,
    HELD,
    LAST_PAUSE_NS,
    LATE_NS,
    LockProbe,
    Rhythm,
    there_is_one,
)
from framescope.probes.scheduler import Reading

MS = 1_000_000
S = 1_000_000_000


def knocks_until_quiet(rhythm: Rhythm, now: int, waited: int = 0) -> int:
    while rhythm.answered(waited, now):
        now += EVERY_NS
    return now


def test_trouble_starts_close_knocking_for_half_a_second():
    rhythm = Rhythm()
    assert rhythm.trouble(S)
    assert CLOSELY_NS <= knocks_until_quiet(rhythm, S) - S < CLOSELY_NS + EVERY_NS


def test_while_the_lock_is_free_the_pauses_grow_up_to_a_bound():
    rhythm, now, pauses = Rhythm(), S, []
    for _ in range(9):
        while not rhythm.trouble(now):
            now += 10 * MS
        began = now
        now = knocks_until_quiet(rhythm, now)
        pauses.append(began)
    gaps = [round((b - a - CLOSELY_NS) / FIRST_PAUSE_NS) for a, b in pairwise(pauses)]
    assert gaps == [2, 4, 8, 16, 32, 32, 32, 32]
    assert LAST_PAUSE_NS == 32 * FIRST_PAUSE_NS


def test_a_lock_that_is_held_is_watched_on_and_the_pauses_start_anew():
    rhythm = Rhythm()
    rhythm.trouble(S)
    assert rhythm.answered(LATE_NS + 1, S + CLOSELY_NS)  # held still: half a second more from here
    end = knocks_until_quiet(rhythm, S + CLOSELY_NS)
    assert 2 * CLOSELY_NS <= end - S < 2 * CLOSELY_NS + EVERY_NS
    assert rhythm.trouble(end)


def record(wall: int, cpu: int, runqueue: int = 0) -> tuple[object, ...]:
    segments = ((1, 0, (0, 0, 0), wall, (cpu, runqueue, 0), -1),)
    return (0, 1, 1, 0, 0, wall, "done", "", -1, None, [], segments, None)


class Probe(LockProbe):
    """One whose thread does not run: what it is wanted for is looked at."""

    def __init__(
        self,
        now: list[int],
        scheduler: Callable[[], Reading] = lambda: (0, 0, 0),
        process: Callable[[], int] = lambda: 0,
    ) -> None:
        super().__init__(scheduler, clock=lambda: now[0], process=process)
        self._thread = threading.Thread()

    @property
    def wanted(self) -> bool:
        return self._wanted.is_set()


@pytest.mark.parametrize("reading", [(-1, -1, -1), (5, -1, -1)])
def test_nobody_knocks_where_the_run_queue_cannot_be_read(reading):
    probe = LockProbe(lambda: reading)
    probe.install()
    probe.is_back(probe.sets_out(-1))
    assert probe.take() is None  # and not []: nobody knocked in vain


def test_where_there_is_no_lock_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    probe = LockProbe(lambda: (0, 0, 0))
    probe.install()
    assert probe.take() == []


def test_frames_blocked_for_longer_than_usual_start_it():
    now = [S]
    probe = Probe(now)
    probe.look_at([record(10 * MS, 9 * MS)])
    probe.look_at([record(10 * MS, 9 * MS)] * 40)
    assert not probe.wanted
    probe.look_at([record(10 * MS, 9 * MS), record(30 * MS, 9 * MS)])
    assert probe.wanted


def test_what_three_frames_in_four_stay_below_is_usual():
    probe = Probe([S])
    for _ in range(400):
        probe.look_at([record(10 * MS, 9 * MS)] * 3 + [record(10 * MS, 4 * MS)])
    assert 0.9 * MS < probe._usual_ns < 1.5 * MS
    assert probe.wanted
    for _ in range(400):
        probe.look_at([record(10 * MS, 9 * MS)] + [record(10 * MS, 4 * MS)] * 3)
    assert 5 * MS < probe._usual_ns < 6.5 * MS


@pytest.mark.parametrize("slow", [record(30 * MS, 29 * MS), record(30 * MS, 9 * MS, 20 * MS)])
def test_frames_that_worked_or_waited_for_a_core_do_not(slow):
    probe = Probe([S])
    probe.look_at([record(10 * MS, 9 * MS)] * 40)
    probe.look_at([slow])
    assert not probe.wanted


def comes_back(probe: Probe, now: list[int], late_ms: int) -> None:
    errand = probe.sets_out(0.1)
    now[0] += (100 + late_ms) * MS
    probe.is_back(errand)


def test_a_shipper_that_comes_back_late_has_knocked():
    now = [S]
    probe = Probe(now)
    comes_back(probe, now, 30)
    assert probe.wanted
    assert probe.take() == []  # what of it was for a core is not known yet
    comes_back(probe, now, 40)
    assert probe.take() == [(S + 230 * MS, S + 270 * MS, 40 * MS, 0)]


@pytest.mark.parametrize(("cpu_ms", "ran_ms"), [(0, 0), (35, 35), (140, 40), (280, 40)])
def test_how_long_this_process_can_have_run_meanwhile_is_what_it_used_since_the_knock_set_out(cpu_ms, ran_ms):
    now, cpu = [S], [0]
    probe = Probe(now, process=lambda: cpu[0])
    comes_back(probe, now, 30)
    errand = probe.sets_out(0.1)
    now[0] += 140 * MS
    cpu[0] = cpu_ms * MS
    probe.is_back(errand)
    ((_, _, waited, ran),) = probe.take()
    assert (waited, ran) == (40 * MS, ran_ms * MS)


@pytest.mark.parametrize("late_ms", [-80, 0, 3])
def test_one_that_is_back_in_time_tells_nothing(late_ms):
    now = [S]
    probe = Probe(now)
    comes_back(probe, now, late_ms)
    assert probe.take() == []
    assert not probe.wanted


def test_what_it_waited_for_a_core_is_no_knock():
    now, ready = [S], [0]
    probe = Probe(now, lambda: (0, ready[0], 0))
    comes_back(probe, now, 30)
    ready[0] = 25 * MS
    comes_back(probe, now, 30)
    assert [waited for _, _, waited, _ in probe.take()] == [5 * MS]
    ready[0] = 60 * MS
    comes_back(probe, now, 30)
    assert probe.take() == []


def test_what_nobody_takes_is_bounded_and_counted():
    now = [S]
    probe = Probe(now)
    for _ in range(HELD + 4):
        comes_back(probe, now, 30)
    assert len(probe.take()) == HELD
    assert probe.missed == 3


def test_one_that_raises_is_told_and_knocks_again_when_next_wanted():
    told: list[str] = []
    sleeps = iter([OSError(), None])

    def sleep(seconds: float) -> None:
        if isinstance(next(sleeps, None), OSError):
            raise OSError

    probe = LockProbe(lambda: (0, 0, 0), sleep=sleep, failed=told.append)
    probe.install()
    if not there_is_one():
        pytest.skip("no interpreter lock")
    for _ in range(200):
        probe.look_at([record(30 * MS, 29 * MS)])
        probe.look_at([record(90 * MS, 0)])
        time.sleep(0.01)
        if told:
            break
    probe.remove()
    assert told == ["lock_probe"]
