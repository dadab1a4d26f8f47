"""A chain of generators, each pulling from the one before: a frame for each image that comes out of it."""

import time
from collections.abc import Iterator

import framescope

pipeline = framescope.Pipeline("generators", target_fps=200)
capture, denoise, show = pipeline.stages("capture", "denoise", "show")
Images = Iterator[tuple[framescope.Frame, int]]


def captured() -> Images:
    for number in range(100):
        frame = pipeline.begin(sequence=number)  # begun where the image comes from …
        with frame.stage(capture):
            time.sleep(0.001)
        yield frame, number


def denoised(images: Images) -> Images:
    for frame, image in images:
        with frame.stage(denoise):  # left before the yield: what happens outside is not this stage
            time.sleep(0.001)
        yield frame, image


for frame, _image in denoised(captured()):
    with frame.stage(show):
        time.sleep(0.001)
    frame.end()  # … and ended where it goes
pipeline.close()
