"""Several pipelines in one process, one inside a frame of the other; and a source that is a generator."""

import time
from collections.abc import Iterator

import framescope

video = framescope.Pipeline("video", target_fps=100)
overlay = framescope.Pipeline("overlay", target_fps=100, budget_ms=5)
decode, show = video.stages("decode", "show")
draw = overlay.stage("draw")


@decode  # in its stage from the first row asked for to the last
def rows() -> Iterator[int]:
    yield from range(3)


for _ in range(50):
    with video.frame():
        for _ in rows():
            with overlay.frame(), draw:  # a frame of the other pipeline, three times in each of this one
                time.sleep(0.0005)
        with show:
            time.sleep(0.002)
overlay.close()
video.close()
