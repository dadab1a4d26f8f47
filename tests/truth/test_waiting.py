"""What a thread waited for, told apart on a host that really waits: which evidence moves, and which does not.

Each run is judged against itself: of what the slow frames lost while blocked, whose it was.
"""

import os
import sys
import time
from functools import cache

import pytest
from listening import Heard, listen

from framescope import signals as sig
from framescope.probes.cgroup import CgroupProbe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone tells what threads wait in"),
]
BLOCKED = ("python_gil", "io_wait", "lock_wait", "blocked")
SLOW = 40
"""Slow frames that a host goes on for, however long they take it."""
PROBES = {
    "knocks": {},
    "look": {"FRAMESCOPE_PROBES_GIL": "0", "FRAMESCOPE_PROBES_SYSTEM_CALLS": "1"},
    "all": {"FRAMESCOPE_PROBES_SYSTEM_CALLS": "1", "FRAMESCOPE_PROBES_STACKS": "1"},
    "deaf": {"FRAMESCOPE_PROBES_GIL": "0"},
}

needs_the_lock = pytest.mark.skipif(
    getattr(sys, "_is_gil_enabled", lambda: True)() is False, reason="this interpreter has no lock"
)


@cache
def host(case: str, probes: str) -> Heard:
    return listen("waiting_host.py", case, str(SLOW), **PROBES[probes])


def share(heard: Heard, cause: str) -> float:
    """Of the time lost while blocked, the part this cause was given."""
    lost = heard.lost()
    return lost[cause] / (sum(lost[one] for one in BLOCKED) or 1)


needs_the_quota = pytest.mark.skipif(
    CgroupProbe(os.getpid()).read(time.monotonic_ns()) is None,
    reason="no control group is told here: a wait for the lock may be a quota's that holds its holder back",
)


@needs_the_lock
@needs_the_quota
@pytest.mark.parametrize("probes", ["knocks", "look"])
def test_a_thread_that_holds_the_interpreter_lock_in_c_is_found_out(probes):
    heard = host("held", probes)
    assert share(heard, "python_gil") > 0.5
    assert share(heard, "io_wait") + share(heard, "lock_wait") < 0.25


@needs_the_lock
def test_without_knocks_or_looks_nobody_guesses_at_the_lock():
    heard = host("held", "deaf")
    assert heard.measured(sig.GIL_WAIT_TIME) == 0
    assert share(heard, "python_gil") == 0
    assert share(heard, "blocked") > 0.5


@pytest.mark.parametrize("case", ["pipe", "pipe+benign", "lock", "sleep"])
def test_a_wait_beside_others_that_leave_the_lock_alone_is_not_called_the_lock(case):
    heard = host(case, "knocks")
    # On a machine with too much to do a thread is sent off its core with the lock in hand, now and then.
    assert share(heard, "python_gil") < 0.35
    assert share(heard, "blocked") > 0.5


@pytest.mark.parametrize("case", ["pipe", "pipe+benign"])
def test_a_pipe_is_told_by_its_system_call(case):
    heard = host(case, "all")
    assert share(heard, "io_wait") > 0.5
    assert share(heard, "lock_wait") < 0.2
    assert share(heard, "python_gil") < 0.2
    calls = heard.told(sig.BLOCKED_CALL)
    assert calls["read() of a pipe"] > calls["a lock"] + calls["the interpreter lock"]


def test_a_lock_is_told_by_its_system_call():
    heard = host("lock", "look")
    assert share(heard, "lock_wait") > 0.5
    assert share(heard, "io_wait") < 0.2
    assert share(heard, "python_gil") < 0.2
    assert heard.told(sig.BLOCKED_CALL)["a lock"]


def test_a_sleep_is_neither_input_nor_lock_and_named_as_what_it_is():
    heard = host("sleep", "look")
    assert share(heard, "blocked") > 0.6
    assert heard.told(sig.BLOCKED_CALL)["clock_nanosleep()"]


def test_a_stage_that_overruns_shows_where_it_was():
    heard = host("pipe", "all")
    stacks = heard.told(sig.FRAME_STAGE_STACKS)
    assert stacks
    most = max(stacks, key=lambda stack: stacks[stack])
    assert "waiting_host.py" in str(most)
    calls = [line for line in str(most).splitlines() if not line.startswith("(")]  # "(seen late …)"
    assert calls[-1].endswith("pipe.<locals>.wait")


def test_what_is_not_asked_for_is_not_looked_at():
    heard = host("pipe", "knocks")
    assert not heard.told(sig.BLOCKED_CALL)
    assert not heard.told(sig.FRAME_STAGE_STACKS)
    assert heard.measured(sig.LOCK_WAIT_TIME) == 0
