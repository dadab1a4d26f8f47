"""GPU work timed on the GPU, without waiting for it; with no GPU the same stages are timed on the host."""

import importlib
import importlib.util
import logging
import sys
from typing import Any

import framescope


def on_a_gpu() -> Any:
    """A matrix on the GPU, by torch or CuPy; None where neither can use one."""
    for name in ("torch", "cupy"):
        if importlib.util.find_spec(name) is not None:
            package: Any = importlib.import_module(name)
            try:
                if name == "torch":
                    return package.rand(2048, 2048, device="cuda")
                return package.random.rand(2048, 2048)
            except Exception as error:
                print(f"{name} is here, and cannot use a GPU: {error}")
    print("no GPU here: the stages are recorded by host time alone")
    return None


logging.basicConfig(stream=sys.stdout, format="%(message)s")  # where framescope says the same
matrix = on_a_gpu()
pipeline = framescope.Pipeline("gpu stage", target_fps=100)
denoise = pipeline.gpu_stage("denoise")  # on the stream that is current when it is entered
show = pipeline.stage("show")

for _ in range(100):
    with pipeline.frame():
        with denoise:  # launches, and goes on
            result: Any = sum(range(20_000)) if matrix is None else matrix @ matrix
        with show:  # meets the GPU: what it waits for here is the GPU's, and is told so
            shown = str(result) if matrix is None else str(result.sum())
pipeline.close()
