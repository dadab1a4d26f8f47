"""Neighbour processes that really take from the pipeline: CPU hogs, and another accelerator client.

Each is started early and waits; ``go`` on its standard input sets it to work, ``halt`` lets it rest,
and the end of the input ends it.
"""

from __future__ import annotations

import argparse
import select
import sys
from collections.abc import Callable
from pathlib import Path

from ultrasound import children, jpeg

CLIENT_NAME = "recon-batch"
CLIENT_SCALE = 1.95
"""How much wider and higher this client's images are than the pipeline's."""
_PRIME = 999_983


def hog() -> Callable[[], None]:
    """Arithmetic that never yields: some 2 ms of it a call."""
    state = 1

    def work() -> None:
        nonlocal state
        for _ in range(40_000):
            state = state * 48_271 % _PRIME

    return work


def client(socket: Path, kernel: str = "despeckle") -> tuple[Callable[[], None], Callable[[], None]]:
    """One kernel after another on larger images of the same recording, without a pause; and how to leave."""
    import cv2
    import numpy as np

    from ultrasound import cine
    from ultrasound.accelerator_client import AcceleratorAway, AcceleratorClient

    cv2.setNumThreads(1)
    large = cine.enlarged(cine.load(), CLIENT_SCALE)
    greys = [
        np.asarray(cv2.cvtColor(jpeg.decode(fragment), cv2.COLOR_BGR2GRAY), np.uint8)
        for fragment in large.frames
    ]
    connection = AcceleratorClient(socket, CLIENT_NAME, timeout=2.0)
    turn = 0

    def work() -> None:
        nonlocal turn
        turn += 1
        try:
            connection.run(kernel, greys[turn % len(greys)])
        except AcceleratorAway:
            select.select([0], [], [], 0.05)

    return work, connection.close


def obey(work: Callable[[], None], leave: Callable[[], None] = lambda: None) -> None:
    """Work while told to, leave what was worked with when told to halt; return when the parent is gone."""
    working = False
    while True:
        ready, _, _ = select.select([0], [], [], 0 if working else None)
        if ready:
            order = sys.stdin.readline()
            if not order:
                return
            working = order.strip() == "go"
            if not working:
                leave()
        if working:
            work()


def main() -> int:
    parser = argparse.ArgumentParser(prog="ultrasound.neighbours", description=__doc__)
    parser.add_argument("role", choices=("hog", "client"))
    parser.add_argument("--socket", type=Path, help="the accelerator's socket (client)")
    options = parser.parse_args()
    if options.role == "client":
        if options.socket is None:
            parser.error("a client needs --socket")
        children.name_this_process(CLIENT_NAME)
        obey(*client(options.socket))
    else:
        children.name_this_process("cpu-hog")
        obey(hog())
    return 0


if __name__ == "__main__":
    sys.exit(main())
