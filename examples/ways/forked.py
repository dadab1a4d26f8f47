"""Forked processes: each is a process of its own, with its own frames, and none of its parent's."""

import multiprocessing
import time

import framescope

pipeline = framescope.Pipeline("forked", target_fps=200)
work = pipeline.stage("work")
forking = multiprocessing.get_context("fork")


def frames(count: int) -> None:
    for _ in range(count):
        with pipeline.frame(), work:
            time.sleep(0.002)


frames(10)
child = forking.Process(target=frames, args=(20,))
child.start()  # the child's pipeline is empty, and its agent starts with its first frame
frames(20)
child.join()

with forking.Pool(2) as pool:
    pool.map(frames, [5, 5, 5, 5])
    pool.close()  # workers that end by themselves send all; terminated ones lose their last tenth of a second
    pool.join()
pipeline.close()
