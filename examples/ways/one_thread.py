"""One thread does everything, frame by frame."""

import time

import framescope

pipeline = framescope.Pipeline("one thread", target_fps=100)
capture, denoise, render = pipeline.stages("capture", "denoise", "render")

for number in range(100):
    with pipeline.frame() as frame:
        with capture:
            time.sleep(0.001)
        with denoise:
            for _ in range(2):  # a repeated stage, and one inside another
                with render:
                    sum(range(2000))
        if number % 10 == 9:
            frame.set(mode="colour")
        if number == 50:
            frame.drop("operator")  # it will not be shown
pipeline.close()
