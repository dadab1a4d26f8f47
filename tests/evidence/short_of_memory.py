"""Frames that read more of a file than memory can hold, in a process of its own.

Says ``ready``, waits for a line on its standard input (by then its memory is limited), and tells the mean of
each reading by side, as JSON.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import sys
from pathlib import Path

from lived import CALM, DISTURBED, lived, spin, stretches

from framescope import signals as sig

READINGS = (
    sig.BLOCKED_TIME, sig.MEMORY_STALL_TIME, sig.IO_WAIT_TIME, sig.GC_TIME, sig.QUOTA_TIME, sig.LOCK_WAIT_TIME
)  # fmt: skip


def main(path: Path) -> None:
    size, dice = path.stat().st_size, random.Random(0)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        pages.madvise(mmap.MADV_RANDOM)

        def frame(side: str) -> None:
            spin(1)
            if side == DISTURBED:
                sum(pages[dice.randrange(size)] for _ in range(400))

        with lived(budget_ms=1000) as run:
            print("ready", flush=True)
            sys.stdin.readline()
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            sum(pages[at] for at in range(0, size, mmap.PAGESIZE))  # the kernel remembers what it drops
            stretches(run, frame, turns=2, frames=12)
    told = {
        name: {side: run.mean(side, name) for side in (CALM, DISTURBED)}
        for name in READINGS
        if run.known(name)
    }
    faults = run.points(sig.PROCESS_PAGING_FAULTS)
    print(json.dumps({"readings": told, "faults": faults[-1] - faults[0]}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
