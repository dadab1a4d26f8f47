"""The table of what works where: the document shows it; this machine's column is found out, not assumed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from framescope.platforms import COLUMNS, TABLE, Line, Machine, as_markdown

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "platforms.md").read_text()
FILES = {
    "/proc/thread-self/schedstat": "12 34 5\n",
    "/proc/self/syscall": "running\n",
    "/proc/self/cgroup": "0::/\n",
    "/proc/pressure/cpu": "some\n",
    "/proc/pressure/memory": "some\n",
    "/proc/vmstat": "pgmajfault 1\n",
    "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "2000000\n",
    "/proc/sys/kernel/random/boot_id": "x\n",
}
EVERYTHING = {"tick_s": 1e-9, "has_lock": True, "no_agent": "", "has_instrumentation": True}
EVERYWHERE = {line.name for line in TABLE if line.macos == line.windows == "yes"}


def machine(system: str = "linux", files: Mapping[str, str] = FILES, **told: object) -> Machine:
    def read(path: Path) -> str:
        if str(path) not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[str(path)]

    return Machine(read, system, **{**EVERYTHING, **told})  # type: ignore[arg-type]


def missing(there: Machine) -> dict[str, str]:
    found = {line.name: line.look(there) for line in TABLE if line.look is not None}
    return {name: one.reason for name, one in found.items() if one is not None}


def line(name: str) -> Line:
    return next(one for one in TABLE if one.name == name)


def test_the_document_shows_the_table() -> None:
    assert as_markdown() in DOCUMENT, "paste what `python -m framescope.platforms` prints"


def test_every_cell_of_the_table_says_something() -> None:
    assert all(getattr(line, column) for line in TABLE for column in COLUMNS)
    assert len({line.name for line in TABLE}) == len(TABLE)


def test_a_linux_that_tells_everything_misses_nothing() -> None:
    assert missing(machine()) == {}


@pytest.mark.parametrize(("system", "column"), [("darwin", "macos"), ("win32", "windows")])
def test_what_is_found_missing_elsewhere_is_what_the_table_says(system: str, column: str) -> None:
    """Seen with files as on Linux: that a file is there by chance makes no evidence of another system."""
    there = machine(system, no_agent="it is so" if system == "win32" else "")
    lacking = {
        one.name for one in TABLE if one.look is not None and re.match(r"no|by the", getattr(one, column))
    }
    assert set(missing(there)) == lacking


def test_a_linux_that_hides_its_files_says_which_it_could_not_read() -> None:
    lacking = missing(machine(files={}))
    assert lacking["run-queue time"] == (
        "/proc/thread-self/schedstat not readable: No such file or directory"
    )
    assert not set(lacking) & EVERYWHERE


def test_a_kernel_that_counts_nothing_is_not_taken_for_one_that_does() -> None:
    silent = machine(files={**FILES, "/proc/thread-self/schedstat": "0 0 0\n"})
    look = line("run-queue time").look
    assert look is not None
    found = look(silent)
    assert found is not None
    assert "schedstats" in found.change


def test_without_an_interpreter_lock_nobody_waits_for_it() -> None:
    assert missing(machine(has_lock=False)) == {
        "waits for the interpreter lock": "this interpreter has no lock"
    }


def test_a_clock_that_ticks_every_15_ms_is_said() -> None:
    assert missing(machine(tick_s=0.015625)) == {
        "times of frames, stages and queues": "times are in steps of 15.6 ms"
    }
