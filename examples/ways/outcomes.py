"""Frames that are not delivered: dropped, superseded, failed, abandoned; each says why."""

import contextlib
import time

import framescope

pipeline = framescope.Pipeline("outcomes", target_fps=200)
capture, detect = pipeline.stages("capture", "detect")
newest = framescope.Queue(pipeline, "newest", capacity=1, policy="pop")  # only the newest is of interest


def detected(number: int) -> bool:
    if number % 20 == 10:
        raise ValueError("a corrupt image")
    return number % 20 != 11


for number in range(100):
    frame = pipeline.begin(sequence=number)
    with frame.stage(capture):
        time.sleep(0.002)
    if number % 20 == 5:
        frame.drop("probe not in contact")  # a reason of your own
    elif number % 20 == 6:
        frame.fail("no image")  # failed, in words
    elif number % 20 == 7:
        del frame  # nobody ends it: failed, "abandoned"
    else:
        newest.put(frame, number)  # where one is waiting already, that one is dropped: "superseded"
        if number % 20 == 3:
            continue  # the consumer is late for this one
        oldest, item = newest.get()
        # An exception that leaves the frame's block fails it, and goes on.
        with contextlib.suppress(ValueError), oldest, oldest.stage(detect):
            if not detected(item):
                oldest.drop("nothing there")
pipeline.close()
