"""A queue of your own, looked at from outside; and numbers of your own beside the frames."""

import queue
import threading
import time

import framescope

pipeline = framescope.Pipeline("own queue", target_fps=200, budget_ms=50)
detect = pipeline.stage("detect")
images: queue.Queue[int] = queue.Queue(maxsize=4)
pipeline.watch_queue(images, "images")  # depth, each item's wait, how long a producer was held


def detector() -> None:
    while (number := images.get()) >= 0:
        with pipeline.frame(sequence=number, mode="colour" if number % 2 else "B"), detect:
            time.sleep(0.003)
        pipeline.gauge("score", 0.9 + number / 1000)  # the newest value counts
        if number % 10 == 0:
            pipeline.count("defects", 2)  # it adds up: so many a minute


thread = threading.Thread(target=detector)
thread.start()
pipeline.mark("model v3")  # on every chart
for number in range(100):
    time.sleep(0.002)
    images.put(number)
images.put(-1)
thread.join()
pipeline.close()
