"""A pool of processes: the frame travels as a header of at most 1 KB, and whoever ends it has it judged."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import framescope

pipeline = framescope.Pipeline("process pool", target_fps=50, budget_ms=50)
capture, reconstruct = pipeline.stages("capture", "reconstruct")


def work(header: bytes, image: bytes) -> int:
    with (
        pipeline.resume(header),
        reconstruct,
    ):  # a spawned worker makes its own pipeline by importing this file
        time.sleep(0.005)
        return len(image)


def main() -> None:
    for method in ("spawn", "fork"):  # a forked worker has the pipeline already; it is its own all the same
        with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
            waiting = []
            for number in range(25):
                frame = pipeline.begin(sequence=number)
                with frame.stage(capture):
                    time.sleep(0.005)
                waiting.append(pool.submit(work, frame.carry(), b"image"))
            for one in waiting:
                one.result()
    pipeline.close()


if __name__ == "__main__":
    main()
