"""A host that does what hosts do: threads, a queue, tasks, a carried frame, a watched queue.

It prints one JSON object of what its frames' own records say, and sends the rest as any host does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import sys
import threading
import time

import framescope
from framescope import pipeline as front
from framescope.handover import FrameRecord

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")

pipeline = framescope.Pipeline("p", target_fps=1000, budget_ms=100)
seen: list[FrameRecord] = []
deliver = pipeline._recorder.deliver


def remembered(record: tuple[object, ...]) -> None:
    seen.append(FrameRecord(*record))
    deliver(record)


pipeline._recorder.deliver = remembered
work, more = pipeline.stages("work", "more")
queue = framescope.Queue(pipeline, "raw", 4)
pipeline.watch_queue(multiprocessing.Queue(3), "shared")


def consume() -> None:
    for _ in range(10):
        frame, _ = queue.get()
        with frame.stage(more):
            sum(range(2000))
        frame.end()


async def task() -> None:
    async with pipeline.frame():
        with work:
            await asyncio.sleep(0)


async def tasks() -> None:
    await asyncio.gather(*(task() for _ in range(10)))


consumer = threading.Thread(target=consume)
consumer.start()
for _ in range(10):
    frame = pipeline.begin()
    with frame.stage(work):
        sum(range(2000))
    queue.put(frame, "image")
consumer.join()
for _ in range(10):
    with pipeline.frame(), work:
        sum(range(20_000))
asyncio.run(tasks())
pipeline.resume(pipeline.begin().carry()).end()

# What counts is the difference between two readings of a thread: known where both are.
known = [tuple(map(min, zip(one[2], one[4], strict=True))) for record in seen for one in record.segments]
told = {
    "frames": len(seen),
    "cpu": any(cpu >= 0 for cpu, _, _ in known),
    "runqueue": any(waited >= 0 for _, waited, _ in known),
    "blocks": any(blocks >= 0 for _, _, blocks in known),
    "agent": type(front._process.shipper._link).__name__,
}
time.sleep(0.7)  # the agent reads the machine meanwhile
pipeline.close(20)
told["faults"] = dict(front_faults) if (front_faults := pipeline._recorder.faults.counts) else {}
told["losses"] = dict(pipeline._recorder.losses)
print(json.dumps(told))
