"""A host whose every fifth frame waits for something known: the batches it hands over go to its output.

Usage: python waiting_host.py CASE SECONDS. Its probes are switched by the environment, as anybody's.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from framescope.pipeline import Pipeline, _Process

WAIT_S = 0.015
EVERY = 5
USUAL_S = 0.006
WORK_S = 0.0025


class Output:
    """A link that writes each message to the standard output."""

    def send(self, message: bytes, frames: int) -> None:
        sys.stdout.buffer.write(message)
        sys.stdout.buffer.flush()

    def revive(self) -> bool:
        return False

    def losses(self) -> dict[str, int]:
        return {}

    def close(self, timeout: float) -> None: ...


def work(turns: int) -> int:
    """Python's own work: it holds the interpreter lock and gives it away when asked."""
    found = 0
    for number in range(turns):
        found += number * number
    return found


def turns_of(seconds: float) -> int:
    began = time.perf_counter()
    work(100_000)
    return int(100_000 * seconds / (time.perf_counter() - began))


def background(body: Callable[[], None]) -> None:
    def forever() -> None:
        while True:
            body()

    threading.Thread(target=forever, daemon=True).start()


def pipe() -> Callable[[], object]:
    """A pipe that is filled a while after it was asked for."""
    asked, ask = os.pipe()
    filled, fill = os.pipe()

    def feed() -> None:
        os.read(asked, 1)
        time.sleep(WAIT_S)
        os.write(fill, b"x")

    background(feed)

    def wait() -> None:
        os.write(ask, b"x")
        os.read(filled, 1)

    return wait


def lock() -> Callable[[], object]:
    """A lock that somebody else holds for a while."""
    guard, asked = threading.Lock(), threading.Semaphore(0)
    taken = threading.Event()

    def hold() -> None:
        asked.acquire()
        with guard:
            taken.set()
            time.sleep(WAIT_S)

    background(hold)

    def wait() -> None:
        taken.clear()
        asked.release()
        taken.wait()
        with guard:
            pass

    return wait


def fsync() -> Callable[[], object]:
    file = tempfile.TemporaryFile()  # noqa: SIM115

    def wait() -> None:
        file.seek(0)
        file.write(os.urandom(1 << 20) * 8)
        file.flush()
        os.fsync(file.fileno())

    return wait


def hold_the_interpreter() -> None:
    """A thread that calls C code which keeps the interpreter lock for a while, again and again."""
    numbers = range(1_000_000)
    began = time.perf_counter()
    sum(numbers)
    size = int(len(numbers) * 0.02 / (time.perf_counter() - began))

    def body() -> None:
        sum(range(size))
        time.sleep(0.07)

    background(body)


def benign() -> None:
    """A thread that computes in C without the interpreter lock, all the time."""
    data = bytes(8 << 20)
    background(lambda: hashlib.sha256(data).digest() and None)


def busy() -> None:
    """A thread that computes in Python all the time."""
    background(lambda: work(10_000) and None)


def main() -> None:
    case, seconds = sys.argv[1], float(sys.argv[2])
    waits: dict[str, Callable[[], Callable[[], object]]] = {
        "pipe": pipe, "lock": lock, "sleep": lambda: lambda: time.sleep(WAIT_S), "fsync": fsync,
    }  # fmt: skip
    wait = None
    turns = turns_of(WORK_S)
    for part in case.split("+"):
        if part == "held":
            hold_the_interpreter()
        elif part == "benign":
            benign()
        elif part == "busy":
            busy()
        elif part != "none":
            wait = waits[part]()
    pipeline = Pipeline("waiting", target_fps=100, budget_ms=14, process=_Process(Output()))
    stage, other = pipeline.stages("wait", "work")
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        with pipeline.frame():
            with stage:
                time.sleep(USUAL_S)  # here the interpreter lock is free for whoever wants it
                if wait is not None and number % EVERY == 0:
                    wait()
            with other:
                work(turns)
        number += 1
    pipeline.close()


if __name__ == "__main__":
    main()
