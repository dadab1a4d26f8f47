"""A host whose every fifth frame waits for something known: the batches it hands over go to its output.

Usage: python waiting_host.py CASE SLOW. It ends when so many of its frames have been slow. Its probes are
switched by the environment, as anybody's.
"""

from __future__ import annotations

import hashlib
import sys
import time

from faults import Act, background, contended_lock, long_call, slow_pipe, turns_of, work

from framescope.pipeline import Pipeline, _Process

WAIT_MS = 15.0
EVERY = 5
USUAL_S = 0.006
WORK_S = 0.0025
BUDGET_MS = 14.0
HELD_MS = 20.0
BETWEEN_S = 0.07
LONGEST_S = 60.0
"""A machine on which nothing gets slow, or all of it stands still: no test waits longer."""


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


def hold_the_interpreter() -> None:
    """A thread that calls C code which keeps the interpreter lock for a while, again and again."""
    call = long_call(HELD_MS)

    def body() -> None:
        call()
        time.sleep(BETWEEN_S)

    background(body).set()


def compute_in_c() -> None:
    """A thread that computes without the interpreter lock, all the time."""
    data = bytes(8 << 20)
    background(lambda: hashlib.sha256(data).digest()).set()


WAITS = {
    "pipe": lambda: slow_pipe(WAIT_MS),
    "lock": lambda: contended_lock(WAIT_MS),
    "sleep": lambda: lambda: time.sleep(WAIT_MS / 1e3),
}
BESIDE = {"held": hold_the_interpreter, "benign": compute_in_c}


def main() -> None:
    case, wanted = sys.argv[1], int(sys.argv[2])
    wait: Act | None = None
    turns = turns_of(WORK_S)
    for part in case.split("+"):
        if part in BESIDE:
            BESIDE[part]()
        else:
            wait = WAITS[part]()
    pipeline = Pipeline("waiting", target_fps=100, budget_ms=BUDGET_MS, process=_Process(Output()))
    stage, other = pipeline.stages("wait", "work")
    end = time.monotonic() + LONGEST_S
    number = slow = 0
    while slow < wanted and time.monotonic() < end:
        began = time.monotonic()
        with pipeline.frame():
            with stage:
                time.sleep(USUAL_S)  # here the interpreter lock is free for whoever wants it
                if wait is not None and number % EVERY == 0:
                    wait()
            with other:
                work(turns)
        slow += time.monotonic() - began > BUDGET_MS / 1e3
        number += 1
    pipeline.close()


if __name__ == "__main__":
    main()
