"""Why a task's frame was slow, on a real loop: its own code, others though it was ready, what it awaited.

The sides are frames of one run: calm ones, and every eighth disturbed in one way.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

import framescope
from framescope.testing import record

LONG_MS = 25
CALM, DISTURBED = 40, 12


def burn(ms: float) -> None:
    until = time.thread_time_ns() + round(ms * 1e6)
    while time.thread_time_ns() < until:
        pass


async def own_code(infer: framescope.Stage, long: bool) -> None:
    await asyncio.sleep(0.002)
    with infer:
        burn(LONG_MS if long else 1)


async def others_first(infer: framescope.Stage, long: bool) -> None:
    if long:
        asyncio.get_running_loop().call_soon(burn, LONG_MS)  # ahead of this task's next step
    with infer:
        await asyncio.sleep(0)
        burn(1)


async def others_meanwhile(infer: framescope.Stage, long: bool) -> None:
    if long:
        asyncio.get_running_loop().call_later(0.0005, burn, LONG_MS)  # under way when the answer comes
    with infer:
        await asyncio.sleep(0.002)
        burn(1)


async def an_answer(infer: framescope.Stage, long: bool) -> None:
    with infer:
        await asyncio.sleep(LONG_MS / 1000 if long else 0.001)
        burn(1)


async def an_answer_beside_a_busy_thread(infer: framescope.Stage, long: bool) -> None:
    busy = threading.Thread(target=burn, args=(LONG_MS if long else 1,))  # holds the interpreter lock
    busy.start()
    await an_answer(infer, long)
    busy.join()


async def a_lent_thread(infer: framescope.Stage, long: bool) -> None:
    def model() -> None:
        with infer:
            burn(LONG_MS if long else 1)

    await asyncio.to_thread(model)


async def lost_to(
    cause: str, work: Callable[[framescope.Stage, bool], Awaitable[None]], driven: bool
) -> list[float]:
    """What each disturbed frame lost to a cause, ms. A busy machine adds losses of its own beside it."""
    with record() as recorded:
        pipeline = framescope.Pipeline("p", target_fps=100, budget_ms=LONG_MS * 0.6)
        infer = pipeline.stage("infer")

        async def one(long: bool) -> None:
            if driven:
                await pipeline.frame(long=long).around(work(infer, long))
            else:
                async with pipeline.frame(long=long):
                    await work(infer, long)

        for number in range(CALM + 8 * DISTURBED):
            await one(number >= CALM and number % 8 == 0)
    disturbed = [frame for frame in recorded.frames if frame.attributes.get("long") is True]
    return [frame.lost_ms.get(cause, 0) for frame in disturbed]


@pytest.mark.parametrize("driven", [True, False], ids=["framed", "async with"])
@pytest.mark.parametrize(
    ("work", "cause"),
    [
        (own_code, "cpu_work"),
        (others_first, "loop_wait"),
        (others_meanwhile, "loop_wait"),
        (an_answer, "blocked"),
        (an_answer_beside_a_busy_thread, "blocked"),
        (a_lent_thread, "cpu_work"),
    ],
)
async def test_a_tasks_slow_frames_are_blamed_on_what_made_them_slow(work, cause, driven):
    if not driven and sys.version_info < (3, 12):
        pytest.skip("the steps of a task that opens its frame itself are not told before Python 3.12")
    lost = await lost_to(cause, work, driven)
    assert len(lost) == DISTURBED
    assert statistics.median(lost) > LONG_MS / 2, lost
