"""A pool of threads works on several frames at once; they may end in another order than they began."""

import time
from concurrent.futures import ThreadPoolExecutor

import framescope

pipeline = framescope.Pipeline("thread pool", target_fps=100, budget_ms=30)
capture, reconstruct = pipeline.stages("capture", "reconstruct")


def work(frame: framescope.Frame, number: int) -> None:
    try:
        with frame.stage(reconstruct):  # a stage on another thread than the frame's
            time.sleep(0.015 if number % 7 else 0.03)
            if number == 40:
                raise ValueError("a corrupt image")
    except ValueError as error:
        frame.fail(error)
    else:
        frame.end()


with ThreadPoolExecutor(4) as pool:
    for number in range(100):
        frame = pipeline.begin(sequence=number)
        with frame.stage(capture):
            time.sleep(0.004)
        pool.submit(work, frame, number)
pipeline.close()
