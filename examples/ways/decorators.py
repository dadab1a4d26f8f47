"""Functions as stages and as frames: nothing inside them changes."""

import time
from collections.abc import Iterator

import framescope

pipeline = framescope.Pipeline("decorators", target_fps=200)
rows, denoise, smooth = pipeline.stages("rows", "denoise", "smooth")


@rows  # a generator is in its stage from the first value asked for to the last
def lines(image: list[int]) -> Iterator[int]:
    yield from image


@smooth  # every call; a repeated stage of the frame, inside another one
def smoothed(line: int) -> int:
    time.sleep(0.0005)
    return line // 2


@denoise
def denoised(image: list[int]) -> list[int]:
    return [smoothed(line) for line in lines(image)]


@pipeline.framed  # every call is a frame
def process(image: list[int]) -> int:
    return sum(denoised(image))


for number in range(100):
    process([number, number + 1])
pipeline.close()
