"""framescope: always-on frame tracing for real-time GPU pipelines.

import framescope

pipeline = framescope.Pipeline("ultrasound", target_fps=100, budget_ms=10)
capture, denoise = pipeline.stages("capture", "denoise")

for image in source:
    with pipeline.frame():
        with capture: ...
        with denoise: ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framescope.pipeline import Pipeline, Queue
    from framescope.recorder.frame import Frame

__all__ = ["Frame", "Pipeline", "Queue"]
__version__ = "0.1.0"

_HOMES = {
    "Pipeline": ".pipeline",
    "Queue": ".pipeline",
    "Frame": ".recorder.frame",
}


def __getattr__(name: str) -> Any:
    """The public names, from where they are made, when somebody asks: the agent and the app never do, and the
    recorder with what it imports is 2 MB in each of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name], __name__), name)
    return found
