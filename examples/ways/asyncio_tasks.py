"""Asyncio tasks that take turns on one thread: each has a frame of its own."""

import asyncio

import framescope

pipeline = framescope.Pipeline("asyncio tasks", target_fps=200, budget_ms=25)
receive, infer = pipeline.stages("receive", "infer")


@pipeline.framed  # every call is a frame
async def serve(number: int) -> int:
    with receive:
        await asyncio.sleep(0.005)
    return await asyncio.to_thread(model, number)


@infer  # every call is this stage, also on the thread the task lends it to
def model(number: int) -> int:
    return sum(range(number * 100))


async def main() -> None:
    for start in range(0, 100, 10):
        await asyncio.gather(*(serve(number) for number in range(start, start + 10)))


asyncio.run(main())
pipeline.close()
