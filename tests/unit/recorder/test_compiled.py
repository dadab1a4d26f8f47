"""The compiled core does what its Python does. ``make unit`` runs this folder's tests on both."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import sysconfig
import threading
import time
import weakref
from pathlib import Path

import pytest

from framescope import compiled
from framescope.probes import scheduler
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder

needs_core = pytest.mark.skipif(compiled.core is None, reason="the compiled core was not built here")


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_it_is_there_wherever_it_can_be_built():
    if not sys.platform.startswith("linux") or os.environ.get("FRAMESCOPE_COMPILED") == "0":
        pytest.skip("switched off, or no Linux")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("it relies on the interpreter lock")
    if compiled.core is None and not os.environ.get("CI"):
        pytest.skip("no C compiler at installation: the Python does the same")
    assert compiled.core is not None


def test_it_can_be_left_alone():
    told = run("from framescope.compiled import core; print(core)", FRAMESCOPE_COMPILED="0")
    assert told == "None"


@needs_core
def test_a_core_of_another_version_is_not_used(monkeypatch):
    monkeypatch.setattr(compiled, "VERSION", -1)
    assert compiled.load() is None


@needs_core
def test_both_read_the_scheduler_alike(monkeypatch):
    in_c = scheduler.reader()
    monkeypatch.setattr(scheduler, "core", None)
    in_python = scheduler.reader()
    for _ in range(50):
        before, between, after = in_python(), in_c(), in_python()
        assert before[0] <= between[0] <= after[0]
        assert before[1] <= between[1] <= after[1]
        assert before[2] <= between[2] <= after[2]


@needs_core
def test_a_forked_child_reads_of_itself_and_a_thread_that_ends_leaves_no_file_open():
    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    assert compiled.core is not None
    read = compiled.core.read_scheduler
    read()
    before = files()
    for _ in range(20):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    give_up = time.monotonic() + 5  # a thread is joined a moment before the system takes its last things down
    while files() > before and time.monotonic() < give_up:
        time.sleep(0.01)
    assert files() == before
    told = run(
        "import os, time\n"
        "from framescope._core import read_scheduler as read\n"
        "end = time.thread_time() + 0.05\n"
        "while time.thread_time() < end: read()\n"
        "if os.fork() == 0:\n"
        "    time.sleep(0.01)\n"
        "    own = int(open('/proc/thread-self/schedstat').read().split()[1])\n"
        "    print(abs(read()[1] - own) < 1_000_000 and read()[1] >= 0, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    assert told == "True"


def test_a_fault_is_noted_with_what_it_was_and_what_the_host_raises_passes():
    class Odd:
        now: BaseException | int = 5

        def __call__(self) -> int:
            if isinstance(self.now, BaseException):
                raise self.now
            return self.now

    clock, faults = Odd(), Faults(raising=False)
    recorder = Recorder(0, "p", clock=clock, faults=faults)
    stage = recorder.stage("a")
    with recorder.begin():
        try:
            raise KeyError("the host handles this one when the fault comes")
        except KeyError:
            clock.now = MemoryError("no room")
            with stage:
                pass
        for own in (TimeoutError(), KeyboardInterrupt()):  # raised by a handler of a signal
            clock.now = own
            with pytest.raises(type(own)):
                stage.__enter__()
        clock.now = 9
    assert faults.counts == {"stage.enter": 1, "stage.exit": 1}
    assert {told.exc_type for told in faults._untold.values()} == {MemoryError}


def test_a_fault_keeps_nothing_of_the_host_s_until_a_collection():
    class Image: ...

    def lose_one() -> weakref.ref[Image]:
        image = Image()
        with stage:
            pass
        return weakref.ref(image)

    def fail() -> int:
        raise MemoryError("no room")

    recorder = Recorder(0, "p", faults=Faults(raising=False))
    stage = recorder.stage("a")
    with recorder.begin():
        stage.keep_time_by(fail)
        gc.disable()
        try:
            assert lose_one()() is None
        finally:
            gc.enable()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's scheduler")
@pytest.mark.parametrize("compiled", ["0", "1"])
def test_a_child_that_gave_its_files_other_numbers_keeps_them(compiled):
    told = run(
        "import os\n"
        "from framescope.probes.scheduler import reader\n"
        "read = reader()\n"
        "read()\n"
        "links = {n: f'/proc/self/fd/{n}' for n in range(64)}\n"
        "ours = [n for n, link in links.items()\n"
        "        if os.path.lexists(link) and 'schedstat' in os.readlink(link)]\n"
        "if os.fork() == 0:\n"
        "    for number in ours:\n"  # as a daemon does: all files closed, and a log opened
        "        os.dup2(1, number)\n"
        "    read = reader()\n"
        "    read()\n"
        "    os.write(ours[0], b'still there')\n"
        "    os._exit(0)\n"
        "os.wait()\n",
        FRAMESCOPE_COMPILED=compiled,
    )
    assert told == "still there"
