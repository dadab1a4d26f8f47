"""Log records that lead to their frame, and the flight recorder by hand."""

import logging
import sys
import time

import framescope

pipeline = framescope.Pipeline("log records", target_fps=200)
capture = pipeline.stage("capture")

handler = logging.StreamHandler(sys.stdout)
handler.addFilter(pipeline.log_filter())  # each record gets trace_id and span_id
handler.setFormatter(logging.Formatter("trace=%(trace_id)s %(message)s"))
log = logging.getLogger("scanner")
log.addHandler(handler)

for number in range(100):
    with pipeline.frame():
        with capture:
            time.sleep(0.002)
        if number == 90:
            log.warning("the image jumped")  # trace=4bf92f3577b34da6a3ce929d0e0e4736 the image jumped
            pipeline.keep_last(seconds=2, why="the image jumped")  # every frame before it, slow or not, whole
log.warning("outside of a frame there is none")
pipeline.close()
