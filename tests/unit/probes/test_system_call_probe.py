"""What a thread waits in, as the kernel tells it."""

import os
import platform
import sys
import threading
import time

import pytest

from framescope.probes.system_call import (
    NUMBERS,
    Call,
    SystemCallProbe,
    interpreter_lock_range,
    kind_of_file,
    parse,
)

X86 = {0: "read", 1: "write", 74: "fsync", 202: "futex", 230: "clock_nanosleep", 16: "ioctl", 7: "poll"}
REST = "0x0 0x0 0x0 0x0 0x0 0x7ffd 0x7f01"
LOCK = (0x5000, 0x6000)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("running\n", Call("running")),
        (f"0 0x7 {REST}", Call("io", "read()", 7)),
        (f"74 0x3 {REST}", Call("io", "fsync()", 3)),
        (f"7 0x7f {REST}", Call("io", "poll()")),
        (f"202 0x5008 {REST}", Call("gil", "the interpreter lock")),
        (f"202 0x6000 {REST}", Call("lock", "a lock")),
        (f"230 0x1 {REST}", Call("sleep", "clock_nanosleep()")),
        (f"16 0x9 {REST}", Call("other", "ioctl()", 9)),
        (f"999 0x9 {REST}", Call("other", "system call 999")),
        ("-1 0x7ffd 0x7f01", Call("other", "a page of memory")),
    ],
)
def test_a_line_of_the_kernel_s_becomes_a_wait(line, expected):
    assert parse(line, LOCK, X86) == expected


def test_without_knowing_where_the_interpreter_lock_lies_it_is_a_lock():
    assert parse(f"202 0x5008 {REST}", None, X86) == Call("lock", "a lock")


@pytest.mark.parametrize("line", ["", "nonsense", "0", "0 seven"])
def test_what_is_no_such_line_raises(line):
    with pytest.raises((ValueError, IndexError)):
        parse(line, LOCK, X86)


def test_a_descriptor_is_told_by_what_it_is_and_never_by_its_name():
    assert kind_of_file("pipe:[123]") == "a pipe"
    assert kind_of_file("socket:[123]") == "a socket"
    assert kind_of_file("/dev/pts/3") == "a terminal"
    assert kind_of_file("/dev/nvidia0") == "a device"
    assert kind_of_file("/home/patient/name.dcm") == "a file"
    assert kind_of_file("anon_inode:[eventfd]") == "an event"


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")


@linux
@pytest.mark.skipif(not NUMBERS, reason=f"no table of system calls for {platform.machine()}")
def test_a_thread_of_this_process_is_seen_in_its_call():
    reading, writing = os.pipe()
    thread = threading.Thread(target=os.read, args=(reading, 1))
    thread.start()
    probe = SystemCallProbe(os.getpid(), interpreter_lock_range())
    try:
        assert thread.native_id is not None
        for _ in range(1000):
            call = probe.read(thread.native_id)
            if call.kind == "io":
                break
            time.sleep(0.005)
        assert call == Call("io", "read() of a pipe")
    finally:
        os.write(writing, b"x")
        thread.join()
        probe.close()
        os.close(reading)
        os.close(writing)


@linux
def test_a_thread_that_is_not_there_raises():
    with pytest.raises(OSError, match="No such"):
        SystemCallProbe(os.getpid(), None).read(2**30)


@linux
@pytest.mark.skipif(getattr(sys, "_is_gil_enabled", lambda: True)() is False, reason="no interpreter lock")
def test_the_interpreter_lock_lies_somewhere_in_the_interpreter():
    place = interpreter_lock_range()
    assert place is not None
    assert place[0] < place[1]
