"""Pipelines of four shapes, the same frames for the same seed: what a frame does depends on its number alone.

Each runs ``frames`` frames at ``fps`` and asks ``before`` with a frame's number before it makes it.
"""

from __future__ import annotations

import asyncio
import os
import queue
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from faults import Points, turns_of, work

import framescope

Before = Callable[[int], None]
FPS = {"one_thread": 60.0, "chain": 60.0, "service": 40.0, "accelerator": 25.0}
BUDGET_MS = {"one_thread": 7.5, "chain": 10.0, "service": 9.5, "accelerator": 13.0}
"""Some 5 ms above what they take on a quiet machine: what a fault takes at least."""


class Amounts:
    """How much of each work frame ``number`` has: about the usual, a little more or less."""

    def __init__(self, seed: int, frames: int) -> None:
        chance = random.Random(seed)
        self._of = [chance.uniform(0.92, 1.08) for _ in range(frames)]
        packed = random.Random(seed).randbytes(200_000) + bytes(600_000)
        self.packed = zlib.compress(packed, 1)

    def turns(self, usual: int, number: int) -> int:
        return round(usual * self._of[number])


def until(due_ns: int) -> None:
    """Sleep until then."""
    wait = (due_ns - time.monotonic_ns()) / 1e9
    if wait > 0:
        time.sleep(wait)


def paced(shape: str, frames: int, before: Before) -> Iterator[tuple[int, int]]:
    """Each frame's number and when it is due (monotonic ns): at the shape's rate, at most a period behind."""
    period_ns = round(1e9 / FPS[shape])
    due_ns = time.monotonic_ns()
    for number in range(frames):
        before(number)
        due_ns = max(due_ns + period_ns, time.monotonic_ns() - period_ns)
        yield number, due_ns


def one_thread(pipeline: framescope.Pipeline, points: Points, frames: int, seed: int, before: Before) -> None:
    """Decode outside the interpreter lock, compute in Python, write."""
    amounts, think = Amounts(seed, frames), turns_of(0.002)
    decode, compute, write = pipeline.stages("decode", "compute", "write")
    sink = os.open(os.devnull, os.O_WRONLY)
    for number, due_ns in paced("one_thread", frames, before):
        until(due_ns + round(points.delay_s * 1e9))
        with pipeline.frame(captured_at_ns=due_ns, sequence=number):
            with decode:
                image = zlib.decompress(amounts.packed)
            with compute:
                work(amounts.turns(think, number))
                if points.in_work is not None:
                    points.in_work()
            with write:
                os.write(sink, image)
                if points.in_output is not None:
                    points.in_output()


def chain(pipeline: framescope.Pipeline, points: Points, frames: int, seed: int, before: Before) -> None:
    """Source → decode → compute → write, a thread each, with a queue before every one."""
    amounts, think = Amounts(seed, frames), turns_of(0.003)
    decode, compute, write = pipeline.stages("decode", "compute", "write")
    first, second, third = (
        framescope.Queue(pipeline, name, capacity=8, policy="block") for name in ("in", "mid", "out")
    )
    sink = os.open(os.devnull, os.O_WRONLY)
    ended = threading.Event()

    def follow(source: Any, handle: Callable[[Any, int], None]) -> threading.Thread:
        def run() -> None:
            while True:
                try:
                    frame, number = source.get(timeout=0.2)
                except queue.Empty:
                    if ended.is_set():
                        return
                    continue
                handle(frame, number)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def on_decode(frame: Any, number: int) -> None:
        with frame.stage(decode):
            zlib.decompress(amounts.packed)
        second.put(frame, number)

    def on_compute(frame: Any, number: int) -> None:
        with frame.stage(compute):
            work(amounts.turns(think, number))
            if points.in_work is not None:
                points.in_work()
        third.put(frame, number)

    def on_write(frame: Any, number: int) -> None:
        with frame.stage(write):
            os.write(sink, amounts.packed)
            if points.in_output is not None:
                points.in_output()
        frame.end()
        if points.after is not None:
            points.after()

    threads = [follow(first, on_decode), follow(second, on_compute), follow(third, on_write)]
    for number, due_ns in paced("chain", frames, before):
        until(due_ns + round(points.delay_s * 1e9))
        first.put(pipeline.begin(captured_at_ns=due_ns, sequence=number), number)
    time.sleep(1.0)
    ended.set()
    for thread in threads:
        thread.join(2.0)


def service(pipeline: framescope.Pipeline, points: Points, frames: int, seed: int, before: Before) -> None:
    """An asyncio service: each request asks a backend, computes, and answers; requests interleave."""
    amounts, think = Amounts(seed, frames), turns_of(0.0025)
    fetch, compute, answer = (
        pipeline.stage("fetch", "io"),
        pipeline.stage("compute"),
        pipeline.stage("answer"),
    )

    @pipeline.framed
    async def handle(number: int) -> None:
        with fetch:
            await asyncio.sleep(0.002)
        with compute:
            work(amounts.turns(think, number))
            if points.in_work is not None:
                points.in_work()
        with answer:
            await asyncio.sleep(0)
            if points.in_output is not None:
                points.in_output()

    async def serve() -> None:
        tasks: set[asyncio.Task[None]] = set()
        for number, due_ns in paced("service", frames, before):
            await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
            task = asyncio.create_task(handle(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            if points.delay_s:  # somebody else's work on the loop, while the request waits for its backend
                await asyncio.sleep(0.001)
                work(_turns(points.delay_s))
        await asyncio.gather(*tasks)

    asyncio.run(serve())


_known: dict[float, int] = {}


def _turns(seconds: float) -> int:
    if seconds not in _known:
        _known[seconds] = turns_of(seconds)
    return _known[seconds]


def accelerator(
    pipeline: framescope.Pipeline, points: Points, frames: int, seed: int, before: Before, client: Any
) -> None:
    """One thread that sends each frame, a batch of four small images, through two kernels."""
    amounts, think = Amounts(seed, frames), turns_of(0.002)
    prepare = pipeline.stage("prepare")
    kernels = pipeline.gpu_stage("kernels", timer=client)
    finish = pipeline.stage("finish")
    chance = np.random.default_rng(seed)
    usual = [chance.integers(0, 255, (96, 160), np.uint8) for _ in range(4)]
    for number, due_ns in paced("accelerator", frames, before):
        until(due_ns + round(points.delay_s * 1e9))
        with pipeline.frame(captured_at_ns=due_ns, sequence=number):
            with prepare:
                work(amounts.turns(think, number))
                if points.in_work is not None:
                    points.in_work()
                images = usual
                if points.enlarged != 1.0:
                    side = points.enlarged**0.5
                    images = [np.resize(one, (round(96 * side), round(160 * side))) for one in usual]
            with kernels:
                for image in images:
                    client.run("despeckle", image)
                for _ in range(points.copied):
                    client.run("copy", _large())
            with finish:
                work(think // 4)
                if points.in_output is not None:
                    points.in_output()


_pixels: list[Any] = []


def _large() -> Any:
    if not _pixels:
        _pixels.append(np.zeros((2048, 4096), np.uint8))
    return _pixels[0]
