"""framescope: always-on frame tracing for real-time GPU pipelines.

import framescope

pipeline = framescope.Pipeline("ultrasound", target_fps=100, budget_ms=10)
capture, denoise = pipeline.stages("capture", "denoise")

for image in source:
    with pipeline.frame():
        with capture: ...
        with denoise: ...
"""

from framescope.pipeline import Pipeline, Queue
from framescope.recorder.frame import Frame

__all__ = ["Frame", "Pipeline", "Queue"]
__version__ = "0.1.0"
