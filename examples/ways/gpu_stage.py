"""GPU work timed on the GPU, without waiting for it; with no GPU the same stages are timed on the host."""

import functools
import importlib
import importlib.util

import framescope


def on_a_gpu():
    """Launch work and fetch its result, by torch or CuPy; None without a GPU that one of them can use."""
    for name, grid_of in (
        ("torch", lambda torch: torch.rand(2048, 2048, device="cuda")),
        ("cupy", lambda cupy: cupy.random.rand(2048, 2048)),
    ):
        if importlib.util.find_spec(name) is not None:
            try:
                return functools.partial(square, grid_of(importlib.import_module(name)))
            except Exception as error:
                print(f"{name} is here, and cannot use a GPU: {error}")
    return None


def square(grid):
    return grid @ grid


def on_the_host():
    print("no GPU here: the stages are recorded by host time alone, as framescope says too")
    return lambda: sum(range(20_000))


launch = on_a_gpu() or on_the_host()
pipeline = framescope.Pipeline("gpu stage", target_fps=100)
denoise = pipeline.gpu_stage("denoise")  # on the stream that is current when it is entered
show = pipeline.stage("show")

for _ in range(100):
    with pipeline.frame():
        with denoise:  # launches, and goes on
            result = launch()
        with show:  # meets the GPU: what it waits for here is the GPU's, and is told so
            float(result if isinstance(result, int) else result.sum())
pipeline.close()
