"""A chain of threads with bounded queues between them; the frame goes along with its image."""

import threading
import time

import framescope

FRAMES = 100
pipeline = framescope.Pipeline("queue chain", target_fps=200, budget_ms=20)
capture, denoise, show = pipeline.stages("capture", "denoise", "show")
to_denoise = framescope.Queue(pipeline, "raw", capacity=4, policy="pop")  # full: the oldest goes
to_show = framescope.Queue(pipeline, "clean", capacity=2, policy="block")  # full: the producer waits


def denoiser() -> None:
    while True:
        frame, image = to_denoise.get()
        with frame.stage(denoise):
            time.sleep(0.006)
        to_show.put(frame, image)
        if image is None:
            return


def display() -> None:
    while True:
        frame, image = to_show.get()
        with frame.stage(show):
            time.sleep(0.001)
        frame.end()
        if image is None:
            return


threads = [threading.Thread(target=work) for work in (denoiser, display)]
for thread in threads:
    thread.start()
for number in range(FRAMES):
    frame = pipeline.begin(sequence=number)
    with frame.stage(capture):
        time.sleep(0.004)
    to_denoise.put(frame, None if number == FRAMES - 1 else number)
for thread in threads:
    thread.join()
pipeline.close()
